//! Whose keys open an encrypted snapshot: age recipients and identities.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    fmt,
    io::{BufReader, Read, Write},
    sync::Arc,
};

use age::{
    DecryptError, Decryptor, Encryptor, IdentityFile,
    armor::{ArmoredReader, ArmoredWriter, Format},
    scrypt,
    secrecy::SecretString,
    ssh, x25519,
};
use chacha20poly1305::aead::{OsRng, rand_core::RngCore};
use futures::TryStreamExt;
use rdump_format::repository::{DataKeys, KEYS, KeyRecord, NONCE_BYTES, SnapshotId};
use rdump_storage::Store;
use zeroize::Zeroizing;

use super::{Repository, not_written, put_once, read_record};
use crate::{Error, ErrorKind, Result, Secret};

/// How a record names a passphrase.
const BY_PASSPHRASE: &str = "passphrase";
/// What a passphrase costs to try: 2^17 rounds of scrypt, which take 128 MiB and a part of a second.
const WORK_FACTOR: u8 = 17;
/// The most that it may cost to open what somebody has stored: 2^18 rounds, 256 MiB.
const MAX_WORK_FACTOR: u8 = 18;
/// How long the keys of a snapshot may be, in bytes.
const MAX_KEY_BYTES: u64 = 16 << 20;
/// How many of the newest records are looked at to find one that a passphrase opens, and how many of these it is tried on.
const MOST_LOOKED_AT: usize = 64;
const MOST_TRIED: usize = 8;
/// How much of a public key is shown, in characters.
const SHOWN_CHARACTERS: usize = 70;

/// Who will be able to read a snapshot.
#[derive(Clone, Debug)]
pub struct Recipients(Arc<Wrapping>);

enum Wrapping {
    PublicKeys(Vec<PublicKey>),
    Passphrase(SecretString),
}

enum PublicKey {
    X25519(x25519::Recipient),
    Ssh(ssh::Recipient),
}

impl Recipients {
    /// The owners of public keys, one key a line: age keys (`age1…`), or SSH keys of type `ssh-ed25519` or `ssh-rsa` as in
    /// `~/.ssh/id_ed25519.pub`. Empty lines and those that begin with `#` are passed over.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if a line is no public key, or there is none. The line is not quoted.
    pub fn parse(text: &str) -> Result<Self> {
        let mut keys = Vec::new();
        for (number, line) in lines(text) {
            let refuse = |problem: &str| {
                Error::invalid(format!("line {number} of the public keys {problem}"))
                    .with_hint("age1…, ssh-ed25519 … and ssh-rsa … are public keys")
            };
            if line.starts_with("AGE-SECRET-KEY-") {
                return Err(refuse("is a secret key: give the public one"));
            }
            keys.push(match line.parse() {
                Ok(key) => PublicKey::X25519(key),
                Err(_) => match line.parse() {
                    Ok(key) => PublicKey::Ssh(key),
                    Err(ssh::ParseRecipientKeyError::RsaModulusTooSmall) => {
                        return Err(refuse("is an RSA key of less than 2048 bits"));
                    }
                    Err(_) => return Err(refuse("is no key that can be used")),
                },
            });
        }
        match keys.is_empty() {
            true => Err(Error::invalid("there is no public key to encrypt to")),
            false => Ok(Self(Arc::new(Wrapping::PublicKeys(keys)))),
        }
    }

    /// Whoever knows a passphrase. Line breaks at its end are not part of it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if it is empty.
    pub fn passphrase(text: &Secret) -> Result<Self> {
        Ok(Self(Arc::new(Wrapping::Passphrase(passphrase(text)?))))
    }

    /// As a record names them.
    fn names(&self) -> Vec<String> {
        match &*self.0 {
            Wrapping::PublicKeys(keys) => keys.iter().map(PublicKey::to_string).collect(),
            Wrapping::Passphrase(_) => vec![BY_PASSPHRASE.to_owned()],
        }
    }

