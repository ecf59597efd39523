//! Keys, from files and the environment; never from an argument.

use std::{fs::File, io::Read, path::Path};

use anyhow::Context;
use rdump::{Identities, Recipients, Secret};

use super::{Environment, Refusal};
use crate::args::{IdentityArgs, PassphraseArgs, RecipientArgs, RekeyArgs};

/// The longest file of keys that is read, in bytes.
const MAX_KEY_FILE_BYTES: u64 = 1 << 20;
/// How long a file of keys is not, in bytes.
const ENOUGH_BYTES: usize = 64 << 10;
const ENCRYPT_TO: &str = "--encrypt-to";
const ENCRYPT_TO_VARIABLE: &str = "RDUMP_ENCRYPT_TO";

/// What opens snapshots that are encrypted, if anything was given: what the flags say, or else what the environment does.
pub(crate) fn identities(
    args: &IdentityArgs,
    environment: &Environment,
) -> Result<Option<Identities>, Refusal> {
    let from_flags = both(
        from_file("--identity", args.identity.as_deref())?,
        from_file(
            "--passphrase-file",
            args.passphrase.passphrase_file.as_deref(),
        )?,
    )?;
    match from_flags {
        Some(identities) => Ok(Some(identities)),
        None => both(
            environment.identity.clone().map(named("RDUMP_IDENTITY")),
            environment
                .passphrase
                .clone()
                .map(named("RDUMP_PASSPHRASE")),
        ),
    }
}

/// A secret, and what it was called.
type Named = (Secret, &'static str);

fn named(name: &'static str) -> impl Fn(Secret) -> Named {
    move |secret| (secret, name)
}

fn both(keys: Option<Named>, passphrase: Option<Named>) -> Result<Option<Identities>, Refusal> {
    let keys = keys.map(|(text, name)| Identities::parse(&text).context(name));
    let passphrase = passphrase.map(|(text, name)| Identities::passphrase(&text).context(name));
    let all = keys.into_iter().chain(passphrase);
    all.reduce(|one, other| Ok(one?.with(other?)))
        .transpose()
        .map_err(Refusal::Failed)
}

/// Who will be able to read what is written, if not everybody: what the flags say, or else what the environment does.
pub(crate) fn recipients(
    args: &RecipientArgs,
    passphrase: &PassphraseArgs,
    environment: &Environment,
) -> Result<Option<Recipients>, Refusal> {
    let file = passphrase.passphrase_file.as_deref();
    let keys = match (args.encrypt_to.is_empty(), &environment.encrypt_to) {
        (false, _) => Some(ENCRYPT_TO),
        (true, Some(_)) => Some(ENCRYPT_TO_VARIABLE),
        (true, None) => None,
    };
    if let Some(keys) = keys.filter(|_| file.is_some()) {
        return Err(Refusal::Usage(format!(
            "a snapshot is encrypted to keys or with a passphrase, not both: give {keys} or --passphrase-file"
        )));
    }
    if let Some(recipients) = public_keys(&args.encrypt_to, ENCRYPT_TO)? {
        return Ok(Some(recipients));
    }
    if let Some(recipients) = by_passphrase(from_file("--passphrase-file", file)?)? {
        return Ok(Some(recipients));
    }
    let keys = environment.encrypt_to.as_deref();
    match keys {
        Some(keys) => public_keys(&[keys.to_owned()], ENCRYPT_TO_VARIABLE),
        None => by_passphrase(
            environment
                .passphrase
                .clone()
                .map(named("RDUMP_PASSPHRASE")),
        ),
    }
}

/// Who will be able to read snapshots from now on.
pub(crate) fn new_recipients(
    args: &RekeyArgs,
    environment: &Environment,
) -> Result<Recipients, Refusal> {
    let keys = &args.recipients.encrypt_to;
    let file = args.new_passphrase_file.as_deref();
    let passphrase = match (keys.is_empty(), file) {
        (false, Some(_)) => {
            return Err(Refusal::Usage(
                "give --encrypt-to or --new-passphrase-file, not both".to_owned(),
            ));
        }
        (false, None) => None,
        (true, Some(file)) => from_file("--new-passphrase-file", Some(file))?,
        (true, None) => {
            let passphrase = environment.new_passphrase.clone();
            passphrase.map(named("RDUMP_NEW_PASSPHRASE"))
        }
    };
    let recipients = match public_keys(keys, ENCRYPT_TO)? {
        Some(recipients) => Some(recipients),
        None => by_passphrase(passphrase)?,
    };
    recipients.ok_or_else(|| {
        Refusal::Usage(
            "say who shall open the snapshots from now on, by --encrypt-to or --new-passphrase-file"
                .to_owned(),
        )
    })
}

fn by_passphrase(passphrase: Option<Named>) -> Result<Option<Recipients>, Refusal> {
    let recipients = passphrase.map(|(text, name)| Recipients::passphrase(&text).context(name));
    recipients.transpose().map_err(Refusal::Failed)
}

/// Public keys, each given itself, or in a file, by the flag or the variable `name`.
fn public_keys(given: &[String], name: &'static str) -> Result<Option<Recipients>, Refusal> {
    let mut keys = String::new();
    for given in given {
        let is_key = given.starts_with("age1") || given.starts_with("ssh-");
        // What looks like a secret key is refused as one, and not looked for as a file.
        if is_key || given.starts_with("AGE-SECRET-KEY-") {
            keys.push_str(given);
        } else {
            let file = read(Path::new(given));
            let text = file.with_context(|| format!("{name} {given}"));
            keys.push_str(text.map_err(Refusal::Failed)?.reveal());
        }
        keys.push('\n');
    }
    if given.is_empty() {
        return Ok(None);
    }
    let recipients = Recipients::parse(&keys).context(name);
    recipients.map(Some).map_err(Refusal::Failed)
}

fn from_file(flag: &'static str, path: Option<&Path>) -> Result<Option<Named>, Refusal> {
    let Some(path) = path else { return Ok(None) };
    let text = read(path).with_context(|| format!("{flag} {}", path.display()));
    Ok(Some((text.map_err(Refusal::Failed)?, flag)))
}

fn read(path: &Path) -> anyhow::Result<Secret> {
    // Room for all of it: a text that grows leaves copies of itself in memory.
    let mut text = String::with_capacity(ENOUGH_BYTES);
    let file = File::open(path)?;
    file.take(MAX_KEY_FILE_BYTES).read_to_string(&mut text)?;
    Ok(Secret::from(text))
}
