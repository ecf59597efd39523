//! Which oplog is replayed.

use futures::stream::BoxStream;
use rdump_format::Namespace;
use rdump_storage::Location;

use crate::{
    Error, RestoreOptions, Result,
    media::{Access, Documents, DumpContents, DumpReader, LooseFile},
};

/// The names that members of a replica set, and masters before there were any, have their oplog under.
const IN_LOCAL: [&str; 2] = ["oplog.rs", "oplog.$main"];

/// The oplog to replay.
#[derive(Debug)]
pub(super) enum OplogSource {
    /// An entry of the dump.
    Entry(usize),
    /// A file beside it.
    File(LooseFile),
}

impl OplogSource {
    /// The oplog that was captured with the dump, or the one file named beside it; if there is neither, that of a member
    /// that was dumped with its database `local`.
    pub(super) async fn choose(
        contents: &DumpContents,
        options: &RestoreOptions,
    ) -> Result<Option<Self>> {
        if !options.oplog_replay {
            return match &options.oplog_file {
                Some(_) => Err(Error::invalid(
                    "an oplog is named (--oplogFile), but none is to be replayed (--oplogReplay)",
                )),
                None => Ok(None),
            };
        }
        let captured = position(contents, &Namespace::oplog());
        let of_members: Vec<usize> = IN_LOCAL
            .iter()
            .filter_map(|name| position(contents, &Namespace::new("local", *name)))
            .collect();
        match (captured, &options.oplog_file, of_members.as_slice()) {
            (Some(_), Some(_), _) => Err(Error::conflict(
                "cannot provide both an oplog.bson file and an oplog file with --oplogFile; nothing was changed",
            )),
            (Some(entry), None, _) => Ok(Some(Self::Entry(entry))),
            (None, Some(location), _) => {
                let location: Location = location.parse()?;
                Ok(Some(Self::File(LooseFile::open(&location).await?)))
            }
            (None, None, [entry]) => Ok(Some(Self::Entry(*entry))),
            (None, None, []) => Err(Error::invalid(
                "no oplog file to replay; make sure you run mongodump or rdump with --oplog",
            )),
            (None, None, _) => Err(Error::conflict(
                "cannot replay both local/oplog.rs.bson and local/oplog.$main.bson; nothing was changed",
            )
            .with_hint("remove one of them")),
        }
    }

    /// The entry of the dump that it is.
    pub(super) fn entry(&self) -> Option<usize> {
        match self {
            Self::Entry(entry) => Some(*entry),
            Self::File(_) => None,
        }
    }

    /// The entries of an oplog that did not arrive with the dump.
    pub(super) fn documents<'a>(
        &'a self,
        reader: &'a dyn DumpReader,
    ) -> Result<BoxStream<'a, Result<Documents>>> {
        match (self, reader.access()) {
            (Self::File(file), _) => Ok(file.documents()),
            (Self::Entry(entry), Access::Random(random)) => {
                let entry = reader.contents().entries.get(*entry);
                let entry = entry.ok_or_else(|| Error::internal("an oplog that is no entry"))?;
                Ok(random.documents(entry))
            }
            (Self::Entry(_), Access::Sequential(_)) => Err(Error::data(
                "the oplog of the archive is listed, and did not come",
            )),
        }
    }
}

fn position(contents: &DumpContents, namespace: &Namespace) -> Option<usize> {
    let mut entries = contents.entries.iter();
    entries.position(|entry| entry.namespace == *namespace)
}