    fn wrap(&self, keys: &DataKeys) -> Result<String> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            Error::internal("could not wrap the keys").caused_by(error)
        };
        let text = keys.to_bytes().map_err(|error| failed(error.into()))?;
        let by_passphrase;
        let recipients: Vec<&dyn age::Recipient> = match &*self.0 {
            Wrapping::PublicKeys(keys) => keys.iter().map(PublicKey::as_recipient).collect(),
            Wrapping::Passphrase(passphrase) => {
                let mut recipient = scrypt::Recipient::new(passphrase.clone());
                recipient.set_work_factor(WORK_FACTOR);
                by_passphrase = recipient;
                vec![&by_passphrase]
            }
        };
        let encryptor = Encryptor::with_recipients(recipients.into_iter());
        let encryptor = encryptor.map_err(|error| failed(error.into()))?;
        let wrapped = || {
            let armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
            let mut writer = encryptor.wrap_output(armor)?;
            writer.write_all(&text)?;
            writer.finish()?.finish()
        };
        let wrapped = wrapped().map_err(|error: std::io::Error| failed(error.into()))?;
        String::from_utf8(wrapped).map_err(|error| failed(error.into()))
    }
}

impl PublicKey {
    fn as_recipient(&self) -> &dyn age::Recipient {
        match self {
            Self::X25519(key) => key,
            Self::Ssh(key) => key,
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::X25519(key) => key.fmt(f),
            Self::Ssh(key) => key.fmt(f),
        }
    }
}

impl fmt::Debug for Wrapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PublicKeys(keys) => write!(f, "{} public keys", keys.len()),
            Self::Passphrase(_) => f.write_str("passphrase"),
        }
    }
}

/// What opens snapshots that are encrypted: secret keys and passphrases. Wiped from memory at the end.
#[derive(Clone)]
pub struct Identities(Vec<Arc<dyn age::Identity + Send + Sync>>);

impl Identities {
    /// The keys of a file: age's secret keys, one a line, or one SSH key without a passphrase, of type ed25519 or RSA.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if there is no key that can be used. Nothing of the text is quoted.
    pub fn parse(text: &Secret) -> Result<Self> {
        let text = text.reveal();
        let is_ssh = text.trim_start().starts_with("-----BEGIN");
        if is_ssh && !text.contains("BEGIN AGE ENCRYPTED FILE") {
            let key = ssh::Identity::from_buffer(text.as_bytes(), None);
            return match key {
                Ok(key @ ssh::Identity::Unencrypted(_)) => Ok(Self(vec![Arc::new(key)])),
                Ok(ssh::Identity::Encrypted(_)) => Err(Error::invalid(
                    "the SSH key is protected by a passphrase",
                )
                .with_hint(
                    "remove it from a copy of the key by `ssh-keygen -p`, or encrypt to a key of `age-keygen`",
                )),
                _ => Err(Error::invalid("the SSH key is of no type that can be used")
                    .with_hint("ed25519 and RSA can be")),
            };
        }
        let keys = IdentityFile::from_buffer(text.as_bytes());
        let keys = keys.and_then(|keys| keys.into_identities().map_err(std::io::Error::other));
        match keys {
            Ok(keys) if !keys.is_empty() => Ok(Self(keys.into_iter().map(Arc::from).collect())),
            Ok(_) => Err(Error::invalid("there is no secret key")),
            Err(_) => Err(Error::invalid("there is something that is no secret key")
                .with_hint("`age-keygen` makes one: a line that begins with AGE-SECRET-KEY-")),
        }
    }

    /// Opens what was encrypted with a passphrase. Line breaks at its end are not part of it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if it is empty.
    pub fn passphrase(text: &Secret) -> Result<Self> {
        let mut identity = scrypt::Identity::new(passphrase(text)?);
        identity.set_max_work_factor(MAX_WORK_FACTOR);
        Ok(Self(vec![Arc::new(identity)]))
    }

    /// These and others.
    #[must_use]
    pub fn with(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    fn unwrap(&self, age: &str) -> Result<DataKeys, Unopened> {
        let armor = BufReader::new(ArmoredReader::new(age.as_bytes()));
        let decryptor = Decryptor::new_buffered(armor)?;
        let identities = self.0.iter();
        let reader = decryptor.decrypt(identities.map(|identity| &**identity as _))?;
        let mut text = Zeroizing::new(Vec::new());
        let read = reader.take(MAX_KEY_BYTES).read_to_end(&mut text);
        read.map_err(|error| Unopened::Damaged(error.into()))?;
        DataKeys::from_bytes(&text).map_err(|error| Unopened::Damaged(error.into()))
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} identities", self.0.len())
    }
}

