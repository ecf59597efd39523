//! `rdump export-folder` and `rdump import-folder`: a dump goes from one medium to another.

use std::sync::Arc;

use rdump::{
    ArchiveReader, Counters, DumpOptions, DumpReport, FolderReader, FolderReaderOptions,
    FolderWriter, Repository, Selector, SnapshotReader, SnapshotWriter, Transfer,
    media::DumpReader,
};
use serde_json::json;

use crate::{
    convert::{ExportRequest, ImportRequest},
    exit::Exit,
    progress::{Progress, Verb},
    session::{Session, Stopped},
    units::{bytes, counted},
};

/// Writes a snapshot as a folder.
pub(crate) async fn export(
    session: &Session,
    request: ExportRequest,
    json: bool,
) -> anyhow::Result<Exit> {
    let opened = async {
        let repository = Repository::open(&request.repository).await?;
        let repository = repository.identities(request.identities.clone());
        let repository = repository.actor(session.actor.clone());
        let snapshot = repository.find_snapshot(&request.snapshot).await?;
        let reader = SnapshotReader::open(&snapshot, &Selector::default()).await?;
        // What is there stays.
        let writer = FolderWriter::create(&request.folder)?.overwrite(false);
        Ok::<_, rdump::Error>((snapshot, reader, writer))
    };
    let opened = session.unless_cancelled("reading the snapshot", opened);
    let (snapshot, reader, writer) = opened.await?;
    let transfer = Transfer::new(Arc::new(reader), Arc::new(writer))
        .options(DumpOptions::default().compression(request.compression));
    let stopped = format!("stopped, {} holds no complete dump", request.folder);
    let report = run(session, transfer, &stopped).await?;
    let console = &session.console;
    tell(
        session,
        &report,
        &format!("{snapshot} is now in {}", request.folder),
    );
    if json {
        console.document(json!({ "snapshot": snapshot.id(), "report": report }));
    }
    Ok(exit(&report))
}

/// Makes a snapshot of a folder or an archive.
pub(crate) async fn import(
    session: &Session,
    request: ImportRequest,
    json: bool,
) -> anyhow::Result<Exit> {
    let opened = async {
        let dump = &request.dump;
        let reader: Arc<dyn DumpReader> = match dump.is_object().await? {
            true => Arc::new(ArchiveReader::open(dump).await?),
            false => Arc::new(FolderReader::open(dump, FolderReaderOptions::default()).await?),
        };
        let repository =
            Repository::open_or_init_by(&request.repository, session.actor.clone()).await?;
        Ok::<_, rdump::Error>((reader, repository))
    };
    let (reader, repository) = session.unless_cancelled("opening the dump", opened).await?;
    let writer = SnapshotWriter::new(&repository, request.tags.clone());
    let mut writer = writer.recipients(request.recipients.clone());
    if request.no_lock {
        writer = writer.lease(None);
    }
    let writer = Arc::new(writer);
    let transfer = Transfer::new(reader, Arc::clone(&writer) as _)
        .options(DumpOptions::default().compression(request.compression));
    let report = run(session, transfer, "stopped, there is no snapshot of it").await?;
    let console = &session.console;
    let Some(id) = writer.id() else {
        return Ok(Exit::Failed);
    };
    tell(
        session,
        &report,
        &format!("{} is now in {repository}", request.dump),
    );
    match json {
        true => console.document(json!({ "snapshot": id, "report": report })),
        false => console.stdout(&format!("{id}\n")),
    }
    Ok(exit(&report))
}

async fn run(session: &Session, transfer: Transfer, stopped: &str) -> anyhow::Result<DumpReport> {
    let counters = Arc::new(Counters::default());
    let progress = Progress::new(&session.console, Verb::Copy, Arc::clone(&counters));
    let progress = Arc::new(progress);
    let transfer = transfer
        .observer(Arc::clone(&progress) as _)
        .cancel(session.cancel.clone())
        .counters(counters);
    let result = tokio::select! {
        result = transfer.run() => result,
        never = progress.keep_telling() => match never {},
    };
    progress.finish();
    result.map_err(|error| Stopped::or(error, stopped))
}

fn tell(session: &Session, report: &DumpReport, what: &str) {
    session.console.log(format_args!(
        "{what}: {} of {}, {} ({} stored), in {:.1} seconds",
        counted(report.documents, "document"),
        counted(report.namespaces.len() as u64, "namespace"),
        bytes(report.uncompressed_bytes),
        bytes(report.stored_bytes),
        report.duration_seconds
    ));
}

fn exit(report: &DumpReport) -> Exit {
    match report.problems.is_empty() {
        true => Exit::Done,
        false => Exit::Problems,
    }
}
