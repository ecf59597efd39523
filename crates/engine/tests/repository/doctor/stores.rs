//! Stores, and how they are set up.

use std::{
    ops::Range,
    sync::Mutex,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use futures::{FutureExt, future, future::BoxFuture, stream::BoxStream};
use rdump::{
    ErrorKind, RetentionPolicy,
    storage::{
        Capabilities, Leftover, Lifecycle, Listed, Lock, MemoryStore, ObjectInfo, ObjectLock,
        Posture, PutIf, Retention, StorageError, Told, UnfinishedUpload, Upload, Version,
    },
};
use rdump_testkit::{
    S3Server,
    damage::SmallDisk,
    s3::{ACCESS_KEY, SECRET_KEY},
};

use super::*;
use crate::repository::{
    objects,
    watched::Watched,
    years::{Of, Years},
};

type Result<T> = std::result::Result<T, StorageError>;

/// A store that says of itself what a test wants.
#[derive(Debug)]
struct SetUp {
    inner: Arc<MemoryStore>,
    posture: Mutex<Option<Posture>>,
    uploads: Vec<UnfinishedUpload>,
    may_delete: bool,
}

impl SetUp {
    fn new(inner: Arc<MemoryStore>, posture: Posture) -> Self {
        Self {
            inner,
            posture: Mutex::new(Some(posture)),
            uploads: Vec::new(),
            may_delete: true,
        }
    }
}

fn denied(action: &'static str) -> StorageError {
    StorageError::Denied {
        action,
        path: "s3://tested".to_owned(),
        source: "the test says so".into(),
    }
}

impl Store for SetUp {
    fn location(&self) -> Location {
        self.inner.location()
    }

    fn capabilities(&self) -> BoxFuture<'_, Result<Capabilities>> {
        self.inner.capabilities()
    }

    fn posture(&self) -> BoxFuture<'_, Result<Posture>> {
        let posture = self.posture.lock().unwrap().take();
        future::ready(Ok(posture.unwrap_or_default())).boxed()
    }

    fn unfinished_uploads(&self) -> BoxFuture<'_, Result<Vec<UnfinishedUpload>>> {
        future::ready(Ok(self.uploads.clone())).boxed()
    }

    fn lock(&self) -> BoxFuture<'_, Result<Lock>> {
        self.inner.lock()
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, Result<Listed>> {
        self.inner.list(prefix)
    }

    fn head<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<ObjectInfo>>> {
        self.inner.head(path)
    }

    fn read<'a>(
        &'a self,
        path: &'a str,
        range: Range<u64>,
        version: Option<&'a Version>,
    ) -> BoxFuture<'a, Result<Bytes>> {
        self.inner.read(path, range, version)
    }

    fn put<'a>(
        &'a self,
        path: &'a str,
        bytes: Bytes,
        condition: PutIf,
    ) -> BoxFuture<'a, Result<ObjectInfo>> {
        self.inner.put(path, bytes, condition)
    }

    fn upload<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Box<dyn Upload>>> {
        self.inner.upload(path)
    }

    fn copy<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, Result<ObjectInfo>> {
        self.inner.copy(from, to)
    }

    fn delete<'a>(&'a self, paths: &'a [&'a str]) -> BoxFuture<'a, Result<()>> {
        match self.may_delete {
            true => self.inner.delete(paths),
            false => future::ready(Err(denied("s3:DeleteObject"))).boxed(),
        }
    }

    fn retention<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<Retention>>> {
        self.inner.retention(path)
    }

    fn flush(&self) -> BoxFuture<'_, Result<()>> {
        self.inner.flush()
    }

    fn remove_leftovers<'a>(&'a self, paths: &'a [String]) -> BoxFuture<'a, Result<Vec<Leftover>>> {
        self.inner.remove_leftovers(paths)
    }
}

fn time(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.try_into().unwrap())
}

/// What is found of the repository of years ago in a store that is set up so.
async fn found(years: &Years, posture: Posture, doctor: impl Fn(Doctor) -> Doctor) -> DoctorReport {
    let store = SetUp::new(Arc::clone(&years.store), posture);
    run(doctor(at(Arc::new(store)).now(years.now))).await
}

fn as_it_is(doctor: Doctor) -> Doctor {
    doctor
}

