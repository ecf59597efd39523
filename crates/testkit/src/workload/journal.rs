//! What was written, and what must be there because of it.

use std::collections::BTreeMap;

use bson::{RawDocumentBuf, Timestamp, doc};
use futures::TryStreamExt as _;
use mongodb::Client;

/// Discrepancies that are named.
const MAX_NAMED: usize = 10;

/// One write of a workload.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Write {
    /// `db.collection`.
    pub namespace: String,
    /// `_id` of the document.
    pub id: i64,
    /// The document as it is after the write; `None` if the write deletes it.
    pub after: Option<RawDocumentBuf>,
    /// What became of the write.
    pub outcome: Outcome,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It is on a majority of the members; with its time in the oplog, if there is an oplog.
    Acknowledged(Option<Timestamp>),
    /// It was not carried out.
    Rejected,
    /// Nobody knows.
    Unknown,
}

/// What a document must be like.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Expected {
    /// Just so.
    Document(RawDocumentBuf),
    /// Not there.
    Absent,
    /// One of these; `None` stands for its absence.
    OneOf(Vec<Option<RawDocumentBuf>>),
}

/// Every write of a workload, in the order of each writer.
#[derive(Clone, Debug)]
pub struct Journal {
    writes: Vec<Write>,
}

impl Journal {
    pub(super) fn new(writes: Vec<Write>) -> Self {
        Self { writes }
    }

    /// The writes; those to one document are in the order in which they were made.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// Number of writes of which nobody knows whether they were carried out.
    pub fn unknown(&self) -> usize {
        let writes = self.writes.iter();
        writes
            .filter(|write| write.outcome == Outcome::Unknown)
            .count()
    }

    /// What every document that was ever written to must be like now, by namespace and `_id`.
    pub fn expected_state(&self) -> BTreeMap<(String, i64), Expected> {
        self.state_after(|_| true)
    }

    /// What every document must have been like at a time of the oplog.
    ///
    /// Documents with a write of unknown outcome are as uncertain as in [`Journal::expected_state`].
    pub fn state_at(&self, time: Timestamp) -> BTreeMap<(String, i64), Expected> {
        self.state_after(|written| written <= time)
    }

    /// Panics, naming documents, unless the deployment holds what is expected; `namespace` maps names of the
    /// workload to those of where it is looked for.
    pub async fn assert_holds(&self, client: &Client, namespace: impl Fn(&str) -> String) {
        let expected = self.expected_state();
        assert_holds(&expected, client, namespace).await;
    }

    fn state_after(&self, counts: impl Fn(Timestamp) -> bool) -> BTreeMap<(String, i64), Expected> {
        let mut state = BTreeMap::new();
        for write in &self.writes {
            let key = (write.namespace.clone(), write.id);
            let after = match &write.after {
                Some(document) => Expected::Document(document.clone()),
                None => Expected::Absent,
            };
            match write.outcome {
                Outcome::Acknowledged(time) if time.is_none_or(&counts) => {
                    state.insert(key, after);
                }
                Outcome::Acknowledged(_) | Outcome::Rejected => {
                    state.entry(key).or_insert(Expected::Absent);
                }
                Outcome::Unknown => {
                    let before = state.remove(&key).unwrap_or(Expected::Absent);
                    state.insert(
                        key,
                        Expected::OneOf(vec![before.document(), after.document()]),
                    );
                }
            }
        }
        state
    }
}

impl Expected {
    /// Whether this is a state that is expected.
    pub fn allows(&self, found: Option<&RawDocumentBuf>) -> bool {
        match self {
            Self::Document(document) => found == Some(document),
            Self::Absent => found.is_none(),
            Self::OneOf(states) => states.iter().any(|state| state.as_ref() == found),
        }
    }

    fn document(self) -> Option<RawDocumentBuf> {
        match self {
            Self::Document(document) => Some(document),
            // A document with an unknown write is never written to again.
            Self::Absent | Self::OneOf(_) => None,
        }
    }
}

/// Panics, naming documents, unless the deployment holds exactly what is expected.
pub async fn assert_holds(
    expected: &BTreeMap<(String, i64), Expected>,
    client: &Client,
    namespace: impl Fn(&str) -> String,
) {
    let mut by_namespace: BTreeMap<&str, BTreeMap<i64, &Expected>> = BTreeMap::new();
    for ((name, id), expected) in expected {
        by_namespace.entry(name).or_default().insert(*id, expected);
    }
    let mut wrong = Vec::new();
    for (name, expected) in by_namespace {
        let place = namespace(name);
        let mut found = read(client, &place).await;
        for (id, expected) in expected {
            let found = found.remove(&id);
            if !expected.allows(found.as_ref()) {
                wrong.push(format!(
                    "{place} _id {id}: found {found:?}, expected {expected:?}"
                ));
            }
        }
        wrong.extend(
            found
                .keys()
                .map(|id| format!("{place} _id {id}: was never written")),
        );
    }
    let named = &wrong[..wrong.len().min(MAX_NAMED)];
    assert!(
        wrong.is_empty(),
        "{} documents are wrong:\n{}",
        wrong.len(),
        named.join("\n")
    );
}

async fn read(client: &Client, namespace: &str) -> BTreeMap<i64, RawDocumentBuf> {
    let (db, collection) = namespace.split_once('.').expect("a namespace has a dot");
    let collection = client.database(db).collection::<RawDocumentBuf>(collection);
    let documents: mongodb::error::Result<Vec<RawDocumentBuf>> =
        async { collection.find(doc! {}).await?.try_collect().await }.await;
    let documents = documents.unwrap_or_else(|error| panic!("reading {namespace}: {error}"));
    let keyed = documents.into_iter().map(|document| {
        let id = document
            .get_i64("_id")
            .unwrap_or_else(|error| panic!("in {namespace}: {error}"));
        (id, document)
    });
    keyed.collect()
}
