//! Data in storage classes that are not read from, and copies that a store makes by itself.

use std::{collections::BTreeMap, env, time::Duration};

use bson::doc;
use rdump_testkit::{
    Fingerprint, FingerprintOptions, ReplicaSet, SeaweedFs, dataset,
    fingerprint::assert_same,
    s3::{
        ACCESS_KEY, Access, Freezer, Gateway, Policy,
        gateway::{Answer, Fault, S3Operation},
    },
};
use tokio::{process::Command, time::timeout};

use crate::{
    object_store_access::asked_by,
    program::{Ran, rrestore, run},
    repository::{json, line, on},
};

const PAGE: &str = include_str!("../../../docs/s3.md");
/// A time after all that tests do.
const LATER: &str = "2096-01-01T00:00:00Z";

fn root(repository: &str) -> Command {
    asked_by(ACCESS_KEY, on(repository))
}

async fn backup(source: &ReplicaSet, repository: &str) -> String {
    let ran = run(root(repository), ["backup", &source.uri()]).await;
    line(&ran.expect(0)).to_owned()
}

/// The keys that each operation was asked for since then.
fn asked(gateway: &Gateway, since: usize) -> BTreeMap<String, Vec<String>> {
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for asked in &gateway.asked()[since..] {
        let operation = format!("{:?}", asked.operation);
        keys.entry(operation).or_default().push(asked.key.clone());
    }
    keys
}

async fn restore(id: &str, target: &ReplicaSet, place: &str) -> Ran {
    let uri = target.uri();
    let arguments = ["--uri", &uri, "--drop", "--snapshot", id, place];
    run(asked_by(ACCESS_KEY, rrestore()), arguments).await
}

