use std::time::Duration;

use rdump::{ConnectOptions, Location, RetentionPolicy};

use super::{DumpRequest, Environment, Refusal, filled, prune::policy, repository};
use crate::args::DoctorArgs;

/// What is looked at.
#[derive(Debug)]
pub(crate) struct DoctorRequest {
    pub(crate) deployment: Option<ConnectOptions>,
    pub(crate) repository: Option<Location>,
    pub(crate) policy: RetentionPolicy,
    pub(crate) max_age: Option<Duration>,
    pub(crate) probe: bool,
    pub(crate) warnings: Vec<String>,
}

impl DoctorRequest {
    /// Follows a command line.
    pub(crate) fn new(args: &DoctorArgs, environment: &Environment) -> Result<Self, Refusal> {
        let namespace = &args.tool.namespace;
        if filled(namespace.db.as_ref()).is_some() || namespace.collection().is_some() {
            return Err(Refusal::Usage(
                "the whole deployment is looked at: leave --db and --collection out".to_owned(),
            ));
        }
        let dump = DumpRequest::new(&args.as_dump(), environment)?;
        let connect = dump.connect;
        // Without these it would be the one on this machine.
        let is_named = connect.uri.is_some() || connect.host.is_some() || connect.port.is_some();
        let is_placed = args.repository.repo.is_some() || environment.repository.is_some();
        if !is_named && !is_placed {
            return Err(Refusal::Usage(
                "name a deployment by --uri or RDUMP_URI, a repository by --repo or RDUMP_REPO, or both"
                    .to_owned(),
            ));
        }
        let repository = match is_placed {
            true => Some(repository(&args.repository, environment)?),
            false => None,
        };
        let policy = policy(&args.policy);
        if repository.is_none() && (args.probe || args.max_age.is_some() || !policy.is_empty()) {
            return Err(Refusal::Usage(
                "--probe, --max-age and the rules of what is kept are about a repository: name it by --repo"
                    .to_owned(),
            ));
        }
        Ok(Self {
            deployment: is_named.then_some(connect),
            repository,
            policy,
            max_age: args.max_age,
            probe: args.probe,
            warnings: dump.warnings,
        })
    }
}