/// Why wrapped keys stay closed.
enum Unopened {
    /// They are of somebody else.
    Others,
    /// It would take more memory than anything of ours.
    TooMuchWork,
    Damaged(Box<dyn std::error::Error + Send + Sync>),
}

impl From<DecryptError> for Unopened {
    fn from(error: DecryptError) -> Self {
        match error {
            DecryptError::NoMatchingKeys
            | DecryptError::DecryptionFailed
            | DecryptError::KeyDecryptionFailed => Self::Others,
            DecryptError::ExcessiveWork { .. } => Self::TooMuchWork,
            damaged => Self::Damaged(damaged.to_string().into()),
        }
    }
}

/// A random nonce.
pub(super) fn nonce() -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    OsRng.fill_bytes(&mut nonce);
    nonce
}

/// A random data key.
pub(super) fn data_key() -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    OsRng.fill_bytes(&mut key[..]);
    key
}

/// Refuses a passphrase that opens nothing of what was encrypted last with one: a slip would be found at the restore.
pub(super) async fn check_passphrase(
    repository: &Repository,
    recipients: &Recipients,
) -> Result<()> {
    let Wrapping::Passphrase(passphrase) = &*recipients.0 else {
        return Ok(());
    };
    let mut identity = scrypt::Identity::new(passphrase.clone());
    identity.set_max_work_factor(MAX_WORK_FACTOR);
    let identities = Identities(vec![Arc::new(identity)]);
    let store = &**repository.store();
    let mut ids = BTreeSet::new();
    let mut listed = store.list(KEYS);
    while let Some(listed) = listed.try_next().await? {
        ids.extend(KeyRecord::parse_path(listed.path()).map(|(id, _)| id));
        if ids.len() > MOST_LOOKED_AT {
            ids.pop_first();
        }
    }
    let (mut newest, mut tried) = (None, 0);
    for id in ids.iter().rev() {
        let record = match key_record(store, id).await {
            // What is damaged is for who verifies.
            Err(error) if error.kind() == ErrorKind::Data => continue,
            record => record?,
        };
        if record.recipients != [BY_PASSPHRASE] {
            continue;
        }
        match unwrap_keys(record, &identities).await {
            Ok(_) => return Ok(()),
            Err(error) => match error.kind() {
                // Nothing needs the keys of what was begun and came to nothing.
                ErrorKind::Denied if repository.uses_keys(id).await? => {
                    newest.get_or_insert(id);
                }
                ErrorKind::Denied | ErrorKind::Data | ErrorKind::Unsupported => {}
                _ => return Err(error),
            },
        }
        tried += 1;
        if tried == MOST_TRIED {
            break;
        }
    }
    match newest {
        None => Ok(()),
        Some(id) => Err(Error::invalid(format!(
            "the passphrase is not that of {id}, which was encrypted last"
        ))
        .with_hint(
            "a repository has one passphrase; `rdump rekey --new-passphrase-file` changes it for what is stored",
        )),
    }
}

/// Wraps keys and puts them as a record that must not be there yet.
pub(super) async fn put_keys(
    store: &dyn Store,
    recipients: &Recipients,
    keys: Arc<DataKeys>,
    number: u32,
) -> Result<KeyRecord> {
    let (id, names) = (keys.id().clone(), recipients.names());
    let recipients = recipients.clone();
    let wrapped = tokio::task::spawn_blocking(move || recipients.wrap(&keys)).await;
    let wrapped = wrapped.map_err(|error| Error::task("wrap keys", error))??;
    let mut record = KeyRecord::new(id, names, wrapped);
    record.number = number;
    let bytes = record.to_bytes().map_err(not_written)?;
    put_once(store, &record.path(), bytes).await?;
    Ok(record)
}

