//! Reads what there is, to compare it with a state.

use std::collections::BTreeMap;

use bson::{Document, RawDocumentBuf, Timestamp, doc, raw::cstr, rawdoc};
use futures::TryStreamExt as _;
use mongodb::{Client, error::Result};

use super::Kind;

/// A collection, time-series or view as `listCollections` has it.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) kind: String,
    pub(super) options: Document,
}

/// What a database has, without what the server keeps for itself.
pub(super) async fn collections(client: &Client, db: &str) -> Result<BTreeMap<String, Listed>> {
    let command = doc! { "listCollections": 1 };
    let mut listed: Vec<Document> = all(client, db, command).await?;
    listed.retain(|listed| !name_of(listed).starts_with("system."));
    let collections = listed.into_iter().map(|listed| {
        let described = Listed {
            kind: listed.get_str("type").unwrap_or("collection").to_owned(),
            options: listed.get_document("options").cloned().unwrap_or_default(),
        };
        (name_of(&listed).to_owned(), described)
    });
    Ok(collections.collect())
}

/// The indexes of a collection by name.
pub(super) async fn indexes(
    client: &Client,
    db: &str,
    collection: &str,
) -> Result<BTreeMap<String, Document>> {
    let command = doc! { "listIndexes": collection };
    let listed = all(client, db, command).await?;
    let named = listed.into_iter();
    Ok(named
        .map(|index| (name_of(&index).to_owned(), index))
        .collect())
}

/// The documents of a collection in their natural order, now or as they were at a moment.
pub(super) async fn documents(
    client: &Client,
    (db, collection): (&str, &str),
    kind: Kind,
    time: Option<Timestamp>,
) -> Result<Vec<(i64, RawDocumentBuf)>> {
    let mut command = rawdoc! { "find": collection };
    if kind == Kind::Capped {
        command.append(cstr!("hint"), rawdoc! { "$natural": 1 });
    }
    if let Some(time) = time {
        let concern = rawdoc! { "level": "snapshot", "atClusterTime": time };
        command.append(cstr!("readConcern"), concern);
    }
    let database = client.database(db);
    let mut batches = database.run_raw_cursor_command(command).batch().await?;
    let mut documents = Vec::new();
    while let Some(batch) = batches.try_next().await? {
        for document in batch.doc_slices()? {
            let document = document?;
            let document = document.as_document().expect("a batch holds documents");
            let id = document.get_i64("_id").unwrap_or_else(|error| {
                panic!("{db}.{collection} has what no workload wrote: {error}")
            });
            documents.push((id, document.to_owned()));
        }
    }
    Ok(documents)
}

async fn all(client: &Client, db: &str, command: Document) -> Result<Vec<Document>> {
    let database = client.database(db);
    let cursor = database.run_cursor_command(command).await?;
    cursor.try_collect().await
}

fn name_of(listed: &Document) -> &str {
    listed.get_str("name").expect("what is listed has a name")
}
