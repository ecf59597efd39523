//! Backs a deployment up, and reads one collection out of the snapshot: `read_one_collection URI REPOSITORY DB.COLLECTION`.
#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use std::{collections::BTreeMap, env, error::Error, sync::Arc};

use futures::TryStreamExt;
use rdump::{Compression, ConnectOptions, Dump, DumpOptions, Repository, SnapshotWriter, Source};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [uri, repository, namespace] = env::args()
        .skip(1)
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_arguments| "usage: read_one_collection URI REPOSITORY DB.COLLECTION")?;
    let source = Source::connect(&ConnectOptions::default().uri(uri)).await?;
    let repository = Repository::open_or_init(&repository.parse()?).await?;

    let tags = BTreeMap::from([("made-by".to_owned(), "read_one_collection".to_owned())]);
    let writer = Arc::new(SnapshotWriter::new(&repository, tags));
    let options = DumpOptions::default().compression(Compression::ZSTD);
    let backup = Dump::new(&source, writer).options(options);
    let report = backup.run(backup.plan().await?).await?;
    println!("{report}");

    // Reads the manifest and the objects of this collection, and of the others nothing.
    let snapshot = repository.find_snapshot("latest").await?;
    let mut documents = snapshot.documents(&namespace.parse()?);
    let (mut count, mut longest) = (0_u64, 0);
    while let Some(document) = documents.try_next().await? {
        count += 1;
        longest = longest.max(document.as_bytes().len());
    }
    println!("{count} documents of {namespace} in {snapshot}, the longest of {longest} bytes");
    Ok(())
}
