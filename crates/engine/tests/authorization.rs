//! Users and roles, dumped and merged.

use std::sync::Arc;

use bson::{Document, doc};
use futures::TryStreamExt;
use rdump::{
    ArchiveReader, ArchiveWriter, CancellationToken, Codec, ConnectOptions, Dump, DumpOptions,
    DumpReport, Error, ErrorKind, Event, FolderReader, FolderReaderOptions, FolderWriter, Location,
    Observer, Pattern, RecordingObserver, Restore, RestoreOptions, RestoreReport, Selector, Source,
    Target,
    media::{DumpReader, DumpWriter},
};
use rdump_testkit::{
    Deployment, FailPoint, ReplicaSet,
    wait::{PATIENCE, wait_for},
};
use tempfile::TempDir;

use crate::{made::Made, restore::target};

async fn try_dump(
    from: &Deployment,
    writer: Arc<dyn DumpWriter>,
    options: DumpOptions,
) -> Result<DumpReport, Error> {
    let source = Source::connect(&ConnectOptions::default().uri(from.root_uri())).await?;
    let dump = Dump::new(&source, writer).options(options);
    let plan = dump.plan().await?;
    dump.run(plan).await
}

async fn dump(from: &Deployment, writer: Arc<dyn DumpWriter>, options: DumpOptions) {
    let report = try_dump(from, writer, options).await;
    report.unwrap_or_else(|error| panic!("{error:?}"));
}

/// A folder that goes with the guard, with a dump.
async fn dumped(from: &Deployment, options: DumpOptions) -> (TempDir, Location) {
    let temporary = TempDir::new().unwrap();
    let location = Location::from(temporary.path());
    let writer = FolderWriter::create(&location).unwrap();
    dump(from, Arc::new(writer), options).await;
    (temporary, location)
}

async fn try_restore(
    reader: Arc<dyn DumpReader>,
    to: &Deployment,
    options: RestoreOptions,
) -> Result<RestoreReport, Error> {
    let restore = Restore::new(&target(to).await, reader).options(options);
    let plan = restore.plan().await?;
    restore.run(plan).await
}

async fn restore(reader: Arc<dyn DumpReader>, to: &Deployment, options: RestoreOptions) {
    let report = try_restore(reader, to, options).await;
    let report = report.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(report.problems, []);
}

/// One user and one role in each of two databases, and a collection in one.
pub(crate) async fn seed(deployment: &Deployment) {
    for db in ["shop", "other"] {
        let database = deployment.client().database(db);
        let role = doc! {
            "createRole": format!("{db}-role"), "roles": ["read"],
            "privileges": [{ "resource": { "db": db, "collection": "c" }, "actions": ["insert"] }],
        };
        database.run_command(role).await.unwrap();
        let user = doc! {
            "createUser": format!("{db}-user"), "pwd": "secret", "roles": [format!("{db}-role")],
        };
        database.run_command(user).await.unwrap();
    }
    let shop = deployment.client().database("shop").collection("c");
    shop.insert_one(doc! { "_id": 1 }).await.unwrap();
}

async fn ids(of: &Deployment, collection: &str) -> Vec<String> {
    let collection = of
        .client()
        .database("admin")
        .collection::<Document>(collection);
    let found = collection
        .find(doc! {})
        .sort(doc! { "_id": 1 })
        .await
        .unwrap();
    let found: Vec<Document> = found.try_collect().await.unwrap();
    let ids = found
        .iter()
        .map(|found| found.get_str("_id").unwrap().to_owned());
    ids.collect()
}

/// Users and roles, whole.
pub(crate) async fn all(of: &Deployment) -> Vec<Document> {
    let admin = of.client().database("admin");
    let mut all = Vec::new();
    for collection in ["system.users", "system.roles"] {
        let found = admin.collection::<Document>(collection);
        let found = found.find(doc! {}).sort(doc! { "_id": 1 }).await.unwrap();
        all.extend(found.try_collect::<Vec<_>>().await.unwrap());
    }
    all
}

