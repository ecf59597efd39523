use std::{fs, path::Path};

use bson::doc;
use rdump_testkit::{ReplicaSet, Standalone, dataset};
use tokio::process::Command;

use crate::program::{dump, rdump, rrestore, run};

const CANARY: &str = "canary7";

#[tokio::test]
async fn an_unreachable_server_is_named_with_the_time_spent() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("dump");
    let uri = format!("mongodb://u:{CANARY}@127.0.0.1:1/?serverSelectionTimeoutMS=300");
    let ran = run(rdump(), ["--uri", &uri, "-o", out.to_str().unwrap()])
        .await
        .expect(1);
    let ran = ran.says("Failed: no server could be reached at 127.0.0.1:1 within 0.3 seconds: ");
    assert!(!ran.stderr.contains(CANARY), "{}", ran.stderr);
    assert!(!out.exists());
}

#[tokio::test]
async fn an_archive_of_nothing_is_one_and_takes_the_place_of_an_older_one() {
    let source = ReplicaSet::start().await;
    let (folder, uri) = (tempfile::tempdir().unwrap(), source.uri());
    let restored = "0 document(s) restored successfully. 0 document(s) failed to restore.";
    for (compression, start) in [("none", [0x6D, 0xE2]), ("gzip", [0x1F, 0x8B])] {
        let path = folder.path().join(compression);
        let archive = format!("--archive={}", path.display());
        let nothing = ["--uri", &uri, "--compress", compression, "-d", "none"];
        fs::write(&path, "of yesterday").unwrap();
        run(
            rdump(),
            nothing.iter().chain(&["-c", "no", archive.as_str()]),
        )
        .await
        .expect(0);
        assert_eq!(fs::read(&path).unwrap(), b"of yesterday");

        run(rdump(), nothing.iter().chain(&[archive.as_str()]))
            .await
            .expect(0)
            .says("there is nothing to dump: database none");
        let written = fs::read(&path).unwrap();
        assert!(written.starts_with(&start), "{written:?}");
        run(rrestore(), ["--uri", &uri, &archive])
            .await
            .expect(0)
            .says(restored);
        let mut to_stdout = rdump();
        to_stdout.args(nothing).arg("--archive");
        let piped = to_stdout.output().await.unwrap();
        assert_eq!(piped.stdout, written);
    }
}

#[tokio::test]
async fn a_wrong_password_names_user_and_database_and_no_password() {
    let server = Standalone::builder().auth().start().await;
    let host = &server.hosts()[0];
    let arguments = [
        "-h",
        host,
        "-u",
        "root",
        "-p",
        CANARY,
        "--authenticationDatabase",
        "admin",
    ];
    let ran = run(rdump(), arguments).await.expect(1);
    let ran = ran
        .says("Failed: authentication failed for user \"root\" of database \"admin\"")
        .says("Hint: check --username");
    assert!(!ran.stderr.contains(CANARY), "{}", ran.stderr);

    let uri = format!("mongodb://root:{CANARY}@{host}/?authSource=admin");
    let ran = run(rrestore(), ["-vvv", &uri, "."]).await.expect(1);
    assert!(!ran.stderr.contains(CANARY), "{}", ran.stderr);
}

#[tokio::test]
async fn a_malformed_connection_string_is_never_quoted() {
    for uri in [
        "mongodb://u:canary7",
        "mongodb://u:p/canary7@a",
        "mongodb://u:canary7@a:x",
        "mongodb://u:12?canary7=1@a",
    ] {
        for arguments in [["--uri", uri], [uri, "--gzip"]] {
            let ran = run(rdump(), arguments).await.expect(1);
            assert!(!ran.stderr.contains(CANARY), "{uri}: {}", ran.stderr);
        }
        let mut command = rdump();
        command.env("RDUMP_URI", uri);
        let ran = run(command, ["-vvv"]).await.expect(1);
        assert!(!ran.stderr.contains(CANARY), "{uri}: {}", ran.stderr);
    }
}

