//! Dumps one deployment and restores it into another: `dump_and_restore SOURCE_URI TARGET_URI FOLDER`.
#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use std::{env, error::Error, sync::Arc};

use rdump::{
    Compression, ConnectOptions, Dump, DumpOptions, FolderReader, FolderReaderOptions,
    FolderWriter, Location, Restore, RestoreOptions, Source, Target,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [_, source, target, folder] = <[String; 4]>::try_from(env::args().collect::<Vec<_>>())
        .map_err(|_arguments| "usage: dump_and_restore SOURCE_URI TARGET_URI FOLDER")?;
    let folder: Location = folder.parse()?;

    let source = Source::connect(&ConnectOptions::default().uri(source)).await?;
    let options = DumpOptions::default().compression(Compression::Zstd { level: 1 });
    let dump = Dump::new(&source, Arc::new(FolderWriter::create(&folder)?)).options(options);
    let plan = dump.plan().await?;
    println!("{plan}");
    let dumped = dump.run(plan).await?;
    println!("{dumped}");

    let target = Target::connect(&ConnectOptions::default().uri(target)).await?;
    let reader = FolderReader::open(&folder, FolderReaderOptions::default()).await?;
    let restore =
        Restore::new(&target, Arc::new(reader)).options(RestoreOptions::default().drop(true));
    let plan = restore.plan().await?;
    println!("{plan}");
    let restored = restore.run(plan).await?;
    println!(
        "{} documents restored, {} refused",
        restored.documents, restored.failed_documents
    );
    match restored.problems.as_slice() {
        [] => Ok(()),
        [first, ..] => Err(first.to_string().into()),
    }
}
