//! Every example does what it says.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use std::process::Command;

use rdump_testkit::{
    Fingerprint, FingerprintOptions, ReplicaSet, dataset, fingerprint::assert_same,
};
use tempfile::TempDir;

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
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
