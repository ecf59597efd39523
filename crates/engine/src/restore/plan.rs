//! What a restore would do.

use std::{fmt, sync::Arc};

use bson::{RawDocumentBuf, oid::ObjectId};
use rdump_format::{CollectionMetadata, Namespace};
use rdump_oplog::CollectionIndexes;
use serde::Serialize;

use super::{
    authorization::PlannedAuthorization,
    ledger::{PlannedLedger, Progress},
    oplog_source::PlannedOplog,
};
use crate::{Problem, comparison::Listed};

/// What a restore would do: made by [`Restore::plan`](crate::Restore::plan), used up by
/// [`Restore::run`](crate::Restore::run).
///
/// `Display` tells a person, one paragraph a namespace.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RestorePlan {
    /// The namespaces, in the order of the dump.
    pub namespaces: Vec<PlannedNamespace>,
    /// Whether the dump can be checked against digests taken when it was made.
    pub verified: bool,
    /// Things a person should know: what of the dump is left out and why.
    pub notices: Vec<String>,
    /// What was asked for and is not there, since a dump did not finish.
    pub unfinished: Vec<Problem>,
    /// Users and roles, for the server to merge.
    #[serde(skip)]
    pub(super) authorization: Option<Arc<PlannedAuthorization>>,
    /// The oplog to replay.
    #[serde(skip)]
    pub(super) oplog: Option<PlannedOplog>,
    /// What is noted of the run, if another one could go on with it.
    #[serde(skip)]
    pub(super) ledger: Option<PlannedLedger>,
    /// Ledgers of other restores, whose collections this one makes anew.
    #[serde(skip)]
    pub(super) outdated: Vec<ObjectId>,
}

/// What a restore would do with one namespace.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct PlannedNamespace {
    /// The namespace at the target.
    pub namespace: Namespace,
    /// The namespace in the dump.
    pub from: Namespace,
    /// What it is.
    pub kind: NamespaceKind,
    /// Whether what is there is dropped first.
    pub drop: bool,
    /// Whether it is created; if not, it exists, and is inserted into as it is.
    pub create: bool,
    /// Whether there are documents to insert.
    pub data: bool,
    /// How many, if the dump says so.
    pub documents: Option<u64>,
    /// Their length before compression, in bytes, if the dump says so.
    pub uncompressed_bytes: Option<u64>,
    /// Their length as stored, in bytes.
    pub stored_bytes: u64,
    /// How many of them are in, as the restore that is gone on with has noted; `None` if it begins from its start.
    pub restored_before: Option<u64>,
    /// The names of the indexes to build, that on `_id` left out.
    pub indexes: Vec<String>,
    #[serde(skip)]
    pub(super) steps: Steps,
}

/// What kind of namespace is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum NamespaceKind {
    /// A collection.
    Collection,
    /// A view.
    View,
    /// A time-series collection.
    TimeSeries,
}

impl NamespaceKind {
    /// What a namespace is by its options, as a dump has them.
    pub(crate) fn of(metadata: Option<&CollectionMetadata>) -> Self {
        let has = |name: &str| {
            metadata.is_some_and(|metadata| metadata.options.get(name).ok().flatten().is_some())
        };
        if has("viewOn") {
            Self::View
        } else if has("timeseries") {
            Self::TimeSeries
        } else {
            Self::Collection
        }
    }
}

impl fmt::Display for NamespaceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Collection => "collection",
            Self::View => "view",
            Self::TimeSeries => "time-series collection",
        })
    }
}

