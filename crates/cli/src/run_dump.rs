//! `rdump`: dumps what the request says.

use std::sync::Arc;

use rdump::{Counters, Dump, DumpReport, FolderWriter, Source};

use crate::{
    convert::DumpRequest,
    exit::Exit,
    progress::{Progress, Verb},
    session::{Session, is_cancelled},
    units::{bytes, counted, rate},
};

/// Dumps.
pub(crate) async fn run(session: &Session, request: DumpRequest) -> anyhow::Result<Exit> {
    let console = &session.console;
    let Some(source) = session
        .unless_cancelled(Source::connect(&request.connect))
        .await?
    else {
        return Ok(Exit::cancelled(session.strict));
    };
    let counters = Arc::new(Counters::default());
    let verb = Verb::Dump(
        request.location.clone(),
        request.options.compression.codec(),
    );
    let progress = Arc::new(Progress::new(console, verb, Arc::clone(&counters)));

    let writer = FolderWriter::create(&request.location)?;
    let dump = Dump::new(&source, Arc::new(writer))
        .options(request.options.clone())
        .observer(Arc::clone(&progress) as _)
        .cancel(session.cancel.clone())
        .counters(counters);
    let plan = match dump.plan().await {
        Err(error) if is_cancelled(&error) => return Ok(Exit::cancelled(session.strict)),
        plan => plan?,
    };
    if request.dry_run {
        match console.wants_json() {
            true => console.json("plan", serde_json::json!({ "namespaces": &plan })),
            false => console.stdout(&plan.to_string()),
        }
        console.log("dry run completed");
        return Ok(Exit::Done);
    }
    if plan.is_empty() {
        console.log(nothing_there(&request));
        console.json("report", DumpReport::default());
        return Ok(Exit::Done);
    }

    let result = tokio::select! {
        result = dump.run(plan) => result,
        never = progress.keep_telling() => match never {},
    };
    progress.finish();
    match result {
        Ok(report) => Ok(finish(session, &request, &report)),
        Err(error) if is_cancelled(&error) => {
            console.always(format_args!(
                "dump stopped before its end; {} holds no complete dump",
                request.location
            ));
            Ok(Exit::cancelled(session.strict))
        }
        Err(error) => Err(error.into()),
    }
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
        request.location,
        report.duration_seconds,
        rate(report.uncompressed_bytes, report.duration_seconds)
    ));
    console.json("report", report);
    match report.problems.is_empty() || !session.strict {
        true => Exit::Done,
        false => Exit::Problems,
    }
}
