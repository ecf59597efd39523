use rdump_storage::MemoryStore;

use super::*;

const LASTS: Duration = Duration::from_secs(60);

fn store() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new("backups"))
}

/// A lease of somebody on another machine.
async fn elsewhere(store: &Arc<dyn Store>, expires_at: &str) -> LeaseRecord {
    let mut record = LeaseRecord::new("x", "elsewhere", "", "2026-01-02T03:04:05Z", expires_at);
    record.number = 7;
    let bytes = record.to_bytes().unwrap();
    let path = record.path();
    let put = store.put(&path, bytes.into(), PutIf::Always);
    put.await.unwrap();
    record
}

async fn stored(store: &Arc<dyn Store>) -> Option<LeaseRecord> {
    held(&**store, "x").await.unwrap().map(|(record, _)| record)
}

#[tokio::test(start_paused = true)]
async fn one_has_it_until_it_is_released() {
    let store = store();
    let lease = Lease::take(&store, "x", LASTS).await.unwrap();
    let record = stored(&store).await.unwrap();
    assert_eq!((record.number, record.name.as_str()), (1, "x"));
    assert_eq!(holder(&*store, "x").await.unwrap(), Some(record));
    let error = Lease::take(&store, "x", LASTS).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    // Something else is another's.
    Lease::take(&store, "y", LASTS).await.unwrap();
    lease.check().await.unwrap();
    lease.release().await;
    assert_eq!(stored(&store).await, None);
    assert_eq!(holder(&*store, "x").await.unwrap(), None);
    Lease::take(&store, "x", LASTS).await.unwrap();
}

#[tokio::test]
async fn what_has_expired_is_taken_over_under_the_next_number() {
    let store = store();
    elsewhere(&store, "2100-01-02T03:04:05Z").await;
    let error = Lease::take(&store, "x", LASTS).await.unwrap_err();
    assert!(error.to_string().contains("elsewhere"), "{error}");
    elsewhere(&store, "nonsense").await;
    Lease::take(&store, "x", LASTS).await.unwrap_err();
    elsewhere(&store, "2026-01-02T03:04:06Z").await;
    let lease = Lease::take(&store, "x", LASTS).await.unwrap();
    assert_eq!(stored(&store).await.unwrap().number, 8);
    lease.check().await.unwrap();
}

#[tokio::test]
async fn the_lease_of_a_dead_process_is_free_at_once() {
    let store = store();
    let mut record = elsewhere(&store, "2100-01-02T03:04:05Z").await;
    let this = process::this();
    let (before, _) = this.rsplit_once(' ').unwrap();
    record.process = format!("{before} 0");
    let bytes = record.to_bytes().unwrap();
    let path = record.path();
    let put = store.put(&path, bytes.into(), PutIf::Always);
    put.await.unwrap();
    assert_eq!(holder(&*store, "x").await.unwrap(), None);
    Lease::take(&store, "x", LASTS).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn it_is_renewed_and_lost_to_who_takes_it() {
    let store = store();
    let lease = Lease::take(&store, "x", LASTS).await.unwrap();
    tokio::time::sleep(LASTS * 3).await;
    lease.check().await.unwrap();
    elsewhere(&store, "2100-01-02T03:04:05Z").await;
    tokio::time::sleep(LASTS / 2).await;
    let error = lease.check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(
        error.to_string().contains("lost to another writer"),
        "{error}"
    );
    // What is another's stays.
    lease.release().await;
    assert_eq!(stored(&store).await.unwrap().host, "elsewhere");
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_noted_at_each_renewal() {
    let store = store();
    let lease = Lease::take(&store, "x", LASTS).await.unwrap();
    let counters = Arc::new(Counters::default());
    lease.note(&counters);
    counters.waiting_bytes.add(7);
    let noted = async || stored(&store).await.unwrap().waiting;
    assert_eq!(noted().await, None);
    tokio::time::sleep(LASTS / 2).await;
    assert_eq!(noted().await.unwrap().bytes, 7);
    counters.waiting_bytes.take_back(7);
    tokio::time::sleep(LASTS / 2).await;
    assert_eq!(noted().await.unwrap().bytes, 0);
    lease.release().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_renewed_is_lost_when_it_expires() {
    let store = store();
    let mut lease = Lease::take(&store, "x", LASTS).await.unwrap();
    lease._renewing.abort_all();
    tokio::time::sleep(LASTS / 2).await;
    lease.check().await.unwrap();
    tokio::time::sleep(LASTS / 2).await;
    let error = lease.check().await.unwrap_err();
    assert!(
        error.to_string().contains("could not be renewed"),
        "{error}"
    );
}
