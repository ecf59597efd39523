//! A repository that is copied to another place.

use std::{env, time::Duration};

use bson::doc;
use rdump_testkit::{
    Fingerprint, FingerprintOptions, ReplicaSet, SeaweedFs, dataset,
    fingerprint::assert_same,
    s3::{ACCESS_KEY, Access, Gateway, Policy, SECRET_KEY},
};
use serde_json::{Value, json};
use tokio::{process::Command, time::timeout};

use crate::{
    object_store_access::asked_by,
    program::{rdump, rrestore, run},
    repository::{backup, flip_a_data_object, json, line, on},
};

const PAGE: &str = include_str!("../../../docs/s3.md");

/// On a repository in a store that who asks may do everything in.
fn root(repository: &str) -> Command {
    asked_by(ACCESS_KEY, on(repository))
}

/// `RDUMP_KILLS` says how often; the default is for every day.
#[tokio::test]
async fn two_stores_stay_equal_by_copies_that_are_killed_and_the_second_restores_alone() {
    let kills: u32 = env::var("RDUMP_KILLS").map_or(8, |kills| kills.parse().unwrap());
    let (source, target) = tokio::join!(ReplicaSet::start(), ReplicaSet::start());
    let (first, second) = tokio::join!(SeaweedFs::start(), SeaweedFs::start());
    for number in 0..6 {
        let name = format!("shop.c{number}");
        dataset::seed_bulk(&source.client(), &name, dataset::Shape::Medium, 500, number).await;
    }
    let (uri, here, there) = (
        source.uri(),
        first.location("here"),
        second.location("there"),
    );
    let copy = ["copy", "--to", &there, "--all", "--timeline"];
    let log = source.client().database("shop").collection("log");
    let mut killed = 0;
    for number in 0..kills {
        log.insert_many((0..50).map(|id| doc! { "round": number, "id": id }))
            .await
            .unwrap();
        run(root(&here), ["capture", &uri, "--until-caught-up"])
            .await
            .expect(0);
        run(root(&here), ["backup", &uri]).await.expect(0);
        for attempt in 0..2_u32 {
            // A copy takes less than a second: some of the kills fall into it, wherever.
            let died = Duration::from_millis(u64::from((number * 7 + attempt * 3) % 16) * 50 + 20);
            killed += u32::from(timeout(died, run(root(&here), copy)).await.is_err());
            // Whatever is there is whole.
            let ran = run(root(&there), ["verify", "--all"]).await;
            let has_none =
                ran.stderr.contains("no snapshot") || ran.stderr.contains("no repository");
            assert!(ran.code == Some(0) || has_none, "{}", ran.stderr);
        }
        run(root(&here), copy).await.expect(0);
        let ids = async |place: &str| {
            let listed = json(&run(root(place), ["list", "--json"]).await.expect(0));
            let snapshots = listed["snapshots"].as_array().unwrap().clone();
            let ids = snapshots.iter().map(|it| it["id"].clone());
            (ids.collect::<Vec<Value>>(), listed["restorable"].clone())
        };
        assert_eq!(ids(&here).await, ids(&there).await);
    }
    assert!(killed > 0, "none of {kills} was killed");
    let again = json(
        &run(root(&here), copy.iter().chain(&["--json"]))
            .await
            .expect(0),
    );
    let report = &again["report"];
    assert_eq!(
        (&report["objects"], &report["slices"], &report["present"]),
        (&json!(0), &json!(0), &json!(kills))
    );
    run(root(&there), ["verify", "--all", "--deep"])
        .await
        .expect(0);

    let options = FingerprintOptions::new().ignore_index_version(true);
    let expected = Fingerprint::of(&source.client(), &options).await;
    drop((source, first));
    let latest = ["--uri", &target.uri(), "--drop", "--to", "latest", &there];
    run(asked_by(ACCESS_KEY, rrestore()), latest)
        .await
        .expect(0);
    assert_same(
        &expected,
        &Fingerprint::of(&target.client(), &options).await,
    );
}

