use std::{
    env,
    fs::File,
    path::Path,
    time::{Duration, Instant},
};

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

/// `RDUMP_KILLS` says how often; the default is for every day.
#[tokio::test]
async fn a_restore_that_is_killed_can_be_gone_on_with_until_it_is_done() {
    let kills: u32 = env::var("RDUMP_KILLS").map_or(8, |kills| kills.parse().unwrap());
    let (source, target) = tokio::join!(ReplicaSet::start(), ReplicaSet::start());
    for data in dataset::all() {
        data.seed(&source.client()).await;
    }
    for number in 0..3 {
        let name = format!("bulk.c{number}");
        dataset::seed_bulk(
            &source.client(),
            &name,
            dataset::Shape::Small,
            4_000,
            number,
        )
        .await;
    }
    let compared = FingerprintOptions::new().ignore_index_version(true);
    let expected = Fingerprint::of(&source.client(), &compared).await;
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().to_str().unwrap();
    run(rdump(), ["backup", &source.uri(), "--repo", repository])
        .await
        .expect(0);
    let (client, uri) = (target.client(), target.uri());
    // So slow that what it notes is not all noted at its end.
    let flags = [
        "--bypassDocumentValidation",
        "--batchSize",
        "20",
        "--strict",
    ];
    let flags = ["--uri", &uri, repository].into_iter().chain(flags);
    let restore =
        async |more: &[&str]| run(rrestore(), flags.clone().chain(more.iter().copied())).await;
    let started = Instant::now();
    let ran = restore(&[]).await.expect(0);
    let (whole, restored) = (
        started.elapsed(),
        ran.messages().last().unwrap().to_string(),
    );
    let names = async || client.list_database_names().await.unwrap();
    let own = ["admin", "config", "local"];
    let (mut resumes, mut kept) = (0, 0);
    for number in 0..kills {
        // Every other goes over what was there, and the others into nothing.
        let drop: &[&str] = match number % 2 {
            0 => &["--drop"],
            _ => &[],
        };
        for name in names().await {
            if drop.is_empty() && !own.contains(&name.as_str()) {
                client.database(&name).drop().await.unwrap();
            }
        }
        // Everywhere in it, and a few after its end; what goes on with it is killed later and later.
        let mut died = whole * (number * 11 + 3) / (kills * 10);
        let mut flag: &[&str] = &[];
        loop {
            let ran = timeout(died, restore(&[drop, flag].concat())).await;
            died += whole / 7;
            let is_unfinished = names().await.iter().any(|name| name == "__rdump_restores");
            match ran {
                // Its ledger was being dropped when it was killed.
                Ok(ran) if ran.stderr.contains("there is nothing to go on with") => break,
                Ok(ran) => {
                    let ran = ran.expect(0);
                    assert!(!is_unfinished);
                    // All of it is counted, and not what the last run did alone.
                    let messages = ran.messages();
                    assert!(!drop.is_empty() || messages.last() == Some(&&*restored));
                    let went_on = messages.iter().find(|it| it.starts_with("going on with"));
                    kept += u32::from(went_on.is_some_and(|it| !it.contains(": 0 documents")));
                    break;
                }
                // Before it had begun, or after its end.
                Err(_) if !is_unfinished => {
                    let is_new = names().await.len() == own.len();
                    if !is_new && drop.is_empty() {
                        break;
                    }
                    flag = &[];
                }
                Err(_) => (flag, resumes) = (&["--resume"], resumes + 1),
            }
        }
        assert_same(&expected, &Fingerprint::of(&client, &compared).await);
    }
    assert!(
        resumes > 0 && kept > 0,
        "{resumes} gone on with, {kept} kept"
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
