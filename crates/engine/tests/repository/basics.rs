//! Making, opening and listing repositories.

use std::{collections::BTreeMap, fs, sync::Arc};

use bson::doc;
use rdump::{
    DumpOptions, Error, ErrorKind, Location, Repository, SnapshotVerifyOptions, SnapshotWriter,
    Store,
    storage::{MemoryStore, PutIf, S3Credentials, S3Store},
};
use rdump_format::{Digest, repository::MAX_RECORD_BYTES};
use rdump_testkit::{
    ReplicaSet, S3Server,
    s3::{ACCESS_KEY, SECRET_KEY},
};
use tempfile::TempDir;

use super::{
    backup, in_memory, objects, read_whole, store_of, try_backup, try_verify, watched::Watched,
    whole,
};

const REPOSITORY: &str = "repository.json";

async fn source() -> ReplicaSet {
    let source = ReplicaSet::start().await;
    let collection = source.client().database("shop").collection("c");
    collection.insert_one(doc! { "_id": 1 }).await.unwrap();
    source
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_made_of_an_empty_place_only() {
    let folder = TempDir::new().unwrap();
    let location = Location::from(folder.path().join("new").as_path());
    let made = Repository::init(&location).await.unwrap();
    let opened = Repository::open(&location).await.unwrap();
    assert_eq!(opened.record(), made.record());
    let error = Repository::init(&location).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains(REPOSITORY), "{error}");
    let again = Repository::open_or_init(&location).await.unwrap();
    assert_eq!(again.record(), made.record());

    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("notes.txt"), "hello").unwrap();
    let location = Location::from(other.as_path());
    let tried: [Result<_, Error>; 2] = [
        Repository::init(&location).await,
        Repository::open_or_init(&location).await,
    ];
    for error in tried.map(Result::unwrap_err) {
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains("notes.txt"), "{error}");
    }
    assert_eq!(fs::read_dir(other).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_repository_is_not_opened_and_nothing_is_made_of_it() {
    let folder = TempDir::new().unwrap();
    let (missing, empty) = (folder.path().join("missing"), folder.path().join("empty"));
    let (file, other) = (folder.path().join("file"), folder.path().join("other"));
    fs::create_dir(&empty).unwrap();
    fs::create_dir(&other).unwrap();
    fs::write(&file, "hello").unwrap();
    fs::write(other.join("notes.txt"), "hello").unwrap();
    for path in [&missing, &empty, &file, &other] {
        let error = Repository::open(&Location::from(path.as_path())).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{error}"
        );
    }
    assert!(!missing.exists());
    assert_eq!(fs::read_dir(empty).unwrap().count(), 0);

    let server = S3Server::start().await;
    let credentials = S3Credentials::new(ACCESS_KEY, SECRET_KEY);
    let prefix = server.location("nothing/here").parse().unwrap();
    let store: Arc<dyn Store> = Arc::new(S3Store::new(prefix).credentials(credentials));
    let error = Repository::open_in(Arc::clone(&store)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
    assert!(error.hint().unwrap().contains("rdump init"), "{error:?}");
    let made = Repository::init_in(Arc::clone(&store)).await.unwrap();
    let opened = Repository::open_in(Arc::clone(&store)).await.unwrap();
    assert_eq!(opened.record(), made.record());
    let error = Repository::init_in(store).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_make_a_repository_at_once_one_does() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new("backups"));
    let (one, other) = futures::join!(
        Repository::init_in(Arc::clone(&store)),
        Repository::init_in(Arc::clone(&store)),
    );
    let made: Vec<_> = [one, other].into_iter().flatten().collect();
    let [made] = made.as_slice() else {
        panic!("{made:?}");
    };
    let opened = Repository::open_in(store).await.unwrap();
    assert_eq!(opened.record(), made.record());
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_are_listed_in_the_order_in_which_they_began_also_within_a_second() {
    let source = source().await;
    let (_, repository) = in_memory().await;
    assert!(repository.snapshots().await.unwrap().whole.is_empty());
    let error = repository.find_snapshot("latest").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);

    let second = |id: &rdump::SnapshotId| id.as_str().split_once('-').unwrap().0.to_owned();
    let mut made = Vec::new();
    while made.len() < 12 {
        let snapshot = backup(&repository, &source, DumpOptions::default()).await;
        let latest = repository.find_snapshot("latest").await.unwrap();
        assert_eq!(latest.id(), snapshot.id());
        made.push(snapshot.id().clone());
    }
    let mut seconds: Vec<_> = made.iter().map(second).collect();
    assert!(seconds.is_sorted());
    seconds.dedup();
    assert!(seconds.len() < made.len(), "none began in one second");
    let listed = repository.snapshots().await.unwrap();
    let listed: Vec<_> = listed.whole.iter().map(|found| found.id()).collect();
    assert!(listed.into_iter().eq(&made));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_backups_at_once_do_not_disturb_each_other() {
    let source = source().await;
    let (_, repository) = in_memory().await;
    let (one, other) = futures::join!(
        backup(&repository, &source, DumpOptions::default()),
        backup(&repository, &source, DumpOptions::default()),
    );
    assert_ne!(one.id(), other.id());
    let expected = read_whole(&one).await;
    assert_eq!(expected, read_whole(&other).await);
    assert_eq!(repository.snapshots().await.unwrap().whole.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_found_by_its_id_or_an_unmistakable_beginning_of_it() {
    let source = source().await;
    let (_, repository) = in_memory().await;
    let first = backup(&repository, &source, DumpOptions::default()).await;
    let id = first.id().as_str();
    for text in [id, &id[..id.len() - 1], &id[..8]] {
        let found = repository.find_snapshot(text).await.unwrap();
        assert_eq!(found.id(), first.id(), "{text}");
    }
    let second = backup(&repository, &source, DumpOptions::default()).await;
    let found = repository.find_snapshot(second.id().as_str()).await;
    assert_eq!(found.unwrap().id(), second.id());
    let error = repository.find_snapshot(&id[..2]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let hint = error.hint().unwrap();
    assert!(
        hint.contains(id) && hint.contains(second.id().as_str()),
        "{hint}"
    );

    for text in [
        "20200101T000000Z-00000000",
        "2020",
        "yesterday",
        "",
        "LATEST",
        "../x",
    ] {
        let error = repository.find_snapshot(text).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text}: {error:?}");
        assert!(error.to_string().contains(text), "{text}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_says_how_it_came_to_be() {
    let source = source().await;
    let (store, repository) = in_memory().await;
    let tags = BTreeMap::from([("why".to_owned(), "before the upgrade".to_owned())]);
    let writer = Arc::new(SnapshotWriter::new(&repository, tags.clone()));
    assert_eq!(writer.id(), None);
    let report = try_backup(&writer, &source, DumpOptions::default()).await;
    let snapshot = repository.snapshot(writer.id().unwrap()).await.unwrap();
    let manifest = snapshot.manifest();
    assert_eq!(manifest.tags, tags);
    assert_eq!(manifest.run.documents, report.unwrap().documents);
    assert_eq!(manifest.run.source.hosts, source.hosts());
    let namespaces = snapshot.namespaces().await.unwrap();
    assert_eq!(namespaces.len() as u64, manifest.namespaces);
    let stored = namespaces
        .iter()
        .find(|found| found.entry.namespace.collection == "c");
    assert_eq!(stored.unwrap().stored.as_ref().unwrap().documents, 1);
    let objects = objects(&*store).await;
    let copy = objects.get(&snapshot.id().manifest_copy());
    assert_eq!(copy, objects.get(&snapshot.id().manifest()));
}

/// The same record, right but for its version.
fn of_newer_version(bytes: &[u8], name: &str) -> Vec<u8> {
    let text = str::from_utf8(bytes).unwrap();
    let (_, value) = text.split_once(&format!(",\"{name}\":")).unwrap();
    let value = value.strip_suffix("}\n").unwrap();
    let value = value.replacen("\"version\":\"1.1\"", "\"version\":\"9.0\"", 1);
    let value = value.replacen("\"read_by\":\"0.1.0\"", "\"read_by\":\"7.8.9\"", 1);
    let digest = Digest::of(value.as_bytes());
    format!("{{\"sha256\":\"{digest}\",\"{name}\":{value}}}\n").into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_of_a_newer_format_says_which_release_reads_it() {
    let source = source().await;
    let (store, repository) = in_memory().await;
    let older = backup(&repository, &source, DumpOptions::default()).await;
    let snapshot = backup(&repository, &source, DumpOptions::default()).await;
    let whole_objects = objects(&*store).await;
    let says_which = |error: &Error| {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        assert!(whole(error).contains("rdump 7.8.9"), "{}", whole(error));
    };
    let path = snapshot.id().manifest();
    let manifest = of_newer_version(&whole_objects[&path], "manifest");
    store
        .put(&path, manifest.into(), PutIf::Always)
        .await
        .unwrap();
    says_which(&repository.snapshot(snapshot.id()).await.unwrap_err());
    let listed = repository.snapshots().await.unwrap();
    assert_eq!(listed.whole[0].id(), older.id());
    assert_eq!(listed.damaged[0].0, *snapshot.id());
    says_which(&repository.find_snapshot("latest").await.unwrap_err());
    let (verified, _) = try_verify(&repository, &snapshot, &SnapshotVerifyOptions::default()).await;
    says_which(&verified.unwrap_err());

    let mut newer = whole_objects.clone();
    let record = of_newer_version(&newer[REPOSITORY], "repository");
    newer.insert(REPOSITORY.to_owned(), record.into());
    let error = Repository::open_in(store_of(&newer).await).await;
    says_which(&error.unwrap_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_was_carried_to_another_repository_is_one_there() {
    let source = source().await;
    let (store, repository) = in_memory().await;
    let (other_store, other) = in_memory().await;
    backup(&repository, &source, DumpOptions::default()).await;
    let carried = backup(&other, &source, DumpOptions::default()).await;
    for (path, bytes) in objects(&*other_store).await {
        if path != REPOSITORY {
            store.put(&path, bytes, PutIf::Absent).await.unwrap();
        }
    }
    let found = repository.snapshot(carried.id()).await.unwrap();
    assert_eq!(found.manifest().repository, other.record().id);
    assert_eq!(read_whole(&found).await, read_whole(&carried).await);
    let options = SnapshotVerifyOptions::default().deep(true);
    let (report, _) = try_verify(&repository, &found, &options).await;
    assert!(report.unwrap().is_whole());
    let listed = repository.snapshots().await.unwrap();
    assert_eq!((listed.whole.len(), listed.damaged.len()), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_lost_what_says_which_repository_it_is_becomes_no_new_one() {
    let source = source().await;
    let (store, repository) = in_memory().await;
    backup(&repository, &source, DumpOptions::default()).await;
    store.delete(&[REPOSITORY]).await.unwrap();
    let store: Arc<dyn Store> = store;
    let location = Location::from(Arc::clone(&store));
    let tried = [
        Repository::open(&location).await,
        Repository::open_or_init(&location).await,
    ];
    for error in tried.map(Result::unwrap_err) {
        assert_eq!(error.kind(), ErrorKind::Data);
        assert_eq!(error.location(), Some(REPOSITORY));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_is_longer_than_any_is_damaged_and_not_read() {
    let source = source().await;
    let (store, repository) = in_memory().await;
    let snapshot = backup(&repository, &source, DumpOptions::default()).await;
    let path = snapshot.id().manifest();
    let mut bytes = objects(&*store).await[&path].to_vec();
    bytes.resize(usize::try_from(MAX_RECORD_BYTES).unwrap() + 1, b' ');
    let put = store.put(&path, bytes.into(), PutIf::Always);
    put.await.unwrap();
    let store = Watched::new(store);
    let repository = Repository::open_in(Arc::clone(&store) as Arc<dyn Store>).await;
    store.take();
    let listed = repository.unwrap().snapshots().await.unwrap();
    let (_, error) = &listed.damaged[0];
    assert_eq!(error.location(), Some(path.as_str()));
    assert!(error.to_string().contains("67108865 bytes"), "{error}");
    assert_eq!(store.take(), []);
}
