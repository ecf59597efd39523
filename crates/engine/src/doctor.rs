//! Looking before it fails: what is wrong with a deployment, a store and a repository, and what to do about it.

mod deployment;
mod finding;
mod held;
mod locks;
mod oplog;
mod privileges;
mod probe;
mod snapshots;
mod store;
mod streams;
mod words;

use std::{fmt, time::Duration};

use futures::{FutureExt, TryStreamExt};
use jiff::Timestamp;
use rdump_storage::Listed;
use serde::Serialize;

use crate::{ConnectOptions, Error, Location, Result, RetentionPolicy, Source};
use finding::Findings;
use held::{Held, Place};

pub use finding::{Check, Finding, Severity};

/// Looks at a deployment, at a repository, or at both and how they fit, and changes nothing.
///
/// What could not be looked at is a finding too.
///
/// # Examples
///
/// ```no_run
/// use rdump::{ConnectOptions, Doctor};
///
/// # async fn example() -> rdump::Result<()> {
/// let report = Doctor::default()
///     .deployment(ConnectOptions::default().uri("mongodb://localhost:27017"))
///     .place("s3://backups/shop".parse()?)
///     .run()
///     .await?;
/// for finding in &report.findings {
///     println!("{} {}: {}", finding.severity, finding.check, finding.seen);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Doctor {
    deployment: Option<ConnectOptions>,
    place: Option<Location>,
    policy: RetentionPolicy,
    max_age: Option<Duration>,
    probe: bool,
    now: Option<Timestamp>,
}

impl Doctor {
    /// Sets the deployment. Default: none is looked at.
    #[must_use]
    pub fn deployment(mut self, options: ConnectOptions) -> Self {
        self.deployment = Some(options);
        self
    }

    /// Sets the place of the repository, which need not be there yet. Default: none is looked at.
    #[must_use]
    pub fn place(mut self, place: Location) -> Self {
        self.place = Some(place);
        self
    }

