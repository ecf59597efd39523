//! What a drill found.

use std::{collections::BTreeSet, fmt};

use jiff::Timestamp;
use rdump_format::{OpTime, repository::RepositoryId};
use serde::Serialize;

use crate::{ComparisonReport, Problem, Repository, Snapshots, Target};

/// What a [`Drill`](crate::Drill) found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct DrillReport {
    /// The repository.
    pub repository: RepositoryId,
    /// The snapshot that was restored, or that the moment was restored from.
    pub snapshot: String,
    /// The moment that the snapshot is of, `seconds:ordinal`, if it is of one.
    pub snapshot_at: Option<String>,
    /// The moment that was restored, if it was one of after the snapshot.
    pub moment: Option<String>,
    /// The version of the server that it was restored to.
    pub server_version: String,
    /// When it was begun: RFC 3339, UTC.
    pub started_at: String,
    /// When it was over: RFC 3339, UTC.
    pub finished_at: String,
    /// How long it took until everything was restored, its indexes too, in seconds: the recovery time (RTO).
    pub restore_seconds: f64,
    /// How long everything took, in seconds.
    pub duration_seconds: f64,
    /// The last moment that could be restored when it was begun, in seconds since 1970; `None` if there was none.
    pub restorable_until_seconds: Option<i64>,
    /// How long before its beginning that was, in seconds: what would have been lost (RPO).
    pub lost_seconds: Option<i64>,
    /// Documents that were restored.
    pub documents: u64,
    /// How what was restored compares with the backup; `None` if it did not come to that.
    pub comparison: Option<ComparisonReport>,
    /// What went wrong without ending the restore.
    pub problems: Vec<Problem>,
    /// Why it could not be restored or compared: what is wrong with the backup.
    pub failure: Option<String>,
    /// The databases of the drill that are still there.
    pub kept_databases: Vec<String>,
    /// Those that it may have made.
    #[serde(skip)]
    pub(super) made: BTreeSet<String>,
}

impl DrillReport {
    pub(super) fn new(repository: &Repository, target: &Target, started_at: Timestamp) -> Self {
        Self {
            repository: repository.record().id,
            snapshot: String::new(),
            snapshot_at: None,
            moment: None,
            server_version: target.0.server.version.clone(),
            started_at: started_at.to_string(),
            finished_at: String::new(),
            restore_seconds: 0.0,
            duration_seconds: 0.0,
            restorable_until_seconds: None,
            lost_seconds: None,
            documents: 0,
            comparison: None,
            problems: Vec::new(),
            failure: None,
            kept_databases: Vec::new(),
            made: BTreeSet::new(),
        }
    }

    /// Takes note of the last moment that can be restored; of that of the newest snapshot, where all are of no single moment.
    pub(super) fn restorable_until(&mut self, until: Option<OpTime>, snapshots: &Snapshots) {
        let started = |at: &String| at.parse::<Timestamp>().ok().map(Timestamp::as_second);
        let newest = snapshots.whole.last();
        let newest = newest.and_then(|it| started(&it.manifest().run.started_at));
        let until = until.map(|until| i64::from(until.seconds)).or(newest);
        self.restorable_until_seconds = until;
        self.lost_seconds = until
            .zip(started(&self.started_at))
            .map(|(until, started)| started.saturating_sub(until).max(0));
    }

    /// Whether the backup was restored, and nothing differs.
    pub fn is_good(&self) -> bool {
        self.failure.is_none()
            && self.problems.is_empty()
            && self
                .comparison
                .as_ref()
                .is_some_and(ComparisonReport::is_same)
    }
}

impl fmt::Display for DrillReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let good = if self.is_good() { "good" } else { "not good" };
        write!(
            f,
            "{good}: {} documents restored in {:.1} seconds",
            self.documents, self.restore_seconds
        )?;
        if let Some(comparison) = &self.comparison {
            write!(f, "; {comparison}")?;
        }
        if let Some(failure) = &self.failure {
            write!(f, "; {failure}")?;
        }
        Ok(())
    }
}
