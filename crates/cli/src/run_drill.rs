//! `rrestore drill`: restores for practice. `rdump compare`: compares two deployments.

mod page;

use std::{fs, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use rdump::{
    ComparedNamespace, Comparison, ComparisonReport, Counters, Drill, DrillReport, Drilled,
    Repository, ScratchServer, Source, Target,
};
use serde_json::json;

use crate::{
    console::Console,
    convert::{CompareRequest, DrillChoice, DrillRequest, Scratch},
    exit::Exit,
    metrics::{self, Metric},
    progress::{Progress, Verb},
    session::{Session, Stopped},
};

/// How many namespaces that differ are told of in the log; the report has all.
const TOLD: usize = 100;

/// Restores, compares, and tells.
pub(crate) async fn run(
    session: &Session,
    request: DrillRequest,
    json: bool,
) -> anyhow::Result<Exit> {
    let console = &session.console;
    session.outcome.about(&request.repository);
    let opened = async {
        let repository = Repository::open(&request.repository).await?;
        let repository = repository.identities(request.identities.clone());
        let repository = repository.actor(session.actor.clone());
        let what = match &request.what {
            DrillChoice::Random => Drilled::Random,
            DrillChoice::Moment(point) => Drilled::Moment(*point),
            DrillChoice::Named(name) => Drilled::Snapshot(repository.find_id(name).await?),
        };
        Ok::<_, rdump::Error>((repository, what))
    };
    let opened = session.unless_cancelled("opening the repository", opened);
    let (repository, what) = opened.await?;
    let started = match &request.scratch {
        Scratch::Mongod(mongod, within) => {
            console.log(format_args!("starting {}", mongod.display()));
            let server = ScratchServer::start(mongod, within);
            Some(
                session
                    .unless_cancelled("starting a server", server)
                    .await?,
            )
        }
        Scratch::Deployment(_) => None,
    };
    let of_server = started.as_ref().map(ScratchServer::connect_options);
    let connect = match (&request.scratch, &of_server) {
        (Scratch::Deployment(options), _) => Some(options),
        (Scratch::Mongod(..), options) => options.as_ref(),
    };
    let connect = connect.context("there is no scratch deployment")?;
    let target = Target::connect(connect);
    let target = session.unless_cancelled("connecting", target).await?;
    let counters = Arc::new(Counters::default());
    let progress = Arc::new(Progress::new(console, Verb::Verify, Arc::clone(&counters)));
    let drill = Drill::new(&repository, &target)
        .what(what)
        .select(request.select.clone())
        .keep(request.keep)
        .observer(Arc::clone(&progress) as _)
        .cancel(session.cancel.clone())
        .counters(counters);
    let report = tokio::select! {
        report = Box::pin(drill.run()) => report,
        never = progress.keep_telling() => match never {},
    };
    progress.finish();
    drop(started);
    let stopped = "stopped; what was restored is dropped";
    let report = report.map_err(|error| Stopped::or(error, stopped))?;
    if let Some(file) = &request.report {
        write_report(file, &report)?;
        let file = file.display();
        console.log(format_args!("the report is in {file}.json and {file}.html"));
    }
    tell(console, &report);
    session.outcome.snapshot(&report.snapshot);
    session.outcome.figures(figures(&report));
    match json {
        true => console.document(json!({ "good": report.is_good(), "report": report })),
        false => console.stdout(&format!("{report}\n")),
    }
    Ok(judged(console, &request, &report))
}

fn figures(report: &DrillReport) -> Vec<(&'static Metric, u64)> {
    let compared = report.comparison.iter().flat_map(|it| &it.namespaces);
    let differing = compared.clone().filter(|it| !it.differences.is_empty());
    let damage = differing.count() + usize::from(report.failure.is_some());
    let restored = Duration::try_from_secs_f64(report.restore_seconds);
    let restored = restored.unwrap_or_default().as_secs();
    let lost = report.lost_seconds.map(|it| it.max(0).unsigned_abs());
    let mut figures = vec![
        (&metrics::DOCUMENTS, report.documents),
        (&metrics::NAMESPACES, compared.count() as u64),
        (&metrics::DAMAGE, damage as u64),
        (&metrics::PROBLEMS, report.problems.len() as u64),
        (&metrics::RESTORE_SECONDS, restored),
    ];
    figures.extend(lost.map(|it| (&metrics::LOST_SECONDS, it)));
    figures
}

fn tell(console: &Console, report: &DrillReport) {
    if let Some(failure) = &report.failure {
        console.always(format_args!("it could not be restored: {failure}"));
    }
    for problem in &report.problems {
        console.always(format_args!("problem: {problem}"));
    }
    if let Some(comparison) = &report.comparison {
        tell_differences(console, comparison);
    }
    let lost = report.lost_seconds.map_or_else(
        || "nothing could have been restored".to_owned(),
        |lost| format!("{lost} seconds would have been lost"),
    );
    console.log(format_args!(
        "restored in {:.1} seconds; {lost} had the source been lost when it began",
        report.restore_seconds
    ));
    if !report.kept_databases.is_empty() {
        console.log(format_args!(
            "still there: {}",
            report.kept_databases.join(", ")
        ));
    }
}

fn tell_differences(console: &Console, report: &ComparisonReport) {
    let differing = |it: &&ComparedNamespace| !it.differences.is_empty();
    for namespace in report.namespaces.iter().filter(differing).take(TOLD) {
        for difference in &namespace.differences {
            console.always(format_args!("{}: {difference}", namespace.namespace));
        }
    }
    for namespace in &report.namespaces {
        for why in &namespace.not_compared {
            console.details(format_args!("{}: {why}", namespace.namespace));
        }
    }
    if report.partial > 0 {
        console.log(format_args!(
            "{} namespaces were not compared wholly; the report (--report, --json) says which and why",
            report.partial
        ));
    }
}

fn judged(console: &Console, request: &DrillRequest, report: &DrillReport) -> Exit {
    if !report.is_good() {
        return Exit::Damaged;
    }
    let seconds = |most: Option<Duration>| most.map(|most| most.as_secs_f64());
    let is_slow = seconds(request.max_rto).is_some_and(|most| report.restore_seconds > most);
    if is_slow {
        console.always("the restore took longer than --max-rto");
    }
    let most = request.max_rpo.map(|most| most.as_secs());
    let lost = report.lost_seconds.map(i64::unsigned_abs);
    let is_late = most.is_some_and(|most| lost.is_none_or(|lost| lost > most));
    if is_late {
        console.always("more would have been lost than --max-rpo says");
    }
    match is_slow || is_late {
        true => Exit::Problems,
        false => Exit::Done,
    }
}

/// Writes the report for machines and for people, each whole or not at all.
fn write_report(base: &Path, report: &DrillReport) -> anyhow::Result<()> {
    let document = json!({ "version": 1, "good": report.is_good(), "report": report });
    let text = serde_json::to_string_pretty(&document)?;
    let files = [("json", text + "\n"), ("html", page::of(report))];
    for (extension, text) in files {
        let mut file = base.as_os_str().to_owned();
        file.push(format!(".{extension}"));
        let mut unfinished = file.clone();
        unfinished.push(".tmp");
        let written = fs::write(&unfinished, text).and_then(|()| fs::rename(&unfinished, &file));
        written.with_context(|| format!("cannot write {}", Path::new(&file).display()))?;
    }
    Ok(())
}

/// Compares two deployments.
pub(crate) async fn compare(
    session: &Session,
    request: CompareRequest,
    json: bool,
) -> anyhow::Result<Exit> {
    let console = &session.console;
    let connected = async {
        let expected = Source::connect(&request.expected).await?;
        let actual = Source::connect(&request.actual).await?;
        Ok::<_, rdump::Error>((expected, actual))
    };
    let (expected, actual) = session.unless_cancelled("connecting", connected).await?;
    let comparison = Comparison::of_deployments(&expected, &actual)
        .select(request.select)
        .cancel(session.cancel.clone());
    let report = Box::pin(comparison.run()).await;
    let report = report.map_err(|error| Stopped::or(error, "stopped while comparing"))?;
    tell_differences(console, &report);
    match json {
        true => console.document(json!({ "same": report.is_same(), "report": report })),
        false => console.stdout(&format!("{report}\n")),
    }
    Ok(match report.is_same() {
        true => Exit::Done,
        false => Exit::Damaged,
    })
}
