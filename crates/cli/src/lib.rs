//! The binaries `rdump` and `rrestore`.
//!
//! Everything of them is here, and nothing of it is an interface for others: embed the crate `rdump` instead.
//! This is the only crate that prints, reads the environment, handles signals and installs a log subscriber.
//!
//! | module | what it does |
//! |---|---|
//! | `args` | the command lines, as they are typed |
//! | `convert` | from what was typed to the engine's options |
//! | `session` | what a run has: console, cancel token, runtime, passwords |
//! | `run_dump`, `run_restore`, `run_backup`, `run_verify` | one command each |
//! | `run_audit` | who did what with a repository |
//! | `run_doctor` | what is wrong, before it fails |
//! | `run_bundle` | snapshots as one stream |
//! | `run_drill` | restores for practice, and comparisons of deployments |
//! | `run_transfer` | commands that take a dump from one medium to another |
//! | `run_prune` | deleting what a policy does not keep |
//! | `run_classes` | data in other storage classes, and back |
//! | `run_repository` | the commands that say what is in a repository |
//! | `barrier` | waiting for a file before a dump |
//! | `outcome`, `monitor` | what a run has to say of itself at its end, and who is told |
//! | `metrics` | metrics for Prometheus, in a file and over HTTP |
//! | `notify` | notices by webhook, Slack and Amazon SNS |
//! | `progress` | log lines and bars from the engine's events |
//! | `console` | everything that is printed |
//! | `exit` | the exit codes |

mod args;
mod barrier;
mod console;
mod convert;
mod exit;
mod failure;
mod generate;
mod logging;
mod metrics;
mod monitor;
mod notify;
mod outcome;
mod progress;
mod prompt;
#[cfg(test)]
mod reference;
mod run_audit;
mod run_backup;
mod run_bundle;
mod run_capture;
mod run_classes;
mod run_copy;
mod run_doctor;
mod run_drill;
mod run_dump;
mod run_notify_test;
mod run_oplog_export;
mod run_prune;
mod run_rekey;
mod run_repository;
mod run_restore;
mod run_status;
mod run_transfer;
mod run_verify;
mod schedule;
mod session;
mod signals;
mod time;
mod toml_file;
mod units;

use std::{env, ffi::OsString, process::ExitCode};

use anyhow::anyhow;
use args::{
    BackupArgs, CaptureArgs, DoctorArgs, DrillArgs, DumpArgs, DumpCommand, GenerateArgs, LocalArgs,
    MonitorArgs, Parsed, RestoreArgs, ScheduleArgs, ToolArgs, VerbosityArgs,
};
use clap::CommandFactory;
use console::Console;
use convert::{
    AuditRequest, BackupRequest, BundleRequest, CaptureRequest, CompareRequest, CopyRequest,
    DoctorRequest, DrillRequest, DumpRequest, Environment, ExportRequest, ImportRequest,
    OplogExportRequest, PruneRequest, Refusal, RekeyRequest, RestoreRequest, Scratch, ShowRequest,
    StatusRequest, ThawingRequest, TierRequest, UnbundleRequest, identities, repository, verified,
};
use exit::Exit;
use monitor::Monitor;
use prompt::Stdin;
use rdump::{Actor, Secret};
use schedule::Plan;
use session::Session;

/// Runs `rdump` with the process's arguments.
pub fn rdump() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().collect();
    let command = DumpCommand::NAMES
        .into_iter()
        .find(|name| arguments.get(1).is_some_and(|first| first == name));
    let exit = match args::parse::<DumpArgs>(arguments) {
        Ok(Parsed::Print(text)) => print(&text),
        Ok(Parsed::Run(args)) => match &args.command {
            Some(command) => subcommand(command),
            None => dump(&args),
        },
        Err(reason) => match command {
            Some(command) => usage(&format!("rdump {command}"), &reason, Exit::Usage),
            None => usage("rdump", &reason, Exit::Failed),
        },
    };
    exit.into()
}

