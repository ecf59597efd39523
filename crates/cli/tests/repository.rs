//! Backups in a repository.

use std::{fs, path::Path};

use rdump_testkit::{
    Fingerprint, FingerprintOptions, ReplicaSet, SeaweedFs, damage, dataset,
    fingerprint::assert_same,
};
use serde_json::Value;
use tokio::process::Command;

use crate::{
    object_store::with_keys,
    program::{Ran, rdump, rrestore, run},
};

/// A command of rdump on a repository, with what the environment tells it.
pub(crate) fn on(repository: &str) -> Command {
    let mut rdump = rdump();
    rdump.env("RDUMP_REPO", repository);
    rdump
}

pub(crate) async fn backup(source: &ReplicaSet, repository: &str, more: &[&str]) -> Ran {
    let uri = source.uri();
    run(on(repository), ["backup", &uri].iter().chain(more)).await
}

/// The only line of stdout.
pub(crate) fn line(ran: &Ran) -> &str {
    let line = ran.stdout.strip_suffix('\n').expect("a line");
    assert!(!line.contains('\n'), "{line}");
    line
}

pub(crate) fn json(ran: &Ran) -> Value {
    let document: Value = serde_json::from_str(&ran.stdout).expect("one document");
    assert_eq!(document["version"], 1);
    document
}

#[tokio::test]
async fn a_backup_is_listed_shown_verified_and_restored() {
    let (source, target) = tokio::join!(ReplicaSet::start(), ReplicaSet::start());
    dataset::orders(500).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().join("repository");
    let repository = repository.to_str().unwrap();

    let ran = backup(&source, repository, &["--tag", "env=test", "--tag=by=cron"]).await;
    let ran = ran.expect(0);
    let id = line(&ran).to_owned();
    let ran = backup(
        &source,
        repository,
        &["--ns-include", "shop.*", "--json", "-j", "1"],
    )
    .await;
    let second = json(&ran.expect(0));
    assert_eq!(second["report"]["problems"], Value::Array(Vec::new()));

    let ran = run(on(repository), ["list"]).await.expect(0);
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", ran.stdout);
    assert!(lines[1].starts_with(&id) && lines[1].ends_with("by=cron,env=test"));
    let listed = json(&run(on(repository), ["list", "--json"]).await.expect(0));
    assert_eq!(listed["snapshots"][0]["consistency"], "snapshot");
    let at = listed["snapshots"][0]["consistent-at"].as_str().unwrap();
    assert!(lines[1].contains(at), "{}", lines[1]);
    assert_eq!(listed["snapshots"][0]["id"], *id);
    assert_eq!(listed["snapshots"][1]["id"], second["snapshot"]);
    assert_eq!(listed["snapshots"][0]["tags"]["env"], "test");
    assert!(listed["snapshots"][0]["source"]["server-version"].is_string());

    let ran = run(on(repository), ["show", &id]).await.expect(0);
    assert!(ran.stdout.contains("shop.orders"), "{}", ran.stdout);
    let shown = json(
        &run(on(repository), ["show", "latest", "--json"])
            .await
            .expect(0),
    );
    assert_eq!(shown["snapshot"]["id"], second["snapshot"]);
    let namespaces = shown["namespaces"].as_array().unwrap();
    let is_orders = |row: &&Value| row["namespace"] == "shop.orders";
    assert_eq!(namespaces.iter().find(is_orders).unwrap()["documents"], 500);

    for arguments in [
        &["verify"][..],
        &["verify", "--all"],
        &["verify", &id, "--deep"],
        &["verify", "--repo", repository, &id[..id.len() - 1]],
        &["verify", repository, "--sample", "10%"],
        &["verify", "--repo", repository, "latest", "--sample=1MB"],
    ] {
        let ran = run(on(repository), arguments).await.expect(0);
        let whole = ran
            .messages()
            .iter()
            .any(|line| line.contains(" is whole ("));
        assert!(whole && ran.stdout.is_empty(), "{arguments:?}: {ran:?}");
    }
    let verified = json(
        &run(on(repository), ["verify", "--all", "--json"])
            .await
            .expect(0),
    );
    assert_eq!(verified["snapshots"].as_array().unwrap().len(), 2);

    let ran = run(
        rrestore(),
        ["--uri", &target.uri(), "--snapshot", &id, repository],
    )
    .await;
    ran.expect(0).says("500 document(s) restored successfully.");
    let options = FingerprintOptions::new();
    let print = Fingerprint::of(&source.client(), &options).await;
    assert_same(&print, &Fingerprint::of(&target.client(), &options).await);
}

