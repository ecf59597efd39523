use std::fs;

use rdump_testkit::{ReplicaSet, dataset};

use crate::program::{dump, rdump, run};

#[tokio::test]
async fn verify_tells_whole_from_damaged_from_nothing_to_compare_with() {
    let source = ReplicaSet::start().await;
    dataset::orders(100).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    dump(&source, folder.path(), &["-d", "shop", "--gzip"])
        .await
        .expect(0);
    run(rdump(), ["verify", path])
        .await
        .expect(0)
        .says(&format!("{path} is whole ("));

    let file = folder.path().join("shop/orders.bson.gz");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let ran = run(rdump(), ["verify", path, "--json"]).await.expect(4);
    let ran = ran
        .says("DAMAGED shop/orders.bson.gz: ")
        .says(&format!("{path} is damaged in 1 place"));
    let report: serde_json::Value =
        serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&report["version"], &report["type"]),
        (&1.into(), &"report".into())
    );
    assert_eq!(report["damage"][0]["path"], "shop/orders.bson.gz");

    fs::remove_file(folder.path().join("rdump.manifest.json")).unwrap();
    run(rdump(), ["verify", path])
        .await
        .expect(1)
        .says("Failed: ");
    run(rdump(), ["verify", "/nonexistent"])
        .await
        .expect(1)
        .says("Failed: ");
}
