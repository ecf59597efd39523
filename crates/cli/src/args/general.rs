use clap::Args;

use super::{
    connection::{ConnectionArgs, UriArgs, path, secret},
    monitor::MonitorArgs,
    namespace::NamespaceArgs,
};
use rdump::{Flavor, Secret};

/// What both binaries take, in the order of mongodump's help.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct ToolArgs {
    #[command(flatten)]
    pub(crate) general: GeneralArgs,
    #[command(flatten)]
    pub(crate) verbosity: VerbosityArgs,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    #[command(flatten)]
    pub(crate) namespace: NamespaceArgs,
    #[command(flatten)]
    pub(crate) uri: UriArgs,

    /// A connection string without --uri; for a restore, the dump too
    #[arg(hide = true, value_parser = secret)]
    pub(crate) positional: Vec<Secret>,
}

/// What is about neither the server nor the dump.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "General options")]
pub(crate) struct GeneralArgs {
    /// Print this text
    #[arg(long)]
    pub(crate) help: bool,

    /// Print the version
    #[arg(long)]
    pub(crate) version: bool,

    /// YAML file with any of: password, uri, sslPEMKeyPassword
    #[arg(long, value_name = "FILE", value_parser = path)]
    pub(crate) config: Option<std::path::PathBuf>,

    /// Threads that do network and file work; 2 to 64, by default 2 to 4
    #[arg(
        long = "numThreads",
        value_name = "N",
        hide = true,
        allow_negative_numbers = true
    )]
    pub(crate) num_threads: Option<i64>,

    /// Test hooks of mongodump's own builds (refused)
    #[arg(long, value_name = "NAMES", hide = true)]
    pub(crate) failpoints: Option<String>,

    /// Without effect, as in mongodump
    #[arg(long, hide = true)]
    pub(crate) trace: bool,
}

/// How much is said on stderr.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Verbosity options")]
pub(crate) struct VerbosityArgs {
    /// Say more; repeat it (-vvv) or give a number (--verbose=3)
    #[arg(
        short,
        long,
        value_name = "LEVEL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        action = clap::ArgAction::Append
    )]
    pub(crate) verbose: Vec<String>,

    /// Say nothing but what went wrong
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// What neither mongodump nor mongorestore has.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct OwnArgs {
    /// Print events and the report on stdout as JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,

    /// Exit with 3 if any document or collection had a problem, and with 130 if stopped
    #[arg(long)]
    pub(crate) strict: bool,

    /// How often a failing command is tried again; 5 by default
    #[arg(long = "max-retries", value_name = "N")]
    pub(crate) max_retries: Option<u32>,

    #[command(flatten)]
    pub(crate) flavor: FlavorArgs,

    #[command(flatten)]
    pub(crate) monitor: MonitorArgs,

    #[command(flatten)]
    pub(crate) generate: GenerateArgs,
}

/// Whose server it is.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct FlavorArgs {
    /// Whose server it is, mongodb or documentdb; found out by default
    #[arg(long, value_name = "NAME")]
    pub(crate) flavor: Option<Flavor>,
}

/// What packagers want: files made of the same definitions as the options themselves.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct GenerateArgs {
    /// Print the completions for a shell and exit
    #[arg(long, value_name = "SHELL")]
    pub(crate) generate_completions: Option<clap_complete::Shell>,

    /// Print the manual page (roff) and exit
    #[arg(long)]
    pub(crate) generate_man: bool,

    /// Write manual pages and completions below a folder such as /usr/local/share and exit
    #[arg(long, value_name = "FOLDER")]
    pub(crate) generate_into: Option<std::path::PathBuf>,
}

impl VerbosityArgs {
    /// The level: below 0 is quiet, 0 is what mongodump prints, 1 and more is for debugging.
    ///
    /// A number is added, as each `v` is; `-vv=3` is 3, whatever came before. `None` if a value is nothing of these.
    pub(crate) fn level(&self) -> Option<i8> {
        let mut level = 0_i64;
        for value in &self.verbose {
            let letters = value.trim_start_matches('v');
            let letters_count = i64::try_from(value.len() - letters.len()).unwrap_or(i64::MAX);
            level = match (letters, letters.strip_prefix('='), value.parse::<i64>()) {
                ("", ..) => level.saturating_add(letters_count).saturating_add(1),
                (_, _, Ok(more)) => level.saturating_add(more),
                (_, Some(number), _) if letters_count > 0 && number.len() == 1 => {
                    number.parse().ok()?
                }
                _ => return None,
            };
        }
        let level = if self.quiet { -1 } else { level };
        let range = i64::from(i8::MIN)..=i64::from(i8::MAX);
        i8::try_from(level.clamp(*range.start(), *range.end())).ok()
    }
}
