//! Repositories and bundles of every version of the format, which this version must read for ever.

use std::{
    io::Cursor,
    path::{Path, PathBuf},
    sync::Arc,
};

use bson::RawDocument;
use futures::TryStreamExt;
use rdump::{
    BundleReader, CancellationToken, Codec, ErrorKind, Identities, Location, Repository,
    RestorePoint, Selector, Snapshot, SnapshotVerifyOptions, Store, media::DumpReader,
    storage::MemoryStore,
};
use rdump_format::{
    Digest,
    repository::{BegunRecord, GapReason, GapRecord, OplogSlice, SliceSource},
};

use super::{Documents, bundle, read_whole, store_of, try_verify};

/// What opens what is encrypted in `testdata`: a key from the documentation of age.
const KEY: &str = "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";
/// What all snapshots there hold.
const DOCUMENTS: &str = "262d22130edfee0626b506e584d6b75134f616b3d69542ca1f750b65b6e77ed2";

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata")
}

/// What documents are, namespace by namespace.
fn digest(documents: &Documents) -> String {
    let mut bytes = Vec::new();
    for (namespace, documents) in documents {
        bytes.extend_from_slice(namespace.as_bytes());
        bytes.push(0);
        bytes.extend(documents.iter().flatten());
    }
    Digest::of(&bytes).to_string()
}

/// A copy in memory, since what is verified is taken down.
pub(super) async fn copy_of(name: &str) -> Arc<dyn Store> {
    let folder = Location::from(testdata().join(name).as_path());
    store_of(&super::objects(&*folder.open().unwrap()).await).await
}

async fn check(repository: &Repository, snapshot: &Snapshot) {
    let deep = SnapshotVerifyOptions::default().deep(true);
    let (report, _) = try_verify(repository, snapshot, &deep).await;
    let report = report.unwrap();
    assert!(report.is_whole(), "{report}");
    assert_eq!(report.documents, snapshot.manifest().run.documents);
    assert_eq!(report.unreferenced_objects, 0);
    assert_eq!(snapshot.namespaces().await.unwrap().len(), 10);
    assert!(snapshot.run().await.unwrap().options.is_object());
    assert_eq!(digest(&read_whole(snapshot).await), DOCUMENTS);
}

#[tokio::test]
async fn repositories_of_version_1_0_are_read() {
    let store = copy_of("repository-1.0").await;
    let repository = Repository::open_in(Arc::clone(&store)).await.unwrap();
    let listed = repository.snapshots().await.unwrap();
    assert_eq!((listed.damaged.len(), listed.unfinished.len()), (0, 0));
    let [plain, _] = listed.whole.as_slice() else {
        panic!("{listed:?}");
    };
    let manifest = plain.manifest();
    assert_eq!(
        (manifest.codec, manifest.is_encrypted()),
        (Codec::Zstd, false)
    );
    assert_eq!(manifest.tags["env"], "test");
    check(&repository, plain).await;
    let repository = repository.identities(Some(Identities::parse(&KEY.into()).unwrap()));
    let encrypted = repository.find_snapshot("latest").await.unwrap();
    let manifest = encrypted.manifest();
    assert_eq!(
        (manifest.codec, manifest.is_encrypted()),
        (Codec::Gzip, true)
    );
    check(&repository, &encrypted).await;
}

#[tokio::test]
async fn repositories_of_version_1_1_are_read() {
    let store = copy_of("repository-1.1").await;
    let repository = Repository::open_in(Arc::clone(&store)).await.unwrap();
    let snapshot = repository.find_snapshot("latest").await.unwrap();
    let deep = SnapshotVerifyOptions::default().deep(true);
    let (report, _) = try_verify(&repository, &snapshot, &deep).await;
    assert!(report.unwrap().is_whole());
    let run = &snapshot.manifest().run;
    let moment = Some("1795414249:154");
    assert_eq!(
        (run.consistency.as_str(), run.consistent_at.as_deref()),
        ("oplog", moment)
    );
    let mut documents = read_whole(&snapshot).await;
    assert_eq!(documents.remove(".oplog").unwrap().len(), 1);
    assert_eq!(digest(&documents), DOCUMENTS);
    let begun = super::objects(&*store).await;
    let begun = begun.iter().find(|(path, _)| path.starts_with("begun/"));
    let begun = BegunRecord::from_bytes(begun.unwrap().1).unwrap();
    assert_eq!(begun.captured_from.as_deref(), moment);
}

/// The ids that are inserted into `shop.log` by what was captured, in order.
async fn captured_ids(repository: &Repository, after: &str, until: &str) -> Vec<i32> {
    let until = Some(until.parse().unwrap());
    let captured = repository.captured(after.parse().unwrap(), until).await;
    let captured = captured.unwrap();
    let slices: Vec<_> = captured.entries().try_collect().await.unwrap();
    let slices = slices.concat();
    let entries = rdump_format::documents(&slices);
    let inserted = entries.filter_map(|entry| {
        let entry = RawDocument::from_bytes(entry.unwrap()).unwrap();
        let is_insert = ["op", "ns"].map(|name| entry.get_str(name).unwrap()) == ["i", "shop.log"];
        let document = entry.get_document("o").unwrap();
        is_insert.then(|| document.get_i32("_id").unwrap())
    });
    inserted.collect()
}