#[tokio::test]
async fn a_misspelt_connection_string_is_never_quoted() {
    for uri in [
        "mongodb:/u:canary7@h/",
        "MongoDB://u:canary7@h/",
        "mongodb+srv:u:canary7@h",
        "mongo://u:canary7@h",
        "mongodb//u:canary7@h",
    ] {
        for (command, arguments) in [
            (rrestore(), vec![uri]),
            (rrestore(), vec!["--dir", uri]),
            (rdump(), vec![uri]),
            (rdump(), vec!["verify", uri]),
            (rdump(), vec!["verify", "a", uri]),
        ] {
            let ran = run(command, &arguments).await;
            assert_ne!(ran.code, Some(0), "{arguments:?}");
            assert!(
                !ran.stderr.contains(CANARY),
                "{arguments:?}: {}",
                ran.stderr
            );
        }
    }
}

#[tokio::test]
async fn verbose_says_what_is_connected_to_and_what_is_dumped_and_restored() {
    let source = ReplicaSet::start().await;
    dataset::orders(10).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    let all = ["-v", "--readPreference", "nearest"];
    let connected = "connected to MongoDB 6.0.5 (replica set)";
    dump(&source, folder.path(), &all)
        .await
        .expect(0)
        .says(connected)
        .says("read preference: Nearest")
        .says("dump shop.orders: about 10 documents, ");
    let uri = source.uri();
    let arguments = [&uri, "-v", "--drop", folder.path().to_str().unwrap()];
    let ran = run(rrestore(), arguments).await.expect(0);
    ran.says(connected).says("restore shop.orders");
}

#[tokio::test]
async fn a_namespace_that_does_not_exist_is_no_failure_and_leaves_nothing() {
    // mongodump/mongodump_test.go.
    let source = ReplicaSet::start().await;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("dump");
    dump(&source, &out, &["-d", "none"])
        .await
        .expect(0)
        .says("there is nothing to dump: database none");
    dump(&source, &out, &["-d", "none", "-c", "no"])
        .await
        .expect(0)
        .says("namespace with DB none and collection no does not exist");
    assert!(!out.exists());
}

#[tokio::test]
async fn what_is_no_dump_is_not_restored() {
    let target = ReplicaSet::start().await;
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let restore = |path: &Path| {
        run(
            rrestore(),
            [target.uri(), path.to_str().unwrap().to_owned()],
        )
    };
    restore(&missing).await.expect(1).says("Failed: ");
    let file = folder.path().join("file.txt");
    fs::write(&file, "no dump").unwrap();
    restore(&file).await.expect(1).says("Failed: ");
}

#[tokio::test]
async fn refused_documents_end_with_0_and_with_strict_with_3() {
    // mongorestore/mongorestore_test.go.
    let source = ReplicaSet::start().await;
    dataset::orders(10).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    dump(&source, folder.path(), &[]).await.expect(0);
    let uri = source.uri();
    let arguments = [&uri, folder.path().to_str().unwrap()];
    // Every document is there already.
    let ran = run(rrestore(), arguments).await.expect(0);
    let last = *ran.messages().last().unwrap();
    assert_eq!(
        last,
        "0 document(s) restored successfully. 10 document(s) failed to restore."
    );
    run(rrestore(), arguments.iter().copied().chain(["--strict"]))
        .await
        .expect(3);
    let count = source
        .client()
        .database("shop")
        .collection::<bson::Document>("orders");
    assert_eq!(count.count_documents(doc! {}).await.unwrap(), 10);
}

#[tokio::test]
async fn a_missing_privilege_is_named_with_what_needs_it() {
    let server = Standalone::builder().auth().start().await;
    let client = server.client();
    for (db, document) in [
        ("shop", doc! { "_id": CANARY }),
        ("other", doc! { "_id": 1 }),
    ] {
        let collection = client.database(db).collection("orders");
        collection.insert_one(document).await.unwrap();
    }
    let roles = [doc! { "role": "read", "db": "shop" }];
    let clerk = doc! { "createUser": "clerk", "pwd": "pass word", "roles": roles };
    client.database("admin").run_command(clerk).await.unwrap();
    let uri = format!(
        "mongodb://clerk:pass%20word@{}/?authSource=admin",
        server.hosts()[0]
    );
    let folder = tempfile::tempdir().unwrap();
    let all = folder.path().join("all");
    let all = all.to_str().unwrap();
    let one = folder.path().join("one");
    let one = one.to_str().unwrap();

    let ran = run(rdump(), ["--uri", &uri, "--db", "other", "-o", one]).await;
    ran.expect(1)
        .says("Failed: not authorized on other to execute listCollections: 1")
        .says("Hint: dumping needs the built-in role `backup`");
    assert!(!Path::new(one).exists());

    // As mongodump does, but it says so.
    let ran = run(rdump(), ["--uri", &uri, "-o", all]).await.expect(0);
    ran.says("this user may not list all databases");
    assert!(Path::new(all).join("shop/orders.bson").exists());
    assert!(!Path::new(all).join("other").exists());

    let ran = run(rrestore(), ["--uri", &uri, all]).await.expect(1);
    let ran = ran
        .says("Failed: ")
        .says("Hint: dumping needs the built-in role `backup`, restoring the role `restore`");
    assert!(ran.stderr.contains("not authorized on shop to execute"));
    assert!(!ran.stderr.contains(CANARY), "{}", ran.stderr);
}

