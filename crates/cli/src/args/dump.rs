use std::path::PathBuf;

use clap::{Arg, Args, Parser, Subcommand};
use rdump::{Compression, Consistency};

use super::{
    audit::AuditArgs,
    classes::{ThawArgs, TierArgs},
    connection::path,
    copy::CopyArgs,
    doctor::DoctorArgs,
    drill::CompareArgs,
    general::{OwnArgs, ToolArgs},
    keys::RekeyArgs,
    medium::{ArchiveArgs, ParallelArgs},
    monitor::NotifyTestArgs,
    namespace::{ExcludeArgs, PatternArgs},
    prune::PruneArgs,
    rate::rate,
    repository::{
        BackupArgs, BundleArgs, CaptureArgs, ExportArgs, ImportArgs, InitArgs, ListArgs,
        OplogExportArgs, ShowArgs, StatusArgs, UnbundleArgs, VerifyArgs,
    },
    s3::{S3Args, S3WriteArgs},
    schedule::{PlanArgs, ScheduleArgs},
};

/// Dump a MongoDB deployment, or a part of it.
///
/// Takes mongodump's options and writes what mongorestore and rrestore read; a folder has a manifest of checksums
/// beside it. Every option is also known in kebab-case (--num-parallel-collections).
#[derive(Parser, Clone, Debug, Default, PartialEq)]
#[command(
    name = "rdump",
    version,
    override_usage = "rdump [OPTIONS] [CONNECTION-STRING]\n       rdump COMMAND [OPTIONS]",
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
    pub(crate) tool: ToolArgs,
    #[command(flatten)]
    pub(crate) query: QueryArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,

    #[command(flatten, next_help_heading = "Options that mongodump does not have")]
    pub(crate) patterns: PatternArgs,

    /// Compress by none, gzip[:1-9] or zstd[:1-19]; mongorestore reads no zstd
    #[arg(long, value_name = "HOW")]
    pub(crate) compress: Option<Compression>,

    /// At which moment everything is read: snapshot (one moment), oplog (as --oplog, of a part too) or none, the default
    #[arg(long, value_name = "HOW", value_parser = reached)]
    pub(crate) consistency: Option<Consistency>,

    /// Ranges of _id that a large collection is read in at once; 1 by default
    #[arg(long, value_name = "N")]
    pub(crate) partitions: Option<std::num::NonZeroUsize>,

    /// Most bytes read in a second, before compression; K, M, G (1000) or KiB, MiB, GiB (1024) may follow
    #[arg(long = "limit-rate", value_name = "BYTES_PER_SECOND", value_parser = rate)]
    pub(crate) limit_rate: Option<u64>,

    /// Replace the dump that is in an object store already; one on this machine is replaced in any case
    #[arg(long)]
    pub(crate) overwrite: bool,

    /// Print what would be dumped, and stop
    #[arg(long = "dryRun")]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) own: OwnArgs,

    #[command(flatten)]
    pub(crate) s3: S3Args,
    #[command(flatten)]
    pub(crate) s3_write: S3WriteArgs,
}

/// What is read, and how.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Query options")]
pub(crate) struct QueryArgs {
    /// Dump only documents that fit this filter, in Extended JSON v2; needs --collection
    #[arg(short, long, value_name = "JSON")]
    pub(crate) query: Option<String>,

    /// As --query, from a file
    #[arg(long = "queryFile", value_name = "FILE", value_parser = path)]
    pub(crate) query_file: Option<PathBuf>,

    /// Members to read: a mode such as nearest, or {mode: ..., tagSets: [...], maxStalenessSeconds: ...}
    #[arg(long = "readPreference", value_name = "MODE|JSON")]
    pub(crate) read_preference: Option<String>,

    /// Without effect, as in mongodump: collections are always read in their natural order
    #[arg(long = "forceTableScan")]
    pub(crate) force_table_scan: bool,

    /// Wait until this file exists before anything is read, for MongoDB's own tests
    #[arg(
        long = "internalOnlySourceWritesDoneBarrier",
        value_name = "FILE",
        value_parser = path,
        hide = true
    )]
    pub(crate) internal_only_source_writes_done_barrier: Option<PathBuf>,
}

/// What is written, and where.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Output options")]
pub(crate) struct OutputArgs {
    /// Folder or s3://bucket/prefix to write to, "dump" by default; - writes the documents of one collection to standard output
    #[arg(short, long, value_name = "FOLDER")]
    pub(crate) out: Option<String>,

    /// Compress with gzip, as mongodump does
    #[arg(long)]
    pub(crate) gzip: bool,

