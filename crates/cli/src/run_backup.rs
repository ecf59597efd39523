//! `rdump backup`: takes a snapshot.

use std::sync::Arc;

use rdump::{Backup, Counters, Dump, Repository, Source};

use crate::{
    convert::BackupRequest,
    exit::Exit,
    progress::{Progress, Verb},
    run_dump::dumped,
    session::{Session, Stopped, connected},
    units::{bytes, counted, rate},
};

/// Takes a snapshot.
pub(crate) async fn run(
    session: &Session,
    request: BackupRequest,
    json: bool,
) -> anyhow::Result<Exit> {
    let (console, dump) = (&session.console, &request.dump);
    session.outcome.about(&request.location);
    let source = session
        .unless_cancelled("connecting", Source::connect(&dump.connect))
        .await?;
    console.details(connected(source.server()));
    let counters = Arc::new(Counters::default());
    let progress = Arc::new(Progress::new(console, Verb::Backup, Arc::clone(&counters)));
    if dump.dry_run {
        let discard = Arc::new(rdump::Discard);
        let plan = Dump::new(&source, discard).options(dump.options.clone());
        let plan = Box::pin(plan.plan());
        let plan = session.unless_cancelled("planning", plan).await?;
        plan.check_selection(&dump.options)?;
        match json {
            true => console.document(serde_json::json!({ "namespaces": &plan })),
            false => console.stdout(&plan.to_string()),
        }
        console.log("dry run completed");
        return Ok(Exit::Done);
    }
    let opened = Repository::open_or_init_by(&request.location, session.actor.clone());
    let repository = session
        .unless_cancelled("opening the repository", opened)
        .await?
        .identities(request.identities.clone());
    let backup = Backup::new(&source, &repository)
        .options(dump.options.clone())
        .tags(request.tags)
        .recipients(request.recipients)
        .resume(request.resume)
        .observer(Arc::clone(&progress) as _)
        .cancel(session.cancel.clone())
        .counters(counters);
    let backup = match request.no_lock {
        true => backup.lease(None),
        false => backup,
    };
    let plan = backup.plan().await;
    let plan = plan.map_err(|error| Stopped::or(error, "stopped while planning the backup"))?;
    let plan_problems = plan.damaged.len() as u64;
    let damaged = plan.damaged.iter().map(ToString::to_string);
    for warning in damaged.chain(plan.warnings.iter().cloned()) {
        console.always(format_args!("WARNING: {warning}"));
    }
    for notice in &plan.notices {
        console.log(notice);
    }
    console.details(&plan);
    let result = tokio::select! {
        result = backup.run(plan) => result,
        never = progress.keep_telling() => match never {},
    };
    progress.finish();
    let done = result.map_err(|error| {
        Stopped::or(
            error,
            "backup stopped before its end, there is no snapshot of it",
        )
    })?;
    let report = &done.report;
    session.outcome.snapshot(&done.snapshot);
    session.outcome.figures(dumped(report, plan_problems));
    console.log(format_args!(
        "backed up {} of {}, {} ({} stored), to {repository} in {:.1} seconds ({})",
        counted(report.documents, "document"),
        counted(report.namespaces.len() as u64, "namespace"),
        bytes(report.uncompressed_bytes),
        bytes(report.stored_bytes),
        report.duration_seconds,
        rate(report.uncompressed_bytes, report.duration_seconds)
    ));
    match json {
        true => console.document(&done),
        false => console.stdout(&format!("{}\n", done.snapshot)),
    }
    Ok(match report.problems.is_empty() && plan_problems == 0 {
        true => Exit::Done,
        false => Exit::Problems,
    })
}
