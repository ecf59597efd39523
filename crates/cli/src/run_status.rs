//! `rdump status`: what is there, what can be restored now, and how far the capture is.

use jiff::Timestamp;
use rdump::{DrillStatus, OpTime, Prune, PrunePlan, Repository, RepositoryStatus, SnapshotStatus};
use serde_json::{Value, json};

use crate::{
    convert::StatusRequest,
    exit::Exit,
    metrics::{self, Metric},
    run_repository::span,
    session::Session,
    time::text,
    units::{bytes, counted},
};

/// What is told, and when.
struct Told {
    status: RepositoryStatus,
    /// What would be deleted, where rules are given.
    prune: Option<PrunePlan>,
    now: i64,
}

/// Tells the state of a repository.
pub(crate) async fn run(
    session: &Session,
    request: StatusRequest,
    json: bool,
) -> anyhow::Result<Exit> {
    let console = &session.console;
    session.outcome.about(&request.repository);
    let read = async {
        let repository = Repository::open(&request.repository).await?;
        let status = repository.status().await?;
        let prune = match request.policy.is_empty() {
            true => None,
            false => Some(Prune::new(&repository, request.policy).plan().await?),
        };
        let now = Timestamp::now().as_second();
        Ok::<_, rdump::Error>(Told { status, prune, now })
    };
    let told = session
        .unless_cancelled("looking at the repository", read)
        .await?;
    match json {
        true => console.document(told.document()),
        false => console.stdout(&told.page()),
    }
    let is_old = |most: Option<i64>, age: Option<i64>| {
        most.is_some_and(|most| age.is_none_or(|age| age > most))
    };
    let good = told.status.last_good.as_ref().map(|it| told.age(it));
    let (late, behind) = (
        is_old(request.max_age_seconds, good),
        is_old(request.max_lag_seconds, told.lag()),
    );
    session.outcome.state(told.figures());
    let problems = u64::from(late) + u64::from(behind);
    session.outcome.figures([(&metrics::PROBLEMS, problems)]);
    if late {
        console.always("the newest snapshot that is known to be good is older than --max-age, or there is none");
    }
    if behind {
        console.always(
            "the last moment that can be restored is longer ago than --max-lag, or there is none",
        );
    }
    Ok(match late || behind {
        true => Exit::Problems,
        false => Exit::Done,
    })
}

impl Told {
    fn age(&self, snapshot: &SnapshotStatus) -> i64 {
        self.now.saturating_sub(snapshot.at_seconds).max(0)
    }

    fn until(&self) -> Option<OpTime> {
        let restorable = self.status.restorable.iter();
        restorable.map(|span| span.until).max()
    }

    fn captured(&self) -> Option<OpTime> {
        let stretches = self.status.timeline.stretches();
        stretches.iter().map(|stretch| stretch.end).max()
    }

    /// How long ago the last moment is that can be restored, in seconds.
    fn lag(&self) -> Option<i64> {
        let age = |at: OpTime| self.now.saturating_sub(i64::from(at.seconds)).max(0);
        self.until().map(age)
    }

    /// All that is known, for metrics.
    fn figures(&self) -> Vec<(&'static Metric, u64)> {
        let status = &self.status;
        let at = |snapshot: &SnapshotStatus| u64::try_from(snapshot.at_seconds).unwrap_or_default();
        let second = |at: OpTime| u64::from(at.seconds);
        let waiting = status.capturing.as_ref();
        let waiting = waiting.and_then(|it| it.waiting.as_ref());
        let verified = status.last_verified_at.as_ref();
        let verified = verified.and_then(|at| at.parse::<Timestamp>().ok());
        let verified = verified.and_then(|at| u64::try_from(at.as_second()).ok());
        let restorable = status.restorable.iter().max_by_key(|span| span.until);
        let known = [
            (&metrics::SNAPSHOTS, status.snapshots),
            (&metrics::DAMAGED_SNAPSHOTS, status.damaged.len() as u64),
            (&metrics::UNFINISHED_SNAPSHOTS, status.unfinished),
            (&metrics::RUNNING_SNAPSHOTS, status.running),
            (&metrics::REPOSITORY_OBJECTS, status.objects),
            (&metrics::REPOSITORY_BYTES, status.stored_bytes),
            (&metrics::REPOSITORY_ADDED_BYTES, status.added_bytes),
            (&metrics::GAPS, status.timeline.gaps().count() as u64),
            (&metrics::OPEN_GAPS, status.open_gaps),
            (&metrics::CAPTURING, u64::from(status.capturing.is_some())),
            (
                &metrics::STATUS_TIME,
                u64::try_from(self.now).unwrap_or_default(),
            ),
        ];
        let may_be = [
            (&metrics::NEWEST_SNAPSHOT, status.newest.as_ref().map(at)),
            (
                &metrics::LAST_GOOD_SNAPSHOT,
                status.last_good.as_ref().map(at),
            ),
            (&metrics::LAST_VERIFIED, verified),
            (
                &metrics::RESTORABLE_START,
                restorable.map(|span| second(span.from)),
            ),
            (
                &metrics::RESTORABLE_END,
                restorable.map(|span| second(span.until)),
            ),
            (&metrics::CAPTURED_UNTIL, self.captured().map(second)),
            (
                &metrics::WAITING_BYTES,
                waiting.map(|waiting| waiting.bytes),
            ),
        ];
        let may_be = may_be
            .into_iter()
            .filter_map(|(metric, value)| Some((metric, value?)));
        known.into_iter().chain(may_be).collect()
    }

