//! The oplog: captured by one binary, replayed by the other.

use rdump_testkit::{
    Fingerprint, FingerprintOptions, ReplicaSet, dataset, fingerprint::assert_same,
};

use crate::program::{rdump, rrestore, run};

#[tokio::test]
async fn an_oplog_is_captured_and_replayed_and_told_of() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    dataset::orders(500).seed(&source.client()).await;
    let expected = Fingerprint::of(&source.client(), &FingerprintOptions::new()).await;
    let folder = tempfile::tempdir().unwrap();
    for (compression, oplog, archive) in [
        ("none", Some("oplog.bson"), false),
        ("gzip", Some("oplog.bson"), false),
        ("zstd", None, true),
    ] {
        let path = folder.path().join(compression);
        let place = match archive {
            true => format!("--archive={}", path.display()),
            false => path.display().to_string(),
        };
        let uri = source.uri();
        let mut arguments = vec!["--uri", &uri, "--oplog", "--compress", compression];
        arguments.extend(
            (!archive)
                .then_some("-o")
                .into_iter()
                .chain([place.as_str()]),
        );
        let dumped = run(rdump(), arguments).await.expect(0);
        assert!(
            dumped.stderr.contains("writing captured oplog to ")
                && dumped.stderr.contains(" oplog entries\n"),
            "{}",
            dumped.stderr
        );
        assert!(oplog.is_none_or(|oplog| path.join(oplog).exists()));

        let uri = target.uri();
        let arguments = ["--uri", &uri, "--drop", "--oplogReplay", &place];
        run(rrestore(), arguments)
            .await
            .expect(0)
            .says("replaying oplog")
            .says("applied 0 oplog entries")
            .says("500 document(s) restored successfully. 0 document(s) failed to restore.");
        let found = Fingerprint::of(&target.client(), &FingerprintOptions::new()).await;
        assert_same(&expected, &found);
    }
    let uri = target.uri();
    let whole = folder.path().join("none");
    let without = whole.display().to_string();
    std::fs::remove_file(whole.join("oplog.bson")).unwrap();
    std::fs::remove_file(whole.join("rdump.manifest.json")).unwrap();
    run(rrestore(), ["--uri", &uri, "--oplogReplay", &without])
        .await
        .expect(1)
        .says("Failed: no oplog file to replay");
    // With an oplog from elsewhere there need not be anything else.
    let (empty, oplog) = (folder.path().join("empty"), folder.path().join("elsewhere"));
    std::fs::create_dir(&empty).unwrap();
    std::fs::write(&oplog, "").unwrap();
    let (empty, oplog) = (empty.display().to_string(), oplog.display().to_string());
    let arguments = [
        "--uri",
        &uri,
        "--oplogReplay",
        "--oplogFile",
        &oplog,
        &empty,
    ];
    run(rrestore(), arguments)
        .await
        .expect(0)
        .says("applied 0 oplog entries");
    run(rrestore(), ["--uri", &uri, &empty])
        .await
        .expect(1)
        .says(&format!("Failed: {empty} holds no dump"));
}

#[tokio::test]
async fn what_an_oplog_has_that_nobody_knows_is_named_or_left_out_and_a_problem() {
    let target = ReplicaSet::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (empty, oplog) = (folder.path().join("empty"), folder.path().join("oplog"));
    std::fs::create_dir(&empty).unwrap();
    let command = |increment, object: bson::RawDocumentBuf| {
        let ts = bson::Timestamp { time: 7, increment };
        bson::rawdoc! { "ts": ts, "op": "c", "ns": "shop.$cmd", "o": object }.into_bytes()
    };
    let entries = [
        command(1, bson::rawdoc! { "riddle": "orders" }),
        command(2, bson::rawdoc! { "create": "orders" }),
    ];
    std::fs::write(&oplog, entries.concat()).unwrap();
    let (empty, oplog) = (empty.display().to_string(), oplog.display().to_string());
    let uri = target.uri();
    let replay = async |more: &[&str]| {
        let replay = ["--uri", &uri, "--oplogReplay", "--oplogFile", &oplog];
        run(rrestore(), replay.iter().chain(more).chain([&&*empty])).await
    };
    let unknown = "unknown oplog command name \"riddle\" at 7:1 on shop.orders";
    let skip = "--skip-unknown-oplog-entries";
    let flags: [(&[&str], u8); 3] = [(&[], 1), (&[skip], 1), (&[skip, "--strict"], 3)];
    for (flags, code) in flags {
        let ran = replay(flags).await.expect(code.into());
        assert!(ran.stderr.contains(unknown), "{}", ran.stderr);
        let is_done = ran.stderr.contains("applied 1 oplog entries");
        assert_eq!(is_done, !flags.is_empty(), "{}", ran.stderr);
        assert_eq!(ran.stderr.contains(skip), flags.is_empty());
    }
    let shop = target.client().database("shop");
    let names = shop.list_collection_names().await.unwrap();
    assert_eq!(names, ["orders"]);
}
