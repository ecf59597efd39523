//! Waits for conditions, never for time to pass.

use std::time::{Duration, Instant};

/// How long the kit itself waits for a server to do what it was asked to.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Time between two looks at a condition.
const INTERVAL: Duration = Duration::from_millis(10);

/// Waits until `probe` gives a value; panics, naming `what`, when it has not done so `within` the time given.
pub async fn wait_for<T>(
    what: &str,
    within: Duration,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(
            started.elapsed() < within,
            "waited {within:?} in vain for {what}"
        );
        tokio::time::sleep(INTERVAL).await;
    }
}
