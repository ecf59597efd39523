//! Bounds how many tests have deployments at once.

use std::{
    cell::RefCell,
    sync::{Arc, Weak},
};

use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

/// Tests that may have deployments at the same time, in one process.
const MAX_TESTS: usize = 3;

static SLOTS: Semaphore = Semaphore::const_new(MAX_TESTS);

type Shared = OnceCell<SemaphorePermit<'static>>;

thread_local! {
    static OF_THREAD: RefCell<Weak<Shared>> = const { RefCell::new(Weak::new()) };
}

/// The right to have deployments; all those started on one thread, which is one test, share it.
///
/// If each deployment had its own, tests with two could wait for each other for ever.
#[derive(Debug)]
pub(super) struct Slot {
    _shared: Arc<Shared>,
}

impl Slot {
    /// Waits until one of the tests that have deployments has none any more, if there are too many.
    pub(super) async fn acquire() -> Self {
        let shared = OF_THREAD.with_borrow_mut(|of_thread| {
            of_thread.upgrade().unwrap_or_else(|| {
                let shared = Arc::new(Shared::new());
                *of_thread = Arc::downgrade(&shared);
                shared
            })
        });
        let permit = async {
            SLOTS
                .acquire()
                .await
                .expect("the semaphore is never closed")
        };
        shared.get_or_init(|| permit).await;
        Self { _shared: shared }
    }
}
