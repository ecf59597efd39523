//! `rdump tier` and `rdump thaw`: data in other storage classes, and back.

use std::sync::Arc;

use rdump::{Counters, Repository, SnapshotId, Thaw, Tier, TierChoice};
use serde_json::json;

use crate::{
    convert::{Moved, ThawingRequest, TierRequest},
    exit::Exit,
    progress::{Progress, Verb},
    session::{Session, Stopped},
    units::{bytes, counted},
};

/// Moves data to another storage class, or says what would be moved.
pub(crate) async fn tier(
    session: &Session,
    request: TierRequest,
    json: bool,
) -> anyhow::Result<Exit> {
    let console = &session.console;
    let progress = progress(session);
    let opened = async {
        let repository = Repository::open(&request.repository).await?;
        let repository = repository.actor(session.actor.clone());
        let choice = match request.moved {
            Moved::Before(before) => TierChoice::Before(before),
            Moved::Named(names) => TierChoice::Only(ids(&repository, &names).await?),
        };
        let mut tier = Tier::new(&repository, request.class, choice)
            .observer(Arc::clone(&progress) as _)
            .cancel(session.cancel.clone());
        if request.no_lock {
            tier = tier.lease(None);
        }
        let plan = tier.plan().await?;
        Ok::<_, rdump::Error>((tier, plan))
    };
    let (tier, plan) = session
        .unless_cancelled("looking at the repository", opened)
        .await?;
    if !json {
        console.stdout(&plan.to_string());
    }
    let shown = json.then(|| json!(plan));
    let report = match request.dry_run {
        true => None,
        false => {
            let report = tier.run(plan).await;
            progress.finish();
            let stopped = "stopped; each object is in the one class or in the other, and the next run goes on";
            Some(report.map_err(|error| Stopped::or(error, stopped))?)
        }
    };
    for problem in report.iter().flat_map(|report| &report.problems) {
        console.always(format_args!("not moved: {problem}"));
    }
    match (shown, &report) {
        (Some(plan), _) => console.document(json!({ "plan": plan, "report": report })),
        (None, None) => console.log("nothing was moved: this is what would be"),
        (None, Some(report)) => console.log(format_args!(
            "moved {} to {}: {} in {}; in {:.1} seconds",
            counted(report.snapshots.len() as u64, "snapshot"),
            report.class,
            bytes(report.stored_bytes),
            counted(report.objects, "object"),
            report.duration_seconds
        )),
    }
    Ok(match report.is_some_and(|it| !it.problems.is_empty()) {
        true => Exit::Problems,
        false => Exit::Done,
    })
}

/// Asks the store to thaw snapshots, and waits if that is wanted.
pub(crate) async fn thaw(
    session: &Session,
    request: ThawingRequest,
    json: bool,
) -> anyhow::Result<Exit> {
    let console = &session.console;
    let progress = progress(session);
    let opened = async {
        let repository = Repository::open(&request.repository).await?;
        let repository = repository.actor(session.actor.clone());
        let ids = ids(&repository, &request.snapshots).await?;
        Ok::<_, rdump::Error>((repository, ids))
    };
    let (repository, ids) = session
        .unless_cancelled("looking at the repository", opened)
        .await?;
    let thaw = Thaw::new(&repository, ids)
        .request(request.request)
        .wait(request.wait)
        .observer(Arc::clone(&progress) as _)
        .cancel(session.cancel.clone());
    let report = thaw.run().await;
    progress.finish();
    let stopped = "stopped waiting; what was asked for goes on in the store";
    let report = report.map_err(|error| Stopped::or(error, stopped))?;
    console.log(match (report.is_done(), &report.until) {
        (true, None) => format!("{} can be read", counted(report.objects, "object")),
        (true, Some(until)) => {
            let objects = counted(report.objects, "object");
            format!("{objects} can be read, until {until}")
        }
        (false, _) => format!(
            "{} of {}, {}, cannot be read yet: the store was asked to thaw them; ask again, or give --wait",
            report.frozen,
            counted(report.objects, "object"),
            bytes(report.frozen_bytes)
        ),
    });
    if json {
        console.document(json!({ "report": report }));
    }
    Ok(match report.is_done() {
        true => Exit::Done,
        false => Exit::Problems,
    })
}

fn progress(session: &Session) -> Arc<Progress> {
    let counters = Arc::new(Counters::default());
    Arc::new(Progress::new(&session.console, Verb::Copy, counters))
}

async fn ids(repository: &Repository, names: &[String]) -> rdump::Result<Vec<SnapshotId>> {
    let mut ids = Vec::with_capacity(names.len());
    for name in names {
        let id = repository.find_id(name).await?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}
