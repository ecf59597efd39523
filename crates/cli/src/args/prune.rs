use std::time::Duration;

use clap::Args;
use rdump::Zone;

use super::{
    keys::IdentityArgs,
    monitor::MonitorArgs,
    repository::{LeaseArgs, LocalArgs},
};
use crate::time::days;

/// Delete the snapshots that no rule keeps, and what nothing that is kept needs.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(
    disable_help_flag = true,
    override_usage = "rdump prune [OPTIONS] --keep-…",
    after_help = super::AFTER_HELP_PRUNE
)]
pub(crate) struct PruneArgs {
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,

    /// How long ago what never finished was written last before it goes; 1d by default
    #[arg(long, value_name = "DURATION", value_parser = days)]
    pub(crate) grace: Option<Duration>,

    /// Print what would be deleted and kept, and why, and stop
    #[arg(long = "dry-run", visible_alias = "dryRun")]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) identity: IdentityArgs,

    #[command(flatten)]
    pub(crate) monitor: MonitorArgs,

    #[command(flatten)]
    pub(crate) lease: LeaseArgs,

    #[command(flatten)]
    pub(crate) local: LocalArgs,
}

/// What is kept.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct PolicyArgs {
    /// Keep the newest N snapshots
    #[arg(long = "keep-last", value_name = "N")]
    pub(crate) last: Option<u32>,

    /// Keep the newest snapshot of each of the last N hours that have one
    #[arg(long = "keep-hourly", value_name = "N")]
    pub(crate) hourly: Option<u32>,

    /// Keep the newest snapshot of each of the last N days that have one
    #[arg(long = "keep-daily", value_name = "N")]
    pub(crate) daily: Option<u32>,

    /// Keep the newest snapshot of each of the last N weeks that have one
    #[arg(long = "keep-weekly", value_name = "N")]
    pub(crate) weekly: Option<u32>,

    /// Keep the newest snapshot of each of the last N months that have one
    #[arg(long = "keep-monthly", value_name = "N")]
    pub(crate) monthly: Option<u32>,

    /// Keep the newest snapshot of each of the last N years that have one
    #[arg(long = "keep-yearly", value_name = "N")]
    pub(crate) yearly: Option<u32>,

    /// Keep all snapshots that are at most so much older than the newest, such as 7d
    #[arg(long = "keep-within", value_name = "DURATION", value_parser = days)]
    pub(crate) within: Option<Duration>,

    /// Keep all snapshots that are marked so; may be repeated
    #[arg(long = "keep-tag", value_name = "KEY[=VALUE]")]
    pub(crate) tags: Vec<String>,

    /// Keep any moment restorable that is, so far back from the last one, such as 7d; as far as the oldest snapshot that is kept by default
    #[arg(long = "pitr-window", value_name = "DURATION", value_parser = days)]
    pub(crate) pitr_window: Option<Duration>,

    /// By whose clock hours, days, weeks, months and years begin, such as Europe/Berlin; UTC by default
    #[arg(long = "timezone", value_name = "ZONE")]
    pub(crate) time_zone: Option<Zone>,
}
