use std::path::PathBuf;

use clap::{Parser, Subcommand};
use rdump::{Compression, Secret};

use super::{
    connection::ConnectionArgs,
    general::{GeneralArgs, GenerateArgs, ReportArgs, VerbosityArgs},
    rate::rate,
    values::{path, text},
};

/// Dump a MongoDB deployment, or a part of it, to a folder.
///
/// Takes mongodump's options and writes what mongorestore and rrestore read, with a manifest of checksums
/// beside it. Every option is also known in kebab-case (--num-parallel-collections).
#[derive(Parser, Clone, Debug, PartialEq)]
#[command(
    name = "rdump",
    version,
    long_version = concat!("version: ", env!("CARGO_PKG_VERSION")),
    override_usage = "rdump [OPTIONS] [CONNECTION-STRING]\n       rdump verify FOLDER",
    after_help = super::AFTER_HELP_DUMP,
    disable_help_flag = true,
    disable_help_subcommand = true,
    disable_version_flag = true,
    args_override_self = true,
    args_conflicts_with_subcommands = true,
    subcommand_help_heading = "Commands",
    max_term_width = 100
)]
pub(crate) struct DumpArgs {
    #[command(subcommand)]
    pub(crate) command: Option<DumpCommand>,

    #[command(flatten)]
    pub(crate) general: GeneralArgs,
    #[command(flatten)]
    pub(crate) verbosity: VerbosityArgs,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,

    /// The connection string, without --uri
    #[arg(value_name = "CONNECTION-STRING", hide = true, value_parser = super::values::secret)]
    pub(crate) positional: Vec<Secret>,

    /// Dump only this database
    #[arg(short, long, value_name = "DB", value_parser = text, help_heading = NAMESPACES)]
    pub(crate) db: Option<String>,

    /// Dump only this collection of --db
    #[arg(short, long, value_name = "COLLECTION", value_parser = text, help_heading = NAMESPACES)]
    pub(crate) collection: Option<String>,

    /// Dump only namespaces that fit this pattern, as in shop.*; may be repeated
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

    /// Leave out this collection of --db; may be repeated
    #[arg(
        long = "excludeCollection",
        alias = "exclude-collection",
        value_name = "COLLECTION",
        value_parser = text,
        help_heading = NAMESPACES
    )]
    pub(crate) exclude_collection: Vec<String>,

    /// Leave out collections of --db whose names start so; may be repeated
    #[arg(
        long = "excludeCollectionsWithPrefix",
        alias = "exclude-collections-with-prefix",
        value_name = "PREFIX",
        value_parser = text,
        help_heading = NAMESPACES
    )]
    pub(crate) exclude_collections_with_prefix: Vec<String>,

    /// Dump only documents that fit this filter, in Extended JSON v2; needs --collection
    #[arg(short, long, value_name = "JSON", value_parser = text, help_heading = QUERY)]
    pub(crate) query: Option<String>,

    /// As --query, from a file
    #[arg(long = "queryFile", alias = "query-file", value_name = "FILE", value_parser = path, help_heading = QUERY)]
    pub(crate) query_file: Option<PathBuf>,

    /// Members to read: a mode such as nearest, or {mode: ..., tagSets: [...], maxStalenessSeconds: ...}
    #[arg(
        long = "readPreference",
        alias = "read-preference",
        value_name = "MODE|JSON",
        value_parser = text,
        help_heading = QUERY
    )]
    pub(crate) read_preference: Option<String>,

    /// Without effect, as in mongodump: collections are always read in their natural order
    #[arg(long = "forceTableScan", alias = "force-table-scan", help_heading = QUERY)]
    pub(crate) force_table_scan: bool,

    /// Folder to write to
    #[arg(short, long, value_name = "FOLDER", value_parser = text, help_heading = OUTPUT)]
    pub(crate) out: Option<String>,

    /// Compress each file with gzip, as mongodump does
    #[arg(long, help_heading = OUTPUT)]
    pub(crate) gzip: bool,

    /// Compress each file: none, gzip[:1-9] or zstd[:1-19]; mongorestore reads no zstd
    #[arg(long, value_name = "HOW", help_heading = OUTPUT)]
    pub(crate) compress: Option<Compression>,

    /// Collections read at once; as many as there are cores, at most 4, by default
    #[arg(
        short = 'j',
        long = "numParallelCollections",
        alias = "num-parallel-collections",
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = OUTPUT
    )]
    pub(crate) num_parallel_collections: Option<i64>,

    /// Ranges of _id that a large collection is read in at once; 1 by default
    #[arg(long, value_name = "N", help_heading = OUTPUT)]
    pub(crate) partitions: Option<std::num::NonZeroUsize>,

    /// Most bytes read in a second, before compression; K, M, G (1000) or KiB, MiB, GiB (1024) may follow
    #[arg(
        long = "limit-rate",
        alias = "limitRate",
        value_name = "BYTES_PER_SECOND",
        value_parser = rate,
        help_heading = OUTPUT
    )]
    pub(crate) limit_rate: Option<u64>,

    /// Dump only views, each as if it were a collection
    #[arg(long = "viewsAsCollections", alias = "views-as-collections", help_heading = OUTPUT)]
    pub(crate) views_as_collections: bool,

    /// Print what would be dumped, and stop
    #[arg(long = "dryRun", alias = "dry-run", help_heading = OUTPUT)]
    pub(crate) dry_run: bool,

    /// How often a failing read is tried again; 5 by default
    #[arg(
        long = "max-retries",
        alias = "maxRetries",
        value_name = "N",
        hide = true
    )]
    pub(crate) max_retries: Option<u32>,

    /// Write one archive instead of a folder, to this file or to standard output
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "-",
        value_parser = text,
        help_heading = OUTPUT
    )]
    pub(crate) archive: Option<String>,

    /// Dump the oplog too (not yet supported)
    #[arg(long, hide = true)]
    pub(crate) oplog: bool,

    /// Dump users and roles of --db too
    #[arg(
        long = "dumpDbUsersAndRoles",
        alias = "dump-db-users-and-roles",
        help_heading = OUTPUT
    )]
    pub(crate) dump_db_users_and_roles: bool,

    /// For MongoDB's own use (not yet supported)
    #[arg(
        long = "internalOnlySourceWritesDoneBarrier",
        alias = "internal-only-source-writes-done-barrier",
        value_name = "FILE",
        value_parser = path,
        hide = true
    )]
    pub(crate) internal_only_source_writes_done_barrier: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) report: ReportArgs,
    #[command(flatten)]
    pub(crate) generate: GenerateArgs,
}

const NAMESPACES: &str = "Namespace options";
const QUERY: &str = "Query options";
const OUTPUT: &str = "Output options";

#[derive(Subcommand, Clone, Debug, PartialEq)]
pub(crate) enum DumpCommand {
    /// Re-read a dump folder and check every byte against its manifest
    Verify(VerifyArgs),
}

#[derive(clap::Args, Clone, Debug, PartialEq)]
#[command(
    disable_help_flag = true,
    override_usage = "rdump verify [OPTIONS] FOLDER",
    after_help = super::AFTER_HELP_VERIFY
)]
pub(crate) struct VerifyArgs {
    /// The folder of the dump
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: String,

    /// Print the report on stdout as JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,

    /// Print this text
    #[arg(long, action = clap::ArgAction::HelpShort)]
    pub(crate) help: Option<bool>,

    #[command(flatten)]
    pub(crate) verbosity: VerbosityArgs,
}
