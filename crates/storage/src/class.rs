//! Storage classes, and how to read from those that cannot be read from at once.

use std::{fmt, str::FromStr, time::SystemTime};

use crate::ObjectInfo;

/// The class of what is in none that is told.
const STANDARD: &str = "STANDARD";
/// The classes of which nothing can be read before it is thawed.
const FREEZING: [&str; 2] = ["GLACIER", "DEEP_ARCHIVE"];
/// The class of which some objects cannot be read, which is told of each alone.
pub(crate) const INTELLIGENT_TIERING: &str = "INTELLIGENT_TIERING";

/// The storage class of an object, and whether it can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectClass {
    /// What the store calls it.
    pub name: String,
    /// Whether the object can be read.
    pub state: ClassState,
}

/// Whether an object can be read from its storage class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "who reads has to know every state")]
pub enum ClassState {
    /// It can be read, as from any ordinary class.
    Readable,
    /// It can be read until then, since it was thawed.
    Thawed {
        /// Until when, if the store says it.
        until: Option<SystemTime>,
    },
    /// It was asked to be thawed, and cannot be read yet.
    Thawing,
    /// It cannot be read before it is thawed.
    Frozen,
}

impl ObjectClass {
    pub(crate) fn new(name: Option<String>, state: ClassState) -> Self {
        Self {
            name: name.unwrap_or_else(|| STANDARD.to_owned()),
            state,
        }
    }

    /// Whether it can be read now.
    pub fn is_readable(&self) -> bool {
        matches!(self.state, ClassState::Readable | ClassState::Thawed { .. })
    }
}

impl ObjectInfo {
    /// Whether it is in this storage class, as far as the store tells.
    pub fn is_of_class(&self, class: &str) -> bool {
        self.storage_class.as_deref().unwrap_or(STANDARD) == class
    }

    /// Whether it is in a storage class of which nothing can be read at once; it may have been thawed.
    pub fn is_of_freezing_class(&self) -> bool {
        FREEZING.into_iter().any(|class| self.is_of_class(class))
    }

    /// Whether it may be that it cannot be read at once: its own [class](crate::Store::class) says so.
    pub fn may_be_frozen(&self) -> bool {
        self.is_of_freezing_class() || self.is_of_class(INTELLIGENT_TIERING)
    }
}

/// How a store is to thaw an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThawRequest {
    /// For how many days it can be read then, from when it is thawed. Default: 7.
    pub days: u32,
    /// How fast. Default: [`Retrieval::Standard`].
    pub retrieval: Retrieval,
}

impl ThawRequest {
    /// Sets for how many days it can be read.
    #[must_use]
    pub fn days(mut self, days: u32) -> Self {
        self.days = days;
        self
    }

    /// Sets how fast it is thawed.
    #[must_use]
    pub fn retrieval(mut self, retrieval: Retrieval) -> Self {
        self.retrieval = retrieval;
        self
    }
}

impl Default for ThawRequest {
    fn default() -> Self {
        Self {
            days: 7,
            retrieval: Retrieval::default(),
        }
    }
}

/// How fast a store thaws, which it charges for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retrieval {
    /// In hours.
    #[default]
    Standard,
    /// Slower, and cheaper.
    Bulk,
    /// In minutes, and dearer; not from every class.
    Expedited,
}

impl FromStr for Retrieval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "standard" => Ok(Self::Standard),
            "bulk" => Ok(Self::Bulk),
            "expedited" => Ok(Self::Expedited),
            _ => Err(format!("{text:?} is none of standard, bulk and expedited")),
        }
    }
}

impl fmt::Display for Retrieval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Standard => "standard",
            Self::Bulk => "bulk",
            Self::Expedited => "expedited",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_frozen_is_told_by_its_class() {
        let of = |class: Option<&str>| {
            let mut info = ObjectInfo::new("x", 1);
            info.storage_class = class.map(str::to_owned);
            info
        };
        assert!(of(None).is_of_class(STANDARD) && of(Some(STANDARD)).is_of_class(STANDARD));
        for (class, may_be) in [
            (None, false),
            (Some("GLACIER_IR"), false),
            (Some("GLACIER"), true),
            (Some("DEEP_ARCHIVE"), true),
            (Some(INTELLIGENT_TIERING), true),
        ] {
            assert_eq!(of(class).may_be_frozen(), may_be, "{class:?}");
        }
        assert!(!of(Some(INTELLIGENT_TIERING)).is_of_freezing_class());
    }

    #[test]
    fn a_retrieval_is_read_in_any_case() {
        for retrieval in [Retrieval::Standard, Retrieval::Bulk, Retrieval::Expedited] {
            let text = retrieval.to_string();
            assert_eq!(text.parse(), Ok(retrieval));
            assert_eq!(text.to_uppercase().parse(), Ok(retrieval));
        }
        assert!("fast".parse::<Retrieval>().unwrap_err().contains("fast"));
    }
}
