use std::{num::NonZeroUsize, time::Duration};

use clap::{Args, builder::NonEmptyStringValueParser};
use rdump::{CaptureSource, Compression, Consistency, OpTime, Sample};

use super::{
    dump::{DumpArgs, OutputArgs, QueryArgs},
    general::{FlavorArgs, ToolArgs, VerbosityArgs},
    keys::{IdentityArgs, PassphraseArgs, RecipientArgs},
    medium::ParallelArgs,
    monitor::{MonitorArgs, address},
    namespace::{ExcludeArgs, PatternArgs},
    prune::PolicyArgs,
    rate::rate,
    s3::{S3Args, S3WriteArgs},
};
use crate::time::{days, duration};

/// A repository, and how much is said.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct RepositoryArgs {
    /// The repository: a folder or s3://bucket/prefix; may also be in the environment variable RDUMP_REPO
    #[arg(long, value_name = "LOCATION", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) repo: Option<String>,

    /// Print one JSON document on stdout
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) s3: S3Args,
}

/// Whether others are kept from writing the same.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct LeaseArgs {
    /// Take no lease that keeps others from writing the same snapshot, where the store minds no conditions
    #[arg(long = "no-lock")]
    pub(crate) no_lock: bool,
}

/// What every command on a repository takes that reaches no server.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct LocalArgs {
    #[command(flatten)]
    pub(crate) repository: RepositoryArgs,

    /// Print this text
    #[arg(long, action = clap::ArgAction::HelpShort)]
    pub(crate) help: Option<bool>,

    #[command(flatten)]
    pub(crate) verbosity: VerbosityArgs,
}

#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(
    disable_help_flag = true,
    override_usage = "rdump init [OPTIONS] [LOCATION]",
    after_help = super::AFTER_HELP_REPOSITORY
)]
pub(crate) struct InitArgs {
    /// The repository, as --repo
    #[arg(value_name = "LOCATION")]
    pub(crate) location: Option<String>,

    #[command(flatten)]
    pub(crate) local: LocalArgs,
}

#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(
    disable_help_flag = true,
    override_usage = "rdump list [OPTIONS]",
    after_help = super::AFTER_HELP_LIST
)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) local: LocalArgs,
}

#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(
    disable_help_flag = true,
    override_usage = "rdump show [OPTIONS] [ID|latest]",
    after_help = super::AFTER_HELP_REPOSITORY
)]
pub(crate) struct ShowArgs {
    /// The snapshot; the newest by default
    #[arg(value_name = "ID", default_value = "latest")]
    pub(crate) snapshot: String,

    #[command(flatten)]
    pub(crate) identity: IdentityArgs,

    #[command(flatten)]
    pub(crate) local: LocalArgs,
}

#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(
    disable_help_flag = true,
    override_usage = "rdump verify [OPTIONS] FOLDER\n       rdump verify [OPTIONS] --repo LOCATION [ID|latest|--all]",
    after_help = super::AFTER_HELP_VERIFY
)]
pub(crate) struct VerifyArgs {
    /// The folder of a dump, or s3://bucket/prefix; with --repo the snapshot, the newest by default
    #[arg(value_name = "FOLDER|ID")]
    pub(crate) what: Option<String>,

    /// Verify all snapshots of the repository
    #[arg(long)]
    pub(crate) all: bool,

    /// Read this much of a snapshot's data, and another part each time: a share such as 10%, or bytes such as 5GB
    #[arg(long, value_name = "SHARE|BYTES", value_parser = sample)]
    pub(crate) sample: Option<Sample>,

    /// Decompress the data of a snapshot and walk every document too; that of a folder always is
    #[arg(long)]
    pub(crate) deep: bool,

    #[command(flatten)]
    pub(crate) identity: IdentityArgs,

    #[command(flatten)]
    pub(crate) monitor: MonitorArgs,

    #[command(flatten)]
    pub(crate) local: LocalArgs,
}

#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(
    disable_help_flag = true,
    override_usage = "rdump export-folder [OPTIONS] ID|latest FOLDER",
    after_help = super::AFTER_HELP_TRANSFER
)]
pub(crate) struct ExportArgs {
    /// The snapshot
    #[arg(value_name = "ID")]
    pub(crate) snapshot: String,

    /// The folder to write, which mongorestore and rrestore read
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: String,

    /// Compress by none, gzip[:1-9] or zstd[:1-19]; none by default; mongorestore reads no zstd
    #[arg(long, value_name = "HOW")]
    pub(crate) compress: Option<Compression>,

    #[command(flatten)]
    pub(crate) identity: IdentityArgs,

    #[command(flatten)]
    pub(crate) local: LocalArgs,
}

#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(
    disable_help_flag = true,
    override_usage = "rdump import-folder [OPTIONS] FOLDER|ARCHIVE",
    after_help = super::AFTER_HELP_TRANSFER
)]
pub(crate) struct ImportArgs {
    /// A folder or an archive of mongodump or rdump
    #[arg(value_name = "FOLDER|ARCHIVE")]
    pub(crate) dump: String,

    /// Mark the snapshot; may be repeated
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    pub(crate) tags: Vec<String>,

