use std::time::SystemTime;

use crate::StorageError;

/// The answer to a question that not every store knows, and not everybody may ask.
#[derive(Debug, Default)]
#[expect(
    clippy::exhaustive_enums,
    reason = "what is passed over would be taken for an answer"
)]
pub enum Told<T> {
    /// The answer.
    Is(T),
    /// There is none: who asks may not know, or the store did not understand the question.
    Not(StorageError),
    /// The store is of a kind that has no such thing, as a folder has no versions.
    #[default]
    Nothing,
}

impl<T> Told<T> {
    /// The answer, if there is one.
    pub fn answer(&self) -> Option<&T> {
        match self {
            Self::Is(answer) => Some(answer),
            Self::Not(_) | Self::Nothing => None,
        }
    }
}

impl<T> From<Result<T, StorageError>> for Told<T> {
    fn from(answer: Result<T, StorageError>) -> Self {
        match answer {
            Ok(answer) => Self::Is(answer),
            Err(error) => Self::Not(error),
        }
    }
}

/// How a place is set up, as far as who asks is told. See [`Store::posture`](crate::Store::posture).
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Posture {
    /// What time it was by the clock of the store when it answered, to the second.
    pub now: Told<SystemTime>,
    /// Whether what is replaced or deleted is kept as an older version.
    pub versioning: Told<bool>,
    /// How objects are locked against deletion; `None` if they cannot be.
    pub object_lock: Told<Option<ObjectLock>>,
    /// What becomes of objects by their age.
    pub lifecycle: Told<Lifecycle>,
    /// How the store encrypts where nothing else is asked for, such as `AES256`; `None` if it does not.
    pub encryption: Told<Option<String>>,
    /// Whether the bucket refuses to be made public, whatever its policy and the ACLs of objects say.
    pub blocks_public_access: Told<bool>,
    /// How much more can be written, in bytes.
    pub free_bytes: Told<u64>,
}

/// That objects can be locked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectLock {
    /// For how many days those are that say nothing of it, if they are at all; a year has 365.
    pub default_days: Option<u32>,
}

/// What rules of a bucket do with objects below a location, in days; of several the one that is first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lifecycle {
    /// After which uploads are aborted that were begun and never ended.
    pub aborts_uploads: Option<u32>,
    /// After which objects are deleted; 0 if that is at a date.
    pub deletes: Option<u32>,
    /// After which older versions are deleted.
    pub deletes_versions: Option<u32>,
    /// After which objects are where they cannot be read at once; 0 if that is at a date.
    pub archives: Option<u32>,
}

/// An object that somebody began to write, and has not finished: they write now, or were killed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnfinishedUpload {
    /// Where it would be, or what was written so far is: a path below the location of the store.
    pub path: String,
    /// When it was begun, or something of it was written last, if the store knows.
    pub since: Option<SystemTime>,
}