    /// Sets what is kept of the repository: objects that can be locked should be for as long. Default: no rule; then nothing is expected of locks.
    #[must_use]
    pub fn policy(mut self, policy: RetentionPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets how old the newest snapshot may be. Default: a warning after seven days, and never a danger.
    #[must_use]
    pub fn max_age(mut self, age: Option<Duration>) -> Self {
        self.max_age = age;
        self
    }

    /// Sets whether two objects, of nothing and of 9 MiB, are written to the store, read, and deleted. Default: no; nothing is written then.
    ///
    /// Where deleting is not allowed, or older versions are kept, what was written stays.
    #[must_use]
    pub fn probe(mut self, yes: bool) -> Self {
        self.probe = yes;
        self
    }

    /// Sets what time it is, in seconds since 1970. Default: what the clock of this machine says.
    #[must_use]
    pub fn now(mut self, seconds: i64) -> Self {
        self.now = Timestamp::from_second(seconds).ok();
        self
    }

    fn clock(&self) -> Timestamp {
        self.now.unwrap_or_else(Timestamp::now)
    }

    /// Looks. Of two sides one that cannot be reached is a danger, and the other is looked at all the same.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if there is nothing to be looked at; and if nothing could be looked at, as
    /// [`Source::connect`] and the place have them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect, but that a [`probe`](Self::probe) may be left.
    pub async fn run(&self) -> Result<DoctorReport> {
        let mut findings = Findings::default();
        let (mut reached, mut failed) = (false, None);
        let place = match &self.place {
            Some(place) => match Place::open(place).await {
                Ok(place) => Some(place),
                Err(error) => {
                    let advice = error.hint().unwrap_or(
                        "look at its address, the network, and what who asks may do there",
                    );
                    findings.danger(Check::Store, finding::why(&error), advice);
                    failed = Some(error);
                    None
                }
            },
            None => None,
        };
        reached |= place.is_some();
        let held = match &place {
            Some(place) => self.look_at_place(place, &mut findings).boxed().await,
            None => None,
        };
        if let Some(options) = &self.deployment {
            match Source::connect(options).boxed().await {
                Ok(source) => {
                    reached = true;
                    let look = self.look_at_deployment(&source, held.as_ref(), &mut findings);
                    look.boxed().await;
                }
                Err(error) => {
                    let advice = error
                        .hint()
                        .unwrap_or("look at its address, the network, user and password");
                    findings.danger(Check::Deployment, finding::why(&error), advice);
                    failed = failed.or(Some(error));
                }
            }
        }
        match (reached, failed) {
            (true, _) => Ok(DoctorReport {
                findings: findings.sorted(),
            }),
            (false, Some(error)) => Err(error),
            (false, None) => Err(Error::invalid("there is nothing to be looked at")
                .with_hint("name a deployment, a repository, or both")),
        }
    }

    /// Gives what is in the repository, if there is one that can be read.
    async fn look_at_place(&self, place: &Place, findings: &mut Findings) -> Option<Held> {
        let held = match Held::of(place).boxed().await {
            Ok(Some(held)) => Some(held),
            Ok(None) => {
                nothing_yet(place, findings).await;
                None
            }
            Err(error) => {
                findings.danger(
                    Check::Repository,
                    finding::why(&error),
                    error.hint().unwrap_or("restore what is missing or damaged from a copy of the repository; if it is of a newer release, use that"),
                );
                None
            }
        };
        let posture = store::look(self, place, held.as_ref(), findings)
            .boxed()
            .await;
        match &held {
            Some(held) => {
                snapshots::look(self, held, findings).boxed().await;
                locks::look(self, held, posture, findings).boxed().await;
            }
            None => locks::of_nothing(self, posture, findings),
        }
        if self.probe {
            probe::look(place, findings).boxed().await;
        } else {
            findings.add(
                Severity::Unknown,
                Check::StoreWrite,
                "not looked at: whether objects can be written and deleted, and whether the store minds the conditions that leases need",
                "--probe writes two objects and deletes them",
            );
        }
        held
    }

    async fn look_at_deployment(
        &self,
        source: &Source,
        held: Option<&Held>,
        findings: &mut Findings,
    ) {
        let asked = deployment::Asked::new(source);
        deployment::look(self, &asked, held, findings).boxed().await;
        let captured = oplog::look(&asked, held, findings).boxed().await;
        let may_stream = streams::look(&asked, held, captured, findings)
            .boxed()
            .await;
        privileges::look(&asked, held, (captured, may_stream), findings)
            .boxed()
            .await;
    }
}

/// Tells of a place where no repository is.
async fn nothing_yet(place: &Place, findings: &mut Findings) {
    let (check, location) = (Check::Repository, place.store.location());
    let seen = format!("{location} is no repository yet");
    let mut listed = place.store.list("");
    loop {
        match listed.try_next().await {
            // No object, and never to be.
            Ok(Some(Listed::Leftover(_))) => {}
            Ok(Some(found)) => {
                let path = found.path();
                return findings.danger(
                    check,
                    format!("{seen}, and not empty: {path} lies there"),
                    "name an empty place, or the repository itself",
                );
            }
            Ok(None) => {
                return findings.note(check, seen, "`rdump init` makes one, or the first backup");
            }
            Err(error) => return findings.unknown(check, &error.into(), ""),
        }
    }
}

/// What was found. `Display` is for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct DoctorReport {
    /// The worst first.
    pub findings: Vec<Finding>,
}

impl DoctorReport {
    /// Whether something is [dangerous](Severity::Danger).
    #[must_use]
    pub fn is_dangerous(&self) -> bool {
        self.count(Severity::Danger) > 0
    }

    /// How many findings are so bad.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        let findings = self.findings.iter();
        findings.filter(|it| it.severity == severity).count()
    }
}

impl fmt::Display for DoctorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            let (severity, check, seen) = (finding.severity, finding.check, &finding.seen);
            writeln!(f, "{severity:<8}{check:<22}{seen}")?;
            if let Some(advice) = &finding.advice {
                writeln!(f, "{:<30}→ {advice}", "")?;
            }
        }
        Ok(())
    }
}
