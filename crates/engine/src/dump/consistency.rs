//! At which moment what a dump reads is to be, and how that is reached.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::DumpOptions;
use crate::{Error, ErrorKind, Flavor, Result, Source, Topology, context::RunContext};

/// At which moment what a dump reads is to be.
///
/// # Examples
///
/// ```
/// use rdump::Consistency;
///
/// assert_eq!("snapshot".parse(), Ok(Consistency::Snapshot));
/// assert_eq!(Consistency::Auto.to_string(), "auto");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Consistency {
    /// Each collection is read at a time of its own. The default of a dump.
    #[default]
    None,
    /// The oplog is captured from before the first document is read to after the last, and a restore that replays it brings everything to
    /// the end. Needs a replica set; of Amazon DocumentDB, which has no oplog, change streams that are enabled are captured. A rename of what is dumped ends the dump, as with mongodump.
    Oplog,
    /// Everything is [read as it was at one moment](https://www.mongodb.com/docs/manual/reference/read-concern-snapshot/), of before the
    /// dump began. Needs a replica set or a sharded cluster of 5.0 or newer, which keeps what was there for
    /// [five minutes](https://www.mongodb.com/docs/manual/reference/parameters/#mongodb-parameter-param.minSnapshotHistoryWindowInSeconds)
    /// unless it is told otherwise: a dump that takes longer fails.
    Snapshot,
    /// As `Snapshot`, while the oplog is captured; if the server forgets the moment, the dump goes on as `Oplog`. Where there is only one of the two it is that one,
    /// and `None` on a standalone server, which has neither. The default of a backup.
    Auto,
}

impl Consistency {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Oplog => "oplog",
            Self::Snapshot => "snapshot",
            Self::Auto => "auto",
        }
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Consistency {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let all = [Self::Auto, Self::Snapshot, Self::Oplog, Self::None];
        let found = all.into_iter().find(|it| it.as_str() == text);
        found.ok_or_else(|| {
            format!("{text:?} is none of them: auto, snapshot, oplog and none are possible")
        })
    }
}

/// What a dump tries, as far as the options and the kind of deployment say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Aim {
    /// To read everything at one moment.
    pub(super) moment: bool,
    /// To capture the oplog.
    pub(super) oplog: bool,
    /// Whether one of the two may be missing.
    pub(super) is_lenient: bool,
}

impl Aim {
    pub(super) fn of(options: &DumpOptions, source: &Source, cx: &RunContext) -> Result<Self> {
        let server = source.server();
        let (topology, has_moments) = (server.topology, server.capabilities().snapshot_reads);
        let refuse = |message: String, hint: &str| {
            Err(Error::new(ErrorKind::Unsupported, message).with_hint(hint))
        };
        let nothing = Self {
            moment: false,
            oplog: false,
            is_lenient: false,
        };
        match (options.consistency, topology) {
            (Consistency::None, _) => Ok(nothing),
            (Consistency::Oplog, Topology::ReplicaSet) => Ok(Self {
                oplog: true,
                ..nothing
            }),
            (Consistency::Oplog, topology) => refuse(
                format!("there is no oplog to dump (--oplog, --consistency): this is a {topology}"),
                "members of a replica set have one; on a sharded cluster, dump each shard by itself",
            ),
            (Consistency::Snapshot, Topology::Standalone) => refuse(
                "a standalone server cannot be read at one moment (--consistency snapshot)"
                    .to_owned(),
                "a replica set can, of one member too; --consistency none reads each collection at a time of its own",
            ),
            (Consistency::Snapshot, _) if server.flavor == Flavor::DocumentDb => refuse(
                "Amazon DocumentDB cannot be read at one moment (--consistency snapshot)"
                    .to_owned(),
                "its change streams bring everything to one moment: --consistency oplog",
            ),
            (Consistency::Snapshot, _) if !has_moments => refuse(
                format!(
                    "MongoDB {} cannot be read at one moment (--consistency snapshot): that is new in 5.0",
                    server.version
                ),
                "replica sets have an oplog that brings everything to one moment: --consistency oplog",
            ),
            (Consistency::Snapshot, _) => Ok(Self {
                moment: true,
                ..nothing
            }),
            (Consistency::Auto, Topology::ReplicaSet) => Ok(Self {
                moment: has_moments,
                // It has neither the documents that a query leaves out nor those of views.
                oplog: options.query.is_none() && !options.views_as_collections,
                is_lenient: true,
            }),
            (Consistency::Auto, Topology::Sharded) if has_moments => Ok(Self {
                moment: true,
                is_lenient: true,
                ..nothing
            }),
            (Consistency::Auto, topology) => {
                let message = format!(
                    "each collection is read at a time of its own (consistency: none), since this is a {topology} of MongoDB {}",
                    server.version
                );
                cx.notice(None, message);
                Ok(nothing)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_parsed_says_what_can() {
        let error = "Snapshot".parse::<Consistency>().unwrap_err();
        assert_eq!(
            error,
            "\"Snapshot\" is none of them: auto, snapshot, oplog and none are possible"
        );
    }
}
