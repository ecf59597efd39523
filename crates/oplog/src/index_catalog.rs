//! Which indexes collections are to have once the oplog is replayed.

mod coll_mod;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Bound;

use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use rdump_format::element::Elements;
use rdump_format::{BUCKETS_PREFIX, Namespace};

pub(crate) use coll_mod::{CollMod, CollModFault};

use crate::document::DocumentBuilder;

/// Whether strings that differ in their bytes can be equal in a collection that says nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DefaultCollation {
    /// Nobody told.
    #[default]
    Unknown,
    /// They are compared byte by byte.
    Simple,
    /// They are compared by the rules of a language.
    Other,
}

/// What is to be known of one collection while an oplog is replayed, and its indexes after that.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct CollectionIndexes {
    /// The specifications in the order in which they came, as metadata or oplog hold them: order of
    /// fields, types of numbers, `v`, `ns` and all. The one on `_id` is among them if it came.
    pub specs: Vec<RawDocumentBuf>,
    /// The collection's default collation.
    pub collation: DefaultCollation,
    /// Documents must be written in the order in which they were: the collection is capped, or the
    /// target has a unique index on it already, other than the one on `_id`.
    pub ordered: bool,
}

impl CollectionIndexes {
    /// A collection without indexes.
    #[must_use]
    pub fn new(collation: DefaultCollation) -> Self {
        Self {
            collation,
            ..Self::default()
        }
    }

    /// Sets the specifications of its indexes.
    #[must_use]
    pub fn specs(mut self, specs: Vec<RawDocumentBuf>) -> Self {
        self.specs = specs;
        self
    }

    /// Sets whether documents must be written in the order in which they were.
    #[must_use]
    pub fn ordered(mut self, ordered: bool) -> Self {
        self.ordered = ordered;
        self
    }

    /// Adds an index in the place of one of the same name.
    fn add(&mut self, spec: RawDocumentBuf) {
        let same = self
            .specs
            .iter_mut()
            .find(|known| name(known).is_some() && name(known) == name(&spec));
        match same {
            Some(known) => *known = spec,
            None => self.specs.push(spec),
        }
    }
}

/// The indexes of every collection, which replay edits as the oplog says.
///
/// Indexes are built last: an oplog is replayed faster without them, and what it repeats would be a
/// duplicate in a unique one. So the caller puts in what is in the metadata of a dump, every collection
/// of it, with indexes or without, then [what else the target has](Self::insert_existing);
/// [`Replay`](crate::Replay) edits it; and the caller builds what is in it in the end.
///
/// What happens to the buckets of a time-series collection happens to the collection too, as it may be
/// in here under its own name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IndexCatalog {
    /// By `db.collection`.
    collections: BTreeMap<String, CollectionIndexes>,
}

impl IndexCatalog {
    /// A catalog of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a collection in, in the place of what was known of it.
    pub fn insert(&mut self, namespace: &Namespace, collection: CollectionIndexes) {
        self.collections.insert(namespace.to_string(), collection);
    }

    /// Puts a collection in that the target has, unless it is known: of its options and indexes nothing is
    /// known, so that documents must be written in the order in which they were.
    pub fn insert_existing(&mut self, namespace: &Namespace) {
        let name = namespace.to_string();
        if self.find(&name).is_none() {
            let collection = CollectionIndexes::default().ordered(true);
            self.collections.insert(name, collection);
        }
    }

    /// What is known of a collection.
    #[must_use]
    pub fn get(&self, namespace: &Namespace) -> Option<&CollectionIndexes> {
        self.collections.get(&namespace.to_string())
    }

    /// Every collection that is known, sorted by name, with indexes as they are to be built.
    #[must_use]
    pub fn into_collections(self) -> Vec<(Namespace, CollectionIndexes)> {
        self.collections
            .into_iter()
            .map(|(name, mut collection)| {
                collection.specs.iter_mut().for_each(settle_uniqueness);
                let (db, name) = name.split_once('.').unwrap_or((&name, ""));
                (Namespace::new(db, name), collection)
            })
            .collect()
    }

    /// What is known of the collection, `db.collection`, or of the time-series collection whose
    /// buckets it holds.
    pub(crate) fn find(&self, namespace: &str) -> Option<&CollectionIndexes> {
        self.collections
            .get(namespace)
            .or_else(|| self.collections.get(&without_buckets_prefix(namespace)?))
    }

    /// A collection was created.
    ///
    /// Of one that is known already, from metadata that were read after that, the indexes stay.
    pub(crate) fn create(&mut self, namespace: String, collation: DefaultCollation, capped: bool) {
        let collection = self.collections.entry(namespace).or_default();
        if collection.collation == DefaultCollation::Unknown {
            collection.collation = collation;
        }
        collection.ordered |= capped;
    }

    pub(crate) fn add(&mut self, namespace: String, spec: RawDocumentBuf) {
        self.collections.entry(namespace).or_default().add(spec);
    }

