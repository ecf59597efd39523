//! Asking for passwords, never on stdout.

use std::io::{self, BufRead, IsTerminal};

use anyhow::{Context, bail};
use rdump::Secret;

use crate::console::Console;

/// Asks for a password: on the terminal if there is one, else it is the first line of stdin, as with mongodump.
pub(crate) fn password(console: &Console, whose: &str) -> anyhow::Result<Secret> {
    let prompt = format!("Enter password for {whose}: ");
    if io::stdin().is_terminal() {
        // Prompt and answer go through the terminal itself, whatever stdout and stderr are.
        let answer = rpassword::prompt_password(prompt)
            .context("cannot ask for the password on the terminal")?;
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
            "there is no password for {whose}, and no terminal to ask for it: pass --password, a connection string in \
             RDUMP_URI, or the password on standard input"
        );
    }
    Ok(Secret::from(answer))
}
