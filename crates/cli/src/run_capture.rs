//! `rdump capture`: stores what is written to a deployment, until it is stopped.

use std::sync::Arc;

use anyhow::Context;
use rdump::{CancellationToken, Capture, Counters, Repository, Source};
use tokio::{net::TcpListener, sync::mpsc};

use crate::{
    convert::CaptureRequest,
    exit::Exit,
    metrics::{self, CaptureMetrics, Registry},
    monitor::tell_of_failures,
    notify::Notice,
    progress::capture_line,
    session::{Session, connected},
};

/// How many gaps wait for being told.
const MOST_GAPS: usize = 16;

/// Captures.
pub(crate) async fn run(session: &Session, request: CaptureRequest) -> anyhow::Result<Exit> {
    let console = &session.console;
    session.outcome.about(&request.location);
    let listener = match &request.metrics_listen {
        Some(address) => {
            let listener = TcpListener::bind(address).await;
            let listener = listener
                .with_context(|| format!("cannot listen on {address}, as --metrics-listen says"))?;
            let address = listener.local_addr()?;
            console.log(format_args!("metrics are at http://{address}/metrics"));
            Some(listener)
        }
        None => None,
    };
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
    let counters = Arc::new(Counters::default());
    let served = session.monitor().and_then(|it| it.registry.clone());
    let is_watched = listener.is_some() || served.is_some();
    let registry = served.unwrap_or_else(|| Arc::new(Registry::new()));
    let place = request.location.to_string();
    let metrics = CaptureMetrics::new(&registry, place, Arc::clone(&counters));
    if is_watched {
        let timeline = session
            .unless_cancelled("looking at what is captured", repository.timeline())
            .await?;
        let until = timeline.stretches().iter().map(|it| it.end).max();
        until
            .into_iter()
            .for_each(|until| metrics.captured_until(until));
    }
    let (gaps, mut to_tell) = mpsc::channel(MOST_GAPS);
    let told = console.clone();
    let observer = move |event: &rdump::Event| {
        told.json("event", event);
        metrics.on_event(event);
        if let rdump::Event::Gap { message, .. } = event
            && gaps.try_send(message.clone()).is_err()
        {
            told.always("WARNING: there are more gaps than can be told of");
        }
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
        .counters(counters)
        .cancel(session.cancel.clone());
    let capture = match request.no_lock {
        true => capture.lease(None),
        false => capture,
    };
    console.log(format_args!("capturing into {repository}"));
    let over = CancellationToken::new();
    let serving = async {
        if let Some(listener) = listener {
            metrics::serve(listener, registry, over.clone()).await;
        }
    };
    let capturing = async {
        let _over = over.clone().drop_guard();
        let report = capture.run().await;
        // With it goes who says that there are gaps.
        drop(capture);
        report
    };
    let telling = async {
        while let Some(gap) = to_tell.recv().await {
            tell_of_gap(session, &gap).await;
        }
    };
    let (report, (), ()) = tokio::join!(capturing, serving, telling);
    let report = report?;
    session.outcome.figures([
        (&metrics::SLICES, report.slices),
        (&metrics::DOCUMENTS, report.entries),
        (&metrics::UNCOMPRESSED_BYTES, report.uncompressed_bytes),
        (&metrics::STORED_BYTES, report.stored_bytes),
        (&metrics::GAPS_FOUND, report.gaps),
        (&metrics::OPEN_GAPS, report.open_gaps),
        (&metrics::PROBLEMS, report.gaps + report.open_gaps),
    ]);
    let until = report.captured_until.map(|until| u64::from(until.seconds));
    session
        .outcome
        .figures(until.map(|until| (&metrics::CAPTURED_UNTIL, until)));
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

/// Tells those who want to know of a gap while the capture goes on.
async fn tell_of_gap(session: &Session, message: &str) {
    let Some(monitor) = session.monitor() else {
        return;
    };
    let Some(notifier) = &monitor.notifier else {
        return;
    };
    let notice = Notice::of_gap(&monitor.operation, session.outcome.so_far(), message);
    let notice = notice.of_job(monitor.job.as_deref());
    let failed = tell_of_failures(&session.console, &notifier.send(&notice).await);
    session.outcome.not_told(failed);
}