    /// Compress by none, gzip[:1-9] or zstd[:1-19]; zstd by default
    #[arg(long, value_name = "HOW")]
    pub(crate) compress: Option<Compression>,

    #[command(flatten)]
    pub(crate) recipients: RecipientArgs,

    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,

    #[command(flatten)]
    pub(crate) lease: LeaseArgs,

    #[command(flatten)]
    pub(crate) local: LocalArgs,

    #[command(flatten)]
    pub(crate) s3_write: S3WriteArgs,
}

#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(
    disable_help_flag = true,
    override_usage = "rdump bundle [OPTIONS] ID|latest [FILE|-]",
    after_help = super::AFTER_HELP_REPOSITORY
)]
pub(crate) struct BundleArgs {
    /// The snapshot
    #[arg(value_name = "ID")]
    pub(crate) snapshot: String,

    /// The file or s3://bucket/key to write, which rrestore, rdump unbundle and tar read; standard output by default
    #[arg(value_name = "FILE", default_value = "-")]
    pub(crate) file: String,

    #[command(flatten)]
    pub(crate) local: LocalArgs,
}

#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(
    disable_help_flag = true,
    override_usage = "rdump unbundle [OPTIONS] [FILE|-]",
    after_help = super::AFTER_HELP_TRANSFER
)]
pub(crate) struct UnbundleArgs {
    /// The file or s3://bucket/key that rdump bundle wrote; standard input by default
    #[arg(value_name = "FILE", default_value = "-")]
    pub(crate) file: String,

    #[command(flatten)]
    pub(crate) local: LocalArgs,

    #[command(flatten)]
    pub(crate) s3_write: S3WriteArgs,
}

/// Back a MongoDB deployment up, or a part of it, as a snapshot of a repository.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(
    disable_help_flag = true,
    disable_version_flag = true,
    override_usage = "rdump backup [OPTIONS] [CONNECTION-STRING]",
    after_help = super::AFTER_HELP_BACKUP
)]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    pub(crate) tool: ToolArgs,
    #[command(flatten)]
    pub(crate) query: QueryArgs,
    #[command(flatten)]
    pub(crate) exclude: ExcludeArgs,
    #[command(flatten)]
    pub(crate) patterns: PatternArgs,

    #[command(flatten, next_help_heading = "Snapshot options")]
    pub(crate) repository: RepositoryArgs,

    /// Mark the snapshot; may be repeated
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    pub(crate) tags: Vec<String>,

    /// Go on with the newest snapshot that was begun and not finished, if there is one
    #[arg(long)]
    pub(crate) resume: bool,

    /// At which moment everything is read: auto (the default), snapshot, oplog or none
    #[arg(long, value_name = "HOW")]
    pub(crate) consistency: Option<Consistency>,

    /// Compress by none, gzip[:1-9] or zstd[:1-19]; zstd by default
    #[arg(long, value_name = "HOW")]
    pub(crate) compress: Option<Compression>,

    #[command(flatten)]
    pub(crate) recipients: RecipientArgs,

    #[command(flatten)]
    pub(crate) identity: IdentityArgs,

    #[command(flatten)]
    pub(crate) monitor: MonitorArgs,

    #[command(flatten)]
    pub(crate) lease: LeaseArgs,

    /// Dump the users and roles of --db too
    #[arg(long = "dumpDbUsersAndRoles")]
    pub(crate) dump_db_users_and_roles: bool,

    #[command(flatten)]
    pub(crate) parallel: ParallelArgs,

    /// Ranges of _id that a large collection is read in at once; 1 by default
    #[arg(long, value_name = "N")]
    pub(crate) partitions: Option<NonZeroUsize>,

    /// Most bytes read in a second, before compression; K, M, G (1000) or KiB, MiB, GiB (1024) may follow
    #[arg(long = "limit-rate", value_name = "BYTES_PER_SECOND", value_parser = rate)]
    pub(crate) limit_rate: Option<u64>,

    /// How often a failing command is tried again; 5 by default
    #[arg(long = "max-retries", value_name = "N")]
    pub(crate) max_retries: Option<u32>,

    /// Print what would be backed up, and stop
    #[arg(long = "dryRun")]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) flavor: FlavorArgs,

    #[command(flatten)]
    pub(crate) s3_write: S3WriteArgs,
}

impl BackupArgs {
    /// The dump that is the same but for where it goes, which a backup has its own words for.
    pub(crate) fn as_dump(&self) -> DumpArgs {
        let mut dump = DumpArgs {
            tool: self.tool.clone(),
            query: self.query.clone(),
            output: OutputArgs {
                dump_db_users_and_roles: self.dump_db_users_and_roles,
                exclude: self.exclude.clone(),
                parallel: self.parallel.clone(),
                ..OutputArgs::default()
            },
            patterns: self.patterns.clone(),
            compress: Some(self.compress.unwrap_or(Compression::ZSTD)),
            consistency: Some(self.consistency.unwrap_or(Consistency::Auto)),
            partitions: self.partitions,
            limit_rate: self.limit_rate,
            dry_run: self.dry_run,
            ..DumpArgs::default()
        };
        dump.own.max_retries = self.max_retries;
        dump.own.flavor = self.flavor.clone();
        dump
    }
}

