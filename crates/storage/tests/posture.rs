//! How places are set up.

use std::time::Duration;

use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketVersioningStatus,
    DefaultRetention, ExpirationStatus, LifecycleExpiration, LifecycleRule, LifecycleRuleFilter,
    ObjectLockConfiguration, ObjectLockEnabled, ObjectLockRetentionMode, ObjectLockRule,
    VersioningConfiguration,
};
use bytes::Bytes;
use rdump_storage::{FolderStore, MemoryStore, S3Store, StorageError, Store, Told};
use rdump_testkit::{
    S3Server, SeaweedFs,
    damage::SmallDisk,
    s3::{ACCESS_KEY, Access, BUCKET, Policy, SECRET_KEY},
};

use crate::{
    conforming::s3,
    policies::{client, create_locked_bucket},
};

const PAGE: &str = include_str!("../../../docs/s3.md");
/// More than one part has, in bytes.
const LARGE_BYTES: usize = 9 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_tells_what_was_set_and_what_never_was() {
    let server = SeaweedFs::start().await;
    let admin = client(&server, ACCESS_KEY);
    let store = s3(&server.location("dump"));
    let posture = store.posture().await.unwrap();
    assert_eq!(posture.versioning.answer(), Some(&false));
    assert_eq!(posture.object_lock.answer(), Some(&None));
    let lifecycle = posture.lifecycle.answer().unwrap();
    assert_eq!((lifecycle.aborts_uploads, lifecycle.deletes), (None, None));
    assert_eq!(posture.encryption.answer(), Some(&None));
    assert!(matches!(posture.free_bytes, Told::Nothing));
    let now = *posture.now.answer().unwrap();
    let apart = now.elapsed().unwrap_or_else(|error| error.duration());
    assert!(apart < Duration::from_secs(30), "{apart:?}");

    let versioning = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled);
    let set = admin.put_bucket_versioning().bucket(BUCKET);
    set.versioning_configuration(versioning.build())
        .send()
        .await
        .unwrap();
    let abort = AbortIncompleteMultipartUpload::builder().days_after_initiation(7);
    let rule = |id: &str, prefix: &str| {
        let filter = LifecycleRuleFilter::builder().prefix(prefix).build();
        let rule = LifecycleRule::builder().id(id).filter(filter);
        rule.status(ExpirationStatus::Enabled)
    };
    let deletes = LifecycleExpiration::builder().days(90).build();
    let deletes = rule("b", "dump/").expiration(deletes).build().unwrap();
    let aborts = rule("a", "dump/").abort_incomplete_multipart_upload(abort.build());
    let rules = BucketLifecycleConfiguration::builder()
        .rules(deletes)
        .rules(aborts.build().unwrap());
    let set = admin.put_bucket_lifecycle_configuration().bucket(BUCKET);
    let set = set.lifecycle_configuration(rules.build().unwrap());
    set.send().await.unwrap();
    let posture = store.posture().await.unwrap();
    assert_eq!(posture.versioning.answer(), Some(&true));
    assert_eq!(posture.lifecycle.answer().unwrap().deletes, Some(90));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_with_locks_tells_how_long_they_last_by_default() {
    let server = SeaweedFs::start().await;
    let admin = client(&server, ACCESS_KEY);
    create_locked_bucket(&admin).await;
    let store = s3(&server.location("dump").replace(BUCKET, "locked"));
    let lock = async || {
        let posture = store.posture().await.unwrap();
        let lock = posture.object_lock.answer().copied();
        lock.unwrap().unwrap().default_days
    };
    assert_eq!(lock().await, None);
    let default = DefaultRetention::builder().days(30);
    let default = default.mode(ObjectLockRetentionMode::Governance).build();
    let rule = ObjectLockRule::builder().default_retention(default).build();
    let set = ObjectLockConfiguration::builder().rule(rule);
    let set = set.object_lock_enabled(ObjectLockEnabled::Enabled).build();
    let put = admin.put_object_lock_configuration().bucket("locked");
    put.object_lock_configuration(set).send().await.unwrap();
    assert_eq!(lock().await, Some(30));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_asked_or_is_not_understood_is_not_told() {
    let policy = Policy::in_page(PAGE, "backup", "dump");
    let server = SeaweedFs::with(&Access::default().user("keeper", policy)).await;
    let location = server.location("dump").parse().unwrap();
    let store =
        S3Store::new(location).credentials(rdump_storage::S3Credentials::new("keeper", SECRET_KEY));
    let posture = store.posture().await.unwrap();
    let Told::Not(StorageError::Denied { action, .. }) = &posture.versioning else {
        panic!("{posture:?}");
    };
    assert_eq!(*action, "s3:GetBucketVersioning");
    // A refusal has a date as well.
    assert!(posture.now.answer().is_some(), "{posture:?}");

    let server = S3Server::start().await;
    let posture = s3(&server.location("dump")).posture().await.unwrap();
    assert!(matches!(posture.lifecycle, Told::Not(_)), "{posture:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_nobody_ended_are_told_with_their_beginning() {
    let server = SeaweedFs::start().await;
    let begin = client(&server, ACCESS_KEY).create_multipart_upload();
    let begin = begin.bucket(BUCKET).key("dump/db/c.bson");
    begin.send().await.unwrap();
    let begin = client(&server, ACCESS_KEY).create_multipart_upload();
    begin.bucket(BUCKET).key("other").send().await.unwrap();
    let store = s3(&server.location("dump"));
    let [upload] = &store.unfinished_uploads().await.unwrap()[..] else {
        panic!("one");
    };
    assert_eq!(upload.path, "db/c.bson");
    assert!(upload.since.is_some());

    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::create(&folder.path().join("new/folder")).unwrap();
    assert_eq!(store.unfinished_uploads().await.unwrap(), []);
    let mut writing = store.upload("db/c.bson").await.unwrap();
    writing
        .write(Bytes::from(vec![0; LARGE_BYTES]))
        .await
        .unwrap();
    let found = store.unfinished_uploads().await.unwrap();
    assert!(found.len() == 1 && found[0].path.starts_with("db/.rdump-"));
    assert!(found[0].since.is_some(), "{found:?}");
    writing.finish().await.unwrap();
    assert_eq!(store.unfinished_uploads().await.unwrap(), []);
}

#[tokio::test]
async fn a_folder_tells_how_much_can_be_written_also_before_it_is_there() {
    let disk = SmallDisk::mount(8 << 20);
    let store = FolderStore::create(&disk.path().join("new/folder")).unwrap();
    let free = async || *store.posture().await.unwrap().free_bytes.answer().unwrap();
    assert_eq!(free().await, 8 << 20);
    std::fs::write(disk.path().join("large"), vec![0; 6 << 20]).unwrap();
    assert_eq!(free().await, 2 << 20);
    assert!(!disk.path().join("new").exists());
    let posture = MemoryStore::new("tested").posture().await.unwrap();
    assert!(matches!(posture.free_bytes, Told::Nothing), "{posture:?}");
}
