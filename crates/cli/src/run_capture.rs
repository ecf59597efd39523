//! `rdump capture`: stores what is written to a deployment, until it is stopped.

use std::sync::Arc;

use rdump::{Capture, Repository, Source};

use crate::{
    convert::CaptureRequest,
    exit::Exit,
    progress::capture_line,
    session::{Session, connected},
};

/// Captures.
pub(crate) async fn run(session: &Session, request: CaptureRequest) -> anyhow::Result<Exit> {
    let console = &session.console;
    let begun = async {
        let source = Source::connect(&request.connect).await?;
        console.details(connected(source.server()));
        let repository =
            Repository::open_or_init_by(&request.location, session.actor.clone()).await?;
        Ok::<_, rdump::Error>((source, repository))
    };
    let Some(begun) = session.cancel.run_until_cancelled(begun).await else {
        console.log("stopped before anything was captured");
        return Ok(Exit::Done);
    };
    let (source, repository) = begun?;
    let told = console.clone();
    let observer = move |event: &rdump::Event| {
        told.json("event", event);
        match capture_line(event) {
            Some((line, true)) => told.details(line),
            Some((line, false)) => told.log(line),
            None => {}
        }
    };
    let capture = Capture::new(&source, &repository)
        .options(request.options)
        .recipients(request.recipients)
        .observer(Arc::new(observer))
        .cancel(session.cancel.clone());
    let capture = match request.no_lock {
        true => capture.lease(None),
        false => capture,
    };
    console.log(format_args!("capturing into {repository}"));
    let report = capture.run().await?;
    console.log(format_args!("captured {report}"));
    console.json("report", &report);
    if let (false, Some(until)) = (console.wants_json(), report.captured_until) {
        console.stdout(&format!("{until}\n"));
    }
    if report.open_gaps > report.gaps {
        console.always("there is a gap that no snapshot is after: take a snapshot");
    }
    Ok(match report.gaps + report.open_gaps {
        0 if report.problems.is_empty() => Exit::Done,
        _ => Exit::Problems,
    })
}
