//! What a workload has made at one moment.

mod apply;
mod compare;
mod read;
mod same;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bson::{Document, RawDocumentBuf};

pub use compare::assert_holds;
pub(super) use compare::shown;

/// Every namespace of a workload at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    namespaces: BTreeMap<Arc<str>, Namespace>,
    /// Namespaces of the workload that nobody wants to look at.
    left_out: BTreeSet<Arc<str>>,
    /// Databases in which `$out` has a temporary collection just then.
    outputs: BTreeSet<String>,
}

/// What is under a name.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "there is nothing else")]
pub enum Namespace {
    /// Nothing.
    Absent,
    /// Something that a write of unknown outcome touched: nothing is expected of it.
    Uncertain,
    /// A collection, time-series or view.
    Present(Collection),
}

/// What a collection, time-series or view is and holds.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Collection {
    /// What the workload gave to `create` and `collMod`.
    pub options: Document,
    /// The specifications of its indexes by name, without that of `_id`.
    pub indexes: BTreeMap<Arc<str>, Document>,
    /// Its documents by `_id`; of a capped collection this is their order.
    pub documents: BTreeMap<i64, Expected>,
}

/// What a [`Collection`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is nothing else")]
pub enum Kind {
    /// An ordinary collection, clustered or not.
    Plain,
    /// A capped collection.
    Capped,
    /// A time-series.
    TimeSeries,
    /// A view.
    View,
}

/// What a document must be like.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Expected {
    /// Just so.
    Document(Arc<RawDocumentBuf>),
    /// Not there.
    Absent,
    /// One of these; `None` stands for its absence.
    OneOf(Vec<Option<Arc<RawDocumentBuf>>>),
}

impl State {
    pub(super) fn new(namespaces: &BTreeSet<Arc<str>>) -> Self {
        let names = namespaces.iter();
        Self {
            namespaces: names
                .map(|name| (Arc::clone(name), Namespace::Absent))
                .collect(),
            left_out: BTreeSet::new(),
            outputs: BTreeSet::new(),
        }
    }

    /// Every namespace that the workload ever had, by name.
    pub fn namespaces(&self) -> &BTreeMap<Arc<str>, Namespace> {
        &self.namespaces
    }

    /// The collection, time-series or view of a name, if it certainly is there.
    pub fn collection(&self, namespace: &str) -> Option<&Collection> {
        match self.namespaces.get(namespace)? {
            Namespace::Present(collection) => Some(collection),
            Namespace::Absent | Namespace::Uncertain => None,
        }
    }

    /// Number of documents that certainly are there.
    pub fn documents(&self) -> usize {
        let namespaces = self.namespaces.keys();
        let collections = namespaces.filter_map(|name| self.collection(name));
        let documents = collections.flat_map(|collection| collection.documents.values());
        documents
            .filter(|expected| matches!(expected, Expected::Document(_)))
            .count()
    }

    /// The part that is of some namespaces; whatever is under other names of the workload does not count.
    #[must_use]
    pub fn selected(mut self, is_selected: impl Fn(&str) -> bool) -> Self {
        let namespaces = std::mem::take(&mut self.namespaces);
        for (name, namespace) in namespaces {
            if is_selected(&name) {
                self.namespaces.insert(name, namespace);
            } else {
                self.left_out.insert(name);
            }
        }
        self
    }
}

impl Collection {
    /// What it is.
    pub fn kind(&self) -> Kind {
        if self.options.contains_key("viewOn") {
            Kind::View
        } else if self.options.contains_key("timeseries") {
            Kind::TimeSeries
        } else if self.options.get_bool("capped").unwrap_or(false) {
            Kind::Capped
        } else {
            Kind::Plain
        }
    }
}

impl Expected {
    /// Whether this is a state that is expected.
    pub fn allows(&self, found: Option<&RawDocumentBuf>) -> bool {
        match self {
            Self::Document(document) => found == Some(document.as_ref()),
            Self::Absent => found.is_none(),
            Self::OneOf(states) => states.iter().any(|state| state.as_deref() == found),
        }
    }

    fn into_document(self) -> Option<Arc<RawDocumentBuf>> {
        match self {
            Self::Document(document) => Some(document),
            // A document with an unknown write is never written to again.
            Self::Absent | Self::OneOf(_) => None,
        }
    }
}
