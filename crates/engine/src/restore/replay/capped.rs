//! Inserts into capped collections that the dump may have already.
//!
//! Such a collection is the order of its documents, and which fall out depends on it. What was inserted before the dump came to
//! it may be there, or have fallen out: to insert it again would put it at the end. So what the oplog has of such a collection waits until its last document
//! shows up, and then all of before it is known to be there. If it does not, all came later.

use std::{collections::HashMap, env};

use bson::{RawBson, RawDocument, RawDocumentBuf, doc};
use mongodb::options::{ReadPreference, SelectionCriteria};
use rdump_format::Namespace;
use rdump_oplog::{Entry, OpTime};

use crate::{
    Error, Result,
    catalog::Catalog,
    command,
    restore::{plan::PlannedNamespace, run::Shared},
    retry::patiently,
    spool::{Kept, Purpose, Spool},
};

/// The commands that change nothing of which documents a collection has.
const HARMLESS: [&str; 8] = [
    "applyOps",
    "commitTransaction",
    "abortTransaction",
    "create",
    "collMod",
    "createIndexes",
    "commitIndexBuild",
    "dropIndexes",
];

/// What waits of capped collections.
#[derive(Debug)]
pub(in crate::restore) struct Capped {
    spool: Spool,
    waiting: HashMap<String, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    /// The `_id` of its last document.
    last: RawBson,
    entries: Vec<(bool, Kept)>,
    /// When the first of them was written, if there are any.
    since: Option<OpTime>,
}

/// What becomes of an entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// It does not wait.
    No,
    /// It waits.
    Yes,
    /// It does not wait; what waits of this collection comes before it.
    Released(String),
    /// The collection has it; what waits of it comes now.
    Known(String),
}

impl Capped {
    fn new(last: HashMap<String, RawBson>) -> Self {
        let purpose = Purpose {
            keeps: "what the oplog has of capped collections until it is known what is in them",
            hint: "TMPDIR names another folder",
        };
        let waiting = last.into_iter().map(|(namespace, last)| {
            let waiting = Waiting {
                last,
                entries: Vec::new(),
                since: None,
            };
            (namespace, waiting)
        });
        Self {
            spool: Spool::in_folder(env::temp_dir(), purpose),
            waiting: waiting.collect(),
        }
    }

    /// When the first entry was written that waits.
    pub(super) fn waits_from(&self) -> Option<OpTime> {
        self.waiting.values().filter_map(|it| it.since).min()
    }

    pub(super) fn namespaces(&self) -> Vec<String> {
        self.waiting.keys().cloned().collect()
    }

    pub(super) fn take(&mut self, entry: &Entry<'_>) -> Result<Waits> {
        if self.waiting.is_empty() {
            return Ok(Waits::No);
        }
        match entry.operation() {
            "i" | "u" | "d" => self.take_document(entry),
            "c" => Ok(self.take_command(entry)),
            _ => Ok(Waits::No),
        }
    }

    fn take_document(&mut self, entry: &Entry<'_>) -> Result<Waits> {
        let namespace = entry.namespace();
        let Some(waiting) = self.waiting.get_mut(namespace) else {
            return Ok(Waits::No);
        };
        let is_insert = entry.operation() == "i";
        let object = entry.object().ok();
        let object = object.and_then(|object| RawDocument::from_bytes(object).ok());
        let id = object.and_then(|object| object.get("_id").ok().flatten());
        if is_insert && id.is_some_and(|id| id == waiting.last.as_raw_bson_ref()) {
            // What was inserted before it is there, or has fallen out.
            waiting.entries.retain(|(is_insert, _)| !is_insert);
            return Ok(Waits::Known(namespace.to_owned()));
        }
        let kept = self.spool.append(entry.as_bytes())?;
        waiting.entries.push((is_insert, kept));
        waiting.since.get_or_insert(entry.at());
        Ok(Waits::Yes)
    }

    fn take_command(&mut self, entry: &Entry<'_>) -> Waits {
        let object = entry.object().ok();
        let object = object.and_then(|object| RawDocument::from_bytes(object).ok());
        let command = object.and_then(|object| object.into_iter().next()?.ok());
        let Some((name, subject)) = command else {
            return Waits::No;
        };
        let (name, subject) = (name.as_str(), subject.as_str().unwrap_or_default());
        let db = entry.namespace().split_once('.').map_or("", |(db, _)| db);
        if HARMLESS.contains(&name) {
            return Waits::No;
        }
        let is_rename = name == "renameCollection";
        let affected = self.waiting.keys().find(|namespace| match name {
            "dropDatabase" => namespace.split_once('.').is_some_and(|(of, _)| of == db),
            _ if is_rename => *namespace == subject,
            _ => **namespace == format!("{db}.{subject}"),
        });
        let Some(affected) = affected.cloned() else {
            return Waits::No;
        };
        match is_rename {
            true => Waits::Released(affected),
            // What was in it is gone.
            false => {
                self.waiting.remove(&affected);
                Waits::No
            }
        }
    }