#[tokio::test]
async fn old_data_is_moved_to_a_class_that_is_not_read_from_and_thawed_before_it_is_restored() {
    let policy = |name| Policy::in_page(PAGE, name, "shop");
    let access = Access::default()
        .user("mover", policy("tier"))
        .user("thawer", policy("thaw"));
    let (source, target, server) = tokio::join!(
        ReplicaSet::start(),
        ReplicaSet::start(),
        SeaweedFs::with(&access)
    );
    let gateway = Gateway::start(server.address()).await;
    let freezer = Freezer::of(&gateway, 3);
    let place = gateway.location("shop");
    dataset::orders(300).seed(&source.client()).await;
    let options = FingerprintOptions::new().ignore_index_version(true);
    let expected = Fingerprint::of(&source.client(), &options).await;
    let old = backup(&source, &place).await;
    dataset::seed_bulk(&source.client(), "shop.more", dataset::Shape::Medium, 50, 1).await;
    let new = backup(&source, &place).await;
    let untouched = target.client().database("shop").collection("orders");
    untouched.insert_one(doc! { "_id": "mine" }).await.unwrap();

    run(root(&place), ["tier", "--older-than=30d"])
        .await
        .expect(2)
        .says("error parsing command line options: name the storage class");
    run(root(&place), ["tier", "--storage-class=GLACIER"])
        .await
        .expect(2)
        .says("error parsing command line options: say which snapshots");
    let move_old = [
        "tier",
        "--storage-class=deep_archive",
        "--older-than",
        LATER,
    ];
    let mover = || asked_by("mover", on(&place));
    let dry = run(mover(), move_old.iter().chain(&["--dry-run"]))
        .await
        .expect(0);
    let told: Vec<_> = dry.stdout.lines().collect();
    assert!(told[0].starts_with(&format!("move    {old}")), "{told:?}");
    assert!(
        told[1].starts_with(&format!("keep    {new}")) && told[1].ends_with("newest"),
        "{told:?}"
    );
    assert_eq!(freezer.frozen(), Vec::<String>::new());
    let none = run(
        mover(),
        ["tier", "--storage-class=DEEP_ARCHIVE", "--older-than=1d"],
    );
    assert_eq!(none.await.expect(0).stdout, "");
    let moved = run(mover(), move_old.iter().chain(&["--json"]))
        .await
        .expect(0);
    let moved = json(&moved);
    let frozen = freezer.frozen();
    assert_eq!(moved["report"]["objects"], frozen.len());
    assert_eq!(moved["plan"]["snapshots"][0]["objects"], frozen.len());
    let data = format!("shop/snapshots/{old}/data/");
    assert!(
        !frozen.is_empty() && frozen.iter().all(|key| key.starts_with(&data)),
        "{frozen:?}"
    );
    // What is there is not moved again, and what is frozen not at all.
    for class in ["DEEP_ARCHIVE", "GLACIER"] {
        let class = format!("--storage-class={class}");
        let again = ["tier", &class, "--snapshot", &old, "--json"];
        let again = json(&run(mover(), again).await.expect(0));
        assert_eq!(again["report"]["objects"], 0);
    }

    // Whoever reads is told before anything is done.
    let refused = restore(&old, &target, &place).await.expect(1);
    let refused = refused
        .says("Failed: ")
        .says("Hint: `rdump thaw --snapshot");
    assert!(
        refused
            .stderr
            .contains("is frozen in storage class DEEP_ARCHIVE"),
        "{}",
        refused.stderr
    );
    let left = untouched.count_documents(doc! { "_id": "mine" }).await;
    assert_eq!(left.unwrap(), 1);
    run(root(&place), ["verify", &old])
        .await
        .expect(1)
        .says("Failed: ");
    let verified = run(root(&place), ["verify", "--all"]).await.expect(1);
    assert!(
        verified
            .says(&format!("NOT VERIFIED {old}"))
            .stderr
            .contains("is whole")
    );
    let bundle = run(root(&place), ["bundle", &old]).await.expect(1);
    assert_eq!(bundle.stdout, "");
    let vault = server.location("vault");
    let copied = run(root(&place), ["copy", "--to", &vault, "--all"])
        .await
        .expect(3);
    assert_eq!(line(&copied), new);
    assert!(
        copied.stderr.contains(&format!("PROBLEM: snapshot {old}")),
        "{}",
        copied.stderr
    );
    run(root(&place), ["list"]).await.expect(0);
    run(root(&place), ["show", &old]).await.expect(0);
    run(root(&place), ["status"]).await.expect(0);

    let thawer = || asked_by("thawer", on(&place));
    run(thawer(), ["thaw"]).await.expect(2);
    run(thawer(), ["thaw", "--snapshot", &old, "--days=0"])
        .await
        .expect(2);
    run(thawer(), ["thaw", "--snapshot", &old, "--interval=1s"])
        .await
        .expect(2);
    let thaw = ["thaw", "--snapshot", &old, "--retrieval=bulk", "--days=3"];
    let thawing = run(thawer(), thaw).await.expect(3);
    assert!(
        thawing.stderr.contains("cannot be read yet"),
        "{}",
        thawing.stderr
    );
    let refused = restore(&old, &target, &place).await.expect(1);
    assert!(
        refused
            .stderr
            .contains("is being thawed from storage class"),
        "{}",
        refused.stderr
    );
    // Bulk, and for three days.
    assert_eq!(gateway.count(S3Operation::Restore), frozen.len());
    let wait = ["--wait", "--interval=20ms", "--json"];
    let waited = run(thawer(), thaw.iter().chain(&wait)).await.expect(0);
    assert!(
        waited.stderr.contains("are being thawed"),
        "{}",
        waited.stderr
    );
    let report = &json(&waited)["report"];
    assert_eq!(
        (report["frozen"].as_u64(), report["asked"].as_u64()),
        (Some(0), Some(0))
    );
    assert_eq!(report["until"], "2096-12-21T00:00:00Z");

    run(root(&place), ["verify", "--all", "--deep"])
        .await
        .expect(0);
    run(root(&place), ["copy", "--to", &vault, "--all"])
        .await
        .expect(0);
    restore(&old, &target, &place).await.expect(0);
    assert_same(
        &expected,
        &Fingerprint::of(&target.client(), &options).await,
    );
    run(root(&place), ["prune", "--keep-last=1"])
        .await
        .expect(0);
    let listed = json(&run(root(&place), ["list", "--json"]).await.expect(0));
    assert_eq!(listed["snapshots"].as_array().map(Vec::len), Some(1));
    run(root(&place), ["thaw", "--snapshot", &old])
        .await
        .expect(1);
    // A folder has no classes.
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    run(on(folder), ["init"]).await.expect(0);
    run(on(folder), move_old).await.expect(1).says("Failed: ");
}

