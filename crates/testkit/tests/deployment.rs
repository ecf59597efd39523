//! Servers start, die, come back and keep strangers out.

use bson::doc;
use mongodb::options::WriteConcern;
use rdump_testkit::{ReplicaSet, Standalone, deployment::connect, wait_for};
use std::time::Duration;

async fn count(client: &mongodb::Client) -> mongodb::error::Result<u64> {
    let collection = client.database("a").collection::<bson::Document>("b");
    collection.count_documents(doc! {}).await
}

async fn insert(client: &mongodb::Client) {
    let collection = client.database("a").collection("b");
    let journaled = WriteConcern::builder().journal(true).build();
    let insert = collection.insert_one(doc! { "x": 1 });
    insert
        .write_concern(journaled)
        .await
        .expect("the server takes a document");
}

#[tokio::test]
async fn a_standalone_server_survives_its_own_death() {
    let standalone = Standalone::start().await;
    insert(&standalone.client()).await;
    standalone.kill();
    assert!(!standalone.members()[0].is_running());
    standalone.restart().await;
    assert_eq!(count(&standalone.client()).await.unwrap(), 1);
    assert!(standalone.log_tail().contains("Waiting for connections"));
}

#[tokio::test]
async fn a_replica_set_of_one_has_an_oplog() {
    let replica_set = ReplicaSet::builder().oplog_mebibytes(16).start().await;
    insert(&replica_set.client()).await;
    let local = replica_set.client().database("local");
    let stats = local
        .run_command(doc! { "collStats": "oplog.rs" })
        .await
        .unwrap();
    assert_eq!(stats.get_i32("maxSize").unwrap(), 16 << 20);
    assert_eq!(replica_set.step_down().await, 0);
}

#[tokio::test]
async fn another_member_becomes_primary_when_the_primary_is_killed() {
    let replica_set = ReplicaSet::builder().members(3).start().await;
    insert(&replica_set.client()).await;
    let killed = replica_set.kill_primary().await;
    let primary = replica_set.await_primary().await;
    assert_ne!(killed, primary);
    wait_for("a write", Duration::from_secs(20), async || {
        let collection = replica_set.client().database("a").collection("b");
        collection.insert_one(doc! { "x": 2 }).await.ok()
    })
    .await;
    replica_set.restart(killed).await;
    replica_set.await_healthy().await;
    let next = replica_set.step_down().await;
    assert_ne!(next, primary);
}

#[tokio::test]
async fn authentication_keeps_strangers_out() {
    let replica_set = ReplicaSet::builder().auth().start().await;
    insert(&replica_set.client()).await;
    let stranger = connect(&replica_set.uri()).await;
    assert!(
        count(&stranger)
            .await
            .unwrap_err()
            .to_string()
            .contains("authentication")
    );
    replica_set
        .create_user("reader", "p:/w", &[("read", "a")])
        .await;
    let reader = connect(&replica_set.uri_for("reader")).await;
    assert_eq!(count(&reader).await.unwrap(), 1);
    let refused = reader
        .database("a")
        .collection("b")
        .insert_one(doc! {})
        .await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn tls_and_certificates_work_with_authentication() {
    let standalone = Standalone::builder().auth().tls().start().await;
    insert(&standalone.client()).await;
    standalone
        .create_certificate_user(&[("readWrite", "a")])
        .await;
    let client = connect(&standalone.certificate_uri()).await;
    assert_eq!(count(&client).await.unwrap(), 1);
    let plain = standalone
        .direct_uri(0)
        .replace("&tls=true", "")
        .replace("&tlsCAFile", "&appName");
    let plain = connect(&format!("{plain}&serverSelectionTimeoutMS=500")).await;
    assert!(count(&plain).await.is_err());
}

#[tokio::test]
async fn tls_works_between_members() {
    let replica_set = ReplicaSet::builder().members(2).auth().tls().start().await;
    insert(&replica_set.client()).await;
    assert_eq!(count(&replica_set.client()).await.unwrap(), 1);
}
