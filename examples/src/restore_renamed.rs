//! Restores one collection of a dump beside the living one: `restore_renamed URI FOLDER DB.COLLECTION NEW_NAME`.
#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use std::{env, error::Error, sync::Arc};

use rdump::{
    ConnectOptions, FolderReader, FolderReaderOptions, Pattern, Restore, RestoreOptions, Selector,
    Target,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [_, uri, folder, from, to] = <[String; 5]>::try_from(env::args().collect::<Vec<_>>())
        .map_err(
            |_arguments| "usage: restore_renamed URI FOLDER DB.COLLECTION NEW_DB.NEW_COLLECTION",
        )?;

    let mut only = Selector::default();
    only.include.push(Pattern::literal(&from));
    // Of the dump nothing else is read.
    let reading = FolderReaderOptions::default().select(only.clone());
    let options = RestoreOptions::default().select(only).rename(&from, &to);

    let target = Target::connect(&ConnectOptions::default().uri(uri)).await?;
    let reader = FolderReader::open(&folder.parse()?, reading).await?;
    let restore = Restore::new(&target, Arc::new(reader)).options(options);
    let plan = restore.plan().await?;
    println!("{plan}");
    let report = restore.run(plan).await?;
    println!("{} documents of {from} are now in {to}", report.documents);
    Ok(())
}
