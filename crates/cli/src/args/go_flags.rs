//! The command line as go-flags reads it, the parser of mongodump.
//!
//! clap reads a few lines differently, so it is given one that nobody can: each option as `--name` or `--name=value`,
//! then `--`, then the arguments without an option.
//!
//! | typed | what it is |
//! |---|---|
//! | `--db x`, `--db=x`, `-d x`, `-dx`, `-d=x` | an option and its value |
//! | `--archive`, `--archive=x` | an option whose value is optional follows only an `=` |
//! | `-vvv` | an option and its optional value, `vv` |
//! | `--drop=true` | an error: a flag takes no value |
//! | `--db --gzip` | an error: what looks like an option is no value |
//! | `--query='"{}"'` | a value in double quotes is a Go string literal |
//! | `-`, `--`, `---x` | arguments without an option |
//!
//! No reason quotes a value: it may be a password.

use std::ffi::OsString;

use clap::{Arg, Command};

use super::unquote::unquote;

/// Rewrites a command line, or says in one line why it cannot be read.
pub(super) fn canonical(
    command: &Command,
    line: impl IntoIterator<Item = OsString>,
) -> Result<Vec<OsString>, String> {
    let mut line = line.into_iter();
    let mut canonical: Vec<OsString> = line.next().into_iter().collect();
    let rest: Result<Vec<String>, OsString> = line.map(OsString::into_string).collect();
    let rest = rest.map_err(|_bytes| "an argument is not valid UTF-8".to_owned())?;
    let mut rest = rest.into_iter();
    let mut command = command;
    if let Some(subcommand) = rest
        .as_slice()
        .first()
        .and_then(|first| command.find_subcommand(first))
    {
        canonical.extend(rest.next().map(OsString::from));
        command = subcommand;
    }
    let mut others = Vec::new();
    while let Some(argument) = rest.next() {
        if !is_option(&argument) {
            others.push(argument.into());
        } else if let Some(long) = argument.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, None),
            };
            let option = find(command, name).ok_or_else(|| unknown(name))?;
            canonical.push(spelled(option, value, Some(&mut rest))?);
        } else {
            let cluster = argument.strip_prefix('-').unwrap_or_default();
            canonical.extend(short(command, cluster, &mut rest)?);
        }
    }
    canonical.push("--".into());
    canonical.append(&mut others);
    Ok(canonical)
}

fn is_option(argument: &str) -> bool {
    let name = argument
        .strip_prefix("--")
        .or_else(|| argument.strip_prefix('-'));
    name.is_some_and(|name| !name.is_empty() && !name.starts_with('-'))
}

/// Reads `d`, `dx`, `d=x` or several letters at once.
fn short(
    command: &Command,
    cluster: &str,
    rest: &mut std::vec::IntoIter<String>,
) -> Result<Vec<OsString>, String> {
    let find = |letter: char| {
        let mut options = command.get_arguments();
        options.find(|option| option.get_short() == Some(letter))
    };
    let mut letters = cluster.chars();
    let first = letters.next();
    let after = letters.as_str();
    let takes_value = first.and_then(find).is_some_and(takes_value);
    let (letters, mut attached) = match after.strip_prefix('=') {
        Some(value) => (&cluster[..cluster.len() - after.len()], Some(value)),
        None if takes_value && !after.is_empty() => {
            (&cluster[..cluster.len() - after.len()], Some(after))
        }
        None => (cluster, None),
    };
    let mut options = Vec::new();
    let mut letters = letters.chars();
    while let Some(letter) = letters.next() {
        let option = find(letter).ok_or_else(|| unknown(cluster))?;
        let next = letters.as_str().is_empty().then_some(&mut *rest);
        options.push(spelled(option, attached.take(), next)?);
    }
    Ok(options)
}

/// An option by its long name, as it is or in kebab-case.
fn find<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|option| {
        option.get_long().is_some_and(|long| {
            let in_kebab = name.contains('-') || long.contains('-');
            long == name || in_kebab && kebab(long) == kebab(name)
        })
    })
}

/// `sslPEMKeyFile` as `ssl-pem-key-file`.
fn kebab(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut kebab = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let after_lower = at > 0 && letters[at - 1].is_lowercase();
        let before_lower = letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        if at > 0 && letter.is_uppercase() && (after_lower || before_lower) {
            kebab.push('-');
        }
        kebab.extend(letter.to_lowercase());
    }
    kebab
}

/// One option with its value, which may be `attached` or the next of `rest`.
fn spelled(
    option: &Arg,
    attached: Option<&str>,
    rest: Option<&mut std::vec::IntoIter<String>>,
) -> Result<OsString, String> {
    let long = option.get_long().unwrap_or_default();
    let name = || match option.get_short() {
        Some(short) => format!("-{short}, --{long}"),
        None => format!("--{long}"),
    };
    if !takes_value(option) {
        return match attached {
            Some(_) => Err(format!("bool flag `{}' cannot have an argument", name())),
            None => Ok(format!("--{long}").into()),
        };
    }
    let value = match attached {
        Some(value) => value.to_owned(),
        None if is_optional(option) => return Ok(format!("--{long}").into()),
        None => match rest.and_then(Iterator::next) {
            Some(next) if is_option(&next) && !is_number(option, &next) => {
                return Err(format!(
                    "expected argument for flag `{}', but got an option; a value that starts with - is written \
                     --{long}=VALUE",
                    name()
                ));
            }
            Some(next) => next,
            None => return Err(format!("expected argument for flag `{}'", name())),
        },
    };
    let value = unquote(value).ok_or_else(|| {
        format!(
            "invalid argument for flag `{}': it starts with a double quote, but is no quoted string",
            name()
        )
    })?;
    Ok(format!("--{long}={value}").into())
}

fn takes_value(option: &Arg) -> bool {
    option.get_action().takes_values()
}

fn is_optional(option: &Arg) -> bool {
    option
        .get_num_args()
        .is_some_and(|number| number.min_values() == 0)
}

/// Whether this is a negative number for an option that takes one.
fn is_number(option: &Arg, value: &str) -> bool {
    let second = value.as_bytes().get(1);
    option.is_allow_negative_numbers_set() && second.is_some_and(u8::is_ascii_digit)
}

/// What follows an `=` may be a password.
fn unknown(name: &str) -> String {
    let name = name.split('=').next().unwrap_or_default();
    match name {
        "dbpath" | "directoryperdb" | "journal" => {
            "--dbpath and related flags are not supported: start a server on the data files and connect to it instead"
                .to_owned()
        }
        _ => format!("unknown option `{name}`"),
    }
}