/// Everything that is sent to the target, made ready.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps {
    /// The entry of the dump.
    pub(super) entry: usize,
    /// What to create it with.
    pub(super) options: RawDocumentBuf,
    /// The UUID to create it with.
    pub(super) uuid: Option<[u8; 16]>,
    /// The collection that a view reads.
    pub(super) view_on: Option<String>,
    /// Whether insertion order is part of the collection.
    pub(super) capped: bool,
    /// Whether documents go away by themselves.
    pub(super) expires: bool,
    /// Where documents are inserted: the buckets behind a time-series collection, else the namespace itself.
    pub(super) insert_into: Option<Namespace>,
    pub(super) indexes: Vec<RawDocumentBuf>,
    /// What a replay has to know, if there is one.
    pub(super) for_replay: Option<CollectionIndexes>,
    /// Whether what is done is noted, where there is a ledger.
    pub(super) is_noted: bool,
    /// Whether a document that is inserted twice shows as a duplicate.
    pub(super) is_repeatable: bool,
    /// Whether all documents that are there before the oplog is replayed are of the dump.
    pub(super) was_empty: bool,
    /// Whether the dump may then have a document twice: what was read while it was deleted and inserted again, of which the
    /// oplog tells what became.
    pub(super) may_repeat: bool,
    /// What the run that is gone on with has done: it is there, and neither dropped nor created.
    pub(super) progress: Option<Progress>,
}

impl RestorePlan {
    /// What each namespace is to be at the target.
    pub(crate) fn asked_for(&self) -> impl Iterator<Item = (Namespace, Listed)> {
        self.namespaces.iter().map(|planned| {
            let listed = Listed {
                kind: planned.kind,
                options: planned.steps.options.clone(),
                indexes: planned.steps.indexes.clone(),
                has_data: planned.data,
            };
            (planned.namespace.clone(), listed)
        })
    }

    /// Whether there is nothing to restore.
    pub fn is_empty(&self) -> bool {
        self.namespaces.is_empty() && self.authorization.is_none() && self.oplog.is_none()
    }

    /// How many uncompressed bytes of documents there are, as far as the dump says so, else as they are stored.
    pub fn estimated_bytes(&self) -> u64 {
        self.namespaces
            .iter()
            .map(|planned| planned.uncompressed_bytes.unwrap_or(planned.stored_bytes))
            .sum()
    }

    /// How many documents there are, if the dump says so of every namespace.
    pub fn estimated_documents(&self) -> Option<u64> {
        self.namespaces
            .iter()
            .filter(|planned| planned.data)
            .map(|planned| planned.documents)
            .sum()
    }
}

impl fmt::Display for RestorePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for planned in &self.namespaces {
            writeln!(f, "{planned}")?;
        }
        for part in self
            .authorization
            .iter()
            .flat_map(|planned| planned.namespaces())
        {
            writeln!(f, "restore {}: merged by the server", part.from)?;
        }
        if let Some(oplog) = &self.oplog {
            for namespace in &oplog.dropped {
                writeln!(f, "drop {namespace}")?;
            }
            writeln!(f, "replay the oplog")?;
        }
        Ok(())
    }
}

impl PlannedNamespace {
    /// The collection that the documents go into.
    pub(super) fn inserted_into(&self) -> &Namespace {
        self.steps.insert_into.as_ref().unwrap_or(&self.namespace)
    }
}

impl fmt::Display for PlannedNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut steps = Vec::new();
        if self.drop {
            steps.push("drop what is there".to_owned());
        }
        steps.push(match (self.restored_before, self.create) {
            (Some(before), _) => {
                format!("go on with the {}, which has {before} of them", self.kind)
            }
            (None, true) => format!("create the {}", self.kind),
            (None, false) => format!("keep the {} that is there", self.kind),
        });
        if self.data {
            steps.push(match self.documents {
                Some(documents) => format!(
                    "insert {documents} documents ({} bytes)",
                    self.uncompressed_bytes.unwrap_or(self.stored_bytes)
                ),
                None => format!("insert documents ({} bytes as stored)", self.stored_bytes),
            });
        }
        if !self.indexes.is_empty() {
            steps.push(format!(
                "build {} indexes ({})",
                self.indexes.len(),
                self.indexes.join(", ")
            ));
        }
        write!(f, "restore {}", self.namespace)?;
        if self.from != self.namespace {
            write!(f, " from {}", self.from)?;
        }
        write!(f, ": {}", steps.join(", "))
    }
}
