//! `rdump bundle` and `rdump unbundle`: a snapshot as one stream.

use std::{
    io::{self, IsTerminal, Read},
    sync::Arc,
};

use anyhow::{Context, bail};
use rdump::{
    Counters, Location, Repository,
    storage::{Sink, StreamUpload},
};
use serde_json::json;

use crate::{
    convert::{BundleRequest, UnbundleRequest},
    exit::Exit,
    progress::{Progress, Verb},
    session::{Session, Stopped},
    units::{bytes, counted},
};

/// Writes a snapshot as one stream.
pub(crate) async fn bundle(
    session: &Session,
    request: BundleRequest,
    json: bool,
) -> anyhow::Result<Exit> {
    let found = async {
        let repository = Repository::open(&request.repository).await?;
        let repository = repository.actor(session.actor.clone());
        let id = repository.find_id(&request.snapshot).await?;
        Ok::<_, rdump::Error>((repository, id))
    };
    let (repository, id) = session
        .unless_cancelled("looking for the snapshot", found)
        .await?;
    let (to, place) = output(request.file.as_ref(), "a bundle")?;
    let progress = progress(session);
    let observer = Arc::clone(&progress);
    let bundled = repository.bundle(&id, to, observer, session.cancel.clone());
    let report = bundled.await;
    progress.finish();
    let stopped = format!("stopped, {place} holds no whole bundle");
    let report = report.map_err(|error| Stopped::or(error, stopped))?;
    let console = &session.console;
    console.log(format_args!(
        "snapshot {id} is now in {place}: {} in {} of data, in {:.1} seconds",
        bytes(report.bundle_bytes),
        counted(report.objects, "object"),
        report.duration_seconds
    ));
    if json {
        console.document(json!({ "snapshot": id, "report": report }));
    }
    Ok(Exit::Done)
}

/// What is written to, standard output by default, and its name.
pub(crate) fn output(file: Option<&Location>, what: &str) -> anyhow::Result<(Sink, String)> {
    let Some(file) = file else {
        if io::stdout().is_terminal() {
            bail!("{what} is not for a terminal: name a FILE, or send standard output elsewhere");
        }
        let stream = StreamUpload::new("stdout", io::stdout());
        return Ok((Sink::Stream(stream), "stdout".to_owned()));
    };
    let to = file.sink();
    let to = to.with_context(|| format!("cannot write {what} to {file}"))?;
    Ok((to, file.to_string()))
}

/// Takes such a stream into a repository.
pub(crate) async fn unbundle(
    session: &Session,
    request: UnbundleRequest,
    json: bool,
) -> anyhow::Result<Exit> {
    if request.file.is_none() && io::stdin().is_terminal() {
        bail!("a bundle does not come from a terminal: name a FILE, or give one on standard input");
    }
    let (input, name): (Box<dyn Read + Send>, _) = match &request.file {
        None => (Box::new(io::stdin()), "stdin".to_owned()),
        Some(file) => {
            let opened = session.unless_cancelled("opening the bundle", file.source());
            (opened.await?, file.to_string())
        }
    };
    let progress = progress(session);
    let observer = Arc::clone(&progress);
    let cancel = session.cancel.clone();
    let unbundled = Repository::unbundle_by(
        &request.repository,
        (&*name, input),
        session.actor.clone(),
        observer,
        cancel,
    );
    let report = unbundled.await;
    progress.finish();
    let stopped = "stopped, there is no snapshot of it";
    let report = report.map_err(|error| Stopped::or(error, stopped))?;
    let console = &session.console;
    console.log(format_args!(
        "snapshot {} of {name} is now in {}: {} in {}, in {:.1} seconds",
        report.id,
        request.repository,
        bytes(report.stored_bytes),
        counted(report.objects, "object"),
        report.duration_seconds
    ));
    for problem in &report.problems {
        console.always(format_args!("WARNING: {problem}"));
    }
    match json {
        true => console.document(json!({ "snapshot": report.id, "report": report })),
        false => console.stdout(&format!("{}\n", report.id)),
    }
    Ok(match report.problems.is_empty() {
        true => Exit::Done,
        false => Exit::Problems,
    })
}

/// Tells what a person should know.
fn progress(session: &Session) -> Arc<Progress> {
    let counters = Arc::new(Counters::default());
    Arc::new(Progress::new(&session.console, Verb::Copy, counters))
}
