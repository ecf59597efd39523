use std::{env, fs::File, path::Path, time::Duration};

use rdump_testkit::{
    Fingerprint, FingerprintOptions, ReplicaSet, damage::SmallDisk, dataset,
    fingerprint::assert_same,
};
use tokio::time::timeout;

use crate::program::{Ran, dump, rdump, rrestore, run};

async fn verify(folder: &Path) -> Ran {
    run(rdump(), ["verify".as_ref(), folder.as_os_str()]).await
}

/// `RDUMP_KILLS` says how often; the default is for every day.
#[tokio::test]
async fn a_dump_that_is_killed_never_verifies_as_complete() {
    let kills: u32 = env::var("RDUMP_KILLS").map_or(20, |kills| kills.parse().unwrap());
    let source = ReplicaSet::start().await;
    dataset::seed_bulk(&source.client(), "shop.a", dataset::Shape::Medium, 3_000, 1).await;
    dataset::orders(3_000).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    // About a second's work, so that the kills fall everywhere in it, and a few after its end.
    let flags = ["--limit-rate", "6MiB", "--compress", "zstd"];
    // 3000 and 3000 documents, and the one in admin.system.version.
    let whole = "6001 documents)";
    let (mut killed, mut incomplete, mut unfinished, mut finished) = (0, 0, 0, 0);
    for number in 0..kills {
        // Every dump but the first goes over what an earlier one left.
        let died = Duration::from_millis(u64::from(number) * 1_700 / u64::from(kills) + 5);
        match timeout(died, dump(&source, folder.path(), &flags)).await {
            Ok(ran) => {
                ran.expect(0);
                verify(folder.path()).await.expect(0);
                finished += 1;
            }
            // Dropping the future sent SIGKILL; once the process is dead, its lock on the folder is gone.
            Err(_) => {
                File::open(folder.path()).unwrap().lock().unwrap();
                let ran = verify(folder.path()).await;
                // Killed between its commit and its exit, a dump is complete: then all of it must be there.
                match ran.code {
                    Some(0) => assert!(ran.stderr.contains(whole), "{}", ran.stderr),
                    // An older dump that is whole, and a file that was begun beside it.
                    Some(4) => incomplete += 1,
                    _ => {
                        ran.expect(1);
                        incomplete += 1;
                        let ran = run(rrestore(), [folder.path()]).await.expect(1);
                        unfinished += u32::from(ran.stderr.contains("did not finish"));
                    }
                }
                killed += 1;
            }
        }
    }
    assert!(
        incomplete > 0,
        "of {killed} killed dumps, all were complete; {finished} finished"
    );
    assert!(unfinished > 0, "of {incomplete}, no folder had a marker");
    dump(&source, folder.path(), &flags).await.expect(0);
    verify(folder.path()).await.expect(0);
}

/// `RDUMP_KILLS` says how often; the default is for every day.
#[tokio::test]
async fn a_backup_that_is_killed_leaves_no_snapshot_and_can_be_gone_on_with() {
    let kills: u32 = env::var("RDUMP_KILLS").map_or(8, |kills| kills.parse().unwrap());
    let (source, target) = tokio::join!(ReplicaSet::start(), ReplicaSet::start());
    for number in 0..8 {
        let name = format!("shop.c{number}");
        dataset::seed_bulk(&source.client(), &name, dataset::Shape::Medium, 700, number).await;
    }
    dataset::orders(700).seed(&source.client()).await;
    let options = FingerprintOptions::new();
    let expected = Fingerprint::of(&source.client(), &options).await;
    let (from, to) = (source.uri(), target.uri());
    let (mut killed, mut gone_on) = (0, 0);
    for number in 0..kills {
        let folder = tempfile::tempdir().unwrap();
        let on = async |arguments: &[&str]| {
            let mut rdump = rdump();
            rdump.env("RDUMP_REPO", folder.path());
            run(rdump, arguments).await
        };
        // About three seconds' work, so that the kills fall everywhere in it, and a few after its end.
        let slowly = ["backup", &from, "-j", "1", "--limit-rate", "2500KiB"];
        let died = Duration::from_millis(u64::from(number) * 3_500 / u64::from(kills) + 5);
        if timeout(died, on(&slowly)).await.is_err() {
            killed += 1;
            // Dropping the future sent SIGKILL, and here it has begun to work.
            if folder.path().join("repository.json").exists() {
                let ran = on(&["list"]).await.expect(0);
                let whole = ran.stdout.lines().count() - 1;
                // Between its manifest and its exit it may be complete.
                assert!(whole == 0 || on(&["verify"]).await.code == Some(0));
            }
        }
        let ran = on(&["backup", &from, "--resume"]).await.expect(0);
        let messages = ran.messages().join("\n");
        let kept = messages.contains("are stored already");
        gone_on += u32::from(kept && !messages.contains(" 0 namespaces are stored already"));
        let ran = on(&["verify", "--all", "--deep"]).await.expect(0);
        assert!(ran.stderr.contains(" is whole ("), "{}", ran.stderr);
        run(
            rrestore(),
            ["--uri", &to, "--drop", folder.path().to_str().unwrap()],
        )
        .await
        .expect(0);
        assert_same(
            &expected,
            &Fingerprint::of(&target.client(), &options).await,
        );
    }
    assert!(
        killed > 0 && gone_on > 0,
        "{killed} killed, {gone_on} gone on with"
    );
}

#[tokio::test]
async fn a_full_disk_fails_the_dump_and_says_so() {
    let source = ReplicaSet::start().await;
    dataset::seed_bulk(&source.client(), "shop.a", dataset::Shape::Medium, 6_000, 1).await;
    let disk = SmallDisk::mount(4 << 20);
    let out = disk.path().join("dump");
    let ran = dump(&source, &out, &["--compress", "none"]).await.expect(1);
    assert!(ran.stderr.contains("no space left"), "{}", ran.stderr);
    assert!(matches!(verify(&out).await.code, Some(1 | 4)));
}