#[tokio::test]
async fn what_has_documents_already_is_not_touched_unless_that_is_asked_for() {
    let (source, target) = tokio::join!(ReplicaSet::start(), ReplicaSet::start());
    dataset::orders(20).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().to_str().unwrap();
    backup(&source, repository, &[]).await.expect(0);
    let uri = target.uri();
    let restore = async |more: &[&str]| {
        let arguments = ["--uri", &uri, repository];
        run(rrestore(), arguments.iter().chain(more)).await
    };
    let one = ["--ns-include", "shop.orders"];
    restore(&one).await.expect(0).says("20 document(s)");
    restore(&one)
        .await
        .expect(1)
        .says("Failed: the target has documents in shop.orders; nothing was changed");
    let before = target
        .client()
        .database("shop")
        .list_collection_names()
        .await
        .unwrap();
    assert_eq!(before, ["orders"], "nothing else was restored either");
    let ran = restore(&["--on-conflict", "skip"]).await.expect(0);
    let ran = ran.says("shop.orders is skipped: it has documents already");
    assert!(ran.stderr.contains("0 document(s) failed"));
    restore(&["--on-conflict=fail", "--drop"]).await.expect(0);
    let renamed = ["--ns-from", "shop.*", "--ns-to", "copy.*", "--dryRun"];
    restore(&renamed).await.expect(0).says("dry run completed");
    restore(&["--on-conflict", "merge", "--nsInclude", "shop.orders"])
        .await
        .says("0 document(s) restored successfully. 20 document(s) failed to restore.");
    for (more, problem) in [
        (
            ["--on-conflict", "skip", "--drop", ""],
            "cannot use --drop with",
        ),
        (
            ["--nsInclude", "shop.orders", "--nsExclude", "shop.*"],
            "nothing of snapshot ",
        ),
        (
            ["--nsFrom", "shopp.*", "--nsTo", "copy.*"],
            "fits the pattern shopp.* to rename by",
        ),
    ] {
        let more: Vec<_> = more.into_iter().filter(|it| !it.is_empty()).collect();
        let ran = restore(&more).await.expect(1);
        assert!(ran.stderr.contains(problem), "{}", ran.stderr);
    }
    let folder = format!("{repository}/snapshots/{}", latest(repository).await);
    let ran = run(rrestore(), ["--uri", &uri, &folder]).await.expect(1);
    assert!(
        ran.stderr.contains("is a part of a repository"),
        "{}",
        ran.stderr
    );
    restore(&["--on-conflict", "maybe"])
        .await
        .expect(1)
        .says("error parsing command line options: ");
    restore(&["--db", "shop", "--drop", "-c", "orders"])
        .await
        .expect(0)
        .says("20 document(s) restored successfully.");
    restore(&["--db", "shop", "-c", "nothing"])
        .await
        .expect(1)
        .says("Failed: the snapshot has no collection shop.nothing");
    restore(&["--db", "other"])
        .await
        .expect(1)
        .says("Failed: the snapshot has no database other");
    restore(&["--ns-include", "shop.nothing"])
        .await
        .expect(1)
        .says("Failed: no namespace of snapshot ");
}

