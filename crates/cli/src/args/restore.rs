use clap::Parser;

use super::{
    connection::ConnectionArgs,
    general::{GeneralArgs, GenerateArgs, ReportArgs, VerbosityArgs},
    values::text,
};
use rdump::Secret;

/// Restore a dump that rdump or mongodump wrote.
///
/// Takes mongorestore's options. A folder that has rdump's manifest is checked against it as it is read; what
/// is damaged is never inserted. Every option is also known in kebab-case (--num-parallel-collections).
#[derive(Parser, Clone, Debug, PartialEq)]
#[command(
    name = "rrestore",
    version,
    long_version = concat!("version: ", env!("CARGO_PKG_VERSION")),
    override_usage = "rrestore [OPTIONS] [CONNECTION-STRING] [FOLDER|FILE]",
    after_help = super::AFTER_HELP_RESTORE,
    disable_help_flag = true,
    disable_version_flag = true,
    args_override_self = true,
    max_term_width = 100
)]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    pub(crate) general: GeneralArgs,
    #[command(flatten)]
    pub(crate) verbosity: VerbosityArgs,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,

    /// A connection string without --uri, and the dump
    #[arg(value_name = "CONNECTION-STRING|FOLDER|FILE", hide = true, value_parser = super::values::secret)]
    pub(crate) positional: Vec<Secret>,

    /// Restore into this database; the folder is that of one database
    #[arg(short, long, value_name = "DB", value_parser = text, help_heading = NAMESPACES)]
    pub(crate) db: Option<String>,

    /// Restore into this collection of --db; the dump is one file of documents
    #[arg(short, long, value_name = "COLLECTION", value_parser = text, help_heading = NAMESPACES)]
    pub(crate) collection: Option<String>,

    /// Deprecated: as --nsExclude '*.COLLECTION'
    #[arg(
        long = "excludeCollection",
        alias = "exclude-collection",
        value_name = "COLLECTION",
        value_parser = text,
        help_heading = NAMESPACES
    )]
    pub(crate) exclude_collection: Vec<String>,

    /// Deprecated: as --nsExclude '*.PREFIX*'
    #[arg(
        long = "excludeCollectionsWithPrefix",
        alias = "exclude-collections-with-prefix",
        value_name = "PREFIX",
        value_parser = text,
        help_heading = NAMESPACES
    )]
    pub(crate) exclude_collections_with_prefix: Vec<String>,

    /// Restore only namespaces that fit this pattern, as in shop.*; may be repeated
    #[arg(
        long = "nsInclude",
        alias = "ns-include",
        value_name = "PATTERN",
        value_parser = text,
        help_heading = NAMESPACES
    )]
    pub(crate) ns_include: Vec<String>,

    /// Leave out namespaces that fit this pattern; may be repeated
    #[arg(
        long = "nsExclude",
        alias = "ns-exclude",
        value_name = "PATTERN",
        value_parser = text,
        help_heading = NAMESPACES
    )]
    pub(crate) ns_exclude: Vec<String>,

    /// Rename namespaces that fit this pattern to the next --nsTo; may be repeated
    #[arg(
        long = "nsFrom",
        alias = "ns-from",
        value_name = "PATTERN",
        value_parser = text,
        help_heading = NAMESPACES
    )]
    pub(crate) ns_from: Vec<String>,

    /// What the --nsFrom in the same place becomes
    #[arg(
        long = "nsTo",
        alias = "ns-to",
        value_name = "PATTERN",
        value_parser = text,
        help_heading = NAMESPACES
    )]
    pub(crate) ns_to: Vec<String>,

    /// Folder or file to restore, instead of naming it last; "dump" by default
    #[arg(long, value_name = "FOLDER", value_parser = text, help_heading = INPUT)]
    pub(crate) dir: Option<String>,

    /// Take the gzip file where there is a plain one too; files say by themselves what they are
    #[arg(long, help_heading = INPUT)]
    pub(crate) gzip: bool,

    /// Walk every document in depth before it is inserted
    #[arg(long, help_heading = INPUT)]
    pub(crate) objcheck: bool,

    /// Replay the oplog of the dump (not yet supported)
    #[arg(long = "oplogReplay", alias = "oplog-replay", hide = true)]
    pub(crate) oplog_replay: bool,

    /// Replay the oplog up to here (not yet supported)
    #[arg(long = "oplogLimit", alias = "oplog-limit", value_name = "TIME", value_parser = text, hide = true)]
    pub(crate) oplog_limit: Option<String>,

    /// Replay this file (not yet supported)
    #[arg(long = "oplogFile", alias = "oplog-file", value_name = "FILE", value_parser = text, hide = true)]
    pub(crate) oplog_file: Option<String>,

    /// Restore an archive instead of a folder, this file or standard input
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "-",
        value_parser = text,
        help_heading = INPUT
    )]
    pub(crate) archive: Option<String>,

    /// Restore the users and roles that were dumped with --db
    #[arg(
        long = "restoreDbUsersAndRoles",
        alias = "restore-db-users-and-roles",
        help_heading = INPUT
    )]
    pub(crate) restore_db_users_and_roles: bool,

    /// Print what would be restored, and stop
    #[arg(long = "dryRun", alias = "dry-run", help_heading = RESTORE)]
    pub(crate) dry_run: bool,

    /// Drop each collection before it is restored
    #[arg(long, help_heading = RESTORE)]
    pub(crate) drop: bool,

    /// Safety of each write: a number, majority, a tag, or {w: ..., j: ..., wtimeout: ...}
    #[arg(
        long = "writeConcern",
        alias = "write-concern",
        value_name = "W|JSON",
        allow_negative_numbers = true,
        value_parser = text,
        help_heading = RESTORE
    )]
    pub(crate) write_concern: Option<String>,

    /// Build no indexes but _id
    #[arg(long = "noIndexRestore", alias = "no-index-restore", help_heading = RESTORE)]
    pub(crate) no_index_restore: bool,

    /// Turn index keys that only old servers took into what today's take
    #[arg(long = "convertLegacyIndexes", alias = "convert-legacy-indexes", help_heading = RESTORE)]
    pub(crate) convert_legacy_indexes: bool,

    /// Create collections without their options
    #[arg(long = "noOptionsRestore", alias = "no-options-restore", help_heading = RESTORE)]
    pub(crate) no_options_restore: bool,

    /// Keep the version of each index
    #[arg(long = "keepIndexVersion", alias = "keep-index-version", help_heading = RESTORE)]
    pub(crate) keep_index_version: bool,

    /// Insert in the order of the dump; implies --stopOnError and one worker
    #[arg(long = "maintainInsertionOrder", alias = "maintain-insertion-order", help_heading = RESTORE)]
    pub(crate) maintain_insertion_order: bool,

    /// Collections restored at once; as many as there are cores, at most 4, by default
    #[arg(
        short = 'j',
        long = "numParallelCollections",
        alias = "num-parallel-collections",
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = RESTORE
    )]
    pub(crate) num_parallel_collections: Option<i64>,

    /// Inserts under way at once for each collection; 4 by default
    #[arg(
        long = "numInsertionWorkersPerCollection",
        alias = "num-insertion-workers-per-collection",
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = RESTORE
    )]
    pub(crate) num_insertion_workers_per_collection: Option<i64>,

    /// Stop at the first document that cannot be inserted
    #[arg(long = "stopOnError", alias = "stop-on-error", help_heading = RESTORE)]
    pub(crate) stop_on_error: bool,

    /// Insert documents although they violate the collection's validator
    #[arg(long = "bypassDocumentValidation", alias = "bypass-document-validation", help_heading = RESTORE)]
    pub(crate) bypass_document_validation: bool,

    /// Create collections with the UUIDs they had; needs --drop
    #[arg(long = "preserveUUID", alias = "preserve-uuid", help_heading = RESTORE)]
    pub(crate) preserve_uuid: bool,

    /// Build hashed indexes on dotted fields as ascending ones
    #[arg(long = "fixDottedHashIndex", alias = "fix-dotted-hash-index", help_heading = RESTORE)]
    pub(crate) fix_dotted_hash_index: bool,

    /// Most documents of one insert; 1000 by default
    #[arg(
        long = "batchSize",
        alias = "batch-size",
        value_name = "N",
        allow_negative_numbers = true,
        hide = true
    )]
    pub(crate) batch_size: Option<i64>,

    /// Bytes at which an insert is sent; 1 MiB by default
    #[arg(long = "batch-bytes", alias = "batchBytes", value_name = "BYTES", value_parser = super::rate::rate, hide = true)]
    pub(crate) batch_bytes: Option<u64>,

    /// How many problems end the run; 10000 by default
    #[arg(
        long = "max-problems",
        alias = "maxProblems",
        value_name = "N",
        hide = true
    )]
    pub(crate) max_problems: Option<u64>,

    /// How often a failing command is tried again; 5 by default
    #[arg(
        long = "max-retries",
        alias = "maxRetries",
        value_name = "N",
        hide = true
    )]
    pub(crate) max_retries: Option<u32>,

    /// Collection that users pass through before the server merges them; tempusers by default
    #[arg(long = "tempUsersColl", alias = "temp-users-coll", value_name = "NAME", value_parser = text, hide = true)]
    pub(crate) temp_users_coll: Option<String>,

    /// Collection that roles pass through before the server merges them; temproles by default
    #[arg(long = "tempRolesColl", alias = "temp-roles-coll", value_name = "NAME", value_parser = text, hide = true)]
    pub(crate) temp_roles_coll: Option<String>,

    #[command(flatten)]
    pub(crate) report: ReportArgs,
    #[command(flatten)]
    pub(crate) generate: GenerateArgs,
}

const NAMESPACES: &str = "Namespace options";
const INPUT: &str = "Input options";
const RESTORE: &str = "Restore options";
