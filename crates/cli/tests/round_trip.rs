use std::fs;

use rdump_testkit::{
    Fingerprint, FingerprintOptions, ReplicaSet, Standalone, dataset, fingerprint::assert_same,
};

use crate::program::{dump, rdump, rrestore, run};

#[tokio::test]
async fn what_rdump_dumps_rrestore_restores() {
    let source = ReplicaSet::start().await;
    dataset::orders(1_000).seed(&source.client()).await;
    let expected = Fingerprint::of(&source.client(), &FingerprintOptions::new()).await;
    let folder = tempfile::tempdir().unwrap();
    for compression in ["none", "gzip", "zstd:3"] {
        let out = folder.path().join(compression);
        let dumped = dump(&source, &out, &["--compress", compression])
            .await
            .expect(0);
        assert_eq!(dumped.stdout, "");
        let dumped = dumped.says(&format!(
            "writing shop.orders to {}/shop/orders.bson",
            out.display()
        ));
        dumped
            .says("done dumping shop.orders (1000 documents)")
            .says("dumped 1001 documents of 2 namespaces, ");

        let target = ReplicaSet::start().await;
        let restored = run(rrestore(), [target.uri(), out.to_str().unwrap().to_owned()])
            .await
            .expect(0);
        let restored = restored.says("finished restoring shop.orders (1000 documents, 0 failures)");
        let last = *restored.messages().last().unwrap();
        assert_eq!(
            last,
            "1000 document(s) restored successfully. 0 document(s) failed to restore."
        );
        assert_same(
            &expected,
            &Fingerprint::of(&target.client(), &FingerprintOptions::new()).await,
        );
    }
}

#[tokio::test]
async fn the_built_in_roles_for_backups_are_enough() {
    let source = Standalone::builder().auth().start().await;
    for data in [dataset::orders(100), dataset::indexes()] {
        data.seed(&source.client()).await;
    }
    source.create_user("out", "o", &[("backup", "admin")]).await;
    source
        .create_user("back", "b", &[("restore", "admin")])
        .await;
    let uri = |user: &str| format!("mongodb://{user}@{}/?authSource=admin", source.hosts()[0]);
    let options = FingerprintOptions::new();
    let expected = Fingerprint::of(&source.client(), &options).await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    run(rdump(), ["--uri", &uri("out:o"), "-o", folder])
        .await
        .expect(0);
    run(
        rrestore(),
        [
            "--uri",
            &uri("back:b"),
            "--drop",
            "--keepIndexVersion",
            folder,
        ],
    )
    .await
    .expect(0)
    .says(
        "shop.orders: its documents could not be compared with what was restored: not authorized",
    );
    assert_same(
        &expected,
        &Fingerprint::of(&source.client(), &options).await,
    );
}

#[tokio::test]
async fn a_query_and_a_database_choose_what_is_dumped() {
    let source = ReplicaSet::start().await;
    dataset::orders(100).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "-d",
        "shop",
        "-c",
        "orders",
        "-q",
        r#"{"number": {"$lt": 10}}"#,
    ];
    dump(&source, folder.path(), &arguments)
        .await
        .expect(0)
        .says("done dumping shop.orders (10 documents)");
}

#[tokio::test]
async fn the_environment_may_hold_the_connection_string() {
    let source = ReplicaSet::start().await;
    dataset::orders(10).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = rdump();
    command
        .env("RDUMP_URI", source.uri())
        .current_dir(folder.path());
    run(command, ["-d", "shop"])
        .await
        .expect(0)
        .says("writing shop.orders to dump/shop/orders.bson");
    assert!(folder.path().join("dump/shop/orders.bson").exists());
}

#[tokio::test]
async fn a_dry_run_prints_the_plan_and_changes_nothing() {
    let source = ReplicaSet::start().await;
    dataset::orders(10).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("dump");
    let planned = dump(&source, &out, &["--dryRun", "-d", "shop"])
        .await
        .expect(0);
    assert!(planned.stdout.contains("shop.orders"), "{}", planned.stdout);
    assert!(!out.exists());

    dump(&source, &out, &["-d", "shop"]).await.expect(0);
    let target = ReplicaSet::start().await;
    let arguments = [
        target.uri(),
        out.to_str().unwrap().to_owned(),
        "--dryRun".to_owned(),
    ];
    let planned = run(rrestore(), arguments)
        .await
        .expect(0)
        .says("dry run completed");
    assert!(planned.stdout.contains("shop.orders"), "{}", planned.stdout);
    let left = target.client().list_database_names().await.unwrap();
    assert!(!left.contains(&"shop".to_owned()), "{left:?}");
}

