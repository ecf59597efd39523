//! What a location says about how objects are kept.

use std::time::{Duration, UNIX_EPOCH};

use aws_sdk_s3::types::{ChecksumMode, ObjectLockLegalHoldStatus, ObjectLockMode};
use bytes::Bytes;
use rdump_storage::{Listing, PutIf, S3Credentials, S3Store, StorageError, Store};
use rdump_testkit::{
    S3Server, SeaweedFs,
    s3::{ACCESS_KEY, Access, BUCKET, Policy, SECRET_KEY},
};

use crate::{
    conforming::s3,
    policies::{client, create_locked_bucket},
};

const PAGE: &str = include_str!("../../../docs/s3.md");
/// More than one part has, in bytes.
const LARGE_BYTES: usize = 9 << 20;

async fn upload(store: &S3Store, path: &str, bytes: usize) {
    let mut upload = store.upload(path).await.unwrap();
    upload.write(vec![7; bytes].into()).await.unwrap();
    upload.finish().await.unwrap();
}

async fn assert_reads(store: &S3Store, path: &str, bytes: usize) {
    let read = store.read(path, 0..bytes as u64, None).await.unwrap();
    assert!(read == vec![7; bytes], "{store:?}: {path}");
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_tagged_locked_and_of_the_class_that_the_location_says() {
    let server = SeaweedFs::start().await;
    let admin = client(&server, ACCESS_KEY);
    create_locked_bucket(&admin).await;
    let location = server.location("dump").replace(BUCKET, "locked");
    let store = s3(&format!(
        "{location}&tag=team%3Da b%26c&tag=kind%3Ddump&storage-class=standard_ia&object-lock-mode=governance\
         &object-lock-retain-until=30d&object-lock-legal-hold=on"
    ));
    upload(&store, "small", 3).await;
    upload(&store, "large", LARGE_BYTES).await;
    let manifest = Bytes::from_static(b"abc");
    store.put("put", manifest, PutIf::Always).await.unwrap();
    for (path, class) in [
        ("small", Some("STANDARD_IA")),
        ("large", Some("STANDARD_IA")),
        ("put", None),
    ] {
        let key = format!("dump/{path}");
        let head = admin.head_object().bucket("locked").key(&key);
        let head = head.send().await.unwrap();
        let mode = head.object_lock_mode.as_ref();
        assert_eq!(mode, Some(&ObjectLockMode::Governance), "{path}");
        let hold = head.object_lock_legal_hold_status.as_ref();
        assert_eq!(hold, Some(&ObjectLockLegalHoldStatus::On), "{path}");
        let days = Duration::from_secs(30 * 24 * 60 * 60);
        let until = head.object_lock_retain_until_date.unwrap().secs();
        let written = head.last_modified.unwrap().secs();
        let kept = Duration::from_secs((until - written).try_into().unwrap());
        assert!(kept.abs_diff(days) < Duration::from_secs(60), "{path}");
        let found = head.storage_class.as_ref().map(|class| class.as_str());
        assert_eq!(found.filter(|class| *class != "STANDARD"), class, "{path}");
        let tags = admin.get_object_tagging().bucket("locked").key(&key);
        let tags = tags.send().await.unwrap().tag_set;
        let mut tags: Vec<(String, String)> =
            tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
        tags.sort();
        let expected = [("kind", "dump"), ("team", "a b&c")];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(tags, expected, "{path}");
        let retention = store.retention(path).await.unwrap().unwrap();
        assert!(retention.held, "{path}");
        let told = retention.until.unwrap().duration_since(UNIX_EPOCH);
        assert_eq!(
            told.unwrap().as_secs(),
            u64::try_from(until).unwrap(),
            "{path}"
        );
    }
    assert_eq!(store.retention("absent").await.unwrap(), None);
    // What is not locked, in a bucket where it could be, and in one where it could not.
    for location in [&location, &server.location("dump")] {
        let store = s3(location);
        upload(&store, "free", 3).await;
        assert_eq!(store.retention("free").await.unwrap(), None, "{location}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_ask_for_locks_is_told_so() {
    let policy = Policy::in_page(PAGE, "restore", "dump");
    let server = SeaweedFs::with(&Access::default().user("reader", policy)).await;
    let location = server.location("dump").parse().unwrap();
    let store = S3Store::new(location).credentials(S3Credentials::new("reader", SECRET_KEY));
    let refused = store.retention("any").await;
    assert!(
        matches!(&refused, Err(StorageError::Denied { action, .. }) if *action == "s3:GetObjectRetention"),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_encrypted_by_a_key_that_the_store_does_not_keep_is_read_by_that_key_alone() {
    let server = SeaweedFs::start().await;
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("key");
    std::fs::write(&key_file, [9; 32]).unwrap();
    let location = server.location("dump");
    let store = s3(&format!("{location}&sse-c-key-file={}", key_file.display()));
    let without = s3(&location);
    for (path, bytes) in [("small", 3), ("large", LARGE_BYTES)] {
        upload(&store, path, bytes).await;
        assert_reads(&store, path, bytes).await;
        assert_eq!(
            store.head(path).await.unwrap().unwrap().stored_bytes,
            bytes as u64
        );
        let read = without.read(path, 0..3, None).await;
        assert!(read.is_err(), "{path}: {read:?}");
    }
    std::fs::remove_file(&key_file).unwrap();
    let gone = s3(&format!("{location}&sse-c-key-file={}", key_file.display()));
    assert!(gone.head("small").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_checks_what_is_sent_with_the_checksum_that_the_location_says() {
    let (server, small) = (SeaweedFs::start().await, S3Server::start().await);
    let admin = client(&server, ACCESS_KEY);
    for how in ["auto", "sha256", "crc32c", "when-required", "none"] {
        for location in [server.location(how), small.location(how)] {
            let store = s3(&format!("{location}&checksum={how}"));
            upload(&store, "small", 3).await;
            upload(&store, "large", LARGE_BYTES).await;
            store.copy("large", "copy").await.unwrap();
            for (path, bytes) in [("small", 3), ("large", LARGE_BYTES), ("copy", LARGE_BYTES)] {
                assert_reads(&store, path, bytes).await;
            }
        }
        let key = format!("{how}/small");
        let head = admin.head_object().bucket(BUCKET).key(key);
        let head = head.checksum_mode(ChecksumMode::Enabled).send().await;
        let head = head.unwrap();
        assert_eq!(
            (
                head.checksum_sha256.is_some(),
                head.checksum_crc32_c.is_some()
            ),
            (how == "sha256", how == "auto" || how == "crc32c"),
            "{how}"
        );
        for location in [server.location(how), small.location(how)] {
            let store = s3(&format!("{location}&checksum={how}"));
            store.delete(&["small", "large", "copy"]).await.unwrap();
            assert_eq!(Listing::of(&store, "").await.unwrap().objects, []);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_part_but_the_last_has_the_size_that_the_location_says() {
    let server = SeaweedFs::start().await;
    let store = s3(&format!("{}&part-size=5MiB", server.location("dump")));
    upload(&store, "large", 21 << 20).await;
    let info = store.head("large").await.unwrap().unwrap();
    let parts = info.version.unwrap();
    assert!(parts.as_str().ends_with("-5"), "{parts:?}");
    assert_reads(&store, "large", 21 << 20).await;
}
