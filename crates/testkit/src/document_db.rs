//! A server that behaves as Amazon DocumentDB 5.0 does: a proxy on loopback in front of a replica set.
//!
//! It refuses what DocumentDB refuses, and does not deliver what DocumentDB does not deliver. What it does is taken from
//! [what AWS documents](https://docs.aws.amazon.com/documentdb/latest/developerguide/mongo-apis.html) and from what
//! others saw of clusters of 5.0; where neither says anything, it is the stricter of what could be:
//!
//! - No oplog: `local`, `config` and `admin` are as if they were empty, and no reply has `$clusterTime`.
//! - Commands, fields of commands, stages, kinds of indexes and read concerns that it lacks are refused by name; so are
//!   writes that a driver could repeat, and reads at or after a time.
//! - Changes are recorded from when `modifyChangeStreams` says so, and only then. A stream over anything else yields
//!   nothing, silently. Dropping a collection that was enabled by its name disables it.
//! - Events are insert, update, replace, delete and drop, and invalidate for a stream of one collection; nothing tells of
//!   what is created, renamed or indexed. An update does not say what it changed.
//! - Resume tokens tell no time, and batches have none. Who resumes at an event that is gone learns it by an error.
//! - `listCollections` knows no UUID and adds options that nobody chose; `listIndexes` adds `ns`.
//!
//! What it does not do: limits (cursors, transactions, sizes), operators within stages, TLS, and what a statement does
//! all at once there and document by document in MongoDB. A stream of one database ends when that is dropped, as that of
//! MongoDB does. Types of values are MongoDB's.
//!
//! ```no_run
//! # async fn example() {
//! use rdump_testkit::{DocumentDb, ReplicaSet};
//!
//! let set = ReplicaSet::start().await;
//! let documentdb = DocumentDb::start(&set).await;
//! documentdb.enable_change_streams("shop", "").await;
//! // ... whatever reads `documentdb.uri()` ...
//! assert_eq!(documentdb.refusals(), [""; 0]);
//! # }
//! ```

mod check;
mod commands;
mod connection;
mod enabled;
mod message;
mod refusal;
mod reply;
mod state;
mod stream;
mod token;

use std::{fmt, sync::Arc, time::Duration};

use bson::{Document, doc};
use mongodb::Client;

use self::{
    refusal::Refusal,
    state::{Cursor, Shared},
};
use crate::{
    deployment::{Deployment, connect},
    process::listening::Listening,
    replica_set::ReplicaSet,
};

pub use self::state::LostPosition;

/// A running server that behaves as DocumentDB; it ends, with all its connections, when it is dropped.
///
/// It runs on a thread of its own, so a test may block while commands go through it.
pub struct DocumentDb {
    listening: Listening,
    shared: Arc<Shared>,
    uri: String,
    replica_set_uri: String,
    client: Client,
}

impl DocumentDb {
    /// Starts it in front of the member of `set` that takes writes now, which is not encrypted.
    pub async fn start(set: &ReplicaSet) -> Self {
        let deployment: &Deployment = set;
        let primary = deployment.await_primary().await;
        let shared = Arc::new(Shared::new(deployment.hosts()[primary].clone()));
        let listening = Listening::start("document_db", {
            let shared = Arc::clone(&shared);
            move |client| connection::serve(client, Arc::clone(&shared))
        });
        let address = listening.address();
        let without_repeats = |uri: String| uri + "&retryWrites=false";
        let uri = without_repeats(deployment.direct_uri_at(&address));
        assert!(!uri.contains("tls=true"), "it reads no TLS");
        shared.state().address = address.clone();
        Self {
            listening,
            shared,
            client: connect(&uri).await,
            replica_set_uri: without_repeats(deployment.set_uri_at(&address)),
            uri,
        }
    }

    /// Address at which it listens, as `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.listening.address()
    }

    /// The connection string for a direct connection, with `retryWrites=false` as AWS gives it.
    pub fn uri(&self) -> String {
        self.uri.clone()
    }

    /// The connection string for who finds the set's members by itself.
    pub fn replica_set_uri(&self) -> String {
        self.replica_set_uri.clone()
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Records changes of a collection from now on: of a whole database, if it has no name, or of all.
    pub async fn enable_change_streams(&self, database: &str, collection: &str) {
        self.switch_change_streams(database, collection, true).await;
    }

    /// Ends what was begun by [`DocumentDb::enable_change_streams`] with the same names.
    pub async fn disable_change_streams(&self, database: &str, collection: &str) {
        self.switch_change_streams(database, collection, false)
            .await;
    }

    /// Sets how long events can be resumed at, by the time of the last write. Default: as long as the oplog has them.
    pub fn retain_events(&self, retention: Duration) {
        self.shared.state().retention = Some(retention);
    }

    /// Makes all events up to now be gone; streams that are open go on.
    pub async fn forget_events(&self) {
        let reply = self.admin_command(doc! { "ping": 1 }).await;
        let now = reply.get_timestamp("operationTime");
        self.shared.state().forgotten = Some(now.expect("a member of a set says the time"));
    }

    /// Sets what is said to who resumes at an event that is gone. Default: [`LostPosition::CappedPositionLost`].
    pub fn answer_lost_positions_by(&self, answer: LostPosition) {
        self.shared.state().lost = answer;
    }

    /// Delivers no more events until [`DocumentDb::release_events`], as during a long write to many documents.
    pub fn hold_events(&self) {
        self.shared.held.send_replace(true);
    }

    /// Delivers events again, at first all that were held back.
    pub fn release_events(&self) {
        self.shared.held.send_replace(false);
    }

    /// Lets all change streams that are open fail when they are asked for more; new ones can be opened.
    pub fn fail_streams(&self, code: i32, message: &str) {
        for cursor in self.shared.state().cursors.values_mut() {
            if let Cursor::Events(stream) = cursor {
                stream.failure = Some(Refusal::new(code, message));
            }
        }
    }

    /// Lets batches of events have a `postBatchResumeToken`, as newer clusters do. Default: they have none.
    pub fn give_batch_tokens(&self) {
        self.shared.state().batch_tokens = true;
    }

    /// Sets what the server says its own name is, `x.docdb.amazonaws.com:27017` for instance. Default: its address.
    pub fn set_own_name(&self, name: &str) {
        self.shared.state().me = Some(name.to_owned());
    }

    /// What was refused so far, each as `command: message`.
    pub fn refusals(&self) -> Vec<String> {
        self.shared.state().refusals.clone()
    }

    async fn switch_change_streams(&self, database: &str, collection: &str, enable: bool) {
        self.admin_command(doc! {
            "modifyChangeStreams": 1, "database": database, "collection": collection, "enable": enable,
        })
        .await;
    }

    async fn admin_command(&self, command: Document) -> Document {
        let reply = self.client.database("admin").run_command(command).await;
        reply.unwrap_or_else(|error| panic!("a command to DocumentDB: {error}"))
    }
}

impl fmt::Debug for DocumentDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocumentDb")
            .field("listening", &self.listening)
            .finish_non_exhaustive()
    }
}