/// Runs `rrestore` with the process's arguments.
pub fn rrestore() -> ExitCode {
    let mut arguments: Vec<OsString> = env::args_os().collect();
    // A folder of that name is ./drill.
    if arguments.get(1).is_some_and(|first| first == "drill") {
        arguments.remove(1);
        let exit = match args::parse::<DrillArgs>(arguments) {
            Ok(Parsed::Print(text)) => print(&text),
            Ok(Parsed::Run(args)) => drill(&args),
            Err(reason) => usage("rrestore drill", &reason, Exit::Usage),
        };
        return exit.into();
    }
    let exit = match args::parse::<RestoreArgs>(arguments) {
        Ok(Parsed::Print(text)) => print(&text),
        Ok(Parsed::Run(args)) => restore(&args),
        Err(reason) => usage("rrestore", &reason, Exit::Failed),
    };
    exit.into()
}

fn dump(args: &DumpArgs) -> Exit {
    let Some(session) = Session::new(
        &args.tool.verbosity,
        args.own.json,
        args.own.strict,
        actor(),
    ) else {
        return invalid_verbosity(Exit::Verbosity);
    };
    let request = || DumpRequest::new(args, &environment()?);
    if let Some(exit) = instead::<DumpArgs, _>(&session, &args.tool, &args.own.generate, request) {
        return session.console.ended(exit);
    }
    let work = || {
        if !args.dry_run {
            watch(&session, "dump", &args.own.monitor)?;
        }
        let mut request = request()?;
        warn(&session, &request.warnings);
        session.ask_for_passwords(&mut request.connect, Stdin::Free)?;
        let work = run_dump::run(&session, request);
        Ok(session.block_on(Some(&args.tool.general), work)?)
    };
    let exit = work().unwrap_or_else(|refusal| match refusal {
        Refusal::Usage(reason) => usage("rdump", &reason, Exit::Failed),
        Refusal::BadOption(reason) => failed(&session, &anyhow!("bad option: {reason}")),
        Refusal::Failed(error) => failed(&session, &error),
    });
    end(&session, exit)
}

fn restore(args: &RestoreArgs) -> Exit {
    let Some(session) = Session::new(
        &args.tool.verbosity,
        args.own.json,
        args.own.strict,
        actor(),
    ) else {
        return invalid_verbosity(Exit::Verbosity);
    };
    let request = || RestoreRequest::new(args, &environment()?);
    if let Some(exit) = instead::<RestoreArgs, _>(&session, &args.tool, &args.own.generate, request)
    {
        return session.console.ended(exit);
    }
    let work = || {
        if !args.target.dry_run {
            watch(&session, "restore", &args.own.monitor)?;
        }
        let mut request = request()?;
        warn(&session, &request.warnings);
        session.ask_for_passwords(&mut request.connect, request.stdin)?;
        let work = run_restore::run(&session, request);
        Ok(session.block_on(Some(&args.tool.general), work)?)
    };
    let exit = work().unwrap_or_else(|refusal| {
        let error = match refusal {
            Refusal::Usage(reason) => return usage("rrestore", &reason, Exit::Failed),
            Refusal::BadOption(reason) => anyhow!(reason),
            Refusal::Failed(error) => error,
        };
        // What fails once documents may have been inserted tells of them itself.
        let exit = failed(&session, &error);
        session.console.log(run_restore::totals(0, 0));
        exit
    });
    end(&session, exit)
}

