//! The record of who did what with a repository.

use std::{collections::BTreeMap, sync::Arc};

use rdump::{
    Actor, AuditEntry, AuditReport, CancellationToken, Digest, ErrorKind, Event, Location,
    Observer, RecordingObserver, Repository, SnapshotVerifyOptions, Store,
    storage::{MemoryStore, PutIf, S3Credentials, S3Store},
};
use rdump_testkit::{
    S3Server,
    s3::{ACCESS_KEY, SECRET_KEY},
};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::{all_objects, in_memory, store_of, watched::Watched};

mod tampered;
mod verbs;

async fn shown(repository: &Repository) -> (Vec<AuditEntry>, AuditReport) {
    let mut entries = Vec::new();
    let report = repository
        .audit(None, |entry| entries.push(entry.clone()))
        .await;
    (entries, report.unwrap())
}

/// What was done and came of it, of a record that is whole.
async fn acts(repository: &Repository) -> Vec<String> {
    let (entries, report) = shown(repository).await;
    assert!(report.is_whole(), "{report}");
    assert_eq!(report.entries, entries.len() as u64);
    let acts = entries
        .iter()
        .map(|it| format!("{} {}", it.verb, it.result));
    acts.collect()
}

/// Does what costs nothing and is recorded.
async fn look(repository: &Repository) {
    let looked = repository
        .verify_timeline(Arc::new(()), CancellationToken::new())
        .await;
    assert!(looked.unwrap().is_whole());
}

/// A repository in which so many entries follow the first.
async fn recorded(more: usize) -> (Arc<MemoryStore>, Repository) {
    let (store, repository) = in_memory().await;
    for _ in 0..more {
        look(&repository).await;
    }
    (store, repository)
}

fn in_bucket(location: &str) -> Arc<dyn Store> {
    let credentials = S3Credentials::new(ACCESS_KEY, SECRET_KEY);
    Arc::new(S3Store::new(location.parse().unwrap()).credentials(credentials))
}

fn in_folder(place: &TempDir) -> Arc<dyn Store> {
    let folder = place.path().join("backups");
    Location::from(folder.as_path()).create().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_that_write_at_once_each_has_an_entry_and_none_is_lost() {
    let (server, place) = (S3Server::start().await, TempDir::new().unwrap());
    let in_memory: Arc<dyn Store> = Arc::new(MemoryStore::new("backups"));
    let bucket = in_bucket(&server.location("audited"));
    for store in [in_memory, in_folder(&place), bucket] {
        Repository::init_in(Arc::clone(&store)).await.unwrap();
        let mut tasks = JoinSet::new();
        for number in 0..20 {
            let store = Arc::clone(&store);
            tasks.spawn(async move {
                let repository = Repository::open_in(store).await.unwrap();
                let actor = Actor::new("somebody").named(Some(format!("task {number}")));
                look(&repository.actor(actor)).await;
            });
        }
        tasks.join_all().await;
        let repository = Repository::open_in(store).await.unwrap();
        let (entries, report) = shown(&repository).await;
        assert!(report.is_whole(), "{report}");
        let numbers: Vec<_> = entries.iter().map(|entry| entry.number).collect();
        assert_eq!(numbers, (1..=21).collect::<Vec<_>>());
        let names = entries.iter().skip(1).map(|it| it.who.name.clone());
        let mut names: Vec<_> = names.map(Option::unwrap).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 20);
        assert_eq!(report.head.unwrap().number, 21);
    }
}

#[tokio::test]
async fn an_entry_says_who_did_it_on_which_machine_by_which_release() {
    let (store, repository) = in_memory().await;
    let store: Arc<dyn Store> = store;
    let actor = Actor::new("backup").named(Some("nightly".to_owned()));
    look(&repository.actor(actor)).await;
    let opened = Repository::open_in(Arc::clone(&store)).await.unwrap();
    look(&opened.actor(Actor::new("x".repeat(10_000)))).await;
    let repository = Repository::open_in(store).await.unwrap();
    let (entries, _) = shown(&repository).await;
    let who = &entries[1].who;
    assert_eq!(
        (who.user.as_str(), who.name.as_deref(), who.process),
        ("backup", Some("nightly"), std::process::id())
    );
    assert_eq!(who.tool_version, env!("CARGO_PKG_VERSION"));
    assert_eq!(
        (entries[0].who.user.as_str(), &entries[0].who.name),
        ("", &None)
    );
    assert_eq!(entries[2].who.user.len(), 300);
    assert!(entries[0].previous.is_none() && entries[1].previous.is_some());
}

