//! The runbooks of `docs/operations`: what they are for is made to happen, and each of their commands is run as it stands there.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use std::{
    collections::BTreeSet,
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use age::secrecy::ExposeSecret as _;
use bson::{Document, doc};
use rdump_testkit::{
    Fingerprint, FingerprintOptions, ReplicaSet, SeaweedFs,
    damage::SmallDisk,
    dataset,
    fingerprint::assert_same,
    s3::{ACCESS_KEY, SECRET_KEY},
    wait::{PATIENCE, wait_for},
};
use tokio::process::Command;

use crate::{
    deploy,
    object_store_access::asked_by,
    program::{Ran, run},
    repository::{backup, json, on},
};

/// The pages, and how many commands each has: one that is lost is missed.
const PAGES: &[(&str, usize)] = &[
    ("README.md", 0),
    ("restore-all.md", 6),
    ("restore-collection.md", 3),
    ("lost-region.md", 7),
    ("lost-key.md", 6),
    ("gap.md", 6),
    ("disk-full.md", 5),
    ("policy.md", 6),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations")
}

/// A page that is followed.
struct Page {
    name: &'static str,
    commands: Vec<String>,
    next: usize,
    variables: Vec<(&'static str, String)>,
    folder: tempfile::TempDir,
}

impl Page {
    fn open(name: &'static str) -> Self {
        let text = fs::read_to_string(folder().join(name)).unwrap();
        let blocks = text.split("```console\n").skip(1);
        let lines = blocks.flat_map(|block| block.split("\n```").next().unwrap().lines());
        let commands: Vec<_> = lines
            .map(|line| {
                line.strip_prefix("$ ")
                    .unwrap_or_else(|| panic!("{name}: {line}"))
            })
            .map(str::to_owned)
            .collect();
        let listed = PAGES.iter().find(|(page, _)| *page == name).unwrap();
        assert_eq!(commands.len(), listed.1, "{name}");
        let folder = tempfile::tempdir().unwrap();
        Self {
            name,
            commands,
            next: 0,
            variables: Vec::new(),
            folder,
        }
    }

    /// Sets a variable that the page or the first one speaks of.
    fn set(&mut self, name: &'static str, value: impl Into<String>) -> String {
        let value = value.into();
        self.variables.retain(|(it, _)| *it != name);
        self.variables.push((name, value.clone()));
        value
    }

    /// A path in a folder of its own.
    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Runs the next command, which has to begin so, and to end with the code that the page says, or with 0.
    async fn follow(&mut self, start: &str) -> Ran {
        let line = self.commands.get(self.next).cloned();
        let line = line.unwrap_or_else(|| panic!("{} has no more than {}", self.name, self.next));
        self.next += 1;
        assert!(line.contains(start), "{}: {line}", self.name);
        let code = line.split_once("# exit ").map_or("0", |(_, code)| code);
        let programs = Path::new(env!("CARGO_BIN_EXE_rdump")).parent().unwrap();
        let path = format!("{}:{}", programs.display(), env::var("PATH").unwrap());
        let mut bash = Command::new("bash");
        bash.args(["-euc", &line]).current_dir(self.folder.path());
        for (name, _) in env::vars().filter(|(name, _)| name.starts_with("RDUMP_")) {
            bash.env_remove(name);
        }
        bash.env("PATH", path).kill_on_drop(true);
        bash.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let ran = run(bash, [""; 0]).await;
        ran.expect(code.trim().parse().unwrap())
    }

