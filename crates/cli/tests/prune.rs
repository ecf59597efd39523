//! Deleting what a policy does not keep.

use bson::doc;
use rdump_testkit::{
    ReplicaSet, SeaweedFs, dataset,
    s3::{Access, Policy},
};
use serde_json::json;

use crate::{
    object_store_access::asked_by,
    program::{rdump, run},
    repository::{backup, json, line, on},
};

const PAGE: &str = include_str!("../../../docs/s3.md");

#[tokio::test]
async fn what_goes_is_told_before_it_does_and_each_that_stays_has_its_reason() {
    let source = ReplicaSet::start().await;
    dataset::orders(100).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().join("repository");
    let repository = repository.to_str().unwrap();
    let mut ids = Vec::new();
    for tag in ["keep=always", "by=cron", "by=cron"] {
        let ran = backup(&source, repository, &["--tag", tag]).await.expect(0);
        ids.push(line(&ran).to_owned());
    }
    let ran = backup(&source, repository, &["--db", "shop"])
        .await
        .expect(0);
    ids.push(line(&ran).to_owned());

    run(on(repository), ["prune"])
        .await
        .expect(2)
        .says("error parsing command line options: nothing says what is to be kept");
    let wrong = ["prune", "--keep-last=1", "--timezone", "Mars/Olympus"];
    run(on(repository), wrong)
        .await
        .expect(2)
        .says("error parsing command line options: invalid value 'Mars/Olympus'");
    let policy = ["prune", "--keep-last=1", "--keep-tag", "keep=always"];
    let dry = run(on(repository), policy.iter().chain(&["--dry-run"]))
        .await
        .expect(0)
        .says("nothing was deleted");
    let expected = [
        ("keep", "tag keep=always"),
        ("delete", "no rule keeps it"),
        ("keep", "last, newest"),
        ("keep", "last, newest"),
    ];
    for (id, (what, why)) in ids.iter().zip(expected) {
        let told = dry
            .stdout
            .lines()
            .find(|line| line.contains(id.as_str()))
            .unwrap();
        assert!(told.starts_with(what) && told.ends_with(why), "{told}");
    }
    // As whoever watches it is told.
    let told = [
        "status",
        "--json",
        "--keep-last=1",
        "--keep-tag",
        "keep=always",
    ];
    let told = json(&run(on(repository), told).await.expect(0));
    assert_eq!(told["prune"], json!({ "snapshots": [ids[1]], "slices": 0 }));
    assert_eq!(
        (&told["snapshots"], &told["last-good-snapshot"]),
        (&json!(4), &json!(null))
    );
    let age = ["status", "--max-age=1h"];
    let ran = run(on(repository), age).await.expect(3);
    assert!(ran.stderr.contains("--max-age"), "{}", ran.stderr);
    run(on(repository), ["verify", &ids[2], "--sample=50%"])
        .await
        .expect(0);
    let ran = run(on(repository), age).await.expect(0);
    let good = ran
        .stdout
        .lines()
        .find(|line| line.starts_with("last good one"))
        .unwrap();
    assert!(
        good.contains(&ids[2]) && good.contains(", verified 2"),
        "{good}"
    );
    let told = json(&run(on(repository), ["status", "--json"]).await.expect(0));
    assert_eq!(told["last-good-snapshot"]["id"], ids[2].as_str());
    assert!(told["added-bytes-7d"].as_u64() > Some(10_000), "{told}");
    assert!(
        told["stored-bytes"].as_u64() > told["added-bytes-7d"].as_u64(),
        "{told}"
    );
    assert_eq!(told["prune"], json!(null));
    let all = json(&run(on(repository), ["list", "--json"]).await.expect(0));
    assert_eq!(all["snapshots"].as_array().map(Vec::len), Some(4));

    let ran = run(on(repository), policy.iter().chain(&["--json"]))
        .await
        .expect(0);
    let document = json(&ran);
    assert_eq!(document["plan"]["snapshots"][1]["kept"], json!([]));
    assert_eq!(
        document["plan"]["snapshots"][0]["kept"],
        json!([{ "rule": "tag", "tag": "keep=always" }])
    );
    assert_eq!(document["report"]["snapshots"], 1);
    let left = json(&run(on(repository), ["list", "--json"]).await.expect(0));
    let left: Vec<_> = left["snapshots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["id"].clone())
        .collect();
    assert_eq!(left, [ids[0].as_str(), &ids[2], &ids[3]]);
    run(on(repository), ["verify", "--all", "--deep"])
        .await
        .expect(0);
    for entry in walk(folder.path()) {
        assert!(!entry.contains(&ids[1]), "{entry}");
    }
}

fn walk(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(walk(&path)),
            false => found.push(path.to_str().expect("UTF-8").to_owned()),
        }
    }
    found
}

#[tokio::test]
async fn who_prunes_a_bucket_needs_no_more_than_the_policy_says() {
    let policy = |name| Policy::in_page(PAGE, name, "backups/shop");
    let access = Access::default()
        .user("keeper", policy("backup"))
        .user("pruner", policy("prune-repository"));
    let (source, server) = (ReplicaSet::start().await, SeaweedFs::with(&access).await);
    dataset::orders(100).seed(&source.client()).await;
    let (uri, place) = (source.uri(), server.location("backups/shop"));
    let on = |user| {
        let mut command = asked_by(user, rdump());
        command.env("RDUMP_REPO", &place);
        command
    };
    let log = source.client().database("shop").collection("log");
    for number in 0..8 {
        log.insert_one(doc! { "number": number }).await.unwrap();
        let ran = run(on("keeper"), ["capture", &uri, "--until-caught-up"]).await;
        ran.expect(0);
        if [0, 5, 6].contains(&number) {
            run(on("keeper"), ["backup", &uri]).await.expect(0);
        }
    }
    let prune = ["prune", "--keep-last=1", "--grace=0s", "--json"];
    run(on("keeper"), prune)
        .await
        .expect(1)
        .says("Failed: no permission to s3:");
    let pruned = json(&run(on("pruner"), prune).await.expect(0));
    assert_eq!(pruned["report"]["snapshots"], 2, "{pruned}");
    assert!(pruned["report"]["slices"].as_u64() > Some(0), "{pruned}");
    assert_eq!(pruned["report"]["problems"], json!([]));
    let listed = json(&run(on("keeper"), ["list", "--json"]).await.expect(0));
    assert_eq!(listed["snapshots"].as_array().map(Vec::len), Some(1));
    // Who prunes reads no documents.
    run(on("pruner"), ["verify"]).await.expect(1);
}
