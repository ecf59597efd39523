use std::num::NonZeroUsize;

use rdump_format::{Compression, Selector};
use serde::{Deserialize, Serialize};

use super::Consistency;
use crate::ReadPreference;

/// How a dump selects, reads and packs documents. Plain data: services go to [`Dump`](crate::Dump).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct DumpOptions {
    /// The only database to dump. Default: all but `local`, and of `admin` and `config` what can be
    /// restored.
    pub db: Option<String>,
    /// The only collection to dump; needs [`db`](Self::db). Default: all.
    pub collection: Option<String>,
    /// Names of collections to leave out; needs [`db`](Self::db). Default: none.
    pub exclude_collections: Vec<String>,
    /// Beginnings of names of collections to leave out; needs [`db`](Self::db). Default: none.
    pub exclude_collections_with_prefix: Vec<String>,
    /// Dump the users and roles of [`db`](Self::db) too; needs it, without a collection. Default: false, which leaves
    /// them out unless the whole deployment or `admin` is dumped.
    pub users_and_roles: bool,
    /// At which moment what is read is to be. Default: each collection at a time of its own.
    pub consistency: Consistency,
    /// Namespaces to dump, by pattern, among those that the options above leave. Default: all.
    pub select: Selector,
    /// Dump only views, each as if it were a collection; what [`collection`](Self::collection) names is dumped in any
    /// case. Default: false.
    pub views_as_collections: bool,
    /// A filter as strict [Extended JSON v2](https://www.mongodb.com/docs/manual/reference/mongodb-extended-json/);
    /// needs [`collection`](Self::collection). Default: every document.
    pub query: Option<String>,
    /// Which members are read. Default: the primary, or what the connection string says.
    pub read_preference: Option<ReadPreference>,
    /// How stored segments are compressed. Default: none, as mongodump does.
    pub compression: Compression,
    /// Uncompressed size at which a segment is sealed, in bytes. Default: 8 MiB; at least 64 KiB, and
    /// at most 2 MiB where nothing is compressed.
    ///
    /// A document is never split, so a segment may exceed this by one document (16 MiB at most).
    pub segment_bytes: u64,
    /// Collections read at once. Default: as many as there are cores, at most 4.
    ///
    /// Each costs about two segments and 2 MiB of memory.
    pub parallel_collections: NonZeroUsize,
    /// Ranges of `_id` that one large collection is split into, each read by its own cursor. Default: 1.
    ///
    /// More than one costs the server about twice the work and helps only where it has idle cores.
    pub partitions: NonZeroUsize,
    /// The most uncompressed bytes read in a second, over all collections. Default: no limit.
    pub limit_bytes_per_second: Option<u64>,
    /// How often a failing read is tried again without any document in between. Default: 5.
    pub max_retries: u32,
}

impl Default for DumpOptions {
    fn default() -> Self {
        Self {
            db: None,
            collection: None,
            exclude_collections: Vec::new(),
            exclude_collections_with_prefix: Vec::new(),
            users_and_roles: false,
            consistency: Consistency::None,
            select: Selector::default(),
            views_as_collections: false,
            query: None,
            read_preference: None,
            compression: Compression::None,
            segment_bytes: 8 << 20,
            parallel_collections: crate::default_parallelism(),
            partitions: NonZeroUsize::MIN,
            limit_bytes_per_second: None,
            max_retries: 5,
        }
    }
}

impl DumpOptions {
    /// Sets the only database to dump.
    #[must_use]
    pub fn db(mut self, db: impl Into<String>) -> Self {
        self.db = Some(db.into());
        self
    }

    /// Sets the only collection to dump.
    #[must_use]
    pub fn collection(mut self, collection: impl Into<String>) -> Self {
        self.collection = Some(collection.into());
        self
    }

    /// Sets the names of collections to leave out.
    #[must_use]
    pub fn exclude_collections(mut self, names: Vec<String>) -> Self {
        self.exclude_collections = names;
        self
    }

    /// Sets the beginnings of names of collections to leave out.
    #[must_use]
    pub fn exclude_collections_with_prefix(mut self, prefixes: Vec<String>) -> Self {
        self.exclude_collections_with_prefix = prefixes;
        self
    }

    /// Sets whether the users and roles of the database are dumped too.
    #[must_use]
    pub fn users_and_roles(mut self, yes: bool) -> Self {
        self.users_and_roles = yes;
        self
    }

    /// Sets at which moment what is read is to be.
    #[must_use]
    pub fn consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = consistency;
        self
    }

    /// Sets the namespaces to dump.
    #[must_use]
    pub fn select(mut self, select: Selector) -> Self {
        self.select = select;
        self
    }

    /// Sets whether only views are dumped, as if they were collections.
    #[must_use]
    pub fn views_as_collections(mut self, yes: bool) -> Self {
        self.views_as_collections = yes;
        self
    }

    /// Sets the filter, as Extended JSON.
    #[must_use]
    pub fn query(mut self, query: impl Into<String>) -> Self {
        self.query = Some(query.into());
        self
    }

    /// Sets which members are read.
    #[must_use]
    pub fn read_preference(mut self, preference: ReadPreference) -> Self {
        self.read_preference = Some(preference);
        self
    }

    /// Sets how stored segments are compressed.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Sets the uncompressed size at which a segment is sealed, in bytes.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// Sets how many collections are read at once.
    #[must_use]
    pub fn parallel_collections(mut self, collections: NonZeroUsize) -> Self {
        self.parallel_collections = collections;
        self
    }

    /// Sets into how many ranges of `_id` a large collection is split.
    #[must_use]
    pub fn partitions(mut self, partitions: NonZeroUsize) -> Self {
        self.partitions = partitions;
        self
    }

    /// Sets the most uncompressed bytes read in a second.
    #[must_use]
    pub fn limit_bytes_per_second(mut self, bytes: u64) -> Self {
        self.limit_bytes_per_second = Some(bytes);
        self
    }

    /// Sets how often a failing read is tried again.
    #[must_use]
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = retries;
        self
    }
}