#[tokio::test]
async fn what_is_copied_is_chosen_and_what_is_damaged_is_named() {
    let source = ReplicaSet::start().await;
    dataset::orders(100).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (here, there) = (place("here"), place("there"));
    let mut ids = Vec::new();
    for _ in 0..3 {
        let ran = backup(&source, &here, &[]).await.expect(0);
        ids.push(line(&ran).to_owned());
    }
    run(on(&here), ["copy"])
        .await
        .expect(2)
        .says("error parsing command line options: name the repository by --to");
    run(on(&here), ["copy", "--to", "mongodb://a"])
        .await
        .expect(2);
    run(on(&here), ["copy", "--to", &there, "--all", "--since=7d"])
        .await
        .expect(2);
    let copied = run(on(&here), ["copy", "--to", &there]).await.expect(0);
    assert_eq!(line(&copied), ids[2]);
    flip_a_data_object(here.as_ref(), &ids[0]);
    let since = ["copy", "--from", &here, "--to", &there, "--since", "7d"];
    let copied = run(rdump(), since).await.expect(3);
    assert_eq!(line(&copied), ids[1]);
    assert!(
        copied.stderr.contains("PROBLEM: snapshot"),
        "{}",
        copied.stderr
    );
    assert!(copied.stderr.contains("1 were there"), "{}", copied.stderr);
    let listed = json(&run(on(&there), ["list", "--json"]).await.expect(0));
    assert_eq!(listed["snapshots"].as_array().map(Vec::len), Some(2));
    run(on(&there), ["verify", "--all", "--deep"])
        .await
        .expect(0);
    run(on(&here), ["copy", "--to", &here])
        .await
        .expect(1)
        .says("Failed: ");
}

#[tokio::test]
async fn who_copies_to_another_account_needs_no_more_than_the_policies_say() {
    let policy = |name, place: &str| Policy::in_page(PAGE, name, place);
    let reader = Access::default().user("reader", policy("restore", "backups/shop"));
    let reader = reader.user("keeper", policy("backup", "backups/shop"));
    let writer = Access::default().user("writer", policy("backup", "vault/shop"));
    let (source, first, second) = tokio::join!(
        ReplicaSet::start(),
        SeaweedFs::with(&reader),
        SeaweedFs::with(&writer)
    );
    dataset::orders(100).seed(&source.client()).await;
    let here = first.location("backups/shop");
    let mut keeper = asked_by("keeper", rdump());
    keeper.env("RDUMP_REPO", &here);
    run(keeper, ["backup", &source.uri()]).await.expect(0);
    let gateway = Gateway::start(second.address()).await;
    // Each side has its own credentials.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    let of = |user: &str| {
        format!("[{user}]\naws_access_key_id={user}\naws_secret_access_key={SECRET_KEY}\n")
    };
    std::fs::write(&file, of("reader") + &of("writer")).unwrap();
    let by = |place: String, user: &str| format!("{place}&profile={user}");
    let (from, to) = (
        by(here, "reader"),
        by(gateway.location("vault/shop"), "writer"),
    );
    let copy = async |from: &str, to: &str| {
        let mut rdump = rdump();
        rdump.env("AWS_SHARED_CREDENTIALS_FILE", &file);
        let class = ["--storage-class", "STANDARD_IA"];
        run(
            rdump,
            ["copy", "--timeline", "--from", from, "--to", to]
                .iter()
                .chain(&class),
        )
        .await
    };
    copy(&from, &to).await.expect(0);
    // What says what there is can be read at once, whatever class the data has.
    let asked = gateway.asked();
    let classed = asked
        .iter()
        .filter(|it| it.header("x-amz-storage-class").is_some());
    let classed: Vec<_> = classed.map(|it| it.key.as_str()).collect();
    assert!(!classed.is_empty());
    assert!(
        classed.iter().all(|key| key.contains("/data/")),
        "{classed:?}"
    );
    let error = copy(&to, &from).await.expect(1);
    assert!(
        error.stderr.contains("no permission to s3:"),
        "{}",
        error.stderr
    );
}
