//! The deployments that are read and written, their data, and their peace.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bson::{Document, RawDocumentBuf, doc, rawdoc};
use rdump_testkit::{
    ReplicaSet,
    dataset::{Seeder, Shape, seed_bulk},
};

use tokio::{sync::OnceCell, task::JoinSet};

use super::oplog;
use crate::{
    process::processor_seconds,
    screen,
    units::{count, megabytes, seconds},
};

/// The database of all data.
pub(super) const DB: &str = "bench";
/// The database of many collections.
pub(super) const MANY: &str = "many";
/// How many it has at scale 1, and how many documents each.
const MANY_COLLECTIONS: f64 = 20_000.0;
const MANY_DOCUMENTS: u64 = 20;
/// How many of them are made at once.
const SEEDERS: u32 = 4;

/// A deployment is at rest when it uses less than this part of one core.
const REST: f64 = 0.15;
/// Over how long that is looked at.
const REST_WINDOW: Duration = Duration::from_millis(400);
const REST_PATIENCE: Duration = Duration::from_secs(60);

/// One collection at scale 1.
struct Collection {
    name: &'static str,
    shape: Shape,
    documents: f64,
}

const COLLECTIONS: [Collection; 3] = [
    Collection {
        name: "small",
        shape: Shape::Small,
        documents: 2_000_000.0,
    },
    Collection {
        name: "medium",
        shape: Shape::Medium,
        documents: 400_000.0,
    },
    Collection {
        name: "large",
        shape: Shape::Large,
        documents: 5_000.0,
    },
];

/// What the source holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Data {
    /// By collection: name, documents, indexes.
    pub(super) collections: Vec<(&'static str, u64, usize)>,
    pub(super) documents: u64,
    pub(super) bytes: u64,
}

/// A full source and an empty target.
#[derive(Debug)]
pub(super) struct Servers {
    source: ReplicaSet,
    target: ReplicaSet,
    scale: f64,
    data: Data,
    /// Made for the first row that reads it.
    many: OnceCell<u64>,
}

impl Servers {
    /// Starts both and fills the source, if it is read.
    pub(super) async fn start(scale: f64, is_read: bool, cache_mebibytes: u32) -> Result<Self> {
        screen::note("starting two replica sets of one member");
        let server = || {
            ReplicaSet::builder()
                .cache_mebibytes(cache_mebibytes)
                .oplog_mebibytes(1024)
                .start()
        };
        let (source, target) = tokio::join!(server(), server());
        let mut data = Data::default();
        if is_read {
            let started = Instant::now();
            for collection in &COLLECTIONS {
                seed(&source, collection, scale).await;
            }
            data = Data::of(&source).await?;
            screen::note(format!(
                "seeded {} documents, {}, in {}",
                count(data.documents),
                megabytes(data.bytes),
                seconds(started.elapsed())
            ));
        }
        Ok(Self {
            source,
            target,
            scale,
            data,
            many: OnceCell::new(),
        })
    }

    /// Makes the database of many collections, once.
    pub(super) async fn seed_many(&self) -> Result<()> {
        let collections = whole(MANY_COLLECTIONS * self.scale).max(u64::from(SEEDERS));
        let seeded = self.many.get_or_try_init(async || {
            screen::note(format!("seeding {} collections", count(collections)));
            let mut seeders = JoinSet::new();
            for seeder in 0..SEEDERS {
                let db = self.source.client().database(MANY);
                seeders.spawn(async move {
                    for number in (0..collections).filter(|number| number % u64::from(SEEDERS) == u64::from(seeder)) {
                        let document = |id| doc! { "_id": id as i64, "collection": number as i64, "text": "as in many small ones" };
                        let collection = db.collection::<Document>(&format!("c{number}"));
                        collection.insert_many((0..MANY_DOCUMENTS).map(document)).await?;
                    }
                    Ok::<_, anyhow::Error>(())
                });
            }
            while let Some(seeded) = seeders.join_next().await {
                seeded??;
            }
            Ok::<_, anyhow::Error>(collections)
        });
        seeded.await.map(|_| ())
    }

    /// Fails unless the target has all of the many collections.
    pub(super) async fn check_many(&self) -> Result<()> {
        let db = self.target.client().database(MANY);
        let stats = db.run_command(doc! { "dbStats": 1 }).await?;
        let of = |name: &str| {
            let found = stats.get(name);
            found.and_then(|it| it.as_i64().or(it.as_i32().map(i64::from)))
        };
        let expected = i64::try_from(*self.many.get().context("it was seeded")?)?;
        let documents = expected * i64::try_from(MANY_DOCUMENTS)?;
        ensure!(
            (of("collections"), of("objects")) == (Some(expected), Some(documents)),
            "the target has {stats} after a restore of {expected} collections"
        );
        Ok(())
    }

    pub(super) fn source_host(&self) -> String {
        self.source.hosts().into_iter().next().unwrap_or_default()
    }

