//! How far a capture is behind, as it says itself.

use std::{sync::Arc, time::Duration};

use bson::{Document, doc};
use rdump::{
    CancellationToken, Capture, CaptureOptions, CaptureSource, Counters, Repository, Store,
    storage::MemoryStore,
};
use rdump_testkit::{
    ReplicaSet,
    wait::{PATIENCE, wait_for},
};
use tokio::task::JoinSet;

use super::{capture::source, watched::Watched};

const SOURCES: [CaptureSource; 2] = [CaptureSource::Oplog, CaptureSource::ChangeStream];
/// How long the text of a document is.
const TEXT_BYTES: u64 = 10_000;

/// A capture into a store that may be slow, and what it counts.
struct Counted {
    store: Arc<Watched>,
    repository: Repository,
    counters: Arc<Counters>,
    cancel: CancellationToken,
    task: JoinSet<rdump::Result<rdump::CaptureReport>>,
}

impl Counted {
    async fn start(from: &ReplicaSet, options: CaptureOptions) -> Self {
        let store = Watched::new(Arc::new(MemoryStore::new("backups")));
        let repository = Repository::init_in(Arc::clone(&store) as Arc<dyn Store>).await;
        let repository = repository.unwrap();
        let (counters, cancel) = (Arc::new(Counters::default()), CancellationToken::new());
        let capture = Capture::new(&source(from).await, &repository)
            .options(options)
            .lease(Some(Duration::from_secs(1)))
            .counters(Arc::clone(&counters))
            .cancel(cancel.clone());
        let mut task = JoinSet::new();
        task.spawn(async move { capture.run().await });
        Self {
            store,
            repository,
            counters,
            cancel,
            task,
        }
    }

    fn waiting_bytes(&self) -> u64 {
        self.counters.waiting_bytes.value()
    }

    /// Writes until so much waits; what was written before it began is not captured.
    async fn await_waiting(&self, from: &ReplicaSet, bytes: u64) {
        wait_for("entries to wait", PATIENCE, async || {
            write(from).await;
            (self.waiting_bytes() >= bytes).then_some(())
        })
        .await;
    }

    /// How much it has noted.
    async fn noted(&self) -> Option<u64> {
        let capturing = self.repository.capturing().await.unwrap()?;
        capturing.waiting.map(|waiting| waiting.bytes)
    }

    async fn await_noted(&self, is_it: impl Fn(u64) -> bool) {
        wait_for("a note", PATIENCE, async || {
            self.noted().await.filter(|bytes| is_it(*bytes))
        })
        .await;
    }
}

async fn write(from: &ReplicaSet) {
    let log = from.client().database("shop").collection::<Document>("log");
    let text = "x".repeat(usize::try_from(TEXT_BYTES).unwrap());
    log.insert_one(doc! { "text": text }).await.unwrap();
}

fn options(source: CaptureSource, age: Duration) -> CaptureOptions {
    CaptureOptions::default().source(source).slice_age(age)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_waits_until_its_slice_is_stored() {
    for learned in SOURCES {
        let from = ReplicaSet::start().await;
        let age = Duration::from_millis(200);
        let mut running = Counted::start(&from, options(learned, age)).await;
        running.store.hold("timeline/");
        running.await_waiting(&from, 5 * TEXT_BYTES).await;
        running.await_noted(|bytes| bytes >= 5 * TEXT_BYTES).await;
        assert_eq!(running.counters.slices_written.value(), 0);
        running.store.let_go();
        wait_for("all to be stored", PATIENCE, async || {
            (running.waiting_bytes() == 0).then_some(())
        })
        .await;
        running.await_noted(|bytes| bytes < TEXT_BYTES).await;
        assert!(running.counters.slices_written.value() > 0);
        running.cancel.cancel();
        let report = running.task.join_next().await.unwrap().unwrap().unwrap();
        assert_eq!(running.waiting_bytes(), 0, "{learned}");
        assert_eq!(
            Some(running.counters.lag_seconds.value()),
            report.lag_seconds
        );
        assert_eq!(running.noted().await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_old_enough_for_a_slice_waits_until_the_end() {
    for learned in SOURCES {
        let from = ReplicaSet::start().await;
        let an_hour = Duration::from_secs(3600);
        let mut running = Counted::start(&from, options(learned, an_hour)).await;
        running.await_waiting(&from, 5 * TEXT_BYTES).await;
        running.cancel.cancel();
        let report = running.task.join_next().await.unwrap().unwrap().unwrap();
        assert!(report.uncompressed_bytes >= 5 * TEXT_BYTES, "{report}");
        assert_eq!(running.waiting_bytes(), 0, "{learned}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dropped_does_not_wait_any_more() {
    for learned in SOURCES {
        let from = ReplicaSet::start().await;
        let age = Duration::from_millis(200);
        let mut running = Counted::start(&from, options(learned, age)).await;
        running.store.hold("timeline/");
        running.await_waiting(&from, 5 * TEXT_BYTES).await;
        running.task.shutdown().await;
        assert_eq!(running.waiting_bytes(), 0, "{learned}");

        let mut running = Counted::start(&from, options(learned, age)).await;
        running.store.refuse("timeline/");
        let ended = async {
            loop {
                write(&from).await;
            }
        };
        tokio::select! {
            () = ended => {}
            ended = running.task.join_next() => {
                ended.unwrap().unwrap().unwrap_err();
            }
        }
        assert_eq!(running.waiting_bytes(), 0, "{learned}");
    }
}