#[tokio::test]
async fn what_there_was_before_is_no_damage_and_the_next_entry_is_the_first() {
    let (store, _) = in_memory().await;
    let mut objects = all_objects(&*store).await;
    objects.retain(|path, _| !path.starts_with("audit/"));
    let repository = Repository::open_in(store_of(&objects).await).await.unwrap();
    let (entries, report) = shown(&repository).await;
    assert!(entries.is_empty() && report.is_whole() && report.head.is_none());
    assert_eq!(report.to_string(), "nothing is recorded");
    look(&repository).await;
    assert_eq!(acts(&repository).await, ["verify-timeline done"]);
}

#[tokio::test]
async fn who_may_only_read_verifies_all_the_same_and_is_told() {
    let (store, _) = in_memory().await;
    let watched = Watched::new(store);
    let repository = Repository::open_in(Arc::clone(&watched) as _)
        .await
        .unwrap();
    watched.refuse("");
    look(&repository).await;
    let observer = Arc::new(RecordingObserver::default());
    let id = "20260102T030405Z-00ff17a0".parse().unwrap();
    let options = SnapshotVerifyOptions::default();
    let verified = repository.verify(
        &id,
        &options,
        Arc::clone(&observer) as Arc<dyn Observer>,
        CancellationToken::new(),
    );
    assert_eq!(verified.await.unwrap_err().kind(), ErrorKind::Invalid);
    let events = observer.events();
    let [Event::Notice { message, .. }] = events.as_slice() else {
        panic!("{events:?}");
    };
    assert_eq!(
        message,
        "the audit record of memory:backups has no entry of this verify: no permission to write audit/999999999998-2.json"
    );
    assert_eq!(acts(&repository).await, ["init done"]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_holds_nobody_up_for_long() {
    let (store, _) = in_memory().await;
    let watched = Watched::new(store);
    let repository = Repository::open_in(Arc::clone(&watched) as _)
        .await
        .unwrap();
    watched.hang("audit/");
    let begun = tokio::time::Instant::now();
    look(&repository).await;
    assert_eq!(begun.elapsed().as_secs(), 20);
}

#[tokio::test]
async fn what_failed_is_recorded_with_its_kind_and_nothing_that_was_stored() {
    let (_, repository) = in_memory().await;
    let id = "20260102T030405Z-00ff17a0".parse().unwrap();
    let cancelled = CancellationToken::new();
    cancelled.cancel();
    for cancel in [CancellationToken::new(), cancelled] {
        let options = SnapshotVerifyOptions::default();
        let verified = repository.verify(&id, &options, Arc::new(()), cancel);
        verified.await.unwrap_err();
    }
    let (entries, _) = shown(&repository).await;
    let results: Vec<_> = entries.iter().map(|it| it.result.as_str()).collect();
    assert_eq!(results, ["done", "failed", "cancelled"]);
    let error = entries[1].error.as_ref().unwrap();
    assert_eq!(error.kind, "invalid");
    let message = error.message.as_ref().unwrap();
    assert!(message.contains("there is no snapshot"), "{message}");
    assert_eq!(entries[1].subject.snapshot, Some(id));
    assert_eq!(entries[2].error, None);
}

/// The digests of all entries, by their numbers.
async fn digests(store: &dyn Store) -> BTreeMap<u64, Digest> {
    let objects = all_objects(store).await;
    let entries = objects.iter().filter_map(|(path, bytes)| {
        let number = AuditEntry::parse_path(path)?;
        Some((number, Digest::of(bytes)))
    });
    entries.collect()
}

async fn put(store: &dyn Store, path: &str, bytes: impl Into<bytes::Bytes>) {
    store.put(path, bytes.into(), PutIf::Always).await.unwrap();
}
