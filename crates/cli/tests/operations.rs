//! The runbooks of `docs/operations`: what they are for is made to happen, and each of their commands is run as it stands there.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

use bson::{Document, doc};
use rdump_testkit::{
    Fingerprint, FingerprintOptions, ReplicaSet, dataset,
    fingerprint::assert_same,
    wait::{PATIENCE, wait_for},
};
use tokio::process::Command;

use crate::{
    program::{Ran, rdump, run},
    repository::{backup, json, on},
};

/// The pages, and how many commands each has: one that is lost is missed.
const PAGES: &[(&str, usize)] = &[
    ("README.md", 0),
    ("restore-all.md", 6),
    ("restore-collection.md", 3),
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
        println!("$ {line}\n{}{}", ran.stdout, ran.stderr);
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
