//! One collection through standard output and input.

use std::{
    fs,
    process::{Command, Output, Stdio},
};

use bson::{Document, doc};
use rdump_testkit::{ReplicaSet, Standalone, dataset, wait::PATIENCE};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    time::timeout,
};

use crate::program::{Ran, rdump, rrestore, run};

/// What both ends of a pipe left.
async fn piped(uri: &str, dump: &[&str], restore: &[&str]) -> (Output, Output) {
    let mut writer = Command::new(env!("CARGO_BIN_EXE_rdump"));
    writer
        .args(["--uri", uri])
        .args(dump)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut reader = Command::new(env!("CARGO_BIN_EXE_rrestore"));
    reader.args(["--uri", uri]).args(restore);
    let piped = tokio::task::spawn_blocking(move || {
        let mut writer = writer.spawn().expect("rdump starts");
        let restored = reader
            .stdin(writer.stdout.take().expect("it is piped"))
            .output()
            .expect("rrestore starts");
        let dumped = writer.wait_with_output().expect("rdump ends");
        (dumped, restored)
    });
    piped.await.expect("both end")
}

/// Runs rrestore with a file as its standard input.
async fn restore_from(file: &std::path::Path, arguments: &[&str]) -> Ran {
    let mut command = tokio::process::Command::new("sh");
    command.args(["-c", r#"file=$1; shift; exec "$0" "$@" < "$file""#]);
    command.arg(env!("CARGO_BIN_EXE_rrestore")).arg(file);
    run(command, arguments).await
}

#[tokio::test]
async fn a_collection_goes_through_a_pipe_and_becomes_a_bare_one() {
    let deployment = ReplicaSet::start().await;
    dataset::orders(5_000).seed(&deployment.client()).await;
    let uri = deployment.uri();
    let shop = deployment.client().database("shop");
    for (name, compress) in [("plain", "none"), ("gzip", "gzip"), ("zstd", "zstd:3")] {
        let (dumped, restored) = piped(
            &uri,
            &[
                "-d",
                "shop",
                "-c",
                "orders",
                "-o",
                "-",
                "--compress",
                compress,
            ],
            &["-d", "shop", "-c", name, "-"],
        )
        .await;
        assert!(dumped.status.success(), "{dumped:?}");
        assert!(restored.status.success(), "{restored:?}");
        let said = String::from_utf8(dumped.stderr).unwrap();
        assert!(said.contains("\twriting shop.orders to stdout\n"), "{said}");
        let said = String::from_utf8(restored.stderr).unwrap();
        let last = "5000 document(s) restored successfully. 0 document(s) failed to restore.\n";
        assert!(said.ends_with(last), "{said}");
        let copy = shop.collection::<Document>(name);
        assert_eq!(copy.count_documents(doc! {}).await.unwrap(), 5_000);
        assert_eq!(copy.list_index_names().await.unwrap(), ["_id_"]);
    }
}

#[tokio::test]
async fn standard_output_has_documents_and_nothing_else() {
    let source = Standalone::start().await;
    let database = source.client().database("db");
    let collection = database.collection("c");
    collection.insert_one(doc! { "_id": 1 }).await.unwrap();
    let view = doc! { "create": "v", "viewOn": "c", "pipeline": [] };
    database.run_command(view).await.unwrap();
    let uri = source.uri();
    let of = |collection| ["--uri", &uri, "-d", "db", "-c", collection, "-o", "-"];
    let document = "\u{e}\0\0\0\u{10}_id\0\u{1}\0\0\0\0";
    let ran = run(rdump(), of("c")).await.expect(0);
    assert_eq!(ran.stdout, document);
    ran.says("dumped 1 document of 1 namespace, 14 B, to stdout in ");
    let ran = run(rdump(), of("v")).await.expect(0);
    assert_eq!(ran.stdout, "");
    ran.says("done dumping db.v (0 documents)");
    let as_data = of("v").into_iter().chain(["--viewsAsCollections"]);
    assert_eq!(run(rdump(), as_data).await.expect(0).stdout, document);
    let ran = run(rdump(), of("none")).await.expect(0);
    assert_eq!(ran.stdout, "");
    ran.says("namespace with DB db and collection none does not exist");
    let ran = run(rdump(), of("c").into_iter().chain(["--dryRun"]));
    assert_eq!(ran.await.expect(0).stdout, "");
    let quiet = run(rdump(), of("c").into_iter().chain(["--quiet"])).await;
    assert_eq!(
        (quiet.stdout.as_str(), quiet.stderr.as_str()),
        (document, "")
    );
}

#[tokio::test]
async fn a_pipe_that_is_closed_fails_the_dump() {
    // mongodump/mongodump_test.go: an error like any other, and no death by SIGPIPE.
    let source = ReplicaSet::start().await;
    dataset::orders(20_000).seed(&source.client()).await;
    let (binary, uri) = (env!("CARGO_BIN_EXE_rdump"), source.uri());
    let arguments = ["--uri", &uri, "-d", "shop", "-c", "orders", "-o", "-"];
    let mut shell = tokio::process::Command::new("sh");
    let line = r#"{ "$0" "$@"; echo "ended with $?" >&2; } | head -c 1 > /dev/null"#;
    shell.args(["-c", line, binary]);
    let ran = run(shell, arguments).await.expect(0);
    let ran = ran.says("Failed: shop.orders: could not write to stdout: Broken pipe");
    ran.says("ended with 1");

    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", line, binary]);
    let ran = run(shell, ["--uri", &uri, "--archive"]).await.expect(0);
    let ran = ran.says("ended with 1");
    let broken = "could not write to stdout: Broken pipe";
    assert!(ran.stderr.contains(broken), "{}", ran.stderr);

    let mut full = tokio::process::Command::new("sh");
    full.args(["-c", r#"exec "$0" "$@" > /dev/full"#, binary]);
    let ran = run(full, arguments).await.expect(1);
    ran.says("Failed: shop.orders: no space left while writing stdout");
}

#[tokio::test]
async fn what_was_whole_before_damage_is_inserted_and_counted() {
    // mongorestore/invalid_input_test.go.
    let target = Standalone::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stream");
    let documents = (0..100_i32).map(|id| bson::serialize_to_vec(&doc! { "_id": id }).unwrap());
    let whole: Vec<u8> = documents.flatten().collect();
    let uri = target.uri();
    let arguments = ["--uri", &uri, "-d", "db", "-c", "c", "--drop", "--dir", "-"];
    for (bytes, restored) in [
        (&whole[..14 * 60 + 5], 60),
        (b"no document at all".as_slice(), 0),
    ] {
        fs::write(&file, bytes).unwrap();
        let ran = restore_from(&file, &arguments).await.expect(1);
        let ran = ran.says("Failed: db.c: stdin is damaged or cut short: ");
        ran.says(&format!(
            "{restored} document(s) restored successfully. 0 document(s) failed to restore."
        ));
        let found = target.client().database("db").collection::<Document>("c");
        assert_eq!(found.count_documents(doc! {}).await.unwrap(), restored);
    }
    fs::write(&file, &whole).unwrap();
    let again = arguments.iter().filter(|argument| **argument != "--drop");
    let again: Vec<_> = again.copied().collect();
    run(rrestore(), &again)
        .await
        .expect(0)
        .says("0 document(s) restored");
    restore_from(&file, &again)
        .await
        .expect(0)
        .says("100 document(s) restored");
    restore_from(&file, &again)
        .await
        .expect(0)
        .says("0 document(s) restored successfully. 100 document(s) failed to restore.");
}

#[tokio::test]
async fn a_dump_waits_for_its_barrier() {
    let source = Standalone::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (barrier, uri) = (folder.path().join("barrier"), source.uri());
    let barrier_text = barrier.to_str().unwrap();
    let mut command = rdump();
    command.args(["--uri", &uri, "-d", "db", "-c", "c", "-o", "-"]);
    command.args(["--internalOnlySourceWritesDoneBarrier", barrier_text]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let until_it_waits = async {
        let mut line = String::new();
        while !line.contains("\twaiting until ") {
            line = said.next_line().await.unwrap().expect("it waits");
        }
    };
    timeout(PATIENCE, until_it_waits).await.unwrap();
    let late = source.client().database("db").collection("c");
    late.insert_one(doc! { "_id": 1 }).await.unwrap();
    fs::write(&barrier, "").unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout.len(), 14);

    let no_folder = folder.path().join("barrier/file");
    let arguments = ["--uri", &uri, "--internalOnlySourceWritesDoneBarrier"];
    let arguments = arguments.into_iter().chain(no_folder.to_str());
    let ran = run(rdump(), arguments).await.expect(1);
    ran.says("Failed: failed to open barrier file ");
}
