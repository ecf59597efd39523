use std::time::Duration;

use clap::{Args, builder::NonEmptyStringValueParser};
use rdump::Retrieval;

use super::repository::{LeaseArgs, LocalArgs};
use crate::time::{duration, since};

/// Move the data of old snapshots to a colder storage class; all else stays where it can be read at once.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(
    disable_help_flag = true,
    override_usage = "rdump tier [OPTIONS] --storage-class CLASS --older-than TIME|--snapshot ID",
    after_help = super::AFTER_HELP_TIER
)]
pub(crate) struct TierArgs {
    /// Storage class, such as GLACIER_IR or DEEP_ARCHIVE
    #[arg(long = "storage-class", value_name = "CLASS", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) storage_class: Option<String>,

    /// Move the snapshots that are older: so long ago, such as 30d, or a time such as 2026-11-21T08:30:00Z
    #[arg(long = "older-than", value_name = "TIME", value_parser = since)]
    pub(crate) older_than: Option<i64>,

    /// Move this snapshot; may be repeated
    #[arg(long = "snapshot", value_name = "ID", conflicts_with = "older_than")]
    pub(crate) snapshots: Vec<String>,

    /// Print what would be moved, and stop
    #[arg(long = "dry-run", visible_alias = "dryRun")]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) lease: LeaseArgs,

    #[command(flatten)]
    pub(crate) local: LocalArgs,
}

/// Have the store thaw snapshots that are in a storage class that is not read from.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(
    disable_help_flag = true,
    override_usage = "rdump thaw [OPTIONS] --snapshot ID",
    after_help = super::AFTER_HELP_THAW
)]
pub(crate) struct ThawArgs {
    /// Thaw this snapshot; may be repeated; latest is the newest
    #[arg(long = "snapshot", value_name = "ID")]
    pub(crate) snapshots: Vec<String>,

    /// For how many days it can be read then; 7 by default
    #[arg(long, value_name = "N")]
    pub(crate) days: Option<std::num::NonZeroU32>,

    /// How fast: standard, the default, bulk (slower and cheaper) or expedited (in minutes, dearer, not from every class)
    #[arg(long, value_name = "HOW")]
    pub(crate) retrieval: Option<Retrieval>,

    /// Wait until all of it can be read
    #[arg(long)]
    pub(crate) wait: bool,

    /// How long --wait waits before it asks again; 5m by default
    #[arg(long, value_name = "DURATION", value_parser = duration, requires = "wait")]
    pub(crate) interval: Option<Duration>,

    #[command(flatten)]
    pub(crate) local: LocalArgs,
}
