//! `rdump`: dumps what the request says.

use std::{io::stdout, sync::Arc};

use rdump::{
    ArchiveWriter, Counters, DocumentStreamWriter, Dump, DumpReport, FolderWriter, Source,
    media::DumpWriter,
};

use crate::{
    barrier,
    convert::{DumpRequest, Output},
    exit::Exit,
    metrics::{self, Metric},
    progress::{Progress, Verb},
    session::{Session, Stopped, connected},
    units::{bytes, counted, rate},
};

/// Dumps.
pub(crate) async fn run(session: &Session, request: DumpRequest) -> anyhow::Result<Exit> {
    let console = &session.console;
    session.outcome.about(&request.output);
    let source = session
        .unless_cancelled("connecting", Source::connect(&request.connect))
        .await?;
    console.details(connected(source.server()));
    if let Some(preference) = &request.options.read_preference {
        console.details(format_args!("read preference: {:?}", preference.mode));
    }
    if let Some(path) = &request.barrier {
        let wait = barrier::wait_for(path, console);
        let doing = format!("waiting for {}", path.display());
        session.unless_cancelled(&doing, wait).await?;
    }
    let counters = Arc::new(Counters::default());
    let verb = Verb::Dump(request.output.clone(), request.options.compression.codec());
    let progress = Arc::new(Progress::new(console, verb, Arc::clone(&counters)));

    let dump = Dump::new(&source, writer(&request)?)
        .options(request.options.clone())
        .observer(Arc::clone(&progress) as _)
        .cancel(session.cancel.clone())
        .counters(counters);
    let plan = dump.plan().await;
    let plan = plan.map_err(|error| Stopped::or(error, "stopped while planning the dump"))?;
    if request.dry_run {
        match (console.wants_json(), request.output.takes_stdout()) {
            (true, _) => console.json("plan", serde_json::json!({ "namespaces": &plan })),
            (false, false) => console.stdout(&plan.to_string()),
            // Whoever waits for a dump there cannot read it.
            (false, true) => console.stderr(&plan.to_string()),
        }
        console.log("dry run completed");
        return Ok(Exit::Done);
    }
    if plan.is_empty() {
        console.log(nothing_there(&request));
    }
    if dump.leaves_no_trace(&plan) {
        console.json("report", DumpReport::default());
        return Ok(Exit::Done);
    }

    console.details(&plan);
    let result = tokio::select! {
        result = dump.run(plan) => result,
        never = progress.keep_telling() => match never {},
    };
    progress.finish();
    match result {
        Ok(report) => Ok(finish(session, &request, &report)),
        Err(error) => {
            let incomplete = format!("{} holds no complete dump", request.output);
            let stopped = format!("dump stopped before its end, {incomplete}");
            Err(Stopped::or(error, stopped))
        }
    }
}

fn writer(request: &DumpRequest) -> rdump::Result<Arc<dyn DumpWriter>> {
    let overwrite = request.overwrite;
    Ok(match &request.output {
        Output::Folder(location) => Arc::new(FolderWriter::create(location)?.overwrite(overwrite)),
        Output::Archive(location) => {
            Arc::new(ArchiveWriter::create(location)?.overwrite(overwrite))
        }
        Output::ArchiveToStdout => Arc::new(ArchiveWriter::stream("stdout", stdout())),
        Output::DocumentsToStdout => Arc::new(DocumentStreamWriter::new("stdout", stdout())),
    })
}

fn nothing_there(request: &DumpRequest) -> String {
    let options = &request.options;
    match (&options.db, &options.collection) {
        (Some(db), Some(collection)) => {
            format!("namespace with DB {db} and collection {collection} does not exist")
        }
        (Some(db), None) => format!(
            "there is nothing to dump: database {db} has no collections, or none is selected"
        ),
        _ => "there is nothing to dump: no namespace exists, or none is selected".to_owned(),
    }
}

/// The numbers of a dump or a backup, with problems from before it began.
pub(crate) fn dumped(
    report: &DumpReport,
    problems: u64,
) -> impl Iterator<Item = (&'static Metric, u64)> {
    let figures = [
        (&metrics::DOCUMENTS, report.documents),
        (&metrics::NAMESPACES, report.namespaces.len() as u64),
        (&metrics::UNCOMPRESSED_BYTES, report.uncompressed_bytes),
        (&metrics::STORED_BYTES, report.stored_bytes),
        (&metrics::PROBLEMS, report.problems.len() as u64 + problems),
    ];
    figures.into_iter()
}

fn finish(session: &Session, request: &DumpRequest, report: &DumpReport) -> Exit {
    let console = &session.console;
    let stored = match report.stored_bytes == report.uncompressed_bytes {
        true => String::new(),
        false => format!(" ({} stored)", bytes(report.stored_bytes)),
    };
    console.log(format_args!(
        "dumped {} of {}, {}{stored}, to {} in {:.1} seconds ({})",
        counted(report.documents, "document"),
        counted(report.namespaces.len() as u64, "namespace"),
        bytes(report.uncompressed_bytes),
        request.output,
        report.duration_seconds,
        rate(report.uncompressed_bytes, report.duration_seconds)
    ));
    console.json("report", report);
    session.outcome.figures(dumped(report, 0));
    match report.problems.is_empty() || !session.strict {
        true => Exit::Done,
        false => Exit::Problems,
    }
}
