//! How often and how long a failing command is tried again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use rdump_format::Namespace;

use crate::{Error, Event, Result, command, context::RunContext};

/// A budget of retries that progress fills up again.
#[derive(Debug)]
pub(crate) struct Retries {
    max_retries: u32,
    used: u32,
    pauses: ExponentialBackoff,
}

impl Retries {
    /// A budget of `max_retries`, with pauses from 0.2 to 5 seconds between them.
    pub(crate) fn new(max_retries: u32) -> Self {
        Self {
            max_retries,
            used: 0,
            pauses: pauses(),
        }
    }

    /// Whether something was tried again.
    pub(crate) fn is_used(&self) -> bool {
        self.used > 0
    }

    /// Says that something worked, so that the next failure is a first one.
    pub(crate) fn progressed(&mut self) {
        if self.used > 0 {
            *self = Self::new(self.max_retries);
        }
    }

    /// Waits for the next attempt, or gives the error back, with what was tried, if there is none.
    pub(crate) async fn again(
        &mut self,
        cx: &RunContext,
        namespace: Option<&Namespace>,
        what: &str,
        error: mongodb::error::Error,
    ) -> Result<()> {
        if !command::is_transient(&error) {
            return Err(command::error(error));
        }
        self.again_after(cx, namespace, what, command::error(error))
            .await
    }

    /// As [`again`](Self::again), for an error that is known to be worth another attempt.
    pub(crate) async fn again_after(
        &mut self,
        cx: &RunContext,
        namespace: Option<&Namespace>,
        what: &str,
        error: Error,
    ) -> Result<()> {
        if self.used >= self.max_retries {
            return Err(match self.used {
                0 => error,
                used => error.with_hint(format!("gave up after {used} retries without progress")),
            });
        }
        self.used += 1;
        cx.counters.retries.add(1);
        let source = std::error::Error::source(&error)
            .map(|cause| format!(": {cause}"))
            .unwrap_or_default();
        cx.emit(Event::Retrying {
            namespace: namespace.cloned(),
            what: what.to_owned(),
            reason: format!("{error}{source}"),
            attempt: self.used + 1,
        });
        let pause = self.pauses.next().unwrap_or(LONGEST_PAUSE);
        cx.unless_cancelled(async {
            tokio::time::sleep(pause).await;
            Ok(())
        })
        .await
    }
}

/// Tries a read again while it fails for reasons that pass.
pub(crate) async fn patiently<T, F: Future<Output = Result<T>>>(
    cx: &RunContext,
    max_retries: u32,
    namespace: Option<&Namespace>,
    what: &str,
    work: impl Fn() -> F,
) -> Result<T> {
    let mut retries = Retries::new(max_retries);
    loop {
        match work().await {
            Err(error) if error.is_retryable() => {
                retries.again_after(cx, namespace, what, error).await?;
            }
            done => return done,
        }
    }
}

const LONGEST_PAUSE: Duration = Duration::from_secs(5);

fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(LONGEST_PAUSE)
        .with_jitter()
        .without_max_times()
        .build()
}
