//! What is in a place.

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use rdump_format::repository::{SliceFooter, SliceHeader, SpanName};
use rdump_storage::Store;

use super::{finding::is_about_data, words::length};
use crate::{
    Error, ErrorKind, Location, OpTime, Repository, RepositoryStatus, Result, Snapshot, Snapshots,
    SourceRecord, repository::parse_slice,
};

/// How many histories are looked at: those that reach farthest.
const MOST_HISTORIES: usize = 8;
/// How many of the newest snapshots tell how long they take.
const NEWEST: usize = 10;

/// A store that can be reached.
pub(super) struct Place {
    pub(super) store: Arc<dyn Store>,
    /// The repository there, or what is wrong with it.
    pub(super) repository: Result<Option<Repository>>,
}

impl Place {
    pub(super) async fn open(location: &Location) -> Result<Self> {
        let store = location.create()?;
        let repository = match Repository::open_if_there(Arc::clone(&store)).await {
            Err(error) if !is_about_data(&error) => return Err(error),
            found => found,
        };
        Ok(Self { store, repository })
    }
}

/// A repository, and what is in it.
pub(super) struct Held {
    pub(super) repository: Repository,
    pub(super) snapshots: Snapshots,
    pub(super) status: RepositoryStatus,
    /// The last slice of each history, the one that reaches farthest first.
    pub(super) ends: Vec<End>,
    /// What is wrong with those that cannot be read.
    pub(super) unreadable: Vec<Error>,
}

/// The last slice of a history.
pub(super) struct End {
    pub(super) span: SpanName,
    /// Where a gap ends that was stored after it: a capture goes on from there.
    pub(super) gap_until: Option<OpTime>,
    pub(super) header: SliceHeader,
    pub(super) footer: SliceFooter,
}

impl Held {
    /// `None` where there is no repository.
    pub(super) async fn of(place: &Place) -> Result<Option<Self>> {
        let Some(repository) = place.repository.clone()? else {
            return Ok(None);
        };
        let snapshots = repository.snapshots().await?;
        let status = repository.status_of(&snapshots).await?;
        let (mut ends, mut unreadable) = (Vec::new(), Vec::new());
        for span in status.timeline.ends().into_iter().take(MOST_HISTORIES) {
            let is_next = |gap: &&SpanName| (gap.start, gap.timeline) == (span.end, span.timeline);
            let gap = status.timeline.gaps().filter(is_next).last();
            let gap_until = gap.map(|gap| gap.end);
            match end(&repository, span, gap_until).await {
                Ok(end) => ends.push(end),
                Err(error) if error.kind() == ErrorKind::Data => unreadable.push(error),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(Self {
            repository,
            snapshots,
            status,
            ends,
            unreadable,
        }))
    }

    /// What was captured last of a deployment.
    pub(super) fn end_of(&self, source: &SourceRecord) -> Option<&End> {
        let is_of = |end: &&End| end.header.source.is_of_same_deployment(source);
        self.ends.iter().find(is_of)
    }

    /// How long the longest of the last snapshots of a deployment took.
    pub(super) fn longest_run(&self, source: &SourceRecord) -> Option<LongestRun> {
        let is_of = |snapshot: &&Snapshot| {
            let of = &snapshot.manifest().run.source;
            of.is_of_same_deployment(source)
        };
        let newest = self.snapshots.whole.iter().rev().filter(is_of).take(NEWEST);
        let runs: Vec<i64> = newest.filter_map(run_seconds).collect();
        let seconds = *runs.iter().max()?;
        let of = runs.len();
        Some(LongestRun { seconds, of })
    }
}

/// How long the longest of some snapshots took.
#[derive(Clone, Copy, Debug)]
pub(super) struct LongestRun {
    pub(super) seconds: i64,
    /// How many they are.
    pub(super) of: usize,
}

impl fmt::Display for LongestRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took = length(self.seconds);
        match self.of {
            1 => write!(f, "the last snapshot took {took}"),
            of => write!(f, "the longest of the last {of} snapshots took {took}"),
        }
    }
}

async fn end(repository: &Repository, span: SpanName, gap_until: Option<OpTime>) -> Result<End> {
    let bytes = repository.read_span(&span).await?;
    let slice = parse_slice(&span, &bytes)?;
    Ok(End {
        header: slice.header,
        footer: slice.footer,
        gap_until,
        span,
    })
}

/// How long it took to make a snapshot, in seconds.
fn run_seconds(snapshot: &Snapshot) -> Option<i64> {
    let run = &snapshot.manifest().run;
    let [began, ended] = [&run.started_at, &run.finished_at].map(|at| at.parse::<Timestamp>().ok());
    Some(ended?.as_second().saturating_sub(began?.as_second()).max(0))
}
