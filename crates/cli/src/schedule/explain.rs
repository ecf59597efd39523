//! A plan in words, and what it can lose at worst.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use rdump::CaptureOptions;

use super::{
    job::{Job, Kind},
    plan::Plan,
    timetable::Missed,
};

/// Says what is done when, what could be lost at worst, and what is missing.
pub(crate) fn explain(plan: &Plan, now: Timestamp) -> String {
    let mut text = format!(
        "Times are those of {}. At most {} jobs are under way at once, beside captures. What was done is noted in {}.\n",
        plan.zone,
        plan.at_once,
        plan.state.display()
    );
    for job in &plan.jobs {
        // Writing to a string does not fail.
        let _written = write!(text, "\n{}\n", of_job(job, now));
    }
    text.push_str("\nAt worst is lost\n");
    let backups = plan.jobs.iter().filter(|job| job.kind == Kind::Backup);
    for job in backups.clone() {
        let _written = writeln!(text, "  {}", at_worst(plan, job, now));
    }
    if backups.clone().next().is_none() {
        text.push_str("  everything: there is no backup\n");
    }
    let missing = missing(plan);
    if !missing.is_empty() {
        text.push_str("\nTo think about\n");
        for line in missing {
            let _written = writeln!(text, "  {line}");
        }
    }
    text
}

fn of_job(job: &Job, now: Timestamp) -> String {
    let mut text = format!("{}: ", job.name);
    match &job.timing {
        None => text.push_str("all the time; begun again when it fails"),
        Some(timing) => {
            let next = timing.occurrences.after(now);
            let next = next.map_or_else(|| "never".to_owned(), |next| job.shown_time(next));
            let missed = match timing.missed {
                Missed::Run => "done as soon as it can be",
                Missed::Skip => "left out",
            };
            let _written = write!(
                text,
                "{}, the next time at {next}; what cannot begin within {} is {missed}; tried {} more times if it fails",
                timing.occurrences.described(),
                shown(timing.start_window),
                timing.retries
            );
        }
    }
    let variables = job.variables();
    let _written = write!(text, "\n  {variables}{}", job.shown());
    text
}

fn shown(duration: SignedDuration) -> String {
    format!("{duration:#}")
}

/// The longest time between two of a job, and how late the second may begin.
fn pause(job: &Job, now: Timestamp) -> Option<SignedDuration> {
    let timing = job.timing.as_ref()?;
    let longest = timing.occurrences.longest_pause(now)?;
    longest.checked_add(timing.start_window)
}

fn at_worst(plan: &Plan, backup: &Job, now: Timestamp) -> String {
    let is_captured = |it: &&Arc<Job>| {
        it.kind == Kind::Capture
            && it.repository == backup.repository
            && it.deployment == backup.deployment
    };
    let deployment = backup.deployment.as_deref().unwrap_or_default();
    let longest = pause(backup, now).map_or_else(|| "for ever".to_owned(), shown);
    let capture = plan.jobs.iter().find(is_captured);
    let mut text = match capture {
        Some(capture) => {
            let usual = SignedDuration::try_from(CaptureOptions::default().slice_age);
            let usual = usual.map_or_else(|_| String::new(), shown);
            let age = value_of(capture, "--slice-age").map_or(usual, str::to_owned);
            format!(
                "of {deployment}: what was written in the last {age}, and what the capture is behind by, as long as it is up (RPO {age})"
            )
        }
        None => format!(
            "of {deployment}: what was written since the last snapshot: {longest}, and as long as a backup takes (RPO {longest}); a capture would make that seconds"
        ),
    };
    if is_of_part(backup) {
        text.push_str("; all of what it leaves out");
    }
    let skips = |it: &Job| {
        let timing = it.timing.as_ref();
        timing.is_some_and(|it| it.missed == Missed::Skip)
    };
    if capture.is_none() && skips(backup) {
        let _written = write!(text, "; once more for each that is left out, by `missed`");
    }
    let copies = plan.jobs.iter();
    let copies = copies.filter(|it| it.kind == Kind::Copy && it.repository == backup.repository);
    for copy in copies {
        let behind = pause(copy, now);
        let has_timeline = capture.is_some() && copy.line.iter().any(|it| it == "--timeline");
        // A snapshot may have been made right after the copy began.
        let lost = match has_timeline {
            true => behind,
            false => behind.and_then(|behind| behind.checked_add(pause(backup, now)?)),
        };
        let lost = lost.map_or_else(|| "for ever".to_owned(), shown);
        let _written = write!(
            text,
            "; if {} is lost too, {lost}, and as long as {:?} takes (RPO {lost})",
            backup.repository, copy.name
        );
        if !has_timeline && capture.is_some() {
            text.push_str("; its --timeline would copy what is captured too");
        }
    }
    text
}

