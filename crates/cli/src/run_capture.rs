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
    let source = session
        .unless_cancelled("connecting", Source::connect(&request.connect))
        .await?;
    console.details(connected(source.server()));
    let opened = Repository::open_or_init(&request.location);
    let repository = session
        .unless_cancelled("opening the repository", opened)
        .await?;
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
    Ok(match report.gaps {
        0 => Exit::Done,
        _ => Exit::Problems,
    })
}
