use std::{fmt, str::FromStr, time::Duration};

use rdump_format::Selector;
use serde::{Deserialize, Serialize};

use crate::{Error, ReadPreference, Result};

/// The longest slice that can be asked for, in bytes before compression.
const MOST_SLICE_BYTES: u64 = 256 << 20;
/// The oldest that a slice can become before it is stored.
const LONGEST_AGE: Duration = Duration::from_secs(3600);

/// What is captured, and when it is stored. Plain data: services go to [`Capture`](crate::Capture).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct CaptureOptions {
    /// How long a slice is at most before compression, in bytes; a last entry may exceed it. Default: 16 MiB; at most 256 MiB.
    ///
    /// Up to four of them are in memory.
    pub slice_bytes: u64,
    /// How old the first entry of a slice becomes at most before it is stored, if the place is quick. Default: 10 seconds; 100 milliseconds to an hour.
    ///
    /// It is what can be lost. Where nothing is written, a slice that says so is stored each minute.
    pub slice_age: Duration,
    /// Namespaces to capture, by pattern. Default: all.
    ///
    /// What is captured after it changes is another timeline, which needs a snapshot of its own.
    pub select: Selector,
    /// End when all that was written when it began is stored. Default: false.
    pub until_caught_up: bool,
    /// Where what is written is learned from. Default: the oplog if it can be read, a change stream if not.
    pub source: CaptureSource,
    /// Which members are read. Default: the primary while there is one, or what the connection string says.
    pub read_preference: Option<ReadPreference>,
}

/// Where what is written is learned from.
///
/// # Examples
///
/// ```
/// use rdump::CaptureSource;
///
/// assert_eq!("change-stream".parse(), Ok(CaptureSource::ChangeStream));
/// assert_eq!(CaptureSource::Auto.to_string(), "auto");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CaptureSource {
    /// The oplog where it can be read, else a change stream.
    #[default]
    Auto,
    /// The [oplog](https://www.mongodb.com/docs/manual/core/replica-set-oplog/) of a replica set.
    Oplog,
    /// A [change stream](https://www.mongodb.com/docs/manual/changeStreams/): of the deployment, or of the one database that is selected. It tells neither of
    /// time-series collections nor of users, roles and functions.
    ChangeStream,
}

impl CaptureSource {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Oplog => "oplog",
            Self::ChangeStream => "change-stream",
        }
    }
}

impl fmt::Display for CaptureSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CaptureSource {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let all = [Self::Auto, Self::Oplog, Self::ChangeStream];
        let found = all.into_iter().find(|it| it.as_str() == text);
        found.ok_or_else(|| {
            format!("{text:?} is none of them: auto, oplog and change-stream are possible")
        })
    }
}

impl Default for CaptureOptions {
    fn default() -> Self {
        Self {
            slice_bytes: 16 << 20,
            slice_age: Duration::from_secs(10),
            select: Selector::default(),
            until_caught_up: false,
            source: CaptureSource::Auto,
            read_preference: None,
        }
    }
}

impl CaptureOptions {
    /// Sets how long a slice is at most, in bytes before compression.
    #[must_use]
    pub fn slice_bytes(mut self, bytes: u64) -> Self {
        self.slice_bytes = bytes;
        self
    }

    /// Sets how old the first entry of a slice becomes before it is stored.
    #[must_use]
    pub fn slice_age(mut self, age: Duration) -> Self {
        self.slice_age = age;
        self
    }

    /// Sets the namespaces to capture.
    #[must_use]
    pub fn select(mut self, select: Selector) -> Self {
        self.select = select;
        self
    }

    /// Sets whether it ends when it has caught up.
    #[must_use]
    pub fn until_caught_up(mut self, yes: bool) -> Self {
        self.until_caught_up = yes;
        self
    }

    /// Sets where what is written is learned from.
    #[must_use]
    pub fn source(mut self, source: CaptureSource) -> Self {
        self.source = source;
        self
    }

    /// Sets which members are read.
    #[must_use]
    pub fn read_preference(mut self, preference: ReadPreference) -> Self {
        self.read_preference = Some(preference);
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        if !(1..=MOST_SLICE_BYTES).contains(&self.slice_bytes) {
            return Err(Error::invalid(
                "a slice has at most 256 MiB, and at least a byte (--slice-bytes)",
            ));
        }
        if !(Duration::from_millis(100)..=LONGEST_AGE).contains(&self.slice_age) {
            return Err(Error::invalid(
                "the age of a slice is 100 milliseconds to an hour (--slice-age)",
            ));
        }
        Ok(())
    }
}