/// Whether something is left out of a backup.
fn is_of_part(backup: &Job) -> bool {
    const PARTS: &[&str] = &[
        "--db",
        "-d",
        "--collection",
        "-c",
        "--nsInclude",
        "--nsExclude",
        "--excludeCollection",
        "--excludeCollectionsWithPrefix",
        "--query",
        "-q",
        "--queryFile",
    ];
    let name = |it: &String| {
        it.split_once('=')
            .map_or(it.clone(), |(name, _)| name.to_owned())
    };
    backup
        .line
        .iter()
        .map(name)
        .any(|it| PARTS.contains(&it.as_str()))
}

/// The value of an option of a job.
fn value_of<'a>(job: &'a Job, name: &str) -> Option<&'a str> {
    let mut words = job.line.iter();
    while let Some(word) = words.next() {
        match word.strip_prefix(name) {
            Some("") => return words.next().map(String::as_str),
            Some(rest) if rest.starts_with('=') => return rest.strip_prefix('='),
            _ => {}
        }
    }
    None
}

/// What a plan should have, and has not.
fn missing(plan: &Plan) -> Vec<String> {
    let mut missing = Vec::new();
    let has = |kind: Kind, repository: &str| {
        let mut jobs = plan.jobs.iter();
        jobs.any(|it| it.kind == kind && it.repository == repository)
    };
    // A drill with a copy shows the same, and that the copy is of use.
    let has_drill = |repository: &str| {
        let copies = plan.jobs.iter();
        let copies = copies.filter(|it| it.kind == Kind::Copy && it.repository == repository);
        let places: Vec<_> = copies.filter_map(|it| value_of(it, "--to")).collect();
        let mut drills = plan.jobs.iter().filter(|it| it.kind == Kind::Drill);
        drills.any(|it| {
            let place = value_of(it, "--repo");
            it.repository == repository || place.is_some_and(|place| places.contains(&place))
        })
    };
    let backups = plan.jobs.iter().filter(|it| it.kind == Kind::Backup);
    let repositories: BTreeSet<&str> = backups.map(|it| it.repository.as_str()).collect();
    let copied = plan.jobs.iter().filter_map(|it| it.to.as_deref());
    let copied: BTreeSet<&str> = copied.filter(|name| !repositories.contains(name)).collect();
    for name in repositories.iter().chain(&copied) {
        if !has(Kind::Verify, name) {
            missing.push(format!(
                "nobody verifies {name}: `status` calls no snapshot good that was not"
            ));
        }
        if !has(Kind::Prune, name) {
            missing.push(format!("{name} grows for ever: nothing is pruned"));
        }
    }
    for name in repositories {
        if !has_drill(name) {
            missing.push(format!(
                "nobody restores from {name} for practice: a drill shows whether it can be done"
            ));
        }
        if !has(Kind::Copy, name) {
            missing.push(format!(
                "{name} is in one place: a copy elsewhere survives the loss of it"
            ));
        }
    }
    let mut seen = BTreeMap::new();
    for job in &plan.jobs {
        let before = seen.insert((job.kind, &job.repository), &job.name);
        if let Some(before) = before.filter(|_| plan.metrics_listen.is_some()) {
            missing.push(format!(
                "metrics do not tell {before:?} from {:?}: they have the same labels, and the later one takes the place of the other",
                job.name
            ));
        }
    }
    missing
}