    fn document(&self) -> Value {
        let status = &self.status;
        let snapshot = |snapshot: &SnapshotStatus| {
            let mut told = json!(snapshot);
            told["age-seconds"] = self.age(snapshot).into();
            told
        };
        let waiting = status.capturing.as_ref();
        let waiting = waiting.and_then(|it| it.waiting.as_ref());
        let spans: Vec<Value> = status.timeline.stretches().iter().map(span).collect();
        let gaps = status.timeline.gaps();
        let gaps: Vec<Value> = gaps
            .map(|gap| json!({ "after": gap.start, "until": gap.end }))
            .collect();
        let prune = self.prune.as_ref().map(|plan| {
            let going = plan.snapshots.iter().filter(|it| it.goes());
            let going: Vec<_> = going.map(|it| &it.id).collect();
            json!({ "snapshots": going, "slices": plan.slices.spans.len() })
        });
        json!({
            "newest-snapshot": status.newest.as_ref().map(snapshot),
            "last-good-snapshot": status.last_good.as_ref().map(snapshot),
            "last-verified-at": status.last_verified_at,
            "last-drill": status.last_drill,
            "snapshots": status.snapshots,
            "damaged-snapshots": status.damaged.len(),
            "damaged": status.damaged,
            "unfinished": status.unfinished,
            "running": status.running,
            "objects": status.objects,
            "stored-bytes": status.stored_bytes,
            "added-bytes-7d": status.added_bytes,
            "capturing": status.capturing.as_ref().map(ToString::to_string),
            "captured-until": self.captured(),
            "restorable-until": self.until(),
            "restorable": status.restorable,
            "lag-seconds": self.lag(),
            "lag-bytes": waiting.map(|waiting| waiting.bytes),
            "lag-bytes-at": waiting.map(|waiting| &waiting.at),
            "spans": spans,
            "gaps": gaps,
            "open-gaps": status.open_gaps,
            "prune": prune,
        })
    }

    fn page(&self) -> String {
        let status = &self.status;
        let none = || "none".to_owned();
        let snapshot = |snapshot: &SnapshotStatus| {
            let verified = match &snapshot.verified_at {
                Some(at) => format!("verified {at}"),
                None => "never verified".to_owned(),
            };
            let (id, age) = (&snapshot.id, self.age(snapshot));
            format!("{id}, {} old, {verified}", length(age))
        };
        let drill = |drill: &DrillStatus| {
            let good = match drill.is_good {
                true => "good",
                false => "NOT good",
            };
            format!("{}, {good}", drill.at)
        };
        let waiting = status.capturing.as_ref();
        let waiting = waiting.and_then(|it| it.waiting.as_ref());
        let noted = waiting.map(|waiting| format!("{} at {}", bytes(waiting.bytes), waiting.at));
        let held = format!(
            "{}, {} damaged, {} unfinished, {} running",
            counted(status.snapshots, "snapshot"),
            status.damaged.len(),
            status.unfinished,
            status.running
        );
        let size = format!(
            "{} in {}, {} of the last 7 days",
            bytes(status.stored_bytes),
            counted(status.objects, "object"),
            bytes(status.added_bytes)
        );
        let mut lines = vec![
            (
                "newest snapshot",
                status.newest.as_ref().map_or_else(none, snapshot),
            ),
            (
                "last good one",
                status.last_good.as_ref().map_or_else(none, snapshot),
            ),
            (
                "last verified",
                status.last_verified_at.clone().unwrap_or_else(none),
            ),
            (
                "last drill",
                status.last_drill.as_ref().map_or_else(none, drill),
            ),
            ("there are", held),
            ("size", size),
            (
                "capturing",
                status
                    .capturing
                    .as_ref()
                    .map_or_else(none, ToString::to_string),
            ),
            ("captured until", self.captured().map_or_else(none, text)),
            ("restorable until", self.until().map_or_else(none, text)),
            (
                "lag",
                self.lag().map_or_else(none, |lag| format!("{lag} s")),
            ),
            (
                "read, not stored",
                noted.unwrap_or_else(|| "unknown".to_owned()),
            ),
        ];
        for stretch in status.timeline.stretches() {
            let (start, end) = (text(stretch.start), text(stretch.end));
            lines.push(("captured", format!("{start} to {end}")));
        }
        for gap in status.timeline.gaps() {
            let (start, end) = (text(gap.start), text(gap.end));
            lines.push(("gap", format!("{start} to {end}")));
        }
        lines.extend(status.damaged.iter().map(|id| ("damaged", id.to_string())));
        if let Some(plan) = &self.prune {
            let going = plan.snapshots.iter().filter(|it| it.goes()).count();
            let going = counted(going as u64, "snapshot");
            let slices = counted(plan.slices.spans.len() as u64, "slice");
            lines.push(("prune would delete", format!("{going}, {slices}")));
        }
        let lines = lines.into_iter();
        lines
            .map(|(name, value)| format!("{name:<20}{value}\n"))
            .collect()
    }
}

/// A length of time, for people.
fn length(seconds: i64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}