/// `RDUMP_KILLS` says how often; the default is for every day.
#[tokio::test]
async fn whoever_is_killed_while_moving_leaves_all_that_there_was() {
    let kills: u32 = env::var("RDUMP_KILLS").map_or(8, |kills| kills.parse().unwrap());
    let (source, server) = tokio::join!(ReplicaSet::start(), SeaweedFs::start());
    for number in 0..6 {
        let name = format!("shop.c{number}");
        dataset::seed_bulk(&source.client(), &name, dataset::Shape::Medium, 500, number).await;
    }
    let place = server.location("shop");
    let id = backup(&source, &place).await;
    let mut killed = 0;
    for number in 0..kills {
        let class = ["GLACIER_IR", "STANDARD_IA"][number as usize % 2];
        let moving = [
            "tier",
            "--storage-class",
            class,
            "--snapshot",
            &id,
            "--no-lock",
        ];
        let died = Duration::from_millis(u64::from(number * 7 % 16) * 30 + 20);
        killed += u32::from(timeout(died, run(root(&place), moving)).await.is_err());
        run(root(&place), ["verify", "--all", "--deep"])
            .await
            .expect(0);
    }
    assert!(killed > 0, "none of {kills} was killed");
    let moving = [
        "tier",
        "--storage-class=STANDARD_IA",
        "--snapshot",
        &id,
        "--no-lock",
    ];
    run(root(&place), moving).await.expect(0);
    let again = json(
        &run(root(&place), moving.iter().chain(&["--json"]))
            .await
            .expect(0),
    );
    assert_eq!(again["plan"]["snapshots"][0]["objects"], 0);
    assert_ne!(again["plan"]["snapshots"][0]["there"], 0);
    run(root(&place), ["verify", "--all", "--deep"])
        .await
        .expect(0);
}

#[tokio::test]
async fn a_store_copies_by_itself_and_what_it_does_wrong_is_found() {
    let (source, server, other) =
        tokio::join!(ReplicaSet::start(), SeaweedFs::start(), SeaweedFs::start());
    dataset::orders(300).seed(&source.client()).await;
    let gateway = Gateway::start(server.address()).await;
    let here = gateway.location("here");
    let id = backup(&source, &here).await;
    let copy = async |to: &str| {
        let since = gateway.asked().len();
        let arguments = ["copy", "--to", to, "--server-side", "--json"];
        let ran = run(root(&here), arguments).await.expect(0);
        let report = json(&ran)["report"].clone();
        let (stored, by_store) = (&report["stored-bytes"], &report["server-side-bytes"]);
        let numbers = (stored.as_u64().unwrap(), by_store.as_u64().unwrap());
        run(root(to), ["verify", "--all", "--deep"]).await.expect(0);
        (numbers, asked(&gateway, since), ran.stderr)
    };
    let data = format!("here/snapshots/{id}/data/");
    let read = |asked: &BTreeMap<String, Vec<String>>| {
        let gets = asked.get("Get").into_iter().flatten();
        gets.filter(|key| key.starts_with(&data)).count()
    };

    let classed = format!("{}&storage-class=STANDARD_IA", gateway.location("there"));
    let ((stored, by_store), asked, _) = copy(&classed).await;
    assert!(by_store > 0 && by_store < stored, "{by_store} of {stored}");
    assert_eq!(read(&asked), 0);
    // One that it does wrong comes by way of this machine.
    let other_sum = "<CopyPartResult><ETag>\"0\"</ETag><ChecksumCRC32C>4waSgw==</ChecksumCRC32C></CopyPartResult>";
    gateway.rule(move |asked| match asked.operation {
        S3Operation::Copy if asked.before == 0 => Some(Answer::new(200).body(other_sum).into()),
        _ => None,
    });
    let ((_, some), asked, told) = copy(&gateway.location("wrong")).await;
    assert!(
        some > 0 && some < by_store && read(&asked) > 0,
        "{some} of {by_store}"
    );
    assert!(told.contains("another checksum"), "{told}");
    // One that does not do it at all is not asked again and again.
    gateway.rule(|asked| match asked.operation {
        S3Operation::Copy => Some(Fault::error(501, "NotImplemented")),
        _ => None,
    });
    let ((_, none), asked, told) = copy(&gateway.location("refused")).await;
    assert_eq!(none, 0);
    assert!(asked["Copy"].len() <= 16, "{asked:?}");
    assert_eq!(told.matches("cannot copy by itself").count(), 1, "{told}");
    gateway.pass();
    let ((_, none), _, told) = copy(&other.location("elsewhere")).await;
    assert_eq!(none, 0);
    assert!(told.contains("another endpoint"), "{told}");
}
