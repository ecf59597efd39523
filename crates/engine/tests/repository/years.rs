//! A repository as years of backups would make it, without a server, at a time of its own.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use bytes::Bytes;
use jiff::Timestamp;
use rdump::{
    Location, OpTime, Repository, RepositoryId, SnapshotId, SnapshotManifest, SourceRecord,
    SpanKind, SpanName, Store, TimelineId,
    storage::{MemoryStore, PutIf},
};
use rdump_format::repository::{
    BegunRecord, GapReason, GapRecord, OplogSlice, Previous, SliceFooter, SliceHeader,
    VerificationRecord,
};

use super::{Objects, in_memory, objects};

/// The replica set that everything is of.
pub(super) const SET: &str = "rs0";

pub(super) struct Years {
    pub(super) store: Arc<MemoryStore>,
    pub(super) repository: Repository,
    /// In seconds since 1970.
    pub(super) now: i64,
    /// How many snapshots there were.
    made: u16,
    template: SnapshotManifest,
    objects: Objects,
    timeline: u64,
    /// What was captured last, and where it ends.
    last: Option<(Previous, OpTime)>,
    /// Every slice that there ever was, and since when a transaction was open at its end.
    slices: Vec<(SpanName, Option<OpTime>)>,
}

/// What a snapshot is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    All,
    /// Of one database.
    Part,
    /// Of no single moment.
    NoMoment,
}

pub(super) fn at(seconds: i64) -> OpTime {
    OpTime {
        seconds: u32::try_from(seconds).unwrap(),
        ordinal: 1,
    }
}

fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap().to_string()
}

impl Years {
    /// An empty repository on the first of January 2020.
    pub(super) async fn new() -> Self {
        let (store, repository) = in_memory().await;
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/repository-1.0");
        let fixture = Location::from(fixture.as_path()).open().unwrap();
        let all = objects(&*fixture).await;
        let is_plain = |manifest: &SnapshotManifest| !manifest.is_encrypted();
        let manifests = all
            .iter()
            .filter(|(path, _)| path.starts_with("manifests/"));
        let mut manifests =
            manifests.map(|(_, bytes)| SnapshotManifest::from_bytes(bytes).unwrap());
        let template = manifests.find(is_plain).unwrap();
        let folder = template.id.folder();
        let of_template = all.into_iter().filter_map(|(path, bytes)| {
            let path = path.strip_prefix(&folder)?.to_owned();
            Some((path, bytes))
        });
        Self {
            store,
            repository,
            now: 1_577_836_800,
            made: 0,
            objects: of_template.collect(),
            template,
            timeline: 1,
            last: None,
            slices: Vec::new(),
        }
    }

