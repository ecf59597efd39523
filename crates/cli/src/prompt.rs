//! Asking for passwords, never on stdout, and never where a dump comes from.

use std::{
    fs::File,
    io::{self, BufRead, IsTerminal},
};

use anyhow::{Context, bail};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use rdump::Secret;

use crate::console::Console;

/// What standard input is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stdin {
    /// Nothing yet: a password may come from it.
    Free,
    /// The dump comes from it.
    Dump,
}

/// Asks for a password in mongodump's words: on the terminal, else it is the first line of stdin if that is free.
pub(crate) fn password(
    console: &Console,
    what: &str,
    of: &str,
    stdin: Stdin,
) -> anyhow::Result<Secret> {
    let prompt = format!("Enter password for {what}: ");
    let missing = format!("there is no password for {of}");
    let instead = "pass it by a file with --config, or in a connection string in RDUMP_URI";
    if io::stdin().is_terminal() || stdin == Stdin::Dump {
        let answer = ask_on_terminal(prompt)
            .with_context(|| format!("{missing}, and no terminal to ask for it: {instead}"))?;
        return Ok(Secret::from(answer));
    }
    console.log("reading password from standard input");
    console.stderr(&prompt);
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    console.stderr("\n");
    read.context("cannot read the password from standard input")?;
    let answer = line.trim_end_matches(['\r', '\n']);
    if answer.is_empty() {
        bail!(
            "{missing}, and no terminal to ask for it: {instead}, or as a line on standard input"
        );
    }
    Ok(Secret::from(answer))
}

/// Prompt and answer go through the terminal itself, whatever stdin, stdout and stderr are.
fn ask_on_terminal(prompt: String) -> io::Result<String> {
    let _silence = Silence::start()?;
    rpassword::prompt_password(prompt)
}

/// Until it is dropped, the terminal does not show what is typed.
///
/// It begins before the prompt is written: a program that answers prompts answers at once.
struct Silence {
    terminal: File,
    before: Termios,
}

impl Silence {
    fn start() -> io::Result<Self> {
        let terminal = File::options().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(&terminal, SetArg::TCSANOW, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        let _restored = tcsetattr(&self.terminal, SetArg::TCSANOW, &self.before);
    }
}
