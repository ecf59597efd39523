//! The keys of an encrypted snapshot, and what they protect.

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a panic in a test is a failed test"
)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chacha20poly1305::aead::{Aead, AeadInPlace, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{READ_BY, RecordError, SnapshotId, from_bytes, numbered_record, to_bytes};
use crate::digest::Digest;
use crate::frame::Frame;
use crate::manifest::{FormatVersion, RunRecord};

/// Where the [`KeyRecord`]s are, and nothing else.
pub const KEYS: &str = "keys/";

/// What the name of an object ends with in which segments are encrypted.
pub const ENCRYPTED_EXTENSION: &str = ".enc";

/// Length of a nonce, in bytes. Each must be random, and is used once.
pub const NONCE_BYTES: usize = 24;
/// How long the tag is that ends it, in bytes.
const TAG_BYTES: usize = 16;

/// Length of a data key, in bytes.
const KEY_BYTES: usize = 32;

/// Where the data keys of a snapshot are, wrapped: who unwraps the text has them. The record with the highest number counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct KeyRecord {
    /// The version of this format.
    pub version: FormatVersion,
    /// The oldest release that reads it.
    pub read_by: String,
    /// The snapshot.
    pub id: SnapshotId,
    /// Which of the snapshot's records this is, from 1.
    pub number: u32,
    /// Who can unwrap the keys, for people: public keys, or `passphrase`.
    pub recipients: Vec<String>,
    /// An age file in ASCII armor, whose content is [`DataKeys::to_bytes`].
    pub age: String,
}

impl KeyRecord {
    /// The first record of a snapshot.
    pub fn new(id: SnapshotId, recipients: Vec<String>, age: impl Into<String>) -> Self {
        Self {
            version: FormatVersion::CURRENT,
            read_by: READ_BY.to_owned(),
            id,
            number: 1,
            recipients,
            age: age.into(),
        }
    }

    /// Where the object is.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{KEYS}{}-{}.json", self.id, self.number)
    }

    /// Which snapshot the object is of that is at a path, and its number, if it is one.
    #[must_use]
    pub fn parse_path(path: &str) -> Option<(SnapshotId, u32)> {
        numbered_record(path.strip_prefix(KEYS)?)
    }

    /// The bytes of the object.
    ///
    /// # Errors
    ///
    /// [`RecordError`] when [`from_bytes`](Self::from_bytes) would refuse them.
    pub fn to_bytes(&self) -> Result<Vec<u8>, RecordError> {
        to_bytes(Frame::Keys, self.version, self)
    }

    /// Reads the bytes of the object.
    ///
    /// # Errors
    ///
    /// [`RecordError`]: it was changed, is of a newer version, or is something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        from_bytes(Frame::Keys, bytes)
    }
}

/// The data keys of a snapshot: each attempt to write it has encrypted under one of its own. Wiped from memory at the end.
#[derive(Clone)]
pub struct DataKeys {
    id: SnapshotId,
    by_attempt: BTreeMap<u32, Zeroizing<[u8; KEY_BYTES]>>,
}

/// What the text of an age file says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyText {
    id: SnapshotId,
    keys: BTreeMap<u32, Zeroizing<String>>,
}

/// What of a run only those may know who have the keys.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PrivateRun {
    /// The options of the run, as data.
    pub options: serde_json::Value,
    /// What went wrong without stopping the run, one line each.
    pub problems: Vec<String>,
    /// What the snapshot is marked with, once more: beside the record anybody can have changed it.
    pub tags: BTreeMap<String, String>,
}

impl PrivateRun {
    /// What is private of a run that begins.
    #[must_use]
    pub fn new(options: serde_json::Value, tags: BTreeMap<String, String>) -> Self {
        let problems = Vec::new();
        Self {
            options,
            problems,
            tags,
        }
    }

    /// Takes what is private out of a record.
    pub fn take(run: &mut RunRecord) -> Self {
        Self {
            options: run.options.take(),
            problems: std::mem::take(&mut run.problems),
            tags: BTreeMap::new(),
        }
    }

    /// Puts it back.
    pub fn put_into(self, run: &mut RunRecord) {
        run.options = self.options;
        run.problems = self.problems;
    }
}

impl DataKeys {
    /// No keys yet.
    #[must_use]
    pub fn new(id: SnapshotId) -> Self {
        let by_attempt = BTreeMap::new();
        Self { id, by_attempt }
    }

    /// Adds the key of an attempt, which must be random and never used before.
    pub fn add(&mut self, attempt: u32, key: Zeroizing<[u8; KEY_BYTES]>) {
        self.by_attempt.insert(attempt, key);
    }

