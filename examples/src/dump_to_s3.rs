//! Dumps a deployment straight to an object store, and verifies what is there: `dump_to_s3 URI s3://bucket/prefix`.
//!
//! Credentials are looked for as the AWS tools do; those that a service has go to `location.options.credentials`.
#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use std::{env, error::Error, sync::Arc};

use rdump::{
    CancellationToken, Compression, ConnectOptions, Dump, DumpOptions, FolderWriter, Location,
    Source, storage::S3Location, verify_folder,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [_, uri, place] = <[String; 3]>::try_from(env::args().collect::<Vec<_>>())
        .map_err(|_arguments| "usage: dump_to_s3 URI s3://bucket/prefix")?;

    let mut location: S3Location = place.parse()?;
    let tag = ("made-by".to_owned(), "dump_to_s3".to_owned());
    location.options.tags.push(tag);
    let location = Location::from(location);
    let source = Source::connect(&ConnectOptions::default().uri(uri)).await?;
    let writer = FolderWriter::create(&location)?.overwrite(false);
    let options = DumpOptions::default().compression(Compression::Zstd { level: 1 });
    let dump = Dump::new(&source, Arc::new(writer)).options(options);
    let report = dump.run(dump.plan().await?).await?;
    let (documents, stored_bytes) = (report.documents, report.stored_bytes);
    println!("{documents} documents are {stored_bytes} bytes in {location}");

    let verified = verify_folder(&location, Arc::new(()), CancellationToken::new()).await?;
    match verified.damage.as_slice() {
        [] => println!("{location} is whole"),
        damage => return Err(format!("{location} is damaged: {damage:?}").into()),
    }
    Ok(())
}
