//! The policies of `docs/s3.md` allow what a dump, a restore and a pruning ask a store for, and nothing besides.
//!
//! SeaweedFS minds actions, resources and what is denied, as IAM does, but for two things. Who may put an object may do
//! whatever there is about its uploads, so that an action of these is denied where it is left out. And whoever may get an
//! object is told that it is absent, for which Amazon's store wants `s3:ListBucket`; the small server of the test kit does
//! as Amazon's there.

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    error::ProvideErrorMetadata,
    primitives::DateTime,
    types::{ObjectLockLegalHoldStatus, ObjectLockMode},
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use bytes::Bytes;
use rdump_storage::{Listing, PutIf, Result, S3Credentials, S3Store, StorageError, Store};
use rdump_testkit::{
    S3Server, SeaweedFs,
    s3::{ACCESS_KEY, Access, BUCKET, Policy, SECRET_KEY},
};

use crate::conforming::s3;

const PAGE: &str = include_str!("../../../docs/s3.md");
/// The user who may do all that a policy says.
const ALL: &str = "all";
/// A day in the year 2096, in seconds since 1970.
const IN_2096: i64 = 4_000_000_000;
/// More than one part has, in bytes.
const LARGE_BYTES: usize = 9 << 20;

/// The store of a user.
fn store_of(server: &SeaweedFs, user: &str) -> S3Store {
    let location = server.location(&prefix_of(user));
    S3Store::new(location.parse().unwrap()).credentials(S3Credentials::new(user, SECRET_KEY))
}

/// Each user has a place of its own, so that none finds what another one left.
fn prefix_of(user: &str) -> String {
    format!("dumps/of {user}")
}

/// A client of a user, for what a store does not do.
pub(crate) fn client(server: &SeaweedFs, user: &str) -> Client {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .region(Region::from_static("us-east-1"))
        .endpoint_url(format!("http://{}", server.address()))
        .force_path_style(true)
        .credentials_provider(Credentials::new(user, SECRET_KEY, None, None, "test"));
    Client::from_conf(config.build())
}

/// What a dump to a folder asks for, one after the other; then how many uploads are left of one that failed.
async fn dump(store: &S3Store) -> Result<usize> {
    store.remove_leftovers(&["db".to_owned()]).await?;
    store.head("rdump.manifest.json").await?;
    store.delete(&["rdump.manifest.json"]).await?;
    let mut upload = store.upload("db/c.bson").await?;
    upload.write(vec![0; LARGE_BYTES].into()).await?;
    upload.finish().await?;
    let listing = Listing::of(store, "").await?;
    assert_eq!(listing.objects.len(), 1);
    let mut upload = store.upload("rdump.manifest.json").await?;
    upload.write(Bytes::from_static(b"{}")).await?;
    let info = upload.finish().await?;
    store
        .read("rdump.manifest.json", 0..2, info.version.as_ref())
        .await?;

    let mut upload = store.upload("db/d.bson").await?;
    upload.write(vec![0; LARGE_BYTES].into()).await?;
    drop(upload);
    store.settle().await;
    Ok(store.remove_leftovers(&["db".to_owned()]).await?.len())
}

/// What verifying and restoring ask for.
async fn restore(store: &S3Store) -> Result<()> {
    Listing::of(store, "").await?;
    let info = store.head("db/c.bson").await?.unwrap();
    store.read("db/c.bson", 0..3, info.version.as_ref()).await?;
    assert_eq!(store.head("rdump.unfinished").await?, None);
    Ok(())
}

/// What taking away a dump, and an upload that a killed one left, asks for; then how many uploads are left.
async fn prune(store: &S3Store, client: &Client) -> Result<usize> {
    let listing = Listing::of(store, "").await?;
    let paths: Vec<&str> = listing.objects.iter().map(|o| o.path.as_str()).collect();
    assert_eq!(paths, ["db/c.bson"]);
    store.delete(&paths).await?;
    assert_eq!(Listing::of(store, "").await?.objects, []);
    assert_eq!(store.remove_leftovers(&["db".to_owned()]).await?.len(), 1);
    let location = store.location();
    let prefix = location.to_string().replace(&format!("s3://{BUCKET}/"), "");
    let uploads = client.list_multipart_uploads().bucket(BUCKET);
    let uploads = uploads.prefix(prefix).send().await.unwrap();
    for upload in uploads.uploads() {
        let abort = client.abort_multipart_upload().bucket(BUCKET);
        let aborted = abort
            .set_key(upload.key.clone())
            .set_upload_id(upload.upload_id.clone())
            .send();
        if let Err(error) = aborted.await {
            assert_eq!(error.code(), Some("AccessDenied"));
        }
    }
    Ok(store.remove_leftovers(&["db".to_owned()]).await?.len())
}

