//! Capturing everything that is written to a deployment, all the time, as slices of its oplog in a repository.

mod begin;
mod gathering;
mod oplog;
mod options;
mod reader;
mod session;
mod stream_begin;
mod stream_reader;
mod waiting;
mod writer;

use std::{fmt, sync::Arc, time::Duration};

use futures::FutureExt;
use rdump_format::repository::SpanName;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{
    Counters, Event, Observer, OpTime, Recipients, Repository, Result, Source,
    context::RunContext,
    repository::{LEASE, Outcome},
};
use session::Hold;

pub(crate) use oplog::Oplog;

pub use options::{CaptureOptions, CaptureSource};

/// The longest pause before a capture that was interrupted goes on, and the shortest.
const PAUSES: [Duration; 2] = [Duration::from_secs(30), Duration::from_millis(500)];

/// Captures the oplog of a replica set into slices, until it is stopped.
///
/// It may be killed at any moment: it goes on after the last slice that is stored, if the oplog has its last entry still. What was forgotten
/// or is not true any more becomes a gap that says so. An outage of the deployment or of the store is waited for, while the oplog keeps what is
/// written.
///
/// # Examples
///
/// ```no_run
/// use rdump::{CancellationToken, Capture, CaptureOptions, ConnectOptions, Repository, Source};
///
/// # async fn example(stop: CancellationToken) -> rdump::Result<()> {
/// let source = Source::connect(&ConnectOptions::default().uri("mongodb://localhost:27017")).await?;
/// let repository = Repository::open_or_init(&"backups".parse()?).await?;
/// let capture = Capture::new(&source, &repository).cancel(stop);
/// let report = capture.run().await?; // until `stop` is cancelled
/// println!("{report}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Capture {
    source: Source,
    repository: Repository,
    options: CaptureOptions,
    recipients: Option<Recipients>,
    lease: Option<Duration>,
    cx: RunContext,
}

impl Capture {
    /// A capture of everything, not encrypted, that nobody watches.
    pub fn new(source: &Source, repository: &Repository) -> Self {
        Self {
            source: source.clone(),
            repository: repository.clone(),
            options: CaptureOptions::default(),
            recipients: None,
            lease: Some(LEASE),
            cx: RunContext::default(),
        }
    }

    /// Sets what is captured and how.
    #[must_use]
    pub fn options(mut self, options: CaptureOptions) -> Self {
        self.options = options;
        self
    }

    /// Sets who will be able to read the slices. Default: whoever can read the place.
    #[must_use]
    pub fn recipients(mut self, recipients: Option<Recipients>) -> Self {
        self.recipients = recipients;
        self
    }

    /// Sets how long the lease lasts that keeps others from capturing into the same repository; `None` takes none. Default: five minutes, renewed
    /// each minute.
    #[must_use]
    pub fn lease(mut self, lasts: Option<Duration>) -> Self {
        self.lease = lasts;
        self
    }

    /// Sets who is told of events.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.cx.set_observer(observer);
        self
    }

    /// Sets the token that stops it: what was read until then is stored first.
    #[must_use]
    pub fn cancel(mut self, cancel: CancellationToken) -> Self {
        self.cx.cancel = cancel;
        self
    }

    /// Sets the counters that the run adds to.
    #[must_use]
    pub fn counters(mut self, counters: Arc<Counters>) -> Self {
        self.cx.counters = counters;
        self
    }

    /// Captures until it is stopped, or until it has caught up if that is what the options say. Both are a good end.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if somebody else captures into the repository, or took over; or if what it holds is of another deployment.
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if the deployment has neither an oplog nor change streams, or they are not enabled; [`ErrorKind::Denied`](crate::ErrorKind::Denied) if they may not be
    /// read, [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for options that cannot be, and as the place has them.
    /// What passes by itself is waited for, and is no error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the capture; what was not stored is read again by the next one.
    pub async fn run(&self) -> Result<CaptureReport> {
        self.options.check()?;
        // What outlives an interruption: whoever is interrupted has the lease still, and need not take it.
        let mut hold = Hold::new(self.cx.now().to_string());
        let ended = self.run_on(&mut hold).boxed().await;
        let mut report = hold.release(self, ended).boxed().await?;
        report.open_gaps = begin::open_gaps(&self.repository).await.unwrap_or_default();
        Ok(report)
    }

    async fn run_on(&self, hold: &mut Hold) -> Result<CaptureReport> {
        let mut report = CaptureReport::default();
        let (mut failures, mut run) = (0_u32, None);
        loop {
            let before = report.slices;
            let ended = session::run(self, hold, &mut run, &mut report).await;
            if report.slices > before {
                failures = 0;
            }
            match ended {
                Ok(()) => return Ok(report),
                Err(error) if !error.is_retryable() => return Err(error),
                Err(error) => {
                    failures += 1;
                    report.interruptions += 1;
                    self.cx.counters.retries.add(1);
                    self.cx.emit(Event::Retrying {
                        namespace: None,
                        what: "capturing on after the last slice that is stored".to_owned(),
                        reason: error.to_string(),
                        attempt: failures + 1,
                    });
                    let [longest, shortest] = PAUSES;
                    let pause = shortest.saturating_mul(1 << failures.min(10)).min(longest);
                    let wait = self
                        .cx
                        .cancel
                        .run_until_cancelled(tokio::time::sleep(pause));
                    if wait.await.is_none() {
                        return Ok(report);
                    }
                }
            }
        }
    }
}

/// What a capture did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct CaptureReport {
    /// Slices that were stored.
    pub slices: u64,
    /// Entries in them.
    pub entries: u64,
    /// Their bytes before compression.
    pub uncompressed_bytes: u64,
    /// The bytes of the slices as they are stored.
    pub stored_bytes: u64,
    /// Gaps that were found.
    pub gaps: u64,
    /// Gaps, also those of before, that no snapshot is after yet: what is captured after them leads nowhere. None if that could not be found out.
    pub open_gaps: u64,
    /// What is wrong, though not with what is captured: that it could not be recorded.
    pub problems: Vec<String>,
    /// How often it was interrupted and went on.
    pub interruptions: u64,
    /// The last moment that is stored, also if it was before this run.
    pub captured_until: Option<OpTime>,
    /// How far the last slice was behind when it was stored, in seconds: from its last moment by the clock of the deployment to then by that of this
    /// machine.
    pub lag_seconds: Option<u64>,
}

impl CaptureReport {
    fn outcome(&self) -> Outcome {
        Outcome::new(self.problems.len())
            .figure("slices", self.slices)
            .figure("entries", self.entries)
            .figure("stored-bytes", self.stored_bytes)
            .figure("gaps", self.gaps)
            .figure("interruptions", self.interruptions)
    }

    fn stored(
        &mut self,
        span: &SpanName,
        entries: u64,
        uncompressed_bytes: u64,
        stored_bytes: u64,
    ) {
        self.slices += 1;
        self.entries += entries;
        self.uncompressed_bytes += uncompressed_bytes;
        self.stored_bytes += stored_bytes;
        self.captured_until = Some(span.end);
    }
}

impl fmt::Display for CaptureReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} entries in {} slices, {} bytes in {} stored bytes, {} gaps",
            self.entries, self.slices, self.uncompressed_bytes, self.stored_bytes, self.gaps
        )?;
        match self.captured_until {
            Some(until) => write!(f, ", until {until}"),
            None => Ok(()),
        }
    }
}
