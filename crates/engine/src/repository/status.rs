//! What a repository holds, as whoever watches it has to know.

use futures::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use rdump_format::repository::{AuditResult, AuditVerb, SnapshotId, SpanName, Timeline};
use rdump_storage::Listed;
use serde::Serialize;

use super::{
    Capturing, Repository, RestorableSpan, Snapshot, Snapshots, looks::Looked,
    point_in_time::moment,
};
use crate::{Result, retention::Look};

/// The time that [`RepositoryStatus::added_bytes`] is of.
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The state of a repository.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RepositoryStatus {
    /// The newest snapshot that can be read.
    pub newest: Option<SnapshotStatus>,
    /// The newest that was verified, wholly or a sample of it, and found whole: one that was not is not counted as good.
    pub last_good: Option<SnapshotStatus>,
    /// When a snapshot was verified last: RFC 3339, UTC.
    pub last_verified_at: Option<String>,
    /// The last drill among the last five hundred entries of the record of what was done.
    pub last_drill: Option<DrillStatus>,
    /// How many snapshots can be read.
    pub snapshots: u64,
    /// Those that were found damaged when they were verified, or whose manifest is lost or damaged.
    pub damaged: Vec<SnapshotId>,
    /// How many were begun and are not finished.
    pub unfinished: u64,
    /// How many of them somebody may be writing now.
    pub running: u64,
    /// How many objects there are.
    pub objects: u64,
    /// Their size, in bytes.
    pub stored_bytes: u64,
    /// How many of these bytes are of snapshots that were begun in the last seven days, and of slices that ended then.
    pub added_bytes: u64,
    /// Who captures now.
    pub capturing: Option<Capturing>,
    /// What can be restored, the oldest first.
    pub restorable: Vec<RestorableSpan>,
    /// How many gaps no snapshot is after yet: what is captured after them leads nowhere.
    pub open_gaps: u64,
    /// What is captured.
    pub timeline: Timeline,
}

/// What there is to know of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct SnapshotStatus {
    /// The snapshot.
    pub id: SnapshotId,
    /// When it was begun: RFC 3339, UTC.
    pub started_at: String,
    /// The moment that it is of, `seconds:ordinal`, if it is of one.
    pub consistent_at: Option<String>,
    /// When it was verified last, if it was: RFC 3339, UTC.
    pub verified_at: Option<String>,
    /// The size of its data objects, in bytes.
    pub stored_bytes: u64,
    /// The second since 1970 that it is of, or was begun at if it is of none.
    pub at_seconds: i64,
}

/// How a drill ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct DrillStatus {
    /// When it was over: RFC 3339, UTC.
    pub at: String,
    /// Whether everything was restored, and nothing differed.
    pub is_good: bool,
    /// The snapshot that was restored, if it came to that.
    pub snapshot: Option<SnapshotId>,
}

impl SnapshotStatus {
    fn of(snapshot: &Snapshot, looked: Option<&Looked>) -> Self {
        let run = &snapshot.manifest().run;
        let started = run.started_at.parse::<Timestamp>().ok();
        let at = moment(snapshot).map(|at| i64::from(at.seconds));
        Self {
            id: snapshot.id().clone(),
            started_at: run.started_at.clone(),
            consistent_at: run.consistent_at.clone(),
            verified_at: looked.and_then(|it| it.at).map(|at| at.to_string()),
            stored_bytes: run.stored_bytes,
            at_seconds: at.or(started.map(Timestamp::as_second)).unwrap_or_default(),
        }
    }
}

impl Repository {
    /// Tells what there is, and what can be restored. Lists everything, and reads manifests and records, no data.
    ///
    /// # Errors
    ///
    /// As the place has them. What is damaged is told, and no error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn status(&self) -> Result<RepositoryStatus> {
        let snapshots = self.snapshots().await?;
        self.status_of(&snapshots).await
    }

    /// As [`status`](Self::status), by the snapshots that there are.
    pub(crate) async fn status_of(&self, snapshots: &Snapshots) -> Result<RepositoryStatus> {
        let timeline = self.timeline().await?;
        let restorable = self.restorable(snapshots, &timeline).await?;
        let looks = self.looks(&snapshots.whole).await?;
        let status = |snapshot: &Snapshot| SnapshotStatus::of(snapshot, looks.get(snapshot.id()));
        let is = |snapshot: &&Snapshot, wanted: Look| {
            let looked = looks.get(snapshot.id());
            looked.is_some_and(|looked| looked.look == wanted)
        };
        let good = snapshots.whole.iter().filter(|it| is(it, Look::Whole));
        let found = snapshots.whole.iter().filter(|it| is(it, Look::Damaged));
        let damaged = found.map(|it| it.id().clone());
        let lost = snapshots.damaged.iter().map(|(id, _)| id.clone());
        let last_verified = looks.values().filter_map(|looked| looked.at).max();
        let mut told = RepositoryStatus {
            newest: snapshots.whole.last().map(status),
            last_good: good.map(status).max_by_key(|it| it.at_seconds),
            last_verified_at: last_verified.map(|at| at.to_string()),
            last_drill: self
                .last_of(AuditVerb::Drill)
                .await?
                .map(|entry| DrillStatus {
                    at: entry.at,
                    is_good: entry.result == AuditResult::Done,
                    snapshot: entry.subject.snapshot,
                }),
            snapshots: snapshots.whole.len() as u64,
            damaged: damaged.chain(lost).collect(),
            unfinished: snapshots.unfinished.len() as u64,
            running: snapshots.running.len() as u64,
            objects: 0,
            stored_bytes: 0,
            added_bytes: 0,
            capturing: self.capturing().await?,
            open_gaps: open_gaps(&timeline, &restorable),
            restorable,
            timeline,
        };
        told.damaged.sort_unstable();
        self.measure(&mut told).await?;
        Ok(told)
    }

    async fn measure(&self, told: &mut RepositoryStatus) -> Result<()> {
        let since = Timestamp::now().saturating_sub(WEEK);
        let since = since.map_or(i64::MIN, Timestamp::as_second);
        let mut listed = self.store().list("");
        while let Some(listed) = listed.try_next().await? {
            let Listed::Object(object) = listed else {
                continue;
            };
            told.objects += 1;
            told.stored_bytes += object.stored_bytes;
            let begun = SnapshotId::of_object(&object.path)
                .and_then(|id| id.begun_at().parse::<Timestamp>().ok())
                .map(Timestamp::as_second);
            let ended = SpanName::parse_path(&object.path).map(|it| i64::from(it.end.seconds));
            if begun.or(ended).is_some_and(|at| at >= since) {
                told.added_bytes += object.stored_bytes;
            }
        }
        Ok(())
    }
}

/// How many gaps end after all that can be restored.
pub(crate) fn open_gaps(timeline: &Timeline, restorable: &[RestorableSpan]) -> u64 {
    let until = restorable.last().map(|span| span.until).unwrap_or_default();
    timeline.gaps().filter(|gap| gap.end > until).count() as u64
}
