use rdump_testkit::{ReplicaSet, dataset};
use serde_json::Value;

use crate::program::{dump, rdump, rrestore, run};

fn lines(stdout: &str) -> Vec<Value> {
    let lines = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")));
    let lines: Vec<Value> = lines.collect();
    assert!(
        lines
            .iter()
            .all(|line| line["version"] == 1 && line["type"].is_string()),
        "{stdout}"
    );
    lines
}

#[tokio::test]
async fn json_lines_hold_events_and_end_with_the_report() {
    let source = ReplicaSet::start().await;
    dataset::orders(1_000).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    let ran = dump(&source, folder.path(), &["--json", "-d", "shop"])
        .await
        .expect(0);
    let dumped = lines(&ran.stdout);
    let finished = dumped
        .iter()
        .find(|line| line["event"] == "namespace-finished")
        .unwrap();
    assert_eq!(
        (
            &finished["type"],
            &finished["namespace"],
            &finished["documents"]
        ),
        (&"event".into(), &"shop.orders".into(), &1_000.into())
    );
    let report = dumped.last().unwrap();
    assert_eq!(
        (&report["type"], &report["documents"]),
        (&"report".into(), &1_000.into())
    );

    let target = ReplicaSet::start().await;
    let arguments = [
        target.uri(),
        "--json".to_owned(),
        folder.path().to_str().unwrap().to_owned(),
    ];
    let ran = run(rrestore(), arguments).await.expect(0);
    let restored = lines(&ran.stdout);
    assert_eq!(
        (
            &restored.last().unwrap()["documents"],
            &restored.last().unwrap()["verified"]
        ),
        (&1_000.into(), &true.into())
    );
}

#[tokio::test]
async fn a_failure_is_a_line_too() {
    let uri = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100";
    let ran = run(rdump(), ["--json", uri]).await.expect(1);
    let lines = lines(&ran.stdout);
    assert_eq!(
        (&lines[0]["type"], &lines[0]["kind"]),
        (&"error".into(), &"unavailable".into())
    );
}

#[tokio::test]
async fn a_plan_is_a_line_too() {
    let source = ReplicaSet::start().await;
    dataset::orders(10).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    let ran = dump(
        &source,
        folder.path(),
        &["--json", "--dryRun", "-d", "shop"],
    )
    .await
    .expect(0);
    let lines = lines(&ran.stdout);
    assert_eq!(
        (&lines[0]["type"], &lines[0]["namespaces"][0]["namespace"]),
        (&"plan".into(), &"shop.orders".into())
    );

    dump(&source, folder.path(), &["-d", "shop"])
        .await
        .expect(0);
    let arguments = [
        source.uri(),
        "--json".to_owned(),
        "--dryRun".to_owned(),
        "--drop".to_owned(),
    ];
    let ran = run(
        rrestore(),
        arguments
            .iter()
            .map(String::as_str)
            .chain([folder.path().to_str().unwrap()]),
    )
    .await;
    let plan: Value = serde_json::from_str(ran.expect(0).stdout.trim()).unwrap();
    assert_eq!(
        (&plan["type"], &plan["version"], &plan["verified"]),
        (&"plan".into(), &1.into(), &true.into())
    );
    assert_eq!(
        (
            &plan["namespaces"][0]["namespace"],
            &plan["namespaces"][0]["drop"]
        ),
        (&"shop.orders".into(), &true.into())
    );
}
