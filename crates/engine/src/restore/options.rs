use std::num::NonZeroUsize;

use rdump_format::Selector;
use rdump_oplog::OpTimeLimit;
use serde::{Deserialize, Serialize};

use crate::WriteConcern;

/// How a restore selects, renames and writes documents. Plain data: services go to
/// [`Restore`](crate::Restore).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RestoreOptions {
    /// The dump is the folder of one database, and goes into this database. Default: a whole dump.
    pub db: Option<String>,
    /// The dump is one file of documents, and goes into this collection of [`db`](Self::db).
    pub collection: Option<String>,
    /// Restore the users and roles that were dumped with the one database [`db`](Self::db). Default: false.
    ///
    /// Those of a whole dump are restored with it, and with `admin`, unless [`select`](Self::select) leaves
    /// `admin.system.users` and `admin.system.roles` out.
    pub users_and_roles: bool,
    /// The collection of `admin` that users are inserted into before the server merges them; it is dropped before and
    /// after. Default: `tempusers`.
    pub temporary_users_collection: String,
    /// The same for roles. Default: `temproles`.
    pub temporary_roles_collection: String,
    /// Namespaces of the dump to restore, by pattern, beside those that [`db`](Self::db) and
    /// [`collection`](Self::collection) name. Default: all.
    pub select: Selector,
    /// Patterns of namespaces to rename; as many as [`rename_to`](Self::rename_to). Default: none.
    pub rename_from: Vec<String>,
    /// What each pattern of [`rename_from`](Self::rename_from) becomes.
    pub rename_to: Vec<String>,
    /// Replay the oplog of the dump over what was restored, before indexes are built; needs everything to be restored,
    /// under its own name. Default: false.
    pub oplog_replay: bool,
    /// Replay the file at this [location](crate::Location) instead, plain or compressed; the dump must have no oplog then. Default: the one that was captured
    /// with the dump, or else the one in its database `local`.
    pub oplog_file: Option<String>,
    /// Where the replay ends: what happened then, or later, is left out. Default: at the end of the oplog.
    pub oplog_limit: OpTimeLimit,
    /// Replay an oplog without the entries whose operation or command is not known, each of which is a problem. Default: false, which ends the
    /// restore at the first, of a snapshot before anything is written.
    pub skip_unknown_oplog_entries: bool,
    /// Drop each collection before it is restored. Default: false.
    pub drop: bool,
    /// What is done where a collection has documents already and is not dropped. Default: to add to it, as mongorestore does.
    pub on_conflict: OnConflict,
    /// Go on with the restore of the same snapshot to the same target that was begun by the same options and did not finish.
    /// Default: false.
    ///
    /// What that has noted in the target is not read again, and other documents are inserted again: one that is there
    /// already counts as restored if it is, byte for byte, ours. Options of how fast a restore is, and how patient, may differ.
    pub resume: bool,
    /// Walk every document in depth before it is inserted. Default: false.
    pub validate_documents: bool,
    /// Acknowledgement asked for each write. Default: `majority`, journal as the server does.
    pub write_concern: WriteConcern,
    /// Build no indexes but `_id`. Default: false.
    pub no_index_restore: bool,
    /// Create collections without the options they had. Default: false.
    pub no_options_restore: bool,
    /// Keep the version of each index instead of taking the server's newest. Default: false.
    pub keep_index_version: bool,
    /// Turn index key values that old servers took into what today's servers take. Default: false.
    pub convert_legacy_indexes: bool,
    /// Build hashed indexes on dotted fields as ascending ones. Default: false.
    pub fix_dotted_hashed_indexes: bool,
    /// Create collections with the UUIDs they had; needs [`drop`](Self::drop). Default: false.
    pub preserve_uuid: bool,
    /// Insert documents although they violate the collection's validator. Default: false.
    pub bypass_document_validation: bool,
    /// Insert in the order of the dump, one batch at a time, and stop at the first failure. Default: false.
    pub maintain_insertion_order: bool,
    /// Stop at the first document that cannot be inserted. Default: false.
    pub stop_on_error: bool,
    /// Collections restored at once. Default: as many as there are cores, at most 4.
    ///
    /// Four small ones, of a mebibyte at most, take the place of another, and four collections' indexes are built
    /// for each; 1 is one after the other.
    pub parallel_collections: NonZeroUsize,
    /// Insert commands under way at once for one collection. Default: 4.
    ///
    /// Each costs about 3 MiB of memory.
    pub insertion_workers: NonZeroUsize,
    /// The most documents of one insert command. Default: 1000.
    pub batch_documents: NonZeroUsize,
    /// The size at which an insert command is sent, in bytes. Default: 1 MiB; at least 64 KiB.
    pub batch_bytes: u64,
    /// How many problems end the run. Default: 10,000.
    ///
    /// A document that the server refuses is counted, but is not a problem by itself: its collection is one.
    pub max_problems: u64,
    /// How often a failing command is tried again. Default: 5.
    pub max_retries: u32,
}

