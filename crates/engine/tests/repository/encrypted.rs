//! Snapshots that are read by those only whom they were encrypted to.

use std::sync::Arc;

use age::secrecy::ExposeSecret;
use bson::{Document, doc};
use rdump::{
    Compression, DumpOptions, Error, ErrorKind, Identities, Recipients, Repository, Selector,
    Snapshot, SnapshotReader, SnapshotVerifyOptions, SnapshotWriter, Store,
    storage::{MemoryStore, PutIf},
};
use rdump_format::repository::{KeyRecord, SnapshotManifest};
use rdump_testkit::ReplicaSet;

use super::{
    Objects, backup, backup_by, in_memory, objects, paths, read, read_whole, store_of, try_backup,
    try_verify, verify, whole, writer,
};

/// A key of somebody's: what encrypts to it, and what opens it.
pub(super) fn somebody() -> (Recipients, Identities) {
    let key = age::x25519::Identity::generate();
    let secret = key.to_string();
    (
        Recipients::parse(&key.to_public().to_string()).unwrap(),
        Identities::parse(&secret.expose_secret().into()).unwrap(),
    )
}

async fn source() -> ReplicaSet {
    let source = ReplicaSet::start().await;
    for name in ["people", "orders"] {
        let collection = source.client().database("shop").collection(name);
        let documents = (0..50).map(|id| doc! { "_id": id, "whose": "somebody", "of": name });
        collection.insert_many(documents).await.unwrap();
    }
    source
}

fn options() -> DumpOptions {
    DumpOptions::default()
        .db("shop")
        .compression(Compression::None)
}

/// The same place for somebody who has other keys.
pub(super) async fn seen_by(store: &Arc<dyn Store>, identities: Option<Identities>) -> Repository {
    let repository = Repository::open_in(Arc::clone(store)).await;
    repository.unwrap().identities(identities)
}

pub(super) async fn encrypted(recipients: &Recipients) -> (Arc<dyn Store>, Snapshot) {
    let (store, repository) = in_memory().await;
    let writer = writer(&repository).recipients(Some(recipients.clone()));
    let source = source().await;
    let snapshot = backup_by(writer, &repository, &source, options()).await;
    (store, snapshot)
}