    /// That nothing of the page was left out.
    fn end(self) {
        assert_eq!(self.next, self.commands.len(), "{}", self.name);
    }
}

#[test]
fn each_page_is_followed_and_found() {
    let found = fs::read_dir(folder()).unwrap();
    let found: BTreeSet<_> = found
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let listed: BTreeSet<_> = PAGES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(found, listed);
    let index = fs::read_to_string(folder().join("README.md")).unwrap();
    for (name, _) in &PAGES[1..] {
        assert!(index.contains(&format!("[{name}]({name})")), "{name}");
    }
}

#[test]
fn alerts_that_pages_name_are_those_of_the_rules() {
    let rules = fs::read_to_string(folder().join("../../deploy/prometheus/rules.yml")).unwrap();
    let mut named = 0;
    for (name, _) in PAGES {
        let text = fs::read_to_string(folder().join(name)).unwrap();
        let words = text.split(|it: char| !it.is_alphanumeric());
        let is_alert = |it: &&str| it.strip_prefix("Rdump").is_some_and(|it| !it.is_empty());
        for alert in words.filter(is_alert) {
            assert!(
                rules.contains(&format!("alert: {alert}\n")),
                "{name}: {alert}"
            );
            named += 1;
        }
    }
    assert!(named > 0);
}

/// Captures what was written until now.
async fn capture(source: &ReplicaSet, repository: &str) {
    let capture = ["capture", &source.uri(), "--until-caught-up"];
    run(on(repository), capture).await.expect(0);
}

/// A second that is over, at the end of which everything is as it is now.
async fn moment(source: &ReplicaSet) -> String {
    let admin = source.client().database("admin");
    let second = async || {
        let answer = admin.run_command(doc! { "hello": 1 }).await.unwrap();
        answer.get_timestamp("operationTime").unwrap().time
    };
    let writes = source.client().database("beat").collection("beat");
    let now = second().await;
    wait_for("the next second", PATIENCE, async || {
        writes.insert_one(doc! {}).await.unwrap();
        (second().await > now).then_some(())
    })
    .await;
    let moment = jiff::Timestamp::from_second(i64::from(now)).unwrap();
    moment.to_string()
}

/// All that applications see.
async fn all_of(deployment: &ReplicaSet) -> Fingerprint {
    let options = FingerprintOptions::new().ignore_index_version(true);
    Fingerprint::of(&deployment.client(), &options).await
}

#[tokio::test]
async fn everything_is_restored() {
    let (source, new) = tokio::join!(ReplicaSet::start(), ReplicaSet::start());
    dataset::orders(2_000).seed(&source.client()).await;
    let mut page = Page::open("restore-all.md");
    let uri = page.set("NEW_URI", new.uri());
    let repository = page.set("RDUMP_REPO", page.path("repository"));
    page.set("NEW_REPO", page.path("new"));
    backup(&source, &repository, &[]).await.expect(0);
    let first = all_of(&source).await;
    let orders = source
        .client()
        .database("shop")
        .collection::<Document>("orders");
    orders
        .delete_many(doc! { "_id": { "$lt": 100 } })
        .await
        .unwrap();
    let before = all_of(&source).await;
    page.set("MOMENT", moment(&source).await);
    orders.drop().await.unwrap();
    capture(&source, &repository).await;
    let last = all_of(&source).await;
    drop(source);

    page.follow("rdump list").await;
    page.follow("rdump status").await;
    page.follow("--to latest").await;
    assert_same(&last, &all_of(&new).await);
    // What the first attempt has of later goes by hand: --drop is of what is restored.
    new.client().database("beat").drop().await.unwrap();
    page.follow("--to-time").await;
    new.client().database("beat").drop().await.unwrap();
    assert_same(&before, &all_of(&new).await);
    page.follow("--drop").await;
    assert_same(&first, &all_of(&new).await);
    let ran = page.follow("rdump backup").await;
    let verify = ["verify", ran.stdout.trim()];
    let own = page.path("new");
    run(on(&own), verify).await.expect(0);
    assert!(!uri.is_empty());
    page.end();
}

#[tokio::test]
async fn one_collection_is_restored_to_a_minute_ago() {
    let source = ReplicaSet::start().await;
    dataset::orders(2_000).seed(&source.client()).await;
    let mut page = Page::open("restore-collection.md");
    page.set("RDUMP_URI", source.uri());
    let repository = page.set("RDUMP_REPO", page.path("repository"));
    backup(&source, &repository, &[]).await.expect(0);
    let shop = source.client().database("shop");
    let orders = shop.collection::<Document>("orders");
    orders
        .insert_one(doc! { "_id": "after the snapshot", "number": -1 })
        .await
        .unwrap();
    let count = orders.count_documents(doc! {}).await.unwrap();
    page.set("MOMENT", moment(&source).await);
    orders
        .delete_many(doc! { "_id": { "$type": "string" } })
        .await
        .unwrap();
    orders
        .delete_many(doc! { "number": { "$mod": [2, 0] } })
        .await
        .unwrap();
    orders
        .insert_one(doc! { "_id": "new since", "number": -2 })
        .await
        .unwrap();
    let left = orders.count_documents(doc! {}).await.unwrap();
    assert!(left < count);
    capture(&source, &repository).await;

    page.follow("--nsTo shop.orders_restored").await;
    let restored = shop.collection::<Document>("orders_restored");
    assert_eq!(restored.count_documents(doc! {}).await.unwrap(), count);
    assert_eq!(orders.count_documents(doc! {}).await.unwrap(), left);
    page.follow("--archive").await;
    assert_eq!(orders.count_documents(doc! {}).await.unwrap(), count + 1);
    page.follow("--drop").await;
    assert_eq!(orders.count_documents(doc! {}).await.unwrap(), count);
    let lost = orders.find_one(doc! { "_id": "new since" }).await.unwrap();
    assert!(lost.is_none());
    page.end();
}

#[tokio::test]
async fn the_copy_takes_the_place_of_a_repository_that_is_gone() {
    let (source, new) = tokio::join!(ReplicaSet::start(), ReplicaSet::start());
    let (first, second) = tokio::join!(SeaweedFs::start(), SeaweedFs::start());
    dataset::orders(500).seed(&source.client()).await;
    let mut page = Page::open("lost-region.md");
    page.set("AWS_ACCESS_KEY_ID", ACCESS_KEY);
    page.set("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    page.set("RDUMP_URI", source.uri());
    page.set("NEW_URI", new.uri());
    let repository = page.set("RDUMP_REPO", first.location("shop"));
    let copy = page.set("COPY", second.location("shop"));
    let root = |place: &str| asked_by(ACCESS_KEY, on(place));
    let uri = source.uri();
    let orders = source.client().database("shop").collection("late");
    run(root(&repository), ["backup", &uri]).await.expect(0);
    orders.insert_one(doc! { "_id": 1 }).await.unwrap();
    let capture = ["capture", &uri, "--until-caught-up"];
    run(root(&repository), capture).await.expect(0);
    let line = ["copy", "--to", &copy, "--all", "--timeline"];
    run(root(&repository), line).await.expect(0);
    let copied = all_of(&source).await;
    drop(first);
    orders.insert_one(doc! { "_id": 2 }).await.unwrap();

    page.follow("rdump status").await;
    page.follow("rdump verify").await;
    page.follow("rrestore").await;
    assert_same(&copied, &all_of(&new).await);
    page.follow("rdump backup").await;
    page.follow("rdump capture").await;
    let again = SeaweedFs::start().await;
    let place = page.set("NEW_REPO", again.location("shop"));
    page.follow("rdump copy").await;
    page.follow("rdump verify").await;
    let status = async |place: &str| json(&run(root(place), ["status", "--json"]).await.expect(0));
    let (here, there) = (status(&copy).await, status(&place).await);
    assert!(here["restorable-until"].is_object() || here["restorable-until"].is_string());
    assert_eq!(here["restorable-until"], there["restorable-until"]);
    page.end();
}

/// Writes a secret key into a file, and gives the public one.
fn new_key(file: &str) -> String {
    let key = age::x25519::Identity::generate();
    fs::write(file, key.to_string().expose_secret()).unwrap();
    key.to_public().to_string()
}

#[tokio::test]
async fn a_lost_key_is_replaced_by_who_has_another() {
    let source = ReplicaSet::start().await;
    dataset::orders(500).seed(&source.client()).await;
    let mut page = Page::open("lost-key.md");
    page.set("RDUMP_URI", source.uri());
    let repository = page.set("RDUMP_REPO", page.path("repository"));
    let lost = new_key(&page.path("lost.key"));
    let other_key = page.set("OTHER_KEY", page.path("other.key"));
    let other = new_key(&other_key);
    let both = ["--encrypt-to", &lost, "--encrypt-to", &other];
    backup(&source, &repository, &both).await.expect(0);
    let public = new_key(&page.set("NEW_KEY", page.path("new.key")));
    let public_keys = page.set("NEW_KEYS", page.path("keys.pub"));
    fs::write(public_keys, public).unwrap();

    page.follow("rdump show").await;
    page.follow("rdump verify latest").await;
    page.follow("--identity \"$OTHER_KEY\"").await;
    page.follow("rdump rekey").await;
    // What was encrypted to both is open to neither.
    let verify = ["verify", "latest", "--deep", "--identity", &other_key];
    let ran = run(on(&repository), verify).await.expect(1);
    assert!(ran.stderr.contains("key"), "{}", ran.stderr);
    page.follow("rdump backup").await;
    page.follow("--identity \"$NEW_KEY\"").await;
    page.end();
}

#[tokio::test]
async fn a_gap_is_closed_by_a_snapshot() {
    let builder = ReplicaSet::builder().oplog_mebibytes(1);
    // Only what is in a checkpoint is forgotten.
    let source = builder.argument("--syncdelay=1").start().await;
    let new = ReplicaSet::start().await;
    let log = source
        .client()
        .database("shop")
        .collection::<Document>("log");
    let mut page = Page::open("gap.md");
    page.set("RDUMP_URI", source.uri());
    page.set("NEW_URI", new.uri());
    let repository = page.set("RDUMP_REPO", page.path("repository"));
    backup(&source, &repository, &[]).await.expect(0);
    log.insert_one(doc! { "_id": 0 }).await.unwrap();
    capture(&source, &repository).await;
    let local = source.client().database("local");
    let oplog = local.collection::<Document>("oplog.rs");
    let oldest = async || {
        let oldest = oplog.find_one(doc! {}).sort(doc! { "$natural": 1 });
        oldest.await.unwrap().unwrap().get_timestamp("ts").unwrap()
    };
    let newest = oplog.find_one(doc! {}).sort(doc! { "$natural": -1 });
    let captured = newest.await.unwrap().unwrap();
    let captured = captured.get_timestamp("ts").unwrap();
    page.set("MOMENT", moment(&source).await);
    let text = "x".repeat(1 << 20);
    for number in 1.. {
        let large = doc! { "_id": number, "text": &text };
        log.insert_one(large).await.unwrap();
        if oldest().await > captured {
            break;
        }
    }
    let line = ["capture", &source.uri(), "--until-caught-up"];
    run(on(&repository), line).await.expect(3);

    let ran = page.follow("rdump status").await;
    assert!(ran.stdout.contains("gap"), "{}", ran.stdout);
    let ran = page.follow("rdump list").await;
    assert!(ran.stdout.contains("gap"), "{}", ran.stdout);
    page.follow("rdump backup").await;
    page.follow("rdump capture").await;
    page.follow("rdump status --max-lag").await;
    let ran = page.follow("rrestore").await;
    assert!(
        ran.stderr.contains("gap") || ran.stderr.contains("nearest"),
        "{}",
        ran.stderr
    );
    let shop = new.client().database("shop");
    assert!(shop.list_collection_names().await.unwrap().is_empty());
    page.end();
}

#[tokio::test]
async fn a_full_disk_is_pruned_and_the_backup_goes_on() {
    let source = ReplicaSet::start().await;
    let disk = SmallDisk::mount(16 << 20);
    let mut page = Page::open("disk-full.md");
    let uri = page.set("RDUMP_URI", source.uri());
    let repository = disk.path().join("repository");
    let repository = page.set("RDUMP_REPO", repository.to_str().unwrap());
    dataset::seed_bulk(&source.client(), "shop.a", dataset::Shape::Medium, 2_000, 1).await;
    let line = ["backup", &uri, "--compress", "none"];
    let mut snapshots = 0;
    let ran = loop {
        let ran = run(on(&repository), line).await;
        if ran.code != Some(0) {
            break ran.expect(1);
        }
        run(on(&repository), ["verify", "latest"]).await.expect(0);
        snapshots += 1;
    };
    assert!(ran.stderr.contains("no space left"), "{}", ran.stderr);
    assert!(snapshots > 1, "{snapshots}");
    // Not a byte is left.
    let filler = disk.path().join("of somebody else");
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    let ran = run(on(&repository), ["prune", "--keep-last=1"]).await;
    ran.expect(1).says("Failed: no space left");
    drop(file);
    fs::remove_file(filler).unwrap();
    let listed = json(&run(on(&repository), ["list", "--json"]).await.expect(0));
    assert_eq!(listed["snapshots"].as_array().unwrap().len(), snapshots);

    page.follow("rdump status").await;
    page.follow("--dry-run").await;
    page.follow("rdump prune").await;
    page.follow("rdump backup --resume").await;
    page.follow("rdump verify").await;
    page.end();
}

#[tokio::test]
async fn the_policy_is_set_up() {
    let (source, scratch) = tokio::join!(ReplicaSet::start(), ReplicaSet::start());
    dataset::orders(500).seed(&source.client()).await;
    let mut page = Page::open("policy.md");
    deploy::plan_in(page.folder.path());
    page.set("RDUMP_URI", source.uri());
    page.set("RDUMP_SCRATCH_URI", scratch.uri());
    page.set("RDUMP_REPO", page.path("repository"));
    page.follow("rdump plan check").await;
    page.follow("rdump backup").await;
    page.follow("rdump verify").await;
    page.follow("rdump doctor").await;
    page.follow("rrestore drill").await;
    assert!(fs::exists(page.path("drill.html")).unwrap());
    page.follow("rdump status").await;
    page.end();
}
