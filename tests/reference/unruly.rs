//! Writers that do whatever an application may do, none of them minding the others.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use bson::{DateTime, Document, doc};
use mongodb::{Client, Collection, error::Result, options::Collation};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rdump_testkit::wait::{PATIENCE, wait_for};
use tokio::task::JoinSet;

/// Collections that all writers write to, and ids that they fight for.
const SHARED: u32 = 6;
const IDS: i32 = 4000;
const WRITERS: u32 = 6;
/// 2024-02-01.
const FIRST_MEASUREMENT: i64 = 1_706_745_600_000;

/// Writers at work.
pub(super) struct Unruly {
    stop: Arc<AtomicBool>,
    attempts: Arc<AtomicU64>,
    writers: JoinSet<()>,
}

/// What is there before anyone writes.
pub(super) async fn seed(client: &Client, seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let shop = client.database("shop");
    for number in 0..SHARED {
        let documents = (0..IDS).map(|id| {
            let text = "x".repeat(rng.random_range(10..600));
            let list: Vec<f64> = (0..rng.random_range(0..6)).map(|_| rng.random()).collect();
            doc! { "_id": id, "n": id, "unique": id, "text": text, "list": list }
        });
        let collection = shop.collection(&format!("shared{number}"));
        collection.insert_many(documents).await.unwrap();
        let key = if number % 2 == 0 {
            doc! { "unique": 1 }
        } else {
            doc! { "n": 1, "text": -1 }
        };
        let index = doc! { "key": key, "name": "made", "unique": number % 2 == 0 };
        let create = doc! { "createIndexes": collection.name(), "indexes": [index] };
        shop.run_command(create).await.unwrap();
    }
    for command in [
        doc! { "create": "capped", "capped": true, "size": 200_000 },
        doc! { "create": "series", "timeseries": { "timeField": "at", "metaField": "sensor" } },
        doc! { "create": "collated", "collation": { "locale": "de", "strength": 2 } },
        doc! { "create": "checked", "validator": { "value": { "$gte": 0 } } },
        doc! { "create": "view", "viewOn": "shared0", "pipeline": [{ "$match": { "n": { "$gt": 5 } } }] },
    ] {
        shop.run_command(command).await.unwrap();
    }
    let names = (0..IDS).map(|id| doc! { "_id": format!("k{id}"), "value": id });
    shop.collection("collated")
        .insert_many(names)
        .await
        .unwrap();
    let values = (0..100).map(|id| doc! { "_id": id, "value": id });
    shop.collection("checked")
        .insert_many(values)
        .await
        .unwrap();
}

impl Unruly {
    /// Starts all writers.
    pub(super) fn start(client: &Client, seed: u64) -> Self {
        let (stop, attempts) = (Arc::default(), Arc::default());
        let mut writers = JoinSet::new();
        for number in 0..WRITERS {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(u64::from(number));
            let writer = Writer {
                client: client.clone(),
                number,
                rng,
                written: 0,
            };
            writers.spawn(writer.run(Arc::clone(&stop), Arc::clone(&attempts)));
        }
        Self {
            stop,
            attempts,
            writers,
        }
    }

    /// Waits until `more` writes more were tried.
    pub(super) async fn await_more(&self, more: u64) {
        let wanted = self.attempts.load(Ordering::Relaxed) + more;
        let is_reached = async || (self.attempts.load(Ordering::Relaxed) >= wanted).then_some(());
        wait_for("unruly writes", PATIENCE, is_reached).await;
    }

    pub(super) async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.writers.join_all().await;
    }
}

struct Writer {
    client: Client,
    number: u32,
    rng: ChaCha8Rng,
    written: i32,
}

