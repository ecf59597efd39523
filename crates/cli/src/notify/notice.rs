//! What somebody is told.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    exit::Exit,
    metrics::{self, Metric},
    outcome::Told,
    units::bytes,
};

/// The version of the document; it changes when it loses something or something in it means something else.
const VERSION: u32 = 1;
/// How much of a message is told, in letters.
const MOST_MESSAGE: usize = 4000;

/// What happened, as those who are told choose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Event {
    /// A run is done.
    Success,
    /// It is done, but for something.
    Problems,
    /// It is not done.
    Failure,
    /// Something is damaged.
    Damage,
    /// Something of what was written is missing.
    Gap,
}

/// What is told.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    /// None of a test.
    pub(super) event: Option<Event>,
    operation: String,
    /// The job of a plan that it was.
    job: Option<String>,
    told: Told,
    message: String,
    exit_code: Option<u8>,
    error_kind: Option<&'static str>,
    time: Timestamp,
    host: String,
}

impl Notice {
    /// How a run ended.
    pub(crate) fn of_run(operation: &str, exit: Exit, told: Told) -> Self {
        let figure = |metric: &Metric| {
            let found = told.figures.iter().find(|(it, _)| it.name == metric.name);
            found.map(|(_, value)| *value)
        };
        let damage = figure(&metrics::DAMAGE).unwrap_or_default();
        // Others know of gaps too, and would tell the same each time.
        let is_capture = figure(&metrics::GAPS_FOUND).is_some();
        let has_gap = is_capture && figure(&metrics::OPEN_GAPS) > Some(0);
        let event = match exit {
            Exit::Damaged => Event::Damage,
            _ if damage > 0 => Event::Damage,
            exit if !exit.is_good() => Event::Failure,
            Exit::Done => Event::Success,
            _ if has_gap => Event::Gap,
            _ => Event::Problems,
        };
        let message = match (&told.failure, event) {
            (Some((_, message)), _) => message.clone(),
            (None, Event::Success) => "done".to_owned(),
            (None, Event::Problems) => "done with problems, which its log names".to_owned(),
            (None, Event::Failure) => "failed, as its log says".to_owned(),
            (None, Event::Damage) => match damage {
                0 => "damage was found, which its log names".to_owned(),
                places => format!("damage was found in {places} places, which its log names"),
            },
            (None, Event::Gap) => "there is a gap that no snapshot is after: take one".to_owned(),
        };
        Self {
            event: Some(event),
            exit_code: Some(exit.code()),
            error_kind: told.error_kind(exit),
            ..Self::new(operation, told.clone(), &message)
        }
    }

    /// That a run that goes on found a gap.
    pub(crate) fn of_gap(operation: &str, told: Told, message: &str) -> Self {
        Self {
            event: Some(Event::Gap),
            ..Self::new(operation, told, message)
        }
    }

    /// What became of a job that there is no run of.
    pub(crate) fn of_no_run(operation: &str, event: Event, message: &str) -> Self {
        Self {
            event: Some(event),
            ..Self::new(operation, Told::default(), message)
        }
    }

    /// The same, with the name of the job.
    pub(crate) fn of_job(self, job: Option<&str>) -> Self {
        let job = job.map(str::to_owned);
        Self { job, ..self }
    }

    /// That this is how notices come.
    pub(crate) fn test() -> Self {
        Self::new("notify-test", Told::default(), "this is how notices come")
    }

    fn new(operation: &str, told: Told, message: &str) -> Self {
        let host = nix::unistd::gethostname().ok();
        let host = host.and_then(|host| host.into_string().ok());
        Self {
            event: None,
            operation: operation.to_owned(),
            job: None,
            told,
            message: message.chars().take(MOST_MESSAGE).collect(),
            exit_code: None,
            error_kind: None,
            time: Timestamp::now(),
            host: host.unwrap_or_default(),
        }
    }

    fn event_name(&self) -> &'static str {
        match self.event {
            None => "test",
            Some(Event::Success) => "success",
            Some(Event::Problems) => "problems",
            Some(Event::Failure) => "failure",
            Some(Event::Damage) => "damage",
            Some(Event::Gap) => "gap",
        }
    }

    /// In a few words.
    pub(super) fn title(&self) -> String {
        let of = match &self.told.repository {
            Some(repository) => format!(" of {repository}"),
            None => String::new(),
        };
        format!("rdump {}{of}: {}", self.operation, self.event_name())
    }

    /// As a document.
    pub(super) fn document(&self) -> Value {
        let figures = self.told.figures.iter();
        let figures: Map<String, Value> = figures
            .map(|(metric, value)| (metric.key(), (*value).into()))
            .collect();
        json!({
            "version": VERSION,
            "event": self.event_name(),
            "operation": self.operation,
            "job": self.job,
            "repository": self.told.repository,
            "snapshot": self.told.snapshot,
            "message": self.message,
            "error-kind": self.error_kind,
            "exit-code": self.exit_code,
            "figures": figures,
            "duration-seconds": self.told.seconds,
            "time": self.time.to_string(),
            "host": self.host,
            "rdump": env!("CARGO_PKG_VERSION"),
        })
    }

    /// As a message of Slack.
    pub(super) fn slack(&self) -> Value {
        let sign = match self.event {
            None => ":wave:",
            Some(Event::Success) => ":white_check_mark:",
            Some(Event::Problems) => ":warning:",
            Some(Event::Failure | Event::Damage | Event::Gap) => ":rotating_light:",
        };
        let mut text = format!(
            "{sign} *{}*\n{}",
            escaped(&self.title()),
            escaped(&self.message)
        );
        let mut facts = Vec::new();
        facts.extend(self.job.as_ref().map(|job| format!("job {job:?}")));
        facts.extend(
            self.told
                .snapshot
                .clone()
                .map(|id| format!("snapshot {id}")),
        );
        for (metric, value) in &self.told.figures {
            let shown = match metric.name {
                name if name.ends_with("_bytes") => bytes(*value),
                // A moment is no number for people.
                name if name.ends_with("_timestamp_seconds") => continue,
                _ => value.to_string(),
            };
            facts.push(format!("{} {shown}", metric.key().replace('-', " ")));
        }
        facts.push(format!(
            "on {} at {}",
            self.host,
            self.time.strftime("%FT%TZ")
        ));
        // It is a String: nothing fails.
        let _written = write!(text, "\n{}", escaped(&facts.join(", ")));
        json!({ "text": text })
    }
}

/// What Slack would take for something of its own.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