#[tokio::test]
async fn quiet_says_nothing_unless_it_fails() {
    let source = ReplicaSet::start().await;
    dataset::orders(10).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    let ran = dump(&source, folder.path(), &["--quiet"]).await.expect(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    let again = [
        source.uri(),
        folder.path().to_str().unwrap().to_owned(),
        "--quiet".to_owned(),
    ];
    let ran = run(rrestore(), again).await.expect(0);
    assert_eq!(ran.messages().len(), 1, "{}", ran.stderr);
    ran.says("WARNING: shop.orders: the target refused 10 documents: ");
    let ran = run(rrestore(), ["--quiet", "--dir", "/nonexistent"])
        .await
        .expect(1);
    assert_eq!(
        ran.stderr
            .lines()
            .filter(|line| line.contains("Failed: "))
            .count(),
        1,
        "{}",
        ran.stderr
    );
}

#[tokio::test]
async fn tls_and_passwords_with_odd_characters_work() {
    let source = ReplicaSet::builder().auth().tls().start().await;
    dataset::orders(10).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("by-uri");
    let ran = run(
        rdump(),
        [
            "--uri",
            &source.root_uri(),
            "-d",
            "shop",
            "-o",
            out.to_str().unwrap(),
        ],
    )
    .await;
    let ran = ran
        .expect(0)
        .says("WARNING: On some systems, a password provided directly in a connection string");
    assert!(
        !ran.stderr
            .contains(rdump_testkit::deployment::ROOT_PASSWORD)
    );

    let out = folder.path().join("by-flags");
    let ca_file = source.ca_file().to_str().unwrap();
    let password = rdump_testkit::deployment::ROOT_PASSWORD;
    let host = format!("rs0/{}", source.hosts()[0]);
    let arguments = [
        "-h",
        &host,
        "--ssl",
        "--sslCAFile",
        ca_file,
        "-u",
        "root",
        "-p",
        password,
    ];
    let more = [
        "--authenticationDatabase",
        "admin",
        "-d",
        "shop",
        "-o",
        out.to_str().unwrap(),
    ];
    run(rdump(), arguments.iter().chain(&more))
        .await
        .expect(0)
        .says("done dumping shop.orders (10 documents)");
    let (one, other) = (
        folder.path().join("by-uri/shop/orders.bson"),
        out.join("shop/orders.bson"),
    );
    assert_eq!(fs::read(one).unwrap(), fs::read(other).unwrap());
}

#[tokio::test]
async fn a_certificate_is_enough_to_log_in_and_messages_may_be_compressed() {
    let source = ReplicaSet::builder().auth().tls().start().await;
    dataset::orders(10).seed(&source.client()).await;
    source.create_certificate_user(&[("root", "admin")]).await;
    let folder = tempfile::tempdir().unwrap();
    let (ca_file, key_file) = (
        source.ca_file().to_str().unwrap(),
        source.client_pem().to_str().unwrap(),
    );
    let arguments = [
        "-h",
        &source.hosts()[0],
        "--sslCAFile",
        ca_file,
        "--sslPEMKeyFile",
        key_file,
    ];
    let more = [
        "--authenticationMechanism",
        "MONGODB-X509",
        "-d",
        "shop",
        "-o",
        folder.path().to_str().unwrap(),
    ];
    for compressor in ["zstd", "zlib", "snappy"] {
        let compressors = ["--compressors", compressor];
        let ran = run(rdump(), arguments.iter().chain(&more).chain(&compressors))
            .await
            .expect(0);
        ran.says("done dumping shop.orders (10 documents)");
    }

    // Without the authority, the server's certificate is one of a stranger.
    let arguments = [
        "-h",
        &source.hosts()[0],
        "--ssl",
        "--serverSelectionTimeout",
        "1",
    ];
    let ran = run(rdump(), arguments)
        .await
        .expect(1)
        .says("Failed: no server could be reached at 127.0.0.1:");
    assert!(
        ran.stderr.contains("invalid peer certificate"),
        "{}",
        ran.stderr
    );
}

/// The version of users and roles is looked for whatever is selected.
#[tokio::test]
async fn users_alone_are_restored_from_a_folder() {
    let (source, target) = tokio::join!(ReplicaSet::start(), ReplicaSet::start());
    dataset::users_and_roles().seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    run(rdump(), ["--uri", &source.uri(), "--out", path])
        .await
        .expect(0);
    for selection in [
        ["--nsInclude", "admin.system.users"],
        ["--nsExclude", "admin.system.version"],
    ] {
        let arguments = [
            "--uri",
            &target.uri(),
            selection[0],
            selection[1],
            "--drop",
            path,
        ];
        run(rrestore(), arguments).await.expect(0);
    }
}
