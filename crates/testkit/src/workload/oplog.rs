//! Finds writes of a workload in the oplog of where they were made.

mod evidence;

use bson::{RawDocument, RawDocumentBuf, Timestamp, doc};
use futures::TryStreamExt as _;
use mongodb::{Client, Collection, error::Result};

use super::{Change, options::split};
use evidence::{builds, is_made_by};

/// The time of the first entry after a time that makes a change, if there is one.
pub(super) async fn find(
    client: &Client,
    namespace: &str,
    change: &Change,
    after: Timestamp,
) -> Result<Option<Timestamp>> {
    let filter = doc! { "ts": { "$gt": after }, "ns": { "$in": places(namespace) } };
    let mut entries = of(client).find(filter).await?;
    let mut transaction = None;
    while let Some(entry) = entries.try_next().await? {
        let entry = Entry::of(&entry);
        let is_it = match &transaction {
            Some(begun) => entry.transaction().as_ref() == Some(begun),
            None => entry.makes(namespace, change),
        };
        if is_it && !entry.is_partial() {
            return Ok(Some(entry.time()));
        }
        if is_it {
            transaction = entry.transaction();
        }
    }
    Ok(None)
}

/// The oplog of a deployment.
pub(super) fn of(client: &Client) -> Collection<RawDocumentBuf> {
    client.database("local").collection("oplog.rs")
}

/// What the entries that change a namespace have as theirs.
pub(super) fn places(namespace: &str) -> Vec<String> {
    let (db, collection) = split(namespace);
    vec![
        namespace.to_owned(),
        format!("{db}.$cmd"),
        format!("{db}.system.views"),
        format!("{db}.system.buckets.{collection}"),
        "admin.$cmd".to_owned(),
    ]
}

/// One entry of the oplog.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    entry: &'a RawDocument,
}

/// One operation: an entry, or one of those in a transaction's entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation<'a> {
    pub(super) kind: &'a str,
    pub(super) namespace: &'a str,
    /// What it does.
    pub(super) object: &'a RawDocument,
    /// What an update changes.
    pub(super) target: Option<&'a RawDocument>,
}

impl<'a> Entry<'a> {
    pub(super) fn of(entry: &'a RawDocument) -> Self {
        Self { entry }
    }

    pub(super) fn time(self) -> Timestamp {
        let time = self.entry.get_timestamp("ts");
        time.expect("an entry of an oplog has a time")
    }

    /// Whether it is one of a transaction's, and not the last.
    pub(super) fn is_partial(self) -> bool {
        let object = self.entry.get_document("o");
        object.is_ok_and(|object| matches!(object.get_bool("partialTxn"), Ok(true)))
    }

    /// Session and number of the transaction that it belongs to.
    pub(super) fn transaction(self) -> Option<(RawDocumentBuf, i64)> {
        let session = self.entry.get_document("lsid").ok()?;
        let number = self.entry.get_i64("txnNumber").ok()?;
        Some((session.to_owned(), number))
    }

    /// Whether one of its operations makes a change.
    pub(super) fn makes(self, namespace: &str, change: &Change) -> bool {
        let operations = self.operations();
        let mut operations = operations.into_iter();
        operations.any(|operation| is_made_by(namespace, change, operation))
    }

    /// Whether it begins (`true`) or gives up (`false`) the build of an index that a change makes.
    pub(super) fn builds(self, namespace: &str, change: &Change) -> Option<bool> {
        builds(namespace, change, Operation::of(self.entry)?)
    }

    fn operations(self) -> Vec<Operation<'a>> {
        let Some(operation) = Operation::of(self.entry) else {
            return Vec::new();
        };
        let Ok(inner) = operation.object.get_array("applyOps") else {
            return vec![operation];
        };
        let inner = inner.into_iter().flatten();
        let inner = inner.filter_map(|value| Operation::of(value.as_document()?));
        inner.collect()
    }
}

impl<'a> Operation<'a> {
    fn of(entry: &'a RawDocument) -> Option<Self> {
        Some(Self {
            kind: entry.get_str("op").ok()?,
            namespace: entry.get_str("ns").ok()?,
            object: entry.get_document("o").ok()?,
            target: entry.get_document("o2").ok(),
        })
    }
}
