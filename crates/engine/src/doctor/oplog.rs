//! How far the oplog reaches back, and whether that is enough.

use bson::doc;
use rdump_format::repository::SliceSource;
use rdump_oplog::OpTime;

use super::{
    Held,
    deployment::Asked,
    finding::{Check, Findings},
    held::LongestRun,
    words::length,
};
use crate::{Error, ErrorKind, Result, Topology, capture::Oplog, connect::whole_number};

/// How far back an oplog should reach that nobody watches at night, in seconds.
const DAY_SECONDS: i64 = 86_400;
/// How full an oplog is that forgets, in percent.
const FULL_PERCENT: i64 = 90;

/// Whether there is an oplog that may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readable {
    Yes,
    No,
    /// The server has none, or nobody could tell.
    None,
}

/// What an oplog has.
struct Window {
    oldest: OpTime,
    newest: OpTime,
    /// How full it is, in percent, if that may be asked.
    full_percent: Option<i64>,
}

impl Window {
    async fn of(asked: &Asked) -> Result<Self> {
        let (deployment, from) = (&asked.deployment, &asked.from);
        let oplog = Oplog { deployment, from };
        let (oldest, newest) = (oplog.oldest().await?.at, oplog.newest().await?.at);
        let statistics = asked.ask("local", doc! { "collStats": "oplog.rs" }).await;
        let number = |name: &str| statistics.as_ref().ok()?.get(name).and_then(whole_number);
        let full_percent = match (number("size"), number("maxSize")) {
            (Some(size), Some(most)) if most > 0 => Some(size.saturating_mul(100) / most),
            _ => None,
        };
        Ok(Self {
            oldest,
            newest,
            full_percent,
        })
    }

    fn seconds(&self) -> i64 {
        i64::from(self.newest.seconds) - i64::from(self.oldest.seconds)
    }

    /// Whether what is oldest in it may be forgotten next: so it is taken to be where that may not be asked.
    fn forgets(&self) -> bool {
        self.full_percent.is_none_or(|full| full >= FULL_PERCENT)
    }
}

pub(super) async fn look(asked: &Asked, held: Option<&Held>, findings: &mut Findings) -> Readable {
    history(asked, held, findings).await;
    let end = held.and_then(|held| held.end_of(&asked.source));
    of_other(asked, held, findings);
    if !asked.has_oplog() {
        return Readable::None;
    }
    match Window::of(asked).await {
        Ok(window) => {
            let longest = held.and_then(|held| held.longest_run(&asked.source));
            window_against_snapshots(&window, longest, findings);
            if let Some(end) = end.filter(|end| end.header.from == SliceSource::Oplog) {
                capture_age(&window, end.gap_until.unwrap_or(end.span.end), findings);
            }
            Readable::Yes
        }
        Err(error) => {
            let is_denied = error.kind() == ErrorKind::Denied;
            findings.unknown(Check::OplogWindow, &error, "");
            if end.is_some_and(|end| end.header.from == SliceSource::Oplog) {
                findings.unknown(Check::CaptureAge, &error, "");
            }
            match is_denied {
                true => Readable::No,
                false => Readable::None,
            }
        }
    }
}

/// What is captured in the repository, and of another deployment.
fn of_other(asked: &Asked, held: Option<&Held>, findings: &mut Findings) {
    let Some(held) = held else { return };
    let Some(first) = held.ends.first() else {
        return;
    };
    if held.end_of(&asked.source).is_none() {
        let hosts = first.header.source.hosts.join(",");
        findings.danger(
            Check::CaptureAge,
            format!("what is captured in the repository is of another deployment: {hosts}"),
            "capture each deployment into a repository of its own",
        );
    }
}

fn window_against_snapshots(window: &Window, longest: Option<LongestRun>, findings: &mut Findings) {
    let check = Check::OplogWindow;
    let seconds = window.seconds();
    let full = match window.full_percent {
        Some(full) => format!("it is {} % full", full.min(100)),
        None => "how full it is may not be asked".to_owned(),
    };
    let seen = format!("the oplog reaches {} back, and {full}", length(seconds));
    let seen = match longest {
        Some(longest) => format!("{seen}; {longest}"),
        None => seen,
    };
    let longest = longest.map_or(0, |longest| longest.seconds);
    if !window.forgets() {
        // It has forgotten nothing yet.
        return findings.good(check, seen);
    }
    // Three times the longest, in whole hours.
    let hours = longest
        .saturating_mul(3)
        .max(DAY_SECONDS)
        .saturating_add(3_599)
        / 3_600;
    let advice = format!(
        "make it larger, or keep it for longer: db.adminCommand({{replSetResizeOplog: 1, minRetentionHours: {hours}}})"
    );
    if seconds < longest {
        findings.danger(check, seen, advice);
    } else if seconds < longest.saturating_mul(2) || seconds < DAY_SECONDS {
        findings.warning(check, seen, advice);
    } else {
        findings.good(check, seen);
    }
}

