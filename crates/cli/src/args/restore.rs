use clap::{Arg, Args, Parser};
use rdump::{OnConflict, OpTime};

use crate::time::second;

use super::{
    general::{OwnArgs, ToolArgs},
    keys::IdentityArgs,
    medium::{ArchiveArgs, ParallelArgs},
    namespace::{ExcludeArgs, PatternArgs},
    rate::rate,
    s3::S3Args,
};

/// Restore a dump that rdump or mongodump wrote.
///
/// Takes mongorestore's options. A folder that has rdump's manifest is checked against it as it is read; what
/// is damaged is never inserted. Every option is also known in kebab-case (--num-parallel-collections).
#[derive(Parser, Clone, Debug, PartialEq)]
#[command(
    name = "rrestore",
    version,
    override_usage = "rrestore [OPTIONS] [CONNECTION-STRING] [FOLDER|FILE|REPOSITORY|BUNDLE|-]",
    after_help = super::AFTER_HELP_RESTORE,
    disable_help_flag = true,
    disable_version_flag = true,
    args_override_self = true,
    max_term_width = 100,
    mut_args(for_a_restore)
)]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    pub(crate) tool: ToolArgs,
    #[command(flatten, next_help_heading = "Namespace options")]
    pub(crate) exclude: ExcludeArgs,
    #[command(flatten)]
    pub(crate) patterns: PatternArgs,
    #[command(flatten)]
    pub(crate) rename: RenameArgs,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) target: TargetArgs,

    /// The snapshot of a repository to restore; the newest by default
    #[arg(long, value_name = "ID|latest", help_heading = OWN)]
    pub(crate) snapshot: Option<String>,

    #[command(flatten, next_help_heading = OWN)]
    pub(crate) point: PointArgs,

    /// Go on with the restore of this snapshot that was begun by the same options and did not finish
    #[arg(long, help_heading = OWN)]
    pub(crate) resume: bool,

    /// Where a collection has documents already: fail, skip it, or merge; merge by default, fail for a snapshot or a bundle
    #[arg(
        long = "on-conflict",
        value_name = "HOW",
        value_parser = on_conflict,
        help_heading = OWN
    )]
    pub(crate) on_conflict: Option<OnConflict>,

    /// Go on where an oplog has entries that this release does not know: each is left out, and is a problem
    #[arg(long = "skip-unknown-oplog-entries", help_heading = OWN)]
    pub(crate) skip_unknown_oplog_entries: bool,

    #[command(flatten, next_help_heading = OWN)]
    pub(crate) identity: IdentityArgs,

    /// Bytes at which an insert is sent; 1 MiB by default
    #[arg(
        long = "batch-bytes",
        value_name = "BYTES",
        value_parser = rate,
        help_heading = OWN
    )]
    pub(crate) batch_bytes: Option<u64>,

    /// How many problems end the run; 10000 by default
    #[arg(long = "max-problems", value_name = "N", help_heading = OWN)]
    pub(crate) max_problems: Option<u64>,

    #[command(flatten, next_help_heading = OWN)]
    pub(crate) own: OwnArgs,

    #[command(flatten)]
    pub(crate) s3: S3Args,
}

fn on_conflict(text: &str) -> Result<OnConflict, &'static str> {
    match text {
        "fail" => Ok(OnConflict::Fail),
        "skip" => Ok(OnConflict::Skip),
        "merge" => Ok(OnConflict::Merge),
        _ => Err("fail, skip and merge are possible"),
    }
}

const OWN: &str = "Options that mongorestore does not have";

/// What options of both binaries mean for a restore.
fn for_a_restore(option: Arg) -> Arg {
    let help = match option.get_id().as_str() {
        "db" => "Restore into this database; the folder is that of one database",
        "collection" => "Restore into this collection of --db; the dump is one file of documents",
        "exclude_collection" => "Deprecated: as --nsExclude '*.COLLECTION'",
        "exclude_collections_with_prefix" => "Deprecated: as --nsExclude '*.PREFIX*'",
        _ => return option,
    };
    option.help(help)
}

/// The moment to go to.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct PointArgs {
    /// Go to the end of this second: 2026-11-21T08:30:00Z; from the newest snapshot before it, by what was captured since
    #[arg(long = "to-time", value_name = "TIME", value_parser = second)]
    pub(crate) to_time: Option<u32>,

    /// Go to this moment of the oplog, and what was written then
    #[arg(long = "to-optime", value_name = "S:I")]
    pub(crate) to_optime: Option<OpTime>,

    /// Go to the last moment that is captured
    #[arg(long = "to", value_name = "latest", value_parser = ["latest"])]
    pub(crate) to: Option<String>,
}