    pub(super) fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store) as Arc<dyn Store>
    }

    fn id(&self) -> RepositoryId {
        self.repository.record().id
    }

    async fn put(&self, path: &str, bytes: impl Into<Bytes>) {
        let put = self.store.put(path, bytes.into(), PutIf::Absent);
        put.await.unwrap();
    }

    fn source(&self) -> SourceRecord {
        let mut source = self.template.run.source.clone();
        source.set_name = Some(SET.to_owned());
        source
    }

    /// Sets the only member of the set, from now on.
    pub(super) fn host(&mut self, host: &str) {
        self.template.run.source.hosts = vec![host.to_owned()];
    }

    /// Whether snapshots from now on are of more than one attempt.
    pub(super) fn resumed(&mut self, yes: bool) {
        let earlier = yes.then(|| time(self.now));
        self.template.earlier_attempts = earlier.into_iter().collect();
    }

    /// Begins a snapshot; `stored` of its objects are there.
    pub(super) async fn begin(&mut self, stored: usize) -> SnapshotId {
        self.made += 1;
        let id = SnapshotId::new(&time(self.now), self.made.to_be_bytes()).unwrap();
        let begun = BegunRecord::new(
            self.id(),
            id.clone(),
            self.source(),
            "0.1.0",
            time(self.now),
        );
        self.put(&begun.path(), begun.to_bytes().unwrap()).await;
        for (path, bytes) in self.objects.iter().take(stored) {
            self.put(&format!("{}{path}", id.folder()), bytes.clone())
                .await;
        }
        id
    }

    /// Takes a snapshot of now.
    pub(super) async fn snapshot(&mut self, of: Of, tags: &[(&str, &str)]) -> SnapshotId {
        let id = self.begin(usize::MAX).await;
        let mut manifest = self.template.clone();
        manifest.id = id.clone();
        manifest.repository = self.id();
        let run = &mut manifest.run;
        run.started_at = time(self.now);
        run.finished_at = time(self.now);
        run.source = self.source();
        run.consistency = "snapshot".to_owned();
        run.consistent_at = (of != Of::NoMoment).then(|| at(self.now).to_string());
        run.options = match of {
            Of::Part => serde_json::json!({ "db": "shop" }),
            _ => serde_json::json!({}),
        };
        let tags = tags
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        manifest.tags = tags.collect();
        let bytes = manifest.to_bytes().unwrap();
        self.put(&id.manifest(), bytes.clone()).await;
        self.put(&id.manifest_copy(), bytes).await;
        id
    }

    /// Verifies a snapshot, and finds so many places damaged.
    pub(super) async fn look(&self, id: &SnapshotId, number: u32, damaged: u64) {
        let mut record = VerificationRecord::new(self.id(), id.clone(), time(self.now));
        (record.number, record.damaged) = (number, damaged);
        record.bytes = self.template.run.stored_bytes;
        self.put(&record.path(), record.to_bytes().unwrap()).await;
    }

    /// Verifies a part of a snapshot, and finds nothing.
    pub(super) async fn sample(&self, id: &SnapshotId, number: u32) {
        let mut record = VerificationRecord::new(self.id(), id.clone(), time(self.now));
        (record.number, record.from, record.bytes) = (number, 5, 10);
        self.put(&record.path(), record.to_bytes().unwrap()).await;
    }

    fn timeline_id(&self) -> TimelineId {
        TimelineId(self.timeline.to_be_bytes())
    }

    /// Where the last slice ends, if capturing goes on.
    pub(super) fn captured_until(&self) -> Option<OpTime> {
        self.last.as_ref().map(|(_, end)| *end)
    }

    /// Stores a slice from where the last one ended, or else from `start`, until `end`.
    pub(super) async fn capture(&mut self, start: i64, end: i64, open_since: Option<OpTime>) {
        let (previous, start) = match self.last.take() {
            Some((previous, start)) => (Some(previous), start),
            None => (None, at(start)),
        };
        let capture = SnapshotId::new(&time(self.now), [0, 0]).unwrap();
        let mut header =
            SliceHeader::new(self.id(), self.timeline_id(), capture, self.source(), start);
        header.previous = previous;
        let mut footer = SliceFooter::new(at(end), time(self.now));
        footer.open_since = open_since;
        let bytes = OplogSlice::write(&header, &footer, &[]).unwrap();
        let name = SpanName::new(start, at(end), self.timeline_id(), SpanKind::Slice);
        let previous = Previous::new(name.path(), &bytes);
        self.put(&name.path(), bytes).await;
        self.last = Some((previous, at(end)));
        self.slices.push((name, open_since));
    }

    /// Nothing is known of what was written since the last slice; what comes is of another history.
    pub(super) async fn gap(&mut self, end: i64) {
        if let Some((previous, start)) = self.last.take() {
            let span = (start, at(end));
            let reason = GapReason::RolledOver;
            let mut gap = GapRecord::new(
                self.id(),
                self.timeline_id(),
                span,
                reason,
                previous,
                time(self.now),
            );
            self.timeline += 1;
            gap.next = self.timeline_id();
            self.put(&gap.name().path(), gap.to_bytes().unwrap()).await;
        }
    }

    /// The slices of before a moment that who goes on from there needs, for transactions that were open.
    pub(super) fn needed_before(&self, from: OpTime) -> Vec<String> {
        let mut slices = self.slices.iter().rev();
        // Beyond a gap nothing is known of what was open.
        let first = slices
            .clone()
            .find(|(it, _)| it.start <= from && from < it.end);
        let leads_there = |it: &SpanName| {
            first.is_some_and(|(first, _)| it.timeline == first.timeline && it.end == first.start)
        };
        let Some((last, Some(since))) = slices.find(|(slice, _)| leads_there(slice)) else {
            return Vec::new();
        };
        let is_needed = |(slice, _): &&(SpanName, _)| {
            slice.timeline == last.timeline && slice.end >= *since && slice.end <= from
        };
        let needed = self.slices.iter().filter(is_needed);
        needed.map(|(slice, _)| slice.path()).collect()
    }

    /// What a snapshot has to have, beside its manifest.
    pub(super) fn objects_of(&self, id: &SnapshotId) -> BTreeMap<String, u64> {
        let folder = id.folder();
        let objects = self.objects.iter();
        objects
            .map(|(path, bytes)| (format!("{folder}{path}"), bytes.len() as u64))
            .collect()
    }
}
