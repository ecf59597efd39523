//! What verification of a snapshot finds, and what it does not call damage.

use std::sync::Arc;

use bson::doc;
use bytes::Bytes;
use futures::TryStreamExt;
use rdump::{
    CancellationToken, Compression, DamageKind, DumpOptions, ErrorKind, Namespace, Repository,
    Snapshot, SnapshotManifest, SnapshotVerifyOptions, Store,
    storage::{MemoryStore, PutIf},
};
use rdump_format::{
    Compressor, Digester, Segment, SegmentRecord,
    repository::{CatalogEntry, StoredObject},
};
use rdump_testkit::ReplicaSet;

use super::{Objects, backup, in_memory, objects, paths, store_of, try_verify, verify};

/// A snapshot of two collections.
async fn made() -> (Arc<MemoryStore>, Repository, Snapshot) {
    let source = ReplicaSet::start().await;
    for name in ["a", "b"] {
        let documents = (0..100).map(|id| doc! { "_id": id });
        let collection = source.client().database("shop").collection(name);
        collection.insert_many(documents).await.unwrap();
    }
    let (store, repository) = in_memory().await;
    let options = DumpOptions::default()
        .db("shop")
        .compression(Compression::ZSTD);
    let snapshot = backup(&repository, &source, options).await;
    (store, repository, snapshot)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_manifest_names_is_told_of_and_is_no_damage() {
    let (store, repository, snapshot) = made().await;
    let folder = snapshot.id().folder();
    let stray = [
        "data/1-77.bson.zst",
        "data/x/y",
        "notes.txt",
        "parts/2-0.bson.zst",
    ];
    for path in stray {
        let path = format!("{folder}{path}");
        let put = store.put(&path, Bytes::from_static(b"stray"), PutIf::Absent);
        put.await.unwrap();
    }
    let report = verify(&repository, &snapshot).await;
    assert!(report.is_whole(), "{report}");
    let expected = stray.map(|path| format!("{folder}{path}"));
    assert_eq!(report.unreferenced, expected);
    assert_eq!(report.unreferenced_objects, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_verified_is_recorded_and_does_not_add_up() {
    let (store, repository, snapshot) = made().await;
    let before = objects(&*store).await;
    for _ in 0..3 {
        assert!(verify(&repository, &snapshot).await.is_whole());
    }
    let deep = SnapshotVerifyOptions::default().deep(true);
    let (report, _) = try_verify(&repository, &snapshot, &deep).await;
    let report = report.unwrap();
    assert_eq!((report.documents, report.objects), (200, 2));
    let mut after = objects(&*store).await;
    for number in 1..=4 {
        let record = after.remove(&format!("verified/{}-{number}.json", snapshot.id()));
        assert!(record.is_some(), "{number}");
    }
    assert_eq!(after, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_of_a_verification_does_not_matter() {
    let (store, repository, snapshot) = made().await;
    let path = format!("verified/{}-1.json", snapshot.id());
    let put = store.put(&path, Bytes::from_static(b"{}"), PutIf::Absent);
    put.await.unwrap();
    let report = verify(&repository, &snapshot).await;
    assert!(report.is_whole(), "{report}");
    assert!(
        objects(&*store)
            .await
            .contains_key(&path.replace("-1.json", "-2.json"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_part_of_the_manifest_names_is_not_said_to_be_unreferenced() {
    let (store, repository, snapshot) = made().await;
    let part = &snapshot.manifest().parts[0].path;
    let part = format!("{}{part}", snapshot.id().folder());
    store.delete(&[&part]).await.unwrap();
    let report = verify(&repository, &snapshot).await;
    assert!(
        paths(&report.damage).into_iter().eq([part.as_str()]),
        "{report}"
    );
    assert_eq!(
        (report.unreferenced_objects, report.unreferenced.len()),
        (0, 0)
    );
}

/// The objects with another manifest, of which there is a right copy.
fn with_manifest(objects: &Objects, manifest: &SnapshotManifest) -> Objects {
    let bytes = Bytes::from(manifest.to_bytes().unwrap());
    let mut objects = objects.clone();
    objects.insert(manifest.id.manifest(), bytes.clone());
    objects.insert(manifest.id.manifest_copy(), bytes);
    objects
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_contradicts_what_it_names_is_found() {
    let (store, _, snapshot) = made().await;
    let (whole, id) = (objects(&*store).await, snapshot.id());
    let changed = |change: fn(&mut SnapshotManifest)| {
        let mut manifest = snapshot.manifest().clone();
        change(&mut manifest);
        manifest
    };
    let catalog = format!("{}{}", id.folder(), snapshot.manifest().catalog.path);
    for (path, kind, manifest) in [
        (
            catalog,
            DamageKind::Format,
            changed(|manifest| manifest.namespaces += 1),
        ),
        (
            id.manifest(),
            DamageKind::Manifest,
            changed(|manifest| manifest.objects -= 1),
        ),
        (
            id.manifest(),
            DamageKind::Manifest,
            changed(|manifest| manifest.run.documents += 1),
        ),
        (
            id.manifest(),
            DamageKind::Manifest,
            changed(|manifest| manifest.parts.clear()),
        ),
    ] {
        let store = store_of(&with_manifest(&whole, &manifest)).await;
        let repository = Repository::open_in(store).await.unwrap();
        let snapshot = repository.snapshot(id).await.unwrap();
        let report = verify(&repository, &snapshot).await;
        let found = report.damage.first();
        let found = found.map(|damage| (damage.path.as_str(), damage.kind));
        assert_eq!(found, Some((path.as_str(), kind)), "{report}");
        let (_, errors) = super::read(&snapshot).await;
        assert_eq!(
            errors.first().map(rdump::Error::kind),
            Some(ErrorKind::Data)
        );
    }
}

/// A catalog of these entries, as an object of its own.
fn catalog(entries: &[CatalogEntry]) -> (StoredObject, Vec<u8>) {
    let mut segment = Segment::default();
    for entry in entries {
        segment.body.extend(entry.to_document().unwrap());
        segment.documents += 1;
    }
    let mut compressor = Compressor::new(Compression::ZSTD).unwrap();
    let stored = segment.seal(&mut compressor, Vec::new()).unwrap();
    let (documents, bytes) = (segment.documents, segment.body.len() as u64);
    let record = SegmentRecord::of(documents, bytes, &stored, &mut Digester::new());
    (
        StoredObject::new("catalog/1-1.bson.zst", vec![record]),
        stored,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_of_other_namespaces_than_are_stored_is_found_and_nothing_is_restored() {
    let (store, _, snapshot) = made().await;
    let (whole, id) = (objects(&*store).await, snapshot.id());
    let entries: Vec<_> = snapshot.catalog().try_collect().await.unwrap();
    type Change = fn(&mut Vec<CatalogEntry>);
    let changes: [(Change, Option<&str>); 7] = [
        (|_| {}, None),
        (
            |entries| {
                let mut other = CatalogEntry::new(Namespace::new("shop", "c"));
                other.data = Some(other.namespace.clone());
                entries.push(other);
            },
            Some("it has no end of shop.c"),
        ),
        (
            |entries| entries.truncate(1),
            Some(" is not in its catalog"),
        ),
        (
            |entries| entries.push(entries[0].clone()),
            Some(" is there twice"),
        ),
        (
            |entries| entries[1].data = entries[0].data.clone(),
            Some("those of another namespace"),
        ),
        (
            |entries| entries[1].metadata.as_mut().unwrap().uuid = Some([7; 16]),
            Some("of another collection"),
        ),
        (
            |entries| entries[1].data = None,
            Some(" is not in its catalog"),
        ),
    ];
    for (change, text) in changes {
        let mut entries = entries.clone();
        change(&mut entries);
        let (object, bytes) = catalog(&entries);
        let mut whole = whole.clone();
        whole.insert(format!("{}{}", id.folder(), object.path), bytes.into());
        let mut manifest = snapshot.manifest().clone();
        manifest.catalog = object;
        manifest.namespaces = entries.len() as u64;
        let store = store_of(&with_manifest(&whole, &manifest)).await;
        let repository = Repository::open_in(store).await.unwrap();
        let snapshot = repository.snapshot(id).await.unwrap();
        let report = verify(&repository, &snapshot).await;
        assert_eq!(report.is_whole(), text.is_none(), "{report}");
        let (documents, errors) = super::read(&snapshot).await;
        let namespaces = snapshot.namespaces().await;
        assert_eq!(namespaces.is_ok(), text.is_none(), "{namespaces:?}");
        let Some(text) = text else { continue };
        assert!(report.to_string().contains(text), "{text}: {report}");
        assert!(documents.is_empty(), "{text}");
        assert!(errors[0].to_string().contains(text), "{text}: {errors:?}");
        assert_eq!(errors[0].kind(), ErrorKind::Data);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_is_found_although_more_is_lost() {
    let (store, repository, snapshot) = made().await;
    let whole = objects(&*store).await;
    let folder = snapshot.id().folder();
    let lost: Vec<_> = whole
        .keys()
        .filter(|path| path.starts_with(&folder))
        .collect();
    for path in &lost {
        store.delete(&[path]).await.unwrap();
    }
    let report = verify(&repository, &snapshot).await;
    // What data there was is said by a part that is lost too.
    let found: Vec<_> = report
        .damage
        .iter()
        .map(|damage| (&damage.path, damage.kind))
        .collect();
    let expected = lost.iter().filter(|path| !path.contains("/data/"));
    let expected: Vec<_> = expected.map(|path| (*path, DamageKind::Missing)).collect();
    let mut sorted = found.clone();
    sorted.sort_by_key(|(path, _)| *path);
    assert_eq!(sorted, expected);
    assert_eq!(report.unreferenced_objects, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_can_be_cancelled() {
    let (_, repository, snapshot) = made().await;
    let cancel = CancellationToken::new();
    cancel.cancel();
    let options = SnapshotVerifyOptions::default();
    let verified = repository.verify(snapshot.id(), &options, Arc::new(()), cancel);
    assert_eq!(verified.await.unwrap_err().kind(), ErrorKind::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_is_found_although_the_manifest_is_lost() {
    let (store, repository, snapshot) = made().await;
    let whole = objects(&*store).await;
    let data = whole.keys().find(|path| path.contains("/data/")).unwrap();
    let mut changed = whole[data].to_vec();
    changed[0] ^= 1;
    let put = store.put(data, changed.into(), PutIf::Always);
    put.await.unwrap();
    let manifest = snapshot.id().manifest();
    store.delete(&[&manifest]).await.unwrap();
    let report = verify(&repository, &snapshot).await;
    let found: Vec<_> = paths(&report.damage).into_iter().collect();
    assert_eq!(found, [manifest.as_str(), data.as_str()], "{report}");
    assert!(report.verified_bytes > 0);
}
