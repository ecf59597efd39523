//! Drills, and comparisons of deployments.

use std::{fs, path::Path};

use bson::{Document, doc};
use rdump_testkit::{
    ReplicaSet, Standalone, binaries, dataset,
    wait::{PATIENCE, wait_for},
};
use serde_json::Value;
use tempfile::tempdir;

use crate::{
    program::{rdump, rrestore, run},
    repository::{flip_a_data_object, json, on},
};

/// A repository with a snapshot: the deployment that it is of, and its id.
async fn backed_up(repository: &str) -> (ReplicaSet, String) {
    let source = ReplicaSet::start().await;
    dataset::orders(500).seed(&source.client()).await;
    let odd = source
        .client()
        .database("<b>&")
        .collection("empty <script>");
    odd.insert_one(doc! { "_id": 1 }).await.expect("an insert");
    let ran = run(on(repository), ["backup", &source.uri()])
        .await
        .expect(0);
    (source, ran.stdout.trim().to_owned())
}

#[tokio::test]
async fn a_drill_with_a_server_of_its_own_reports_what_it_found() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (repository, scratch, report) = (path("backups"), path("scratch"), path("reports.html"));
    fs::create_dir(&scratch).unwrap();
    let (_source, id) = backed_up(&repository).await;
    let mongod = binaries::mongod();
    let mongod = mongod.to_str().unwrap();
    let drill = |more: &[&str]| {
        let given = [
            "drill",
            &repository,
            "--mongod",
            mongod,
            "--mongod-folder",
            &scratch,
        ];
        let line: Vec<String> = given
            .iter()
            .chain(more)
            .map(|it| (*it).to_owned())
            .collect();
        run(rrestore(), line)
    };
    let status = async || run(on(&repository), ["status"]).await.expect(0).stdout;
    let before = status().await;
    assert!(before.contains("last drill          none"), "{before}");
    let metrics = path("rdump.prom");
    let objectives = ["--max-rto", "1h", "--max-rpo", "1h"];
    let written: [&str; 4] = ["--report", &report, "--metrics-file", &metrics];
    let ran = drill(&[objectives, written].concat()).await.expect(0);
    let after = status().await;
    assert!(after.contains("Z, good\n"), "{after}");
    let metrics = fs::read_to_string(&metrics).unwrap();
    assert!(
        metrics.contains("rdump_last_run_restore_seconds{"),
        "{metrics}"
    );
    assert!(
        ran.stdout.starts_with("good: 501 documents restored in "),
        "{}",
        ran.stdout
    );
    let written = fs::read_to_string(path("reports.json")).unwrap();
    let written: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(written["good"], true);
    assert_eq!(written["report"]["comparison"]["different"], 0);
    let page = fs::read_to_string(path("reports.html")).unwrap();
    assert!(page.contains("nothing differs"), "{page}");
    assert!(
        page.contains("&lt;b&gt;&amp;.empty &lt;script&gt;"),
        "{page}"
    );
    assert!(!page.contains("<script>"), "{page}");

    let slow = drill(&["--json", "--max-rto", "0s", "--snapshot", "random"]).await;
    let slow = slow
        .expect(3)
        .says("the restore took longer than --max-rto");
    assert_eq!(json(&slow)["good"], true);
    let moment = drill(&["--to-time", "2001-01-01T00:00:00Z"]).await;
    moment
        .expect(1)
        .says("Failed: the moment that is asked for is before the first snapshot");

    flip_a_data_object(Path::new(&repository), &id);
    let damaged = drill(&["--report", &report]).await.expect(4);
    damaged.says("it could not be restored");
    let page = fs::read_to_string(path("reports.html")).unwrap();
    assert!(page.contains("did not come back") && page.contains("Could not be restored"));
    let left = fs::read_dir(&scratch).unwrap().count();
    assert_eq!(left, 0, "folders of servers are left");
}