fn subcommand(command: &DumpCommand) -> Exit {
    match command {
        DumpCommand::Audit(args) => {
            let local = &args.local;
            on_repository("rdump audit", local, async |session| {
                let request = AuditRequest::new(args, &environment()?)?;
                Ok(run_audit::run(session, request, local.repository.json).await?)
            })
        }
        DumpCommand::Backup(args) => backup(args),
        DumpCommand::Capture(args) => capture(args),
        DumpCommand::Doctor(args) => doctor(args),
        DumpCommand::Status(args) => {
            let local = &args.local;
            let monitor = Some(&args.monitor);
            let said = (&local.verbosity, local.repository.json);
            monitored("rdump status", said, monitor, async |session| {
                let request = StatusRequest::new(args, &environment()?)?;
                Ok(run_status::run(session, request, local.repository.json).await?)
            })
        }
        DumpCommand::Bundle(args) => {
            let local = &args.local;
            on_repository("rdump bundle", local, async |session| {
                let request = BundleRequest::new(args, &environment()?)?;
                Ok(run_bundle::bundle(session, request, local.repository.json).await?)
            })
        }
        DumpCommand::ExportFolder(args) => {
            let local = &args.local;
            on_repository("rdump export-folder", local, async |session| {
                let request = ExportRequest::new(args, &environment()?)?;
                Ok(run_transfer::export(session, request, local.repository.json).await?)
            })
        }
        DumpCommand::ImportFolder(args) => {
            let local = &args.local;
            on_repository("rdump import-folder", local, async |session| {
                let request = ImportRequest::new(args, &environment()?)?;
                Ok(run_transfer::import(session, request, local.repository.json).await?)
            })
        }
        DumpCommand::Init(args) => {
            let mut repository_args = args.local.repository.clone();
            let named = repository_args.repo.take();
            if named.is_some() && args.location.is_some() {
                let reason = "name the repository once, as LOCATION or by --repo";
                return usage("rdump init", reason, Exit::Usage);
            }
            repository_args.repo = named.or(args.location.clone());
            let json = repository_args.json;
            on_repository("rdump init", &args.local, async |session| {
                let location = repository(&repository_args, &environment()?)?;
                Ok(run_repository::init(session, &location, json).await?)
            })
        }
        DumpCommand::List(args) => {
            let local = &args.local;
            on_repository("rdump list", local, async |session| {
                let location = repository(&local.repository, &environment()?)?;
                Ok(run_repository::list(session, &location, local.repository.json).await?)
            })
        }
        DumpCommand::OplogExport(args) => {
            let local = &args.local;
            on_repository("rdump oplog-export", local, async |session| {
                let request = OplogExportRequest::new(args, &environment()?)?;
                Ok(run_oplog_export::run(session, request, local.repository.json).await?)
            })
        }
        DumpCommand::Show(args) => {
            let local = &args.local;
            on_repository("rdump show", local, async |session| {
                let request = ShowRequest::new(args, &environment()?)?;
                Ok(run_repository::show(session, request, local.repository.json).await?)
            })
        }
        DumpCommand::Compare(args) => without_server(
            "rdump compare",
            &args.verbosity,
            args.json,
            async |session| {
                let request = CompareRequest::new(args)?;
                Ok(run_drill::compare(session, request, args.json).await?)
            },
        ),
        DumpCommand::NotifyTest(args) => {
            let name = "rdump notify-test";
            without_server(name, &args.verbosity, false, async |session| {
                Ok(run_notify_test::run(session, &args.file, variable).await?)
            })
        }
        DumpCommand::Copy(args) => {
            let said = (&args.verbosity, args.json);
            monitored("rdump copy", said, Some(&args.monitor), async |session| {
                let request = CopyRequest::new(args, &environment()?)?;
                Ok(run_copy::run(session, request, args.json).await?)
            })
        }
        DumpCommand::Plan(args) => without_server(
            "rdump plan check",
            &args.verbosity,
            false,
            async |session| {
                let plan = Plan::read(&args.plan, &|name| env::var(name).ok())?;
                let text = schedule::explain(&plan, jiff::Timestamp::now());
                session.console.stdout(&text);
                Ok(Exit::Done)
            },
        ),
        DumpCommand::Schedule(args) => follow(args),
        DumpCommand::Prune(args) => {
            let local = &args.local;
            let monitor = (!args.dry_run).then_some(&args.monitor);
            let said = (&local.verbosity, local.repository.json);
            monitored("rdump prune", said, monitor, async |session| {
                let request = PruneRequest::new(args, &environment()?)?;
                Ok(run_prune::run(session, request, local.repository.json).await?)
            })
        }
        DumpCommand::Rekey(args) => {
            let local = &args.local;
            on_repository("rdump rekey", local, async |session| {
                let request = RekeyRequest::new(args, &environment()?)?;
                Ok(run_rekey::run(session, request, local.repository.json).await?)
            })
        }
        DumpCommand::Thaw(args) => {
            let local = &args.local;
            on_repository("rdump thaw", local, async |session| {
                let request = ThawingRequest::new(args, &environment()?)?;
                Ok(run_classes::thaw(session, request, local.repository.json).await?)
            })
        }
        DumpCommand::Tier(args) => {
            let local = &args.local;
            on_repository("rdump tier", local, async |session| {
                let request = TierRequest::new(args, &environment()?)?;
                Ok(run_classes::tier(session, request, local.repository.json).await?)
            })
        }
        DumpCommand::Unbundle(args) => {
            let local = &args.local;
            on_repository("rdump unbundle", local, async |session| {
                let request = UnbundleRequest::new(args, &environment()?)?;
                Ok(run_bundle::unbundle(session, request, local.repository.json).await?)
            })
        }
        DumpCommand::Verify(args) => {
            let local = &args.local;
            let monitor = Some(&args.monitor);
            let said = (&local.verbosity, local.repository.json);
            monitored("rdump verify", said, monitor, async |session| {
                let what = verified(args, &environment()?)?;
                let identities = identities(&args.identity, &environment()?)?;
                let json = local.repository.json;
                Ok(run_verify::run(session, what, identities, json).await?)
            })
        }
    }
}

