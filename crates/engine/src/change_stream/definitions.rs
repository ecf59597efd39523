//! What a stream does not tell of collections, looked up.
//!
//! No server tells that a time-series collection is created. Those before 6.0 and Amazon DocumentDB tell of documents and of what is dropped, and nothing of what is created, of indexes and of options. So the catalog is read again, and
//! what is found in it is said by commands that can be said again: each collection is created, and has these indexes and no others.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use bson::{RawBsonRef, RawDocumentBuf, cstr, doc, raw::CStr, rawdoc};
use mongodb::options::{ReadPreference, SelectionCriteria};
use rdump_format::{INTERNAL_DATABASE_PREFIX, Namespace, RESTORES_DATABASE};
use rdump_oplog::{ChangeEvent, EventEntries, OpTime};

use super::{malformed, now};
use crate::{
    Result,
    catalog::{Catalog, CollectionEntry, CollectionKind},
    connect::Deployment,
    restore::create_command::is_documentdb,
};

/// What the name ends with that a collection has while it is moved here from another database.
const RENAMED_FROM_ELSEWHERE: &str = ".renameCollection";
/// How long to wait at least before looking again where hardly anything can be found.
const TOLD_PAUSE: Duration = Duration::from_secs(60);
/// The share of the time that looking takes at most is one in this many.
const SHARE: u32 = 10;

/// Where they are looked up: other members may be behind.
pub(super) const PRIMARY: SelectionCriteria =
    SelectionCriteria::ReadPreference(ReadPreference::Primary);
/// What `collMod` changes.
const RULES: [&CStr; 3] = [
    cstr!("validator"),
    cstr!("validationLevel"),
    cstr!("validationAction"),
];

/// Of which namespaces definitions are looked up.
type IsWanted<'a> = Box<dyn Fn(&Namespace) -> bool + Send + Sync + 'a>;

pub(crate) struct Definitions<'a> {
    deployment: &'a Deployment,
    /// Whether the stream tells of all but time-series collections.
    is_told: bool,
    is_wanted: IsWanted<'a>,
    /// What was there when it was last looked for, less what was dropped since then.
    known: BTreeMap<Namespace, Definition>,
    /// What was found, and the moment of that, which the stream has not come to.
    looked: Option<(OpTime, BTreeMap<Namespace, Definition>)>,
    /// The moment of what counts.
    settled_at: Option<OpTime>,
    /// What was not as it was left when the last look counted, and nothing was told of it.
    doubted: BTreeSet<Namespace>,
    /// How long not to look again.
    not_before: Instant,
}

/// What was found.
pub(crate) enum Looked {
    /// What brings definitions to that.
    Found(Vec<RawDocumentBuf>),
    /// The stream did not tell of something, and it cannot be made good.
    Untold(String),
}

/// How a collection or view is defined.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Definition {
    pub(crate) options: RawDocumentBuf,
    pub(crate) indexes: Vec<RawDocumentBuf>,
    pub(crate) kind: CollectionKind,
}

impl<'a> Definitions<'a> {
    pub(crate) fn new(deployment: &'a Deployment, is_told: bool, is_wanted: IsWanted<'a>) -> Self {
        Self {
            deployment,
            is_told,
            is_wanted,
            known: BTreeMap::new(),
            looked: None,
            settled_at: None,
            doubted: BTreeSet::new(),
            not_before: Instant::now(),
        }
    }

    /// Has it begin with what is known.
    pub(crate) fn starting_with(mut self, known: BTreeMap<Namespace, Definition>) -> Self {
        let known = known.into_iter().filter(|(it, _)| self.is_looked_up(it));
        self.known = known.collect();
        self
    }

    fn is_looked_up(&self, namespace: &Namespace) -> bool {
        (self.is_wanted)(namespace) && !namespace.collection.starts_with("system.")
    }

