use clap::Args;
use rdump::Digest;

use super::repository::LocalArgs;
use crate::time::since;

/// Show who did what with a repository, when, with which result, and check that nothing of that was changed or removed.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(
    disable_help_flag = true,
    override_usage = "rdump audit [OPTIONS]",
    after_help = super::AFTER_HELP_AUDIT
)]
pub(crate) struct AuditArgs {
    /// Show what was done since then: a time such as 2026-11-21T08:30:00Z, or so long ago, such as 7d; all is checked
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub(crate) since: Option<i64>,

    /// End with 4 unless an entry has this digest, which was noted before: nothing until then was removed or made anew
    #[arg(long, value_name = "SHA256")]
    pub(crate) expect: Option<Digest>,

    #[command(flatten)]
    pub(crate) local: LocalArgs,
}
