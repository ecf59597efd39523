//! What is verified or listed while it is deleted.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::FutureExt;
use rdump::{
    CancellationToken, ErrorKind, Event, Observer, OpTime, Repository, SnapshotVerifyOptions,
    Store, storage::PutIf,
};
use rdump_format::repository::PrunedRecord;

use crate::repository::{fixture::copy_of, objects};

/// Changes a store in memory when the first object or slice went through.
struct Meanwhile {
    store: Arc<dyn Store>,
    put: Mutex<Option<(String, Vec<u8>)>>,
    delete: Vec<String>,
}

impl Observer for Meanwhile {
    fn on_event(&self, event: &Event) {
        if matches!(
            event,
            Event::SnapshotStarted { .. } | Event::TimelineAdvanced { .. }
        ) {
            if let Some((path, bytes)) = self.put.lock().unwrap().take() {
                let put = self.store.put(&path, Bytes::from(bytes), PutIf::Absent);
                put.now_or_never().unwrap().unwrap();
            }
            let paths: Vec<_> = self.delete.iter().map(String::as_str).collect();
            let deleted = self.store.delete(&paths).now_or_never().unwrap();
            deleted.unwrap();
        }
    }
}

#[tokio::test]
async fn a_snapshot_that_is_deleted_while_it_is_verified_is_not_called_damaged() {
    let store = copy_of("timeline-1.1").await;
    let repository = Repository::open_in(Arc::clone(&store)).await.unwrap();
    let id = repository.find_id("latest").await.unwrap();
    let verify = async |delete: Vec<String>| {
        let observer = Meanwhile {
            store: Arc::clone(&store),
            put: Mutex::new(None),
            delete,
        };
        let options = SnapshotVerifyOptions::default();
        let cancel = CancellationToken::new();
        let verified = repository.verify(&id, &options, Arc::new(observer), cancel);
        verified.await
    };
    let paths: Vec<_> = objects(&*store).await.into_keys().collect();
    let data = paths
        .iter()
        .filter(|it| it.starts_with(&format!("{}data/", id.folder())));
    let data: Vec<_> = data.cloned().collect();
    // With one of its manifests there, data that is gone is lost.
    let lost = [vec![id.manifest_copy()], data.clone()].concat();
    let report = verify(lost).await.unwrap();
    assert!(!report.is_whole());
    let deleted = verify(vec![id.manifest()]).await.unwrap_err();
    assert_eq!(deleted.kind(), ErrorKind::Conflict);
    assert!(
        deleted.to_string().contains("was deleted while"),
        "{deleted}"
    );
}

#[tokio::test]
async fn a_slice_that_is_pruned_while_all_are_verified_is_not_called_missing() {
    let pruned_until = async |end: Option<OpTime>| {
        let store = copy_of("timeline-1.1").await;
        let repository = Repository::open_in(Arc::clone(&store)).await.unwrap();
        let timeline = repository.timeline().await.unwrap();
        let slices: Vec<_> = timeline.slices().collect();
        let put = end.map(|end| {
            let record = PrunedRecord::new(repository.record().id, end, "2026-11-24T00:00:00Z");
            (record.path(), record.to_bytes().unwrap())
        });
        let observer = Meanwhile {
            store,
            put: Mutex::new(put),
            delete: vec![slices[1].path()],
        };
        let cancel = CancellationToken::new();
        let verified = repository.verify_timeline(Arc::new(observer), cancel).await;
        (slices, verified.unwrap().damage)
    };
    let (slices, damage) = pruned_until(None).await;
    let lost: Vec<_> = damage.iter().map(|damage| damage.path.as_str()).collect();
    assert_eq!(lost, [slices[1].path()]);
    let (_, damage) = pruned_until(Some(slices[2].end)).await;
    assert_eq!(damage, []);
}