/// A server with a user who may do all of a policy, and for each of its actions one who may not do that.
async fn server(policy: &str) -> (SeaweedFs, Vec<String>) {
    let policy = |user: &str| Policy::in_page(PAGE, policy, &prefix_of(user));
    let actions = policy(ALL).actions();
    let mut access = Access::default().user(ALL, policy(ALL));
    for action in &actions {
        access = access.user(action, policy(action).without(action));
    }
    (SeaweedFs::with(&access).await, actions)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_dumps_needs_each_action_of_the_policy_and_no_other() {
    let (server, actions) = server("dump").await;
    // Twice, since the second one finds the first.
    for _ in 0..2 {
        assert_eq!(dump(&store_of(&server, ALL)).await.unwrap(), 0);
    }
    for action in actions {
        let dumped = dump(&store_of(&server, &action)).await;
        match action.as_str() {
            // What a dump that fails cannot take back, the next one tells of.
            "s3:AbortMultipartUpload" => assert_eq!(dumped.unwrap(), 1),
            action => assert_denied(dumped, action),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_restores_needs_each_action_of_the_policy_and_no_other() {
    let (server, actions) = server("restore").await;
    for user in actions.iter().map(String::as_str).chain([ALL]) {
        put(&s3(&server.location(&prefix_of(user))), "db/c.bson").await;
    }
    restore(&store_of(&server, ALL)).await.unwrap();
    for action in actions {
        assert_denied(restore(&store_of(&server, &action)).await, &action);
    }
    // It is no more than reading.
    let store = store_of(&server, ALL);
    let written = store.put("a", Bytes::new(), PutIf::Always).await;
    assert!(is_denied(&written, "s3:PutObject"), "{written:?}");
    let deleted = store.delete(&["db/c.bson"]).await;
    assert!(is_denied(&deleted, "s3:DeleteObject"), "{deleted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_prunes_needs_each_action_of_the_policy_and_no_other() {
    let (server, actions) = server("prune").await;
    for user in actions.iter().map(String::as_str).chain([ALL]) {
        put(&s3(&server.location(&prefix_of(user))), "db/c.bson").await;
        let begin = client(&server, ACCESS_KEY).create_multipart_upload();
        let key = format!("{}/db/d.bson", prefix_of(user));
        begin.bucket(BUCKET).key(key).send().await.unwrap();
    }
    let left = prune(&store_of(&server, ALL), &client(&server, ALL)).await;
    assert_eq!(left.unwrap(), 0);
    for action in actions {
        let pruned = prune(&store_of(&server, &action), &client(&server, &action)).await;
        match action.as_str() {
            "s3:AbortMultipartUpload" => assert_eq!(pruned.unwrap(), 1),
            action => assert_denied(pruned, action),
        }
    }
    // Dumps are taken away unread.
    let store = store_of(&server, ALL);
    let read = store.read("db/c.bson", 0..1, None).await;
    assert!(is_denied(&read, "s3:GetObject"), "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn anybody_reads_from_a_public_bucket_and_needs_no_credentials() {
    let server = SeaweedFs::start().await;
    put(&s3(&server.location("dump")), "db/c.bson").await;
    let location = format!("{}&anonymous=true", server.location("dump"));
    let store = S3Store::new(location.parse().unwrap());
    let listed = Listing::of(&store, "").await;
    assert!(is_denied(&listed, "s3:ListBucket"), "{listed:?}");

    let policy = Policy::in_page(PAGE, "public", "dump").to_string();
    let put_policy = client(&server, ACCESS_KEY).put_bucket_policy();
    let put_policy = put_policy.bucket(BUCKET).policy(policy).send();
    put_policy.await.unwrap();
    restore(&store).await.unwrap();
    let written = store.put("a", Bytes::new(), PutIf::Always).await;
    assert!(is_denied(&written, "s3:PutObject"), "{written:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_locked_stays_as_an_older_version_whatever_is_deleted_or_written() {
    let server = SeaweedFs::start().await;
    let admin = client(&server, ACCESS_KEY);
    create_locked_bucket(&admin).await;
    let put_locked = admin.put_object().bucket("locked").key("dump/db/c.bson");
    let put_locked = put_locked
        .body(Bytes::from_static(b"abc").into())
        .object_lock_mode(ObjectLockMode::Compliance)
        .object_lock_retain_until_date(DateTime::from_secs(IN_2096));
    let locked = put_locked.send().await.unwrap().version_id.unwrap();

    let store = s3(&server.location("dump").replace(BUCKET, "locked"));
    let capabilities = store.capabilities().await.unwrap();
    assert!(capabilities.versioning && capabilities.object_lock);
    put(&store, "db/c.bson").await;
    store.delete(&["db/c.bson"]).await.unwrap();
    assert_eq!(store.head("db/c.bson").await.unwrap(), None);
    assert_eq!(Listing::of(&store, "").await.unwrap().objects, []);

    let object = || {
        let delete = admin.delete_object().bucket("locked").key("dump/db/c.bson");
        delete.version_id(&locked)
    };
    let deleted = object().send().await.unwrap_err();
    assert_eq!(deleted.code(), Some("AccessDenied"));
    let deleted = object().bypass_governance_retention(true).send().await;
    assert_eq!(deleted.unwrap_err().code(), Some("AccessDenied"));
    let get = admin.get_object().bucket("locked").key("dump/db/c.bson");
    let kept = get.version_id(&locked).send().await.unwrap();
    assert_eq!(kept.body.collect().await.unwrap().into_bytes(), "abc");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_locks_what_is_dumped_needs_each_action_of_that_policy() {
    let page = PAGE.replace("BUCKET", "locked");
    let policy = |name| Policy::in_page(&page, name, "dump");
    let actions = ["s3:PutObjectRetention", "s3:PutObjectLegalHold"];
    assert_eq!(policy("lock").actions(), actions);
    let mut access = Access::default().user(ALL, policy("dump").and(policy("lock")));
    for action in actions {
        access = access.user(action, policy("dump").and(policy("lock").without(action)));
    }
    let server = SeaweedFs::with(&access).await;
    create_locked_bucket(&client(&server, ACCESS_KEY)).await;
    for user in actions.into_iter().chain([ALL]) {
        let client = client(&server, user);
        let put = || client.put_object().bucket("locked").key("dump/a");
        let begin = client.create_multipart_upload().bucket("locked");
        let (mode, until) = (ObjectLockMode::Governance, DateTime::from_secs(IN_2096));
        let retained = put().object_lock_mode(mode.clone());
        let retained = retained.object_lock_retain_until_date(until).send().await;
        let begun = begin.key("dump/b").object_lock_mode(mode);
        let begun = begun.object_lock_retain_until_date(until).send().await;
        let held = put().object_lock_legal_hold_status(ObjectLockLegalHoldStatus::On);
        let held = held.send().await;
        let may_retain = user != "s3:PutObjectRetention";
        assert_eq!(retained.is_ok(), may_retain, "{user}: {retained:?}");
        assert_eq!(begun.is_ok(), may_retain, "{user}: {begun:?}");
        assert_eq!(
            held.is_ok(),
            user != "s3:PutObjectLegalHold",
            "{user}: {held:?}"
        );
    }
}

pub(crate) async fn create_locked_bucket(admin: &Client) {
    let create = admin.create_bucket().bucket("locked");
    let create = create.object_lock_enabled_for_bucket(true).send();
    create.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_absent_may_be_known_by_those_who_may_list() {
    let server = S3Server::start_without_listings().await;
    let store = s3(&server.location("dump"));
    put(&store, "there").await;
    assert!(store.head("there").await.unwrap().is_some());
    let absent = store.head("absent").await;
    assert!(is_denied(&absent, "s3:ListBucket"), "{absent:?}");
}

async fn put(store: &S3Store, path: &str) {
    let bytes = Bytes::from_static(b"abc");
    store.put(path, bytes, PutIf::Always).await.unwrap();
}

fn is_denied<T>(outcome: &Result<T>, needed: &str) -> bool {
    matches!(outcome, Err(StorageError::Denied { action, .. }) if *action == needed)
}

/// Fails the test unless an action was refused, at the place of the user who lacks it.
#[track_caller]
fn assert_denied<T: std::fmt::Debug>(outcome: Result<T>, needed: &str) {
    let Err(StorageError::Denied { action, path, .. }) = &outcome else {
        panic!("without {needed}: {outcome:?}");
    };
    let place = format!("s3://{BUCKET}/{}", prefix_of(needed));
    assert!(
        *action == needed && path.starts_with(&place),
        "{action} {path}"
    );
}
