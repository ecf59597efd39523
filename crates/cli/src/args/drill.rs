use std::{path::PathBuf, time::Duration};

use clap::{Arg, Args, Parser};
use rdump::Secret;

use super::{
    connection::secret,
    general::{FlavorArgs, ToolArgs, VerbosityArgs},
    keys::IdentityArgs,
    monitor::MonitorArgs,
    namespace::PatternArgs,
    repository::RepositoryArgs,
    restore::PointArgs,
};
use crate::time::days;

/// Restore a snapshot or a moment to a scratch deployment, compare what is there then with the backup, and drop it again.
///
/// The scratch deployment must have none of the databases that are restored. Users, roles and all else of admin and config is
/// left out.
#[derive(Parser, Clone, Debug, PartialEq)]
#[command(
    name = "rrestore drill",
    version,
    override_usage = "rrestore drill [OPTIONS] [REPOSITORY] (--uri SCRATCH | --mongod FILE)",
    after_help = super::AFTER_HELP_DRILL,
    disable_help_flag = true,
    disable_version_flag = true,
    args_override_self = true,
    max_term_width = 100,
    mut_args(for_a_drill)
)]
pub(crate) struct DrillArgs {
    #[command(flatten)]
    pub(crate) tool: ToolArgs,
    #[command(flatten)]
    pub(crate) patterns: PatternArgs,

    /// The snapshot to restore; the newest by default
    #[arg(long, value_name = "ID|latest|random", help_heading = OWN)]
    pub(crate) snapshot: Option<String>,

    #[command(flatten, next_help_heading = OWN)]
    pub(crate) point: PointArgs,

    /// Start this mongod for the drill, reachable by nobody else, instead of using a scratch deployment
    #[arg(long, value_name = "FILE", help_heading = OWN)]
    pub(crate) mongod: Option<PathBuf>,

    /// The folder in which that mongod gets one for its data; the system's for temporary files by default
    #[arg(long = "mongod-folder", value_name = "FOLDER", help_heading = OWN)]
    pub(crate) mongod_folder: Option<PathBuf>,

    /// Leave what was restored where it is
    #[arg(long, help_heading = OWN)]
    pub(crate) keep: bool,

    /// Write a report to FILE.json and to FILE.html
    #[arg(long, value_name = "FILE", help_heading = OWN)]
    pub(crate) report: Option<PathBuf>,

    /// End with 3 if the restore takes longer: the recovery time objective, such as 60m
    #[arg(long = "max-rto", value_name = "DURATION", value_parser = days, help_heading = OWN)]
    pub(crate) max_rto: Option<Duration>,

    /// End with 3 if more than the last so much would have been lost: the recovery point objective, such as 15m
    #[arg(long = "max-rpo", value_name = "DURATION", value_parser = days, help_heading = OWN)]
    pub(crate) max_rpo: Option<Duration>,

    #[command(flatten, next_help_heading = OWN)]
    pub(crate) identity: IdentityArgs,

    #[command(flatten, next_help_heading = OWN)]
    pub(crate) flavor: FlavorArgs,

    #[command(flatten, next_help_heading = OWN)]
    pub(crate) repository: RepositoryArgs,

    #[command(flatten, next_help_heading = OWN)]
    pub(crate) monitor: MonitorArgs,
}

const OWN: &str = "Drill options";

/// What options of every command mean for a drill.
fn for_a_drill(option: Arg) -> Arg {
    match option.get_id().as_str() {
        "db" | "collection" => option.hide(true),
        "uri" => option.help(
            "Connection string of the scratch deployment; may also stand without --uri, or in the environment variable RDUMP_SCRATCH_URI",
        ),
        _ => option,
    }
}

/// Compare two deployments: namespaces, their options and indexes, and every document.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(
    disable_help_flag = true,
    override_usage = "rdump compare [OPTIONS] EXPECTED ACTUAL",
    after_help = super::AFTER_HELP_COMPARE
)]
pub(crate) struct CompareArgs {
    /// The connection string of the deployment that has what it should, or @FILE for the one in a file
    #[arg(value_parser = secret)]
    pub(crate) expected: Secret,

    /// The same of the one that is compared with it
    #[arg(value_parser = secret)]
    pub(crate) actual: Secret,

    #[command(flatten)]
    pub(crate) patterns: PatternArgs,

    /// Print one JSON document on stdout
    #[arg(long)]
    pub(crate) json: bool,

    /// Print this text
    #[arg(long, action = clap::ArgAction::HelpShort)]
    pub(crate) help: Option<bool>,

    #[command(flatten)]
    pub(crate) verbosity: VerbosityArgs,
}
