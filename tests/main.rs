//! The whole way, with every data set.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use std::{collections::BTreeSet, fs, num::NonZeroUsize, sync::Arc};

use rdump::{
    CancellationToken, Compression, DumpOptions, Location, RestoreOptions,
    storage::{S3Credentials, S3Location},
    verify_folder,
};
use rdump_testkit::{
    Fingerprint, FingerprintOptions, ReplicaSet, SeaweedFs, dataset,
    fingerprint::assert_same,
    s3::{ACCESS_KEY, SECRET_KEY},
};
use rdump_tests::{
    dump, dump_archive_to, dump_to,
    kept::{self, Kept},
    restore, restore_archive_of, restore_of,
};
use tempfile::TempDir;

/// Every data set goes through a folder of this form and comes back the same.
async fn round_trip(compression: Compression, partitions: usize) {
    let (source, target) = tokio::join!(ReplicaSet::start(), ReplicaSet::start());
    for data in dataset::all() {
        data.seed(&source.client()).await;
    }
    let folder = TempDir::new().unwrap();
    let options = DumpOptions::default()
        .compression(compression)
        .partitions(NonZeroUsize::new(partitions).unwrap());
    dump(&source, folder.path(), options).await;
    // Some data sets hold documents that violate their collection's validator.
    let options = RestoreOptions::default().bypass_document_validation(true);
    let report = restore(folder.path(), &target, options).await;
    assert_eq!(report.problems, []);
    assert!(report.verified);
    let (before, after) = tokio::join!(fingerprint(&source), fingerprint(&target));
    assert_same(&before, &after);
}

/// Every data set goes to an object store, into a folder of each form and archives, and comes back the same.
#[tokio::test(flavor = "multi_thread")]
async fn every_data_set_comes_back_from_an_object_store() {
    let (source, server) = tokio::join!(ReplicaSet::start(), SeaweedFs::start());
    for data in dataset::all() {
        data.seed(&source.client()).await;
    }
    let before = fingerprint(&source).await;
    for compression in [
        Compression::None,
        Compression::Gzip { level: 6 },
        Compression::Zstd { level: 1 },
    ] {
        let options = DumpOptions::default().compression(compression);
        // Some data sets hold documents that violate their collection's validator.
        let restoring = RestoreOptions::default().bypass_document_validation(true);
        let folder = place(&server, &format!("folder of {compression}"));
        dump_to(&source, &folder, options.clone()).await;
        let verified = verify_folder(&folder, Arc::new(()), CancellationToken::new()).await;
        assert_eq!(verified.unwrap().damage, []);
        let target = ReplicaSet::start().await;
        let report = restore_of(&folder, &target, restoring.clone()).await;
        assert_eq!(report.problems, []);
        assert!(report.verified);
        assert_same(&before, &fingerprint(&target).await);

        let archive = place(&server, &format!("archives/{compression}"));
        dump_archive_to(&source, &archive, options).await;
        let target = ReplicaSet::start().await;
        let report = restore_archive_of(&archive, &target, restoring).await;
        assert_eq!(report.problems, []);
        assert_same(&before, &fingerprint(&target).await);
    }
}

fn place(server: &SeaweedFs, prefix: &str) -> Location {
    let mut location: S3Location = server.location(prefix).parse().unwrap();
    location.options.credentials = Some(S3Credentials::new(ACCESS_KEY, SECRET_KEY));
    location.into()
}

/// Without the versions of indexes: a restore builds today's, unless it is asked to keep them.
async fn fingerprint(of: &ReplicaSet) -> Fingerprint {
    Fingerprint::of(
        &of.client(),
        &FingerprintOptions::new().ignore_index_version(true),
    )
    .await
}

#[tokio::test]
async fn every_data_set_comes_back_from_a_plain_folder() {
    round_trip(Compression::None, 1).await;
}

#[tokio::test]
async fn every_data_set_comes_back_from_a_gzip_folder() {
    round_trip(Compression::Gzip { level: 6 }, 1).await;
}

#[tokio::test]
async fn every_data_set_comes_back_from_a_zstd_folder_of_four_partitions() {
    round_trip(Compression::Zstd { level: 1 }, 4).await;
}

/// As they were written by mongodump, with users and roles, and with what was written while they were.
#[tokio::test]
async fn dumps_that_mongodump_wrote_come_back_with_all_that_they_hold() {
    let folder = kept::folder();
    for kept in Kept::ALL {
        let target = ReplicaSet::builder().version(Kept::SERVER).start().await;
        let report = kept.restore(&folder, &target).await;
        assert_eq!(report.problems, []);
        let expected = kept::expected(kept, &folder);
        kept::assert_same(kept, &expected, &kept::print(&target).await);
    }
}

#[test]
fn every_dump_that_is_kept_is_read() {
    let folder = kept::folder();
    let there = fs::read_dir(&folder).unwrap();
    let there: BTreeSet<_> = there.map(|entry| entry.unwrap().path()).collect();
    let paths = Kept::ALL.map(|kept| [kept.path(&folder), kept.print_path(&folder)]);
    assert_eq!(there, paths.into_iter().flatten().collect());
}
