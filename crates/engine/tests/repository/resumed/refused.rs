//! Restores that cannot be gone on with, and those of others.

use bson::doc;
use rdump::{
    DumpOptions, ErrorKind, Event, OnConflict, Pattern, RestoreOptions, Selector, Snapshot,
};
use rdump_testkit::{ReplicaSet, dataset};

use super::{super::backup, Watching, begun, in_memory, ledgers, try_restore};
use crate::{made::Made, restore};

async fn snapshot() -> (ReplicaSet, Snapshot) {
    let source = ReplicaSet::start().await;
    for db in ["shop", "bank"] {
        let name = format!("{db}.c");
        let shape = dataset::Shape::Small;
        dataset::seed_bulk(&source.client(), &name, shape, 500, 1).await;
    }
    let (_, repository) = in_memory().await;
    let snapshot = backup(&repository, &source, DumpOptions::default()).await;
    (source, snapshot)
}

fn only(db: &str) -> RestoreOptions {
    let include = vec![Pattern::parse(&format!("{db}.*")).unwrap()];
    RestoreOptions::default().select(Selector {
        include,
        exclude: Vec::new(),
    })
}

async fn refused(
    snapshot: &Snapshot,
    target: &ReplicaSet,
    options: RestoreOptions,
    kind: ErrorKind,
    message: &str,
) {
    let (report, _) = try_restore(snapshot, target, options).await;
    let error = report.unwrap_err();
    assert_eq!(error.kind(), kind, "{error:?}");
    let whole = super::super::whole(&error);
    assert!(whole.contains(message), "{whole}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_of_something_else_is_not_gone_on_with() {
    let (source, first) = snapshot().await;
    let target = ReplicaSet::start().await;
    let resume = || RestoreOptions::default().resume(true);
    let none = "there is nothing to go on with";
    refused(&first, &target, resume(), ErrorKind::Invalid, none).await;
    begun(&first, &target, RestoreOptions::default()).await;
    let conflict = ErrorKind::Conflict;
    for (options, message) in [
        (resume().drop(true), "begun with another drop"),
        (
            resume().rename("shop.*", "x.*"),
            "begun with another rename-from",
        ),
        (only("shop").resume(true), "begun with another select"),
        (
            resume().no_index_restore(true),
            "begun with another no-index-restore",
        ),
        (
            resume().on_conflict(OnConflict::Skip),
            "begun with another on-conflict",
        ),
    ] {
        refused(&first, &target, options, conflict, message).await;
    }
    let (_, repository) = in_memory().await;
    let second = backup(&repository, &source, DumpOptions::default()).await;
    let other = format!("a restore of snapshot {}", first.id());
    refused(&second, &target, resume(), ErrorKind::Invalid, &other).await;
    assert_eq!(ledgers(&target).await.len(), 1);
    let (report, _) = try_restore(&first, &target, resume()).await;
    assert_eq!(report.unwrap().problems, []);
    refused(&first, &target, resume(), ErrorKind::Invalid, none).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_cannot_be_gone_on_with_and_leaves_no_ledger() {
    let target = ReplicaSet::start().await;
    let mut made = Made::new();
    made.data("db.c", rdump::Codec::None, [doc! { "_id": 1 }]);
    made.manifest();
    let options = RestoreOptions::default();
    let (report, _) = restore::try_restore(&made.location(), &target, options.resume(true)).await;
    let error = report.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("--resume"), "{error}");
    restore::restore(&made.location(), &target, RestoreOptions::default()).await;
    assert_eq!(ledgers(&target).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_begins_anew_is_told_and_who_restores_something_else_disturbs_nobody() {
    let (_source, snapshot) = snapshot().await;
    let target = ReplicaSet::start().await;
    begun(&snapshot, &target, only("shop")).await;
    begun(&snapshot, &target, only("bank")).await;
    assert_eq!(ledgers(&target).await.len(), 2);

    // What is there says that it is of a restore that can be gone on with.
    let fail = only("shop").on_conflict(OnConflict::Fail);
    let (report, _) = try_restore(&snapshot, &target, fail).await;
    let error = report.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.hint().unwrap().contains("--resume"), "{error:?}");
    assert_eq!(ledgers(&target).await.len(), 2);

    // To add to it makes nothing anew.
    let (report, _) = try_restore(&snapshot, &target, only("shop")).await;
    assert_eq!(report.unwrap().namespaces.len(), 1);
    assert_eq!(ledgers(&target).await.len(), 2);

    let (report, notices) = try_restore(&snapshot, &target, only("shop").drop(true)).await;
    assert_eq!(report.unwrap().problems, []);
    assert!(
        notices.contains("cannot be gone on with any more"),
        "{notices}"
    );
    assert_eq!(ledgers(&target).await.len(), 1);
    let (report, _) = try_restore(&snapshot, &target, only("bank").resume(true)).await;
    assert_eq!(
        (report.unwrap().documents, ledgers(&target).await.len()),
        (500, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_restore_writes_a_ledger_and_to_go_on_with_it_needs_to_read() {
    let (_source, snapshot) = snapshot().await;
    let target = ReplicaSet::builder().auth().start().await;
    let restore = ("restore", "admin");
    target.create_user("writer", "w", &[restore]).await;
    let roles = [restore, ("readAnyDatabase", "admin")];
    target.create_user("reader", "r", &roles).await;
    let roles = [("readWrite", "shop"), ("dbAdmin", "shop")];
    target.create_user("owner", "o", &roles).await;
    let run = async |user: &str, options: RestoreOptions, stopped: bool| {
        let stop = move |event: &Event| stopped && matches!(event, Event::NamespaceStarted { .. });
        let uri = target.uri_for(user);
        let watching = Watching::start(&snapshot, uri, options, stop).await;
        (watching.run().await, watching.notices())
    };
    let (report, _) = run("writer", RestoreOptions::default(), true).await;
    assert_eq!(report.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(ledgers(&target).await.len(), 1);
    let (report, _) = run("writer", RestoreOptions::default().resume(true), false).await;
    let error = report.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
    assert!(
        error.hint().unwrap().contains("readAnyDatabase"),
        "{error:?}"
    );
    let (report, _) = run("reader", RestoreOptions::default().resume(true), false).await;
    let report = report.unwrap();
    assert_eq!((report.documents, report.problems), (1_000, Vec::new()));
    assert_eq!(ledgers(&target).await.len(), 0);

    // Who may write one database alone does without.
    let (report, notices) = run("owner", only("shop").drop(true), false).await;
    assert_eq!(report.unwrap().problems, []);
    assert!(
        notices.contains("cannot be gone on with if it is interrupted"),
        "{notices}"
    );
}
