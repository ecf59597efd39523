use clap::{ArgAction, Args};

use super::values::text;

/// What both tools have and what is about neither the server nor the dump.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "General options")]
pub(crate) struct GeneralArgs {
    /// Print this text
    #[arg(long, action = ArgAction::HelpShort)]
    pub(crate) help: Option<bool>,

    /// Print the version
    #[arg(long, action = ArgAction::Version)]
    pub(crate) version: Option<bool>,

    /// Path of a YAML file with passwords (not yet supported)
    #[arg(long, value_name = "FILE", value_parser = text, hide = true)]
    pub(crate) config: Option<String>,

    /// Threads that do network and file work; 2 to 64, by default 2 to 4
    #[arg(
        long = "numThreads",
        alias = "num-threads",
        value_name = "N",
        hide = true,
        allow_negative_numbers = true
    )]
    pub(crate) num_threads: Option<i64>,

    /// Test hooks of mongodump's own builds (refused)
    #[arg(long, value_parser = text, hide = true)]
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
        action = ArgAction::Append
    )]
    pub(crate) verbose: Vec<String>,

    /// Say nothing but what went wrong
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// What machines want to know.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Report options")]
pub(crate) struct ReportArgs {
    /// Print events and the report on stdout as JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,

    /// Exit with 3 if any document or collection had a problem, and with 130 if stopped
    #[arg(long)]
    pub(crate) strict: bool,
}

/// What packagers want: files made of the same definitions as the options themselves.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Shell integration")]
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
    /// The level: -1 is quiet, 0 is what mongodump prints, 1 and more is for debugging.
    ///
    /// A number counts alone, `-v` adds up. `Err` is the value that is neither.
    pub(crate) fn level(&self) -> Result<i8, &str> {
        let mut level = 0_i8;
        for value in &self.verbose {
            let more = if value.bytes().all(|byte| byte == b'v') {
                i8::try_from(value.len())
                    .unwrap_or(i8::MAX)
                    .saturating_add(1)
            } else {
                level = 0;
                value
                    .parse::<u8>()
                    .ok()
                    .and_then(|more| i8::try_from(more).ok())
                    .ok_or(value.as_str())?
            };
            level = level.saturating_add(more);
        }
        Ok(if self.quiet { -1 } else { level })
    }
}