#[tokio::test]
async fn each_setting_of_a_bucket_is_told_as_what_it_is() {
    let mut years = Years::new().await;
    years.snapshot(Of::All, &[]).await;
    let mut bad = Posture::default();
    bad.versioning = Told::Is(false);
    bad.object_lock = Told::Is(None);
    bad.blocks_public_access = Told::Is(false);
    bad.encryption = Told::Is(None);
    bad.now = Told::Is(time(years.now + 301));
    bad.free_bytes = Told::Is(1);
    let mut lifecycle = Lifecycle::default();
    lifecycle.deletes = Some(30);
    lifecycle.archives = Some(90);
    bad.lifecycle = Told::Is(lifecycle);
    let report = found(&years, bad, as_it_is).await;
    expect(&report, Danger, Check::Lifecycle, "after 30 days");
    expect(&report, Danger, Check::StoreClock, "5.0 min ahead of");
    expect(&report, Danger, Check::FreeSpace, "another one has no room");
    expect(&report, Warning, Check::Lifecycle, "archives objects");
    expect(&report, Warning, Check::Versioning, "no older versions");
    expect(&report, Warning, Check::PublicAccess, "public");
    expect(&report, Note, Check::Lifecycle, "no rule of the bucket");
    expect(&report, Note, Check::BucketEncryption, "does not encrypt");
    expect(&report, Note, Check::ObjectLock, "no object lock");

    let mut good = Posture::default();
    good.versioning = Told::Is(true);
    good.blocks_public_access = Told::Is(true);
    good.encryption = Told::Is(Some("AES256".to_owned()));
    good.now = Told::Is(time(years.now - 30));
    good.free_bytes = Told::Is(u64::MAX);
    let mut lifecycle = Lifecycle::default();
    lifecycle.aborts_uploads = Some(7);
    lifecycle.deletes_versions = Some(30);
    good.lifecycle = Told::Is(lifecycle);
    let report = found(&years, good, as_it_is).await;
    expect_no_danger(&report);
    for check in [
        Check::Lifecycle,
        Check::StoreClock,
        Check::FreeSpace,
        Check::Versioning,
        Check::PublicAccess,
        Check::BucketEncryption,
    ] {
        find(&report, Good, check);
    }
    let mut middling = Posture::default();
    middling.now = Told::Is(time(years.now - 31));
    let stored = years.repository.status().await.unwrap();
    let stored = stored.newest.unwrap().stored_bytes;
    middling.free_bytes = Told::Is(stored + 1);
    middling.versioning = Told::Is(true);
    middling.lifecycle = Told::Is(Lifecycle::default());
    let report = found(&years, middling, as_it_is).await;
    expect(&report, Warning, Check::StoreClock, "31 s behind");
    find(&report, Warning, Check::FreeSpace);
    expect(&report, Note, Check::Versioning, "no rule ends that");
}

#[tokio::test]
async fn what_is_not_told_is_said_to_be_unknown_with_what_would_have_to_be_allowed() {
    let years = Years::new().await;
    let mut posture = Posture::default();
    posture.versioning = Told::Not(denied("s3:GetBucketVersioning"));
    posture.object_lock = Told::Not(denied("s3:GetBucketObjectLockConfiguration"));
    posture.lifecycle = Told::Not(denied("s3:GetLifecycleConfiguration"));
    posture.encryption = Told::Not(StorageError::Refused {
        action: "s3:GetEncryptionConfiguration",
        path: "s3://tested".to_owned(),
        source: "NotImplemented".into(),
    });
    let report = found(&years, posture, as_it_is).await;
    let advice = |check| find(&report, Unknown, check).advice.as_deref();
    for (check, action) in [
        (Check::Versioning, "s3:GetBucketVersioning"),
        (Check::ObjectLock, "s3:GetBucketObjectLockConfiguration"),
        (Check::Lifecycle, "s3:GetLifecycleConfiguration"),
    ] {
        assert!(advice(check).unwrap().contains(action), "{report}");
    }
    let refused = advice(Check::BucketEncryption).unwrap();
    assert!(refused.contains("does not know the question"), "{refused}");
    // That of a folder or of memory are not told at all.
    expect_none(&report, Check::StoreClock);
}

