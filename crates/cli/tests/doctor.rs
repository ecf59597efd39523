//! What is wrong, before it fails.

use bson::doc;
use rdump_testkit::{
    ReplicaSet, SeaweedFs, dataset,
    s3::{ACCESS_KEY, Access, Policy},
    wait::{PATIENCE, wait_for},
};
use serde_json::Value;
use tokio::process::Command;

use crate::{
    object_store_access::asked_by,
    program::{Ran, rdump, run},
    repository::{backup, json, on},
};

const PAGE: &str = include_str!("../../../docs/s3.md");
const DOCTOR_PAGE: &str = include_str!("../../../docs/doctor.md");

/// The findings of a check in a document, each as its severity and what was seen.
fn of<'a>(document: &'a Value, check: &str) -> Vec<(&'a str, &'a str)> {
    let findings = document["findings"].as_array().expect("findings");
    let findings = findings.iter().filter(|it| it["check"] == check);
    let text = |value: &'a Value| value.as_str().expect("text");
    findings
        .map(|it| (text(&it["severity"]), text(&it["seen"])))
        .collect()
}

#[tokio::test]
async fn the_worst_comes_first_and_the_exit_code_says_whether_it_is_dangerous() {
    let source = ReplicaSet::start().await;
    dataset::orders(100).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().join("repository");
    let repository = repository.to_str().unwrap();
    let uri = source.uri();
    let both = ["doctor", "--uri", &uri];
    // Before anything is there.
    let ran = run(on(repository), both).await.expect(0);
    assert!(
        ran.stdout.contains("is no repository yet"),
        "{}",
        ran.stdout
    );
    assert!(!std::path::Path::new(repository).exists());
    backup(&source, repository, &[]).await.expect(0);
    run(on(repository), ["verify"]).await.expect(0);

    let ran = run(on(repository), both).await.expect(0);
    let severities: Vec<&str> = ran
        .stdout
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(first, _)| !first.is_empty())
        .map(|(first, _)| first)
        .collect();
    let order = ["danger", "warning", "unknown", "note", "good"];
    let ranks = severities.iter().map(|it| {
        order
            .iter()
            .position(|name| name == it)
            .expect("a severity")
    });
    assert!(ranks.is_sorted(), "{}", ran.stdout);
    let last = ran.messages().pop().unwrap_or_default().to_owned();
    assert!(last.starts_with("0 dangers, "), "{last}");

    let document = json(
        &run(on(repository), both.iter().chain(&["--json"]))
            .await
            .expect(0),
    );
    assert_eq!(document["dangers"], 0);
    assert_eq!(
        document["findings"].as_array().unwrap().len(),
        severities.len()
    );
    let [(severity, _)] = of(&document, "verification")[..] else {
        panic!("{document}");
    };
    assert_eq!(severity, "good");
    let warnings = document["warnings"].as_u64();
    assert!(warnings > Some(0) && document["unknown"].as_u64() > Some(0));

    // Either side alone.
    let alone = json(&run(rdump(), both.iter().chain(&["--json"])).await.expect(0));
    assert!(of(&alone, "repository").is_empty() && !of(&alone, "topology").is_empty());
    let alone = json(&run(on(repository), ["doctor", "--json"]).await.expect(0));
    assert!(of(&alone, "topology").is_empty() && !of(&alone, "repository").is_empty());

    // A snapshot that is older than it may be is a danger.
    let old = ["doctor", "--max-age", "0s", "--json"];
    let ran = wait_for("the snapshot to be a second old", PATIENCE, async || {
        let ran = run(on(repository), old).await;
        (ran.code != Some(0)).then_some(ran)
    });
    let document = json(&ran.await.expect(3));
    assert_eq!(document["dangers"], 1);
    assert_eq!(document["findings"][0]["check"], "newest-snapshot");
    assert!(document["findings"][0]["advice"].as_str().is_some());

    // Nothing is left of a probe.
    run(on(repository), ["doctor", "--probe"]).await.expect(0);
    let names = std::fs::read_dir(repository).unwrap();
    let mut names = names.map(|it| it.unwrap().file_name().into_string().unwrap());
    assert!(names.all(|name| !name.contains("probe")));
}

#[tokio::test]
async fn what_makes_no_sense_is_wrong_usage_and_what_cannot_be_reached_a_failure() {
    for (arguments, words) in [
        (
            &["doctor"][..],
            "name a deployment by --uri or RDUMP_URI, a repository",
        ),
        (
            &["doctor", "--uri", "mongodb://a", "--probe"],
            "--probe, --max-age",
        ),
        (&["doctor", "--repo", "mongodb://a"], "--repo is a folder"),
        (
            &["doctor", "--repo", "x", "--db", "shop"],
            "the whole deployment",
        ),
        (
            &["doctor", "--repo", "x", "--keep-daily", "y"],
            "invalid value 'y'",
        ),
    ] {
        run(rdump(), arguments)
            .await
            .expect(2)
            .says(&format!("error parsing command line options: {words}"));
    }
    let nowhere = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100";
    let ran = run(rdump(), ["doctor", "--uri", nowhere, "--json"])
        .await
        .expect(1);
    assert_eq!(json(&ran)["error"]["kind"], "unavailable");
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().to_str().unwrap();
    let both = ["doctor", "--uri", nowhere, "--repo", repository];
    let ran = run(rdump(), both).await.expect(3);
    assert!(
        ran.stdout.starts_with("danger  deployment "),
        "{}",
        ran.stdout
    );
}