#[tokio::test]
async fn a_restore_that_fails_before_its_first_document_ends_with_the_totals_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    fs::create_dir(folder.path().join("db")).unwrap();
    fs::write(folder.path().join("db/c.metadata.json"), "{").unwrap();
    let unreachable = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100";
    let missing = folder.path().join("missing");
    for arguments in [
        vec![unreachable, path],
        vec![unreachable, missing.to_str().unwrap()],
        vec![unreachable, "--numInsertionWorkersPerCollection", "0", path],
        vec![unreachable, "--archive", path],
    ] {
        let ran = run(rrestore(), &arguments).await.expect(1);
        let messages = ran.messages();
        let failed = messages
            .iter()
            .position(|line| line.starts_with("Failed: "));
        let last = messages.iter().position(|line| {
            *line == "0 document(s) restored successfully. 0 document(s) failed to restore."
        });
        assert!(failed.is_some() && failed < last, "{}", ran.stderr);
        assert_eq!(last, Some(messages.len() - 1), "{}", ran.stderr);
    }
    let ran = run(rrestore(), ["--no-such-option"]).await.expect(1);
    assert!(!ran.stderr.contains("document(s)"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_file_that_may_not_become_so_large_is_a_failure_with_a_reason() {
    let source = ReplicaSet::start().await;
    dataset::orders(10_000).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    let mut limited = Command::new("sh");
    let binary = env!("CARGO_BIN_EXE_rdump");
    limited.args(["-c", r#"ulimit -f 100; exec "$0" "$@""#, binary]);
    let uri = source.uri();
    let arguments = ["--uri", &uri, "-o", folder.path().to_str().unwrap()];
    let ran = run(limited, arguments).await.expect(1).says("Failed: ");
    assert!(ran.stderr.contains("File too large"), "{}", ran.stderr);
    assert!(!folder.path().join("rdump.manifest.json").exists());
}

#[tokio::test]
async fn what_an_older_dump_left_is_told_by_the_next_dump_and_by_a_restore() {
    let source = ReplicaSet::start().await;
    dataset::orders(10).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    dump(&source, folder.path(), &["-d", "shop"])
        .await
        .expect(0);
    let db = source.client().database("shop");
    let orders = db.collection::<bson::Document>("orders");
    orders.drop().await.unwrap();
    let other = db.collection("other");
    other.insert_one(doc! { "_id": 1 }).await.unwrap();

    let left = format!(
        "WARNING: files in {} are no part of the dump: shop/orders.bson, ",
        folder.path().display()
    );
    let again = async |more: &[&str]| {
        let arguments = [&["-d", "shop", "--quiet"], more].concat();
        dump(&source, folder.path(), &arguments).await
    };
    again(&[]).await.expect(0).says(&left);
    again(&["--strict"]).await.expect(3).says(&left);

    let uri = source.uri();
    let arguments = [&uri, "--drop", folder.path().to_str().unwrap()];
    let unlisted = "WARNING: shop.orders: restored from files that the manifest does not list";
    let ran = run(rrestore(), arguments).await.expect(1).says(unlisted);
    let last = "11 document(s) restored successfully. 0 document(s) failed to restore.";
    assert_eq!(*ran.messages().last().unwrap(), last);
    let strict = arguments.iter().copied().chain(["--strict"]);
    run(rrestore(), strict).await.expect(3).says(unlisted);
}
