//! Going on with restores to a moment that were killed while they replayed.

use bson::{Document, doc};
use rdump::{Repository, RestoreOptions, RestorePoint};
use rdump_testkit::{
    Deployment, Fingerprint, FingerprintOptions, ReplicaSet,
    fingerprint::assert_same,
    wait::{PATIENCE, wait_for},
};

use super::{
    capture::{auto, backup, quick, restore, source, try_restore},
    in_memory,
};

async fn run(on: &Deployment, commands: impl IntoIterator<Item = Document>) {
    let database = on.client().database("q");
    for command in commands {
        database.run_command(command).await.unwrap();
    }
}

/// Inserts so much that a restore can be killed meanwhile.
async fn fill(on: &Deployment, collection: &str) {
    let collection = on.client().database("q").collection::<Document>(collection);
    for batch in 0..100 {
        let documents = (0..100).map(|id| doc! { "_id": format!("{batch} {id}") });
        collection.insert_many(documents).await.unwrap();
    }
}

/// Restores what was captured last; kills that when a part of `collection` is there, and goes on.
async fn restore_in_two(repository: &Repository, from: &Deployment, collection: &str) {
    let to = ReplicaSet::start().await;
    let filled = to.client().database("q");
    let filled = filled.collection::<Document>(collection);
    let options = RestoreOptions::default();
    tokio::select! {
        restored = Box::pin(try_restore(repository, &to, RestorePoint::Latest, options)) => {
            panic!("it was not killed: {restored:?}");
        }
        () = wait_for("a part", PATIENCE, async || {
            let there = filled.count_documents(doc! {}).await.ok()?;
            (there > 1_500).then_some(())
        }) => {}
    }
    let options = RestoreOptions::default().resume(true);
    restore(repository, &to, RestorePoint::Latest, options).await;
    let all = FingerprintOptions::new().databases(["q"]);
    let expected = Fingerprint::of(&from.client(), &all).await;
    assert_same(&expected, &Fingerprint::of(&to.client(), &all).await);
}

async fn catch_up(from: &Deployment, repository: &Repository) {
    let capture = rdump::Capture::new(&source(from).await, repository);
    let capture = capture.options(quick().until_caught_up(true));
    assert_eq!(capture.run().await.unwrap().gaps, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_capped_in_the_dump_and_is_another_one_since_loses_nothing() {
    let from = ReplicaSet::start().await;
    let (_, repository) = in_memory().await;
    run(
        &from,
        [
            doc! { "create": "k", "capped": true, "size": 100_000 },
            doc! { "insert": "k", "documents": [{ "_id": 1 }, { "_id": 2 }] },
            doc! { "insert": "z", "documents": [{ "_id": 1 }] },
        ],
    )
    .await;
    backup(&from, &repository, auto()).await;
    run(&from, [doc! { "drop": "k" }, doc! { "create": "k" }]).await;
    // It is noted how far the replay is.
    let rename = doc! { "renameCollection": "q.z", "to": "q.zz" };
    let admin = from.client().database("admin");
    admin.run_command(rename).await.unwrap();
    fill(&from, "k").await;
    catch_up(&from, &repository).await;
    restore_in_two(&repository, &from, "k").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_is_done_once_also_while_entries_of_capped_collections_wait() {
    let from = ReplicaSet::start().await;
    let (_, repository) = in_memory().await;
    run(
        &from,
        [
            doc! { "create": "k", "capped": true, "size": 100_000 },
            doc! { "insert": "k", "documents": [{ "_id": 1 }] },
            doc! { "insert": "a", "documents": [{ "_id": "before" }] },
        ],
    )
    .await;
    backup(&from, &repository, auto()).await;
    run(
        &from,
        [doc! { "insert": "k", "documents": [{ "_id": 100 }] }],
    )
    .await;
    let rename = doc! { "renameCollection": "q.a", "to": "q.x" };
    let admin = from.client().database("admin");
    admin.run_command(rename).await.unwrap();
    run(
        &from,
        [
            doc! { "insert": "a", "documents": [{ "_id": "after" }] },
            doc! { "insert": "k", "documents": [{ "_id": 101 }] },
        ],
    )
    .await;
    fill(&from, "fill").await;
    run(
        &from,
        [doc! { "insert": "k", "documents": [{ "_id": 102 }] }],
    )
    .await;
    catch_up(&from, &repository).await;
    restore_in_two(&repository, &from, "fill").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_first_run_has_made_is_replaced_and_not_kept() {
    let from = ReplicaSet::start().await;
    let (_, repository) = in_memory().await;
    run(&from, [doc! { "insert": "z", "documents": [{ "_id": 1 }] }]).await;
    backup(&from, &repository, auto()).await;
    let admin = from.client().database("admin");
    let replace = async |id: i32| {
        run(
            &from,
            [doc! { "insert": "n", "documents": [{ "_id": id }] }],
        )
        .await;
        let rename = doc! { "renameCollection": "q.n", "to": "q.y", "dropTarget": true };
        admin.run_command(rename).await.unwrap();
    };
    replace(1).await;
    fill(&from, "fill").await;
    replace(2).await;
    catch_up(&from, &repository).await;
    restore_in_two(&repository, &from, "fill").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_a_view_or_a_time_series_since_is_no_hindrance() {
    let from = ReplicaSet::start().await;
    let (_, repository) = in_memory().await;
    run(&from, [doc! { "insert": "z", "documents": [{ "_id": 1 }] }]).await;
    backup(&from, &repository, auto()).await;
    run(
        &from,
        [
            doc! { "insert": "v", "documents": [{ "_id": 1 }, { "_id": 2 }] },
            doc! { "drop": "v" },
            doc! { "create": "v", "viewOn": "z", "pipeline": [] },
            doc! { "insert": "t", "documents": [{ "_id": 1 }, { "_id": 2 }] },
            doc! { "drop": "t" },
            doc! { "create": "t", "timeseries": { "timeField": "at" } },
        ],
    )
    .await;
    fill(&from, "fill").await;
    catch_up(&from, &repository).await;
    restore_in_two(&repository, &from, "fill").await;
}
