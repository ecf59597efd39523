//! Reads what a fingerprint is made of, as raw bytes.

use std::{collections::BTreeMap, sync::Arc};

use bson::{RawDocument, RawDocumentBuf, rawdoc};
use futures::TryStreamExt as _;
use mongodb::{Client, error::Result};
use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    CollectionPrint, Content, FingerprintOptions, TimeSeriesBy,
    content::{DocumentSet, digest},
};
use crate::raw::RawBuilder;

/// Collections that are read at once.
const READERS: usize = 4;

/// A collection as `listCollections` gives it.
#[derive(Clone, Debug)]
struct Listed {
    db: String,
    name: String,
    kind: String,
    options: RawDocumentBuf,
}

/// Reads every collection that `options` select.
pub(super) async fn collections(
    client: &Client,
    options: &FingerprintOptions,
) -> BTreeMap<(String, String), CollectionPrint> {
    let databases = client.list_database_names().await;
    let databases =
        databases.unwrap_or_else(|error| panic!("fingerprint: listing databases: {error}"));
    let slots = Arc::new(Semaphore::new(READERS));
    let mut tasks = JoinSet::new();
    for db in databases.iter().filter(|db| options.selects(db)) {
        let listed = list(client, db).await;
        let listed = listed.unwrap_or_else(|error| panic!("fingerprint: listing {db:?}: {error}"));
        for listed in listed {
            let (client, options, slots) = (client.clone(), options.clone(), Arc::clone(&slots));
            tasks.spawn(async move {
                let _slot = slots
                    .acquire()
                    .await
                    .expect("the semaphore is never closed");
                let print = read(&client, &options, &listed).await;
                let print = print.unwrap_or_else(|error| {
                    panic!(
                        "fingerprint: reading {:?}.{:?}: {error}",
                        listed.db, listed.name
                    )
                });
                ((listed.db, listed.name), print)
            });
        }
    }
    tasks.join_all().await.into_iter().collect()
}

/// The collections of a database that count.
async fn list(client: &Client, db: &str) -> Result<Vec<Listed>> {
    let mut all = Vec::new();
    let command = rawdoc! { "listCollections": 1, "cursor": {} };
    each(client, db, command, |listed| {
        all.push(Listed {
            db: db.to_owned(),
            name: listed
                .get_str("name")
                .expect("a collection has a name")
                .to_owned(),
            kind: listed.get_str("type").unwrap_or("collection").to_owned(),
            options: listed
                .get_document("options")
                .expect("a collection has options")
                .to_owned(),
        });
    })
    .await?;
    let series: Vec<String> = all
        .iter()
        .filter(|listed| listed.kind == "timeseries")
        .map(|listed| format!("system.buckets.{}", listed.name))
        .collect();
    all.retain(|listed| {
        !["system.profile", "system.views"].contains(&listed.name.as_str())
            && !series.contains(&listed.name)
    });
    Ok(all)
}

async fn read(
    client: &Client,
    options: &FingerprintOptions,
    listed: &Listed,
) -> Result<CollectionPrint> {
    let mut indexes = BTreeMap::new();
    let content = match listed.kind.as_str() {
        "view" => Content::View,
        "timeseries" => {
            let buckets = format!("system.buckets.{}", listed.name);
            list_indexes(client, options, listed, &listed.name, "", &mut indexes).await?;
            list_indexes(client, options, listed, &buckets, "buckets: ", &mut indexes).await?;
            let measurements = read_measurements(client, options, listed).await?;
            let count = measurements.count;
            let stored = match options.time_series {
                TimeSeriesBy::Buckets => read_set(client, options, listed, &buckets).await?,
                TimeSeriesBy::Measurements => measurements,
            };
            Content::TimeSeries(stored, count)
        }
        _ => {
            list_indexes(client, options, listed, &listed.name, "", &mut indexes).await?;
            if listed.options.get_bool("capped").unwrap_or(false) {
                read_sequence(client, listed).await?
            } else {
                Content::Set(read_set(client, options, listed, &listed.name).await?)
            }
        }
    };
    Ok(CollectionPrint {
        kind: listed.kind.clone(),
        options: listed.options.clone(),
        indexes,
        content,
    })
}

async fn read_set(
    client: &Client,
    options: &FingerprintOptions,
    listed: &Listed,
    collection: &str,
) -> Result<DocumentSet> {
    let mut set = DocumentSet::new(options.documents_by_id);
    let command = rawdoc! { "find": collection };
    each(client, &listed.db, command, |document| {
        set.add(document);
    })
    .await?;
    Ok(set)
}

/// Reads a time-series as it is seen: the server puts the fields of measurements in any order.
async fn read_measurements(
    client: &Client,
    options: &FingerprintOptions,
    listed: &Listed,
) -> Result<DocumentSet> {
    let mut set = DocumentSet::new(options.documents_by_id);
    let command = rawdoc! { "find": listed.name.as_str() };
    each(client, &listed.db, command, |document| {
        let mut fields: Vec<_> = document.iter().flatten().collect();
        fields.sort_by_key(|(name, _)| *name);
        let mut sorted = RawDocumentBuf::new();
        for (name, value) in fields {
            sorted.append(name, value);
        }
        set.add(&sorted);
    })
    .await?;
    Ok(set)
}

async fn read_sequence(client: &Client, listed: &Listed) -> Result<Content> {
    let mut digests = Vec::new();
    let mut bytes = 0;
    let command = rawdoc! { "find": listed.name.as_str(), "hint": { "$natural": 1 } };
    each(client, &listed.db, command, |document| {
        digests.push(digest(document));
        bytes += document.as_bytes().len() as u64;
    })
    .await?;
    Ok(Content::Sequence(digests, bytes))
}

/// Adds the indexes of `collection`, with `prefix` before their names.
async fn list_indexes(
    client: &Client,
    options: &FingerprintOptions,
    listed: &Listed,
    collection: &str,
    prefix: &str,
    indexes: &mut BTreeMap<String, RawDocumentBuf>,
) -> Result<()> {
    let command = rawdoc! { "listIndexes": collection, "cursor": {} };
    each(client, &listed.db, command, |index| {
        let mut kept = RawBuilder::new();
        for (field, value) in index.iter().flatten() {
            let is_left_out = field == "ns" || (field == "v" && options.ignore_index_version);
            if !is_left_out {
                let mut element = RawDocumentBuf::new();
                element.append(field, value);
                kept = kept.extend(&element);
            }
        }
        let name = index.get_str("name").expect("an index has a name");
        indexes.insert(format!("{prefix}{name}"), kept.build());
    })
    .await
}

/// Runs a command that returns a cursor and calls `visit` with each document.
async fn each(
    client: &Client,
    db: &str,
    command: RawDocumentBuf,
    mut visit: impl FnMut(&RawDocument),
) -> Result<()> {
    let database = client.database(db);
    let mut batches = database.run_raw_cursor_command(command).batch().await?;
    while let Some(batch) = batches.try_next().await? {
        for document in batch.doc_slices()? {
            let document = document?;
            visit(document.as_document().expect("a batch holds documents"));
        }
    }
    Ok(())
}
