//! Storage classes: what is in one, what is brought into another, and what is thawed.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use rdump_storage::{
    ClassState, Listing, MemoryStore, PutIf, Retrieval, S3Store, StorageError, Store, ThawRequest,
};
use rdump_testkit::{
    SeaweedFs,
    s3::{
        ACCESS_KEY, BUCKET, Freezer, Gateway,
        gateway::{Answer, Fault, S3Operation},
    },
};

use crate::{
    conforming::s3,
    policies::{client, create_locked_bucket},
};

/// More than two parts have, in bytes.
const LARGE_BYTES: usize = (17 << 20) + 123;

async fn upload(store: &S3Store, path: &str, bytes: &[u8]) {
    let mut upload = store.upload(path).await.unwrap();
    upload.write(Bytes::copy_from_slice(bytes)).await.unwrap();
    upload.finish().await.unwrap();
}

async fn class(store: &S3Store, path: &str) -> String {
    store.class(path).await.unwrap().unwrap().name
}

async fn listed(store: &S3Store, path: &str) -> Option<String> {
    let listing = Listing::of(store, path).await.unwrap();
    let [object] = listing.objects.as_slice() else {
        panic!("{listing:?}");
    };
    object.storage_class.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_in_another_class_is_otherwise_as_it_was() {
    let server = SeaweedFs::start().await;
    let admin = client(&server, ACCESS_KEY);
    create_locked_bucket(&admin).await;
    let location = server.location("dump").replace(BUCKET, "locked");
    let locked = s3(&format!(
        "{location}&tag=team%3Da b%26c&object-lock-mode=governance&object-lock-retain-until=30d&object-lock-legal-hold=on"
    ));
    let plain = s3(&server.location("dump"));
    for (store, length) in [(&locked, 9), (&locked, LARGE_BYTES), (&plain, LARGE_BYTES)] {
        upload(store, "data/a", &vec![7; length]).await;
        let retention = store.retention("data/a").await.unwrap();
        // Whoever moves it need not know how it was written.
        let mover = match &retention {
            Some(_) => s3(&location),
            None => s3(&server.location("dump")),
        };
        assert_eq!(class(&mover, "data/a").await, "STANDARD");
        let moved = mover.change_class("data/a", "GLACIER_IR").await.unwrap();
        assert_eq!(moved.stored_bytes, length as u64);
        assert_eq!(class(&mover, "data/a").await, "GLACIER_IR");
        assert_eq!(
            listed(&mover, "data/a").await.as_deref(),
            Some("GLACIER_IR")
        );
        let read = store.read("data/a", 0..length as u64, None).await.unwrap();
        assert!(read == vec![7; length]);
        assert_eq!(store.retention("data/a").await.unwrap(), retention);
        if retention.is_some() {
            let tags = admin
                .get_object_tagging()
                .bucket("locked")
                .key("dump/data/a");
            let tags = tags.send().await.unwrap().tag_set;
            let tags: Vec<_> = tags.iter().map(|tag| (tag.key(), tag.value())).collect();
            assert_eq!(tags, [("team", "a b&c")]);
        }
        // It is copied, and brought into a third one, as well.
        mover.change_class("data/a", "STANDARD_IA").await.unwrap();
        assert_eq!(class(&mover, "data/a").await, "STANDARD_IA");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_brought_into_another_class_is_as_it_was() {
    let server = SeaweedFs::start().await;
    let gateway = Gateway::start(server.address()).await;
    let store = s3(&gateway.location("dump"));
    upload(&store, "data/a", b"content").await;
    let other = "<CopyPartResult><ETag>\"0\"</ETag><ChecksumCRC32C>4waSgw==</ChecksumCRC32C></CopyPartResult>";
    let faults: [(S3Operation, Fault); 4] = [
        (S3Operation::Copy, Answer::new(200).body(other).into()),
        (S3Operation::Copy, Fault::error(403, "AccessDenied")),
        (
            S3Operation::Create,
            Fault::error(400, "InvalidStorageClass"),
        ),
        (S3Operation::Complete, Fault::error(403, "AccessDenied")),
    ];
    for (operation, fault) in faults {
        let rule = fault.clone();
        gateway.rule(move |asked| (asked.operation == operation).then(|| rule.clone()));
        let error = store.change_class("data/a", "COLD").await.unwrap_err();
        match operation {
            S3Operation::Create => {
                assert!(matches!(error, StorageError::Refused { .. }), "{error}");
            }
            _ if fault == Fault::error(403, "AccessDenied") => {
                assert!(matches!(error, StorageError::Denied { .. }), "{error}");
            }
            _ => assert!(matches!(error, StorageError::Corrupted { .. }), "{error}"),
        }
        gateway.pass();
        store.settle().await;
        assert_eq!(class(&store, "data/a").await, "STANDARD");
        assert_eq!(store.read("data/a", 0..7, None).await.unwrap(), "content");
        let left = store.remove_leftovers(&["data".to_owned()]).await;
        assert_eq!(left.unwrap(), []);
    }
    let plain = s3(&format!("{}&checksum=none", gateway.location("plain")));
    upload(&plain, "data/a", b"content").await;
    let error = plain.change_class("data/a", "COLD").await.unwrap_err();
    assert!(matches!(error, StorageError::Refused { .. }), "{error}");
    let none = store.change_class("data/b", "COLD").await.unwrap_err();
    assert!(matches!(none, StorageError::NotFound { .. }), "{none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_frozen_names_its_class_and_can_be_read_once_it_was_thawed() {
    let server = SeaweedFs::start().await;
    let gateway = Gateway::start(server.address()).await;
    let freezer = Freezer::of(&gateway, 2);
    let store = s3(&format!(
        "{}&storage-class=DEEP_ARCHIVE",
        gateway.location("dump")
    ));
    upload(&store, "data/a", b"content").await;
    let state = async || store.class("data/a").await.unwrap().unwrap().state;
    assert_eq!(state().await, ClassState::Frozen);
    let error = store
        .read("data/a", 0..7, None)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("it is frozen in storage class DEEP_ARCHIVE"),
        "{error}"
    );
    for error in [
        store.change_class("data/a", "STANDARD").await.unwrap_err(),
        s3(&gateway.location("copy"))
            .copy_from(
                &store.location(),
                &store.checksum("data/a").await.unwrap().unwrap(),
                "data/a",
            )
            .await
            .unwrap_err(),
    ] {
        assert!(matches!(error, StorageError::Frozen { .. }), "{error}");
    }
    let request = ThawRequest::default().days(3).retrieval(Retrieval::Bulk);
    for _ in 0..2 {
        store.thaw("data/a", request).await.unwrap();
    }
    let error = store
        .read("data/a", 0..7, None)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("being thawed"), "{error}");
    while state().await == ClassState::Thawing {}
    let ClassState::Thawed { until: Some(until) } = state().await else {
        panic!("{:?}", state().await);
    };
    let in_2096 = UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    assert!(until > in_2096);
    store.thaw("data/a", request).await.unwrap();
    assert_eq!(store.read("data/a", 0..7, None).await.unwrap(), "content");
    assert_eq!(freezer.frozen(), Vec::<String>::new());
    // What can be read need not be thawed.
    let plain = s3(&gateway.location("dump"));
    upload(&plain, "data/b", b"content").await;
    plain.thaw("data/b", request).await.unwrap();
    let none = plain.thaw("data/c", request).await.unwrap_err();
    assert!(matches!(none, StorageError::NotFound { .. }), "{none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_classes_says_that_it_cannot() {
    let memory = MemoryStore::new("tested");
    memory.put("a", "x".into(), PutIf::Always).await.unwrap();
    let class = memory.class("a").await.unwrap().unwrap();
    assert_eq!(
        (class.name.as_str(), class.state),
        ("STANDARD", ClassState::Readable)
    );
    assert_eq!(memory.class("b").await.unwrap(), None);
    assert_eq!(memory.checksum("a").await.unwrap(), None);
    for error in [
        memory.change_class("a", "GLACIER").await.unwrap_err(),
        memory.thaw("a", ThawRequest::default()).await.unwrap_err(),
    ] {
        assert!(matches!(error, StorageError::Refused { .. }), "{error}");
    }
    // A real one that knows no thawing.
    let server = SeaweedFs::start().await;
    let store = s3(&format!(
        "{}&storage-class=GLACIER",
        server.location("dump")
    ));
    upload(&store, "a", b"x").await;
    let error = store.thaw("a", ThawRequest::default()).await.unwrap_err();
    assert!(matches!(error, StorageError::Refused { .. }), "{error}");
}
