//! `rdump prune`: what a policy does not keep is deleted.

use std::sync::Arc;

use rdump::{Counters, Prune, Repository};
use serde_json::json;

use crate::{
    convert::PruneRequest,
    exit::Exit,
    metrics,
    progress::{Progress, Verb},
    session::Session,
    units::{bytes, counted},
};

/// Prunes a repository, or says what that would do.
pub(crate) async fn run(
    session: &Session,
    request: PruneRequest,
    json: bool,
) -> anyhow::Result<Exit> {
    let console = &session.console;
    let counters = Arc::new(Counters::default());
    let progress = Arc::new(Progress::new(console, Verb::Prune, counters));
    session.outcome.about(&request.repository);
    let opened = async {
        let repository = Repository::open(&request.repository).await?;
        let repository = repository.identities(request.identities);
        let repository = repository.actor(session.actor.clone());
        let mut prune = Prune::new(&repository, request.policy)
            .observer(Arc::clone(&progress) as _)
            .cancel(session.cancel.clone());
        if let Some(grace) = request.grace {
            prune = prune.grace(grace);
        }
        if request.no_lock {
            prune = prune.lease(None);
        }
        let plan = prune.plan().await?;
        Ok::<_, rdump::Error>((prune, plan))
    };
    let (prune, plan) = session
        .unless_cancelled("looking at the repository", opened)
        .await?;
    let is_damaged = plan.is_damaged();
    if !json {
        console.stdout(&plan.to_string());
    }
    let shown = json.then(|| json!(plan));
    let report = match request.dry_run {
        true => None,
        false => {
            let report = prune.run(plan).await;
            progress.finish();
            Some(report?)
        }
    };
    if let Some(report) = &report {
        let problems = report.problems.len() as u64 + u64::from(is_damaged);
        session.outcome.figures([
            (&metrics::SNAPSHOTS_DONE, report.snapshots),
            (&metrics::SLICES, report.slices),
            (&metrics::OBJECTS, report.objects),
            (&metrics::STORED_BYTES, report.stored_bytes),
            (&metrics::PROBLEMS, problems),
        ]);
    }
    for retained in report.iter().flat_map(|report| &report.retained) {
        console.log(format_args!("kept {retained}"));
    }
    for problem in report.iter().flat_map(|report| &report.problems) {
        console.always(format_args!("PROBLEM: {problem}"));
    }
    match (shown, &report) {
        (Some(plan), _) => console.document(json!({ "plan": plan, "report": report })),
        (None, None) => console.log("nothing was deleted: this is what would be"),
        (None, Some(report)) => console.log(format_args!(
            "deleted {}, {} that never finished and {} of the oplog: {} in {}",
            counted(report.snapshots, "snapshot"),
            report.unfinished,
            counted(report.slices, "slice"),
            bytes(report.stored_bytes),
            counted(report.objects, "object"),
        )),
    }
    let has_problems = report.is_some_and(|report| !report.problems.is_empty());
    Ok(match is_damaged || has_problems {
        true => Exit::Problems,
        false => Exit::Done,
    })
}