/// Store all that is written to a deployment, as slices of its oplog or change stream in a repository, until it is stopped.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(
    disable_help_flag = true,
    disable_version_flag = true,
    override_usage = "rdump capture [OPTIONS] [CONNECTION-STRING]",
    after_help = super::AFTER_HELP_CAPTURE
)]
pub(crate) struct CaptureArgs {
    #[command(flatten)]
    pub(crate) tool: ToolArgs,
    #[command(flatten)]
    pub(crate) patterns: PatternArgs,

    #[command(flatten, next_help_heading = "Capture options")]
    pub(crate) repository: RepositoryArgs,

    /// Most bytes of a slice before compression; 16MiB by default
    #[arg(long = "slice-bytes", value_name = "BYTES", value_parser = rate)]
    pub(crate) slice_bytes: Option<u64>,

    /// How long what is written waits at most before it is stored; 10s by default
    #[arg(long = "slice-age", value_name = "DURATION", value_parser = duration)]
    pub(crate) slice_age: Option<Duration>,

    /// End when all that was written when it began is stored
    #[arg(long = "until-caught-up")]
    pub(crate) until_caught_up: bool,

    /// Where what is written is learned from: auto, oplog or change-stream; auto takes the oplog where it can be read
    #[arg(long = "source", value_name = "SOURCE")]
    pub(crate) source: Option<CaptureSource>,

    /// Members to read: a mode such as secondaryPreferred, or {mode: ..., tagSets: [...], maxStalenessSeconds: ...}
    #[arg(long = "readPreference", value_name = "MODE|JSON")]
    pub(crate) read_preference: Option<String>,

    #[command(flatten)]
    pub(crate) recipients: RecipientArgs,

    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,

    /// Answer who asks for metrics over HTTP at this address, such as 127.0.0.1:9464, with /metrics and /healthz
    #[arg(long = "metrics-listen", value_name = "HOST:PORT", value_parser = address)]
    pub(crate) metrics_listen: Option<String>,

    #[command(flatten)]
    pub(crate) monitor: MonitorArgs,

    #[command(flatten)]
    pub(crate) lease: LeaseArgs,

    #[command(flatten)]
    pub(crate) flavor: FlavorArgs,

    #[command(flatten)]
    pub(crate) s3_write: S3WriteArgs,
}

impl CaptureArgs {
    /// The dump of the same deployment, for what both take.
    pub(crate) fn as_dump(&self) -> DumpArgs {
        let mut dump = DumpArgs {
            tool: self.tool.clone(),
            patterns: self.patterns.clone(),
            ..DumpArgs::default()
        };
        dump.query.read_preference.clone_from(&self.read_preference);
        dump.own.flavor = self.flavor.clone();
        dump
    }
}

/// Tell what of a repository can be restored, and how far the capture is.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(
    disable_help_flag = true,
    override_usage = "rdump status [OPTIONS]",
    after_help = super::AFTER_HELP_STATUS
)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) local: LocalArgs,

    /// End with 3 if the last moment that can be restored is longer ago, or there is none
    #[arg(long = "max-lag", value_name = "DURATION", value_parser = duration)]
    pub(crate) max_lag: Option<Duration>,

    /// End with 3 if the newest snapshot that was verified and found whole is older, or there is none
    #[arg(long = "max-age", value_name = "DURATION", value_parser = days)]
    pub(crate) max_age: Option<Duration>,

    #[command(flatten)]
    pub(crate) monitor: MonitorArgs,

    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
}

/// Write what was captured as an oplog.bson that mongorestore replays (--oplogReplay --oplogFile).
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(
    disable_help_flag = true,
    override_usage = "rdump oplog-export [OPTIONS] --after S:I [FILE|-]",
    after_help = super::AFTER_HELP_REPOSITORY
)]
pub(crate) struct OplogExportArgs {
    /// The file or s3://bucket/key to write; standard output by default
    #[arg(value_name = "FILE", default_value = "-")]
    pub(crate) file: String,

    /// The moment that the entries come after: that of a snapshot, for instance
    #[arg(long, value_name = "S:I")]
    pub(crate) after: Option<OpTime>,

    /// The moment of the last entry; all that was captured by default
    #[arg(long, value_name = "S:I")]
    pub(crate) until: Option<OpTime>,

    #[command(flatten)]
    pub(crate) identity: IdentityArgs,

    #[command(flatten)]
    pub(crate) local: LocalArgs,
}

/// A share such as `10%`, or a number of bytes.
fn sample(text: &str) -> Result<Sample, String> {
    match text.strip_suffix('%') {
        Some(percent) => {
            let percent = percent.trim().parse::<f64>().ok();
            let percent = percent.filter(|percent| *percent > 0.0 && *percent <= 100.0);
            let percent = percent.ok_or("a share is more than 0% and at most 100%")?;
            Ok(Sample::Percent(percent))
        }
        None => rate(text).map(Sample::Bytes),
    }
}