/// The numbers of the key records that a snapshot has.
pub(super) async fn numbers(store: &dyn Store, id: &SnapshotId) -> Result<Vec<u32>> {
    let prefix = format!("{KEYS}{id}-");
    let mut numbers = Vec::new();
    let mut listed = store.list(&prefix);
    while let Some(listed) = listed.try_next().await? {
        numbers.extend(KeyRecord::parse_path(listed.path()).map(|(_, number)| number));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Deletes key records of a snapshot, by their number.
pub(super) async fn delete_keys(
    store: &dyn Store,
    id: &SnapshotId,
    is_old: impl Fn(u32) -> bool,
) -> Result<()> {
    let numbers = numbers(store, id).await?.into_iter();
    let old = numbers.filter(|number| is_old(*number));
    let paths: Vec<_> = old
        .map(|number| format!("{KEYS}{id}-{number}.json"))
        .collect();
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    if paths.is_empty() {
        return Ok(());
    }
    store.delete(&paths).await?;
    Ok(store.flush().await?)
}

/// The number after the last of these: of attempts, or of key records.
pub(super) fn next_number(id: &SnapshotId, last: Option<u32>) -> Result<u32> {
    let next = last.unwrap_or_default().checked_add(1);
    next.ok_or_else(|| Error::data(format!("{id} has a record of an impossible number")))
}

/// The record of a snapshot that counts.
pub(super) async fn key_record(store: &dyn Store, id: &SnapshotId) -> Result<KeyRecord> {
    let missing = || {
        let prefix = format!("{KEYS}{id}-");
        Error::data(format!(
            "{id} is encrypted, and the record of its keys, {prefix}1.json or a later one, is missing"
        ))
        .at(prefix)
    };
    let number = numbers(store, id).await?.pop().ok_or_else(missing)?;
    let path = format!("{KEYS}{id}-{number}.json");
    let record = read_record(store, &path, KeyRecord::from_bytes).await?;
    let record = record.ok_or_else(missing)??;
    match record.id == *id && record.number == number {
        true => Ok(record),
        false => {
            let of = record.path();
            Err(Error::data(format!("{path} is {of}")).at(path))
        }
    }
}

/// The keys that a record wraps.
pub(super) async fn unwrap_keys(record: KeyRecord, identities: &Identities) -> Result<DataKeys> {
    let (path, identities) = (record.path(), identities.clone());
    let unwrapped = tokio::task::spawn_blocking(move || {
        let keys = identities.unwrap(&record.age);
        (keys, record)
    });
    let (keys, record) = unwrapped
        .await
        .map_err(|error| Error::task("unwrap keys", error))?;
    let keys = keys.map_err(|unopened| match unopened {
        Unopened::Others => Error::new(
            ErrorKind::Denied,
            format!(
                "{} is encrypted to {}, and no key that was given opens it",
                record.id,
                shown(&record.recipients)
            ),
        ),
        Unopened::TooMuchWork => Error::new(
            ErrorKind::Unsupported,
            format!("{path} would take more than 256 MiB of memory to open"),
        ),
        Unopened::Damaged(error) => {
            Error::data(format!("what {path} wraps cannot be read")).caused_by(error)
        }
    });
    let keys = keys.map_err(|error| error.at(path.as_str()))?;
    match *keys.id() == record.id {
        true => Ok(keys),
        false => Err(Error::data(format!("{path} wraps the keys of {}", keys.id())).at(path)),
    }
}

/// That something is encrypted and nobody has said how to open it.
pub(super) fn locked(record: &KeyRecord) -> Error {
    Error::new(
        ErrorKind::Denied,
        format!(
            "{} is encrypted to {}, and no key was given",
            record.id,
            shown(&record.recipients)
        ),
    )
}

/// Recipients for a message. Whoever can write to the repository can have written them.
fn shown(recipients: &[String]) -> String {
    let shown = recipients.iter().take(10).map(|recipient| {
        let mut text: String = recipient.chars().take(SHOWN_CHARACTERS).collect();
        text = text.escape_debug().to_string();
        match recipient.chars().nth(SHOWN_CHARACTERS) {
            Some(_) => text + "…",
            None => text,
        }
    });
    let shown: Vec<_> = shown.collect();
    match shown.as_slice() {
        [one] if one == BY_PASSPHRASE => "a passphrase".to_owned(),
        all => all.join(", "),
    }
}

fn passphrase(text: &Secret) -> Result<SecretString> {
    let text = text.reveal().trim_end_matches(['\r', '\n']);
    match text.is_empty() {
        true => Err(Error::invalid("the passphrase is empty")),
        false => Ok(SecretString::from(text.to_owned())),
    }
}

/// The lines that say something, with their numbers.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = (1..).zip(text.lines().map(str::trim));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}