/// A bucket that locks, by default for so many days.
fn locking(default_days: Option<u32>) -> Posture {
    let mut lock = ObjectLock::default();
    lock.default_days = default_days;
    let mut posture = Posture::default();
    posture.object_lock = Told::Is(Some(lock));
    posture
}

#[tokio::test]
async fn locks_that_end_before_what_they_lock_may_go_are_a_hole() {
    let mut years = Years::new().await;
    let older = years.snapshot(Of::All, &[]).await;
    years.now += DAY;
    let newest = years.snapshot(Of::All, &[]).await;
    let policy = |doctor: Doctor| doctor.policy(RetentionPolicy::default().keep_daily(30));
    let lock_all = |days: i64, since: i64| {
        let until = Retention::until(time(since + days * DAY));
        let paths = years.objects_of(&newest).into_keys();
        for path in paths.chain([newest.manifest()]) {
            years.store.retain(&path, Some(until));
        }
    };
    let mut unlocked = Posture::default();
    unlocked.object_lock = Told::Is(None);
    let report = found(&years, unlocked, policy).await;
    expect(&report, Danger, Check::ObjectLock, "no object lock");

    let report = found(&years, locking(None), policy).await;
    expect(
        &report,
        Danger,
        Check::ObjectLock,
        "of the newest snapshot is not locked",
    );
    expect(&report, Warning, Check::ObjectLock, older.as_str());
    // Nobody said that locks are wanted.
    let report = found(&years, locking(None), as_it_is).await;
    expect_no_danger(&report);
    expect(&report, Warning, Check::ObjectLock, "is not locked");

    lock_all(7, years.now);
    let report = found(&years, locking(Some(7)), policy).await;
    expect(
        &report,
        Danger,
        Check::ObjectLock,
        "is locked for 7.0 d, and the policy keeps for up to 30.0 d",
    );
    let advice = find(&report, Note, Check::ObjectLock).advice.as_deref();
    assert!(advice.unwrap().contains("--lock-until"), "{report}");
    lock_all(30, years.now);
    years.store.retain(
        &older.manifest(),
        Some(Retention::until(time(years.now + DAY))),
    );
    let report = found(&years, locking(None), policy).await;
    expect_no_danger(&report);
    expect(&report, Good, Check::ObjectLock, "is locked for 30.0 d");

    // One object is enough.
    let data = years
        .objects_of(&newest)
        .into_keys()
        .find(|path| path.contains("/data/"));
    let data = data.unwrap();
    years.store.retain(&data, None);
    let report = found(&years, locking(None), policy).await;
    expect(&report, Danger, Check::ObjectLock, &data);
    lock_all(30, years.now);

    let start = years.now - 10;
    years.capture(start, start + 20, None).await;
    let report = found(&years, locking(None), policy).await;
    expect(
        &report,
        Danger,
        Check::ObjectLock,
        "the newest slice, is not locked",
    );
    let slice = years.repository.timeline().await.unwrap().ends()[0].path();
    let mut held = Retention::until(time(1));
    held.held = true;
    years.store.retain(&slice, Some(held));
    let report = found(&years, locking(None), policy).await;
    expect(
        &report,
        Good,
        Check::ObjectLock,
        "until somebody lifts that",
    );
    // It was locked once.
    years
        .store
        .retain(&slice, Some(Retention::until(time(years.now - 60))));
    let report = found(&years, locking(None), policy).await;
    expect(
        &report,
        Danger,
        Check::ObjectLock,
        "not locked any more, since 60 s",
    );
}

#[tokio::test]
async fn uploads_that_nobody_ends_are_told_by_their_age() {
    let years = Years::new().await;
    let uploads = async |age: i64| {
        let mut store = SetUp::new(Arc::clone(&years.store), Posture::default());
        // What a folder tells has the same shape.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".rdump-1.part");
        std::fs::write(&path, "x").unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(time(years.now - age)).unwrap();
        let of_folder = Location::from(folder.path()).open().unwrap();
        store.uploads = of_folder.unfinished_uploads().await.unwrap();
        run(at(Arc::new(store)).now(years.now)).await
    };
    let report = uploads(3_600).await;
    expect(
        &report,
        Note,
        Check::UnfinishedUploads,
        "1 upload begun less than a day ago",
    );
    let report = uploads(3 * DAY).await;
    expect(
        &report,
        Warning,
        Check::UnfinishedUploads,
        "the oldest begun 3.0 d ago: .rdump-1.part",
    );
}

