//! The data of the demo, and how it is described.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use bson::{RawDocumentBuf, doc, rawdoc};
use rdump_testkit::{
    Fingerprint, ReplicaSet,
    dataset::{self, Seeder, Shape, seed_bulk},
    fingerprint::CollectionPrint,
};

use crate::units::count;

/// A big collection, beside the small ones of the test kit.
struct Bulk {
    collection: &'static str,
    shape: Shape,
    documents: u64,
}

const DB: &str = "demo";
/// Together 560 MB.
const BULK: [Bulk; 3] = [
    Bulk {
        collection: "events",
        shape: Shape::Small,
        documents: 1_000_000,
    },
    Bulk {
        collection: "orders",
        shape: Shape::Medium,
        documents: 120_000,
    },
    Bulk {
        collection: "articles",
        shape: Shape::Large,
        documents: 2_500,
    },
];

/// Fills a deployment with every data set of the test kit and the big collections.
pub(super) async fn seed(source: &ReplicaSet) {
    let client = source.client();
    for dataset in dataset::all() {
        dataset.seed(&client).await;
    }
    for (bulk, seed) in BULK.iter().zip(1..) {
        let namespace = format!("{DB}.{}", bulk.collection);
        seed_bulk(&client, &namespace, bulk.shape, bulk.documents, seed).await;
    }
    let seeder = Seeder::new("demo", client);
    for (collection, keys) in [
        ("events", vec![rawdoc! { "account": 1 }]),
        (
            "orders",
            vec![
                rawdoc! { "customer.id": 1, "createdAt": -1 },
                rawdoc! { "state": 1 },
            ],
        ),
        ("articles", vec![rawdoc! { "publishedAt": -1 }]),
    ] {
        seeder
            .index(DB, collection, keys.into_iter().enumerate().map(index))
            .await;
    }
}

/// The specification of an index by its position and key.
fn index((position, key): (usize, RawDocumentBuf)) -> RawDocumentBuf {
    rawdoc! { "key": key, "name": format!("by_{position}") }
}

/// The version of the server.
pub(super) async fn server_version(server: &ReplicaSet) -> Result<String> {
    let reply = server.admin_command(doc! { "buildInfo": 1 }).await?;
    Ok(reply
        .get_str("version")
        .context("the server does not say its version")?
        .to_owned())
}

/// How many databases, collections and indexes there are.
pub(super) fn summary(found: &Fingerprint) -> String {
    let collections = found.collections();
    let databases: BTreeSet<&str> = collections.keys().map(|(db, _)| db.as_str()).collect();
    let indexes: usize = collections.values().map(|print| print.indexes.len()).sum();
    format!(
        "{} collections with {indexes} indexes in {} databases",
        collections.len(),
        databases.len()
    )
}

/// How many of the special kinds of collections there are.
pub(super) fn kinds(found: &Fingerprint) -> String {
    let of = |is: fn(&CollectionPrint) -> bool| {
        found
            .collections()
            .values()
            .filter(|print| is(print))
            .count()
    };
    let kinds = [
        (of(|print| print.kind == "view"), "views"),
        (of(|print| print.kind == "timeseries"), "time series"),
        (of(|print| has(print, "capped")), "capped"),
        (of(|print| has(print, "clusteredIndex")), "clustered"),
        (of(|print| has(print, "collation")), "with a collation"),
        (of(|print| has(print, "validator")), "with a validator"),
    ];
    let kinds = kinds.into_iter().filter(|(number, _)| *number > 0);
    let kinds: Vec<String> = kinds
        .map(|(number, kind)| format!("{} {kind}", count(number as u64)))
        .collect();
    format!(
        "among them {}",
        if kinds.is_empty() {
            "nothing special".to_owned()
        } else {
            kinds.join(", ")
        }
    )
}

fn has(print: &CollectionPrint, option: &str) -> bool {
    matches!(print.options.get(option), Ok(Some(_)))
}
