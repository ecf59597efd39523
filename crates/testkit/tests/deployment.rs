//! Servers start, die, come back and keep strangers out.

use bson::doc;
use mongodb::options::WriteConcern;
use rdump_testkit::{
    ReplicaSet, Standalone,
    deployment::connect,
    wait::{PATIENCE, wait_for},
};
use std::{
    env,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Command, Stdio},
};

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
    wait_for("a write", PATIENCE, async || {
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

/// Set in the process that is to be killed.
const VICTIM: &str = "RDUMP_TESTKIT_VICTIM";

#[tokio::test]
async fn a_server_dies_with_a_test_that_is_killed() {
    if env::var_os(VICTIM).is_some() {
        let standalone = Standalone::start().await;
        println!("server {}", standalone.members()[0].id().unwrap());
        // Until we are killed.
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut victim = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            "deployment::a_server_dies_with_a_test_that_is_killed",
        ])
        .env(VICTIM, "1")
        // It cannot clean up after itself.
        .env("TMPDIR", folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let server: u32 = lines
        .map_while(Result::ok)
        .find_map(|line| line.split_once("server ")?.1.parse().ok())
        .expect("the victim starts a server");
    let process = format!("/proc/{server}/exe");
    assert!(Path::new(&process).read_link().is_ok());
    victim.kill().unwrap();
    victim.wait().unwrap();
    wait_for("the server to die", PATIENCE, async || {
        Path::new(&process).read_link().is_err().then_some(())
    })
    .await;
}
