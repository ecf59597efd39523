use clap::{Args, builder::NonEmptyStringValueParser};

use super::{general::VerbosityArgs, monitor::MonitorArgs, repository::LeaseArgs};
use crate::time::since;

/// Copy snapshots, and what was captured, to another repository: what is missing there, each byte checked on the way.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(
    disable_help_flag = true,
    override_usage = "rdump copy [OPTIONS] --from LOCATION --to LOCATION",
    after_help = super::AFTER_HELP_COPY
)]
pub(crate) struct CopyArgs {
    /// The repository: a folder or s3://bucket/prefix?option=value; may also be in the environment variable RDUMP_REPO
    #[arg(long, value_name = "LOCATION", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) from: Option<String>,

    /// Where it is copied to, in the same way; an empty place becomes its twin
    #[arg(long, value_name = "LOCATION", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) to: Option<String>,

    /// Copy this snapshot; may be repeated; the newest by default
    #[arg(long = "snapshot", value_name = "ID", conflicts_with_all = ["all", "since"])]
    pub(crate) snapshots: Vec<String>,

    /// Copy all snapshots
    #[arg(long)]
    pub(crate) all: bool,

    /// Copy the snapshots that were begun since then: a time such as 2026-11-21T08:30:00Z, or so long ago, such as 7d
    #[arg(long, value_name = "TIME", value_parser = since, conflicts_with = "all")]
    pub(crate) since: Option<i64>,

    /// Copy what was captured too
    #[arg(long)]
    pub(crate) timeline: bool,

    /// Storage class of the data there, such as GLACIER_IR; as the option of the location
    #[arg(long = "storage-class", value_name = "CLASS")]
    pub(crate) storage_class: Option<String>,

    /// Have the store copy data by itself where it can, compared with its own checksums and not with our digests
    #[arg(long = "server-side")]
    pub(crate) server_side: bool,

    /// Print one JSON document on stdout
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) monitor: MonitorArgs,

    #[command(flatten)]
    pub(crate) lease: LeaseArgs,

    /// Print this text
    #[arg(long, action = clap::ArgAction::HelpShort)]
    pub(crate) help: Option<bool>,

    #[command(flatten)]
    pub(crate) verbosity: VerbosityArgs,
}
