//! Snapshots as one stream, through files, pipes and object stores.

use std::{fs, path::Path, process::Stdio};

use rdump_testkit::{
    Deployment, Fingerprint, FingerprintOptions, ReplicaSet, SeaweedFs, dataset,
    fingerprint::assert_same,
    wait::{PATIENCE, wait_for},
};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::{
    object_store::with_keys,
    program::{Ran, rdump, rrestore, run},
    repository::{backup, flip_a_data_object, json, line, on},
};

/// A repository with one snapshot.
struct Made {
    folder: TempDir,
    source: ReplicaSet,
    repository: String,
    id: String,
}

impl Made {
    async fn new() -> Self {
        let (folder, source) = (
            tempfile::tempdir().expect("a folder"),
            ReplicaSet::start().await,
        );
        for data in [dataset::orders(800), dataset::views(), dataset::indexes()] {
            data.seed(&source.client()).await;
        }
        let repository = folder.path().join("repository");
        let repository = repository.to_str().expect("a plain path").to_owned();
        let ran = backup(&source, &repository, &["-j", "1"]).await.expect(0);
        let id = line(&ran).to_owned();
        Self {
            folder,
            source,
            repository,
            id,
        }
    }

    fn path(&self, name: &str) -> String {
        self.folder
            .path()
            .join(name)
            .to_str()
            .expect("a plain path")
            .to_owned()
    }

    /// Writes the snapshot to a file of this name.
    async fn bundle(&self, name: &str) -> String {
        let file = self.path(name);
        let ran = run(on(&self.repository), ["bundle", &self.id, &file]).await;
        let said = format!("snapshot {} is now in {file}: ", self.id);
        let ran = ran.expect(0).says(&said);
        assert_eq!(ran.stdout, "");
        file
    }

    async fn assert_same(&self, target: &Deployment) {
        let options = FingerprintOptions::new().ignore_index_version(true);
        let expected = Fingerprint::of(&self.source.client(), &options).await;
        assert_same(
            &expected,
            &Fingerprint::of(&target.client(), &options).await,
        );
    }
}

/// Runs a line of shell, in which `$rdump` and `$rrestore` are the binaries.
async fn shell(made: &Made, line: impl AsRef<str>) -> Ran {
    let mut shell = Command::new("bash");
    shell
        .args(["-o", "pipefail", "-c", line.as_ref()])
        .env("rdump", env!("CARGO_BIN_EXE_rdump"))
        .env("rrestore", env!("CARGO_BIN_EXE_rrestore"))
        .env("RDUMP_REPO", &made.repository)
        .env_remove("RDUMP_URI");
    run(shell, [""; 0]).await
}

#[tokio::test]
async fn a_snapshot_goes_through_a_pipe_from_a_repository_to_a_deployment() {
    let (made, target) = tokio::join!(Made::new(), ReplicaSet::start());
    let uri = target.uri();
    let from = format!("$rdump bundle latest - | $rrestore --uri '{uri}'");
    let ran = shell(&made, format!("{from} -")).await.expect(0);
    ran.says(&format!("snapshot {} in stdin is of ", made.id));
    made.assert_same(&target).await;

    let ran = shell(&made, format!("{from} -")).await.expect(1);
    let ran = ran.says("Failed: the target has documents in ");
    assert!(ran.stderr.contains("nothing was changed"), "{}", ran.stderr);
    shell(&made, format!("{from} --drop -")).await.expect(0);
    made.assert_same(&target).await;

    // Half of it, with each end still saying what is wrong.
    let half = "$rdump bundle latest | head -c 20000 | $rrestore --uri";
    let ran = shell(&made, format!("{half} '{uri}' --drop -")).await;
    assert_ne!(ran.code, Some(0));
    assert!(ran.stderr.contains("stdin is cut short"), "{}", ran.stderr);
    let ran = shell(&made, "$rdump bundle latest | head -c 1 > /dev/null").await;
    ran.expect(1)
        .says("Failed: could not write to stdout: Broken pipe");
}