    /// What waits of a collection; nothing does any more.
    pub(super) fn release(&mut self, namespace: &str) -> Vec<Kept> {
        let waiting = self.waiting.remove(namespace);
        let entries = waiting.into_iter().flat_map(|waiting| waiting.entries);
        entries.map(|(_, kept)| kept).collect()
    }

    pub(super) fn read(&mut self, kept: &Kept) -> Result<Vec<u8>> {
        self.spool.read(kept)
    }
}

impl Shared {
    /// The capped collections that are restored, and others too if an earlier run has replayed a part of the oplog already.
    pub(in crate::restore) async fn capped(
        &self,
        namespaces: impl Iterator<Item = &std::sync::Arc<PlannedNamespace>>,
        is_resumed: bool,
    ) -> Result<Capped> {
        let planned = namespaces.filter(|planned| planned.steps.capped);
        let mut found: Vec<Namespace> = planned.map(|planned| planned.namespace.clone()).collect();
        let from = SelectionCriteria::ReadPreference(ReadPreference::Primary);
        let catalog = Catalog {
            deployment: &self.deployment,
            from: &from,
            not_before: None,
        };
        let (cx, max_retries) = (&self.cx, self.options.max_retries);
        if is_resumed {
            let (databases, _) = patiently(cx, max_retries, None, "listing databases", || {
                catalog.databases()
            })
            .await?;
            let mut capped = Vec::new();
            for db in databases.iter().filter(|db| *db != "local") {
                let listed = patiently(cx, max_retries, None, "listing collections", || {
                    catalog.collections(db, doc! { "options.capped": true })
                });
                let listed = listed.await?;
                capped.extend(listed.iter().map(|entry| Namespace::new(db, &entry.name)));
            }
            // What was one in the dump may have been dropped, and be another one by now.
            found = capped;
        }
        let mut last = HashMap::new();
        for namespace in found {
            let collection = self
                .deployment
                .database(&namespace.db)
                .collection::<RawDocumentBuf>(&namespace.collection);
            let what = "looking for its last document";
            let read = patiently(cx, max_retries, Some(&namespace), what, || async {
                let find = collection.find_one(doc! {});
                let find = find.sort(doc! { "$natural": -1 });
                find.selection_criteria(from.clone())
                    .await
                    .map_err(command::error)
            });
            let found = read.await.map_err(|error: Error| {
                error
                    .for_namespace(&namespace)
                    .with_hint("to replay an oplog over a capped collection its last document has to be read: grant the role readAnyDatabase")
            })?;
            let id = found.and_then(|found| Some(found.get("_id").ok()??.into()));
            last.extend(id.map(|id| (namespace.to_string(), id)));
        }
        Ok(Capped::new(last))
    }
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    fn take(capped: &mut Capped, entry: &RawDocumentBuf) -> Waits {
        capped
            .take(&Entry::parse(entry.as_bytes()).unwrap())
            .unwrap()
    }

    fn log(last: i32) -> Capped {
        Capped::new([("shop.log".to_owned(), RawBson::Int32(last))].into())
    }

    fn insert(id: i32) -> RawDocumentBuf {
        rawdoc! { "op": "i", "ns": "shop.log", "o": { "_id": id } }
    }

    #[test]
    fn what_comes_before_the_last_document_is_there_and_what_comes_after_it_is_not() {
        let mut capped = log(3);
        assert_eq!(take(&mut capped, &insert(1)), Waits::Yes);
        let update = rawdoc! { "op": "u", "ns": "shop.log", "o": { "a": 1 }, "o2": { "_id": 1 } };
        assert_eq!(take(&mut capped, &update), Waits::Yes);
        assert_eq!(capped.waits_from(), Some(OpTime::default()));
        let other = rawdoc! { "op": "i", "ns": "shop.x", "o": { "_id": 3 } };
        assert_eq!(take(&mut capped, &other), Waits::No);
        let known = Waits::Known("shop.log".to_owned());
        assert_eq!(take(&mut capped, &insert(3)), known);
        let kept = capped.release("shop.log");
        let [kept] = kept.as_slice() else {
            panic!("{kept:?}");
        };
        assert_eq!(capped.read(kept).unwrap(), update.as_bytes());
        assert_eq!(take(&mut capped, &insert(4)), Waits::No);
    }

    #[test]
    fn a_collection_that_is_dropped_has_nothing_that_waits() {
        let mut capped = log(3);
        assert_eq!(take(&mut capped, &insert(1)), Waits::Yes);
        let command = |o: RawDocumentBuf| rawdoc! { "op": "c", "ns": "shop.$cmd", "o": o };
        assert_eq!(
            take(&mut capped, &command(rawdoc! { "collMod": "log" })),
            Waits::No
        );
        let rename = rawdoc! { "renameCollection": "shop.log", "to": "shop.old" };
        let released = Waits::Released("shop.log".to_owned());
        assert_eq!(take(&mut capped, &command(rename)), released);
        assert_eq!(
            take(&mut capped, &command(rawdoc! { "drop": "log" })),
            Waits::No
        );
        assert!(capped.namespaces().is_empty());
        let mut capped = log(3);
        assert_eq!(
            take(&mut capped, &command(rawdoc! { "dropDatabase": 1 })),
            Waits::No
        );
        assert!(capped.namespaces().is_empty());
    }
}
