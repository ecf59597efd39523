//! `rdump copy`: a repository, or some of it, in another place.

use std::sync::Arc;

use rdump::{Counters, Repository, RepositoryCopy, SnapshotChoice};
use serde_json::json;

use crate::{
    convert::{Chosen, CopyRequest},
    exit::Exit,
    metrics,
    progress::{Progress, Verb},
    session::{Session, Stopped},
    units::{bytes, counted},
};

/// Copies, and says what.
pub(crate) async fn run(
    session: &Session,
    request: CopyRequest,
    json: bool,
) -> anyhow::Result<Exit> {
    session.outcome.about(&request.from);
    let opened = async {
        let from = Repository::open(&request.from).await?;
        let from = from.actor(session.actor.clone());
        let choice = match request.chosen {
            Chosen::All => SnapshotChoice::All,
            Chosen::Since(since) => SnapshotChoice::Since(since),
            Chosen::Named(names) => {
                let mut ids = Vec::with_capacity(names.len());
                for name in &names {
                    ids.push(from.find_id(name).await?);
                }
                SnapshotChoice::Only(ids)
            }
        };
        let to = from.open_or_twin(&request.to).await?;
        Ok::<_, rdump::Error>((from, to, choice))
    };
    let (from, to, choice) = session
        .unless_cancelled("opening the repositories", opened)
        .await?;
    let counters = Arc::new(Counters::default());
    let progress = Arc::new(Progress::new(&session.console, Verb::Copy, counters));
    let mut copy = RepositoryCopy::new(&from, &to)
        .snapshots(choice)
        .timeline(request.timeline)
        .server_side(request.server_side)
        .observer(Arc::clone(&progress) as _)
        .cancel(session.cancel.clone());
    if request.no_lock {
        copy = copy.lease(None);
    }
    let report = copy.run().await;
    progress.finish();
    let stopped = format!(
        "stopped; what is in {} is whole, and the next copy goes on",
        request.to
    );
    let report = report.map_err(|error| Stopped::or(error, stopped))?;
    let console = &session.console;
    session.outcome.figures([
        (&metrics::SNAPSHOTS_DONE, report.snapshots.len() as u64),
        (&metrics::SLICES, report.slices),
        (&metrics::OBJECTS, report.objects),
        (
            &metrics::STORED_BYTES,
            report.stored_bytes + report.slice_bytes,
        ),
        (&metrics::PROBLEMS, report.problems.len() as u64),
    ]);
    for problem in &report.problems {
        console.always(format_args!("PROBLEM: {problem}"));
    }
    for id in &report.mended {
        console.always(format_args!(
            "{id} had lost objects there, which were copied again"
        ));
    }
    for id in &report.rekeyed {
        console.log(format_args!(
            "{id} is opened there by those who open it here now"
        ));
    }
    console.log(format_args!(
        "copied {} to {}, {} were there: {} in {}; {} and gaps, {}; in {:.1} seconds",
        counted(report.snapshots.len() as u64, "snapshot"),
        request.to,
        report.present,
        bytes(report.stored_bytes),
        counted(report.objects, "object"),
        counted(report.slices, "slice"),
        bytes(report.slice_bytes),
        report.duration_seconds
    ));
    if request.server_side {
        console.log(format_args!(
            "{} of that the store copied by itself",
            bytes(report.server_side_bytes)
        ));
    }
    match json {
        true => console.document(json!({ "report": report })),
        false => {
            let ids = report.snapshots.iter().map(|id| format!("{id}\n"));
            console.stdout(&ids.collect::<String>());
        }
    }
    Ok(match report.problems.is_empty() {
        true => Exit::Done,
        false => Exit::Problems,
    })
}
