//! One job of a plan, and the command line that does the same by itself.

use std::ffi::OsString;

use anyhow::{anyhow, bail, ensure};
use futures::FutureExt;
use jiff::Timestamp;
use rdump::Secret;
use serde::Deserialize;

use super::{plan::Reached, timetable::Timing};
use crate::{
    args::{self, DrillArgs, DumpArgs, DumpCommand, Parsed},
    convert::{
        BackupRequest, CaptureRequest, CopyRequest, DrillRequest, Environment, PruneRequest,
        Refusal, Scratch, StatusRequest, identities, verified,
    },
    exit::Exit,
    run_backup, run_capture, run_copy, run_drill, run_prune, run_status, run_verify,
    session::Session,
};

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    Backup,
    Capture,
    Copy,
    Verify,
    Prune,
    Drill,
    Status,
}

impl Kind {
    /// The command.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Capture => "capture",
            Self::Copy => "copy",
            Self::Verify => "verify",
            Self::Prune => "prune",
            Self::Drill => "drill",
            Self::Status => "status",
        }
    }

    /// Which begins first of those that are due.
    pub(super) fn rank(self) -> u8 {
        self as u8
    }

    /// Whether it is under way all the time.
    pub(super) fn never_ends(self) -> bool {
        self == Self::Capture
    }
}

/// A job that can be done: its command line was followed as far as it goes without a server.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// What the plan calls its repository.
    pub(super) repository: String,
    /// What the plan calls the repository that it copies to.
    pub(super) to: Option<String>,
    /// What the plan calls its deployment.
    pub(super) deployment: Option<String>,
    /// `None` for what never ends.
    pub(super) timing: Option<Timing>,
    /// The words of the command line, the program first. No secret is among them.
    pub(super) line: Vec<String>,
    /// What the environment of the command would have.
    environment: Environment,
}

/// A command line that was read.
enum Command {
    Dump(Box<DumpCommand>),
    Drill(Box<DrillArgs>),
}

impl Job {
    pub(super) fn new(
        name: &str,
        kind: Kind,
        (reached, repository): (Reached, String),
        (uri, deployment): (Option<Secret>, Option<String>),
        to: Option<(Reached, String)>,
        timing: Option<Timing>,
        arguments: Vec<String>,
    ) -> anyhow::Result<Self> {
        match (kind, &uri) {
            (Kind::Backup | Kind::Capture, None) => bail!("it has no `deployment`"),
            (Kind::Copy | Kind::Verify | Kind::Prune | Kind::Status, Some(_)) => {
                bail!("a {} has no `deployment`", kind.as_str());
            }
            _ => {}
        }
        for given in &arguments {
            check_argument(kind, given)?;
        }
        let program = if kind == Kind::Drill {
            "rrestore"
        } else {
            "rdump"
        };
        let mut line = vec![program.to_owned(), kind.as_str().to_owned()];
        let mut option = |name: &str, value: String| line.extend([name.to_owned(), value]);
        match (kind, &to) {
            (Kind::Copy, Some((to, _))) => {
                option("--from", reached.location.clone());
                option("--to", to.location.clone());
            }
            (Kind::Copy, None) => bail!("it has no `to`, the repository to copy to"),
            (_, Some(_)) => bail!("only a copy has `to`"),
            (_, None) => option("--repo", reached.location.clone()),
        }
        if matches!(kind, Kind::Backup | Kind::Capture) {
            for key in &reached.encrypt_to {
                option("--encrypt-to", key.clone());
            }
        }
        let opens = matches!(kind, Kind::Verify | Kind::Prune | Kind::Drill);
        if let (true, Some(file)) = (opens, &reached.identity_file) {
            option("--identity", file.display().to_string());
        }
        let has_passphrase = opens || matches!(kind, Kind::Backup | Kind::Capture);
        if let (true, Some(file)) = (has_passphrase, &reached.passphrase_file) {
            option("--passphrase-file", file.display().to_string());
        }
        line.extend(arguments);
        let mut environment = Environment {
            identity: reached.identity,
            passphrase: reached.passphrase,
            ..Environment::default()
        };
        match kind {
            Kind::Drill => environment.scratch_uri = uri,
            _ => environment.uri = uri,
        }
        let job = Self {
            name: name.to_owned(),
            kind,
            repository,
            to: to.map(|(_, name)| name),
            deployment,
            timing,
            line,
            environment,
        };
        job.check()?;
        Ok(job)
    }

