//! What is restored is what was dumped.

use std::sync::Arc;

use rdump::{
    Compression, ConnectOptions, Dump, DumpOptions, FolderWriter, Location, RestoreOptions, Source,
};
use rdump_testkit::{
    Deployment, Fingerprint, FingerprintOptions, ReplicaSet, dataset, fingerprint::assert_same,
};
use tempfile::TempDir;

use super::restore;

/// The version of an index becomes the server's newest unless it is to be kept.
fn compared() -> FingerprintOptions {
    FingerprintOptions::new().ignore_index_version(true)
}

pub(super) async fn dump(from: &Deployment, to: &Location, compression: Compression) {
    let source = Source::connect(&ConnectOptions::default().uri(from.root_uri()))
        .await
        .unwrap();
    let writer = FolderWriter::create(to).unwrap();
    let dump = Dump::new(&source, Arc::new(writer))
        .options(DumpOptions::default().compression(compression));
    let plan = dump.plan().await.unwrap();
    dump.run(plan)
        .await
        .unwrap_or_else(|error| panic!("{error:?}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_data_set_comes_back_the_same_also_over_itself() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    for data in dataset::all() {
        data.seed(&source.client()).await;
    }
    let expected = Fingerprint::of(&source.client(), &compared()).await;
    let folder = TempDir::new().unwrap();
    for (number, compression) in [Compression::None, Compression::GZIP, Compression::ZSTD]
        .into_iter()
        .enumerate()
    {
        let location = Location::from(folder.path().join(number.to_string()).as_path());
        dump(&source, &location, compression).await;
        let mut options = RestoreOptions::default().bypass_document_validation(true);
        if number > 0 {
            options = options.drop(true);
        }
        let report = restore(&location, &target, options).await;
        assert!(report.verified);
        assert_eq!(report.failed_documents, 0);
        assert_same(
            &expected,
            &Fingerprint::of(&target.client(), &compared()).await,
        );
    }
}
