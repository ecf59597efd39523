//! What is damaged does not become a bundle, and a bundle that is damaged nothing else.

use rdump_testkit::damage;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn of_a_damaged_snapshot_there_is_no_bundle() {
    let source = ReplicaSet::start().await;
    let (store, repository) = in_memory().await;
    let snapshot = of_many_objects(&source, &repository).await;
    let whole = objects(&*store).await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join(FILE);
    let to = Location::from(file.as_path());
    for path in whole
        .keys()
        .filter(|path| **path != snapshot.id().manifest_copy())
    {
        for is_lost in [true, false] {
            let mut damaged = whole.clone();
            let content = damaged.remove(path).unwrap();
            if !is_lost {
                let mut content = content.to_vec();
                let middle = content.len() / 2;
                content[middle] ^= 1;
                damaged.insert(path.clone(), content.into());
            }
            let repository = match Repository::open_in(store_of(&damaged).await).await {
                Ok(repository) => repository,
                Err(error) => {
                    assert_eq!(path, "repository.json", "{error:?}");
                    continue;
                }
            };
            let error = try_bundle(&repository, snapshot.id(), to.sink().unwrap()).await;
            let error = error.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Data, "{path}: {error:?}");
            let place = error.location().unwrap();
            assert!(path.starts_with(place), "{path}: {error:?}");
            assert_eq!(
                std::fs::read_dir(folder.path()).unwrap().count(),
                0,
                "{path}"
            );
        }
    }
    // The copy of the manifest is not needed.
    let mut damaged = whole.clone();
    damaged.remove(&snapshot.id().manifest_copy());
    let repository = Repository::open_in(store_of(&damaged).await).await.unwrap();
    try_bundle(&repository, snapshot.id(), to.sink().unwrap())
        .await
        .unwrap();
    let written = std::fs::read(&file).unwrap();
    assert!(written == bundle(&repository, &snapshot).await);

    std::fs::write(&file, "mine").unwrap();
    let error = try_bundle(&repository, snapshot.id(), to.sink().unwrap())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_or_a_disk_that_takes_no_more_fails_a_bundle() {
    struct Full(usize);

    impl io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self
                .0
                .checked_sub(bytes.len())
                .ok_or(io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let source = ReplicaSet::start().await;
    let (_, repository) = in_memory().await;
    let snapshot = of_many_objects(&source, &repository).await;
    let length = bundle(&repository, &snapshot).await.len();
    for room in [0, 512, length / 2, length - 1] {
        let to = Sink::Stream(StreamUpload::new("a pipe", Full(room)));
        let error = try_bundle(&repository, snapshot.id(), to)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    }
    let to = Sink::Stream(StreamUpload::new("a pipe", Full(length)));
    try_bundle(&repository, snapshot.id(), to).await.unwrap();

    let disk = damage::SmallDisk::mount(8192);
    assert!(length > 3 * 8192, "{length}");
    let to = Location::from(disk.path().join(FILE).as_path());
    let error = try_bundle(&repository, snapshot.id(), to.sink().unwrap()).await;
    assert!(super::super::whole(&error.unwrap_err()).contains("no space"));
    assert_eq!(std::fs::read_dir(disk.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_is_cut_anywhere_is_refused() {
    let source = ReplicaSet::start().await;
    let (_, repository) = in_memory().await;
    let snapshot = of_many_objects(&source, &repository).await;
    let bytes = bundle(&repository, &snapshot).await;
    let expected = read_whole(&snapshot).await;
    let ends = (0..bytes.len())
        .step_by(512)
        .chain((0..bytes.len()).step_by(997));
    for end in ends.chain([bytes.len() - 1, bytes.len() - 513, bytes.len() - 1023]) {
        let cut = bytes[..end].to_vec();
        let (found, failed) = read_bundle(cut.clone(), &Selector::default()).await;
        let error = failed.unwrap_or_else(|| panic!("{end} of {} bytes", bytes.len()));
        assert_eq!(error.kind(), ErrorKind::Data, "{end}: {error:?}");
        for (namespace, documents) in found {
            assert!(documents.is_subset(&expected[&namespace]), "{end}");
        }
        let store = empty();
        let error = unbundle(&store, Cursor::new(cut)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data, "{end}: {error:?}");
        assert!(
            !objects(&*store)
                .await
                .contains_key(&snapshot.id().manifest()),
            "{end}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_changed_byte_is_noticed_or_changes_nothing() {
    let source = ReplicaSet::start().await;
    let (store, repository) = in_memory().await;
    let snapshot = of_many_objects(&source, &repository).await;
    let bytes = bundle(&repository, &snapshot).await;
    let expected = read_whole(&snapshot).await;
    let expected_objects = objects(&*store).await;
    let (mut noticed, mut harmless) = (0, 0);
    // Every header and the end whole, and of the rest a sample that is another each time.
    let salt = usize::from(bson::Uuid::new().bytes()[0]);
    let headers = bytes
        .windows(5)
        .enumerate()
        .filter(|(_, five)| *five == b"ustar");
    let headers: Vec<_> = headers.map(|(at, _)| at - 257).take(3).collect();
    let of_headers = headers.iter().flat_map(|at| (*at..at + 512).step_by(7));
    let places = of_headers
        .chain((salt..bytes.len()).step_by(251))
        .chain((bytes.len() - 1024..bytes.len()).step_by(99));
    for at in places {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        let (found, failed) = read_bundle(changed.clone(), &Selector::default()).await;
        for (namespace, documents) in &found {
            assert!(
                documents.is_subset(&expected[namespace]),
                "byte {at}, salt {salt}"
            );
        }
        let copy = empty();
        let unbundled = unbundle(&copy, Cursor::new(changed)).await;
        match (failed, unbundled) {
            (Some(error), Err(other)) => {
                noticed += 1;
                for error in [error, other] {
                    let kind = error.kind();
                    assert_eq!(kind, ErrorKind::Data, "byte {at}, salt {salt}: {error:?}");
                }
                assert!(
                    !objects(&*copy)
                        .await
                        .contains_key(&snapshot.id().manifest())
                );
            }
            (None, Ok(_)) => {
                harmless += 1;
                assert_eq!(found, expected, "byte {at}, salt {salt}");
                assert_eq!(
                    objects(&*copy).await,
                    expected_objects,
                    "byte {at}, salt {salt}"
                );
            }
            (failed, unbundled) => panic!("byte {at}, salt {salt}: {failed:?}, {unbundled:?}"),
        }
    }
    assert!(
        noticed > 100 && harmless < noticed / 4,
        "{noticed} {harmless}"
    );
}
