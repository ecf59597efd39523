//! Archives: files and pipes between the binaries.

use std::{
    fs,
    process::{Command, Stdio},
};

use rdump_testkit::{
    Fingerprint, FingerprintOptions, ReplicaSet, dataset, fingerprint::assert_same,
};

use crate::program::{rdump, rrestore, run};

async fn fingerprint(of: &ReplicaSet) -> Fingerprint {
    Fingerprint::of(&of.client(), &FingerprintOptions::new()).await
}

#[tokio::test]
async fn an_archive_goes_through_a_pipe_and_is_renamed_on_the_way() {
    // integration/dumprestore/roundtrip_test.go.
    let deployment = ReplicaSet::start().await;
    dataset::orders(5_000).seed(&deployment.client()).await;
    let uri = deployment.uri();
    let piped = tokio::task::spawn_blocking(move || {
        let mut dump = Command::new(env!("CARGO_BIN_EXE_rdump"))
            .args(["--uri", &uri, "--archive", "-d", "shop"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let archive = dump.stdout.take().unwrap();
        let restored = Command::new(env!("CARGO_BIN_EXE_rrestore"))
            .args([
                "--uri",
                &uri,
                "--archive",
                "--nsFrom",
                "shop.*",
                "--nsTo",
                "copy.*",
            ])
            .stdin(archive)
            .output()
            .unwrap();
        (dump.wait_with_output().unwrap(), restored)
    });
    let (dumped, restored) = piped.await.unwrap();
    assert!(dumped.status.success(), "{dumped:?}");
    assert!(restored.status.success(), "{restored:?}");
    let last = String::from_utf8(restored.stderr).unwrap();
    assert!(
        last.ends_with(
            "5000 document(s) restored successfully. 0 document(s) failed to restore.\n"
        ),
        "{last}"
    );
    let client = deployment.client();
    for db in ["shop", "copy"] {
        let orders = client.database(db).collection::<bson::Document>("orders");
        assert_eq!(orders.count_documents(bson::doc! {}).await.unwrap(), 5_000);
    }
}

#[tokio::test]
async fn an_archive_file_is_restored_whatever_it_is_compressed_with() {
    let source = ReplicaSet::start().await;
    dataset::orders(1_000).seed(&source.client()).await;
    let expected = fingerprint(&source).await;
    let folder = tempfile::tempdir().unwrap();
    for (compression, start) in [
        ("none", [0x6D, 0xE2]),
        ("gzip", [0x1F, 0x8B]),
        ("zstd", [0x28, 0xB5]),
    ] {
        let path = folder.path().join(compression);
        let archive = format!("--archive={}", path.display());
        let uri = source.uri();
        let arguments = ["--uri", &uri, "--compress", compression, &archive];
        let dumped = run(rdump(), arguments).await.expect(0);
        assert_eq!(dumped.stdout, "");
        assert!(fs::read(&path).unwrap().starts_with(&start));
        let target = ReplicaSet::start().await;
        let uri = target.uri();
        run(rrestore(), ["--uri", &uri, &archive])
            .await
            .expect(0)
            .says("1000 document(s) restored successfully. 0 document(s) failed to restore.");
        assert_same(&expected, &fingerprint(&target).await);
    }
    let cut = folder.path().join("cut");
    let whole = fs::read(folder.path().join("none")).unwrap();
    fs::write(&cut, &whole[..whole.len() - 1]).unwrap();
    let uri = source.uri();
    let archive = format!("--archive={}", cut.display());
    run(rrestore(), ["--uri", &uri, "--drop", &archive])
        .await
        .expect(1)
        .says(&format!(
            "Failed: archive {} is damaged or cut short",
            cut.display()
        ));
}
