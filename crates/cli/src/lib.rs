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
//! | `run_dump`, `run_restore`, `run_verify` | one command each |
//! | `progress` | log lines and bars from the engine's events |
//! | `console` | everything that is printed |
//! | `exit` | the exit codes |

mod args;
mod console;
mod convert;
mod exit;
mod failure;
mod generate;
mod logging;
mod progress;
mod prompt;
mod run_dump;
mod run_restore;
mod run_verify;
mod session;
mod signals;
mod units;

use std::{env, ffi::OsString, process::ExitCode};

use args::{DumpArgs, DumpCommand, Parsed, RestoreArgs, VerifyArgs};
use console::Console;
use convert::{DumpRequest, Environment, Refusal, RestoreRequest};
use exit::Exit;
use rdump::Secret;
use session::Session;

/// Runs `rdump` with the process's arguments.
pub fn rdump() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().collect();
    let is_subcommand = arguments
        .get(1)
        .is_some_and(|argument| argument == "verify");
    let exit = match args::parse::<DumpArgs>(arguments) {
        Ok(Parsed::Print(text)) => print(&text),
        Ok(Parsed::Run(DumpArgs {
            command: Some(DumpCommand::Verify(args)),
            ..
        })) => verify(&args),
        Ok(Parsed::Run(args)) => dump(&args),
        Err(reason) if is_subcommand => usage("rdump verify", &reason, Exit::Usage),
        Err(reason) => usage("rdump", &reason, Exit::Failed),
    };
    exit.into()
}

/// Runs `rrestore` with the process's arguments.
pub fn rrestore() -> ExitCode {
    let exit = match args::parse::<RestoreArgs>(env::args_os()) {
        Ok(Parsed::Print(text)) => print(&text),
        Ok(Parsed::Run(args)) => restore(&args),
        Err(reason) => usage("rrestore", &reason, Exit::Failed),
    };
    exit.into()
}

fn dump(args: &DumpArgs) -> Exit {
    let session = match Session::new(&args.verbosity, args.report.json, args.report.strict) {
        Ok(session) => session,
        Err(reason) => return usage("rdump", &reason, Exit::Failed),
    };
    run::<DumpArgs, _>(&session, "rdump", &args.generate, || {
        let mut request = DumpRequest::new(args, &environment())?;
        warn(&session, &request.warnings);
        session
            .ask_for_passwords(&mut request.connect)
            .map_err(Refusal::Option)?;
        session
            .block_on(Some(&args.general), run_dump::run(&session, request))
            .map_err(Refusal::Option)
    })
}

fn restore(args: &RestoreArgs) -> Exit {
    let session = match Session::new(&args.verbosity, args.report.json, args.report.strict) {
        Ok(session) => session,
        Err(reason) => return usage("rrestore", &reason, Exit::Failed),
    };
    let work = || {
        let mut request = RestoreRequest::new(args, &environment())?;
        warn(&session, &request.warnings);
        session
            .ask_for_passwords(&mut request.connect)
            .map_err(Refusal::Option)?;
        session
            .block_on(Some(&args.general), run_restore::run(&session, request))
            .map_err(Refusal::Option)
    };
    run::<RestoreArgs, _>(&session, "rrestore", &args.generate, || match work() {
        // What fails once documents may have been inserted tells of them itself.
        Err(Refusal::Option(error)) => {
            let exit = failed(&session, &error);
            session.console.log(run_restore::totals(0, 0));
            Ok(exit)
        }
        done => done,
    })
}

fn verify(args: &VerifyArgs) -> Exit {
    let session = match Session::new(&args.verbosity, args.json, true) {
        Ok(session) => session,
        Err(reason) => return usage("rdump verify", &reason, Exit::Usage),
    };
    let exit = match session.block_on(None, run_verify::run(&session, args)) {
        Ok(exit) => exit,
        Err(error) => failed(&session, &error),
    };
    session.console.ended(exit)
}

/// Generates, or does the work, and tells why if it fails.
fn run<A: clap::CommandFactory, F: FnOnce() -> Result<Exit, Refusal>>(
    session: &Session,
    name: &str,
    generate: &args::GenerateArgs,
    work: F,
) -> Exit {
    let done = match generate::run::<A>(&session.console, generate) {
        Ok(true) => Ok(Exit::Done),
        Ok(false) => work(),
        Err(error) => Err(Refusal::Option(error)),
    };
    let exit = match done {
        Ok(exit) => exit,
        Err(Refusal::Usage(reason)) => usage(name, &reason, Exit::Failed),
        Err(Refusal::Option(error)) => failed(session, &error),
    };
    session.console.ended(exit)
}

fn failed(session: &Session, error: &anyhow::Error) -> Exit {
    failure::tell(&session.console, error);
    Exit::of(error, session.strict)
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

fn usage(name: &str, reason: &str, exit: Exit) -> Exit {
    let console = Console::new(0, false);
    console.always(format_args!("error parsing command line options: {reason}"));
    console.always(format_args!("try '{name} --help' for more information"));
    exit
}

/// The only look at the environment.
fn environment() -> Environment {
    let uri = env::var("RDUMP_URI").ok().filter(|uri| !uri.is_empty());
    Environment {
        uri: uri.map(Secret::from),
    }
}