#[tokio::test]
async fn a_bundle_in_a_file_is_restored_in_whole_and_in_part() {
    let (made, target) = tokio::join!(Made::new(), ReplicaSet::start());
    let (file, uri) = (made.bundle("snapshot.tar").await, target.uri());
    let restore = async |more: &[&str]| {
        let arguments = ["--uri", &uri, &file];
        run(rrestore(), arguments.iter().chain(more)).await
    };
    let ran = restore(&["--dryRun"]).await.expect(0);
    assert!(ran.stdout.contains("shop.orders"), "{}", ran.stdout);
    let names = target.client().list_database_names().await.unwrap();
    assert!(!names.contains(&"shop".to_owned()), "{names:?}");
    restore(&[
        "--ns-include",
        "shop.orders",
        "--nsFrom",
        "shop.*",
        "--nsTo",
        "new.*",
    ])
    .await
    .expect(0)
    .says("800 document(s) restored successfully.");
    restore(&["-d", "shop", "-c", "orders"])
        .await
        .expect(0)
        .says("800 document(s) restored successfully.");
    restore(&["-d", "none"])
        .await
        .expect(1)
        .says("Failed: the snapshot has no database none");
    restore(&["--nsInclude", "no.thing"])
        .await
        .expect(1)
        .says(&format!(
            "Failed: no namespace of snapshot {} fits the pattern",
            made.id
        ));
    restore(&["--snapshot", "latest"]).await.expect(1);
    target.client().database("new").drop().await.unwrap();
    restore(&["--drop"]).await.expect(0);
    made.assert_same(&target).await;

    let stdin = shell(
        &made,
        format!("$rrestore --uri '{uri}' -d shop --drop - < '{file}'"),
    );
    stdin.await.expect(0).says("snapshot ");
    made.assert_same(&target).await;
    let not_one = shell(&made, format!("$rrestore --uri '{uri}' - <<< 'hello'"));
    let said = "Failed: cannot restore from stdin without a specified collection";
    not_one.await.expect(1).says(said);
}

#[tokio::test]
async fn a_bundle_becomes_a_repository_or_a_snapshot_of_one() {
    let made = Made::new().await;
    let file = made.bundle("snapshot.tar").await;
    let (new, piped) = (made.path("new"), made.path("piped"));
    let ran = run(on(&new), ["unbundle", &file]).await.expect(0);
    assert_eq!(line(&ran), made.id);
    run(on(&new), ["verify", "--deep"]).await.expect(0);
    let ran = run(on(&new), ["unbundle", &file]).await.expect(1);
    let ran = ran.says(&format!("Failed: snapshot {} is in {new} already", made.id));
    assert_eq!(ran.stdout, "");

    let ran = shell(
        &made,
        format!("$rdump bundle latest | $rdump unbundle --json --repo '{piped}'"),
    );
    let printed = json(&ran.await.expect(0));
    assert_eq!(printed["snapshot"], *made.id);
    assert_eq!(printed["report"]["kept-bytes"], 0);

    // A repository of its own takes it in beside what it has.
    let other = made.path("other");
    backup(&made.source, &other, &["-d", "shop"])
        .await
        .expect(0);
    run(on(&other), ["unbundle", &file]).await.expect(0);
    run(on(&other), ["verify", "--all", "--deep"])
        .await
        .expect(0);
    let listed = json(&run(on(&other), ["list", "--json"]).await.expect(0));
    assert_eq!(listed["snapshots"].as_array().unwrap().len(), 2);

    let ran = run(on(&made.repository), ["bundle", "latest", &file])
        .await
        .expect(1);
    ran.says("Failed: snapshot.tar already lies in ");
    let second = made.path("second.tar");
    let ran = run(on(&other), ["bundle", &made.id, &second, "--json"])
        .await
        .expect(0);
    let length = fs::metadata(&second).unwrap().len();
    assert_eq!(json(&ran)["report"]["bundle-bytes"], length);
}