#[tokio::test]
async fn a_probe_leaves_nothing_and_finds_out_what_a_store_does_not_do() {
    let years = Years::new().await;
    let before = objects(&*years.store).await;
    let probed = async |store: Arc<dyn Store>| run(at(store).now(years.now).probe(true)).await;
    let report = probed(years.store()).await;
    expect_no_danger(&report);
    find(&report, Good, Check::StoreWrite);
    find(&report, Good, Check::ConditionalPut);
    find(&report, Note, Check::StoreDelete);
    assert_eq!(objects(&*years.store).await, before);

    let watched = Watched::new(years.store());
    watched.ignore_conditions();
    let report = probed(watched).await;
    expect(&report, Danger, Check::ConditionalPut, "does not mind");
    let watched = Watched::new(years.store());
    watched.refuse(".rdump-probe");
    let report = probed(watched).await;
    expect(&report, Danger, Check::StoreWrite, "cannot be written");
    expect_none(&report, Check::StoreDelete);
    let watched = Watched::new(years.store());
    watched.refuse("-large");
    let report = probed(watched).await;
    expect(&report, Danger, Check::StoreWrite, "cannot be written");
    assert_eq!(objects(&*years.store).await, before);

    let mut store = SetUp::new(Arc::clone(&years.store), Posture::default());
    store.may_delete = false;
    let report = probed(Arc::new(store)).await;
    expect_no_danger(&report);
    expect(
        &report,
        Note,
        Check::StoreDelete,
        "what was tried with stays: .rdump-probe-",
    );
    assert_eq!(objects(&*years.store).await.len(), before.len() + 2);
}

#[tokio::test]
async fn a_folder_on_a_disk_that_is_full_is_a_danger() {
    let mut years = Years::new().await;
    years.snapshot(Of::All, &[]).await;
    let disk = SmallDisk::mount(4 << 20);
    let place = Location::from(disk.path().join("repository").as_path());
    let store = place.create().unwrap();
    for (path, bytes) in objects(&*years.store).await {
        store.put(&path, bytes, PutIf::Absent).await.unwrap();
    }
    let look = async || run(Doctor::default().place(place.clone()).now(years.now)).await;
    let report = look().await;
    expect_no_danger(&report);
    find(&report, Good, Check::FreeSpace);
    // As much as fits.
    let full = std::fs::write(disk.path().join("large"), vec![0; 8 << 20]);
    full.unwrap_err();
    let report = look().await;
    expect(&report, Danger, Check::FreeSpace, "0 B are free");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_answers_no_question_is_looked_at_as_far_as_it_does() {
    let server = S3Server::start().await;
    let location = server.location("backups").parse().unwrap();
    let credentials = rdump::storage::S3Credentials::new(ACCESS_KEY, SECRET_KEY);
    let store = rdump::storage::S3Store::new(location).credentials(credentials);
    let report = run(at(Arc::new(store)).probe(true)).await;
    expect_no_danger(&report);
    expect(&report, Note, Check::Repository, "no repository yet");
    find(&report, Good, Check::StoreWrite);
    find(&report, Good, Check::ConditionalPut);
    find(&report, Unknown, Check::Lifecycle);
    find(&report, Good, Check::StoreClock);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_may_not_be_read_is_a_danger_beside_another_side_and_an_error_alone() {
    let server = S3Server::start().await;
    let location = server.location("backups").parse().unwrap();
    let wrong = rdump::storage::S3Credentials::new("nobody", "knows");
    let store: Arc<dyn Store> = Arc::new(rdump::storage::S3Store::new(location).credentials(wrong));
    let error = Box::pin(at(Arc::clone(&store)).run()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
    let set = rdump_testkit::ReplicaSet::start().await;
    let report = run(of(&set).place(Location::from(store))).await;
    expect(
        &report,
        Danger,
        Check::Store,
        "no permission to s3:ListBucket",
    );
    find(&report, Note, Check::Topology);
}
