//! Verification of a part of the data at a time.

use std::{collections::BTreeSet, sync::Arc};

use bson::{Binary, doc, spec::BinarySubtype};
use bytes::Bytes;
use rdump::{
    DumpOptions, Repository, Sample, Snapshot, SnapshotVerifyOptions, Store, storage::PutIf,
};
use rdump_testkit::ReplicaSet;

use super::{backup_by, in_memory, objects, paths, try_verify, watched::Watched, writer};

/// A snapshot of several collections, objects and segments.
async fn made() -> (Arc<Watched>, Repository, Snapshot) {
    let source = ReplicaSet::start().await;
    for (name, documents) in [("a", 300), ("b", 40), ("c", 2), ("d", 0)] {
        let database = source.client().database("shop");
        database.create_collection(name).await.unwrap();
        let noise = |id: usize| {
            let bytes = (0..8000).map(|n| (n ^ id).wrapping_mul(0x9E37_79B9).to_le_bytes()[2]);
            let (subtype, bytes) = (BinarySubtype::Generic, bytes.collect());
            doc! { "noise": Binary { subtype, bytes } }
        };
        if documents > 0 {
            let documents = (0..documents).map(noise);
            database
                .collection(name)
                .insert_many(documents)
                .await
                .unwrap();
        }
    }
    let (store, repository) = in_memory().await;
    let writer = writer(&repository).object_bytes(200 << 10);
    let options = DumpOptions::default().db("shop").segment_bytes(64 << 10);
    let snapshot = backup_by(writer, &repository, &source, options).await;
    let store = Watched::new(store);
    let repository = Repository::open_in(Arc::clone(&store) as Arc<dyn Store>).await;
    (store, repository.unwrap(), snapshot)
}

fn part() -> SnapshotVerifyOptions {
    SnapshotVerifyOptions::default().sample(Some(Sample::Percent(15.0)))
}

/// The pieces of data that were read: object, from, to.
fn read(store: &Watched) -> BTreeSet<(String, u64, u64)> {
    let reads = store.take().into_iter();
    reads
        .filter(|(path, _)| path.contains("/data/"))
        .map(|(path, range)| (path, range.start, range.end))
        .collect()
}

fn bytes(read: &BTreeSet<(String, u64, u64)>) -> u64 {
    read.iter().map(|(_, from, to)| to - from).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn seven_samples_of_15_percent_cover_everything_whatever_was_verified_before() {
    let (store, repository, snapshot) = made().await;
    let total = snapshot.manifest().run.stored_bytes;
    for before in [0, 1, 3] {
        for _ in 0..before {
            let (report, _) = try_verify(&repository, &snapshot, &part()).await;
            assert!(report.unwrap().is_whole());
        }
        store.take();
        let mut seen = BTreeSet::new();
        for _ in 0..7 {
            let (report, notices) = try_verify(&repository, &snapshot, &part()).await;
            let report = report.unwrap();
            assert!(
                report.is_whole() && notices.is_empty(),
                "{report} {notices:?}"
            );
            assert_eq!(report.stored_bytes, total);
            let told = report.to_string();
            assert!(told.starts_with("nothing is wrong with "), "{told}");
            let read = read(&store);
            assert_eq!(bytes(&read), report.verified_bytes);
            assert!(report.verified_bytes * 100 >= total * 15, "{report}");
            assert!(report.verified_bytes * 100 <= total * 30, "{report}");
            seen.extend(read);
        }
        assert_eq!(bytes(&seen), total);
    }
    // Nothing of a sample that is all is left away.
    let all = SnapshotVerifyOptions::default().sample(Some(Sample::Bytes(u64::MAX)));
    let (report, _) = try_verify(&repository, &snapshot, &all).await;
    assert_eq!(report.unwrap().verified_bytes, total);
    let (report, _) = try_verify(&repository, &snapshot, &SnapshotVerifyOptions::default()).await;
    assert_eq!(report.unwrap().verified_bytes, total);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_byte_is_found_by_one_of_seven_samples() {
    let (store, repository, snapshot) = made().await;
    let whole = objects(&*store).await;
    let data: Vec<_> = whole
        .iter()
        .filter(|(path, _)| path.contains("/data/"))
        .collect();
    for (path, bytes) in [data[0], data[data.len() / 2], data[data.len() - 1]] {
        let mut changed = bytes.to_vec();
        let middle = changed.len() / 2;
        changed[middle] ^= 0x40;
        store
            .put(path, changed.into(), PutIf::Always)
            .await
            .unwrap();
        let mut found = 0;
        for _ in 0..7 {
            let (report, _) = try_verify(&repository, &snapshot, &part()).await;
            let report = report.unwrap();
            if !report.is_whole() {
                assert!(
                    paths(&report.damage).into_iter().eq([path.as_str()]),
                    "{report}"
                );
                found += 1;
            }
        }
        // Where two samples meet, one segment is of both.
        assert!((1..=2).contains(&found), "{path}: {found}");
        store
            .put(path, Bytes::clone(bytes), PutIf::Always)
            .await
            .unwrap();
    }
}
