//! `rdump backup`: takes a snapshot.

use std::sync::Arc;

use anyhow::bail;
use rdump::{
    Counters, Dump, DumpOptions, DumpPlan, DumpReport, ErrorKind, Repository, SnapshotId,
    SnapshotWriter, Source,
};
use serde::Serialize;

use crate::{
    convert::BackupRequest,
    exit::Exit,
    progress::{Progress, Verb},
    session::{Session, Stopped, connected},
    units::{bytes, counted, rate},
};

/// What `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    snapshot: &'a SnapshotId,
    report: &'a DumpReport,
}

/// Takes a snapshot.
pub(crate) async fn run(
    session: &Session,
    request: BackupRequest,
    json: bool,
) -> anyhow::Result<Exit> {
    let (console, dump) = (&session.console, &request.dump);
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
        check(&plan, &dump.options)?;
        match json {
            true => console.document(serde_json::json!({ "namespaces": &plan })),
            false => console.stdout(&plan.to_string()),
        }
        console.log("dry run completed");
        return Ok(Exit::Done);
    }
    let opened = Repository::open_or_init(&request.location);
    let repository = session
        .unless_cancelled("opening the repository", opened)
        .await?
        .identities(request.identities.clone());
    let before = session
        .unless_cancelled("looking at the repository", repository.snapshots())
        .await?;
    let mut troubled = false;
    for (_, error) in &before.damaged {
        console.always(format_args!("WARNING: {error}"));
        troubled = true;
    }
    let newest = before.whole.last();
    if request.recipients.is_none() && newest.is_some_and(|it| it.manifest().is_encrypted()) {
        console.always("WARNING: the newest snapshot is encrypted, and this one will not be");
    }
    let mut resumed = None;
    let left = before.unfinished.iter().rev();
    // What is older than the newest snapshot would be filed before it, with what was read then.
    let left = left.filter(|id| newest.is_none_or(|newest| *id > newest.id()));
    // Who takes no lease minds none.
    let is_free = |id: &SnapshotId| request.no_lock || !before.running.contains(id);
    for id in left.filter(|id| request.resume && is_free(id)) {
        let found = async {
            let writer = SnapshotWriter::resume(&repository, id).await?;
            let writer = writer.recipients(request.recipients.clone());
            writer.check(&source, &dump.options)?;
            Ok::<_, rdump::Error>(writer)
        };
        let doing = format!("looking at snapshot {id}");
        match session.unless_cancelled(&doing, found).await {
            Ok(writer) => {
                if !request.tags.is_empty() && *writer.tags() != request.tags {
                    console.always("WARNING: the snapshot keeps the tags that it was begun with");
                }
                resumed = Some((id, writer));
                break;
            }
            // What goes on with a secret is not written for everybody instead.
            Err(error) if request.recipients.is_none() && is_denied(&error) => {
                return Err(error.context(format!("snapshot {id} is not gone on with")));
            }
            Err(error) if is_passed_over(&error) => {
                console.always(format_args!("WARNING: {error}: it is not gone on with"));
            }
            Err(error) => return Err(error),
        }
    }
    if request.resume && resumed.is_none() {
        console.log("there is no unfinished snapshot to go on with: this is a new one");
    }
    let (resumed, writer) = resumed.unzip();
    for id in before.unfinished.iter().filter(|id| Some(*id) != resumed) {
        match before.running.contains(id) {
            true => console.log(format_args!(
                "snapshot {id} is being written by another backup, as its lease says: leases/{id}.json"
            )),
            false => console.log(format_args!(
                "snapshot {id} was begun and is not finished: what is stored of it stays"
            )),
        }
    }
    let new = || SnapshotWriter::new(&repository, request.tags.clone());
    let writer = writer.unwrap_or_else(new);
    let mut writer = writer.recipients(request.recipients.clone());
    if request.no_lock {
        writer = writer.lease(None);
    }
    let writer = Arc::new(writer);
    let backup = Dump::new(&source, Arc::clone(&writer) as _)
        .options(dump.options.clone())
        .observer(Arc::clone(&progress) as _)
        .cancel(session.cancel.clone())
        .counters(counters);
    let plan = backup.plan().await;
    let plan = plan.map_err(|error| Stopped::or(error, "stopped while planning the backup"))?;
    check(&plan, &dump.options)?;
    console.details(&plan);
    let result = tokio::select! {
        result = backup.run(plan) => result,
        never = progress.keep_telling() => match never {},
    };
    progress.finish();
    let report = result.map_err(|error| {
        Stopped::or(
            error,
            "backup stopped before its end, there is no snapshot of it",
        )
    })?;
    let Some(id) = writer.id() else {
        console.log("nothing was backed up, there is no snapshot");
        return Ok(Exit::Failed);
    };
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
        true => console.document(Printed {
            snapshot: id,
            report: &report,
        }),
        false => console.stdout(&format!("{id}\n")),
    }
    Ok(match report.problems.is_empty() && !troubled {
        true => Exit::Done,
        false => Exit::Problems,
    })
}

/// Refuses a plan that has nothing of what was asked for.
fn check(plan: &DumpPlan, options: &DumpOptions) -> anyhow::Result<()> {
    if let Some(pattern) = options.select.unmatched(plan.namespaces()).first() {
        bail!(
            "no namespace fits the pattern {}, or all that do are excluded",
            pattern.as_str()
        );
    }
    if plan.is_empty() && options.db.is_some() {
        bail!("there is nothing to back up: what is selected does not exist");
    }
    Ok(())
}

/// Whether what was begun is encrypted, and no key was given that opens it.
fn is_denied(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref().map(rdump::Error::kind);
    kind == Some(ErrorKind::Denied)
}

/// Whether a snapshot that was begun is of another deployment or other options, or encrypted and no key opens it, or damaged.
fn is_passed_over(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref().map(rdump::Error::kind);
    matches!(
        kind,
        Some(ErrorKind::Conflict | ErrorKind::Denied | ErrorKind::Data)
    )
}