    /// Dump the oplog of the meantime too, so that a restore can bring everything to one moment
    #[arg(long)]
    pub(crate) oplog: bool,

    #[command(flatten)]
    pub(crate) archive: ArchiveArgs,

    /// Dump the users and roles of --db too
    #[arg(long = "dumpDbUsersAndRoles")]
    pub(crate) dump_db_users_and_roles: bool,

    #[command(flatten)]
    pub(crate) exclude: ExcludeArgs,

    #[command(flatten)]
    pub(crate) parallel: ParallelArgs,

    /// Dump only views, each as if it were a collection
    #[arg(long = "viewsAsCollections")]
    pub(crate) views_as_collections: bool,
}

#[derive(Subcommand, Clone, Debug, PartialEq)]
pub(crate) enum DumpCommand {
    /// Show who did what with a repository, and check that nothing of that was changed
    Audit(AuditArgs),
    /// Take a snapshot of a deployment into a repository
    #[command(mut_args(for_a_backup))]
    Backup(Box<BackupArgs>),
    /// Store all that is written to a deployment, until it is stopped
    #[command(mut_args(for_a_capture))]
    Capture(Box<CaptureArgs>),
    /// Write a snapshot as one tar stream
    Bundle(BundleArgs),
    /// Compare two deployments, document by document
    Compare(CompareArgs),
    /// Copy a repository, or some of it, to another place
    Copy(Box<CopyArgs>),
    /// Say what is wrong with a deployment and a repository, and what to do about it
    #[command(mut_args(for_a_doctor))]
    Doctor(Box<DoctorArgs>),
    /// Write a snapshot as a folder of mongodump
    ExportFolder(ExportArgs),
    /// Make a snapshot of a folder or an archive of mongodump
    ImportFolder(Box<ImportArgs>),
    /// Make a repository of an empty place
    Init(InitArgs),
    /// List the snapshots of a repository
    List(ListArgs),
    /// Send a test to everybody whom a file of --notify names
    NotifyTest(NotifyTestArgs),
    /// Write what was captured as an oplog.bson
    OplogExport(OplogExportArgs),
    /// Say what a plan does, and what could be lost at worst
    Plan(PlanArgs),
    /// Delete the snapshots that no rule keeps
    Prune(Box<PruneArgs>),
    /// Wrap the keys of encrypted snapshots for others than before
    Rekey(RekeyArgs),
    /// Do what a plan says, when it says so
    Schedule(ScheduleArgs),
    /// Show one snapshot with its namespaces
    Show(ShowArgs),
    /// Tell what can be restored, and how far the capture is
    Status(StatusArgs),
    /// Have the store thaw snapshots that it does not read from
    Thaw(ThawArgs),
    /// Move the data of old snapshots to a colder storage class
    Tier(TierArgs),
    /// Take such a stream into a repository
    Unbundle(Box<UnbundleArgs>),
    /// Re-read a dump folder or a snapshot and check every byte against its manifest
    Verify(VerifyArgs),
}

impl DumpCommand {
    /// What each is called.
    pub(crate) const NAMES: [&str; 23] = [
        "audit",
        "backup",
        "capture",
        "bundle",
        "compare",
        "copy",
        "doctor",
        "export-folder",
        "import-folder",
        "init",
        "list",
        "notify-test",
        "oplog-export",
        "plan",
        "prune",
        "rekey",
        "schedule",
        "show",
        "status",
        "thaw",
        "tier",
        "unbundle",
        "verify",
    ];
}

/// What options of a dump mean for a backup.
fn for_a_backup(option: Arg) -> Arg {
    match option.get_id().as_str() {
        "json" => option.help(
            "Print the report on stdout as one JSON document, not the id of the snapshot alone",
        ),
        _ => option,
    }
}

/// What options of a dump mean for a capture.
fn for_a_capture(option: Arg) -> Arg {
    match option.get_id().as_str() {
        "json" => option.help("Print events and the report on stdout as JSON lines"),
        _ => option,
    }
}

/// What options of a dump mean for who looks.
fn for_a_doctor(option: Arg) -> Arg {
    match option.get_id().as_str() {
        // The whole deployment is looked at.
        "db" | "collection" => option.hide(true),
        _ => option,
    }
}

/// A consistency that a folder or an archive can have: who restores it has to know which.
fn reached(text: &str) -> Result<Consistency, String> {
    match text.parse()? {
        Consistency::Auto => Err(
            "snapshots in a repository have it (rdump backup); snapshot, oplog and none are possible here"
                .to_owned(),
        ),
        consistency => Ok(consistency),
    }
}
