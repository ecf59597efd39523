//! Bundles taken apart into places where something is.

use super::*;

/// A stream that breaks off after so many bytes.
struct Broken(Cursor<Vec<u8>>, usize);

impl Read for Broken {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(self.1);
        if room == 0 {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let read = self.0.read(&mut buffer[..room])?;
        self.1 -= read;
        Ok(read)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_takes_snapshots_of_others_in_and_each_once() {
    let source = ReplicaSet::start().await;
    let (_, repository) = in_memory().await;
    let snapshot = of_many_objects(&source, &repository).await;
    let bytes = bundle(&repository, &snapshot).await;
    let (store, other) = in_memory().await;
    backup(&other, &source, DumpOptions::default()).await;
    let before = objects(&*store).await;

    let store: Arc<dyn Store> = store;
    let report = unbundle(&store, Cursor::new(bytes.clone())).await.unwrap();
    assert_eq!(report.repository, other.record().id);
    assert_eq!(other.snapshots().await.unwrap().whole.len(), 2);
    let found = other.snapshot(snapshot.id()).await.unwrap();
    assert_eq!(read_whole(&found).await, read_whole(&snapshot).await);
    let deep = SnapshotVerifyOptions::default().deep(true);
    let (verified, _) = try_verify(&other, &found, &deep).await;
    assert!(verified.unwrap().is_whole());
    let after = objects(&*store).await;
    assert!(
        before
            .iter()
            .all(|(path, bytes)| after.get(path) == Some(bytes))
    );
    // It goes on from there as it is.
    assert!(
        bundle(&other, &found).await[512..] != bytes[512..],
        "it is another repository"
    );

    let before = objects(&*store).await;
    let error = unbundle(&store, Cursor::new(bytes)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let said = error.to_string();
    assert!(said.contains("already, with the same manifest"), "{said}");
    assert_eq!(objects(&*store).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_off_leaves_no_snapshot_and_can_be_done_again() {
    let source = ReplicaSet::start().await;
    let (original, repository) = in_memory().await;
    let snapshot = of_many_objects(&source, &repository).await;
    let bytes = bundle(&repository, &snapshot).await;
    let store = empty();
    let mut kept = 0;
    for at in (0..bytes.len()).step_by(1777) {
        let error = unbundle(&store, Broken(Cursor::new(bytes.clone()), at)).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        match Repository::open_in(Arc::clone(&store)).await {
            Ok(copy) => {
                let found = copy.snapshots().await.unwrap();
                assert!(found.whole.is_empty() && found.damaged.is_empty());
                assert!(found.unfinished.is_empty(), "it is nothing to go on with");
                kept += 1;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Invalid),
        }
    }
    assert!(kept > 3);
    let report = unbundle(&store, Cursor::new(bytes)).await.unwrap();
    assert!(report.kept_bytes > 0 && report.kept_bytes <= report.stored_bytes);
    assert_eq!(objects(&*store).await, objects(&*original).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_lies_there_is_replaced() {
    let source = ReplicaSet::start().await;
    let (store, repository) = in_memory().await;
    let snapshot = of_many_objects(&source, &repository).await;
    let bytes = bundle(&repository, &snapshot).await;
    let id = snapshot.id();
    let whole = objects(&*store).await;
    for (path, content) in &whole {
        let mut other = content.to_vec();
        other[content.len() / 2] ^= 1;
        for other in [other, content[1..].to_vec(), b"other".to_vec()] {
            let store: Arc<dyn Store> = Arc::new(MemoryStore::new("copies"));
            let record = whole.get("repository.json").unwrap().clone();
            store
                .put("repository.json", record, PutIf::Absent)
                .await
                .unwrap();
            store
                .put(path, other.clone().into(), PutIf::Always)
                .await
                .unwrap();
            let before = objects(&*store).await;
            let error = unbundle(&store, Cursor::new(bytes.clone()))
                .await
                .unwrap_err();
            let expected = match path.as_str() {
                "repository.json" => ErrorKind::Data,
                _ => ErrorKind::Conflict,
            };
            assert_eq!(error.kind(), expected, "{path}: {error:?}");
            let after = objects(&*store).await;
            assert!(
                before
                    .iter()
                    .all(|(path, bytes)| after.get(path) == Some(bytes))
            );
            assert_eq!(after.contains_key(&id.manifest()), *path == id.manifest());
        }
    }

    // The manifest alone was lost: the rest is compared, and it comes back.
    let mut lost = whole.clone();
    lost.remove(&id.manifest());
    let store = store_of(&lost).await;
    let report = unbundle(&store, Cursor::new(bytes.clone())).await.unwrap();
    assert_eq!(report.kept_bytes, report.stored_bytes);
    assert_eq!(objects(&*store).await, whole);

    // Somebody goes on with it just now.
    let mut begun = lost.clone();
    begun.retain(|path, _| !path.starts_with("snapshots/"));
    let record = whole[&format!("begun/{id}-1.json")].clone();
    begun.insert(format!("begun/{id}-2.json"), record);
    let store = store_of(&begun).await;
    let error = unbundle(&store, Cursor::new(bytes.clone()))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    assert_eq!(objects(&*store).await, begun);

    let notes = BTreeMap::from([("notes.txt".to_owned(), "hello".into())]);
    let store = store_of(&notes).await;
    let error = unbundle(&store, Cursor::new(bytes)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    assert_eq!(objects(&*store).await, notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_is_cancelled_is_none() {
    let source = ReplicaSet::start().await;
    let (_, repository) = in_memory().await;
    let snapshot = of_many_objects(&source, &repository).await;
    let cancel = CancellationToken::new();
    cancel.cancel();
    let folder = TempDir::new().unwrap();
    let to = Location::from(folder.path().join(FILE).as_path());
    let written = repository.bundle(
        snapshot.id(),
        to.sink().unwrap(),
        Arc::new(()),
        cancel.clone(),
    );
    assert_eq!(written.await.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let location = Location::from(folder.path());
    let unbundled = Repository::unbundle(&location, "nothing", io::empty(), Arc::new(()), cancel);
    assert_eq!(unbundled.await.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