/// Runs a command that needs no server.
fn on_repository(
    name: &str,
    local: &LocalArgs,
    work: impl AsyncFnOnce(&Session) -> Result<Exit, Refusal>,
) -> Exit {
    without_server(name, &local.verbosity, local.repository.json, work)
}

/// Runs a command that reaches no server, and tells nobody how it ended.
fn without_server(
    name: &str,
    verbosity: &VerbosityArgs,
    json: bool,
    work: impl AsyncFnOnce(&Session) -> Result<Exit, Refusal>,
) -> Exit {
    monitored(name, (verbosity, json), None, work)
}

/// Runs a command that reaches no server, and tells those who watch how it ended.
fn monitored(
    name: &str,
    (verbosity, json): (&VerbosityArgs, bool),
    monitor: Option<&MonitorArgs>,
    work: impl AsyncFnOnce(&Session) -> Result<Exit, Refusal>,
) -> Exit {
    let Some(session) = Session::new(verbosity, false, true, actor()) else {
        return invalid_verbosity(Exit::Usage);
    };
    let mut refused = None;
    let work = async {
        if let Some(monitor) = monitor {
            let operation = name.strip_prefix("rdump ").unwrap_or(name);
            watch(&session, operation, monitor)?;
        }
        work(&session).await
    };
    let exit = session.block_on(None, async {
        match work.await {
            Ok(exit) => Ok(exit),
            Err(Refusal::Failed(error)) => Err(error),
            Err(Refusal::Usage(reason) | Refusal::BadOption(reason)) => {
                refused = Some(reason);
                Ok(Exit::Usage)
            }
        }
    });
    let exit = match refused {
        Some(reason) => usage(name, &reason, Exit::Usage),
        None => exit.unwrap_or_else(|error| failed_with_document(&session, &error, json)),
    };
    end(&session, exit)
}

fn backup(args: &BackupArgs) -> Exit {
    let Some(session) = Session::new(&args.tool.verbosity, false, true, actor()) else {
        return invalid_verbosity(Exit::Usage);
    };
    if args.tool.general.help {
        let mut command = DumpArgs::command();
        let help = command
            .find_subcommand_mut("backup")
            .map(|backup| backup.render_help().to_string());
        session.console.stdout(&help.unwrap_or_default());
        return session.console.ended(Exit::Done);
    }
    if let Some(text) = args.tool.general.to_print::<DumpArgs>() {
        session.console.stdout(&text);
        return session.console.ended(Exit::Done);
    }
    let work = || {
        if !args.dry_run {
            watch(&session, "backup", &args.monitor)?;
        }
        let mut request = BackupRequest::new(args, &environment()?)?;
        warn(&session, &request.dump.warnings);
        session.ask_for_passwords(&mut request.dump.connect, Stdin::Free)?;
        let work = run_backup::run(&session, request, args.repository.json);
        Ok(session.block_on(Some(&args.tool.general), work)?)
    };
    let exit = work().unwrap_or_else(|refusal| match refusal {
        Refusal::Usage(reason) | Refusal::BadOption(reason) => {
            usage("rdump backup", &reason, Exit::Usage)
        }
        Refusal::Failed(error) => failed_with_document(&session, &error, args.repository.json),
    });
    end(&session, exit)
}

