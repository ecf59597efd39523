//! A snapshot being restored.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    sync::Arc,
};

use futures::{FutureExt, StreamExt, TryStreamExt, stream::BoxStream};
use rdump_format::{
    Namespace, Prelude, Selector,
    repository::{AuditVerb, CatalogEntry, DataKeys},
};

use super::{Act, PointInTime, Snapshot, snapshot::StoredNamespace};
use crate::{
    Error, Result,
    media::{
        Access, Documents, DumpContents, DumpData, DumpEntry, DumpReader, RandomAccess, is_needed,
    },
};

/// Reads a snapshot, or what is selected of it.
#[derive(Debug)]
pub struct SnapshotReader {
    snapshot: Snapshot,
    keys: Option<Arc<DataKeys>>,
    contents: DumpContents,
    /// By the namespace that the documents are under, which is what a [`DumpData`] calls its place.
    stored: HashMap<String, StoredNamespace>,
    /// What it is brought to after that.
    until: Option<PointInTime>,
}

impl SnapshotReader {
    /// Reads the catalog and the parts of the manifest; keeps what is selected. Of the data nothing is read.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if a pattern to include fits no namespace;
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) if the catalog or a part of the manifest is lost or damaged;
    /// [`ErrorKind::Frozen`](crate::ErrorKind::Frozen) if data that is wanted has to be thawed before; and as the place has them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn open(snapshot: &Snapshot, select: &Selector) -> Result<Self> {
        Self::open_and(snapshot, select, &[]).await
    }

    /// As [`open`](Self::open), where there is more to select than the snapshot has: what is made later.
    pub(super) async fn open_and(
        snapshot: &Snapshot,
        select: &Selector,
        made: &[&Namespace],
    ) -> Result<Self> {
        snapshot.check_encrypted()?;
        let keys = snapshot.keys().await?;
        let run = snapshot.run().await?;
        let needs_oplog = run.consistency == "oplog";
        let (mut entries, mut unmatched) = (Vec::new(), select.clone());
        let rest = unmatched.unmatched(made.iter().copied());
        unmatched.include = rest.into_iter().cloned().collect();
        let is_made = made.iter().any(|made| select.selects(made));
        let mut catalog = snapshot.catalog();
        let (mut in_catalog, mut with_data, mut oplog) = (0_u64, HashSet::new(), None);
        while let Some(entry) = catalog.try_next().await? {
            in_catalog += 1;
            let rest = unmatched.unmatched([&entry.namespace]);
            unmatched.include = rest.into_iter().cloned().collect();
            with_data.extend(entry.data.clone());
            if is_needed(&entry.namespace, select) {
                entries.push(entry);
            } else if needs_oplog && entry.namespace.is_oplog() {
                oplog = Some(entry);
            }
        }
        drop(catalog);
        if in_catalog != snapshot.manifest().namespaces {
            return Err(Error::data(format!(
                "the catalog of snapshot {} has {in_catalog} namespaces, and its manifest {}",
                snapshot.id(),
                snapshot.manifest().namespaces
            )));
        }
        if let Some(pattern) = unmatched.include.first() {
            let pattern = pattern.as_str();
            return Err(Error::invalid(format!(
                "no namespace of snapshot {} fits the pattern {pattern}",
                snapshot.id()
            ))
            .with_hint("`rdump show` lists its namespaces"));
        }
        if entries.is_empty() && in_catalog > 0 && !is_made {
            return Err(Error::invalid(format!(
                "nothing of snapshot {} is selected: what is included is excluded too",
                snapshot.id()
            )));
        }
        // Without it nothing of the snapshot is of one moment.
        entries.extend(oplog);
        let wanted: HashSet<Namespace> = entries
            .iter()
            .filter_map(|entry| entry.data.clone())
            .collect();
        let stored = snapshot
            .stored(Some(&with_data), |namespace| wanted.contains(namespace))
            .await?;
        let objects = stored.values().flat_map(|stored| &stored.objects);
        snapshot
            .check_readable(objects.map(|object| object.path.as_str()))
            .await?;
        let entries = entries.into_iter().map(|entry| {
            let stored = entry.data.as_ref().and_then(|data| stored.get(data));
            snapshot.check_end(&entry, stored.map(|stored| &stored.end))?;
            Ok(dump_entry(entry, stored))
        });
        let contents = DumpContents {
            prelude: Some(Prelude {
                server_version: Some(run.source.server_version.clone()),
                tool_version: run.tool_version.clone(),
            }),
            run: Some(run),
            verified: true,
            entries: entries.collect::<Result<_>>()?,
            notices: Vec::new(),
            unfinished: Vec::new(),
        };
        let stored = stored.into_iter();
        let stored = stored.map(|(namespace, stored)| (namespace.to_string(), stored));
        Ok(Self {
            snapshot: snapshot.clone(),
            keys,
            contents,
            stored: stored.collect(),
            until: None,
        })
    }

    /// Has a restore of it go to a later moment.
    pub(super) fn until(mut self, until: PointInTime) -> Self {
        self.until = Some(until);
        self
    }
}

fn dump_entry(entry: CatalogEntry, stored: Option<&StoredNamespace>) -> DumpEntry {
    let data = entry
        .data
        .as_ref()
        .zip(stored)
        .map(|(data, stored)| DumpData {
            place: data.to_string(),
            buckets: *data != entry.namespace,
            stored_bytes: stored.end.stored_bytes,
            uncompressed_bytes: Some(stored.end.uncompressed_bytes),
            documents: Some(stored.end.documents),
        });
    DumpEntry {
        namespace: entry.namespace,
        metadata: entry.metadata,
        data,
        damage: None,
        unlisted: false,
    }
}

impl DumpReader for SnapshotReader {
    fn contents(&self) -> &DumpContents {
        &self.contents
    }

    fn access(&self) -> Access<'_> {
        Access::Random(self)
    }

    fn identity(&self) -> Option<String> {
        let manifest = self.snapshot.manifest();
        let (id, repository) = (&manifest.id, &manifest.repository);
        let until = self.until.as_ref();
        let until = until.map(|until| format!(" until {}", until.at()));
        let until = until.unwrap_or_default();
        Some(format!("snapshot {id} of repository {repository}{until}"))
    }

    fn until(&self) -> Option<&PointInTime> {
        self.until.as_ref()
    }

    fn act(&self, verb: AuditVerb) -> Option<Act> {
        let until = self.until.as_ref().map(PointInTime::at);
        Some(self.snapshot.act(verb)?.until(until))
    }
}

impl RandomAccess for SnapshotReader {
    fn documents<'a>(&'a self, entry: &'a DumpEntry) -> BoxStream<'a, Result<Documents>> {
        self.segments(entry, &[])
    }

    fn segments<'a>(
        &'a self,
        entry: &'a DumpEntry,
        done: &[Range<u64>],
    ) -> BoxStream<'a, Result<Documents>> {
        let Some(data) = &entry.data else {
            return futures::stream::empty().boxed();
        };
        let Some(stored) = self.stored.get(&data.place) else {
            let error = Error::internal(format!("{} is not of this snapshot", data.place));
            return async move { Err(error) }.into_stream().boxed();
        };
        let documents = self
            .snapshot
            .read(stored.objects.clone(), self.keys.clone(), done);
        documents
            .map(move |run| run.map_err(|error| error.for_namespace(&entry.namespace)))
            .boxed()
    }
}