#[tokio::test]
async fn what_is_damaged_is_no_bundle_and_what_makes_no_sense_is_refused() {
    let made = Made::new().await;
    let file = made.path("snapshot.tar");
    for (arguments, code, said) in [
        (&["bundle"][..], 2, "error parsing"),
        (&["bundle", "latest", "--json"], 2, "error parsing"),
        (
            &["bundle", "latest", "mongodb://u:canary@h"],
            2,
            "error parsing",
        ),
        (
            &["bundle", "20200101T000000Z-00000000", &file],
            1,
            "Failed: there is no snapshot",
        ),
        (&["unbundle", "--repo", "x", "/none/at/all"], 1, "Failed: "),
        (&["unbundle", "mongodb://u:canary@h"], 2, "error parsing"),
    ] {
        let ran = run(on(&made.repository), arguments).await.expect(code);
        assert!(!ran.stderr.contains("canary"), "{}", ran.stderr);
        ran.says(said);
    }
    let mut terminal = Command::new("script");
    let bundle = format!("{} bundle latest", env!("CARGO_BIN_EXE_rdump"));
    terminal.args(["-qec", &bundle, "/dev/null"]);
    terminal
        .env("RDUMP_REPO", &made.repository)
        .stdin(Stdio::null());
    let ran = run(terminal, [""; 0]).await.expect(1);
    let refused = ran.stdout.contains("a bundle is not for a terminal");
    assert!(refused, "{}", ran.stdout);

    flip_a_data_object(Path::new(&made.repository), &made.id);
    let ran = run(on(&made.repository), ["bundle", "latest", &file])
        .await
        .expect(1);
    assert!(ran.stderr.contains(" is damaged"), "{}", ran.stderr);
    let names = fs::read_dir(made.folder.path())
        .unwrap()
        .map(|it| it.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["repository"]);
    let copy = made.path("copy");
    let through = format!("$rdump bundle latest | $rdump unbundle --repo '{copy}'");
    let ran = shell(&made, &through).await.expect(1);
    assert!(ran.stderr.contains("stdin is cut short"), "{}", ran.stderr);
    let ran = run(on(&copy), ["list"]).await.expect(0);
    assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.stdout);
}

#[tokio::test]
async fn a_bundle_that_is_killed_while_it_is_taken_apart_leaves_no_snapshot_and_comes_again() {
    let made = Made::new().await;
    let file = made.bundle("snapshot.tar").await;
    let bytes = fs::read(&file).unwrap();
    let copy = made.path("copy");
    let mut unbundle = on(&copy);
    unbundle
        .arg("unbundle")
        .stdin(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = unbundle.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&bytes[..bytes.len() - 2048]).await.unwrap();
    input.flush().await.unwrap();
    let data = format!("{copy}/snapshots/{}/data", made.id);
    wait_for("data to be stored", PATIENCE, async || {
        fs::read_dir(&data).ok()?.next()?.ok()
    })
    .await;
    child.kill().await.unwrap();
    drop(input);
    let ran = run(on(&copy), ["list"]).await.expect(0);
    assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.stdout);

    let ran = run(on(&copy), ["unbundle", &file]).await.expect(0);
    assert_eq!(line(&ran), made.id);
    let verified = run(on(&copy), ["verify", "--deep", "--json"])
        .await
        .expect(0);
    let unreferenced = &json(&verified)["snapshots"][0]["unreferenced-objects"];
    assert_eq!(*unreferenced, 0);
    let names = fs::read_dir(&data)
        .unwrap()
        .map(|it| it.unwrap().file_name());
    for name in names {
        assert!(
            name.to_str().unwrap().starts_with("1-"),
            "{name:?} was left behind"
        );
    }
}

#[tokio::test]
async fn a_bundle_may_be_in_an_object_store() {
    let (made, server, target) = tokio::join!(Made::new(), SeaweedFs::start(), ReplicaSet::start());
    let (place, copy) = (server.location("bundles/a.tar"), server.location("copy"));
    let run = |command: Command, arguments: &[&str]| {
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        run(with_keys(command), arguments)
    };
    run(on(&made.repository), &["bundle", "latest", &place])
        .await
        .expect(0);
    let ran = run(on(&made.repository), &["bundle", "latest", &place])
        .await
        .expect(1);
    assert!(ran.stderr.contains("already lies in"), "{}", ran.stderr);
    run(rrestore(), &["--uri", &target.uri(), &place])
        .await
        .expect(0);
    made.assert_same(&target).await;
    let ran = run(rdump(), &["unbundle", "--repo", &copy, &place])
        .await
        .expect(0);
    assert_eq!(line(&ran), made.id);
    run(on(&copy), &["verify", "--deep"]).await.expect(0);
}