impl Writer {
    async fn run(mut self, stop: Arc<AtomicBool>, attempts: Arc<AtomicU64>) {
        while !stop.load(Ordering::Relaxed) {
            // Many fail, as writes of applications do: duplicates, conflicts, indexes that are not there.
            let _ = self.write().await;
            attempts.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn write(&mut self) -> Result<()> {
        self.written += 1;
        let (count, id) = (self.written, self.rng.random_range(0..IDS));
        let (shared, any) = (self.shared(), doc! { "_id": id });
        let key = format!("{}-{count}", self.number);
        let shop = self.client.database("shop");
        match self.rng.random_range(0..1000) {
            0..300 => drop(
                shared
                    .insert_one(doc! { "_id": &key, "n": count, "unique": &key })
                    .await?,
            ),
            300..550 => {
                let text = "y".repeat(self.rng.random_range(1..100));
                let change = doc! { "$set": { "text": text }, "$inc": { "n": 1 } };
                shared.update_one(any, change).await?;
            }
            550..600 => {
                let element = format!("list.{}", self.rng.random_range(0..3));
                let change = doc! { "$set": { element: self.rng.random::<f64>() } };
                shared.update_one(any, change).await?;
            }
            600..680 => {
                shared.delete_one(any).await?;
            }
            680..720 => drop(
                shared
                    .replace_one(any, doc! { "n": -count, "unique": &key })
                    .await?,
            ),
            720..750 => {
                let many =
                    (0..self.rng.random_range(2..40)).map(|number| format!("{key}-{number}"));
                let many = many.map(|key| doc! { "_id": &key, "unique": &key });
                shared.insert_many(many).await?;
            }
            750..800 => self.transaction(&key, any).await?,
            800..830 => {
                let capped = shop.collection("capped");
                capped
                    .insert_one(doc! { "n": count, "writer": self.number })
                    .await?;
            }
            830..870 => {
                let at = DateTime::from_millis(FIRST_MEASUREMENT + i64::from(count) * 1000);
                let measurement = doc! { "at": at, "sensor": self.number, "value": count };
                shop.collection("series").insert_one(measurement).await?;
            }
            870..900 => {
                let collation = Collation::builder().locale("de").build();
                let collated: Collection<Document> = shop.collection("collated");
                let change = doc! { "$inc": { "value": 1 } };
                let update = collated.update_one(doc! { "_id": format!("K{id}") }, change);
                update
                    .collation(collation)
                    .upsert(self.rng.random_ratio(1, 10))
                    .await?;
            }
            900..980 => self.define(count).await?,
            _ => {
                let checked: Collection<Document> = shop.collection("checked");
                let change = doc! { "$inc": { "value": 1 } };
                checked.update_one(doc! { "_id": id % 100 }, change).await?;
            }
        }
        Ok(())
    }

    fn shared(&mut self) -> Collection<Document> {
        let name = format!("shared{}", self.rng.random_range(0..SHARED));
        self.client.database("shop").collection(&name)
    }

    async fn transaction(&mut self, key: &str, any: Document) -> Result<()> {
        let mut session = self.client.start_session().await?;
        session.start_transaction().await?;
        for number in 0..self.rng.random_range(1..8) {
            let key = format!("{key}-{number}");
            let shared = self.shared();
            let insert = shared.insert_one(doc! { "_id": &key, "unique": &key });
            insert.session(&mut session).await?;
        }
        self.shared().delete_one(any).session(&mut session).await?;
        if self.rng.random_ratio(1, 4) {
            session.abort_transaction().await
        } else {
            session.commit_transaction().await
        }
    }

    /// Makes, changes and drops collections and indexes of its own.
    async fn define(&mut self, count: i32) -> Result<()> {
        let own = self.client.database(&format!("own{}", self.number));
        let name = format!("c{}", self.rng.random_range(0..4));
        let collection: Collection<Document> = own.collection(&name);
        let command = match self.rng.random_range(0..80) {
            0..30 => return collection.insert_one(doc! { "_id": count }).await.map(drop),
            30..40 => doc! { "drop": name },
            40..42 => doc! { "dropDatabase": 1 },
            42..55 => {
                let field = ["a", "b", "c"][self.rng.random_range(0..3)];
                let sparse = self.rng.random_ratio(1, 2);
                let index =
                    doc! { "key": { field: 1 }, "name": format!("{field}_1"), "sparse": sparse };
                doc! { "createIndexes": name, "indexes": [index] }
            }
            55..60 => doc! { "dropIndexes": name, "index": "*" },
            60..70 => {
                let index = doc! { "name": "a_1", "hidden": self.rng.random_ratio(1, 2) };
                doc! { "collMod": name, "index": index }
            }
            _ => {
                let validator = doc! { "x": { "$exists": self.rng.random_ratio(1, 2) } };
                doc! { "collMod": name, "validator": validator, "validationLevel": "moderate" }
            }
        };
        own.run_command(command).await.map(drop)
    }
}
