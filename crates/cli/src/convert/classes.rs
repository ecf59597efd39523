use std::time::Duration;

use rdump::{Location, ThawRequest};

use super::{Environment, Refusal, repository};
use crate::args::{ThawArgs, TierArgs};

/// How often a store is asked how far it is.
const INTERVAL: Duration = Duration::from_secs(5 * 60);

/// What is moved to which storage class.
#[derive(Debug)]
pub(crate) struct TierRequest {
    pub(crate) repository: Location,
    pub(crate) class: String,
    pub(crate) moved: Moved,
    pub(crate) dry_run: bool,
    pub(crate) no_lock: bool,
}

/// The snapshots that are moved.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// Those before this second since 1970.
    Before(i64),
    /// As they were named.
    Named(Vec<String>),
}

impl TierRequest {
    /// Follows a command line.
    pub(crate) fn new(args: &TierArgs, environment: &Environment) -> Result<Self, Refusal> {
        let Some(class) = args.storage_class.clone() else {
            return Err(Refusal::Usage(
                "name the storage class by --storage-class, such as DEEP_ARCHIVE".to_owned(),
            ));
        };
        let moved = match (args.older_than, args.snapshots.as_slice()) {
            (Some(before), _) => Moved::Before(before),
            (None, []) => {
                return Err(Refusal::Usage(
                    "say which snapshots are moved: --older-than 30d, or --snapshot ID".to_owned(),
                ));
            }
            (None, named) => Moved::Named(named.to_vec()),
        };
        Ok(Self {
            repository: repository(&args.local.repository, environment)?,
            class,
            moved,
            dry_run: args.dry_run,
            no_lock: args.lease.no_lock,
        })
    }
}

/// What is thawed, and whether that is waited for.
#[derive(Debug)]
pub(crate) struct ThawingRequest {
    pub(crate) repository: Location,
    pub(crate) snapshots: Vec<String>,
    pub(crate) request: ThawRequest,
    pub(crate) wait: Option<Duration>,
}

impl ThawingRequest {
    /// Follows a command line.
    pub(crate) fn new(args: &ThawArgs, environment: &Environment) -> Result<Self, Refusal> {
        if args.snapshots.is_empty() {
            return Err(Refusal::Usage(
                "say which snapshot is thawed by --snapshot; `rdump list` shows them".to_owned(),
            ));
        }
        let mut request = ThawRequest::default();
        if let Some(days) = args.days {
            request = request.days(days.get());
        }
        if let Some(retrieval) = args.retrieval {
            request = request.retrieval(retrieval);
        }
        Ok(Self {
            repository: repository(&args.local.repository, environment)?,
            snapshots: args.snapshots.clone(),
            request,
            wait: args.wait.then(|| args.interval.unwrap_or(INTERVAL)),
        })
    }
}