/// Whether a capture can go on, and for how long still.
fn capture_age(window: &Window, captured: OpTime, findings: &mut Findings) {
    let check = Check::CaptureAge;
    let at = |at: OpTime| i64::from(at.seconds);
    let age = (at(window.newest) - at(captured)).max(0);
    if window.oldest > captured {
        let missing = at(window.oldest) - at(captured);
        return findings.danger(
            check,
            format!(
                "what is captured ends {} before the oldest entry of the oplog: what was written between cannot be captured any more",
                length(missing)
            ),
            "start `rdump capture`, and take a snapshot: what is captured from now on leads on from that",
        );
    }
    let left = at(captured) - at(window.oldest);
    let seen = format!(
        "what is captured ends {} before the newest entry of the oplog, which reaches {} further back",
        length(age),
        length(left)
    );
    match window.forgets() && left < age {
        true => findings.danger(
            check,
            format!("{seen}: the oplog is about to forget what is not captured"),
            "start `rdump capture` now, or find out what holds it up; make the oplog larger",
        ),
        false => findings.good(check, seen),
    }
}

/// For how long the server keeps what was there at a moment.
async fn history(asked: &Asked, held: Option<&Held>, findings: &mut Findings) {
    let check = Check::SnapshotHistory;
    let server = asked.server();
    // A router does not know the parameter, and who has no moments needs none.
    if !server.capabilities().snapshot_reads || server.topology != Topology::ReplicaSet {
        return;
    }
    let parameter = doc! { "getParameter": 1, "minSnapshotHistoryWindowInSeconds": 1 };
    let told = asked.ask("admin", parameter).await;
    let window = match told {
        Ok(reply) => reply
            .get("minSnapshotHistoryWindowInSeconds")
            .and_then(whole_number),
        Err(error) => {
            let advice = "the role backup is enough to ask: it may getParameter";
            return findings.unknown(check, &error, advice);
        }
    };
    let Some(window) = window else {
        let error = Error::data("the server does not say for how long it keeps what was there");
        return findings.unknown(check, &error, "");
    };
    let seen = format!(
        "the server keeps for {} what was there at a moment",
        length(window)
    );
    match held.and_then(|held| held.longest_run(&asked.source)) {
        Some(longest) if longest.seconds >= window => findings.warning(
            check,
            format!("{seen}; {longest}"),
            format!(
                "such a snapshot needs its oplog to be of one moment; keep more: db.adminCommand({{setParameter: 1, minSnapshotHistoryWindowInSeconds: {}}})",
                longest.seconds.saturating_mul(2)
            ),
        ),
        Some(longest) => findings.good(check, format!("{seen}; {longest}")),
        None => findings.note(check, format!("{seen}; no snapshot tells how long one takes"), ""),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::finding::Severity, *};

    const HOUR: u32 = 3_600;
    const NOW: u32 = 1_800_000_000;

    fn at(seconds: u32) -> OpTime {
        OpTime {
            seconds,
            ordinal: 1,
        }
    }

    fn window(hours: u32, full_percent: Option<i64>) -> Window {
        Window {
            oldest: at(NOW - hours * HOUR),
            newest: at(NOW),
            full_percent,
        }
    }

    fn of(look: impl FnOnce(&mut Findings)) -> (Severity, String) {
        let mut findings = Findings::default();
        look(&mut findings);
        let [finding] = &findings.sorted()[..] else {
            panic!("one finding");
        };
        (finding.severity, finding.advice.clone().unwrap_or_default())
    }

    #[test]
    fn an_oplog_reaches_back_for_longer_than_a_snapshot_takes_and_a_day() {
        use Severity::{Danger, Good, Warning};
        let hours = |hours: i64| {
            let seconds = hours * i64::from(HOUR);
            Some(LongestRun { seconds, of: 3 })
        };
        for (reaches, longest, expected) in [
            (2, hours(3), Danger),
            (30, hours(31), Danger),
            (30, hours(16), Warning),
            (30, hours(15), Good),
            (23, None, Warning),
            (24, None, Good),
        ] {
            for full in [Some(100), Some(90), None] {
                let window = window(reaches, full);
                let told = of(|it| window_against_snapshots(&window, longest, it));
                assert_eq!(told.0, expected, "{reaches} {longest:?}");
            }
            // One that has forgotten nothing is no shorter than it has to be.
            let young = window(reaches, Some(89));
            let told = of(|it| window_against_snapshots(&young, longest, it));
            assert_eq!(told.0, Good);
        }
        let told = of(|it| window_against_snapshots(&window(2, None), hours(9), it));
        assert!(told.1.contains("minRetentionHours: 27"), "{}", told.1);
    }

    #[test]
    fn a_capture_that_is_behind_by_more_than_the_oplog_reaches_further_is_in_danger() {
        let captured = |hours: u32| at(NOW - hours * HOUR);
        let age = |window: &Window, hours| of(|it| capture_age(window, captured(hours), it)).0;
        let full = window(10, Some(100));
        assert_eq!(age(&full, 1), Severity::Good);
        assert_eq!(age(&full, 5), Severity::Good);
        assert_eq!(age(&full, 6), Severity::Danger);
        assert_eq!(age(&full, 11), Severity::Danger);
        let young = window(10, Some(1));
        assert_eq!(age(&young, 9), Severity::Good);
        assert_eq!(age(&young, 11), Severity::Danger);
    }
}