    /// Takes note of what the stream tells, and gives the commands that have to come before: those that create what it is about.
    pub(crate) async fn before(&mut self, event: &ChangeEvent<'_>) -> Result<Looked> {
        let mut commands = Vec::new();
        let Some(namespace) = event.namespace().filter(|_| !self.is_told) else {
            return Ok(Looked::Found(commands));
        };
        let to = event.renamed_to();
        let to = to.map_err(|error| malformed().caused_by(error))?;
        let is_known = self.known.contains_key(namespace);
        match event.kind() {
            "rename" if !is_known && namespace.collection.ends_with(RENAMED_FROM_ELSEWHERE) => {
                return Ok(Looked::Untold(
                    "a collection was renamed from another database, and its documents are not told".to_owned(),
                ));
            }
            "insert" | "update" | "replace" | "rename"
                if !is_known && self.is_looked_up(namespace) =>
            {
                // If it is gone already, an event that comes later says so.
                let mut found = self.read_one(namespace).await?;
                if let (None, Some(to)) = (&found, &to) {
                    found = self.read_one(to).await?;
                }
                let found = found.unwrap_or_default();
                found.say(namespace, None, &mut |command| commands.push(command));
                self.known.insert(namespace.clone(), found);
            }
            _ => {}
        }
        match event.kind() {
            "drop" | "rename" => {
                let moved = self.forget(namespace);
                if let Some(to) = to {
                    self.forget(&to);
                    if let Some(moved) = moved.filter(|_| self.is_looked_up(&to)) {
                        self.known.insert(to, moved);
                    }
                }
            }
            "dropDatabase" => {
                self.known.retain(|it, _| it.db != namespace.db);
                self.doubted.retain(|it| it.db != namespace.db);
            }
            _ => {}
        }
        Ok(Looked::Found(commands))
    }

    /// What was told of is not doubted any more.
    fn forget(&mut self, namespace: &Namespace) -> Option<Definition> {
        self.doubted.remove(namespace);
        self.known.remove(namespace)
    }

    /// Whether it is time to look.
    pub(crate) fn is_due(&self) -> bool {
        self.looked.is_none() && Instant::now() >= self.not_before
    }

    /// Looks what there is now. It counts once the stream has come to that moment.
    pub(crate) async fn look(&mut self) -> Result<()> {
        let began = Instant::now();
        // What is found is not older.
        let at = now(self.deployment, &PRIMARY).await?;
        let found = self.read().await?;
        self.looked = Some((at, found));
        let pause = began.elapsed().saturating_mul(SHARE);
        let pause = if self.is_told {
            pause.max(TOLD_PAUSE)
        } else {
            pause
        };
        self.not_before = Instant::now() + pause;
        Ok(())
    }

    /// The moment of what was looked up and does not count yet.
    pub(crate) fn looked_at(&self) -> Option<OpTime> {
        self.looked.as_ref().map(|(at, _)| *at)
    }

    /// Whether what was there at that moment, or later, counts; if not, looks for it.
    pub(crate) async fn are_there(&mut self, at: OpTime) -> Result<bool> {
        if self.settled_at >= Some(at) && self.doubted.is_empty() {
            return Ok(true);
        }
        if self.looked.is_none() {
            self.look().await?;
        }
        Ok(false)
    }

    /// Everything until the moment of the look was told: gives the entries, of `at`, that bring definitions to what was found.
    ///
    /// What happened between that moment and the look itself is told of later. So what does not fit what is known is left as it is until the next
    /// look counts: by then it was told of.
    pub(crate) fn settle(&mut self, at: OpTime) -> Looked {
        let Some((looked_at, found)) = self.looked.take() else {
            return Looked::Found(Vec::new());
        };
        let doubted = std::mem::take(&mut self.doubted);
        let mut entries = EventEntries::new(at);
        for (namespace, known) in std::mem::take(&mut self.known) {
            let now = found.get(&namespace);
            let is_told_of = known.kind == CollectionKind::Collection;
            if !is_told_of && now.is_none_or(|now| now.kind != known.kind) {
                let dropped = rawdoc! { "drop": namespace.collection.as_str() };
                entries.push_command(&namespace.db, &dropped);
                continue;
            }
            if !now.is_some_and(|now| now.may_follow(&known)) {
                if doubted.contains(&namespace) {
                    let what = if now.is_none() { "gone" } else { "another one" };
                    return Looked::Untold(format!(
                        "{namespace} is {what}, and nothing was told of that"
                    ));
                }
                self.doubted.insert(namespace.clone());
            }
            self.known.insert(namespace, known);
        }
        for (namespace, definition) in found {
            let before = self.known.get(&namespace);
            if self.doubted.contains(&namespace) || before == Some(&definition) {
                continue;
            }
            match definition.kind {
                CollectionKind::TimeSeries if before.is_some() => {}
                CollectionKind::TimeSeries => entries.push_time_series(&namespace),
                _ => {
                    let push = &mut |command: RawDocumentBuf| {
                        entries.push_command(&namespace.db, &command);
                    };
                    definition.say(&namespace, before, push);
                }
            }
            self.known.insert(namespace, definition);
        }
        self.settled_at = Some(looked_at);
        Looked::Found(entries.build())
    }

