use std::fs;

use bson::doc;
use rdump_testkit::ReplicaSet;

use crate::program::{rdump, rrestore, run};

#[tokio::test]
async fn a_wrong_command_line_ends_with_1_or_in_a_subcommand_with_2() {
    run(rdump(), ["--nonsense"])
        .await
        .expect(1)
        .says("error parsing command line options: unknown option `nonsense`")
        .says("try 'rdump --help' for more information");
    run(rrestore(), ["a", "b"])
        .await
        .expect(1)
        .says("error parsing command line options: error parsing positional arguments: ")
        .says("try 'rrestore --help' for more information");
    run(rrestore(), ["--writeConcern", "{w: -1}"])
        .await
        .expect(1)
        .says("error parsing command line options: error parsing write concern: invalid 'w' argument: -1");
    run(rdump(), ["verify"])
        .await
        .expect(2)
        .says("error parsing command line options: ");
    run(rdump(), ["verify", "x", "--nonsense"])
        .await
        .expect(2)
        .says("error parsing command line options: ");
}

#[tokio::test]
async fn an_invalid_verbosity_ends_with_255_as_mongodump_does() {
    for argument in ["--verbose=loud", "-vx"] {
        let ran = run(rdump(), [argument, "--help"]).await.expect(255);
        assert_eq!(ran.messages(), ["Invalid verbosity value given"]);
        assert_eq!(ran.stdout, "");
    }
    run(rdump(), ["verify", "-vx", "x"]).await.expect(2);
}

#[tokio::test]
async fn help_and_version_come_only_where_the_rest_of_the_line_makes_sense() {
    for wrong in [
        &["folder"][..],
        &["--nonsense"],
        &["mongodb://a", "mongodb://b"],
        &["mongodb://a/x", "-d", "y"],
        &["--config", "/nonexistent"],
        &["--port", "x"],
    ] {
        for asked in ["--help", "--version"] {
            let ran = run(rdump(), wrong.iter().chain(&[asked])).await.expect(1);
            let ran = ran.says("error parsing command line options: ");
            assert_eq!(ran.stdout, "", "{wrong:?}");
        }
    }
    // What cannot be done, or needs a password, makes sense nevertheless.
    for line in [&["-u", "somebody"][..], &["-c", "x"], &["--sslFIPSMode"]] {
        let ran = run(rdump(), line.iter().chain(&["--version"]))
            .await
            .expect(0);
        assert!(ran.stdout.starts_with("rdump version: "), "{}", ran.stdout);
        assert_eq!(ran.stderr, "");
    }
}

#[tokio::test]
async fn options_that_do_not_go_together_are_told_as_the_reference_tools_tell_it() {
    run(rdump(), ["-c", "x"])
        .await
        .expect(1)
        .says("Failed: bad option: cannot dump a collection without a specified database");
    let ran = run(rrestore(), ["-c", "x"]).await.expect(1);
    ran.says("Failed: cannot restore a collection without a specified database")
        .says("0 document(s) restored successfully. 0 document(s) failed to restore.");
}

#[tokio::test]
async fn a_connection_string_and_the_options_must_agree() {
    let start = "error parsing command line options: Invalid Options: Cannot specify different ";
    let different = " in connection URI and command-line option ";
    for (uri, options, expected) in [
        (
            "mongodb://a:1",
            &["--host", "b:1"][..],
            "host{}`a:1` was specified in the URI and `b:1` was specified in the --host option",
        ),
        (
            "mongodb://a:1,b:2",
            &["--port", "1"],
            "port{}`a:1,b:2` was specified in the URI and `1` was specified in the --port option",
        ),
        (
            "mongodb://a/shop",
            &["-d", "other"],
            "database{}`shop` was specified in the URI and `other` was specified in the --db option",
        ),
        (
            "mongodb://a/?tls=false",
            &["--ssl"],
            "ssl{}`false` was specified in the URI and `true` was specified in the --ssl option",
        ),
    ] {
        let line: Vec<&str> = options.iter().copied().chain([uri]).collect();
        for program in [rdump(), rrestore()] {
            let ran = run(program, &line).await.expect(1);
            ran.says(&format!("{start}{}", expected.replace("{}", different)))
                .says("try 'r");
        }
    }
    let line = ["mongodb://u:canary7@a", "-p", "canary8"];
    let ran = run(rdump(), line).await.expect(1);
    let ran = ran.says(&format!("{start}password{}", different.trim_end()));
    assert!(!ran.stderr.contains("canary"), "{}", ran.stderr);
}

#[tokio::test]
async fn the_database_of_the_connection_string_is_the_one_that_is_dumped() {
    let source = ReplicaSet::start().await;
    let client = source.client();
    for db in ["shop", "other"] {
        let collection = client.database(db).collection("c");
        collection.insert_one(doc! { "_id": 1 }).await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let uri = format!("mongodb://{}/shop?replicaSet=rs0", source.hosts()[0]);
    let arguments = [&uri, "-o", folder.path().to_str().unwrap()];
    run(rdump(), arguments).await.expect(0);
    assert!(folder.path().join("shop/c.bson").exists());
    assert!(!folder.path().join("other").exists());
}

#[tokio::test]
async fn a_wrong_config_is_named_with_its_line_and_not_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    fs::write(&path, "password: canary7\nhost: canary8\n").unwrap();
    let path = path.to_str().unwrap();
    let ran = run(rdump(), ["--config", path]).await.expect(1);
    let ran = ran.says(&format!(
        "error parsing command line options: error parsing config file {path}: line 2: it has another key than "
    ));
    assert!(!ran.stderr.contains("canary"), "{}", ran.stderr);

    let missing = folder.path().join("missing");
    let ran = run(rdump(), ["--config", missing.to_str().unwrap()]).await;
    ran.expect(1)
        .says("error parsing command line options: error opening file with --config: ");
}
