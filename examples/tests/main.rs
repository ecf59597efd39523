//! Every example does what it says.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use std::process::Command;

use rdump_testkit::{
    Fingerprint, FingerprintOptions, ReplicaSet, SeaweedFs, Workload, WorkloadOptions, dataset,
    fingerprint::assert_same,
    s3::{ACCESS_KEY, SECRET_KEY},
};
use tempfile::TempDir;

fn run(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .env("AWS_EC2_METADATA_DISABLED", "true");
    let output = command.args(arguments).output().unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{text}");
    text
}

#[tokio::test]
async fn the_examples_dump_verify_restore_and_rename() {
    let (source, target) = tokio::join!(ReplicaSet::start(), ReplicaSet::start());
    dataset::orders(5_000).seed(&source.client()).await;
    let before = Fingerprint::of(&source.client(), &FingerprintOptions::new()).await;
    let (db, collection) = before.collections().keys().next().cloned().unwrap();
    let folder = TempDir::new().unwrap();
    let path = folder.path().to_str().unwrap();

    run(
        env!("CARGO_BIN_EXE_dump_and_restore"),
        &[&source.uri(), &target.uri(), path],
    );
    assert_same(
        &before,
        &Fingerprint::of(&target.client(), &FingerprintOptions::new()).await,
    );
    run(env!("CARGO_BIN_EXE_verify"), &[path]);

    let from = format!("{db}.{collection}");
    let text = run(
        env!("CARGO_BIN_EXE_restore_renamed"),
        &[&target.uri(), path, &from, "beside.copy"],
    );
    assert!(text.contains("are now in beside.copy"), "{text}");
    let beside = FingerprintOptions::new().databases(["beside"]);
    assert_eq!(
        Fingerprint::of(&target.client(), &beside).await.documents(),
        before.documents()
    );

    let again = TempDir::new().unwrap();
    let text = run(
        env!("CARGO_BIN_EXE_embed_progress"),
        &[&source.uri(), again.path().to_str().unwrap()],
    );
    assert!(text.contains(&format!("{from}: 5000 documents")), "{text}");
}

#[tokio::test]
async fn the_examples_dump_to_an_object_store_and_restore_from_there() {
    let (source, server) = tokio::join!(ReplicaSet::start(), SeaweedFs::start());
    dataset::orders(5_000).seed(&source.client()).await;
    let place = server.location("dumps/today");
    let text = run(env!("CARGO_BIN_EXE_dump_to_s3"), &[&source.uri(), &place]);
    let whole = "s3://tested/dumps/today is whole";
    assert!(
        text.contains("documents are ") && text.contains(whole),
        "{text}"
    );
    let arguments = [&source.uri(), &place, "shop.orders", "beside.copy"];
    run(env!("CARGO_BIN_EXE_restore_renamed"), &arguments);
    let beside = FingerprintOptions::new().databases(["beside"]);
    let restored = Fingerprint::of(&source.client(), &beside).await;
    assert_eq!(restored.documents(), 5_000);
}

#[tokio::test]
async fn the_examples_back_up_read_one_collection_and_verify() {
    let source = ReplicaSet::start().await;
    dataset::orders(5_000).seed(&source.client()).await;
    let folder = TempDir::new().unwrap();
    let repository = folder.path().to_str().unwrap();
    let arguments = [&source.uri(), repository, "shop.orders"];
    let text = run(env!("CARGO_BIN_EXE_read_one_collection"), &arguments);
    let read = "5000 documents of shop.orders in snapshot ";
    assert!(text.contains(read), "{text}");
    run(env!("CARGO_BIN_EXE_verify"), &[repository]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_capture_and_restore_to_a_moment() {
    let source = ReplicaSet::start().await;
    dataset::orders(500).seed(&source.client()).await;
    let folder = TempDir::new().unwrap();
    let repository = folder.path().to_str().unwrap();
    let capture = [&source.uri(), repository, "2"];
    let load = Workload::start(&source.client(), WorkloadOptions::default());
    let text = run(env!("CARGO_BIN_EXE_embed_capture"), &capture);
    load.stop().await;
    let until = text.split("captured until ").nth(1).unwrap();
    let until = until.split(": ").next().unwrap().to_owned();
    source.client().database("shop").drop().await.unwrap();
    run(env!("CARGO_BIN_EXE_embed_capture"), &capture);
    let uri = source.uri();
    let arguments = [&uri, repository, "shop.orders", "beside.copy", &until];
    let text = run(env!("CARGO_BIN_EXE_point_in_time"), &arguments);
    assert!(text.contains("is now beside.copy: 500 documents"), "{text}");
}