#[tokio::test]
async fn what_is_not_there_is_not_backed_up_and_what_is_old_not_gone_on_with() {
    let source = ReplicaSet::start().await;
    dataset::orders(20).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().to_str().unwrap();
    for more in [
        &["--nsInclude", "nope.*"][..],
        &["-d", "shop", "-c", "nope"],
    ] {
        let more = [more, &["--dryRun"]].concat();
        backup(&source, repository, &more).await.expect(1);
    }
    backup(&source, repository, &[]).await.expect(0);
    // As one that was killed.
    let old = latest(repository).await;
    for place in ["manifests", "copies"] {
        fs::remove_file(folder.path().join(place).join(format!("{old}.json"))).unwrap();
    }
    let ran = backup(&source, repository, &["--resume", "--tag", "a=b"]).await;
    assert_eq!(
        ran.expect(0)
            .says("WARNING: the snapshot keeps the tags")
            .stdout
            .trim(),
        old
    );
    for place in ["manifests", "copies"] {
        fs::remove_file(folder.path().join(place).join(format!("{old}.json"))).unwrap();
    }
    backup(&source, repository, &[]).await.expect(0);
    let ran = backup(&source, repository, &["--resume"]).await.expect(0);
    assert_ne!(ran.stdout.trim(), old);
}

#[tokio::test]
async fn a_repository_is_what_it_was_made_to_be() {
    let source = ReplicaSet::start().await;
    dataset::orders(20).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let ran = run(rdump(), ["init", &path("made")]).await.expect(0);
    assert_eq!(line(&ran).len(), 32);
    let ran = run(on(&path("made")), ["init"]).await.expect(1);
    ran.says(&format!("Failed: {} is not empty, ", path("made")));
    run(on(&path("made")), ["list"]).await.expect(0);
    run(on(&path("made")), ["show"])
        .await
        .expect(1)
        .says("Failed: the repository holds no snapshot");
    let id = "20260102T030405Z-00ff17a0";
    for command in ["show", "verify"] {
        run(on(&path("made")), [command, id])
            .await
            .expect(1)
            .says(&format!("Failed: there is no snapshot {id} in "));
    }
    fs::create_dir(path("other")).unwrap();
    fs::write(path("other/file"), "x").unwrap();
    run(on(&path("other")), ["list"])
        .await
        .expect(1)
        .says(&format!("Failed: {} is no repository", path("other")));
    backup(&source, &path("other"), &[])
        .await
        .expect(1)
        .says(&format!(
            "Failed: {} is not empty, file lies there",
            path("other")
        ));
    for (arguments, reason) in [
        (&["backup", "--tag", "x"][..], "--tag x: a tag is KEY=VALUE"),
        (
            &["backup", "--repo", "-"],
            "a repository is a folder or s3://bucket/prefix",
        ),
        (&["verify", "--sample", "0%"], "invalid value '0%'"),
        (
            &["verify", "--all", "latest"],
            "--all and a snapshot contradict each other",
        ),
        (&["list", "--nope"], "unknown option"),
    ] {
        let ran = run(on(&path("made")), arguments).await.expect(2);
        assert!(ran.stderr.contains(reason), "{reason}: {}", ran.stderr);
    }
    run(on("gs://bucket/x"), ["backup"])
        .await
        .expect(1)
        .says("Failed: --repo: location \"gs://…\" is not supported");
    run(on(&path("made")), ["verify", "--all"])
        .await
        .expect(1)
        .says("Failed: there is nothing to verify: the repository holds no snapshot");
    for command in ["list", "show", "verify"] {
        let ran = run(on(&path("other")), [command, "--json"]).await.expect(1);
        let message = format!(
            "{} is no repository: there is no repository.json",
            path("other")
        );
        assert_eq!(json(&ran)["error"]["message"], message);
    }
    let ran = backup(&source, &path("other"), &["--json"]).await.expect(1);
    assert_eq!(json(&ran)["error"]["kind"], "conflict");
    run(rdump(), ["verify", &path("other"), "--sample", "10%"])
        .await
        .expect(1)
        .says(&format!("Failed: {} is no repository", path("other")));
    let ran = run(rdump(), ["init", &path("a"), "--repo", &path("b")]).await;
    ran.expect(2)
        .says("error parsing command line options: name the repository once");
    let ran = run(rdump(), ["list"]).await.expect(2);
    ran.says("error parsing command line options: name the repository by --repo or RDUMP_REPO");
    backup(&source, &path("made"), &["--ns-include", "shop.nothing"])
        .await
        .expect(1)
        .says("Failed: no namespace fits the pattern shop.nothing");
    let listed = json(&run(on(&path("made")), ["list", "--json"]).await.expect(0));
    assert_eq!(listed["snapshots"], Value::Array(Vec::new()));
    let ran = backup(&source, &path("made"), &["--dryRun"])
        .await
        .expect(0);
    assert!(ran.stdout.contains("shop.orders"), "{}", ran.stdout);
}