impl Default for RestoreOptions {
    fn default() -> Self {
        const WORKERS: NonZeroUsize = NonZeroUsize::new(4).expect("4 is not 0");
        const DOCUMENTS: NonZeroUsize = NonZeroUsize::new(1000).expect("1000 is not 0");
        Self {
            db: None,
            collection: None,
            users_and_roles: false,
            temporary_users_collection: "tempusers".to_owned(),
            temporary_roles_collection: "temproles".to_owned(),
            select: Selector::default(),
            rename_from: Vec::new(),
            rename_to: Vec::new(),
            oplog_replay: false,
            oplog_file: None,
            oplog_limit: OpTimeLimit::default(),
            skip_unknown_oplog_entries: false,
            drop: false,
            on_conflict: OnConflict::Merge,
            resume: false,
            validate_documents: false,
            write_concern: WriteConcern::default(),
            no_index_restore: false,
            no_options_restore: false,
            keep_index_version: false,
            convert_legacy_indexes: false,
            fix_dotted_hashed_indexes: false,
            preserve_uuid: false,
            bypass_document_validation: false,
            maintain_insertion_order: false,
            stop_on_error: false,
            parallel_collections: crate::default_parallelism(),
            insertion_workers: WORKERS,
            batch_documents: DOCUMENTS,
            batch_bytes: 1 << 20,
            max_problems: 10_000,
            max_retries: 5,
        }
    }
}

/// What is done with a collection that has documents already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum OnConflict {
    /// Nothing at all is restored.
    Fail,
    /// It is left as it is.
    Skip,
    /// Documents of the dump are added to it.
    #[default]
    Merge,
}

impl RestoreOptions {
    /// Whether a namespace of the dump is to be restored.
    pub(crate) fn selects(&self, namespace: &rdump_format::Namespace) -> bool {
        super::selection::is_asked_for(namespace, self)
    }

    /// Whether only a part of a dump is restored, or under other names.
    pub(crate) fn is_part(&self) -> bool {
        self.db.is_some() || self.select != Selector::default() || !self.rename_from.is_empty()
    }

    /// Sets what is done where a collection has documents already.
    #[must_use]
    pub fn on_conflict(mut self, how: OnConflict) -> Self {
        self.on_conflict = how;
        self
    }

    /// Sets the database that one database's folder goes into.
    #[must_use]
    pub fn db(mut self, db: impl Into<String>) -> Self {
        self.db = Some(db.into());
        self
    }

    /// Sets whether users and roles that were dumped with one database are restored.
    #[must_use]
    pub fn users_and_roles(mut self, yes: bool) -> Self {
        self.users_and_roles = yes;
        self
    }

    /// Sets the collection that users are merged from.
    #[must_use]
    pub fn temporary_users_collection(mut self, name: impl Into<String>) -> Self {
        self.temporary_users_collection = name.into();
        self
    }

    /// Sets the collection that roles are merged from.
    #[must_use]
    pub fn temporary_roles_collection(mut self, name: impl Into<String>) -> Self {
        self.temporary_roles_collection = name.into();
        self
    }

    /// Sets the collection that one file goes into.
    #[must_use]
    pub fn collection(mut self, collection: impl Into<String>) -> Self {
        self.collection = Some(collection.into());
        self
    }

    /// Sets the namespaces to restore.
    #[must_use]
    pub fn select(mut self, select: Selector) -> Self {
        self.select = select;
        self
    }

    /// Sets whether the oplog is replayed.
    #[must_use]
    pub fn oplog_replay(mut self, yes: bool) -> Self {
        self.oplog_replay = yes;
        self
    }

    /// Sets the file to replay instead.
    #[must_use]
    pub fn oplog_file(mut self, location: impl Into<String>) -> Self {
        self.oplog_file = Some(location.into());
        self
    }

