//! What stands in for DocumentDB refuses and keeps silent as that does.

mod handshake;
mod refusals;
mod streams;

use bson::{Document, doc};
use mongodb::{Collection, Database};
use rdump_testkit::{DocumentDb, ReplicaSet};

struct Setup {
    documentdb: DocumentDb,
    set: ReplicaSet,
}

async fn setup() -> Setup {
    let set = ReplicaSet::start().await;
    Setup {
        documentdb: DocumentDb::start(&set).await,
        set,
    }
}

impl Setup {
    fn shop(&self) -> Database {
        self.documentdb.client().database("shop")
    }

    fn orders(&self) -> Collection<Document> {
        self.shop().collection("orders")
    }

    async fn run(&self, database: &str, command: Document) -> mongodb::error::Result<Document> {
        self.documentdb
            .client()
            .database(database)
            .run_command(command)
            .await
    }

    /// Runs a command that is refused, and gives the code and the text.
    async fn refused(&self, database: &str, command: Document) -> (i32, String) {
        let name = command.keys().next().expect("it has a name").clone();
        match self.run(database, command).await {
            Ok(reply) => panic!("{name} was answered: {reply}"),
            Err(error) => parts(&error),
        }
    }

    /// The first batch of a cursor.
    async fn first_batch(&self, database: &str, command: Document) -> Vec<Document> {
        let reply = self.run(database, command).await.expect("it is answered");
        let cursor = reply.get_document("cursor").expect("it has a cursor");
        let batch = cursor.get_array("firstBatch").expect("it is the first");
        let documents = batch.iter().filter_map(bson::Bson::as_document);
        documents.cloned().collect()
    }
}

/// Code and text of a server's error.
fn parts(error: &mongodb::error::Error) -> (i32, String) {
    match error.kind.as_ref() {
        mongodb::error::ErrorKind::Command(error) => (error.code, error.message.clone()),
        other => panic!("an error of another kind: {other}"),
    }
}

fn by_id(id: i32) -> Document {
    doc! { "_id": id }
}
