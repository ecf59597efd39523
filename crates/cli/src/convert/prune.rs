use std::time::Duration;

use rdump::{Identities, Location, RetentionPolicy};

use super::{Environment, Refusal, identities, repository};
use crate::args::{PolicyArgs, PruneArgs};

/// What is kept of a repository, and how the rest is deleted.
#[derive(Debug)]
pub(crate) struct PruneRequest {
    pub(crate) repository: Location,
    pub(crate) policy: RetentionPolicy,
    pub(crate) grace: Option<Duration>,
    pub(crate) dry_run: bool,
    pub(crate) no_lock: bool,
    pub(crate) identities: Option<Identities>,
}

impl PruneRequest {
    /// Follows a command line.
    pub(crate) fn new(args: &PruneArgs, environment: &Environment) -> Result<Self, Refusal> {
        let policy = policy(&args.policy);
        if policy.is_empty() {
            return Err(Refusal::Usage(
                "nothing says what is to be kept: give a rule, such as --keep-daily 30".to_owned(),
            ));
        }
        Ok(Self {
            repository: repository(&args.local.repository, environment)?,
            policy,
            grace: args.grace,
            dry_run: args.dry_run,
            no_lock: args.lease.no_lock,
            identities: identities(&args.identity, environment)?,
        })
    }
}

pub(super) fn policy(args: &PolicyArgs) -> RetentionPolicy {
    let mut policy = RetentionPolicy::default();
    policy.keep_last = args.last.unwrap_or_default();
    policy.keep_hourly = args.hourly.unwrap_or_default();
    policy.keep_daily = args.daily.unwrap_or_default();
    policy.keep_weekly = args.weekly.unwrap_or_default();
    policy.keep_monthly = args.monthly.unwrap_or_default();
    policy.keep_yearly = args.yearly.unwrap_or_default();
    policy.keep_within = args.within;
    policy.keep_tags.clone_from(&args.tags);
    policy.pitr_window = args.pitr_window;
    policy.time_zone = args.time_zone.clone().unwrap_or_default();
    policy
}
