//! The file of a plan, as people write it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, anyhow, bail, ensure};
use jiff::{SignedDuration, tz::TimeZone};
use rdump::Secret;
use serde::Deserialize;

use super::{
    job::{Job, Kind},
    occurrences::Occurrences,
    timetable::{Missed, Timing},
};
use crate::{
    args::address,
    notify::{self, Channel},
    time::days,
    toml_file,
};

/// What is looked up in the process's environment.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A plan that makes sense: every name in it is known, and every command line in it can be followed.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Where what was done is noted.
    pub(super) state: PathBuf,
    /// How many jobs may be under way, beside those that never end.
    pub(super) at_once: usize,
    pub(super) zone: String,
    /// Where metrics are served: a host and a port.
    pub(super) metrics_listen: Option<String>,
    /// Who is told how jobs end.
    pub(super) notify: Vec<Channel>,
    pub(super) jobs: Vec<Arc<Job>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct PlanFile {
    timezone: Option<String>,
    state: PathBuf,
    at_once: Option<NonZeroUsize>,
    metrics_listen: Option<String>,
    #[serde(default)]
    notify: Vec<Channel>,
    #[serde(default)]
    deployments: BTreeMap<String, Deployment>,
    #[serde(default)]
    repositories: BTreeMap<String, Repository>,
    #[serde(default)]
    jobs: Vec<JobEntry>,
}

/// Exactly one of these.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Deployment {
    uri: Option<String>,
    uri_file: Option<PathBuf>,
    uri_env: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Repository {
    location: String,
    #[serde(default)]
    encrypt_to: Vec<String>,
    identity_file: Option<PathBuf>,
    identity_env: Option<String>,
    passphrase_file: Option<PathBuf>,
    passphrase_env: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct JobEntry {
    name: Option<String>,
    run: Kind,
    repository: String,
    deployment: Option<String>,
    to: Option<String>,
    cron: Option<String>,
    start_window: Option<String>,
    #[serde(default)]
    missed: Missed,
    retries: Option<u32>,
    retry_after: Option<String>,
    #[serde(default)]
    arguments: Vec<String>,
}

/// How to reach what a job is about, with its secrets.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reached {
    pub(super) location: String,
    pub(super) encrypt_to: Vec<String>,
    pub(super) identity_file: Option<PathBuf>,
    pub(super) identity: Option<Secret>,
    pub(super) passphrase_file: Option<PathBuf>,
    pub(super) passphrase: Option<Secret>,
}

impl Plan {
    /// Reads a plan, and everything that it names: files of secrets, and variables of the environment.
    pub(crate) fn read(file: &Path, lookup: Lookup<'_>) -> anyhow::Result<Self> {
        let text = fs::read_to_string(file)
            .with_context(|| format!("cannot read the plan {}", file.display()))?;
        Self::parse(&text, lookup).with_context(|| format!("the plan {}", file.display()))
    }

    fn parse(text: &str, lookup: Lookup<'_>) -> anyhow::Result<Self> {
        let plan: PlanFile = toml_file::parse(text).map_err(|wrong| anyhow!(wrong))?;
        let zone = plan.timezone.clone().unwrap_or_else(|| "UTC".to_owned());
        let time_zone = TimeZone::get(&zone)
            .map_err(|_error| anyhow!("{zone:?} is no time zone such as Europe/Vienna"))?;
        ensure!(
            !plan.jobs.is_empty(),
            "there is nothing to do: it has no [[jobs]]"
        );
        if !plan.notify.is_empty() {
            notify::check(&plan.notify).map_err(|wrong| anyhow!(wrong))?;
        }
        let metrics_listen = plan.metrics_listen.as_deref().map(address);
        let metrics_listen = metrics_listen
            .transpose()
            .map_err(|wrong| anyhow!("`metrics-listen`: {wrong}"))?;
        let mut deployments = BTreeMap::new();
        for (name, deployment) in &plan.deployments {
            let uri = deployment
                .uri(lookup)
                .with_context(|| format!("deployments.{name}"))?;
            deployments.insert(name.as_str(), uri);
        }
        let mut repositories = BTreeMap::new();
        for (name, repository) in &plan.repositories {
            let reached = repository
                .reached(lookup)
                .with_context(|| format!("repositories.{name}"))?;
            repositories.insert(name.as_str(), reached);
        }
        unheeded(plan.repositories.values(), lookup)?;
        let mut jobs = Vec::new();
        let mut names = BTreeSet::new();
        for entry in &plan.jobs {
            let name = entry.name();
            ensure!(
                !name.is_empty() && !name.chars().any(char::is_control),
                "job {name:?}: its name is empty, or has characters that cannot be printed"
            );
            let job = entry
                .job(&name, &time_zone, &deployments, &repositories)
                .with_context(|| format!("job {name:?}"))?;
            ensure!(
                names.insert(name.clone()),
                "two jobs are called {name:?}: give one another `name`"
            );
            jobs.push(Arc::new(job));
        }
        Ok(Self {
            state: plan.state,
            at_once: plan.at_once.map_or(2, NonZeroUsize::get),
            zone,
            metrics_listen,
            notify: plan.notify,
            jobs,
        })
    }
}

