//! What every command that runs has: a console, a token that signals cancel, passwords that were asked for.

use std::{error, fmt, future::Future, sync::OnceLock};

use anyhow::Context;
use rdump::{Actor, CancellationToken, ConnectOptions, Error, ErrorKind, ServerInfo};

use crate::{
    args::{GeneralArgs, VerbosityArgs},
    console::Console,
    exit::Exit,
    logging,
    monitor::Monitor,
    outcome::Outcome,
    prompt::{self, Stdin},
    signals::Signals,
};

/// Threads that may be asked for by `--numThreads`.
const MAX_THREADS: usize = 64;

/// One run of one command.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) console: Console,
    pub(crate) cancel: CancellationToken,
    pub(crate) strict: bool,
    /// Who does it, for the record of what is done with repositories.
    pub(crate) actor: Actor,
    /// What it has to say of itself at its end.
    pub(crate) outcome: Outcome,
    monitor: OnceLock<Monitor>,
    /// Whether SIGHUP does not stop it.
    minds_hang_up: bool,
}

impl Session {
    /// A session that says as much as was asked for. `None` if that makes no sense.
    pub(crate) fn new(
        verbosity: &VerbosityArgs,
        json: bool,
        strict: bool,
        actor: Actor,
    ) -> Option<Self> {
        let console = Console::new(verbosity.level()?, json);
        logging::install(&console);
        Some(Self {
            console,
            cancel: CancellationToken::new(),
            strict,
            actor,
            outcome: Outcome::new(),
            monitor: OnceLock::new(),
            minds_hang_up: false,
        })
    }

    /// From now on these are told how the run ends.
    pub(crate) fn watched_by(&self, monitor: Monitor) {
        let _first = self.monitor.set(monitor);
    }

    /// Who is told how it ends.
    pub(crate) fn monitor(&self) -> Option<&Monitor> {
        self.monitor.get()
    }

    /// One that SIGHUP does not stop, since it is used for something else.
    pub(crate) fn minding_hang_up(mut self) -> Self {
        self.minds_hang_up = true;
        self
    }

    /// One for a job of this name, which is stopped by itself and watched by others.
    pub(crate) fn of_job(&self, name: &str, cancel: CancellationToken, monitor: Monitor) -> Self {
        Self {
            console: self.console.of_job(name),
            cancel,
            strict: true,
            actor: self.actor.clone(),
            outcome: Outcome::new(),
            monitor: OnceLock::from(monitor),
            minds_hang_up: false,
        }
    }

    /// Runs `work` on as many threads as it can use, until it ends or signals end it.
    ///
    /// Compression and I/O have threads of their own; these only pass things on.
    pub(crate) fn block_on(
        &self,
        general: Option<&GeneralArgs>,
        work: impl Future<Output = anyhow::Result<Exit>>,
    ) -> anyhow::Result<Exit> {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let asked = general
            .and_then(|general| general.num_threads)
            .and_then(|threads| usize::try_from(threads).ok());
        let threads = match asked.filter(|threads| *threads > 0) {
            Some(threads) => threads.clamp(2, MAX_THREADS),
            None => cores.clamp(2, 4),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        let result = runtime.block_on(async {
            let signals = Signals::new().context("cannot listen for signals")?;
            let mut signals = match self.minds_hang_up {
                true => signals.without_hang_up(),
                false => signals,
            };
            let exit = Exit::cancelled(self.strict);
            signals
                .watch(&self.console, &self.cancel, exit, Box::pin(work))
                .await
        });
        // What is left nobody waits for. It ends with the process: to take the driver apart under it would be a panic.
        std::mem::forget(runtime);
        result
    }

    /// Asks for the passwords that are missing.
    pub(crate) fn ask_for_passwords(
        &self,
        options: &mut ConnectOptions,
        stdin: Stdin,
    ) -> anyhow::Result<()> {
        let plan = options.plan()?;
        if plan.needs_password() {
            let user = plan.username().unwrap_or_default();
            let of = format!("user {user:?}");
            let password = prompt::password(&self.console, "mongo user", &of, stdin)?;
            options.password = Some(password);
        }
        if let Some(path) = plan.needs_key_password() {
            let of = format!("the key in {}", path.display());
            let password = prompt::password(&self.console, "client certificate", &of, stdin)?;
            options.tls_certificate_key_file_password = Some(password);
        }
        Ok(())
    }

    /// Runs what cannot be cancelled by itself, until a signal comes, which is [`Stopped`] while `doing`.
    pub(crate) async fn unless_cancelled<T, E: Into<anyhow::Error>>(
        &self,
        doing: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> anyhow::Result<T> {
        match self.cancel.run_until_cancelled(work).await {
            Some(done) => done.map_err(Into::into),
            None => Err(Stopped::new(format!("stopped while {doing}")).into()),
        }
    }
}

/// The failure of what a signal stopped.
#[derive(Debug)]
pub(crate) struct Stopped {
    what: String,
}

impl Stopped {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }

    /// The error of the engine, but this one if a signal is all that was wrong.
    pub(crate) fn or(error: Error, what: impl Into<String>) -> anyhow::Error {
        match is_cancelled(&error) {
            true => Self::new(what).into(),
            false => error.into(),
        }
    }
}

impl fmt::Display for Stopped {
    /// It ends in mongodump's words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: received termination signal", self.what)
    }
}

impl error::Error for Stopped {}

/// What `-v` says of the other side.
pub(crate) fn connected(server: &ServerInfo) -> String {
    let ServerInfo {
        version, topology, ..
    } = server;
    format!("connected to MongoDB {version} ({topology})")
}

/// Whether an error says no more than that the run was stopped.
fn is_cancelled(error: &Error) -> bool {
    error.kind() == ErrorKind::Cancelled
}
