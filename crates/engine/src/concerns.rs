//! Which members are read, and how safe a write must be, as plain data.

use std::time::Duration;

use bson::{Document, doc};
use mongodb::options::{
    ReadPreference as DriverReadPreference, ReadPreferenceOptions, SelectionCriteria, TagSet,
};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Which members of a replica set are read.
///
/// See [read preference](https://www.mongodb.com/docs/manual/core/read-preference/).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ReadPreference {
    /// The mode. Default: [`ReadMode::Primary`].
    pub mode: ReadMode,
    /// Sets of tags, tried in order. Default: none, any member.
    pub tag_sets: Vec<std::collections::BTreeMap<String, String>>,
    /// How far behind the primary a secondary may be. Default: any; at least 90.
    pub max_staleness_seconds: Option<u64>,
}

/// The mode of a [`ReadPreference`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "the server selection specification names five modes"
)]
pub enum ReadMode {
    /// The primary only.
    #[default]
    Primary,
    /// The primary, or a secondary while there is none.
    PrimaryPreferred,
    /// A secondary only.
    Secondary,
    /// A secondary, or the primary while there is none.
    SecondaryPreferred,
    /// The member with the least latency.
    Nearest,
}

impl ReadPreference {
    /// Reads by `mode`, whatever a member's tags and lag.
    pub fn new(mode: ReadMode) -> Self {
        Self {
            mode,
            ..Self::default()
        }
    }

    /// Sets the sets of tags, tried in order.
    #[must_use]
    pub fn tag_sets(mut self, tag_sets: Vec<std::collections::BTreeMap<String, String>>) -> Self {
        self.tag_sets = tag_sets;
        self
    }

    /// Sets how far behind the primary a secondary may be, in seconds.
    #[must_use]
    pub fn max_staleness_seconds(mut self, seconds: u64) -> Self {
        self.max_staleness_seconds = Some(seconds);
        self
    }

    pub(crate) fn criteria(&self) -> Result<SelectionCriteria> {
        let tag_sets: Vec<TagSet> = self
            .tag_sets
            .iter()
            .map(|tags| tags.clone().into_iter().collect())
            .collect();
        let mut options = ReadPreferenceOptions::default();
        options.tag_sets = (!tag_sets.is_empty()).then_some(tag_sets);
        options.max_staleness = self.max_staleness_seconds.map(Duration::from_secs);
        let plain = options.tag_sets.is_none() && options.max_staleness.is_none();
        let options = Some(options);
        let preference = match self.mode {
            ReadMode::Primary if plain => DriverReadPreference::Primary,
            ReadMode::Primary => {
                return Err(Error::invalid(
                    "read preference primary goes with neither tag sets nor a staleness",
                ));
            }
            ReadMode::PrimaryPreferred => DriverReadPreference::PrimaryPreferred { options },
            ReadMode::Secondary => DriverReadPreference::Secondary { options },
            ReadMode::SecondaryPreferred => DriverReadPreference::SecondaryPreferred { options },
            ReadMode::Nearest => DriverReadPreference::Nearest { options },
        };
        Ok(SelectionCriteria::ReadPreference(preference))
    }
}

/// How many members must have a write before it counts.
///
/// See [write concern](https://www.mongodb.com/docs/manual/reference/write-concern/).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct WriteConcern {
    /// Which members. Default: [`Acknowledgement::Majority`].
    pub w: Acknowledgement,
    /// Whether the write must be in their journal. Default: as the server is set up.
    pub journal: Option<bool>,
    /// How long the server waits for them before it reports a failure. Default: for ever.
    pub timeout: Option<Duration>,
}

/// Which members must have a write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Acknowledgement {
    /// Most of the voting members: the write survives a failover.
    Majority,
    /// This many members. 0: not even the one that is written to says whether it worked.
    Members(u32),
    /// Members by a rule of the set's configuration.
    Tag(String),
}

impl Default for WriteConcern {
    fn default() -> Self {
        Self {
            w: Acknowledgement::Majority,
            journal: None,
            timeout: None,
        }
    }
}

impl WriteConcern {
    /// Asks for this acknowledgement, journal and timeout as the server has them.
    pub fn new(w: Acknowledgement) -> Self {
        Self {
            w,
            ..Self::default()
        }
    }

    /// Sets whether the write must be in the journal.
    #[must_use]
    pub fn journal(mut self, journal: bool) -> Self {
        self.journal = Some(journal);
        self
    }

    /// Sets how long the server waits for the members.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The document for a command's `writeConcern` field.
    pub(crate) fn to_document(&self) -> Document {
        let mut document = match &self.w {
            Acknowledgement::Majority => doc! { "w": "majority" },
            Acknowledgement::Members(members) => doc! { "w": i64::from(*members) },
            Acknowledgement::Tag(tag) => doc! { "w": tag.as_str() },
        };
        if let Some(journal) = self.journal {
            document.insert("j", journal);
        }
        if let Some(timeout) = self.timeout {
            document.insert(
                "wtimeout",
                i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX),
            );
        }
        document
    }
}
