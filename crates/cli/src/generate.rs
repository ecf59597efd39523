//! Manual pages and completions, made of the same definitions as the options themselves.

use std::{fs, path::Path};

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::{args::GenerateArgs, console::Console};

/// Generates what was asked for; `false` if nothing was.
pub(crate) fn run<A: CommandFactory>(
    console: &Console,
    args: &GenerateArgs,
) -> anyhow::Result<bool> {
    if let Some(shell) = args.generate_completions {
        console.stdout(
            &String::from_utf8(completions::<A>(shell)).context("completions are no UTF-8")?,
        );
    } else if args.generate_man {
        console.stdout(
            &String::from_utf8(page(A::command())?).context("the manual page is no UTF-8")?,
        );
    } else if let Some(folder) = &args.generate_into {
        write_all::<A>(folder)?;
    } else {
        return Ok(false);
    }
    Ok(true)
}

fn completions<A: CommandFactory>(shell: Shell) -> Vec<u8> {
    let mut command = A::command();
    let name = command.get_name().to_owned();
    let mut completions = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut completions);
    completions
}

fn page(command: Command) -> anyhow::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command)
        .render(&mut page)
        .context("cannot render a manual page")?;
    Ok(page)
}

/// Writes everything where the shells and `man` look for it, below a folder such as `/usr/local/share`.
fn write_all<A: CommandFactory>(folder: &Path) -> anyhow::Result<()> {
    let command = A::command();
    let name = command.get_name().to_owned();
    let write = |path: String, content: Vec<u8>| {
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .with_context(|| format!("cannot create {}", parent.display()))?;
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
    };
    for subcommand in command.get_subcommands() {
        let full_name = format!("{name}-{}", subcommand.get_name());
        let subcommand = subcommand
            .clone()
            .name(&full_name)
            .version(env!("CARGO_PKG_VERSION"));
        write(format!("man/man1/{full_name}.1"), page(subcommand)?)?;
    }
    write(format!("man/man1/{name}.1"), page(command)?)?;
    write(
        format!("bash-completion/completions/{name}"),
        completions::<A>(Shell::Bash),
    )?;
    write(
        format!("zsh/site-functions/_{name}"),
        completions::<A>(Shell::Zsh),
    )?;
    write(
        format!("fish/vendor_completions.d/{name}.fish"),
        completions::<A>(Shell::Fish),
    )
}
