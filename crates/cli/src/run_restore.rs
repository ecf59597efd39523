//! `rrestore`: restores what the request says.

use std::{
    fmt,
    io::{self, IsTerminal},
    sync::Arc,
};

use anyhow::bail;
use rdump::{
    Acknowledgement, ArchiveReader, BundleReader, Counters, DocumentStreamReader, FolderReader,
    Location, OnConflict, OpTime, PointInTime, Repository, Restore, RestoreReport, Snapshot,
    SnapshotId, SnapshotReader, Target, media::DumpReader,
};
use serde::Serialize;

use crate::{
    convert::{Input, RestoreRequest},
    exit::Exit,
    metrics,
    progress::{Progress, Verb},
    session::{Session, Stopped, connected},
    time::text,
};

/// Restores. An error means that no document was inserted.
pub(crate) async fn run(session: &Session, mut request: RestoreRequest) -> anyhow::Result<Exit> {
    let console = &session.console;
    session.outcome.about(&request.input);
    // The dump first: whether it can be read at all is known without the server.
    let Opened {
        reader,
        snapshot,
        moment,
    } = open(session, &request).await?;
    if request.options.resume && reader.identity().is_none() {
        bail!("--resume goes with a snapshot of a repository");
    }
    if let Some(snapshot) = &snapshot {
        session.outcome.snapshot(snapshot.id());
        request.options.on_conflict = request.on_conflict.unwrap_or(OnConflict::Fail);
        console.log(format_args!(
            "snapshot {} in {} is of {}",
            snapshot.id(),
            request.input,
            snapshot.manifest().run.started_at
        ));
        if let Some(moment) = moment {
            console.log(&moment);
            console.json("moment", &moment);
        }
        check_named(&request, &*reader)?;
    }
    let target = session
        .unless_cancelled("connecting", Target::connect(&request.connect))
        .await?;
    console.details(connected(target.server()));
    console.log(format_args!(
        "preparing collections to restore from {}",
        request.input
    ));
    let counters = Arc::new(Counters::default());
    let progress = Arc::new(Progress::new(console, Verb::Restore, Arc::clone(&counters)));
    let observer = Arc::clone(&progress);
    let restore = Restore::new(&target, reader)
        .options(request.options.clone())
        .observer(observer)
        .cancel(session.cancel.clone())
        .counters(Arc::clone(&counters));
    let plan = restore.plan().await;
    let plan = plan.map_err(|error| Stopped::or(error, "stopped while planning the restore"))?;
    if request.dry_run {
        for notice in &plan.notices {
            console.log(notice);
        }
        for problem in &plan.unfinished {
            console.log(problem.to_string());
        }
        match console.wants_json() {
            true => console.json("plan", &plan),
            false => console.stdout(&plan.to_string()),
        }
        console.log("dry run completed");
        console.log(totals(0, 0));
        return Ok(Exit::Done);
    }
    console.details(&plan);
    let result = tokio::select! {
        result = restore.run(plan) => result,
        never = progress.keep_telling() => match never {},
    };
    progress.finish();
    match result {
        Ok(report) => Ok(finish(session, &request, &report)),
        Err(error) => {
            let error = Stopped::or(error, "restore stopped before its end");
            session.outcome.failed(&error);
            crate::failure::tell(console, &error);
            let (written, failed) = (&counters.documents_written, &counters.documents_failed);
            console.log(last_line(&request, written.value(), failed.value()));
            Ok(Exit::of(&error, session.strict))
        }
    }
}

/// A dump that was opened.
struct Opened {
    reader: Arc<dyn DumpReader>,
    /// Which snapshot it is, if it is one.
    snapshot: Option<Snapshot>,
    /// The moment that it is restored to, if it is one of after the snapshot.
    moment: Option<Moment>,
}

impl Opened {
    fn dump(reader: impl DumpReader + 'static) -> Self {
        let reader = Arc::new(reader);
        Self {
            reader,
            snapshot: None,
            moment: None,
        }
    }

    fn bundle(reader: BundleReader) -> Self {
        let snapshot = Some(reader.snapshot().clone());
        let reader = Arc::new(reader);
        Self {
            reader,
            snapshot,
            moment: None,
        }
    }
}

/// A moment that is gone to. `Display` is for people.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Moment {
    at: OpTime,
    snapshot: SnapshotId,
    snapshot_at: OpTime,
    slices: usize,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "going to {}, from snapshot {} of {} by {} slices",
            text(self.at),
            self.snapshot,
            text(self.snapshot_at),
            self.slices
        )
    }
}

