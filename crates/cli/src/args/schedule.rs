use std::path::PathBuf;

use clap::Args;

use super::{connection::path, general::VerbosityArgs};

/// Do what a plan says, when it says so, until a signal ends it.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(
    disable_help_flag = true,
    override_usage = "rdump schedule [OPTIONS] PLAN",
    after_help = super::AFTER_HELP_SCHEDULE
)]
pub(crate) struct ScheduleArgs {
    /// The plan, in TOML
    #[arg(value_name = "PLAN", value_parser = path)]
    pub(crate) plan: PathBuf,

    /// Print this text
    #[arg(long, action = clap::ArgAction::HelpShort)]
    pub(crate) help: Option<bool>,

    #[command(flatten)]
    pub(crate) verbosity: VerbosityArgs,
}

/// Say what a plan does, in words, and what could be lost at worst.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(
    disable_help_flag = true,
    override_usage = "rdump plan check [OPTIONS] PLAN",
    after_help = super::AFTER_HELP_PLAN
)]
pub(crate) struct PlanArgs {
    /// What is done with it
    #[arg(value_name = "check", value_parser = ["check"])]
    pub(crate) action: String,

    /// The plan, in TOML
    #[arg(value_name = "PLAN", value_parser = path)]
    pub(crate) plan: PathBuf,

    /// Print this text
    #[arg(long, action = clap::ArgAction::HelpShort)]
    pub(crate) help: Option<bool>,

    #[command(flatten)]
    pub(crate) verbosity: VerbosityArgs,
}
