//! The record of who did what.

use std::fs;

use rdump_testkit::{ReplicaSet, dataset};
use serde_json::Value;

use crate::{
    program::{rrestore, run},
    repository::{backup, json, line, on},
};

/// What was done, with what came of it, and the digest of the newest entry.
async fn acts(repository: &str) -> (Vec<String>, String) {
    let told = json(&run(on(repository), ["audit", "--json"]).await.expect(0));
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let entries = told["entries"].as_array().expect("entries");
    let acts = entries
        .iter()
        .map(|it| format!("{} {}", text(&it["verb"]), text(&it["result"])));
    (acts.collect(), text(&told["report"]["head"]["sha256"]))
}

#[tokio::test]
async fn who_did_what_is_shown_and_checked() {
    let (source, target) = tokio::join!(ReplicaSet::start(), ReplicaSet::start());
    dataset::orders(50).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().join("repository");
    let repository = repository.to_str().unwrap();
    let mut nightly = on(repository);
    nightly.env("RDUMP_ACTOR", "nightly");
    run(nightly, ["init"]).await.expect(0);
    let id = line(&backup(&source, repository, &[]).await.expect(0)).to_owned();
    run(on(repository), ["verify"]).await.expect(0);
    let uri = target.uri();
    run(rrestore(), [&uri, repository]).await.expect(0);
    // What the target has is a conflict that is found before anything begins.
    run(rrestore(), [&uri, repository]).await.expect(1);
    let (done, noted) = acts(repository).await;
    assert_eq!(
        done,
        [
            "init done",
            "backup done",
            "verify done",
            "restore started",
            "restore done"
        ]
    );

    let ran = run(on(repository), ["audit"]).await.expect(0);
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 5);
    assert!(
        lines[0].contains("init             done       nightly "),
        "{}",
        lines[0]
    );
    assert!(
        lines[1].contains(&format!("{id}; from rs0/")),
        "{}",
        lines[1]
    );
    assert!(lines[4].contains(&format!("{id}; to rs0/")), "{}", lines[4]);
    assert!(lines[4].contains("documents 50"), "{}", lines[4]);
    assert!(
        ran.stderr.contains(&format!("for --expect: {noted}")),
        "{}",
        ran.stderr
    );
    let later = run(on(repository), ["audit", "--since", "2100-01-01T00:00:00Z"]).await;
    assert_eq!(later.expect(0).stdout, "");
    let told = json(
        &run(on(repository), ["audit", "--json", "--since=1h"])
            .await
            .expect(0),
    );
    let entry = &told["entries"][1];
    assert_eq!(
        (&entry["number"], &entry["snapshot"]),
        (&2.into(), &id.into())
    );
    assert!(!entry["who"]["user"].as_str().unwrap().is_empty());
    assert_eq!(entry["who"]["name"], Value::Null);
    assert_eq!(told["entries"][0]["who"]["name"], "nightly");

    // What was noted is found, also when more was done.
    run(on(repository), ["verify"]).await.expect(0);
    run(on(repository), ["audit", "--expect", &noted])
        .await
        .expect(0);
    let other = "0".repeat(64);
    let ran = run(on(repository), ["audit", "--expect", &other])
        .await
        .expect(4);
    assert!(
        ran.stderr
            .contains("DAMAGED audit/: no entry has the digest"),
        "{}",
        ran.stderr
    );
    run(on(repository), ["audit", "--expect", "none"])
        .await
        .expect(2);

    let entry = folder.path().join("repository/audit/999999999998-2.json");
    let mut bytes = fs::read(&entry).unwrap();
    bytes[200] ^= 1;
    fs::write(&entry, bytes).unwrap();
    let ran = run(on(repository), ["audit"]).await.expect(4);
    assert!(
        ran.stderr.contains(
            "DAMAGED audit/999999999998-2.json: entry of the audit record cannot be used"
        ),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.stdout.lines().count(), 5);
    fs::remove_file(&entry).unwrap();
    let ran = run(on(repository), ["audit", "--json"]).await.expect(4);
    let told = json(&ran);
    assert_eq!(
        told["report"]["damage"][0]["message"],
        "entry 2 is not there"
    );

    // A repository of before there was such a record.
    fs::remove_dir_all(folder.path().join("repository/audit")).unwrap();
    let ran = run(on(repository), ["audit"]).await.expect(0);
    assert!(ran.stderr.contains("nothing is recorded"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
    let elsewhere = folder.path().join("nothing");
    run(on(elsewhere.to_str().unwrap()), ["audit"])
        .await
        .expect(1);
}