/// What namespaces become.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct RenameArgs {
    /// Rename namespaces that fit this pattern to the next --nsTo; may be repeated
    #[arg(long = "nsFrom", value_name = "PATTERN")]
    pub(crate) ns_from: Vec<String>,

    /// What the --nsFrom in the same place becomes
    #[arg(long = "nsTo", value_name = "PATTERN")]
    pub(crate) ns_to: Vec<String>,
}

/// What is read.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Input options")]
pub(crate) struct InputArgs {
    /// Walk every document in depth before it is inserted
    #[arg(long)]
    pub(crate) objcheck: bool,

    /// Replay the oplog of the dump after its documents are inserted
    #[arg(long = "oplogReplay")]
    pub(crate) oplog_replay: bool,

    /// Replay only entries before this time
    #[arg(long = "oplogLimit", value_name = "SECONDS[:ORDINAL]")]
    pub(crate) oplog_limit: Option<String>,

    /// Replay this file instead of the oplog of the dump
    #[arg(long = "oplogFile", value_name = "FILE")]
    pub(crate) oplog_file: Option<String>,

    #[command(flatten)]
    pub(crate) archive: ArchiveArgs,

    /// Restore the users and roles of --db too
    #[arg(long = "restoreDbUsersAndRoles")]
    pub(crate) restore_db_users_and_roles: bool,

    /// Folder, file or s3://bucket/prefix to restore, instead of naming it last; "dump" by default; - is standard input
    #[arg(long, value_name = "FOLDER")]
    pub(crate) dir: Option<String>,

    /// Take the gzip file where there is a plain one too; files say by themselves what they are
    #[arg(long)]
    pub(crate) gzip: bool,
}

/// What is done at the target.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Restore options")]
pub(crate) struct TargetArgs {
    /// Drop each collection before it is restored
    #[arg(long)]
    pub(crate) drop: bool,

    /// Print what would be restored, and stop
    #[arg(long = "dryRun")]
    pub(crate) dry_run: bool,

    /// Safety of each write: a number, majority, a tag, or {w: ..., j: ..., wtimeout: ...}
    #[arg(long = "writeConcern", value_name = "W|JSON")]
    pub(crate) write_concern: Option<String>,

    /// Build no indexes but _id
    #[arg(long = "noIndexRestore")]
    pub(crate) no_index_restore: bool,

    /// Turn index keys that only old servers took into what today's take
    #[arg(long = "convertLegacyIndexes")]
    pub(crate) convert_legacy_indexes: bool,

    /// Create collections without their options
    #[arg(long = "noOptionsRestore")]
    pub(crate) no_options_restore: bool,

    /// Keep the version of each index
    #[arg(long = "keepIndexVersion")]
    pub(crate) keep_index_version: bool,

    /// Insert in the order of the dump; implies --stopOnError and one worker
    #[arg(long = "maintainInsertionOrder")]
    pub(crate) maintain_insertion_order: bool,

    #[command(flatten)]
    pub(crate) parallel: ParallelArgs,

    /// Inserts under way at once for each collection; 4 by default
    #[arg(
        long = "numInsertionWorkersPerCollection",
        value_name = "N",
        allow_negative_numbers = true
    )]
    pub(crate) num_insertion_workers_per_collection: Option<i64>,

    /// Stop at the first document that cannot be inserted
    #[arg(long = "stopOnError")]
    pub(crate) stop_on_error: bool,

    /// Insert documents although they violate the collection's validator
    #[arg(long = "bypassDocumentValidation")]
    pub(crate) bypass_document_validation: bool,

    /// Create collections with the UUIDs they had; needs --drop
    #[arg(long = "preserveUUID")]
    pub(crate) preserve_uuid: bool,

    /// Build hashed indexes on dotted fields as ascending ones
    #[arg(long = "fixDottedHashIndex")]
    pub(crate) fix_dotted_hash_index: bool,

    /// Collection of database admin that users pass through; tempusers by default
    #[arg(long = "tempUsersColl", value_name = "NAME", hide = true)]
    pub(crate) temp_users_coll: Option<String>,

    /// Collection of database admin that roles pass through; temproles by default
    #[arg(long = "tempRolesColl", value_name = "NAME", hide = true)]
    pub(crate) temp_roles_coll: Option<String>,

    /// Most documents of one insert; 1000 by default
    #[arg(
        long = "batchSize",
        value_name = "N",
        hide = true,
        allow_negative_numbers = true
    )]
    pub(crate) batch_size: Option<i64>,
}
