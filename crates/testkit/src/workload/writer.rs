//! One of the writers of a workload.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use bson::{Document, RawDocumentBuf, doc, rawdoc};
use mongodb::{Client, error::ErrorKind};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{Outcome, WorkloadOptions, Write};

/// Ids of one writer.
const IDS_PER_WRITER: i64 = 1_000_000_000;
/// Errors of commands that a server refuses before it does anything: NotWritablePrimary, NotPrimaryNoSecondaryOk.
const REFUSALS: [i32; 2] = [10107, 13435];

/// Writes to documents that no other writer knows.
pub(super) struct Writer {
    client: Client,
    options: Arc<WorkloadOptions>,
    number: u32,
    rng: ChaCha8Rng,
    next_id: i64,
    /// Documents that exist and whose state is known.
    alive: Vec<Alive>,
}

/// A document that a writer knows.
#[derive(Clone, Debug)]
struct Alive {
    namespace: String,
    id: i64,
    version: i32,
    text: String,
    list: Vec<i32>,
}

impl Writer {
    pub(super) fn new(client: Client, options: Arc<WorkloadOptions>, number: u32) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        rng.set_stream(u64::from(number));
        Self {
            client,
            options,
            number,
            rng,
            next_id: i64::from(number) * IDS_PER_WRITER,
            alive: Vec::new(),
        }
    }

    /// Writes until it is told to stop.
    pub(super) async fn run(
        mut self,
        stop: Arc<AtomicBool>,
        acknowledged: Arc<AtomicU64>,
    ) -> Vec<Write> {
        let mut writes = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let write = self.write().await;
            if matches!(write.outcome, Outcome::Acknowledged(_)) {
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            writes.push(write);
            tokio::time::sleep(self.options.pause).await;
        }
        writes
    }

    async fn write(&mut self) -> Write {
        let (before, after, command) = self.choose();
        let subject = after.as_ref().or(before.as_ref());
        let subject = subject.expect("a write has a document before or after it");
        let (namespace, id) = (subject.namespace.clone(), subject.id);
        let outcome = self.send(&namespace, command).await;
        let document = after.as_ref().map(|after| after.document(self.number));
        match outcome {
            Outcome::Acknowledged(_) => self.alive.extend(after),
            Outcome::Rejected => self.alive.extend(before),
            // Nobody touches it again.
            Outcome::Unknown => {}
        }
        Write {
            namespace,
            id,
            after: document,
            outcome,
        }
    }

    /// Chooses a write: the document before it (taken from those alive), after it, and the command.
    fn choose(&mut self) -> (Option<Alive>, Option<Alive>, Document) {
        let dice = self.rng.random_range(0..100);
        if dice < 40 || self.alive.is_empty() {
            let after = self.create();
            let command =
                doc! { "insert": "", "documents": [bson_of(&after.document(self.number))] };
            return (None, Some(after), command);
        }
        let chosen = self.rng.random_range(0..self.alive.len());
        let before = self.alive.swap_remove(chosen);
        let mut after = before.clone();
        after.version += 1;
        after.text = self.text();
        let id = doc! { "_id": before.id };
        let (after, command) = if dice < 65 {
            let element = self.rng.random();
            after.list.push(element);
            let change = doc! {
                "$inc": { "version": 1 }, "$set": { "text": &after.text }, "$push": { "list": element },
            };
            (
                Some(after),
                doc! { "update": "", "updates": [{ "q": id, "u": change }] },
            )
        } else if dice < 85 {
            after.list.clear();
            let replacement = bson_of(&after.document(self.number));
            (
                Some(after),
                doc! { "update": "", "updates": [{ "q": id, "u": replacement }] },
            )
        } else {
            (
                None,
                doc! { "delete": "", "deletes": [{ "q": id, "limit": 1 }] },
            )
        };
        (Some(before), after, command)
    }

    fn create(&mut self) -> Alive {
        let namespaces = &self.options.namespaces;
        let namespace = namespaces[self.rng.random_range(0..namespaces.len())].clone();
        let id = self.next_id;
        self.next_id += 1;
        Alive {
            namespace,
            id,
            version: 0,
            text: self.text(),
            list: Vec::new(),
        }
    }

    fn text(&mut self) -> String {
        let length = self.rng.random_range(0..200);
        "workload ".chars().cycle().take(length).collect()
    }

    /// Sends a command, whose first value is to be the collection, and tells what became of it.
    async fn send(&self, namespace: &str, mut command: Document) -> Outcome {
        let (db, collection) = namespace.split_once('.').expect("a namespace has a dot");
        if let Some((_, name)) = command.iter_mut().next() {
            *name = collection.into();
        }
        command.insert("writeConcern", doc! { "w": "majority" });
        match self.client.database(db).run_command(command).await {
            Ok(reply) => outcome_of(&reply),
            Err(error) => match error.kind.as_ref() {
                ErrorKind::Command(error) if REFUSALS.contains(&error.code) => Outcome::Rejected,
                ErrorKind::ServerSelection { .. } | ErrorKind::ConnectionPoolCleared { .. } => {
                    Outcome::Rejected
                }
                _ => Outcome::Unknown,
            },
        }
    }
}

fn outcome_of(reply: &Document) -> Outcome {
    if reply.contains_key("writeErrors") || reply.contains_key("writeConcernError") {
        return Outcome::Unknown;
    }
    let changed = reply.get_i32("n").unwrap_or(0);
    assert_eq!(
        changed, 1,
        "a write to a document of one's own has an effect: {reply}"
    );
    Outcome::Acknowledged(reply.get_timestamp("operationTime").ok())
}

impl Alive {
    fn document(&self, writer: u32) -> RawDocumentBuf {
        let mut list = bson::RawArrayBuf::new();
        for element in &self.list {
            list.push(*element);
        }
        rawdoc! {
            "_id": self.id, "writer": i64::from(writer), "version": self.version,
            "text": self.text.as_str(), "list": list,
        }
    }
}

fn bson_of(document: &RawDocumentBuf) -> Document {
    Document::try_from(document).expect("the document was made of plain values")
}