#[tokio::test]
async fn timelines_of_version_1_1_are_read() {
    // A capture of the oplog, a gap, and a capture of a change stream, the last slice of which is encrypted.
    let store = copy_of("timeline-1.1").await;
    let repository = Repository::open_in(Arc::clone(&store)).await.unwrap();
    let verified = repository
        .verify_timeline(Arc::new(()), CancellationToken::new())
        .await;
    let verified = verified.unwrap();
    assert_eq!(verified.damage, []);
    let timeline = repository.timeline().await.unwrap();
    let stretches = timeline.stretches();
    let stretches: Vec<_> = stretches
        .iter()
        .map(|it| (it.start.to_string(), it.end.to_string()))
        .collect();
    let expected = [
        ("1795440725:1", "1795440727:2"),
        ("1795440727:4", "1795440732:2"),
    ];
    let expected = expected.map(|(start, end)| (start.to_owned(), end.to_owned()));
    assert_eq!(stretches, expected);
    let objects = super::objects(&*store).await;
    let [gap] = timeline.gaps().collect::<Vec<_>>()[..] else {
        panic!("one gap");
    };
    let gap = GapRecord::from_bytes(&objects[&gap.path()]).unwrap();
    assert_eq!(gap.reason, GapReason::OtherSource);
    let slices: Vec<_> = timeline.slices().collect();
    let of_stream = slices.iter().find(|slice| slice.start == gap.end).unwrap();
    let of_stream = OplogSlice::read(&objects[&of_stream.path()]).unwrap();
    assert_eq!(of_stream.header.from, SliceSource::ChangeStream);
    assert_eq!(of_stream.header.term, Some(1));
    assert!(of_stream.footer.resume.is_some());
    assert_eq!(
        captured_ids(&repository, "1795440725:1", "1795440727:2").await,
        [0, 1, 2, 3, 4, 5, 6]
    );
    let latest = repository.point_in_time(RestorePoint::Latest, None).await;
    let latest = latest.unwrap();
    assert_eq!(
        (latest.base().to_string(), latest.at().to_string()),
        ("1795440729:1".to_owned(), "1795440732:2".to_owned())
    );
    let locked = repository.captured(gap.end, None).await.unwrap();
    let locked: Result<Vec<_>, _> = locked.entries().try_collect().await;
    assert_eq!(locked.unwrap_err().kind(), ErrorKind::Denied);
    let repository = repository.identities(Some(Identities::parse(&KEY.into()).unwrap()));
    let encrypted = slices.last().unwrap();
    let from = encrypted.start.to_string();
    assert_eq!(
        captured_ids(&repository, &from, "1795440732:2").await,
        [12, 13]
    );
}

#[tokio::test]
async fn audit_records_of_version_1_1_are_read() {
    let folder = Location::from(testdata().join("audit-1.1").as_path());
    let repository = Repository::open(&folder).await.unwrap();
    let head = "ac99905c2ee3f8c6985b366be39322809dcf5ebbf45151e1bba14a5402d4e24b";
    let head: Digest = head.parse().unwrap();
    let mut entries = Vec::new();
    let report = repository.audit(Some(head), |entry| entries.push(entry.clone()));
    let report = report.await.unwrap();
    assert!(report.is_whole(), "{report}");
    assert_eq!((report.entries, report.head.unwrap().sha256), (7, head));
    assert_eq!(report.unended.into_iter().collect::<Vec<_>>(), [6]);
    let restored = &entries[4];
    assert_eq!(
        (restored.who.user.as_str(), restored.verb.as_str()),
        ("alice", "restore")
    );
    let error = restored.error.as_ref().unwrap();
    assert_eq!(error.message.as_deref(), Some("shop.c: it is there…"));
    assert_eq!(entries[1].figures["documents"], 1_204_411);
    // What is of before there was such a record has none.
    let before = Location::from(testdata().join("timeline-1.1").as_path());
    let report = Repository::open(&before).await.unwrap();
    let report = report.audit(None, |_| {}).await.unwrap();
    assert!(report.is_whole() && report.head.is_none());
}

#[tokio::test]
async fn bundles_of_version_1_0_are_read() {
    let bytes = std::fs::read(testdata().join("bundle-1.0.tar")).unwrap();
    let identities = Identities::passphrase(&"correct horse".into()).unwrap();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new("backups"));
    bundle::unbundle(&store, Cursor::new(bytes.clone()))
        .await
        .unwrap();
    let repository = Repository::open_in(store).await.unwrap();
    let repository = repository.identities(Some(identities.clone()));
    let snapshot = repository.find_snapshot("latest").await.unwrap();
    assert_eq!(snapshot.manifest().codec, Codec::None);
    check(&repository, &snapshot).await;
    assert_eq!(bundle::bundle(&repository, &snapshot).await, bytes);
    let select = Selector::default();
    let reader = BundleReader::stream("a bundle", Cursor::new(bytes), &select, Some(identities));
    assert_eq!(reader.await.unwrap().contents().entries.len(), 10);
}
