//! Every kind of damage to every kind of object is noticed, and nothing wrong is restored.

use std::{collections::BTreeSet, sync::Arc};

use bson::{Document, doc};
use bytes::Bytes;
use futures::TryStreamExt;
use rdump::{
    Compression, DumpOptions, Error, ErrorKind, Identities, Repository, Restore, RestoreOptions,
    Selector, Snapshot, SnapshotReader, SnapshotVerifyOptions, Store,
};
use rdump_testkit::ReplicaSet;

use super::{
    Documents, Objects, backup_by, encrypted::somebody, in_memory, objects, paths, read,
    read_whole, store_of, try_verify, whole, writer,
};
use crate::restore::target;

const REPOSITORY: &str = "repository.json";

/// Two snapshots of the same collections with other documents.
struct Made {
    objects: Objects,
    older: Snapshot,
    newer: Snapshot,
    /// The documents of the newer.
    documents: Documents,
    /// What says which repository another one is.
    other: Bytes,
    /// What opens the snapshots, if they are encrypted.
    identities: Option<Identities>,
}

impl Made {
    async fn new(encrypted: bool) -> Self {
        let source = ReplicaSet::start().await;
        let (recipients, identities) = encrypted.then(somebody).unzip();
        let (store, repository) = in_memory().await;
        let repository = repository.identities(identities.clone());
        let (other, _) = in_memory().await;
        let mut snapshots = Vec::new();
        for round in 0..2 {
            for (name, documents) in [("a", 3), ("large", 400), ("z", 5)] {
                let collection = source.client().database("shop").collection(name);
                collection.drop().await.unwrap();
                let documents = (0..documents).map(|id| text(round, name, id));
                collection.insert_many(documents).await.unwrap();
            }
            // Several objects, of several segments, in several parts.
            let options = DumpOptions::default()
                .db("shop")
                .compression(Compression::ZSTD)
                .segment_bytes(64 << 10);
            let writer = writer(&repository).object_bytes(2000).part_bytes(500);
            let writer = writer.recipients(recipients.clone());
            snapshots.push(backup_by(writer, &repository, &source, options).await);
        }
        let newer = snapshots.pop().unwrap();
        Self {
            objects: objects(&*store).await,
            older: snapshots.pop().unwrap(),
            documents: read_whole(&newer).await,
            newer,
            other: objects(&*other).await.remove(REPOSITORY).unwrap(),
            identities,
        }
    }

    /// The objects of the newer snapshot, no two of the same bytes beside each other.
    fn victims(&self) -> Vec<String> {
        let (id, manifest) = (self.newer.id(), self.newer.manifest());
        let folder = id.folder();
        let data = self.data();
        assert!(data.len() >= 5 && manifest.parts.len() >= 2, "{manifest:?}");
        let keys = self.identities.iter().map(|_| format!("keys/{id}-1.json"));
        let victims = [
            id.manifest(),
            format!("begun/{id}-1.json"),
            id.manifest_copy(),
            format!("{folder}{}", manifest.catalog.path),
            format!("{folder}{}", manifest.parts[0].path),
            format!("{folder}{}", manifest.parts[manifest.parts.len() - 1].path),
            data[0].clone(),
            data[data.len() / 2].clone(),
            data[data.len() - 1].clone(),
        ];
        [REPOSITORY.to_owned()]
            .into_iter()
            .chain(keys)
            .chain(victims)
            .collect()
    }

    fn data(&self) -> Vec<String> {
        let folder = format!("{}data/", self.newer.id().folder());
        let data = self.objects.keys();
        data.filter(|path| path.starts_with(&folder))
            .cloned()
            .collect()
    }

    /// What the older snapshot has for it.
    fn older(&self, path: &str) -> Bytes {
        let (newer, older) = (self.newer.id().as_str(), self.older.id().as_str());
        match path {
            REPOSITORY => self.other.clone(),
            path => self.objects[&path.replace(newer, older)].clone(),
        }
    }
}

