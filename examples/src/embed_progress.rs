//! Watches a dump as a service would, and stops it on request: `embed_progress URI FOLDER`.
#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use std::{env, error::Error, sync::Arc};

use rdump::{CancellationToken, ConnectOptions, Counters, Dump, Event, FolderWriter, Source};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [_, uri, folder] = <[String; 3]>::try_from(env::args().collect::<Vec<_>>())
        .map_err(|_arguments| "usage: embed_progress URI FOLDER")?;

    // Give this to whatever may want to stop the run.
    let cancel = CancellationToken::new();
    // Read these as often as you like, from any thread.
    let counters = Arc::new(Counters::default());
    // Called in order, on the run's own tasks: return at once.
    let observer = |event: &Event| match event {
        Event::NamespaceFinished {
            namespace,
            documents,
            ..
        } => println!("{namespace}: {documents} documents"),
        Event::Retrying { what, reason, .. } => println!("{what}: {reason}"),
        _ => {}
    };

    let source = Source::connect(&ConnectOptions::default().uri(uri)).await?;
    let dump = Dump::new(&source, Arc::new(FolderWriter::create(&folder.parse()?)?))
        .observer(Arc::new(observer))
        .counters(Arc::clone(&counters))
        .cancel(cancel);
    let plan = dump.plan().await?;
    let report = dump.run(plan).await?;
    println!("{report}; {} bytes were read", counters.bytes_read.value());
    Ok(())
}