    pub(super) fn data(&self) -> &Data {
        &self.data
    }

    pub(super) fn scale(&self) -> f64 {
        self.scale
    }

    pub(super) fn source_uri(&self) -> String {
        self.source.uri()
    }

    pub(super) fn target_uri(&self) -> String {
        self.target.uri()
    }

    /// The version of the servers.
    pub(super) async fn version(&self) -> Result<String> {
        let reply = self.source.admin_command(doc! { "buildInfo": 1 }).await?;
        Ok(reply
            .get_str("version")
            .context("the server does not say its version")?
            .to_owned())
    }

    /// Fails unless the target holds what the source does, by the number of documents and indexes.
    pub(super) async fn check_target(&self) -> Result<()> {
        let found = Data::of(&self.target).await?;
        ensure!(
            found == self.data,
            "the target holds {found:?} after a restore, and the source {:?}",
            self.data
        );
        Ok(())
    }

    /// Fails unless the target holds what the oplog says.
    pub(super) async fn check_replayed(&self) -> Result<()> {
        let db = self.target.client().database(oplog::DB);
        let mut found = 0;
        for number in 0..oplog::COLLECTIONS {
            let collection = db.collection::<Document>(&oplog::collection(number));
            found += collection.count_documents(oplog::done()).await?;
        }
        let expected = oplog::documents(self.scale);
        ensure!(
            found == expected,
            "the target holds {found} documents after a replay, and not {expected}"
        );
        Ok(())
    }

    /// Empties the target.
    pub(super) async fn empty_target(&self) -> Result<()> {
        for db in [DB, MANY, oplog::DB] {
            let db = self.target.client().database(db);
            let emptied = db.run_command(doc! { "dropDatabase": 1 }).await;
            emptied.context("emptying the target")?;
        }
        Ok(())
    }

    /// Waits until both servers have written everything to disk and have nothing to do.
    pub(super) async fn settle(&self) -> Result<()> {
        for server in [&self.source, &self.target] {
            server
                .admin_command(doc! { "fsync": 1 })
                .await
                .context("writing a checkpoint")?;
        }
        let started = Instant::now();
        while started.elapsed() < REST_PATIENCE {
            let before = self.processor_seconds()?;
            tokio::time::sleep(REST_WINDOW).await;
            let used = self.processor_seconds()? - before;
            if used / REST_WINDOW.as_secs_f64() < REST {
                return Ok(());
            }
        }
        bail!("the servers are busy although nobody uses them")
    }

    /// Processor time of both servers so far.
    pub(super) fn processor_seconds(&self) -> Result<f64> {
        let members = [&self.source, &self.target]
            .into_iter()
            .flat_map(|server| server.members());
        let mut used = 0.0;
        for member in members {
            let id = member.id().context("a server was killed")?;
            used += processor_seconds(id).context("a server is gone")?;
        }
        Ok(used)
    }
}

impl Data {
    async fn of(server: &ReplicaSet) -> Result<Self> {
        let db = server.client().database(DB);
        let mut data = Self::default();
        for collection in &COLLECTIONS {
            let documents = db
                .collection::<Document>(collection.name)
                .count_documents(doc! {})
                .await?;
            let indexes = db
                .collection::<Document>(collection.name)
                .list_index_names()
                .await?;
            data.collections
                .push((collection.name, documents, indexes.len()));
            data.documents += documents;
        }
        let stats = db.run_command(doc! { "dbStats": 1 }).await?;
        // In a double, which is exact far beyond the size of any disk.
        let bytes = stats
            .get("dataSize")
            .and_then(|bytes| bytes.as_f64().or(bytes.as_i64().map(|b| b as f64)));
        data.bytes = whole(bytes.context("the server does not say how much data it has")?);
        Ok(data)
    }
}

async fn seed(source: &ReplicaSet, collection: &Collection, scale: f64) {
    let documents = whole(collection.documents * scale).max(1);
    screen::note(format!(
        "seeding {}: {} documents",
        collection.name,
        count(documents)
    ));
    let client = source.client();
    seed_bulk(
        &client,
        &format!("{DB}.{}", collection.name),
        collection.shape,
        documents,
        1,
    )
    .await;
    let keys = match collection.shape {
        Shape::Small => vec![rawdoc! { "account": 1 }],
        Shape::Medium => vec![
            rawdoc! { "customer.id": 1, "createdAt": -1 },
            rawdoc! { "state": 1 },
        ],
        _ => vec![rawdoc! { "publishedAt": -1 }],
    };
    let index = |(position, key): (usize, RawDocumentBuf)| {
        rawdoc! { "key": key, "name": format!("by_{position}") }
    };
    let seeder = Seeder::new("bench", client);
    seeder
        .index(DB, collection.name, keys.into_iter().enumerate().map(index))
        .await;
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers of documents and bytes are positive and far below 2^53"
)]
pub(super) fn whole(number: f64) -> u64 {
    number.round() as u64
}
