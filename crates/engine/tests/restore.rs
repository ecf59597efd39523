//! What a restore does to a target.

use std::sync::Arc;

use rdump::{
    ConnectOptions, Error, FolderReader, FolderReaderOptions, Location, RecordingObserver, Restore,
    RestoreOptions, RestoreReport, Target,
};
use rdump_testkit::Deployment;

mod chosen;
mod definitions;
pub(crate) mod documents;
mod faults;
mod indexes;
mod round_trip;

pub(crate) async fn reader(location: &Location) -> Arc<FolderReader> {
    let reader = FolderReader::open(location, FolderReaderOptions::default()).await;
    Arc::new(reader.unwrap_or_else(|error| panic!("{error:?}")))
}

pub(crate) async fn target(deployment: &Deployment) -> Target {
    let options = ConnectOptions::default().uri(deployment.root_uri());
    Target::connect(&options)
        .await
        .unwrap_or_else(|error| panic!("{error:?}"))
}

/// Restores a folder, and tells what happened.
pub(crate) async fn try_restore(
    location: &Location,
    to: &Deployment,
    options: RestoreOptions,
) -> (Result<RestoreReport, Error>, Arc<RecordingObserver>) {
    let observer = Arc::new(RecordingObserver::default());
    let target = target(to).await;
    let mut from = FolderReaderOptions::default();
    from.db = options.db.clone();
    from.collection = options.collection.clone();
    let report = async {
        let reader = FolderReader::open(location, from).await?;
        let restore = Restore::new(&target, Arc::new(reader))
            .options(options)
            .observer(Arc::<RecordingObserver>::clone(&observer));
        let plan = restore.plan().await?;
        restore.run(plan).await
    };
    (report.await, observer)
}

/// Restores a folder without any failure or problem.
pub(crate) async fn restore(
    location: &Location,
    to: &Deployment,
    options: RestoreOptions,
) -> RestoreReport {
    let (report, observer) = try_restore(location, to, options).await;
    let report = report.unwrap_or_else(|error| panic!("{error:?}\n{:#?}", observer.events()));
    assert_eq!(report.problems, []);
    report
}
