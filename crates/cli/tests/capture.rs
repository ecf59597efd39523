//! What is written is captured by one program, and restored to a moment by the other.

use bson::doc;
use rdump_testkit::{ReplicaSet, dataset};

use crate::{
    program::{Ran, rrestore, run},
    repository::{backup, json, line, on},
};

async fn capture(source: &ReplicaSet, repository: &str, more: &[&str]) -> Ran {
    let uri = source.uri();
    let once = ["capture", &uri, "--until-caught-up", "--slice-age=200ms"];
    run(on(repository), once.iter().chain(more)).await
}

#[tokio::test]
async fn what_is_captured_is_restored_to_the_moment_that_is_asked_for() {
    let source = ReplicaSet::start().await;
    dataset::orders(20).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().to_str().unwrap();
    capture(&source, repository, &[]).await.expect(0);
    backup(&source, repository, &[]).await.expect(0);
    let orders = source.client().database("shop").collection("orders");
    orders.insert_one(doc! { "_id": "late" }).await.unwrap();
    let ran = capture(&source, repository, &[]).await.expect(0);
    let until = line(&ran).to_owned();
    orders.delete_many(doc! {}).await.unwrap();
    let ran = capture(&source, repository, &["--json"]).await.expect(0);
    let lines: Vec<serde_json::Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["event"], "slice-stored");
    assert_eq!(lines.last().unwrap()["gaps"], 0);

    let status = json(&run(on(repository), ["status", "--json"]).await.expect(0));
    assert_eq!(status["spans"].as_array().unwrap().len(), 1);
    assert!(status["lag-seconds"].is_number() && status["capturing"].is_null());
    run(on(repository), ["status", "--max-lag", "1h"])
        .await
        .expect(0);

    let uri = source.uri();
    let restored = async |name: &str, to: &[&str]| {
        let names = [
            "--nsInclude",
            "shop.orders",
            "--nsFrom",
            "shop.orders",
            "--nsTo",
            name,
        ];
        let place = ["--uri", &uri, repository];
        let ran = run(rrestore(), place.iter().chain(&names).chain(to)).await;
        ran.expect(0).says("going to ");
        let copy = name.strip_prefix("shop.").unwrap();
        let copy = source
            .client()
            .database("shop")
            .collection::<bson::Document>(copy);
        copy.count_documents(doc! {}).await.unwrap()
    };
    assert_eq!(restored("shop.then", &["--to-optime", &until]).await, 21);
    assert_eq!(restored("shop.now", &["--to", "latest"]).await, 0);

    let refused = async |to: &[&str], words: &str| {
        let place = ["--uri", &uri, repository];
        let ran = run(rrestore(), place.iter().chain(to)).await.expect(1);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    };
    let early = ["--to-time", "2001-01-01T00:00:00Z"];
    refused(&early, "before the first snapshot").await;
    refused(&["--to-time", "2101-01-01T00:00:00Z"], "cannot be reached").await;
    refused(&["--to-time", "yesterday"], "is no time such as").await;
    refused(
        &["--to", "latest", "--to-optime", "1:1"],
        "goes to one moment",
    )
    .await;
}