    /// Sets where the replay ends.
    #[must_use]
    pub fn oplog_limit(mut self, limit: OpTimeLimit) -> Self {
        self.oplog_limit = limit;
        self
    }

    /// Sets whether entries of the oplog that are not known are left out.
    #[must_use]
    pub fn skip_unknown_oplog_entries(mut self, yes: bool) -> Self {
        self.skip_unknown_oplog_entries = yes;
        self
    }

    /// Sets whether each collection is dropped before it is restored.
    #[must_use]
    pub fn drop(mut self, yes: bool) -> Self {
        self.drop = yes;
        self
    }

    /// Sets whether a restore that did not finish is gone on with.
    #[must_use]
    pub fn resume(mut self, yes: bool) -> Self {
        self.resume = yes;
        self
    }

    /// Sets whether every document is walked in depth.
    #[must_use]
    pub fn validate_documents(mut self, yes: bool) -> Self {
        self.validate_documents = yes;
        self
    }

    /// Sets the acknowledgement asked for each write.
    #[must_use]
    pub fn write_concern(mut self, concern: WriteConcern) -> Self {
        self.write_concern = concern;
        self
    }

    /// Sets whether no indexes but `_id` are built.
    #[must_use]
    pub fn no_index_restore(mut self, yes: bool) -> Self {
        self.no_index_restore = yes;
        self
    }

    /// Sets whether collections are created without options.
    #[must_use]
    pub fn no_options_restore(mut self, yes: bool) -> Self {
        self.no_options_restore = yes;
        self
    }

    /// Sets whether index versions are kept.
    #[must_use]
    pub fn keep_index_version(mut self, yes: bool) -> Self {
        self.keep_index_version = yes;
        self
    }

    /// Sets whether old index key values are converted.
    #[must_use]
    pub fn convert_legacy_indexes(mut self, yes: bool) -> Self {
        self.convert_legacy_indexes = yes;
        self
    }

    /// Sets whether hashed indexes on dotted fields become ascending.
    #[must_use]
    pub fn fix_dotted_hashed_indexes(mut self, yes: bool) -> Self {
        self.fix_dotted_hashed_indexes = yes;
        self
    }

    /// Sets whether collections keep their UUIDs.
    #[must_use]
    pub fn preserve_uuid(mut self, yes: bool) -> Self {
        self.preserve_uuid = yes;
        self
    }

    /// Sets whether validators are bypassed.
    #[must_use]
    pub fn bypass_document_validation(mut self, yes: bool) -> Self {
        self.bypass_document_validation = yes;
        self
    }

    /// Sets whether the order of the dump is kept.
    #[must_use]
    pub fn maintain_insertion_order(mut self, yes: bool) -> Self {
        self.maintain_insertion_order = yes;
        self
    }

    /// Sets whether the first refused document ends the run.
    #[must_use]
    pub fn stop_on_error(mut self, yes: bool) -> Self {
        self.stop_on_error = yes;
        self
    }

    /// Sets how many collections are restored at once.
    #[must_use]
    pub fn parallel_collections(mut self, collections: NonZeroUsize) -> Self {
        self.parallel_collections = collections;
        self
    }

    /// Sets how many insert commands of one collection are under way at once.
    #[must_use]
    pub fn insertion_workers(mut self, workers: NonZeroUsize) -> Self {
        self.insertion_workers = workers;
        self
    }

    /// Sets the most documents of one insert command.
    #[must_use]
    pub fn batch_documents(mut self, documents: NonZeroUsize) -> Self {
        self.batch_documents = documents;
        self
    }

    /// Sets the size at which an insert command is sent, in bytes.
    #[must_use]
    pub fn batch_bytes(mut self, bytes: u64) -> Self {
        self.batch_bytes = bytes;
        self
    }

    /// Sets how many problems end the run.
    #[must_use]
    pub fn max_problems(mut self, problems: u64) -> Self {
        self.max_problems = problems;
        self
    }

    /// Sets how often a failing command is tried again.
    #[must_use]
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = retries;
        self
    }

    /// Renames namespaces that fit `from` to what `to` makes of them; may be called several times.
    #[must_use]
    pub fn rename(mut self, from: impl Into<String>, to: impl Into<String>) -> Self {
        self.rename_from.push(from.into());
        self.rename_to.push(to.into());
        self
    }
}
