//! Captures what is written beside a service's own work, and takes a snapshot: `embed_capture URI REPOSITORY SECONDS`.
#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use std::{env, error::Error, sync::Arc, time::Duration};

use rdump::{
    Backup, CancellationToken, Capture, CaptureOptions, ConnectOptions, Consistency, DumpOptions,
    Event, Repository, Source,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [_, uri, repository, seconds] = <[String; 4]>::try_from(env::args().collect::<Vec<_>>())
        .map_err(|_arguments| "usage: embed_capture URI REPOSITORY SECONDS")?;

    let source = Source::connect(&ConnectOptions::default().uri(uri)).await?;
    let repository = Repository::open_or_init(&repository.parse()?).await?;
    let stop = CancellationToken::new();
    let observer = |event: &Event| match event {
        Event::SliceStored {
            end, lag_seconds, ..
        } => println!("stored until {end}, {lag_seconds} s behind"),
        Event::Gap { message, .. } => println!("{message}"),
        _ => {}
    };
    let capture = Capture::new(&source, &repository)
        .options(CaptureOptions::default().slice_age(Duration::from_secs(1)))
        .observer(Arc::new(observer))
        .cancel(stop.clone());

    let service = async {
        // A snapshot is what a restore starts from.
        let options = DumpOptions::default().consistency(Consistency::Auto);
        let backup = Backup::new(&source, &repository).options(options);
        let plan = backup.plan().await?;
        let report = backup.run(plan).await?;
        println!("snapshot {}", report.snapshot);
        tokio::time::sleep(Duration::from_secs(seconds.parse()?)).await;
        // What was read until now is stored before the capture ends.
        stop.cancel();
        Ok::<_, Box<dyn Error>>(())
    };
    let (captured, served) = tokio::join!(capture.run(), service);
    served?;
    let report = captured?;
    let until = report.captured_until.ok_or("nothing was written")?;
    println!("captured until {until}: {report}");
    Ok(())
}