fn root(repository: &str) -> Command {
    asked_by(ACCESS_KEY, on(repository))
}

#[tokio::test]
async fn holes_in_the_locks_of_a_bucket_are_found() {
    let (source, server) = (ReplicaSet::start().await, SeaweedFs::locking().await);
    dataset::orders(100).seed(&source.client()).await;
    let (uri, place) = (source.uri(), server.location("backups"));
    let doctor = async |code: i32, more: &[&str]| {
        let arguments = ["doctor", "--json"].iter().chain(more);
        let document = json(&run(root(&place), arguments).await.expect(code));
        let locks = of(&document, "object-lock").into_iter();
        let locks = locks.map(|(severity, seen)| format!("{severity}: {seen}"));
        locks.collect::<Vec<_>>().join("\n")
    };
    let keep = ["--keep-daily=30"];
    let back_up = async |more: &[&str]| {
        let arguments = ["backup", &uri].into_iter().chain(more.iter().copied());
        run(root(&place), arguments).await.expect(0);
    };
    back_up(&[]).await;
    let told = doctor(3, &keep).await;
    assert!(
        told.starts_with("danger: manifests/") && told.contains("is not locked"),
        "{told}"
    );
    // Who does not say what is kept has not asked for locks.
    let told = doctor(0, &[]).await;
    assert!(told.starts_with("warning: manifests/"), "{told}");
    back_up(&["--lock-until", "7d"]).await;
    let told = doctor(3, &keep).await;
    assert!(
        told.contains("is locked for 7.0 d, and the policy keeps for up to 30.0 d"),
        "{told}"
    );
    back_up(&["--lock-until", "30d"]).await;
    let told = doctor(0, &keep).await;
    assert!(
        told.contains("good: ") && told.contains("is locked for 30.0 d"),
        "{told}"
    );
    let log = source.client().database("shop").collection("log");
    let capture = async |more: &[&str]| -> Ran {
        log.insert_one(doc! { "a": 1 }).await.unwrap();
        let arguments = ["capture", &uri, "--until-caught-up"];
        run(root(&place), arguments.iter().chain(more))
            .await
            .expect(0)
    };
    capture(&[]).await;
    let told = doctor(3, &keep).await;
    assert!(told.contains("the newest slice, is not locked"), "{told}");
    capture(&["--lock-until=30d"]).await;
    let told = doctor(0, &keep).await;
    assert!(told.contains("good: timeline/"), "{told}");

    // Who locks by a mode of their own says so.
    back_up(&["--lock-until=40d", "--s3-object-lock-mode=COMPLIANCE"]).await;
    let told = doctor(0, &keep).await;
    assert!(told.contains("is locked for 40.0 d"), "{told}");
}

#[tokio::test]
async fn a_bucket_without_locks_is_a_hole_and_who_may_not_ask_is_told_what_to_allow() {
    let policy = Policy::in_page(PAGE, "backup", "backups/shop");
    let asks = Policy::in_page(PAGE, "doctor", "backups/shop");
    let access = Access::default()
        .user("keeper", policy.clone())
        .user("doctor", policy.and(asks.clone()));
    let (source, server) = (ReplicaSet::start().await, SeaweedFs::with(&access).await);
    let place = server.location("backups/shop");
    let asked = |user| {
        let mut command = asked_by(user, rdump());
        command.env("RDUMP_REPO", &place);
        command
    };
    run(asked("keeper"), ["backup", &source.uri()])
        .await
        .expect(0);
    let keep = ["doctor", "--json", "--keep-daily=30"];
    let document = json(&run(asked("doctor"), keep).await.expect(3));
    let [(severity, seen)] = of(&document, "object-lock")[..] else {
        panic!("{document}");
    };
    assert_eq!(severity, "danger");
    assert!(seen.contains("no object lock"), "{seen}");
    assert_eq!(of(&document, "store-clock")[0].0, "good");
    assert_eq!(of(&document, "versioning")[0].0, "warning");

    // Who only backs up looks as far as that goes; nothing is passed over.
    let document = json(&run(asked("keeper"), keep).await.expect(0));
    for action in asks.actions() {
        let findings = document["findings"].as_array().unwrap();
        let mut advice = findings.iter().filter_map(|it| it["advice"].as_str());
        assert!(
            advice.any(|it| it.contains(&action)),
            "{action}: {document:#}"
        );
    }
    let probe = ["doctor", "--json", "--probe"];
    let document = json(&run(asked("keeper"), probe).await.expect(0));
    assert_eq!(of(&document, "store-write")[0].0, "good");
    assert_eq!(of(&document, "conditional-put")[0].0, "good");
    let (severity, seen) = of(&document, "store-delete")[0];
    assert!(
        severity == "note" && seen.contains("cannot be deleted"),
        "{seen}"
    );
}

#[test]
fn the_page_has_every_check_and_no_other() {
    let (_, table) = DOCTOR_PAGE
        .split_once("## What is looked at")
        .expect("the table");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows = rows.filter_map(|row| row.split_once("` |"));
    let told: Vec<&str> = rows.map(|(name, _)| name).collect();
    let all: Vec<&str> = rdump::Check::ALL.iter().map(|it| it.as_str()).collect();
    assert_eq!(told, all);
}