fn doctor(args: &DoctorArgs) -> Exit {
    let Some(session) = Session::new(&args.tool.verbosity, false, true, actor()) else {
        return invalid_verbosity(Exit::Usage);
    };
    if args.tool.general.help {
        let mut command = DumpArgs::command();
        let help = command.find_subcommand_mut("doctor");
        let help = help.map(|doctor| doctor.render_help().to_string());
        session.console.stdout(&help.unwrap_or_default());
        return session.console.ended(Exit::Done);
    }
    if let Some(text) = args.tool.general.to_print::<DumpArgs>() {
        session.console.stdout(&text);
        return session.console.ended(Exit::Done);
    }
    let json = args.repository.json;
    let work = || {
        let mut request = DoctorRequest::new(args, &environment()?)?;
        warn(&session, &request.warnings);
        if let Some(deployment) = &mut request.deployment {
            session.ask_for_passwords(deployment, Stdin::Free)?;
        }
        let work = run_doctor::run(&session, request, json);
        Ok(session.block_on(Some(&args.tool.general), work)?)
    };
    let exit = work().unwrap_or_else(|refusal| match refusal {
        Refusal::Usage(reason) | Refusal::BadOption(reason) => {
            usage("rdump doctor", &reason, Exit::Usage)
        }
        Refusal::Failed(error) => failed_with_document(&session, &error, json),
    });
    session.console.ended(exit)
}

fn drill(args: &DrillArgs) -> Exit {
    let Some(session) = Session::new(&args.tool.verbosity, false, true, actor()) else {
        return invalid_verbosity(Exit::Usage);
    };
    if let Some(text) = args.tool.general.to_print::<DrillArgs>() {
        session.console.stdout(&text);
        return session.console.ended(Exit::Done);
    }
    let json = args.repository.json;
    let work = || {
        watch(&session, "drill", &args.monitor)?;
        let mut request = DrillRequest::new(args, &environment()?)?;
        warn(&session, &request.warnings);
        if let Scratch::Deployment(connect) = &mut request.scratch {
            session.ask_for_passwords(connect, Stdin::Free)?;
        }
        let work = run_drill::run(&session, request, json);
        Ok(session.block_on(Some(&args.tool.general), work)?)
    };
    let exit = work().unwrap_or_else(|refusal| match refusal {
        Refusal::Usage(reason) | Refusal::BadOption(reason) => {
            usage("rrestore drill", &reason, Exit::Usage)
        }
        Refusal::Failed(error) => failed_with_document(&session, &error, json),
    });
    end(&session, exit)
}

fn follow(args: &ScheduleArgs) -> Exit {
    let Some(session) = Session::new(&args.verbosity, false, true, actor()) else {
        return invalid_verbosity(Exit::Usage);
    };
    let session = session.minding_hang_up();
    let lookup = |name: &str| env::var(name).ok();
    let work = schedule::run(&session, &args.plan, &lookup);
    let exit = session.block_on(None, work);
    let exit = exit.unwrap_or_else(|error| failed(&session, &error));
    session.console.ended(exit)
}

fn capture(args: &CaptureArgs) -> Exit {
    let Some(session) = Session::new(&args.tool.verbosity, args.repository.json, true, actor())
    else {
        return invalid_verbosity(Exit::Usage);
    };
    if args.tool.general.help {
        let mut command = DumpArgs::command();
        let help = command.find_subcommand_mut("capture");
        let help = help.map(|capture| capture.render_help().to_string());
        session.console.stdout(&help.unwrap_or_default());
        return session.console.ended(Exit::Done);
    }
    if let Some(text) = args.tool.general.to_print::<DumpArgs>() {
        session.console.stdout(&text);
        return session.console.ended(Exit::Done);
    }
    let work = || {
        watch(&session, "capture", &args.monitor)?;
        let mut request = CaptureRequest::new(args, &environment()?)?;
        warn(&session, &request.warnings);
        session.ask_for_passwords(&mut request.connect, Stdin::Free)?;
        let work = run_capture::run(&session, request);
        Ok(session.block_on(Some(&args.tool.general), work)?)
    };
    let exit = work().unwrap_or_else(|refusal| match refusal {
        Refusal::Usage(reason) | Refusal::BadOption(reason) => {
            usage("rdump capture", &reason, Exit::Usage)
        }
        Refusal::Failed(error) => failed(&session, &error),
    });
    end(&session, exit)
}

