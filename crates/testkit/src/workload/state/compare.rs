//! Compares a state with what a deployment holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use bson::{RawDocumentBuf, Timestamp};
use mongodb::{
    Client,
    error::{Error, ErrorKind, Result},
};

use super::{
    Collection, Expected, Kind, Namespace, State,
    read::{self, Listed},
    same::{same_indexes, same_options, sorted},
};
use crate::workload::options::split;

/// Discrepancies that are named.
const MAX_NAMED: usize = 10;
/// The error of reads as of a time that the server cannot go back to.
const SNAPSHOT_UNAVAILABLE: i32 = 246;
/// Characters of a document that are shown.
const SHOWN_CHARACTERS: usize = 400;

/// Panics, naming discrepancies, unless the deployment holds exactly what is expected.
pub async fn assert_holds(state: &State, client: &Client, namespace: impl Fn(&str) -> String) {
    state.assert_holds(client, namespace).await;
}

impl State {
    /// Panics, naming at most 10 discrepancies, unless the deployment holds exactly what is expected.
    ///
    /// `namespace` maps names of the workload to those of where they are looked for. In the databases of the
    /// namespaces that are looked at there must be nothing that the workload never made, but for `system.*`.
    pub async fn assert_holds(&self, client: &Client, namespace: impl Fn(&str) -> String) {
        fail_with(&self.discrepancies(client, namespace).await);
    }

    /// Panics, naming discrepancies, unless the source itself gives these documents for a read at a moment; says of
    /// which namespaces it does.
    ///
    /// The server must keep its history for that long, and must be 5.0 or newer. It gives no such read of a capped
    /// collection, and of one that was created, renamed or got an index about that moment or after it. What was
    /// dropped or renamed since must not be asked for: to the server it was always empty.
    pub async fn assert_read_at(&self, client: &Client, time: Timestamp) -> Vec<&str> {
        let (mut wrong, mut compared) = (Vec::new(), Vec::new());
        for name in self.namespaces.keys() {
            let Some(collection) = self.collection(name) else {
                continue;
            };
            match read::documents(client, split(name), collection.kind(), Some(time)).await {
                Ok(found) => {
                    collection.compare_documents(name, found, &mut wrong);
                    compared.push(&**name);
                }
                Err(error) if is_unavailable(&error) => {}
                Err(error) => panic!("reading {name} as of {time}: {error}"),
            }
        }
        fail_with(&wrong);
        compared
    }

    /// What is not as expected, one line each.
    pub async fn discrepancies(
        &self,
        client: &Client,
        namespace: impl Fn(&str) -> String,
    ) -> Vec<String> {
        let compared = self.compare(client, &namespace).await;
        compared.unwrap_or_else(|error| panic!("reading what a workload has written: {error}"))
    }

    async fn compare(&self, client: &Client, map: &impl Fn(&str) -> String) -> Result<Vec<String>> {
        let mut wrong = Vec::new();
        let mut databases: BTreeMap<String, BTreeMap<String, Listed>> = BTreeMap::new();
        let mut with_output = BTreeSet::new();
        for (name, namespace) in &self.namespaces {
            let place = map(name);
            let (db, collection) = split(&place);
            if !databases.contains_key(db) {
                let listed = read::collections(client, db).await?;
                databases.insert(db.to_owned(), listed);
            }
            if self.outputs.contains(split(name).0) {
                with_output.insert(db.to_owned());
            }
            let found = databases.get_mut(db).and_then(|db| db.remove(collection));
            match (namespace, found) {
                (Namespace::Uncertain, _) | (Namespace::Absent, None) => {}
                (Namespace::Absent, Some(found)) => {
                    wrong.push(format!("{place} is there as a {}", found.kind));
                }
                (Namespace::Present(_), None) => wrong.push(format!("{place} is not there")),
                (Namespace::Present(expected), Some(found)) => {
                    expected.compare(client, &place, &found, &mut wrong).await?;
                }
            }
        }
        for name in &self.left_out {
            let place = map(name);
            let (db, collection) = split(&place);
            databases.get_mut(db).and_then(|db| db.remove(collection));
        }
        for (db, rest) in databases {
            let strays = rest
                .into_keys()
                .filter(|name| !(name.starts_with("tmp.agg_out.") && with_output.contains(&db)));
            wrong.extend(strays.map(|name| format!("{db}.{name} was never made")));
        }
        Ok(wrong)
    }
}

impl Collection {
    async fn compare(
        &self,
        client: &Client,
        place: &str,
        found: &Listed,
        wrong: &mut Vec<String>,
    ) -> Result<()> {
        let kind = match self.kind() {
            Kind::Plain | Kind::Capped => "collection",
            Kind::TimeSeries => "timeseries",
            Kind::View => "view",
        };
        if found.kind != kind {
            wrong.push(format!("{place} is a {} and not a {kind}", found.kind));
            return Ok(());
        }
        if !same_options(&self.options, &found.options) {
            wrong.push(format!(
                "{place} has the options {}, expected {}",
                found.options, self.options
            ));
        }
        if self.kind() == Kind::View {
            return Ok(());
        }
        let (db, collection) = split(place);
        let indexes = read::indexes(client, db, collection).await?;
        if !same_indexes(&self.indexes, &indexes) {
            wrong.push(format!(
                "{place} has the indexes {indexes:?}, expected {:?}",
                self.indexes
            ));
        }
        let found = read::documents(client, (db, collection), self.kind(), None).await?;
        self.compare_documents(place, found, wrong);
        Ok(())
    }

    fn compare_documents(
        &self,
        place: &str,
        found: Vec<(i64, RawDocumentBuf)>,
        wrong: &mut Vec<String>,
    ) {
        if self.kind() == Kind::View {
            return;
        }
        let is_ordered = found.is_sorted_by_key(|(id, _)| *id);
        if self.kind() == Kind::Capped && !is_ordered {
            wrong.push(format!("{place} is not in the order of its inserts"));
        }
        let mut by_id = BTreeMap::new();
        for (id, document) in found {
            if by_id.insert(id, document).is_some() {
                wrong.push(format!("{place} _id {id}: is there twice"));
            }
        }
        for (id, expected) in &self.documents {
            let found = by_id.remove(id);
            let is_same = match self.kind() {
                Kind::TimeSeries => expected
                    .sorted()
                    .allows(found.as_deref().map(sorted).as_ref()),
                Kind::Plain | Kind::Capped | Kind::View => expected.allows(found.as_ref()),
            };
            if !is_same {
                let (found, expected) = (shown(&found), shown(expected));
                wrong.push(format!(
                    "{place} _id {id}: found {found}, expected {expected}"
                ));
            }
        }
        wrong.extend(
            by_id
                .keys()
                .map(|id| format!("{place} _id {id}: is there, and should not be")),
        );
    }
}

impl Expected {
    fn sorted(&self) -> Self {
        match self {
            Self::Document(document) => Self::Document(sorted(document).into()),
            Self::Absent => Self::Absent,
            Self::OneOf(states) => {
                let states = states.iter();
                let sorted = states.map(|state| state.as_ref().map(|state| sorted(state).into()));
                Self::OneOf(sorted.collect())
            }
        }
    }
}

fn is_unavailable(error: &Error) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Command(error) if error.code == SNAPSHOT_UNAVAILABLE)
}

/// A value as text, cut short.
pub(in crate::workload) fn shown(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn fail_with(wrong: &[String]) {
    let named = &wrong[..wrong.len().min(MAX_NAMED)];
    assert!(
        wrong.is_empty(),
        "{} discrepancies:\n{}",
        wrong.len(),
        named.join("\n")
    );
}
