//! The roles of `deploy/mongodb/roles.js` are enough for what they are for.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use bson::{Document, doc};
use rdump_testkit::{
    Fingerprint, FingerprintOptions, ReplicaSet, dataset, fingerprint::assert_same,
};
use serde_json::Value;

use crate::program::{rdump, rrestore, run};

const ROLES: &str = include_str!("../../../deploy/mongodb/roles.js");

/// What `createRole` gets for a role: as mongosh reads it from the file.
fn role(name: &str) -> Document {
    let commands = ROLES.split(".runCommand(").skip(1);
    let mut commands = commands.map(|command| command.split_once(");").unwrap().0);
    let is_it = |command: &&str| command.contains(&format!("\"createRole\": \"{name}\""));
    let command = commands.find(is_it).unwrap();
    let command: Value = serde_json::from_str(command).unwrap();
    bson::serialize_to_document(&command).unwrap()
}

/// A user with a role of the file, and nothing else; gives the connection string.
async fn granted(deployment: &ReplicaSet, name: &str) -> String {
    let admin = deployment.client().database("admin");
    admin.run_command(role(name)).await.unwrap();
    let roles = [(name, "admin")];
    deployment.create_user(name, "secret", &roles).await;
    deployment.uri_for(name)
}

#[tokio::test]
async fn the_roles_of_the_file_are_enough_to_back_up_capture_and_restore() {
    let start = || ReplicaSet::builder().auth().start();
    let (source, target) = tokio::join!(start(), start());
    for data in dataset::all() {
        data.seed(&source.client()).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().join("repository");
    let repository = repository.to_str().unwrap();
    let backup = granted(&source, "rdumpBackup").await;
    let capture = granted(&source, "rdumpCapture").await;
    let restore = granted(&target, "rdumpRestore").await;
    let options = FingerprintOptions::new().ignore_index_version(true);

    let line = ["backup", "--uri", &backup, "--repo", repository];
    run(rdump(), line).await.expect(0);
    let before = Fingerprint::of(&source.client(), &options).await;
    let line = [
        "capture",
        "--uri",
        &capture,
        "--repo",
        repository,
        "--until-caught-up",
    ];
    run(rdump(), line).await.expect(0);
    let shop = source.client().database("shop");
    let log = shop.collection::<Document>("log");
    log.insert_one(doc! { "_id": 1 }).await.unwrap();
    log.update_one(doc! { "_id": 1 }, doc! { "$set": { "x": 1 } })
        .await
        .unwrap();
    let index = doc! { "createIndexes": "log", "indexes": [{ "key": { "x": 1 }, "name": "x" }] };
    shop.run_command(index).await.unwrap();
    shop.create_collection("gone").await.unwrap();
    shop.collection::<Document>("gone").drop().await.unwrap();
    run(rdump(), line).await.expect(0);
    let after = Fingerprint::of(&source.client(), &options).await;

    // With users and roles of the source, the target would not know any more who compares it.
    let line = [
        "--uri",
        &restore,
        repository,
        "--drop",
        "--bypassDocumentValidation",
        "--nsExclude=admin.*",
    ];
    run(rrestore(), line).await.expect(0);
    assert_same(&before, &Fingerprint::of(&target.client(), &options).await);
    let to_latest = [&line[..], &["--to=latest"]].concat();
    run(rrestore(), to_latest).await.expect(0);
    assert_same(&after, &Fingerprint::of(&target.client(), &options).await);
    let line = ["--uri", &restore, repository, "--drop", "--to=latest"];
    run(rrestore(), line).await.expect(0);
}

#[tokio::test]
async fn a_capture_of_a_change_stream_needs_no_more_than_its_role() {
    let source = ReplicaSet::builder().auth().start().await;
    let capture = granted(&source, "rdumpCapture").await;
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().join("repository");
    let repository = repository.to_str().unwrap();
    let line = [
        "capture",
        "--uri",
        &capture,
        "--repo",
        repository,
        "--until-caught-up",
    ];
    let line = [&line[..], &["--source=change-stream"]].concat();
    run(rdump(), &line).await.expect(0);
    dataset::orders(10).seed(&source.client()).await;
    run(rdump(), &line).await.expect(0);
}