#[tokio::test]
async fn a_drill_leaves_alone_what_is_not_its_own_and_never_takes_the_source_for_scratch() {
    let folder = tempdir().unwrap();
    let repository = folder.path().join("backups").to_str().unwrap().to_owned();
    let (source, _) = backed_up(&repository).await;
    let ran = run(rrestore(), ["drill", &repository, "--uri", &source.uri()]).await;
    ran.expect(1)
        .says("Failed: the scratch deployment has a database");
    let orders = source
        .client()
        .database("shop")
        .collection::<Document>("orders");
    assert_eq!(orders.count_documents(doc! {}).await.unwrap(), 500);

    let mut drill = rrestore();
    drill.env("RDUMP_URI", source.uri());
    let ran = run(drill, ["drill", &repository]).await.expect(2);
    ran.says(
        "error parsing command line options: name a scratch deployment (--uri, RDUMP_SCRATCH_URI) or a server to start (--mongod)",
    );
    let scratch = Standalone::start().await;
    let mut drill = rrestore();
    drill.env("RDUMP_SCRATCH_URI", scratch.uri());
    run(
        drill,
        ["drill", "--repo", &repository, "--nsInclude", "shop.*"],
    )
    .await
    .expect(0);
    let names = scratch.client().list_database_names().await.unwrap();
    assert!(!names.contains(&"shop".to_owned()), "{names:?}");
}

#[tokio::test]
async fn deployments_are_compared() {
    let (one, other) = (Standalone::start().await, Standalone::start().await);
    let folder = tempdir().unwrap();
    for deployment in [&one, &other] {
        dataset::orders(100).seed(&deployment.client()).await;
    }
    let file = folder.path().join("uri");
    fs::write(&file, format!("{}\n", one.uri())).unwrap();
    let file = format!("@{}", file.display());
    let ran = run(rdump(), ["compare", &file, &other.uri()])
        .await
        .expect(0);
    assert!(
        ran.stdout
            .contains("100 documents compared, 0 namespaces differ"),
        "{}",
        ran.stdout
    );
    let orders = other
        .client()
        .database("shop")
        .collection::<Document>("orders");
    orders.delete_one(doc! {}).await.unwrap();
    let ran = run(rdump(), ["compare", "--json", &one.uri(), &other.uri()]).await;
    let ran = ran
        .expect(4)
        .says("shop.orders: 1 documents missing, 0 changed, 0 unexpected");
    let document = json(&ran);
    assert_eq!(document["same"], false);
    let differences = &document["report"]["namespaces"][0]["differences"][0];
    assert_eq!(
        (&differences["kind"], &differences["missing"]),
        (&Value::from("documents"), &Value::from(1))
    );
    run(rdump(), ["compare", &one.uri()]).await.expect(2);
    let ran = run(rdump(), ["compare", "@/nowhere", &one.uri()]).await;
    ran.expect(1).says("Failed: cannot read /nowhere");
}

#[tokio::test]
async fn a_drill_that_is_killed_leaves_no_server() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (repository, scratch) = (path("backups"), path("scratch"));
    fs::create_dir(&scratch).unwrap();
    let _source = backed_up(&repository).await;
    let mut drill = rrestore();
    drill
        .args(["drill", &repository, "--mongod"])
        .arg(binaries::mongod());
    drill.args(["--mongod-folder", &scratch, "--keep"]);
    let mut drill = drill.kill_on_drop(true).spawn().unwrap();
    let folders = || fs::read_dir(&scratch).unwrap().count();
    // Not only the folder, which is there before who guards it.
    let logs = || {
        let entries = fs::read_dir(&scratch).unwrap();
        let mut folders = entries.map(|it| it.unwrap().path());
        folders.any(|folder| folder.join("mongod.log").exists())
    };
    let is_there = async || logs().then_some(());
    wait_for("the server", PATIENCE, is_there).await;
    drill.kill().await.unwrap();
    let is_gone = async || (folders() == 0).then_some(());
    wait_for("the server's folder to be gone", PATIENCE, is_gone).await;
}