    fn catalog(&self) -> Catalog<'_> {
        Catalog {
            deployment: self.deployment,
            from: &PRIMARY,
            not_before: None,
        }
    }

    async fn read_one(&self, namespace: &Namespace) -> Result<Option<Definition>> {
        let catalog = self.catalog();
        let Some(entry) = catalog.collection(namespace).await? else {
            return Ok(None);
        };
        let indexes = catalog.indexes(namespace).await?;
        Ok(Some(Definition::of(entry, indexes)))
    }

    async fn read(&self) -> Result<BTreeMap<Namespace, Definition>> {
        let catalog = self.catalog();
        let mut found = BTreeMap::new();
        let (databases, _) = catalog.databases().await?;
        for db in databases {
            let is_of_server = ["admin", "config", "local", RESTORES_DATABASE].contains(&&*db);
            if is_of_server || db.starts_with(INTERNAL_DATABASE_PREFIX) {
                continue;
            }
            let filter = match self.is_told {
                true => doc! { "type": CollectionKind::TimeSeries.as_str() },
                false => doc! {},
            };
            for entry in catalog.collections(&db, filter).await? {
                let namespace = Namespace::new(&db, &entry.name);
                if !self.is_looked_up(&namespace) {
                    continue;
                }
                let indexes = match entry.kind {
                    CollectionKind::Collection => catalog.indexes(&namespace).await?,
                    _ => Vec::new(),
                };
                found.insert(namespace, Definition::of(entry, indexes));
            }
        }
        Ok(found)
    }
}

impl Default for Definition {
    /// That of a collection about which nothing is known.
    fn default() -> Self {
        Self {
            options: RawDocumentBuf::new(),
            indexes: vec![rawdoc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" }],
            kind: CollectionKind::Collection,
        }
    }
}

impl Definition {
    /// Whether it may be what became of another one without being made anew.
    fn may_follow(&self, before: &Self) -> bool {
        let fixed = |definition: &Self| {
            let options = definition.options.iter().flatten();
            let options = options.filter(|(name, _)| !RULES.contains(name));
            options.fold(RawDocumentBuf::new(), |mut fixed, (name, value)| {
                fixed.append(name, value);
                fixed
            })
        };
        let is_told_of = self.kind == CollectionKind::Collection;
        before.kind == self.kind && (!is_told_of || fixed(self) == fixed(before))
    }

    fn of(entry: CollectionEntry, indexes: Vec<RawDocumentBuf>) -> Self {
        Self {
            kind: entry.kind,
            options: entry.options,
            indexes,
        }
    }

    fn say(
        &self,
        namespace: &Namespace,
        before: Option<&Self>,
        say: &mut dyn FnMut(RawDocumentBuf),
    ) {
        let collection = namespace.collection.as_str();
        if self.kind == CollectionKind::View {
            say(rawdoc! { "drop": collection });
        }
        let mut create = rawdoc! { "create": collection };
        for (name, value) in self.options.iter().flatten() {
            let is_noise = match (name.as_str(), value) {
                ("autoIndexId", _) => true,
                ("storageEngine", RawBsonRef::Document(engine)) => is_documentdb(engine),
                _ => false,
            };
            if !is_noise {
                create.append(name, value);
            }
        }
        let is_id = |index: &&RawDocumentBuf| index.get_str("name").is_ok_and(|it| it == "_id_");
        let has_it = self.options.get("idIndex").ok().flatten().is_some();
        if let Some(index) = self.indexes.iter().find(is_id).filter(|_| !has_it) {
            create.append(cstr!("idIndex"), index.clone());
        }
        say(create);
        if self.kind == CollectionKind::View {
            return;
        }
        let has_rules = self.options.get("validator").ok().flatten().is_some();
        if before.map_or(has_rules, |before| before.options != self.options) {
            let mut change = rawdoc! { "collMod": collection };
            for name in RULES {
                match self.options.get(name).ok().flatten() {
                    Some(value) => change.append(name, value),
                    None if name == cstr!("validator") => change.append(name, rawdoc! {}),
                    None => {}
                }
            }
            say(change);
        }
        say(rawdoc! { "dropIndexes": collection, "index": "*" });
        for index in &self.indexes {
            let mut create = rawdoc! { "createIndexes": collection };
            for (name, value) in index.iter().flatten() {
                if name.as_str() != "ns" {
                    create.append(name, value);
                }
            }
            say(create);
        }
    }
}