/// What the server says of the versions of users and roles and of features.
async fn versions(of: &Deployment) -> Vec<Document> {
    let version = of.client().database("admin").collection("system.version");
    let found = version.find(doc! {}).sort(doc! { "_id": 1 }).await.unwrap();
    found.try_collect().await.unwrap()
}

async fn assert_no_temporary_collections(of: &Deployment) {
    let names = of
        .client()
        .database("admin")
        .list_collection_names()
        .await
        .unwrap();
    let left = names.iter().filter(|name| name.starts_with("temp")).count();
    assert_eq!(left, 0, "{names:?}");
}

async fn folder(location: &Location, db: Option<&str>) -> Arc<dyn DumpReader> {
    let mut options = FolderReaderOptions::default();
    options.db = db.map(str::to_owned);
    Arc::new(FolderReader::open(location, options).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_roles_of_a_deployment_come_back_from_a_folder_and_from_an_archive() {
    let source = ReplicaSet::start().await;
    seed(&source).await;
    let expected = all(&source).await;
    assert_eq!(expected.len(), 4);
    let temporary = TempDir::new().unwrap();
    let location = Location::from(temporary.path().join("dump").as_path());
    let archive = temporary.path().join("archive");

    let writer = FolderWriter::create(&location).unwrap();
    dump(&source, Arc::new(writer), DumpOptions::default()).await;
    let writer = ArchiveWriter::create(&Location::from(archive.as_path())).unwrap();
    dump(&source, Arc::new(writer), DumpOptions::default()).await;

    let target = ReplicaSet::start().await;
    // TOOLS-2422, TOOLS-2423: what somebody left there is in the way, and goes.
    for name in ["tempusers", "temproles"] {
        let junk = target.client().database("admin").collection(name);
        junk.insert_one(doc! { "_id": "junk" }).await.unwrap();
    }
    restore(
        folder(&location, None).await,
        &target,
        RestoreOptions::default(),
    )
    .await;
    assert_eq!(all(&target).await, expected);
    assert_no_temporary_collections(&target).await;

    let target = ReplicaSet::start().await;
    let input = std::fs::File::open(archive).unwrap();
    let reader = ArchiveReader::stream("the archive", input).await.unwrap();
    restore(Arc::new(reader), &target, RestoreOptions::default()).await;
    assert_eq!(all(&target).await, expected);
    assert_no_temporary_collections(&target).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_roles_of_one_database_are_dumped_and_restored_with_it() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    seed(&source).await;
    let options = DumpOptions::default().db("shop").users_and_roles(true);
    let (temporary, location) = dumped(&source, options).await;
    assert!(
        temporary
            .path()
            .join("shop/$admin.system.users.bson")
            .exists()
    );
    assert!(
        !temporary
            .path()
            .join("shop/$admin.system.users.metadata.json")
            .exists()
    );
    let report = rdump::verify_folder(&location, Arc::new(()), CancellationToken::new()).await;
    let report = report.unwrap();
    assert!(report.damage.is_empty(), "{report:?}");

    let of_database = Location::from(temporary.path().join("shop").as_path());
    let options = || RestoreOptions::default().db("copy");
    restore(folder(&of_database, Some("copy")).await, &target, options()).await;
    assert_eq!(ids(&target, "system.users").await, Vec::<String>::new());

    let options = RestoreOptions::default().db("shop").users_and_roles(true);
    restore(folder(&of_database, Some("shop")).await, &target, options).await;
    assert_eq!(ids(&target, "system.users").await, ["shop.shop-user"]);
    assert_eq!(ids(&target, "system.roles").await, ["shop.shop-role"]);
    assert_no_temporary_collections(&target).await;

    // The server would take none of them, and drop what is there.
    let user = doc! { "createUser": "mine", "pwd": "secret", "roles": [] };
    let copy = target.client().database("copy");
    copy.run_command(user).await.unwrap();
    let options = RestoreOptions::default()
        .db("copy")
        .users_and_roles(true)
        .drop(true);
    let reader = folder(&of_database, Some("copy")).await;
    let report = try_restore(reader, &target, options).await.unwrap();
    let problems: Vec<_> = report.problems.iter().map(ToString::to_string).collect();
    let [users, roles] = problems.as_slice() else {
        panic!("{problems:?}");
    };
    for problem in [users, roles] {
        assert!(
            problem.contains("none is of the database \"copy\""),
            "{problem}"
        );
    }
    let users = ["copy.mine", "shop.shop-user"];
    assert_eq!(ids(&target, "system.users").await, users);
    assert_no_temporary_collections(&target).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drop_removes_users_that_are_not_in_the_dump_and_nothing_else_does() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    seed(&source).await;
    let (_temporary, location) = dumped(&source, DumpOptions::default()).await;
    let user = doc! { "createUser": "mine", "pwd": "secret", "roles": [] };
    target
        .client()
        .database("shop")
        .run_command(user)
        .await
        .unwrap();
    let version = versions(&target).await;

    restore(
        folder(&location, None).await,
        &target,
        RestoreOptions::default(),
    )
    .await;
    // mongorestore/dumprestore_auth_test.go.
    assert_eq!(versions(&target).await, version);
    let both = ["other.other-user", "shop.mine", "shop.shop-user"];
    assert_eq!(ids(&target, "system.users").await, both);

    let options = RestoreOptions::default().drop(true);
    restore(folder(&location, None).await, &target, options).await;
    let dumped = ["other.other-user", "shop.shop-user"];
    assert_eq!(ids(&target, "system.users").await, dumped);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_folder_of_admin_has_the_users_of_all_databases() {
    // mongorestore/dumprestore_auth_test.go.
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    seed(&source).await;
    let options = DumpOptions::default().db("admin").users_and_roles(true);
    let (temporary, _) = dumped(&source, options).await;
    let of_admin = temporary.path().join("admin");
    assert!(of_admin.join("system.users.bson").exists());
    // They are not there a second time, as those of `admin`.
    assert!(!of_admin.join("$admin.system.users.bson").exists());
    let of_admin = Location::from(of_admin.as_path());
    let reader = folder(&of_admin, Some("admin")).await;
    let options = RestoreOptions::default().db("admin");
    restore(reader, &target, options).await;
    assert_eq!(all(&target).await, all(&source).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_without_users_drops_none_and_a_restore_that_fails_leaves_no_collection_of_ours() {
    let target = ReplicaSet::start().await;
    seed(&target).await;
    let expected = all(&target).await;
    let version = doc! { "_id": "authSchema", "currentVersion": 5 };
    let drop = || RestoreOptions::default().drop(true);
    let mut made = Made::new();
    made.data("admin.system.users", Codec::None, []);
    made.data("admin.system.roles", Codec::None, []);
    made.data("admin.system.version", Codec::None, [version.clone()]);
    let reader = folder(&made.location(), None).await;
    restore(reader, &target, drop()).await;
    assert_eq!(all(&target).await, expected);

    // users_and_roles_temp_collections.js.
    let mut made = Made::new();
    let no_user = doc! { "_id": "db.u", "user": "u", "db": "db", "roles": "none" };
    made.data("admin.system.users", Codec::None, [no_user]);
    made.data("admin.system.version", Codec::None, [version]);
    let reader = folder(&made.location(), None).await;
    try_restore(reader, &target, drop()).await.unwrap_err();
    assert_no_temporary_collections(&target).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_user_that_restores_is_not_dropped_with_those_that_are_not_in_the_dump() {
    // drop_authenticated_user.js.
    let deployment = ReplicaSet::builder().auth().start().await;
    seed(&deployment).await;
    let shop = deployment.client().database("shop");
    let index = doc! { "createIndexes": "c", "indexes": [{ "key": { "a": 1 }, "name": "a_1" }] };
    shop.run_command(index).await.unwrap();
    let (_temporary, location) = dumped(&deployment, DumpOptions::default()).await;
    for name in ["mover", "other"] {
        let roles = [("restore", "admin")];
        deployment.create_user(name, name, &roles).await;
    }
    let connect = ConnectOptions::default().uri(deployment.uri_for("mover"));
    let target = Target::connect(&connect).await.unwrap();
    let options = RestoreOptions::default().drop(true);
    let restore = Restore::new(&target, folder(&location, None).await).options(options);
    let plan = restore.plan().await.unwrap();
    let report = restore.run(plan).await;
    let report = report.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(report.problems, []);
    let users = ids(&deployment, "system.users").await;
    let left = [
        "admin.mover",
        "admin.root",
        "other.other-user",
        "shop.shop-user",
    ];
    assert_eq!(users, left);
    let names = shop.collection::<Document>("c").list_index_names().await;
    assert_eq!(names.unwrap(), ["_id_", "a_1"]);
    assert_no_temporary_collections(&deployment).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_roles_of_the_user_that_restores_are_kept_with_it() {
    for archived in [false, true] {
        let deployment = ReplicaSet::builder().auth().start().await;
        seed(&deployment).await;
        let temporary = TempDir::new().unwrap();
        let place = Location::from(temporary.path().join("dump").as_path());
        let writer: Arc<dyn DumpWriter> = match archived {
            true => Arc::new(ArchiveWriter::create(&place).unwrap()),
            false => Arc::new(FolderWriter::create(&place).unwrap()),
        };
        dump(&deployment, writer, DumpOptions::default()).await;
        let admin = deployment.client().database("admin");
        let privilege =
            doc! { "resource": { "db": "shop", "collection": "c" }, "actions": ["find"] };
        let restrictions = doc! { "clientSource": ["127.0.0.1"] };
        for (role, inherited) in [("inner", "restore"), ("outer", "inner"), ("idle", "read")] {
            let role = doc! {
                "createRole": role, "privileges": [&privilege], "roles": [inherited],
                "authenticationRestrictions": [&restrictions],
            };
            admin.run_command(role).await.unwrap();
        }
        let roles = [("outer", "admin"), ("shop-role", "shop")];
        deployment.create_user("mover", "mover", &roles).await;

        let mut expected = all(&deployment).await;
        expected.retain(|stored| !stored.get_str("_id").unwrap().contains("idle"));
        let connect = ConnectOptions::default().uri(deployment.uri_for("mover"));
        let target = Target::connect(&connect).await.unwrap();
        let reader: Arc<dyn DumpReader> = match archived {
            true => {
                let input = std::fs::File::open(temporary.path().join("dump")).unwrap();
                Arc::new(ArchiveReader::stream("the archive", input).await.unwrap())
            }
            false => folder(&place, None).await,
        };
        let observer = Arc::new(RecordingObserver::default());
        let restore = Restore::new(&target, reader).options(RestoreOptions::default().drop(true));
        let restore = restore.observer(Arc::clone(&observer) as Arc<dyn Observer>);
        let report = restore.run(restore.plan().await.unwrap()).await;
        let report = report.unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(report.problems, []);
        assert_eq!(all(&deployment).await, expected);
        assert_no_temporary_collections(&deployment).await;
        for kept in ["user admin.mover", "role admin.inner", "role admin.outer"] {
            let kept = format!("{kept} is not in the dump, and kept");
            let told = |event: &Event| matches!(event, Event::Notice { message, .. } if message.starts_with(&kept));
            assert!(observer.events().iter().any(told), "{kept}");
        }
    }
}

const MERGE: &str = "_mergeAuthzCollections";

/// Holds up the next merge for two seconds.
async fn slow_merge(of: &Deployment) -> FailPoint {
    let slow = doc! { "blockConnection": true, "blockTimeMS": 2_000 };
    FailPoint::fail_command(of, &[MERGE], doc! { "times": 1 }, slow).await
}

/// Waits until a merge is under way.
async fn await_merge(of: &Deployment) {
    let admin = of.client().database("admin");
    wait_for("the merge", PATIENCE, async || {
        let ask = doc! { "currentOp": 1, format!("command.{MERGE}"): 1 };
        let reply = admin.run_command(ask).await.unwrap();
        (!reply.get_array("inprog").unwrap().is_empty()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_that_another_restore_has_dropped_before_they_were_merged_are_a_problem() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    seed(&source).await;
    let (_temporary, location) = dumped(&source, DumpOptions::default()).await;
    let slow = slow_merge(&target).await;
    let reader = folder(&location, None).await;
    let drop = async {
        await_merge(&target).await;
        let admin = target.client().database("admin");
        admin
            .run_command(doc! { "drop": "tempusers" })
            .await
            .unwrap();
    };
    let (report, ()) = futures::join!(
        try_restore(reader, &target, RestoreOptions::default()),
        drop
    );
    slow.disable().await;
    let problems = report.unwrap().problems;
    let [problem] = problems.as_slice() else {
        panic!("{problems:?}");
    };
    assert!(problem.to_string().contains("--tempUsersColl"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_is_under_way_when_the_run_is_cancelled_is_waited_for() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    seed(&source).await;
    let (_temporary, location) = dumped(&source, DumpOptions::default()).await;

    let slow = slow_merge(&target).await;
    let cancel = CancellationToken::new();
    let reader = folder(&location, None).await;
    let restore = Restore::new(&self::target(&target).await, reader).cancel(cancel.clone());
    let plan = restore.plan().await.unwrap();
    let stop = async {
        await_merge(&target).await;
        cancel.cancel();
    };
    let (stopped, ()) = futures::join!(restore.run(plan), stop);
    assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Cancelled);
    slow.disable().await;
    assert_eq!(all(&target).await, all(&source).await);
    assert_no_temporary_collections(&target).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_temporary_collection_that_cannot_be_dropped_is_a_problem() {
    let deployment = ReplicaSet::builder().auth().start().await;
    deployment
        .create_user("mover", "mover", &[("read", "admin")])
        .await;
    let (_temporary, location) = dumped(&deployment, DumpOptions::default()).await;
    let grant = doc! { "grantRolesToUser": "mover", "roles": ["restore"] };
    deployment.admin_command(grant).await.unwrap();

    // Merged, it is what it was when it was dumped.
    let connect = ConnectOptions::default().uri(deployment.uri_for("mover"));
    let target = Target::connect(&connect).await.unwrap();
    let options = RestoreOptions::default().drop(true);
    let restore = Restore::new(&target, folder(&location, None).await).options(options);
    let report = restore.run(restore.plan().await.unwrap()).await.unwrap();
    let problems = report.problems.iter().map(ToString::to_string);
    let problems: Vec<_> = problems.collect();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("admin.tempusers: "), "{problems:?}");
    assert!(problems[0].contains("could not be dropped"), "{problems:?}");
}

/// TOOLS-3719.
#[tokio::test(flavor = "multi_thread")]
async fn users_and_roles_that_a_dump_does_not_have_cannot_be_restored() {
    let deployment = ReplicaSet::start().await;
    let shop = deployment.client().database("shop").collection("c");
    shop.insert_one(doc! { "_id": 1 }).await.unwrap();
    let temporary = TempDir::new().unwrap();
    let location = Location::from(temporary.path());
    let writer = || Arc::new(FolderWriter::create(&location).unwrap());
    let options = DumpOptions::default().db("shop").users_and_roles(true);
    let error = try_dump(&deployment, writer(), options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");

    dump(&deployment, writer(), DumpOptions::default().db("shop")).await;
    let options = RestoreOptions::default().db("shop").users_and_roles(true);
    let of_database = Location::from(temporary.path().join("shop").as_path());
    let reader = folder(&of_database, Some("shop")).await;
    let error = try_restore(reader, &deployment, options).await.unwrap_err();
    assert!(
        error.to_string().starts_with("No users or roles found"),
        "{error}"
    );

    let archive = temporary.path().join("archive");
    let writer = ArchiveWriter::create(&Location::from(archive.as_path())).unwrap();
    let options = DumpOptions::default().db("shop");
    dump(&deployment, Arc::new(writer), options).await;
    let input = std::fs::File::open(archive).unwrap();
    let reader = ArchiveReader::stream("the archive", input).await.unwrap();
    let options = RestoreOptions::default().db("shop").users_and_roles(true);
    let error = try_restore(Arc::new(reader), &deployment, options).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_a_version_that_the_server_does_not_take_are_refused_before_anything_is_written() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    seed(&source).await;
    let version = source
        .client()
        .database("admin")
        .collection::<Document>("system.version");
    let set = doc! { "$set": { "currentVersion": 4 } };
    version
        .update_one(doc! { "_id": "authSchema" }, set)
        .await
        .unwrap();
    let (_temporary, location) = dumped(&source, DumpOptions::default()).await;
    let reader = folder(&location, None).await;
    let error = try_restore(reader, &target, RestoreOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let names = target.client().list_database_names().await.unwrap();
    assert!(!names.contains(&"shop".to_owned()), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_roles_that_are_asked_for_are_restored_or_refused_or_told_of() {
    let deployment = ReplicaSet::start().await;
    let mut made = Made::new();
    seed(&deployment).await;
    let seeded = all(&deployment).await;
    let version = versions(&deployment).await;
    for db in ["shop", "other"] {
        let database = deployment.client().database(db);
        for drop in ["dropAllUsersFromDatabase", "dropAllRolesFromDatabase"] {
            database.run_command(doc! { drop: 1 }).await.unwrap();
        }
    }
    let (users, roles) = seeded.split_at(2);
    let of_shop = users[1].clone();
    let users = made.data("admin.system.users", Codec::None, users.to_vec());
    let roles = made.data("admin.system.roles", Codec::None, roles.to_vec());
    made.data("admin.system.version", Codec::None, version);
    made.data("shop.c", Codec::None, [doc! { "_id": 1 }]);
    made.data("shop.$admin.system.users", Codec::None, [of_shop]);
    let whole = folder(&made.location(), None).await;

    for (collection, file) in [("system.users", users), ("system.roles", roles)] {
        let options = RestoreOptions::default().db("admin").collection(collection);
        let file_options = FolderReaderOptions::default()
            .db("admin")
            .collection(collection);
        let file = Location::from(made.file(&file).as_path());
        let file = FolderReader::open(&file, file_options).await.unwrap();
        for reader in [Arc::new(file) as Arc<dyn DumpReader>, Arc::clone(&whole)] {
            let error = try_restore(reader, &deployment, options.clone()).await;
            let error = error.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            assert!(error.to_string().contains(collection), "{error}");
            assert!(error.hint().unwrap().contains("'admin.system.*'"));
        }
    }

    let notices = async |reader: &Arc<dyn DumpReader>, options: RestoreOptions| {
        let restore = Restore::new(&target(&deployment).await, Arc::clone(reader));
        let plan = restore.options(options).plan().await.unwrap();
        let notices = plan.notices.into_iter();
        notices
            .filter_map(|notice| Some(notice.split_once(" is skipped: ")?.0.to_owned()))
            .collect::<Vec<_>>()
    };
    let select = || Selector {
        include: vec![Pattern::parse("admin.system.*").unwrap()],
        exclude: Vec::new(),
    };
    let of_shop = RestoreOptions::default().db("shop").select(select());
    let left_out = [
        "admin.system.roles",
        "admin.system.users",
        "shop.$admin.system.users",
    ];
    assert_eq!(notices(&whole, of_shop).await, left_out);
    let of_version = RestoreOptions::default().db("admin");
    let of_version = of_version.collection("system.version");
    assert_eq!(notices(&whole, of_version).await, ["admin.system.version"]);
    let shop = Location::from(made.file("shop").as_path());
    let shop = folder(&shop, Some("shop")).await;
    let with_users = RestoreOptions::default().db("shop");
    let left_out = ["shop.$admin.system.users"];
    assert_eq!(notices(&shop, with_users.clone()).await, left_out);
    let with_users = with_users.users_and_roles(true);
    assert_eq!(notices(&shop, with_users).await, [] as [&str; 0]);

    let options = RestoreOptions::default().select(select());
    assert_eq!(notices(&whole, options.clone()).await, [] as [&str; 0]);
    restore(whole, &deployment, options).await;
    assert_eq!(all(&deployment).await, seeded);
}