/// A document that has its round and collection in it.
fn text(round: i32, name: &str, id: i32) -> Document {
    let noise = |number: i32| format!("{:x}", (id * 1009 + number * 31) ^ (round << 20));
    let noise: String = (0..60).map(noise).collect();
    doc! { "_id": id, "of": name, "round": round, "noise": noise }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Action {
    Delete,
    Empty,
    Truncate,
    Extend,
    FlipFirst,
    FlipMiddle,
    FlipLast,
    Swap,
    Older,
}

impl Action {
    const ALL: [Self; 9] = [
        Self::Delete,
        Self::Empty,
        Self::Truncate,
        Self::Extend,
        Self::FlipFirst,
        Self::FlipMiddle,
        Self::FlipLast,
        Self::Swap,
        Self::Older,
    ];

    /// Damages an object, by exchange with another one if that is what is done.
    fn apply(self, made: &Made, victim: &str, other: &str) -> Objects {
        let mut objects = made.objects.clone();
        let whole = objects[victim].clone();
        let length = whole.len();
        let flipped = |offset: usize| {
            let mut bytes = whole.to_vec();
            bytes[offset] ^= 1;
            Some(Bytes::from(bytes))
        };
        let bytes = match self {
            Self::Delete => None,
            Self::Empty => Some(Bytes::new()),
            Self::Truncate => Some(whole.slice(..length - 1)),
            Self::Extend => Some([&whole[..], b"\n"].concat().into()),
            Self::FlipFirst => flipped(0),
            Self::FlipMiddle => flipped(length / 2),
            Self::FlipLast => flipped(length - 1),
            Self::Swap => objects.insert(other.to_owned(), whole.clone()),
            Self::Older => Some(made.older(victim)),
        };
        assert_ne!(bytes.as_ref(), Some(&whole), "{self:?} {victim}");
        match bytes {
            Some(bytes) => objects.insert(victim.to_owned(), bytes),
            None => objects.remove(victim),
        };
        objects
    }
}

/// What was noticed by whom.
#[derive(Debug)]
struct Noticed {
    /// Opening the repository.
    open: Option<Error>,
    /// Listing the snapshots and taking the newest.
    latest: Option<Error>,
    /// Reading the documents.
    read: Vec<Error>,
    /// The paths that verification names.
    damaged: BTreeSet<String>,
    notices: Vec<String>,
}

async fn notice(made: &Made, objects: &Objects, what: &str) -> Noticed {
    let mut noticed = Noticed {
        open: None,
        latest: None,
        read: Vec::new(),
        damaged: BTreeSet::new(),
        notices: Vec::new(),
    };
    let repository = match Repository::open_in(store_of(objects).await).await {
        Ok(repository) => repository.identities(made.identities.clone()),
        Err(error) => {
            noticed.open = Some(error);
            return noticed;
        }
    };
    let listed = repository.snapshots().await.unwrap();
    let whole = listed.whole.first().map(Snapshot::id);
    assert_eq!(whole, Some(made.older.id()), "{what}");
    match repository.find_snapshot("latest").await {
        Ok(latest) => {
            assert_eq!(latest.id(), made.newer.id(), "{what}");
            let (documents, errors) = read(&latest).await;
            for (namespace, found) in &documents {
                let expected = &made.documents[namespace];
                assert!(found.is_subset(expected), "{what}: wrong in {namespace}");
            }
            assert!(!errors.is_empty() || documents == made.documents, "{what}");
            noticed.read = errors;
        }
        Err(error) => noticed.latest = Some(error),
    }
    let options = SnapshotVerifyOptions::default();
    let (report, notices) = try_verify(&repository, &made.newer, &options).await;
    let report = report.unwrap();
    let damaged = paths(&report.damage).into_iter();
    noticed.damaged = damaged.map(str::to_owned).collect();
    noticed.notices = notices;
    // The older one is not touched.
    let (report, _) = try_verify(&repository, &made.older, &options).await;
    assert!(report.unwrap().is_whole(), "{what}");
    noticed
}

/// Whether every error is one of data and names the path.
fn name<'a>(errors: impl IntoIterator<Item = &'a Error>, path: &str) -> bool {
    let mut errors = errors.into_iter().peekable();
    let names = |error: &Error| error.kind() == ErrorKind::Data && whole(error).contains(path);
    errors.peek().is_some() && errors.all(names)
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_noticed_and_named_and_no_wrong_document_is_restored() {
    every_damage(&Made::new(false).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_to_what_is_encrypted_is_noticed_and_named_too() {
    every_damage(&Made::new(true).await).await;
}

async fn every_damage(made: &Made) {
    let victims = made.victims();
    let id = made.newer.id();
    let (manifest, copy) = (id.manifest(), id.manifest_copy());
    let (begun, keys) = (format!("begun/{id}-"), format!("keys/{id}-"));
    for (number, victim) in victims.iter().enumerate() {
        let other = &victims[(number + 1) % victims.len()];
        for action in Action::ALL {
            let what = format!("{action:?} {victim}");
            let noticed = notice(made, &action.apply(made, victim, other), &what).await;
            let mut touched = vec![victim];
            if action == Action::Swap {
                touched.push(other);
            }
            if touched.iter().any(|path| *path == REPOSITORY) {
                if action == Action::Older {
                    // Its snapshots are in another repository now, and as whole as they were.
                    assert!(noticed.open.is_none(), "{what}: {noticed:?}");
                    assert!(noticed.read.is_empty(), "{what}: {noticed:?}");
                    assert!(noticed.damaged.is_empty(), "{what}: {noticed:?}");
                    continue;
                }
                let error = noticed.open.as_ref();
                assert!(name(error, REPOSITORY), "{what}: {noticed:?}");
                continue;
            }
            assert!(noticed.open.is_none(), "{what}: {noticed:?}");
            if touched.contains(&&manifest) {
                let latest = noticed.latest.as_ref();
                assert!(name(latest, &manifest), "{what}: {noticed:?}");
                assert!(noticed.damaged.contains(&manifest), "{what}: {noticed:?}");
                continue;
            }
            assert!(noticed.latest.is_none(), "{what}: {noticed:?}");
            let needed: Vec<_> = touched
                .iter()
                .filter(|path| path.starts_with("snapshots/") || path.starts_with("keys/"))
                .collect();
            match needed.as_slice() {
                [] => assert!(noticed.read.is_empty(), "{what}: {noticed:?}"),
                // Beyond its end nothing is read.
                [path] if action == Action::Extend && !path.starts_with(&keys) => {
                    assert!(noticed.read.is_empty(), "{what}: {noticed:?}");
                }
                [path] => assert!(name(&noticed.read, path), "{what}: {noticed:?}"),
                // The first of them is found; what it is about may be needed to find the other.
                [path, ..] => {
                    let first = noticed.read.first();
                    assert!(
                        name(first, path) || name(&noticed.read, "/data/"),
                        "{what}: {noticed:?}"
                    );
                }
            }
            let parts_are_lost = touched.iter().any(|path| path.contains("/parts/"));
            for path in touched {
                // What should be there is said by the part.
                if parts_are_lost && path.contains("/data/") {
                    continue;
                }
                let is_named = |found: &str| noticed.damaged.iter().any(|path| path == found);
                if *path == copy && action == Action::Delete {
                    assert!(noticed.damaged.is_empty(), "{what}: {noticed:?}");
                    assert!(noticed.notices[0].contains(&copy), "{what}: {noticed:?}");
                } else if path.starts_with(&begun) && action == Action::Delete {
                    assert!(is_named(&begun), "{what}: {noticed:?}");
                } else if path.starts_with(&keys) && action == Action::Delete {
                    assert!(is_named(&keys), "{what}: {noticed:?}");
                } else {
                    assert!(is_named(path), "{what}: {noticed:?}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_segment_costs_a_restore_no_more_than_what_comes_after_it() {
    let made = Made::new(false).await;
    let target_server = ReplicaSet::start().await;
    let data = made.data();
    let largest = data.iter().max_by_key(|path| made.objects[*path].len());
    let objects = Action::FlipMiddle.apply(&made, largest.unwrap(), "");
    let repository = Repository::open_in(store_of(&objects).await).await;
    let snapshot = repository.unwrap().find_snapshot("latest").await.unwrap();
    let reader = SnapshotReader::open(&snapshot, &Selector::default()).await;
    let options = RestoreOptions::default();
    let reader = Arc::new(reader.unwrap());
    let restore = Restore::new(&target(&target_server).await, reader).options(options);
    let plan = restore.plan().await.unwrap();
    let error = restore.run(plan).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(name([&error], largest.unwrap()), "{error:?}");
    let client = target_server.client();
    let found = client
        .database("shop")
        .collection::<bson::RawDocumentBuf>("large");
    let found: Vec<_> = found
        .find(doc! {})
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let expected = &made.documents["shop.large"];
    assert!(found.len() < expected.len());
    assert!(
        found
            .iter()
            .all(|found| expected.contains(found.as_bytes()))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn any_two_data_objects_that_are_exchanged_are_found() {
    let made = Made::new(false).await;
    let data = made.data();
    for pair in data.windows(2) {
        let what = format!("{pair:?}");
        let objects = Action::Swap.apply(&made, &pair[0], &pair[1]);
        let noticed = notice(&made, &objects, &what).await;
        assert!(name(&noticed.read, "/data/"), "{noticed:?}");
        assert!(noticed.damaged.iter().eq(pair), "{noticed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_cannot_be_written_to_can_be_verified() {
    let made = Made::new(false).await;
    let folder = tempfile::TempDir::new().unwrap();
    let location = rdump::Location::from(folder.path());
    let store: Arc<dyn Store> = location.create().unwrap();
    for (path, bytes) in &made.objects {
        let put = store.put(path, bytes.clone(), rdump::storage::PutIf::Always);
        put.await.unwrap();
    }
    // Not even root can make a folder of a file.
    std::fs::write(folder.path().join("verified"), "").unwrap();
    let repository = Repository::open(&location).await.unwrap();
    let options = SnapshotVerifyOptions::default();
    let (report, notices) = try_verify(&repository, &made.newer, &options).await;
    assert!(report.unwrap().is_whole());
    assert!(notices[0].contains("could not be recorded"), "{notices:?}");
}
