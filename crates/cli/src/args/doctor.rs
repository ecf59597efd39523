use std::time::Duration;

use clap::Args;

use super::{
    dump::DumpArgs,
    general::{FlavorArgs, ToolArgs},
    prune::PolicyArgs,
    repository::RepositoryArgs,
};
use crate::time::days;

/// Look at a deployment, a repository, or both and how they fit, and say what is wrong, the worst first. Changes nothing.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(
    disable_help_flag = true,
    disable_version_flag = true,
    override_usage = "rdump doctor [OPTIONS] [--uri CONNECTION-STRING] [--repo LOCATION]",
    after_help = super::AFTER_HELP_DOCTOR
)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) tool: ToolArgs,

    /// Write two objects to the store, of nothing and of 9 MiB, read them, and delete them
    #[arg(long, help_heading = HEADING)]
    pub(crate) probe: bool,

    /// How old the newest snapshot may be, such as 26h; without it, a warning after 7 days is all
    #[arg(long = "max-age", value_name = "DURATION", value_parser = days, help_heading = HEADING)]
    pub(crate) max_age: Option<Duration>,

    #[command(flatten, next_help_heading = HEADING)]
    pub(crate) flavor: FlavorArgs,

    #[command(
        flatten,
        next_help_heading = "What is kept, as for rdump prune: objects in a bucket should be locked for as long"
    )]
    pub(crate) policy: PolicyArgs,

    #[command(flatten, next_help_heading = HEADING)]
    pub(crate) repository: RepositoryArgs,
}

const HEADING: &str = "Doctor options";

impl DoctorArgs {
    /// The dump of the same deployment, for what both take.
    pub(crate) fn as_dump(&self) -> DumpArgs {
        let mut dump = DumpArgs {
            tool: self.tool.clone(),
            ..DumpArgs::default()
        };
        dump.own.flavor = self.flavor.clone();
        dump
    }
}