#[tokio::test]
async fn damage_is_named_and_an_older_snapshot_is_not_taken_for_the_newest() {
    let (source, target) = tokio::join!(ReplicaSet::start(), ReplicaSet::start());
    dataset::orders(200).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().to_str().unwrap();
    let older = line(&backup(&source, repository, &[]).await.expect(0)).to_owned();
    let newer = line(&backup(&source, repository, &[]).await.expect(0)).to_owned();
    assert!(older < newer, "{older} and {newer}");
    let manifest = folder.path().join(format!("manifests/{newer}.json"));
    let bytes = fs::read(&manifest).unwrap();
    fs::remove_file(&manifest).unwrap();
    let missing = format!("manifests/{newer}.json is missing");
    let ran = run(on(repository), ["list"]).await.expect(4);
    let ran = ran.says(&format!("DAMAGED {newer}: {missing}"));
    assert!(ran.stdout.contains(&older), "{}", ran.stdout);
    run(on(repository), ["show"])
        .await
        .expect(1)
        .says(&format!("Failed: {missing}"));
    let damaged = format!("DAMAGED manifests/{newer}.json: ");
    run(on(repository), ["verify"])
        .await
        .expect(4)
        .says(&damaged);
    let uri = target.uri();
    run(rrestore(), ["--uri", &uri, repository])
        .await
        .expect(1)
        .says(&format!("Failed: {missing}"));
    let ran = backup(&source, repository, &[]).await.expect(3);
    ran.says(&format!("WARNING: {missing}"));
    fs::write(&manifest, bytes).unwrap();

    let data = flip_a_data_object(folder.path(), &newer);
    run(on(repository), ["verify", "--all"])
        .await
        .expect(4)
        .says(&format!("DAMAGED snapshots/{newer}/{data}: segment 1 of 1"));
    let ran = run(
        rrestore(),
        ["--uri", &uri, "--snapshot", &newer, repository],
    )
    .await;
    let ran = ran.expect(1);
    assert!(ran.stderr.contains(&data), "{}", ran.stderr);
    let found = target
        .client()
        .database("shop")
        .collection::<bson::Document>("orders");
    assert_eq!(found.count_documents(bson::doc! {}).await.unwrap(), 0);
}

/// Changes a byte of the largest data object of a snapshot; returns its path there.
pub(crate) fn flip_a_data_object(repository: &Path, id: &str) -> String {
    let folder = repository.join(format!("snapshots/{id}/data"));
    let files = damage::files(&folder).into_iter();
    let largest = files.max_by_key(|file| damage::length(&folder.join(file)));
    let largest = largest.expect("there is data");
    let path = folder.join(&largest);
    damage::flip_byte(&path, damage::length(&path) / 2);
    format!("data/{}", largest.display())
}

