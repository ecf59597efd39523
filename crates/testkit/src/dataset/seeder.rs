//! What data sets are written with: raw commands that panic when the server refuses them.

use bson::{Document, RawDocument, RawDocumentBuf};
use mongodb::Client;

use crate::{
    raw::RawBuilder,
    server_version::{Feature, ServerVersion},
};

/// Most bytes of documents in one insert, unless one document is bigger.
const BATCH_BYTES: usize = 1 << 20;
/// Most documents in one insert.
const BATCH_DOCUMENTS: usize = 10_000;

/// A connection that a [`Dataset`](super::Dataset) fills its databases through.
#[derive(Clone, Debug)]
pub struct Seeder {
    dataset: &'static str,
    client: Client,
    version: ServerVersion,
}

impl Seeder {
    /// A seeder that names `dataset` when something fails.
    pub fn new(dataset: &'static str, client: Client) -> Self {
        Self {
            dataset,
            client,
            version: ServerVersion::V6_0_5,
        }
    }

    /// Sets the version of the server, which lacks what newer ones have. Default: 6.0.5, which lacks nothing.
    #[must_use]
    pub fn version(mut self, version: ServerVersion) -> Self {
        self.version = version;
        self
    }

    /// Whether the server can hold this; if not, the data set has to do without.
    pub fn has(&self, feature: Feature) -> bool {
        self.version.has(feature)
    }

    /// The client that it works with.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Runs a command and gives its reply; panics on any kind of error in the reply.
    pub async fn command(&self, db: &str, command: RawDocumentBuf) -> Document {
        let shown = abridged(&command);
        let reply = self
            .client
            .database(db)
            .run_raw_command(command)
            .await
            .unwrap_or_else(|error| {
                panic!("data set {}: {shown} on {db:?}: {error}", self.dataset)
            });
        for problem in ["writeErrors", "writeConcernError"] {
            if let Some(problem) = reply.get(problem) {
                panic!("data set {}: {shown} on {db:?}: {problem}", self.dataset);
            }
        }
        reply
    }

    /// Creates a collection or view with `options` as they are.
    pub async fn create(&self, db: &str, collection: &str, options: &RawDocument) {
        let command = RawBuilder::new()
            .string("create", collection)
            .extend(options);
        self.command(db, command.build()).await;
    }

    /// Inserts documents in order, as they are.
    pub async fn insert(
        &self,
        db: &str,
        collection: &str,
        documents: impl IntoIterator<Item = RawDocumentBuf>,
    ) {
        let mut batch = Vec::new();
        let mut batch_bytes = 0;
        for document in documents {
            let bytes = document.as_bytes().len();
            if batch_bytes + bytes > BATCH_BYTES || batch.len() == BATCH_DOCUMENTS {
                self.insert_batch(db, collection, std::mem::take(&mut batch))
                    .await;
                batch_bytes = 0;
            }
            batch_bytes += bytes;
            batch.push(document);
        }
        self.insert_batch(db, collection, batch).await;
    }

    /// Creates indexes one after the other, each specification as it is.
    pub async fn index(
        &self,
        db: &str,
        collection: &str,
        specifications: impl IntoIterator<Item = RawDocumentBuf>,
    ) {
        let command = RawBuilder::new()
            .string("createIndexes", collection)
            .documents("indexes", specifications);
        self.command(db, command.build()).await;
    }

    async fn insert_batch(&self, db: &str, collection: &str, batch: Vec<RawDocumentBuf>) {
        if !batch.is_empty() {
            let command = RawBuilder::new()
                .string("insert", collection)
                .bool("ordered", true)
                .documents("documents", batch);
            self.command(db, command.build()).await;
        }
    }
}

/// A command, or its name if it is long, for messages.
fn abridged(command: &RawDocument) -> String {
    match Document::try_from(command) {
        Ok(document) if command.as_bytes().len() < 2_000 => document.to_string(),
        _ => {
            let name = command.iter().flatten().next();
            name.map_or_else(String::new, |(name, _)| name.to_string())
        }
    }
}
