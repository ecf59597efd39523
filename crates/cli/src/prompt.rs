//! Asking for passwords: the prompt goes to stderr, the answer never comes from where a dump does.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal},
};

use anyhow::{Context, bail};
use nix::sys::termios::{FlushArg, LocalFlags, SetArg, Termios, tcflush, tcgetattr, tcsetattr};
use rdump::Secret;

use crate::{console::Console, session::Stopped, signals::Signals};

/// The terminal that the process was started in, whatever stdin, stdout and stderr are.
const TERMINAL: &str = "/dev/tty";

/// What standard input is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stdin {
    /// Nothing yet: a password may come from it.
    Free,
    /// The dump comes from it.
    Dump,
}

/// Asks for a password in mongodump's words: on the terminal, else it is the first line of stdin if that is free.
///
/// A signal ends the waiting with [`Stopped`].
pub(crate) fn password(
    console: &Console,
    what: &str,
    of: &str,
    stdin: Stdin,
) -> anyhow::Result<Secret> {
    let missing = format!("there is no password for {of}");
    let instead = "pass it by a file with --config, or in a connection string in RDUMP_URI";
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let answer = runtime.block_on(async {
        let signals = Signals::new().context("cannot listen for signals")?;
        // From here on no signal ends the process by itself, and so leaves the terminal without its echo.
        let silence = match io::stdin().is_terminal() || stdin == Stdin::Dump {
            true => {
                let none = || format!("{missing}, and no terminal to ask for it: {instead}");
                Some(Silence::start().with_context(none)?)
            }
            false => {
                console.log("reading password from standard input");
                None
            }
        };
        console.stderr(&format!("Enter password for {what}: "));
        let line = line(silence.as_ref(), signals).await;
        let asked = silence.is_some();
        drop(silence);
        console.stderr("\n");
        line.map(|line| (line, asked))
    });
    // After a signal nobody waits for what is typed.
    runtime.shutdown_background();
    let (line, asked) = answer?;
    match (line.as_str(), asked) {
        ("", true) => bail!("{missing}: the terminal ended the input without one"),
        ("", false) => bail!(
            "{missing}, and no terminal to ask for it: {instead}, or as a line on standard input"
        ),
        (line, _) => Ok(Secret::from(line.trim_end_matches(['\r', '\n']))),
    }
}

/// The next line of the terminal, if it was made silent, else of stdin. It is empty only at the end of the input.
async fn line(silence: Option<&Silence>, mut signals: Signals) -> anyhow::Result<String> {
    let is_terminal = silence.is_some();
    let reading = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        match is_terminal {
            true => BufReader::new(File::open(TERMINAL)?).read_line(&mut line)?,
            false => io::stdin().lock().read_line(&mut line)?,
        };
        Ok::<_, io::Error>(line)
    });
    tokio::select! {
        line = reading => {
            let from = if is_terminal { "the terminal" } else { "standard input" };
            line?.with_context(|| format!("cannot read the password from {from}"))
        }
        _ = signals.next() => {
            if let Some(silence) = silence {
                // Whoever reads the terminal next does not get the half of a password.
                let _flushed = tcflush(&silence.terminal, FlushArg::TCIFLUSH);
            }
            Err(Stopped::new("stopped while waiting for a password").into())
        }
    }
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
        let terminal = File::options().read(true).write(true).open(TERMINAL)?;
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
