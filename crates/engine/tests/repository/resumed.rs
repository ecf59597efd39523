//! Restores that did not finish, and are gone on with.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bson::{Document, doc};
use rdump::{
    CancellationToken, ConnectOptions, Error, ErrorKind, Event, Observer, RecordingObserver,
    Restore, RestoreOptions, RestoreReport, Snapshot, SnapshotReader, Target,
};
use rdump_testkit::{
    Deployment,
    wait::{PATIENCE, wait_for},
};

use super::in_memory;

mod chains;
mod changed;
mod exact;
mod refused;

/// The database of all ledgers.
const LEDGERS: &str = "__rdump_restores";

/// A restore of a snapshot that is watched.
struct Watching {
    restore: Restore,
    observer: Arc<RecordingObserver>,
    cancel: CancellationToken,
}

impl Watching {
    /// With options that leave nothing to chance; `stop` is asked of each event whether the run ends there.
    async fn start(
        snapshot: &Snapshot,
        uri: String,
        options: RestoreOptions,
        stop: impl Fn(&Event) -> bool + Send + Sync + 'static,
    ) -> Self {
        let observer = Arc::new(RecordingObserver::default());
        let cancel = CancellationToken::new();
        let (recorded, token) = (Arc::clone(&observer), cancel.clone());
        let watch = move |event: &Event| {
            recorded.on_event(event);
            if stop(event) {
                token.cancel();
            }
        };
        let target = Target::connect(&ConnectOptions::default().uri(uri)).await;
        let reader = SnapshotReader::open(snapshot, &options.select).await;
        let restore = Restore::new(&target.unwrap(), Arc::new(reader.unwrap()))
            .options(options)
            .observer(Arc::new(watch))
            .cancel(cancel.clone());
        Self {
            restore,
            observer,
            cancel,
        }
    }

    async fn run(&self) -> Result<RestoreReport, Error> {
        let plan = self.restore.plan().await?;
        self.restore.run(plan).await
    }

    fn notices(&self) -> String {
        let notices = self.observer.events().into_iter();
        let notices: Vec<_> = notices
            .filter_map(|event| match event {
                Event::Notice { message, .. } => Some(message),
                _ => None,
            })
            .collect();
        notices.join("\n")
    }
}

pub(super) async fn try_restore(
    snapshot: &Snapshot,
    to: &Deployment,
    options: RestoreOptions,
) -> (Result<RestoreReport, Error>, String) {
    let watching = Watching::start(snapshot, to.root_uri(), options, |_| false).await;
    let report = watching.run().await;
    (report, watching.notices())
}

/// Restores until the event of this number, and goes no further.
async fn interrupted(
    snapshot: &Snapshot,
    to: &Deployment,
    options: RestoreOptions,
    events: usize,
) -> Result<RestoreReport, Error> {
    let seen = AtomicUsize::new(0);
    let stop = move |_: &Event| seen.fetch_add(1, Ordering::Relaxed) + 1 >= events;
    let watching = Watching::start(snapshot, to.root_uri(), options, stop).await;
    watching.run().await
}

/// Restores until a collection is filled, and goes no further.
pub(super) async fn begun(snapshot: &Snapshot, to: &Deployment, options: RestoreOptions) {
    // Functions are restored whole, whatever is there.
    let stop = |event: &Event| match event {
        Event::NamespaceFinished {
            namespace,
            documents,
            ..
        } => namespace.collection != "system.js" && *documents > 0,
        _ => false,
    };
    let watching = Watching::start(snapshot, to.root_uri(), options, stop).await;
    let report = watching.run().await;
    assert_eq!(report.unwrap_err().kind(), ErrorKind::Cancelled);
}

/// Restores until the target is like this, and goes no further.
async fn until(
    snapshot: &Snapshot,
    to: &Deployment,
    options: RestoreOptions,
    is_reached: impl AsyncFn() -> bool,
) {
    let watching = Watching::start(snapshot, to.root_uri(), options, |_| false).await;
    let stop = async {
        let reached = async || is_reached().await.then_some(());
        wait_for("something to be restored", PATIENCE, reached).await;
        watching.cancel.cancel();
    };
    let (report, ()) = futures::join!(watching.run(), stop);
    assert_eq!(report.unwrap_err().kind(), ErrorKind::Cancelled);
}

/// How many documents a restore of all of a snapshot counts: not the one in `admin.system.version`.
fn documents(snapshot: &Snapshot) -> u64 {
    snapshot.manifest().run.documents - 1
}

/// What all ledgers in a deployment hold.
async fn ledgers(of: &Deployment) -> Vec<Vec<Document>> {
    let database = of.client().database(LEDGERS);
    let mut ledgers = Vec::new();
    for name in database.list_collection_names().await.unwrap() {
        let cursor = database.collection(&name).find(doc! {}).await.unwrap();
        ledgers.push(futures::TryStreamExt::try_collect(cursor).await.unwrap());
    }
    ledgers
}

/// How many segments are noted as done.
async fn noted_segments(of: &Deployment) -> i64 {
    let documents = ledgers(of).await.concat();
    let done = documents.iter().filter_map(|it| it.get_array("done").ok());
    let segments = done.flatten().map(|it| {
        let done = it.as_document().unwrap();
        done.get_i64("segments").unwrap()
    });
    segments.sum()
}
