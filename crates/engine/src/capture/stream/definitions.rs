//! What a stream does not tell of collections, looked up.
//!
//! Servers before 6.0 and Amazon DocumentDB tell of documents and of what is dropped, and nothing of what is created, of indexes and of options. So the catalog is read again, and
//! what is found in it is said by commands that can be said again: each collection is created, and has these indexes and no others.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use bson::{RawDocument, RawDocumentBuf, cstr, doc, rawdoc};
use mongodb::options::SelectionCriteria;
use rdump_format::{INTERNAL_DATABASE_PREFIX, Namespace, RESTORES_DATABASE};
use rdump_oplog::{ChangeEvent, EventEntries, OpTime};

use crate::{
    Result,
    capture::Capture,
    catalog::{Catalog, CollectionEntry, CollectionKind},
};

/// How long it may take until the stream tells that a collection was dropped.
const SUSPICION: Duration = Duration::from_secs(30);
/// The share of the time that looking takes at most is one in this many.
const SHARE: u32 = 10;

pub(super) struct Definitions<'a> {
    capture: &'a Capture,
    from: &'a SelectionCriteria,
    /// What was there when it was last looked for, less what was dropped since then; `None` before the first time.
    known: Option<BTreeMap<Namespace, Definition>>,
    /// What was written to since then, as the stream told.
    told: BTreeSet<Namespace>,
    /// Since when something is missing and something else is there, and nothing was told of either.
    suspected: Option<Instant>,
    /// How long not to look again.
    not_before: Instant,
}

/// What was found.
pub(super) enum Looked {
    /// The entries, of a moment, that bring definitions to what they are now.
    Entries(Vec<RawDocumentBuf>),
    /// A collection may have another name now, of which nothing was told.
    Renamed(String),
}

#[derive(Clone, Debug, PartialEq)]
struct Definition {
    options: RawDocumentBuf,
    indexes: Vec<RawDocumentBuf>,
    is_view: bool,
}

impl<'a> Definitions<'a> {
    pub(super) fn new(capture: &'a Capture, from: &'a SelectionCriteria) -> Self {
        Self {
            capture,
            from,
            known: None,
            told: BTreeSet::new(),
            suspected: None,
            not_before: Instant::now(),
        }
    }

    /// Takes note of what the stream tells.
    pub(super) fn note(&mut self, event: &ChangeEvent<'_>) {
        let (Some(known), Some(namespace)) = (&mut self.known, event.namespace()) else {
            return;
        };
        match event.kind() {
            "drop" | "rename" => drop(known.remove(namespace)),
            "dropDatabase" => known.retain(|it, _| it.db != namespace.db),
            _ if !self.told.contains(namespace) => drop(self.told.insert(namespace.clone())),
            _ => {}
        }
    }

    /// Looks what there is now, unless it was done a short while ago; what is found is said to be of `at`.
    pub(super) async fn look(&mut self, at: OpTime) -> Result<Looked> {
        let began = Instant::now();
        if began < self.not_before {
            return Ok(Looked::Entries(Vec::new()));
        }
        let found = self.read().await?;
        if let Some((gone, new)) = self.renamed(&found) {
            let since = *self.suspected.get_or_insert(began);
            return Ok(match began.duration_since(since) > SUSPICION {
                true => Looked::Renamed(format!(
                    "{gone} is gone and {new} is there, and nothing was told of either"
                )),
                false => Looked::Entries(Vec::new()),
            });
        }
        self.suspected = None;
        self.told.clear();
        let mut entries = EventEntries::new(at);
        for (namespace, definition) in &found {
            let before = self.known.as_ref().and_then(|known| known.get(namespace));
            if before != Some(definition) {
                definition.say(namespace, before, &mut entries);
            }
        }
        for namespace in self.known.iter().flat_map(BTreeMap::keys) {
            if !found.contains_key(namespace) {
                let dropped = rawdoc! { "drop": namespace.collection.as_str() };
                entries.push_command(&namespace.db, &dropped);
            }
        }
        self.known = Some(found);
        let took: Duration = began.elapsed();
        self.not_before = Instant::now() + took.saturating_mul(SHARE);
        Ok(Looked::Entries(entries.build()))
    }

    /// What may have got another name, and that.
    fn renamed(&self, found: &BTreeMap<Namespace, Definition>) -> Option<(Namespace, Namespace)> {
        let known = self.known.as_ref()?;
        let gone = known.keys().find(|it| !found.contains_key(it))?;
        let is_new = |it: &&Namespace| !known.contains_key(it) && !self.told.contains(it);
        let new = found.keys().find(is_new)?;
        Some((gone.clone(), new.clone()))
    }

    async fn read(&self) -> Result<BTreeMap<Namespace, Definition>> {
        let select = &self.capture.options.select;
        let catalog = Catalog {
            deployment: &self.capture.source.0,
            from: self.from,
            not_before: None,
        };
        let mut found = BTreeMap::new();
        let (databases, _) = catalog.databases().await?;
        for db in databases {
            let is_of_server = ["admin", "config", "local", RESTORES_DATABASE].contains(&&*db);
            if is_of_server || db.starts_with(INTERNAL_DATABASE_PREFIX) {
                continue;
            }
            for entry in catalog.collections(&db, doc! {}).await? {
                let namespace = Namespace::new(&db, &entry.name);
                let is_system = entry.name.starts_with("system.");
                let is_wanted = select.selects(&namespace) && !is_system;
                if !is_wanted || entry.kind == CollectionKind::TimeSeries {
                    continue;
                }
                let indexes = match entry.kind {
                    CollectionKind::View => Vec::new(),
                    _ => catalog.indexes(&namespace).await?,
                };
                found.insert(namespace, Definition::of(entry, indexes));
            }
        }
        Ok(found)
    }
}

impl Definition {
    fn of(entry: CollectionEntry, indexes: Vec<RawDocumentBuf>) -> Self {
        Self {
            is_view: entry.kind == CollectionKind::View,
            options: entry.options,
            indexes,
        }
    }

    fn say(&self, namespace: &Namespace, before: Option<&Self>, entries: &mut EventEntries) {
        let collection = namespace.collection.as_str();
        let mut say = |command: &RawDocument| entries.push_command(&namespace.db, command);
        if self.is_view {
            say(&rawdoc! { "drop": collection });
        }
        let mut create = rawdoc! { "create": collection };
        for option in self.options.iter().flatten() {
            create.append(option.0, option.1);
        }
        say(&create);
        if self.is_view {
            return;
        }
        if before.is_some_and(|before| before.options != self.options) {
            let mut change = rawdoc! { "collMod": collection };
            for name in [
                cstr!("validator"),
                cstr!("validationLevel"),
                cstr!("validationAction"),
            ] {
                match self.options.get(name).ok().flatten() {
                    Some(value) => change.append(name, value),
                    None if name == cstr!("validator") => change.append(name, rawdoc! {}),
                    None => {}
                }
            }
            say(&change);
        }
        say(&rawdoc! { "dropIndexes": collection, "index": "*" });
        for index in &self.indexes {
            let mut create = rawdoc! { "createIndexes": collection };
            for field in index.iter().flatten() {
                create.append(field.0, field.1);
            }
            say(&create);
        }
    }
}