    /// Whether another plan has the same under this name.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.line == other.line && self.environment == other.environment
    }

    fn command(&self) -> anyhow::Result<Command> {
        let wrong = |reason: String| anyhow!("{}: {reason}", self.shown());
        let words = self.line.iter().map(OsString::from);
        if self.kind == Kind::Drill {
            // The program's own name, and then what it takes.
            let words = words.enumerate().filter(|(at, _)| *at != 1);
            return match args::parse::<DrillArgs>(words.map(|(_, word)| word)).map_err(wrong)? {
                Parsed::Run(args) => Ok(Command::Drill(Box::new(args))),
                Parsed::Print(_) => Err(wrong("it only prints help".to_owned())),
            };
        }
        match args::parse::<DumpArgs>(words).map_err(wrong)? {
            Parsed::Run(DumpArgs {
                command: Some(command),
                ..
            }) => Ok(Command::Dump(Box::new(command))),
            Parsed::Run(_) | Parsed::Print(_) => Err(wrong("it does nothing".to_owned())),
        }
    }

    /// Follows the command line as far as it goes without a server.
    fn check(&self) -> anyhow::Result<()> {
        let environment = &self.environment;
        let checked = match self.command()? {
            Command::Drill(args) => {
                DrillRequest::new(&args, environment).and_then(|request| match &request.scratch {
                    Scratch::Deployment(connect) => unasked(connect),
                    Scratch::Mongod(..) => Ok(()),
                })
            }
            Command::Dump(command) => match &*command {
                DumpCommand::Backup(args) => BackupRequest::new(args, environment)
                    .and_then(|request| unasked(&request.dump.connect)),
                DumpCommand::Capture(args) => CaptureRequest::new(args, environment)
                    .and_then(|request| unasked(&request.connect)),
                DumpCommand::Copy(args) => CopyRequest::new(args, environment).map(drop),
                DumpCommand::Prune(args) => PruneRequest::new(args, environment).map(drop),
                DumpCommand::Status(args) => StatusRequest::new(args, environment).map(drop),
                DumpCommand::Verify(args) => verified(args, environment)
                    .and_then(|_| identities(&args.identity, environment).map(drop)),
                _ => Err(Refusal::Usage("it is no job".to_owned())),
            },
        };
        checked.map_err(|refusal| self.refused(refusal))
    }

    /// Does it.
    pub(super) async fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        let environment = &self.environment;
        let refused = |refusal| self.refused(refusal);
        match self.command()? {
            Command::Drill(args) => {
                let request = DrillRequest::new(&args, environment).map_err(refused)?;
                run_drill::run(session, request, false).boxed().await
            }
            Command::Dump(command) => match &*command {
                DumpCommand::Backup(args) => {
                    let request = BackupRequest::new(args, environment).map_err(refused)?;
                    run_backup::run(session, request, false).boxed().await
                }
                DumpCommand::Capture(args) => {
                    let request = CaptureRequest::new(args, environment).map_err(refused)?;
                    run_capture::run(session, request).boxed().await
                }
                DumpCommand::Copy(args) => {
                    let request = CopyRequest::new(args, environment).map_err(refused)?;
                    run_copy::run(session, request, false).boxed().await
                }
                DumpCommand::Prune(args) => {
                    let request = PruneRequest::new(args, environment).map_err(refused)?;
                    run_prune::run(session, request, false).boxed().await
                }
                DumpCommand::Status(args) => {
                    let request = StatusRequest::new(args, environment).map_err(refused)?;
                    run_status::run(session, request, false).boxed().await
                }
                DumpCommand::Verify(args) => {
                    let what = verified(args, environment).map_err(refused)?;
                    let identities = identities(&args.identity, environment).map_err(refused)?;
                    run_verify::run(session, what, identities, false)
                        .boxed()
                        .await
                }
                _ => bail!("it is no job"),
            },
        }
    }

    fn refused(&self, refusal: Refusal) -> anyhow::Error {
        match refusal {
            Refusal::Usage(reason) | Refusal::BadOption(reason) => {
                anyhow!("{}: {reason}", self.shown())
            }
            Refusal::Failed(error) => error.context(self.shown()),
        }
    }

    /// The variables that its command has to find in its environment; their values are not shown.
    pub(super) fn variables(&self) -> String {
        let environment = &self.environment;
        let of = |name: &str, is_there: bool| match is_there {
            true => format!("{name}=… "),
            false => String::new(),
        };
        [
            of("RDUMP_URI", environment.uri.is_some()),
            of("RDUMP_SCRATCH_URI", environment.scratch_uri.is_some()),
            of("RDUMP_IDENTITY", environment.identity.is_some()),
            of("RDUMP_PASSPHRASE", environment.passphrase.is_some()),
        ]
        .concat()
    }

    /// A moment by the clock of the plan.
    pub(super) fn shown_time(&self, moment: Timestamp) -> String {
        let timing = self.timing.as_ref();
        timing.map_or_else(|| moment.to_string(), |it| it.occurrences.shown(moment))
    }

    /// The command line, as a shell takes it.
    pub(super) fn shown(&self) -> String {
        let words = self.line.iter().map(|word| {
            let is_plain = |it: char| it.is_ascii_alphanumeric() || "-_./:=,@%+".contains(it);
            match !word.is_empty() && word.chars().all(is_plain) {
                true => word.clone(),
                false => format!("'{}'", word.replace('\'', "'\\''")),
            }
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

/// Refuses what a plan says elsewhere, what would end the job without doing it, and what nobody would read or heed.
fn check_argument(kind: Kind, given: &str) -> anyhow::Result<()> {
    const ELSEWHERE: &[&str] = &[
        "--uri",
        "--host",
        "--port",
        "-h",
        "--username",
        "-u",
        "--password",
        "-p",
        "--config",
        "--repo",
        "--from",
        "--to",
        "--encrypt-to",
        "--identity",
        "--passphrase-file",
        "--metrics-listen",
        "--metrics-file",
        "--notify",
    ];
    const USELESS: &[&str] = &[
        "--json",
        "--dry-run",
        "--dryRun",
        "--help",
        "--version",
        "--quiet",
        "--verbose",
        "-v",
        "--numThreads",
    ];
    let name = given.split_once('=').map_or(given, |(name, _)| name);
    if kind == Kind::Drill && name == "--to" {
        return Ok(());
    }
    let of_short = |short: &&&str| {
        !short.starts_with("--") && !name.starts_with("--") && name.starts_with(**short)
    };
    let is_in = |names: &[&str]| names.contains(&name) || names.iter().any(|it| of_short(&it));
    ensure!(
        !is_in(ELSEWHERE),
        "{name} is not for `arguments`: the plan says it elsewhere"
    );
    ensure!(
        !is_in(USELESS),
        "{name} is not for `arguments`: the job would not be done, or nobody would see it"
    );
    let is_uri = given.contains("mongodb://") || given.contains("mongodb+srv://");
    ensure!(
        !is_uri,
        "`arguments` name a connection string: it belongs into [deployments]"
    );
    Ok(())
}

/// Nobody is there to be asked for a password.
fn unasked(connect: &rdump::ConnectOptions) -> Result<(), Refusal> {
    let asks = || {
        let plan = connect.plan()?;
        ensure!(
            !plan.needs_password() && plan.needs_key_password().is_none(),
            "the connection string names a user without a password, and nobody is there to be asked for it"
        );
        Ok(())
    };
    asks().map_err(Refusal::Failed)
}