/// Opens the dump.
async fn open(session: &Session, request: &RestoreRequest) -> anyhow::Result<Opened> {
    let name = request.input.to_string();
    let select = &request.reader.select;
    if !matches!(request.input, Input::Folder(_)) {
        if request.snapshot.is_some() {
            bail!("--snapshot goes with a repository");
        }
        if request.point.is_some() {
            bail!("--to-time, --to-optime and --to go with a repository");
        }
    }
    let identities = || request.identities.clone();
    let without_collection = "cannot restore from stdin without a specified collection";
    let opened = async {
        Ok(match &request.input {
            Input::Folder(location) => open_place(session, location, request).await?,
            Input::Archive(location) => Opened::dump(ArchiveReader::open(location).await?),
            Input::ArchiveFromStdin => {
                Opened::dump(ArchiveReader::stream(name, io::stdin()).await?)
            }
            Input::BundleFromStdin if io::stdin().is_terminal() => bail!(without_collection),
            Input::BundleFromStdin => {
                match BundleReader::detect(name, io::stdin(), select, identities()).await? {
                    Some(bundle) => Opened::bundle(bundle),
                    None => bail!(
                        "{without_collection}, unless it is a bundle: what came is none, or nothing came"
                    ),
                }
            }
            Input::DocumentsFromStdin(namespace) => {
                let namespace = namespace.clone();
                Opened::dump(DocumentStreamReader::new(name, namespace, io::stdin()))
            }
        })
    };
    session.unless_cancelled("opening the dump", opened).await
}

/// Opens what is at a place: a snapshot of a repository, a bundle, or a folder or file of documents.
async fn open_place(
    session: &Session,
    location: &Location,
    request: &RestoreRequest,
) -> rdump::Result<Opened> {
    let select = &request.reader.select;
    if let Some(point) = request.point {
        let repository = Repository::open(location).await?;
        let repository = repository.identities(request.identities.clone());
        let repository = repository.actor(session.actor.clone());
        let snapshot = match &request.snapshot {
            Some(named) => Some(repository.find_id(named).await?),
            None => None,
        };
        let found = repository.point_in_time(point, snapshot.as_ref()).await?;
        let moment = Moment {
            at: found.at(),
            snapshot: found.snapshot().id().clone(),
            snapshot_at: found.base(),
            slices: found.slices(),
        };
        let snapshot = Some(found.snapshot().clone());
        let reader = Arc::new(found.reader(&request.options).await?);
        return Ok(Opened {
            reader,
            snapshot,
            moment: Some(moment),
        });
    }
    if request.snapshot.is_some() || Repository::is_at(location).await? {
        let repository = Repository::open(location).await?;
        let repository = repository.identities(request.identities.clone());
        let repository = repository.actor(session.actor.clone());
        let named = request.snapshot.as_deref().unwrap_or("latest");
        let snapshot = repository.find_snapshot(named).await?;
        let reader = Arc::new(SnapshotReader::open(&snapshot, select).await?);
        let snapshot = Some(snapshot);
        return Ok(Opened {
            reader,
            snapshot,
            moment: None,
        });
    }
    if let Some(bundle) = BundleReader::open(location, select, request.identities.clone()).await? {
        return Ok(Opened::bundle(bundle));
    }
    let reader = FolderReader::open(location, request.reader.clone()).await?;
    Ok(Opened::dump(reader))
}

/// Refuses a database or collection that a snapshot does not have: nothing would be restored, and that be called a success.
fn check_named(request: &RestoreRequest, reader: &dyn DumpReader) -> anyhow::Result<()> {
    let options = &request.options;
    let Some(db) = &options.db else { return Ok(()) };
    let named = |collection: &str| {
        options
            .collection
            .as_ref()
            .is_none_or(|it| it == collection)
    };
    let entries = reader.contents().entries.iter().map(|it| &it.namespace);
    let made = reader.until().into_iter().flat_map(PointInTime::made);
    if entries
        .chain(made)
        .any(|it| it.db == *db && named(&it.collection))
    {
        return Ok(());
    }
    match &options.collection {
        Some(collection) => bail!("the snapshot has no collection {db}.{collection}"),
        None => bail!("the snapshot has no database {db}"),
    }
}

fn finish(session: &Session, request: &RestoreRequest, report: &RestoreReport) -> Exit {
    let console = &session.console;
    console.json("report", report);
    session.outcome.figures([
        (&metrics::DOCUMENTS, report.documents),
        (&metrics::FAILED_DOCUMENTS, report.failed_documents),
        (&metrics::NAMESPACES, report.namespaces.len() as u64),
        (&metrics::PROBLEMS, report.problems.len() as u64),
    ]);
    console.log(last_line(
        request,
        report.documents,
        report.failed_documents,
    ));
    let other_problems = report.problems.len() > refused_namespaces(report);
    match (session.strict, report.failed_documents > 0, other_problems) {
        (true, true, _) | (true, _, true) => Exit::Problems,
        // mongorestore ends with 0 if the server refused documents, and with 1 if anything else went wrong.
        (false, _, true) => Exit::Failed,
        _ => Exit::Done,
    }
}

/// How many namespaces have documents that the server refused; each of them is one problem.
fn refused_namespaces(report: &RestoreReport) -> usize {
    report
        .namespaces
        .iter()
        .filter(|namespace| namespace.failed_documents > 0)
        .count()
}

/// mongorestore's last line: if no write is acknowledged, nobody has counted.
fn last_line(request: &RestoreRequest, restored: u64, failed: u64) -> String {
    match request.options.write_concern.w {
        Acknowledgement::Members(0) => "done".to_owned(),
        _ => totals(restored, failed),
    }
}

/// mongorestore's last line, where it has counted.
pub(crate) fn totals(restored: u64, failed: u64) -> String {
    format!("{restored} document(s) restored successfully. {failed} document(s) failed to restore.")
}
