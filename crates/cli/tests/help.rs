use crate::program::{rdump, rrestore, run};

#[tokio::test]
async fn help_lists_every_option_by_group() {
    let help = run(rdump(), ["--help"]).await.expect(0);
    assert_eq!(help.stderr, "");
    insta::assert_snapshot!("rdump_help", help.stdout);
    let help = run(rrestore(), ["--help"]).await.expect(0);
    insta::assert_snapshot!("rrestore_help", help.stdout);
    let help = run(rrestore(), ["drill", "--help"]).await.expect(0);
    insta::assert_snapshot!("rrestore_drill_help", help.stdout);
    for command in [
        "audit",
        "backup",
        "bundle",
        "compare",
        "copy",
        "capture",
        "doctor",
        "export-folder",
        "import-folder",
        "init",
        "list",
        "notify-test",
        "oplog-export",
        "plan",
        "prune",
        "rekey",
        "schedule",
        "show",
        "status",
        "thaw",
        "tier",
        "unbundle",
        "verify",
    ] {
        let help = run(rdump(), [command, "--help"]).await.expect(0);
        insta::assert_snapshot!(
            format!("rdump_{}_help", command.replace('-', "_")),
            help.stdout
        );
    }
}

#[tokio::test]
async fn what_is_not_supported_is_refused_by_name() {
    for program in [rdump(), rrestore()] {
        let ran = run(program, ["--sslFIPSMode"])
            .await
            .expect(1)
            .says("Failed: --sslFIPSMode: FIPS mode is not supported");
        assert_eq!(ran.stdout, "");
    }
}

#[tokio::test]
async fn log_lines_start_with_the_time_as_mongodumps_do() {
    let ran = run(rdump(), ["--sslFIPSMode"]).await.expect(1);
    let (time, _) = ran.stderr.lines().next().unwrap().split_once('\t').unwrap();
    assert_eq!(time.len(), "2006-01-02T15:04:05.000+0000".len(), "{time}");
    assert!(
        time.ends_with("+0000") && time.as_bytes()[10] == b'T',
        "{time}"
    );
}
