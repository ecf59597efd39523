use std::time::Duration;

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
    /// Which members are read. Default: the primary while there is one, or what the connection string says.
    pub read_preference: Option<ReadPreference>,
}

impl Default for CaptureOptions {
    fn default() -> Self {
        Self {
            slice_bytes: 16 << 20,
            slice_age: Duration::from_secs(10),
            select: Selector::default(),
            until_caught_up: false,
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
