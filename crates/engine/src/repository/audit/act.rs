//! One operation, and what is taken down of it.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rdump_format::repository::{
    AuditEntry, AuditError, AuditResult, AuditSubject, AuditVerb, SnapshotId,
};
use rdump_storage::Sink;

use super::cut;
use crate::{Error, ErrorKind, OpTime, Repository, Result, ServerInfo};

/// How long an entry is tried to be written: an operation that has ended does not wait for ever for a store that is gone.
const LAST_STEP: Duration = Duration::from_secs(20);

/// An operation on a repository, on its way into the record of what was done there.
#[derive(Clone, Debug)]
pub struct Act {
    repository: Repository,
    operation: String,
    verb: AuditVerb,
    subject: AuditSubject,
    /// Whether nothing of an error may be told but its kind.
    is_private: bool,
    begun: Instant,
}

/// What there is to tell of an operation that came to its end.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    problems: u64,
    figures: Vec<(&'static str, u64)>,
}

impl Outcome {
    /// One that has so many problems.
    pub(crate) fn new(problems: usize) -> Self {
        let (problems, figures) = (problems as u64, Vec::new());
        Self { problems, figures }
    }

    pub(crate) fn figure(mut self, name: &'static str, value: u64) -> Self {
        self.figures.push((name, value));
        self
    }
}

impl Repository {
    /// Something that is done with the repository from now on.
    pub(crate) fn act(&self, verb: AuditVerb) -> Act {
        let operation = bson::Uuid::new().bytes();
        Act {
            repository: self.clone(),
            operation: hex::encode(&operation[..8]),
            verb,
            subject: AuditSubject::default(),
            is_private: false,
            begun: Instant::now(),
        }
    }
}

impl Act {
    pub(crate) fn snapshot(mut self, id: Option<&SnapshotId>) -> Self {
        self.subject.snapshot = id.cloned();
        self
    }

    pub(crate) fn after(mut self, at: Option<OpTime>) -> Self {
        self.subject.after = at;
        self
    }

    pub(crate) fn until(mut self, at: Option<OpTime>) -> Self {
        self.subject.until = at;
        self
    }

    /// Sets where it came from: a deployment or a place as it may be shown.
    pub(crate) fn from(mut self, place: impl fmt::Display) -> Self {
        self.subject.from = Some(cut(&place.to_string()));
        self
    }

    /// Sets where it went to, in the same way.
    pub(crate) fn to(mut self, place: impl fmt::Display) -> Self {
        self.subject.to = Some(cut(&place.to_string()));
        self
    }

    /// Sets when it began. Default: when it was made.
    pub(crate) fn since(mut self, begun: Instant) -> Self {
        self.begun = begun;
        self
    }

    /// Sets whether what it is about is encrypted: then messages, which may name namespaces, stay out of the entry.
    pub(crate) fn private(mut self, yes: bool) -> Self {
        self.is_private = yes;
        self
    }

    /// Takes down that it begins.
    pub(crate) async fn begin(&self) -> Result<()> {
        self.put(AuditResult::Started, BTreeMap::new(), None).await
    }

    /// Takes down that it has ended and how; gives what keeps that from being taken down.
    pub(crate) async fn end<T>(
        &self,
        ended: &Result<T>,
        told: impl FnOnce(&T) -> Outcome,
    ) -> Option<String> {
        let (result, outcome, error) = match ended {
            Ok(done) => {
                let outcome = told(done);
                let result = match outcome.problems {
                    0 => AuditResult::Done,
                    _ => AuditResult::Problems,
                };
                (result, outcome, None)
            }
            Err(error) if error.kind() == ErrorKind::Cancelled => {
                (AuditResult::Cancelled, Outcome::default(), None)
            }
            Err(error) => {
                let error = redacted(error, self.is_private);
                (AuditResult::Failed, Outcome::default(), Some(error))
            }
        };
        let figures = outcome.figures.into_iter().filter(|(_, value)| *value > 0);
        let mut figures: BTreeMap<_, _> = figures
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        if outcome.problems > 0 {
            figures.insert("problems".to_owned(), outcome.problems);
        }
        figures.insert("seconds".to_owned(), self.begun.elapsed().as_secs());
        let put = self.put(result, figures, error).await;
        put.err().map(|error| error.to_string())
    }

    async fn put(
        &self,
        result: AuditResult,
        figures: BTreeMap<String, u64>,
        error: Option<AuditError>,
    ) -> Result<()> {
        let mut entry = AuditEntry::new(
            self.repository.record().id,
            &self.operation,
            Timestamp::now().to_string(),
            self.repository.actor.record(),
            (self.verb, result),
        );
        entry.subject = self.subject.clone();
        (entry.figures, entry.error) = (figures, error);
        let put = Box::pin(self.repository.append(entry));
        let put = tokio::time::timeout(LAST_STEP, put)
            .await
            .unwrap_or_else(|_| {
                let seconds = LAST_STEP.as_secs();
                let message = format!("the store did not answer within {seconds} seconds");
                Err(Error::new(ErrorKind::Unavailable, message))
            });
        put.map_err(|error| {
            let (verb, place) = (self.verb, self.repository.location());
            let message = format!("the audit record of {place} has no entry of this {verb}");
            let told = Error::new(error.kind(), format!("{message}: {error}"));
            let hint = error.hint().map(str::to_owned);
            hint.into_iter().fold(told, Error::with_hint)
        })
    }
}

/// What may be told of an error: a server quotes values of documents in its messages, in quotation marks and braces.
fn redacted(error: &Error, is_private: bool) -> AuditError {
    let text = error.to_string();
    let plain: String = text
        .chars()
        .take_while(|it| !"{\"'`“‘".contains(*it) && !it.is_control())
        .collect();
    let message = match plain.len() == text.len() {
        true => plain,
        false => format!("{}…", plain.trim_end()),
    };
    AuditError::new(error.kind().as_str(), (!is_private).then(|| cut(&message)))
}

/// What a deployment is called: its set name, and where its members are.
pub(crate) fn deployment(server: &ServerInfo) -> String {
    let hosts = server.hosts.join(",");
    match &server.set_name {
        Some(name) => format!("{name}/{hosts}"),
        None => hosts,
    }
}

/// What a place is called that one object goes to.
pub(crate) fn sink(to: &Sink) -> String {
    match to {
        Sink::Object { store, path } => format!("{} in {}", path, store.location()),
        Sink::Stream(_) => "a stream".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_of_a_document_is_not_told() {
        let told = |message: &str, is_private| {
            let error = redacted(&Error::conflict(message), is_private);
            (error.kind, error.message)
        };
        let of = |message: &str| ("conflict".to_owned(), Some(message.to_owned()));
        assert_eq!(told("it is there", false), of("it is there"));
        for quoted in [
            "E11000 duplicate key { email: \"a@b\" }",
            "E11000 duplicate key \"a@b\"",
            "E11000 duplicate key 'a@b'",
            "E11000 duplicate key\nsecret",
        ] {
            assert_eq!(told(quoted, false), of("E11000 duplicate key…"));
        }
        assert_eq!(
            told("shop.orders: it is there", true),
            ("conflict".to_owned(), None)
        );
        let long = told(&"x".repeat(5000), false).1.unwrap();
        assert_eq!(long.len(), super::super::MOST_CHARACTERS);
    }
}
