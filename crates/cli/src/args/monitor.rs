use std::path::PathBuf;

use clap::Args;

use super::{connection::path, general::VerbosityArgs};

/// Who is told how a run ended.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct MonitorArgs {
    /// Write metrics to this file at the end, as node_exporter's textfile collector reads them; those of other runs in it stay
    #[arg(long = "metrics-file", value_name = "FILE", value_parser = path)]
    pub(crate) metrics_file: Option<PathBuf>,

    /// TOML file that says whom to tell how it ended: by webhook, Slack or Amazon SNS
    #[arg(long, value_name = "FILE", value_parser = path)]
    pub(crate) notify: Option<PathBuf>,
}

/// Send a test to everybody whom a file of --notify names.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(
    disable_help_flag = true,
    override_usage = "rdump notify-test [OPTIONS] FILE",
    after_help = super::AFTER_HELP_NOTIFY_TEST
)]
pub(crate) struct NotifyTestArgs {
    /// The file, in TOML, as for --notify
    #[arg(value_name = "FILE", value_parser = path)]
    pub(crate) file: PathBuf,

    /// Print this text
    #[arg(long, action = clap::ArgAction::HelpShort)]
    pub(crate) help: Option<bool>,

    #[command(flatten)]
    pub(crate) verbosity: VerbosityArgs,
}

/// A host and a port; IPv6 in brackets.
pub(crate) fn address(text: &str) -> Result<String, String> {
    let has_port = text
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    match has_port {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} is no address such as 127.0.0.1:9464 or [::1]:9464"
        )),
    }
}
