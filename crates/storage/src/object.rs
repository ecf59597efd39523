use std::{error::Error, time::SystemTime};

use futures::TryStreamExt;

use crate::{Result, StorageError, Store};

/// What a store says about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectInfo {
    /// The object's path below the store's location.
    pub path: String,
    /// Its size, in bytes.
    pub stored_bytes: u64,
    /// What tells it from another object of the same path, before and after, if the store can.
    pub version: Option<Version>,
    /// When it was written, by the clock of the store; told by listings of stores that know.
    pub modified: Option<SystemTime>,
    /// The storage class that it is in; told by listings of stores that have classes, and may be left out where it is `STANDARD`.
    pub storage_class: Option<String>,
}

/// What a store has computed of the bytes of an object: it is what a copy that the store makes by itself is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectChecksum {
    /// The object.
    pub info: ObjectInfo,
    /// The checksum, after the name of how it was computed and a colon.
    pub text: String,
    /// The size of each part but the last that it was computed of, in bytes; none if of the whole.
    pub part_bytes: Option<u64>,
}

/// That an object may not be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// Until when, if there is such a date.
    pub until: Option<SystemTime>,
    /// Whether somebody holds it until they say otherwise.
    pub held: bool,
}

impl Retention {
    /// That an object may not be deleted before a date.
    #[must_use]
    pub fn until(until: SystemTime) -> Self {
        Self {
            until: Some(until),
            held: false,
        }
    }
}

impl ObjectInfo {
    /// Says that `path` holds `stored_bytes` bytes.
    pub fn new(path: impl Into<String>, stored_bytes: u64) -> Self {
        Self {
            path: path.into(),
            stored_bytes,
            version: None,
            modified: None,
            storage_class: None,
        }
    }

    /// Adds the version.
    #[must_use]
    pub fn version(mut self, version: Version) -> Self {
        self.version = Some(version);
        self
    }
}

/// What tells an object from any other that had or will have the same path: on S3, its entity tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(String);

impl Version {
    /// The version that a store calls so.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// As the store calls it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// When an object is put.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a store has to know every condition"
)]
pub enum PutIf {
    /// Whatever is there.
    Always,
    /// If nothing is there.
    Absent,
    /// If what is there is of this version.
    Unchanged(Version),
}

/// What [`Store::list`] finds.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "what is passed over would be missing without a word"
)]
pub enum Listed {
    /// An object.
    Object(ObjectInfo),
    /// The path of what a writer left behind that was killed, or writes now: no object, and never to be.
    Leftover(String),
    /// What could not be looked into, and may hold objects or be one.
    Unreadable(Unreadable),
}

impl Listed {
    /// Its path below the store's location.
    pub fn path(&self) -> &str {
        match self {
            Self::Object(object) => &object.path,
            Self::Leftover(path) => path,
            Self::Unreadable(unreadable) => &unreadable.path,
        }
    }
}

/// What is in a store, each in byte order of the paths.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Listing {
    /// The objects. Uploads that never finished are none.
    pub objects: Vec<ObjectInfo>,
    /// The paths of what writers left behind that were killed, or write now: no objects, and never to be.
    pub leftovers: Vec<String>,
    /// What could not be looked into, and may hold objects or be one.
    pub unreadable: Vec<Unreadable>,
}

impl Listing {
    /// Everything in a store whose path starts with `prefix`.
    ///
    /// # Errors
    ///
    /// As [`Store::list`].
    pub async fn of(store: &dyn Store, prefix: &str) -> Result<Self> {
        let mut listing = Self::default();
        let mut listed = store.list(prefix);
        while let Some(listed) = listed.try_next().await? {
            match listed {
                Listed::Object(object) => listing.objects.push(object),
                Listed::Leftover(path) => listing.leftovers.push(path),
                Listed::Unreadable(unreadable) => listing.unreadable.push(unreadable),
            }
        }
        Ok(listing)
    }
}

/// What a symbolic link to nothing is called.
pub(crate) const BROKEN_LINK: &str = "a symbolic link to nothing";

/// A part of a store that could not be looked into.
#[derive(Debug)]
#[non_exhaustive]
pub struct Unreadable {
    /// Its path below the store's location.
    pub path: String,
    /// Why.
    pub error: StorageError,
}

impl Unreadable {
    /// Whether the object at `path` is this, or lies in it.
    pub fn hides(&self, path: &str) -> bool {
        path.strip_prefix(self.path.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether it is a symbolic link to nothing.
    pub fn is_broken_link(&self) -> bool {
        matches!(self.error, StorageError::Special { what, .. } if what == BROKEN_LINK)
    }

    /// Why, in a few words that do not repeat the path.
    pub fn reason(&self) -> String {
        match (&self.error, self.error.source()) {
            (StorageError::Denied { .. }, _) => "permission denied".to_owned(),
            (StorageError::Special { what, .. }, _) => format!("it is {what}"),
            (StorageError::NameNotUtf8 { .. }, _) => "its name is not UTF-8".to_owned(),
            (_, Some(source)) => source.to_string(),
            (error, None) => error.to_string(),
        }
    }
}

/// What a writer left behind, or writes now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leftover {
    /// Its path below the store's location.
    pub path: String,
    /// Whether it is gone now. If not, its writer may live, or it may not be removed.
    pub removed: bool,
}
