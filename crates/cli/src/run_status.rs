//! `rdump status`: what can be restored now, and how far the capture is.

use jiff::Timestamp;
use rdump::{OpTime, Repository};
use serde_json::{Value, json};

use crate::{
    convert::StatusRequest, exit::Exit, run_repository::span, session::Session, time::text,
    units::bytes,
};

/// Tells the state of a repository.
pub(crate) async fn run(
    session: &Session,
    request: StatusRequest,
    json: bool,
) -> anyhow::Result<Exit> {
    let console = &session.console;
    let read = async {
        let repository = Repository::open(&request.repository).await?;
        let (snapshots, timeline) = (repository.snapshots().await?, repository.timeline().await?);
        let restorable = repository.restorable(&snapshots, &timeline).await?;
        let capturing = repository.capturing().await?;
        Ok::<_, rdump::Error>((capturing, snapshots, timeline, restorable))
    };
    let (capturing, snapshots, timeline, restorable) = session
        .unless_cancelled("looking at the repository", read)
        .await?;
    let now = Timestamp::now().as_second();
    let age = |at: OpTime| now.saturating_sub(i64::from(at.seconds)).max(0);
    let stretches = timeline.stretches();
    let captured = stretches.iter().map(|stretch| stretch.end).max();
    let until = restorable.iter().map(|span| span.until).max();
    let lag = until.map(age);
    let waiting = capturing.as_ref().and_then(|it| it.waiting.as_ref());
    let newest = snapshots.whole.last();
    if json {
        let snapshot = newest.map(|snapshot| {
            let run = &snapshot.manifest().run;
            json!({ "id": snapshot.id(), "started-at": run.started_at, "consistent-at": run.consistent_at })
        });
        let spans: Vec<Value> = stretches.iter().map(span).collect();
        let gaps: Vec<Value> = timeline
            .gaps()
            .map(|gap| json!({ "after": gap.start, "until": gap.end }))
            .collect();
        console.document(json!({
            "newest-snapshot": snapshot,
            "snapshots": snapshots.whole.len(),
            "damaged-snapshots": snapshots.damaged.len(),
            "capturing": capturing.as_ref().map(ToString::to_string),
            "captured-until": captured,
            "restorable-until": until,
            "restorable": restorable,
            "lag-seconds": lag,
            "lag-bytes": waiting.map(|waiting| waiting.bytes),
            "lag-bytes-at": waiting.map(|waiting| &waiting.at),
            "spans": spans,
            "gaps": gaps,
        }));
    } else {
        let mut page = String::new();
        let newest = newest.map(|snapshot| {
            let run = &snapshot.manifest().run;
            format!("{} of {}", snapshot.id(), run.started_at)
        });
        let none = || "none".to_owned();
        let noted = waiting.map(|waiting| format!("{} at {}", bytes(waiting.bytes), waiting.at));
        for (name, value) in [
            ("newest snapshot", newest.unwrap_or_else(none)),
            (
                "capturing",
                capturing.as_ref().map_or_else(none, ToString::to_string),
            ),
            ("captured until", captured.map_or_else(none, text)),
            ("restorable until", until.map_or_else(none, text)),
            ("lag", lag.map_or_else(none, |lag| format!("{lag} s"))),
            (
                "read, not stored",
                noted.unwrap_or_else(|| "unknown".to_owned()),
            ),
        ] {
            page.push_str(&format!("{name:<18}{value}\n"));
        }
        for stretch in &stretches {
            page.push_str(&format!(
                "{:<18}{} to {}\n",
                "captured",
                text(stretch.start),
                text(stretch.end)
            ));
        }
        for gap in timeline.gaps() {
            page.push_str(&format!(
                "{:<18}{} to {}\n",
                "gap",
                text(gap.start),
                text(gap.end)
            ));
        }
        console.stdout(&page);
    }
    let is_old = |most: Option<i64>, age: Option<i64>| {
        most.is_some_and(|most| age.is_none_or(|age| age > most))
    };
    Ok(match is_old(request.max_lag_seconds, lag) {
        true => Exit::Problems,
        false => Exit::Done,
    })
}
