use std::{env, fs::File, path::Path, time::Duration};

use rdump_testkit::{ReplicaSet, damage::SmallDisk, dataset};
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