#[tokio::test]
async fn a_repository_may_be_in_an_object_store() {
    let (server, source, target) =
        tokio::join!(SeaweedFs::start(), ReplicaSet::start(), ReplicaSet::start());
    for data in [dataset::orders(1_000), dataset::indexes()] {
        data.seed(&source.client()).await;
    }
    let place = server.location("backups/of shop");
    let run = |command: Command, arguments: Vec<String>| run(with_keys(command), arguments);
    let of = |arguments: &[&str]| arguments.iter().map(ToString::to_string).collect();
    let uri = source.uri();
    let ran = run(rdump(), of(&["backup", "--repo", &place, &uri]))
        .await
        .expect(0);
    let id = line(&ran).to_owned();
    let ran = run(on(&place), of(&["list"])).await.expect(0);
    assert!(ran.stdout.contains(&id), "{}", ran.stdout);
    let verify = of(&["verify", &id, "--deep"]);
    run(on(&place), verify)
        .await
        .expect(0)
        .says(&format!("snapshot {id} is whole ("));
    let uri = target.uri();
    run(
        rrestore(),
        of(&["--uri", &uri, "--keepIndexVersion", &place]),
    )
    .await
    .expect(0);
    let options = FingerprintOptions::new();
    let print = Fingerprint::of(&source.client(), &options).await;
    assert_same(&print, &Fingerprint::of(&target.client(), &options).await);
}

#[tokio::test]
async fn snapshots_become_folders_and_folders_and_archives_snapshots() {
    let (source, target) = tokio::join!(ReplicaSet::start(), ReplicaSet::start());
    for data in [
        dataset::orders(300),
        dataset::views(),
        dataset::time_series(),
    ] {
        data.seed(&source.client()).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (repository, exported, archive) = (path("repository"), path("folder"), path("archive"));
    backup(&source, &repository, &[]).await.expect(0);
    let export = ["export-folder", "latest", &exported, "--compress", "gzip"];
    run(on(&repository), export)
        .await
        .expect(0)
        .says("snapshot ");
    run(rdump(), ["verify", &exported]).await.expect(0);
    let ran = run(on(&repository), export).await.expect(1);
    ran.says(&format!("Failed: {exported} already holds a dump"));
    let into_itself = ["export-folder", "latest", &repository];
    let ran = run(on(&repository), into_itself).await.expect(1);
    ran.says(&format!("Failed: {repository} is a repository"));
    run(rdump(), ["--uri", &source.uri(), "--out", &repository])
        .await
        .expect(1)
        .says(&format!("Failed: {repository} is a repository"));
    run(on(&repository), ["verify", "--all"]).await.expect(0);
    let (uri, to) = (source.uri(), format!("--archive={archive}"));
    run(rdump(), ["--uri", &uri, &to, "--gzip"]).await.expect(0);

    let options = FingerprintOptions::new();
    let expected = Fingerprint::of(&source.client(), &options).await;
    for (dump, name) in [(&exported, "imported"), (&archive, "unpacked")] {
        let imported = path(name);
        let ran = run(
            on(&imported),
            ["import-folder", dump, "--tag", "from=folder"],
        )
        .await;
        let id = line(&ran.expect(0)).to_owned();
        let ran = run(on(&imported), ["verify", &id, "--deep"])
            .await
            .expect(0);
        assert!(ran.stderr.contains(" is whole ("), "{}", ran.stderr);
        let restore = ["--uri", &target.uri(), "--drop", &imported];
        run(rrestore(), restore).await.expect(0);
        assert_same(
            &expected,
            &Fingerprint::of(&target.client(), &options).await,
        );
    }

    flip_a_data_object(Path::new(&repository), &latest(&repository).await);
    let other = path("other");
    let export = ["export-folder", "latest", &other];
    let ran = run(on(&repository), export).await.expect(1);
    ran.says("Failed: ");
    let ran = run(rrestore(), ["--uri", &target.uri(), &other])
        .await
        .expect(1);
    assert!(ran.stderr.contains("did not finish"), "{}", ran.stderr);
}

async fn latest(repository: &str) -> String {
    let listed = run(on(repository), ["list", "--json"]).await.expect(0);
    let listed = json(&listed);
    let snapshots = listed["snapshots"].as_array().expect("a list");
    let last = snapshots.last().expect("a snapshot");
    last["id"].as_str().expect("an id").to_owned()
}