impl Deployment {
    fn uri(&self, lookup: Lookup<'_>) -> anyhow::Result<Secret> {
        match (&self.uri, &self.uri_file, &self.uri_env) {
            (Some(uri), None, None) => {
                let uri = Secret::from(uri.clone());
                let has_password = has_password(uri.reveal());
                ensure!(
                    !has_password,
                    "`uri` has a password: put it into a file (`uri-file`) or the environment (`uri-env`)"
                );
                Ok(uri)
            }
            (None, Some(file), None) => secret_of(file),
            (None, None, Some(name)) => variable(name, lookup),
            _ => bail!("give one of `uri`, `uri-file` and `uri-env`"),
        }
    }
}

impl Repository {
    fn reached(&self, lookup: Lookup<'_>) -> anyhow::Result<Reached> {
        ensure!(
            self.identity_file.is_none() || self.identity_env.is_none(),
            "give one of `identity-file` and `identity-env`"
        );
        ensure!(
            self.passphrase_file.is_none() || self.passphrase_env.is_none(),
            "give one of `passphrase-file` and `passphrase-env`"
        );
        let of = |name: &Option<String>| match name {
            Some(name) => variable(name, lookup).map(Some),
            None => Ok(None),
        };
        Ok(Reached {
            location: self.location.clone(),
            encrypt_to: self.encrypt_to.clone(),
            identity_file: self.identity_file.clone(),
            identity: of(&self.identity_env)?,
            passphrase_file: self.passphrase_file.clone(),
            passphrase: of(&self.passphrase_env)?,
        })
    }
}

impl JobEntry {
    fn name(&self) -> String {
        let named = || format!("{} {}", self.run.as_str(), self.repository);
        self.name.clone().unwrap_or_else(named)
    }

    fn job(
        &self,
        name: &str,
        zone: &TimeZone,
        deployments: &BTreeMap<&str, Secret>,
        repositories: &BTreeMap<&str, Reached>,
    ) -> anyhow::Result<Job> {
        let repository = |name: &str| {
            let found = repositories.get(name).cloned();
            found.with_context(|| format!("there is no repository {name:?}"))
        };
        let deployment = match &self.deployment {
            Some(name) => {
                let found = deployments.get(name.as_str()).cloned();
                Some(found.with_context(|| format!("there is no deployment {name:?}"))?)
            }
            None => None,
        };
        let named = |name: &String| Ok::<_, anyhow::Error>((repository(name)?, name.clone()));
        let to = self.to.as_ref().map(named).transpose()?;
        let timing = self.timing(zone)?;
        Job::new(
            name,
            self.run,
            (repository(&self.repository)?, self.repository.clone()),
            (deployment, self.deployment.clone()),
            to,
            timing,
            self.arguments.clone(),
        )
    }

    fn timing(&self, zone: &TimeZone) -> anyhow::Result<Option<Timing>> {
        let Some(cron) = &self.cron else {
            ensure!(self.run.never_ends(), "it has no `cron`");
            return Ok(None);
        };
        ensure!(
            !self.run.never_ends(),
            "it never ends by itself, so that it has no `cron`"
        );
        let duration = |name: &str, text: &Option<String>, default: i64| match text {
            None => Ok(SignedDuration::from_secs(default)),
            Some(text) => days(text)
                .and_then(|it| SignedDuration::try_from(it).map_err(|error| error.to_string()))
                .map_err(|reason| anyhow!("`{name}`: {reason}")),
        };
        Ok(Some(Timing {
            occurrences: Occurrences::parse(cron, zone)
                .map_err(|reason| anyhow!("`cron`: {reason}"))?,
            start_window: duration("start-window", &self.start_window, 3600)?,
            missed: self.missed,
            retries: self.retries.unwrap_or(2),
            retry_after: duration("retry-after", &self.retry_after, 300)?,
            rank: self.run.rank(),
        }))
    }
}

/// Refuses what the commands would heed by themselves, and a plan does not: who set it relies on it.
fn unheeded<'a>(
    mut repositories: impl Iterator<Item = &'a Repository> + Clone,
    lookup: Lookup<'_>,
) -> anyhow::Result<()> {
    let is_set = |name: &str| lookup(name).is_some_and(|value| !value.is_empty());
    let names_it = |it: &Repository| it.passphrase_env.as_deref() == Some("RDUMP_PASSPHRASE");
    ensure!(
        !is_set("RDUMP_PASSPHRASE") || repositories.clone().any(names_it),
        "the environment has RDUMP_PASSPHRASE, which no repository names: say `passphrase-env`, or unset it"
    );
    ensure!(
        !is_set("RDUMP_ENCRYPT_TO") || repositories.any(|it| !it.encrypt_to.is_empty()),
        "the environment has RDUMP_ENCRYPT_TO, which plans do not heed: say `encrypt-to` of each repository, or unset it"
    );
    Ok(())
}

/// The one line of a file.
fn secret_of(file: &Path) -> anyhow::Result<Secret> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let text = text.trim();
    ensure!(!text.is_empty(), "{} is empty", file.display());
    Ok(Secret::from(text.to_owned()))
}

fn variable(name: &str, lookup: Lookup<'_>) -> anyhow::Result<Secret> {
    let value = lookup(name).filter(|value| !value.is_empty());
    let value = value.with_context(|| format!("the environment has no {name}"))?;
    Ok(Secret::from(value))
}

/// Whether there is something between a colon and the `@` of the part with the user, or among the options.
fn has_password(uri: &str) -> bool {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let (before, options) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = before.split('/').next().unwrap_or_default();
    let is_after_user = authority
        .rsplit_once('@')
        .is_some_and(|(user, _)| user.contains(':'));
    let options = options.to_ascii_lowercase();
    let secrets = ["aws_session_token", "password"];
    is_after_user || secrets.iter().any(|secret| options.contains(secret))
}
