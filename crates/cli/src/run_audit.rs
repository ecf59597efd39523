//! `rdump audit`: who did what with a repository, when, with which result.

use jiff::Timestamp;
use rdump::{AuditEntry, AuditReport, Repository, RepositoryId};
use serde::Serialize;
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};

use crate::{
    convert::AuditRequest,
    exit::Exit,
    run_repository::{printable, to_seconds},
    session::Session,
    units::counted,
};

/// What is printed for machines.
#[derive(Serialize)]
struct Told<'a> {
    repository: RepositoryId,
    entries: Vec<Box<RawValue>>,
    report: &'a AuditReport,
}

/// Shows the record, and checks it.
pub(crate) async fn run(
    session: &Session,
    request: AuditRequest,
    json: bool,
) -> anyhow::Result<Exit> {
    let console = &session.console;
    let is_shown = |entry: &AuditEntry| {
        let at = entry.at.parse::<Timestamp>();
        let is_older = |since| at.is_ok_and(|at| at.as_second() < since);
        !request.since.is_some_and(is_older)
    };
    let mut entries: Vec<Box<RawValue>> = Vec::new();
    let read = async {
        let repository = Repository::open(&request.repository).await?;
        let shown = |entry: &AuditEntry| match (is_shown(entry), json) {
            (false, _) => {}
            // As text: values would take ten times as much memory.
            (true, true) => entries.extend(to_raw_value(&document(entry)).ok()),
            (true, false) => console.stdout(&line(entry)),
        };
        let report = repository.audit(request.expected, shown).await?;
        Ok::<_, rdump::Error>((repository, report))
    };
    let (repository, report) = session
        .unless_cancelled("reading the audit record", read)
        .await?;
    if json {
        console.document(Told {
            repository: repository.record().id,
            entries,
            report: &report,
        });
    }
    tell(session, &report);
    Ok(match report.is_whole() {
        true => Exit::Done,
        false => Exit::Damaged,
    })
}

fn tell(session: &Session, report: &AuditReport) {
    let console = &session.console;
    for damage in &report.damage {
        console.always(format_args!("DAMAGED {}: {}", damage.path, damage.message));
    }
    for number in &report.unended {
        console.log(format_args!(
            "what began with entry {number} has not ended, or was killed"
        ));
    }
    let entries = counted(report.entries, "entry");
    match (&report.head, report.damage.len()) {
        (None, 0) => console.log(
            "nothing is recorded: nothing was done with the repository since there are records",
        ),
        (Some(head), 0) => console.log(format_args!(
            "{entries}, each of which follows the one before it; keep the digest of the newest elsewhere, for --expect: {}",
            head.sha256
        )),
        (_, places) => console.always(format_args!(
            "the audit record is damaged in {} ({entries})",
            counted(places as u64, "place")
        )),
    }
}

/// An entry, for people.
fn line(entry: &AuditEntry) -> String {
    let (who, subject) = (&entry.who, &entry.subject);
    let user = match who.user.is_empty() {
        true => "unknown",
        false => &who.user,
    };
    let name = who.name.as_ref().map(|name| format!("{name} "));
    let who = format!("{}{user}@{}", name.unwrap_or_default(), who.host);
    let snapshot = subject.snapshot.as_ref().map(ToString::to_string);
    let moment = |name, at: Option<rdump::OpTime>| at.map(|at| format!("{name} {at}"));
    let place = |name, place: &Option<String>| place.as_ref().map(|it| format!("{name} {it}"));
    let error = entry.error.as_ref().map(|error| match &error.message {
        Some(message) => format!("{}: {message}", error.kind),
        None => error.kind.clone(),
    });
    let figures = entry.figures.iter();
    let figures: Vec<_> = figures
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    let what = [
        snapshot,
        moment("after", subject.after),
        moment("until", subject.until),
        place("from", &subject.from),
        place("to", &subject.to),
        (!figures.is_empty()).then(|| figures.join(", ")),
        error,
    ];
    let what: Vec<_> = what.into_iter().flatten().collect();
    let line = format!(
        "{:>6}  {}  {:<15}  {:<9}  {who}  {}",
        entry.number,
        to_seconds(&entry.at),
        entry.verb,
        entry.result,
        what.join("; ")
    );
    format!("{}\n", printable(line.trim_end()))
}

/// An entry, for machines.
fn document(entry: &AuditEntry) -> Value {
    let (who, subject) = (&entry.who, &entry.subject);
    json!({
        "number": entry.number,
        "at": entry.at,
        "operation": entry.operation,
        "verb": entry.verb,
        "result": entry.result,
        "who": {
            "user": who.user,
            "name": who.name,
            "host": who.host,
            "process": who.process,
            "tool-version": who.tool_version,
        },
        "snapshot": subject.snapshot,
        "after": subject.after,
        "until": subject.until,
        "from": subject.from,
        "to": subject.to,
        "figures": entry.figures,
        "error": entry.error,
        "previous": entry.previous,
    })
}