    pub(crate) fn drop_collection(&mut self, namespace: &str) {
        self.collections.remove(namespace);
        if let Some(logical) = without_buckets_prefix(namespace) {
            self.collections.remove(&logical);
        }
    }

    pub(crate) fn drop_database(&mut self, db: &str) {
        let (first, end) = (format!("{db}."), format!("{db}/"));
        let names = self
            .collections
            .range::<str, _>((Bound::Included(&*first), Bound::Excluded(&*end)));
        let names: Vec<_> = names.map(|(name, _)| name.clone()).collect();
        for name in names {
            self.collections.remove(&name);
        }
    }

    /// Moves what is known of `from` to `to`.
    ///
    /// If that is nothing, the rename was most likely in the dump already and will not happen again. The
    /// indexes of `to` are right, then; but it may be a collection that nothing is known of, too.
    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        match self.collections.remove(from) {
            Some(collection) => drop(self.collections.insert(to.to_owned(), collection)),
            None => self.collections.entry(to.to_owned()).or_default().ordered = true,
        }
    }

    /// The collection is capped from now on, which leaves it only the index on `_id`.
    pub(crate) fn convert_to_capped(&mut self, namespace: String) {
        let collection = self.collections.entry(namespace).or_default();
        collection.specs.retain(|spec| is_id(spec));
        collection.ordered = true;
    }

    /// Removes indexes.
    pub(crate) fn drop_indexes(&mut self, namespace: &str, which: IndexChoice<'_>) {
        for collection in self.both(namespace) {
            match which {
                IndexChoice::AllButId => collection.specs.retain(|spec| is_id(spec)),
                which => collection.specs.retain(|spec| !which.is(spec)),
            }
        }
    }

    /// Changes one index; whether it is known.
    pub(crate) fn coll_mod(&mut self, namespace: &str, change: &CollMod<'_>) -> bool {
        let mut known = false;
        for collection in self.both(namespace) {
            for spec in &mut collection.specs {
                if change.which.is(spec) {
                    *spec = change.apply(spec);
                    known = true;
                }
            }
        }
        known
    }

    /// The collection, and the time-series collection whose buckets it holds.
    fn both(&mut self, namespace: &str) -> impl Iterator<Item = &mut CollectionIndexes> {
        let logical = without_buckets_prefix(namespace);
        let is_one =
            move |name: &str| name == namespace || logical.as_deref().is_some_and(|it| it == name);
        self.collections
            .iter_mut()
            .filter(move |(name, _)| is_one(name))
            .map(|(_, collection)| collection)
    }
}

/// Which indexes of a collection are meant.
#[derive(Clone, Copy, Debug)]
pub(crate) enum IndexChoice<'a> {
    AllButId,
    Name(&'a [u8]),
    /// Byte by byte: `{a: 1}` is not `{a: 1.0}`.
    Key(&'a [u8]),
}

impl IndexChoice<'_> {
    fn is(self, spec: &RawDocument) -> bool {
        match self {
            Self::AllButId => !is_id(spec),
            Self::Name(wanted) => name(spec).is_some_and(|name| name.as_bytes() == wanted),
            Self::Key(wanted) => key(spec).is_some_and(|key| key.as_bytes() == wanted),
        }
    }
}

fn name(spec: &RawDocument) -> Option<&str> {
    spec.get_str("name").ok()
}

fn key(spec: &RawDocument) -> Option<&RawDocument> {
    spec.get_document("key").ok()
}

/// Whether it is the index on `_id` that every collection has, whatever its name is.
///
/// Old servers wrote more than 1 for its direction; only text, such as `hashed`, makes it another.
fn is_id(spec: &RawDocument) -> bool {
    let mut fields = key(spec).into_iter().flatten().flatten();
    let is_plain = match fields.next() {
        Some((name, RawBsonRef::String(kind))) => name == "_id" && kind.is_empty(),
        Some((name, _)) => name == "_id",
        None => false,
    };
    is_plain && fields.next().is_none()
}

/// The time-series collection whose buckets these are, both as `db.collection`.
fn without_buckets_prefix(namespace: &str) -> Option<String> {
    let (db, collection) = namespace.split_once('.')?;
    let collection = collection.strip_prefix(BUCKETS_PREFIX)?;
    Some(format!("{db}.{collection}"))
}

/// A unique index is not one that is prepared to become unique: servers refuse to build what says both.
fn settle_uniqueness(spec: &mut RawDocumentBuf) {
    if !matches!(spec.get_bool("unique"), Ok(true)) {
        return;
    }
    let mut settled = DocumentBuilder::new();
    for element in Elements::of(spec.as_bytes())
        .into_iter()
        .flatten()
        .flatten()
        .filter(|element| element.name != b"prepareUnique")
    {
        settled.copy(&element);
    }
    *spec = settled.build();
}