/// From now on those whom the command line names are told how the run ends.
fn watch(session: &Session, operation: &str, args: &MonitorArgs) -> Result<(), Refusal> {
    let monitor = Monitor::new(operation, args, variable);
    let monitor = monitor.map_err(|error| {
        let why = failure::chain(&error);
        Refusal::Usage(format!("--notify: {why}"))
    })?;
    session.watched_by(monitor);
    Ok(())
}

/// Tells those who watch how a run ended, and gives its exit code.
fn end(session: &Session, exit: Exit) -> Exit {
    let exit = session.console.ended(exit);
    match session.monitor() {
        Some(monitor) => monitor.end(session, exit),
        None => exit,
    }
}

/// Prints or writes what is asked for instead of the work; `None` if nothing is.
///
/// Help and version come only if the whole line makes sense, as with mongodump.
fn instead<A: CommandFactory, R>(
    session: &Session,
    tool: &ToolArgs,
    generate: &GenerateArgs,
    request: impl FnOnce() -> Result<R, Refusal>,
) -> Option<Exit> {
    if let Some(text) = tool.general.to_print::<A>() {
        return Some(match request() {
            Err(Refusal::Usage(reason)) => usage(A::command().get_name(), &reason, Exit::Failed),
            _ => {
                session.console.stdout(&text);
                Exit::Done
            }
        });
    }
    match generate::run::<A>(&session.console, generate) {
        Ok(true) => Some(Exit::Done),
        Ok(false) => None,
        Err(error) => Some(failed(session, &error)),
    }
}

fn failed(session: &Session, error: &anyhow::Error) -> Exit {
    session.outcome.failed(error);
    failure::tell(&session.console, error);
    Exit::of(error, session.strict)
}

/// As [`failed`], of a command that prints one JSON document if that is asked for.
fn failed_with_document(session: &Session, error: &anyhow::Error, json: bool) -> Exit {
    if json {
        failure::document(&session.console, error);
    }
    failed(session, error)
}

fn warn(session: &Session, warnings: &[String]) {
    for warning in warnings {
        session.console.log(warning);
    }
}

fn print(text: &str) -> Exit {
    let console = Console::new(0, false);
    console.stdout(text);
    console.ended(Exit::Done)
}

/// As mongodump says it.
fn invalid_verbosity(exit: Exit) -> Exit {
    Console::new(0, false).always("Invalid verbosity value given");
    exit
}

fn usage(name: &str, reason: &str, exit: Exit) -> Exit {
    let console = Console::new(0, false);
    console.always(format_args!("error parsing command line options: {reason}"));
    console.always(format_args!("try '{name} --help' for more information"));
    exit
}

/// Who runs this: as the operating system knows, since a variable says what anybody wants; and what a service calls itself.
fn actor() -> Actor {
    let id = nix::unistd::getuid();
    let known = nix::unistd::User::from_uid(id).ok().flatten();
    let user = known.map_or_else(|| id.to_string(), |user| user.name);
    let name = env::var_os("RDUMP_ACTOR").map(|name| name.to_string_lossy().into_owned());
    Actor::new(user).named(name.filter(|name| !name.is_empty()))
}

/// A variable that a file names.
fn variable(name: &str) -> Option<Secret> {
    env::var(name).ok().map(Secret::from)
}

/// The only look at the environment, but for variables that a file names.
fn environment() -> Result<Environment, Refusal> {
    let text = |name| match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(Refusal::Usage(format!("{name} is not UTF-8"))),
    };
    let filled = |name| Ok::<_, Refusal>(text(name)?.filter(|value| !value.is_empty()));
    // Without a key that was meant to be there, what is secret would be written for everybody.
    let key = |name| match text(name)? {
        Some(value) if value.is_empty() => Err(Refusal::Usage(format!(
            "{name} is set and empty: give it a value, or unset it"
        ))),
        value => Ok(value),
    };
    Ok(Environment {
        uri: filled("RDUMP_URI")?.map(Secret::from),
        scratch_uri: filled("RDUMP_SCRATCH_URI")?.map(Secret::from),
        repository: filled("RDUMP_REPO")?,
        encrypt_to: key("RDUMP_ENCRYPT_TO")?,
        identity: key("RDUMP_IDENTITY")?.map(Secret::from),
        passphrase: key("RDUMP_PASSPHRASE")?.map(Secret::from),
        new_passphrase: key("RDUMP_NEW_PASSPHRASE")?.map(Secret::from),
    })
}
