//! Compares deployments by content, options and indexes.
//!
//! A fingerprint holds, per collection: kind, options and indexes as the server lists them (raw, so the order
//! of fields counts), and a SHA-256 per document. Deliberately absent: UUIDs, which a restore does not keep, and
//! what the server keeps for itself (`local`, `config`, `admin` unless asked for, `system.profile`,
//! `system.views`).

mod collect;
mod content;
mod diff;
mod options;
mod text;

use std::collections::BTreeMap;

use bson::RawDocumentBuf;
use mongodb::Client;

pub use content::Content;
pub use diff::FingerprintDiff;
pub use options::{FingerprintOptions, TimeSeriesBy};

/// What a deployment, or a part of it, holds.
#[derive(Clone, Debug)]
pub struct Fingerprint {
    /// By database and collection.
    collections: BTreeMap<(String, String), CollectionPrint>,
}

/// What one collection is and holds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CollectionPrint {
    /// `collection`, `view` or `timeseries`.
    pub kind: String,
    /// The options of `listCollections`.
    pub options: RawDocumentBuf,
    /// The specifications of `listIndexes`, by name; those of a time-series' buckets with `buckets: ` in front.
    pub indexes: BTreeMap<String, RawDocumentBuf>,
    /// The documents.
    pub content: Content,
}

impl Fingerprint {
    /// Reads everything that `options` select.
    pub async fn of(client: &Client, options: &FingerprintOptions) -> Self {
        Self {
            collections: collect::collections(client, options).await,
        }
    }

    /// What `other` has differently.
    pub fn diff(&self, other: &Self) -> FingerprintDiff {
        diff::diff(self, other)
    }

    /// The same content under another database name, to compare with what was restored beside itself.
    #[must_use]
    pub fn rename_database(self, from: &str, to: &str) -> Self {
        self.rename(|db, collection| {
            let db = if db == from { to.to_owned() } else { db };
            (db, collection)
        })
    }

    /// The same content under other names; `rename` gets database and collection.
    #[must_use]
    pub fn rename(self, mut rename: impl FnMut(String, String) -> (String, String)) -> Self {
        let collections = self.collections.into_iter();
        Self {
            collections: collections
                .map(|((db, collection), print)| (rename(db, collection), print))
                .collect(),
        }
    }

    /// The same with every collection's print changed, to compare what servers of two versions show.
    #[must_use]
    pub fn change(mut self, mut change: impl FnMut(&mut CollectionPrint)) -> Self {
        for print in self.collections.values_mut() {
            change(print);
        }
        self
    }

    /// The same without the collections that `keep` does not want; it gets database and collection.
    #[must_use]
    pub fn retain(mut self, mut keep: impl FnMut(&str, &str) -> bool) -> Self {
        self.collections
            .retain(|(db, collection), _| keep(db, collection));
        self
    }

    /// The collections, by database and name.
    pub fn collections(&self) -> &BTreeMap<(String, String), CollectionPrint> {
        &self.collections
    }

    /// Number of documents in all collections, measurements of time-series included.
    pub fn documents(&self) -> u64 {
        let collections = self.collections.values();
        collections.map(|print| print.content.documents()).sum()
    }

    /// Bytes of the documents in all collections, as BSON; those of time-series as the server stores them.
    pub fn document_bytes(&self) -> u64 {
        let collections = self.collections.values();
        collections
            .map(|print| print.content.document_bytes())
            .sum()
    }
}

/// Panics with the differences unless both fingerprints are the same.
#[track_caller]
pub fn assert_same(expected: &Fingerprint, found: &Fingerprint) {
    let diff = expected.diff(found);
    assert!(diff.is_empty(), "{diff}");
}