    /// What is wrapped.
    ///
    /// # Errors
    ///
    /// [`EncryptionError::Keys`] if they cannot be written.
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, EncryptionError> {
        let keys = self.by_attempt.iter();
        let text = KeyText {
            id: self.id.clone(),
            keys: keys
                .map(|(attempt, key)| (*attempt, Zeroizing::new(hex::encode(&key[..]))))
                .collect(),
        };
        let bytes = serde_json::to_vec(&text);
        // The error may quote what could not be written.
        let bytes = bytes.map_err(|_source| EncryptionError::Keys)?;
        Ok(Zeroizing::new(bytes))
    }

    /// Reads what was unwrapped.
    ///
    /// # Errors
    ///
    /// [`EncryptionError::Keys`] if it is something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EncryptionError> {
        let text: KeyText =
            serde_json::from_slice(bytes).map_err(|_source| EncryptionError::Keys)?;
        let mut keys = Self::new(text.id);
        for (attempt, digits) in &text.keys {
            let mut key = Zeroizing::new([0; KEY_BYTES]);
            hex::decode_to_slice(digits.as_bytes(), &mut key[..])
                .map_err(|_source| EncryptionError::Keys)?;
            keys.add(*attempt, key);
        }
        Ok(keys)
    }

    /// The snapshot that they are of.
    pub fn id(&self) -> &SnapshotId {
        &self.id
    }

    /// Encrypts a segment of an object at a path in the folder of the snapshot: nonce, then what is encrypted, then the tag.
    ///
    /// # Errors
    ///
    /// [`EncryptionError::NoKey`] if the attempt that the path is of has no key.
    pub fn encrypt_segment(
        &self,
        path: &str,
        number: usize,
        nonce: [u8; NONCE_BYTES],
        segment: &[u8],
    ) -> Result<Vec<u8>, EncryptionError> {
        let place = self.segment_place(path, number);
        self.encrypt(attempt_of(path), place.as_bytes(), nonce, segment)
    }

    /// As [`encrypt_segment`](Self::encrypt_segment), of the second segment of a part, beside whose first one, as it is stored, it
    /// is all that there is: no other first one will do.
    ///
    /// # Errors
    ///
    /// As `encrypt_segment` has them.
    pub fn encrypt_details(
        &self,
        path: &str,
        index: Digest,
        nonce: [u8; NONCE_BYTES],
        segment: &[u8],
    ) -> Result<Vec<u8>, EncryptionError> {
        let place = self.details_place(path, index);
        self.encrypt(attempt_of(path), place.as_bytes(), nonce, segment)
    }

    /// What [`encrypt_details`](Self::encrypt_details) was given.
    ///
    /// # Errors
    ///
    /// As [`decrypt_segment`](Self::decrypt_segment) has them.
    pub fn decrypt_details(
        &self,
        path: &str,
        index: Digest,
        stored: &[u8],
    ) -> Result<Vec<u8>, EncryptionError> {
        let place = self.details_place(path, index);
        self.decrypt(attempt_of(path), place.as_bytes(), stored)
    }

    /// What [`encrypt_segment`](Self::encrypt_segment) was given.
    ///
    /// # Errors
    ///
    /// [`EncryptionError::NoKey`], or [`EncryptionError::NotAuthentic`] if it is not what was encrypted for this place.
    pub fn decrypt_segment(
        &self,
        path: &str,
        number: usize,
        stored: &[u8],
    ) -> Result<Vec<u8>, EncryptionError> {
        let place = self.segment_place(path, number);
        self.decrypt(attempt_of(path), place.as_bytes(), stored)
    }

    /// Encrypts what is private of the run of an attempt, or of the one that began it.
    ///
    /// # Errors
    ///
    /// [`EncryptionError::NoKey`] if it has no key.
    pub fn encrypt_private(
        &self,
        place: PrivatePlace,
        attempt: u32,
        nonce: [u8; NONCE_BYTES],
        private: &PrivateRun,
    ) -> Result<String, EncryptionError> {
        let text = serde_json::to_vec(private).map_err(|_source| EncryptionError::Private)?;
        let place = self.private_place(place, attempt);
        let encrypted = self.encrypt(Some(attempt), place.as_bytes(), nonce, &text)?;
        Ok(BASE64_STANDARD.encode(encrypted))
    }

    /// What [`encrypt_private`](Self::encrypt_private) was given.
    ///
    /// # Errors
    ///
    /// [`EncryptionError`]: there is no key, or it is not what was encrypted.
    pub fn decrypt_private(
        &self,
        place: PrivatePlace,
        attempt: u32,
        text: &str,
    ) -> Result<PrivateRun, EncryptionError> {
        let encrypted = BASE64_STANDARD.decode(text);
        let encrypted = encrypted.map_err(|_source| EncryptionError::NotAuthentic)?;
        let place = self.private_place(place, attempt);
        let text = self.decrypt(Some(attempt), place.as_bytes(), &encrypted)?;
        serde_json::from_slice(&text).map_err(|_source| EncryptionError::Private)
    }

    /// The code that proves that who wrote the root of a manifest had the key: over its text up to the code.
    ///
    /// # Errors
    ///
    /// [`EncryptionError::NoKey`] if the attempt has no key.
    pub fn authenticate(
        &self,
        attempt: u32,
        nonce: [u8; NONCE_BYTES],
        text: &[u8],
    ) -> Result<String, EncryptionError> {
        let code = self.encrypt(Some(attempt), &self.root_place(text), nonce, &[])?;
        Ok(BASE64_STANDARD.encode(code))
    }

    /// Checks what [`authenticate`](Self::authenticate) gave.
    ///
    /// # Errors
    ///
    /// [`EncryptionError`]: there is no key, or the text is not what was authenticated.
    pub fn check(&self, attempt: u32, text: &[u8], code: &str) -> Result<(), EncryptionError> {
        let code = BASE64_STANDARD.decode(code);
        let code = code.map_err(|_source| EncryptionError::NotAuthentic)?;
        let nothing = self.decrypt(Some(attempt), &self.root_place(text), &code)?;
        match nothing.is_empty() {
            true => Ok(()),
            false => Err(EncryptionError::NotAuthentic),
        }
    }

    // A place begins with its kind, and its parts have no spaces, so that no two are the same.

    fn segment_place(&self, path: &str, number: usize) -> String {
        format!("segment {} {path} {number}", self.id)
    }

    fn details_place(&self, path: &str, index: Digest) -> String {
        format!("details {} {path} {index}", self.id)
    }

    fn private_place(&self, place: PrivatePlace, attempt: u32) -> String {
        let place = match place {
            PrivatePlace::Begun => "begun",
            PrivatePlace::Manifest => "run",
        };
        format!("{place} {} {attempt}", self.id)
    }

    fn root_place(&self, text: &[u8]) -> Vec<u8> {
        [format!("manifest {} ", self.id).as_bytes(), text].concat()
    }

    fn cipher(&self, attempt: Option<u32>) -> Result<XChaCha20Poly1305, EncryptionError> {
        let key = attempt.and_then(|attempt| self.by_attempt.get(&attempt));
        let key = key.ok_or(EncryptionError::NoKey)?;
        Ok(XChaCha20Poly1305::new((&**key).into()))
    }

    fn encrypt(
        &self,
        attempt: Option<u32>,
        place: &[u8],
        nonce: [u8; NONCE_BYTES],
        text: &[u8],
    ) -> Result<Vec<u8>, EncryptionError> {
        let cipher = self.cipher(attempt)?;
        let bytes = text.len().saturating_add(NONCE_BYTES + TAG_BYTES);
        let mut stored = Vec::with_capacity(bytes);
        stored.extend_from_slice(&nonce);
        stored.extend_from_slice(text);
        // In place: a segment is long.
        let encrypted = stored.get_mut(NONCE_BYTES..).unwrap_or_default();
        let tag = cipher.encrypt_in_place_detached(&XNonce::from(nonce), place, encrypted);
        stored.extend_from_slice(&tag.map_err(|_source| EncryptionError::TooLong)?);
        Ok(stored)
    }

    fn decrypt(
        &self,
        attempt: Option<u32>,
        place: &[u8],
        stored: &[u8],
    ) -> Result<Vec<u8>, EncryptionError> {
        let (nonce, encrypted) = stored
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or(EncryptionError::NotAuthentic)?;
        let payload = Payload {
            msg: encrypted,
            aad: place,
        };
        let text = self.cipher(attempt)?.decrypt(nonce.into(), payload);
        text.map_err(|_source| EncryptionError::NotAuthentic)
    }
}

impl fmt::Debug for DataKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attempts: Vec<_> = self.by_attempt.keys().collect();
        write!(f, "DataKeys({}, {attempts:?})", self.id)
    }
}

/// Which record something private stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PrivatePlace {
    /// A [`BegunRecord`](super::BegunRecord).
    Begun,
    /// A [`SnapshotManifest`](super::SnapshotManifest).
    Manifest,
}

/// Which attempt an object of a snapshot is of.
pub(super) fn attempt_of(path: &str) -> Option<u32> {
    let (_, name) = path.split_once('/')?;
    let (attempt, _) = name.split_once('-')?;
    attempt.parse().ok()
}

/// Why something cannot be encrypted or decrypted. It says nothing of what was inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message is its documentation")]
#[non_exhaustive]
pub enum EncryptionError {
    #[error("there is no key for the attempt that wrote it")]
    NoKey,
    #[error("it is not what was encrypted for this place under this key")]
    NotAuthentic,
    #[error("it is too long to be encrypted")]
    TooLong,
    #[error("what was unwrapped are no data keys")]
    Keys,
    #[error("what was decrypted is no description of a run")]
    Private,
}
