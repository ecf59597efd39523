//! Which oplog is replayed.

use std::collections::{HashMap, HashSet};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use rdump_format::{Namespace, OpTime, OpTimeLimit, Remap};
use rdump_storage::Location;

use super::{ledger::ReplayedUntil, replay::OfTarget, selection};

use crate::{
    Error, RestoreOptions, Result,
    media::{Access, Documents, DumpContents, DumpReader, LooseFile},
};

/// The names that members of a replica set, and masters before there were any, have their oplog under.
const IN_LOCAL: [&str; 2] = ["oplog.rs", "oplog.$main"];

/// The oplog to replay.
#[derive(Debug)]
pub(super) struct PlannedOplog {
    pub(super) source: OplogSource,
    /// What of it is replayed, and under which names, if that is not all of it as it is.
    pub(super) names: Option<OplogNames>,
    /// How far an earlier run has replayed it, which had restored everything else.
    pub(super) replayed: Option<ReplayedUntil>,
    /// The moment that the dump is of without it, if it is of one.
    pub(super) since: OpTime,
    /// The moment until which documents of the dump may be later than the entries about them.
    pub(super) fuzzy_until: OpTime,
    /// Where it ends.
    pub(super) limit: OpTimeLimit,
    /// Whether everything that a transaction needs has to be there.
    pub(super) is_whole: bool,
    /// Whether it is from a repository.
    pub(super) is_of_snapshot: bool,
    /// What the target has and keeps, of what the oplog makes, if that was looked at.
    pub(super) kept: Option<OfTarget>,
    /// What the target has and is dropped first, since it makes it anew.
    pub(super) dropped: Vec<Namespace>,
}

/// Which namespaces are restored, under which names; also of those that only the oplog has.
#[derive(Debug)]
pub(super) struct OplogNames {
    options: RestoreOptions,
    remap: Remap,
    /// What is left alone at the target, by its name in the dump.
    skipped: HashSet<Namespace>,
    /// What is needed for a while, since what is restored gets its name later.
    renamed: HashMap<Namespace, Namespace>,
}

impl OplogNames {
    /// `None` if all is restored as it is.
    pub(super) fn new(
        options: &RestoreOptions,
        skipped: HashSet<Namespace>,
        renamed: HashMap<Namespace, Namespace>,
    ) -> Result<Option<Self>> {
        if !options.is_part() && skipped.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            remap: selection::remap(options)?,
            options: options.clone(),
            skipped,
            renamed,
        }))
    }

    /// What is dropped in the end, if it is there still.
    pub(super) fn meanwhile(&self) -> impl Iterator<Item = &Namespace> {
        self.renamed.values()
    }

    /// The name that a namespace of the dump gets at the target, if it is restored.
    pub(super) fn target(&self, namespace: &Namespace) -> Option<Namespace> {
        if let Some(meanwhile) = self.renamed.get(namespace) {
            return Some(meanwhile.clone());
        }
        let is_wanted =
            selection::is_asked_for(namespace, &self.options) && !self.skipped.contains(namespace);
        // Names that cannot be are refused as those of the dump are, when the plan is made.
        is_wanted.then(|| self.remap.apply(namespace).ok())?
    }
}

/// Where the oplog to replay is.
#[derive(Debug)]
pub(crate) enum OplogSource {
    /// An entry of the dump.
    Entry(usize),
    /// A file beside it.
    File(LooseFile),
    /// That of the dump, if it has one, and what was captured after it.
    Timeline(Option<usize>),
}

impl OplogSource {
    /// The oplog that was captured with the dump, or the one file named beside it; if there is neither, that of a member
    /// that was dumped with its database `local`.
    ///
    /// A snapshot that is of one moment only with its oplog is restored with it, even if nobody asks for that.
    pub(crate) async fn choose(
        reader: &dyn DumpReader,
        options: &RestoreOptions,
    ) -> Result<Option<Self>> {
        let (contents, is_snapshot) = (reader.contents(), reader.identity().is_some());
        if let Some(until) = reader.until() {
            if options.oplog_replay || options.oplog_file.is_some() {
                return Err(Error::invalid(
                    "an oplog is replayed by itself where a restore goes to a moment: --oplogReplay and --oplogFile contradict that",
                ));
            }
            let captured = position(contents, &Namespace::oplog());
            return Ok(Some(Self::Timeline(captured.filter(|_| until.has_oplog()))));
        }
        let run = contents.run.as_ref().filter(|_| is_snapshot);
        let needs_oplog = run.is_some_and(|run| run.consistency == "oplog");
        if needs_oplog && options.oplog_file.is_none() {
            let captured = position(contents, &Namespace::oplog()).ok_or_else(|| {
                Error::data("the oplog that brings the snapshot to one moment is not in it")
            })?;
            return Ok(Some(Self::Entry(captured)));
        }
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
    pub(crate) fn entry(&self) -> Option<usize> {
        match self {
            Self::Entry(entry) => Some(*entry),
            Self::Timeline(entry) => *entry,
            Self::File(_) => None,
        }
    }

    /// The entries of an oplog that did not arrive with the dump.
    pub(crate) fn documents<'a>(
        &'a self,
        reader: &'a dyn DumpReader,
    ) -> Result<BoxStream<'a, Result<Documents>>> {
        match (self, reader.access()) {
            (Self::File(file), _) => Ok(file.documents()),
            (Self::Timeline(captured), Access::Random(random)) => {
                let until = reader.until();
                let until = until.ok_or_else(|| Error::internal("no moment to go to"))?;
                let captured = captured.and_then(|entry| reader.contents().entries.get(entry));
                let captured = captured.map(|entry| random.documents(entry));
                let captured = captured.unwrap_or_else(|| stream::empty().boxed());
                Ok(captured.chain(until.documents()).boxed())
            }
            (Self::Entry(entry), Access::Random(random)) => {
                let entry = reader.contents().entries.get(*entry);
                let entry = entry.ok_or_else(|| Error::internal("an oplog that is no entry"))?;
                Ok(random.documents(entry))
            }
            (Self::Entry(_) | Self::Timeline(_), Access::Sequential(_)) => Err(Error::data(
                "the oplog of the archive is listed, and did not come",
            )),
        }
    }
}

fn position(contents: &DumpContents, namespace: &Namespace) -> Option<usize> {
    let mut entries = contents.entries.iter();
    entries.position(|entry| entry.namespace == *namespace)
}