/// Everything that cannot be done without a key.
async fn refused(repository: &Repository, id: &rdump::SnapshotId) -> Vec<Error> {
    let snapshot = repository.snapshot(id).await.unwrap();
    let (documents, mut errors) = read(&snapshot).await;
    assert!(documents.is_empty());
    errors.push(snapshot.namespaces().await.unwrap_err());
    errors.push(snapshot.run().await.unwrap_err());
    let deep = SnapshotVerifyOptions::default().deep(true);
    errors.extend(try_verify(repository, &snapshot, &deep).await.0.err());
    errors
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_what_was_backed_up_can_be_seen_without_a_key() {
    let (recipients, identities) = somebody();
    let (store, snapshot) = encrypted(&recipients).await;
    for (path, bytes) in objects(&*store).await {
        let bytes = String::from_utf8_lossy(&bytes);
        for word in ["somebody", "people", "orders", "\"shop\""] {
            assert!(!bytes.contains(word), "{word} in {path}: {bytes}");
        }
        assert!(
            !path.contains("/data/") || path.ends_with(".bson.enc"),
            "{path}"
        );
    }
    let (_, others) = somebody();
    for identities in [
        None,
        Some(others),
        Some(Identities::passphrase(&"x".into()).unwrap()),
    ] {
        let repository = seen_by(&store, identities).await;
        let errors = refused(&repository, snapshot.id()).await;
        assert_eq!(errors.len(), 4);
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
            assert!(
                error.to_string().contains("is encrypted to age1"),
                "{error}"
            );
        }
    }
    let repository = seen_by(&store, Some(identities)).await;
    let found = repository.find_snapshot("latest").await.unwrap();
    assert_eq!(read_whole(&found).await["shop.people"].len(), 50);
    assert_eq!(found.namespaces().await.unwrap().len(), 2);
    assert_eq!(found.run().await.unwrap().options["db"], "shop");
    assert!(found.manifest().run.options.is_null());
    let deep = SnapshotVerifyOptions::default().deep(true);
    let (report, _) = try_verify(&repository, &found, &deep).await;
    let report = report.unwrap();
    assert!(report.is_whole(), "{report}");
    assert_eq!((report.documents, report.unreferenced_objects), (100, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passphrase_opens_what_was_encrypted_with_it() {
    let passphrase = Recipients::passphrase(&"correct horse\n".into()).unwrap();
    let (store, snapshot) = encrypted(&passphrase).await;
    assert_eq!(snapshot.recipients().await.unwrap(), ["passphrase"]);
    let wrong = seen_by(
        &store,
        Some(Identities::passphrase(&"correct".into()).unwrap()),
    )
    .await;
    for error in refused(&wrong, snapshot.id()).await {
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(error.to_string().contains("a passphrase"), "{error}");
    }
    let right = seen_by(
        &store,
        Some(Identities::passphrase(&"correct horse".into()).unwrap()),
    )
    .await;
    let snapshot = right.find_snapshot("latest").await.unwrap();
    assert_eq!(read_whole(&snapshot).await["shop.orders"].len(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_every_stored_byte_is_verified() {
    let (store, snapshot) = encrypted(&somebody().0).await;
    let repository = seen_by(&store, None).await;
    let report = verify(&repository, &snapshot).await;
    assert!(report.is_whole(), "{report}");
    assert_eq!(report.objects, 2);
    assert_eq!(report.verified_bytes, snapshot.manifest().run.stored_bytes);
    for (path, bytes) in objects(&*store).await {
        if path.starts_with("verified/") {
            continue;
        }
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut changed = bytes.to_vec();
            changed[at] ^= 4;
            let put = store.put(&path, changed.into(), PutIf::Always);
            put.await.unwrap();
            match Repository::open_in(Arc::clone(&store)).await {
                Ok(repository) => {
                    let report = verify(&repository, &snapshot).await;
                    assert!(
                        paths(&report.damage).contains(path.as_str()),
                        "{path}: {report}"
                    );
                }
                Err(error) => assert_eq!(error.location(), Some(path.as_str())),
            }
        }
        store.put(&path, bytes, PutIf::Always).await.unwrap();
    }
}

/// The same record with something else in it, framed as it should be.
fn forged(bytes: &[u8], change: impl Fn(&mut serde_json::Value)) -> Vec<u8> {
    let mut framed: serde_json::Value = serde_json::from_slice(bytes).unwrap();
    change(&mut framed["manifest"]);
    let value = serde_json::from_value::<SnapshotManifest>(framed["manifest"].take());
    value.unwrap().to_bytes().unwrap()
}

/// What somebody finds who has the key, in a repository that somebody without it has changed.
async fn found_in(objects: &Objects, identities: &Identities) -> Vec<Error> {
    let repository = seen_by(&store_of(objects).await, Some(identities.clone())).await;
    let snapshot = repository.find_snapshot("latest").await.unwrap();
    let (documents, errors) = read(&snapshot).await;
    assert!(documents.is_empty());
    errors
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_without_the_key_has_written_is_not_believed() {
    let (recipients, identities) = somebody();
    let (store, snapshot) = encrypted(&recipients).await;
    let made = objects(&*store).await;
    let (id, manifest) = (snapshot.id(), snapshot.id().manifest());
    let change = |path: &str, bytes: Vec<u8>| {
        let mut objects = made.clone();
        objects.insert(path.to_owned(), bytes.into());
        objects
    };

    // The root with other tags, and right digests everywhere.
    let bytes = forged(&made[&manifest], |value| {
        value["tags"]["env"] = "test".into();
    });
    let changed = change(&manifest, bytes);
    let errors = found_in(&changed, &identities).await;
    assert_eq!(errors[0].kind(), ErrorKind::Data);
    assert!(whole(&errors[0]).contains(&manifest), "{errors:?}");
    let repository = seen_by(&store_of(&changed).await, Some(identities.clone())).await;
    let deep = SnapshotVerifyOptions::default().deep(true);
    let (report, _) = try_verify(&repository, &snapshot, &deep).await;
    assert!(paths(&report.unwrap().damage).contains(manifest.as_str()));

    // Keys of the writer's own, which open for the owner too.
    let keys = format!("keys/{id}-1.json");
    let mut record = KeyRecord::from_bytes(&made[&keys]).unwrap();
    let (store, other) = encrypted(&recipients).await;
    let others = &objects(&*store).await[&format!("keys/{}-1.json", other.id())];
    record.age = KeyRecord::from_bytes(others).unwrap().age;
    let errors = found_in(&change(&keys, record.to_bytes().unwrap()), &identities).await;
    assert_eq!(errors[0].kind(), ErrorKind::Data);
    assert!(whole(&errors[0]).contains(&keys), "{errors:?}");

    // Two data objects in each other's place, with digests that fit: the part is authentic, so that this cannot be.
    let data: Vec<_> = made.keys().filter(|path| path.contains("/data/")).collect();
    let mut swapped = made.clone();
    swapped.insert(data[0].clone(), made[data[1]].clone());
    swapped.insert(data[1].clone(), made[data[0]].clone());
    let repository = seen_by(&store_of(&swapped).await, Some(identities)).await;
    let (documents, errors) = read(&repository.find_snapshot("latest").await.unwrap()).await;
    assert!(documents.values().all(std::collections::BTreeSet::is_empty));
    assert_eq!(errors.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_is_not_encrypted_is_not_taken_for_one_that_is() {
    let (_, identities) = somebody();
    let (store, repository) = in_memory().await;
    let source = source().await;
    let snapshot = backup(&repository, &source, options()).await;
    let store: Arc<dyn Store> = store;
    let repository = seen_by(&store, Some(identities)).await;
    let found = repository.snapshot(snapshot.id()).await.unwrap();
    let error = SnapshotReader::open(&found, &Selector::default()).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("is not encrypted"), "{error}");
    let report = verify(&repository, &found).await;
    let damaged: Vec<_> = paths(&report.damage).into_iter().collect();
    assert_eq!(damaged, [snapshot.id().manifest()], "{report}");
    assert!(found.run().await.is_err());
    let error = repository.rekey(snapshot.id(), &somebody().0).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_change_of_recipients_the_new_ones_open_it_and_the_old_ones_do_not() {
    let (recipients, before) = somebody();
    let (store, snapshot) = encrypted(&recipients).await;
    let id = snapshot.id();
    let (recipients, after) = somebody();
    let nobody = seen_by(&store, Some(somebody().1)).await;
    let error = nobody.rekey(id, &recipients).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    let made = objects(&*store).await;
    let owner = seen_by(&store, Some(before.clone())).await;
    owner.rekey(id, &recipients).await.unwrap();
    let now = objects(&*store).await;
    let changed = now
        .iter()
        .filter(|(path, bytes)| made.get(*path) != Some(bytes));
    let changed: Vec<_> = changed.map(|(path, _)| path.clone()).collect();
    assert_eq!(changed, [format!("keys/{id}-2.json")]);
    assert_eq!(now.len(), made.len());
    let owner = seen_by(&store, Some(before)).await;
    let errors = refused(&owner, id).await;
    assert!(errors.iter().all(|error| error.kind() == ErrorKind::Denied));
    let owner = seen_by(&store, Some(after.clone())).await;
    let snapshot = owner.snapshot(id).await.unwrap();
    assert_eq!(read_whole(&snapshot).await["shop.people"].len(), 50);
    assert!(verify(&owner, &snapshot).await.is_whole());
    // And once more, to a passphrase.
    owner
        .rekey(id, &Recipients::passphrase(&"x".into()).unwrap())
        .await
        .unwrap();
    let errors = refused(&seen_by(&store, Some(after)).await, id).await;
    assert!(errors.iter().all(|error| error.kind() == ErrorKind::Denied));
    let owner = seen_by(&store, Some(Identities::passphrase(&"x".into()).unwrap())).await;
    let snapshot = owner.snapshot(id).await.unwrap();
    assert_eq!(read_whole(&snapshot).await["shop.people"].len(), 50);
}

/// A repository in which a snapshot was begun, and everything but its manifest stored.
async fn unfinished(
    source: &ReplicaSet,
    recipients: Option<Recipients>,
) -> (Arc<dyn Store>, rdump::SnapshotId) {
    let store = super::watched::Watched::new(Arc::new(MemoryStore::new("backups")));
    let repository = Repository::init_in(Arc::clone(&store) as Arc<dyn Store>).await;
    store.refuse("manifests/");
    let writer = Arc::new(writer(&repository.unwrap()).recipients(recipients));
    try_backup(&writer, source, options()).await.unwrap_err();
    let store = store_of(&objects(&*store).await).await;
    (store, writer.id().unwrap().clone())
}

async fn gone_on_with(
    store: &Arc<dyn Store>,
    id: &rdump::SnapshotId,
    source: &ReplicaSet,
    (recipients, identities): (Option<Recipients>, Option<Identities>),
) -> Result<Snapshot, Error> {
    let repository = seen_by(store, identities).await;
    let writer = SnapshotWriter::resume(&repository, id).await?;
    let writer = Arc::new(writer.recipients(recipients));
    try_backup(&writer, source, options()).await?;
    repository.snapshot(id).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_encrypted_is_kept_and_every_attempt_has_a_key_of_its_own() {
    let source = source().await;
    let (recipients, identities) = somebody();
    let (recipients, identities) = (Some(recipients), Some(identities));
    let (store, id) = unfinished(&source, recipients.clone()).await;
    // Not without a key, not with that of another, and not half of it in the clear.
    for (keys, kind) in [
        ((recipients.clone(), None), ErrorKind::Denied),
        ((recipients.clone(), Some(somebody().1)), ErrorKind::Denied),
        ((None, identities.clone()), ErrorKind::Denied),
    ] {
        let error = gone_on_with(&store, &id, &source, keys).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
    let collection = source
        .client()
        .database("shop")
        .collection::<Document>("people");
    collection.insert_one(doc! { "_id": -1 }).await.unwrap();
    let collection = source
        .client()
        .database("shop")
        .collection::<Document>("orders");
    collection.drop().await.unwrap();
    collection.insert_one(doc! { "_id": -1 }).await.unwrap();
    let keys = (recipients, identities);
    let snapshot = gone_on_with(&store, &id, &source, keys.clone())
        .await
        .unwrap();
    let documents = read_whole(&snapshot).await;
    // The one is as it was read, the other is another collection.
    assert_eq!(documents["shop.people"].len(), 50);
    assert_eq!(documents["shop.orders"].len(), 1);
    let stored = objects(&*store).await;
    let kept = stored
        .keys()
        .filter(|path| path.contains("/data/1-"))
        .count();
    let new = stored
        .keys()
        .filter(|path| path.contains("/data/2-"))
        .count();
    assert_eq!((kept, new), (2, 1));
    let repository = seen_by(&store, keys.1).await;
    let deep = SnapshotVerifyOptions::default().deep(true);
    let (report, _) = try_verify(&repository, &snapshot, &deep).await;
    assert!(report.unwrap().is_whole());
    // Whoever opened the first attempt alone opens nothing any more.
    let keys = stored.keys().filter(|path| path.starts_with("keys/"));
    assert_eq!(keys.collect::<Vec<_>>(), [&format!("keys/{id}-2.json")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_opens_what_is_not_finished_changes_too() {
    let source = source().await;
    let (before, after) = (somebody(), somebody());
    let (store, id) = unfinished(&source, Some(before.0)).await;
    let repository = seen_by(&store, None).await;
    let error = repository.rekey(&id, &after.0).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    let repository = seen_by(&store, Some(before.1.clone())).await;
    repository.rekey(&id, &after.0).await.unwrap();
    let keys = (Some(after.0), Some(before.1));
    let error = gone_on_with(&store, &id, &source, keys.clone()).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Denied);
    let keys = (keys.0, Some(after.1));
    let snapshot = gone_on_with(&store, &id, &source, keys).await.unwrap();
    assert_eq!(read_whole(&snapshot).await["shop.orders"].len(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_in_the_clear_is_not_gone_on_with_encrypted() {
    let source = source().await;
    let (store, id) = unfinished(&source, None).await;
    let (recipients, identities) = somebody();
    let keys = (Some(recipients), Some(identities));
    let error = gone_on_with(&store, &id, &source, keys).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_keys_are_damage_and_say_so() {
    let (recipients, identities) = somebody();
    let (store, snapshot) = encrypted(&recipients).await;
    let mut made = objects(&*store).await;
    made.remove(&format!("keys/{}-1.json", snapshot.id()))
        .unwrap();
    let errors = found_in(&made, &identities).await;
    assert_eq!(errors[0].kind(), ErrorKind::Data);
    assert!(
        errors[0].to_string().contains("record of its keys"),
        "{errors:?}"
    );
    for identities in [None, Some(identities)] {
        let repository = seen_by(&store_of(&made).await, identities).await;
        let report = verify(&repository, &snapshot).await;
        let found = paths(&report.damage).into_iter().collect::<Vec<_>>();
        assert_eq!(found, [format!("keys/{}-", snapshot.id())], "{report}");
        assert!(report.verified_bytes > 0);
    }
}
