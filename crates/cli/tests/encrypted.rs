//! Snapshots that are encrypted, from the command line.

use std::{ffi::OsStr, fs, path::Path};

use rdump_testkit::{
    Fingerprint, FingerprintOptions, ReplicaSet, damage, dataset, fingerprint::assert_same,
};
use serde_json::Value;
use tokio::process::Command;

use crate::program::{Ran, rdump, rrestore, run};

/// Made by `age-keygen` for these tests: a public key and its secret one, twice.
pub(crate) const ALICE: [&str; 2] = [
    "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa",
    "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33",
];

/// A folder with a repository and files of keys.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Self { folder };
        fs::write(place.path("alice"), format!("# hers\n{}\n", ALICE[1])).expect("a file");
        fs::write(place.path("passphrase"), "correct horse\n").expect("a file");
        fs::write(place.path("wrong"), "battery staple\n").expect("a file");
        place
    }

    fn path(&self, name: &str) -> String {
        self.folder
            .path()
            .join(name)
            .to_str()
            .expect("UTF-8")
            .to_owned()
    }

    fn on(&self) -> Command {
        let mut rdump = rdump();
        rdump.env("RDUMP_REPO", self.path("repository"));
        rdump
    }

    async fn run(&self, arguments: &[&str]) -> Ran {
        run(self.on(), arguments).await
    }
}

/// That no secret was said.
fn secretive(ran: Ran) -> Ran {
    for secret in [ALICE[1], "correct horse", "battery"] {
        let said = ran.stdout.contains(secret) || ran.stderr.contains(secret);
        assert!(!said, "{}{}", ran.stdout, ran.stderr);
    }
    ran
}

fn id(ran: &Ran) -> String {
    ran.stdout.trim().to_owned()
}

fn compared() -> FingerprintOptions {
    FingerprintOptions::new().ignore_index_version(true)
}

#[tokio::test]
async fn a_backup_to_a_public_key_is_verified_without_and_restored_with_the_secret_one() {
    let (source, target) = tokio::join!(ReplicaSet::start(), ReplicaSet::start());
    dataset::orders(500).seed(&source.client()).await;
    let (place, uri) = (Place::new(), source.uri());
    let ran = place.run(&["backup", &uri, "--encrypt-to", ALICE[0]]).await;
    let snapshot = id(&ran.expect(0));

    place.run(&["verify"]).await.expect(0);
    let ran = place.run(&["verify", "--deep"]).await.expect(1);
    assert!(ran.stderr.contains("no key was given"), "{}", ran.stderr);
    assert!(ran.stderr.contains(ALICE[0]), "{}", ran.stderr);
    let alice = place.path("alice");
    let ran = place.run(&["verify", "--deep", "--identity", &alice]).await;
    secretive(ran.expect(0));

    let ran = place.run(&["show"]).await.expect(0);
    assert!(!ran.stdout.contains("orders"), "{}", ran.stdout);
    assert!(ran.stdout.contains(ALICE[0]), "{}", ran.stdout);
    assert!(ran.stderr.contains("--identity"), "{}", ran.stderr);
    let mut show = place.on();
    show.env("RDUMP_IDENTITY", ALICE[1]);
    let ran = secretive(run(show, ["show", "--json"]).await.expect(0));
    let shown: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(shown["encrypted-to"][0], ALICE[0]);
    assert!(!shown["namespaces"].as_array().unwrap().is_empty());
    assert!(shown["options"].is_object());

    let (repository, to) = (place.path("repository"), target.uri());
    let ran = run(rrestore(), [&to, &repository]).await.expect(1);
    assert!(ran.stderr.contains("no key was given"), "{}", ran.stderr);
    let flags = ["--identity", &alice];
    let ran = run(
        rrestore(),
        [&to, &repository]
            .into_iter()
            .map(String::as_str)
            .chain(flags),
    )
    .await;
    secretive(ran.expect(0));
    let expected = Fingerprint::of(&source.client(), &compared()).await;
    assert_same(
        &expected,
        &Fingerprint::of(&target.client(), &compared()).await,
    );

    let folder = place.path("folder");
    place
        .run(&["export-folder", &snapshot, &folder])
        .await
        .expect(1);
    let ran = place
        .run(&["export-folder", &snapshot, &folder, "--identity", &alice])
        .await;
    secretive(ran.expect(0));
    place.run(&["verify", &folder]).await.expect(0);
    let ran = place
        .run(&["import-folder", &folder, "--encrypt-to", ALICE[0]])
        .await
        .expect(0);
    let ran = place
        .run(&["verify", &id(&ran), "--deep", "--identity", &alice])
        .await;
    ran.expect(0);

    // The next one by mistake is not.
    let ran = place.run(&["backup", &uri]).await.expect(0);
    assert!(
        ran.stderr.contains("this one will not be"),
        "{}",
        ran.stderr
    );
    let ran = run(rrestore(), [to.as_str(), &repository, "--identity", &alice])
        .await
        .expect(1);
    assert!(ran.stderr.contains("is not encrypted"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_passphrase_comes_from_a_file_or_the_environment() {
    let source = ReplicaSet::start().await;
    dataset::orders(20).seed(&source.client()).await;
    let (place, uri) = (Place::new(), source.uri());
    let passphrase = place.path("passphrase");
    let ran = place
        .run(&["backup", &uri, "--passphrase-file", &passphrase])
        .await;
    let first = id(&secretive(ran.expect(0)));
    let mut backup = place.on();
    backup.env("RDUMP_PASSPHRASE", "correct horse");
    secretive(run(backup, ["backup", &uri]).await.expect(0));
    let wrong = place.path("wrong");
    for snapshot in [&first, "latest"] {
        let deep = ["verify", snapshot, "--deep", "--passphrase-file"];
        let ran = place.run(&[&deep[..], &[&passphrase]].concat()).await;
        secretive(ran.expect(0));
        let ran = place.run(&[&deep[..], &[&wrong]].concat()).await;
        let ran = secretive(ran.expect(1));
        assert!(
            ran.stderr.contains("no key that was given opens it"),
            "{}",
            ran.stderr
        );
    }
    let ran = place
        .run(&["rekey", "--all", "--passphrase-file", &passphrase])
        .await;
    ran.expect(2);
    let nobody = ["rekey", "--all", "--json", "--passphrase-file", &wrong];
    let nobody = [&nobody[..], &["--encrypt-to", ALICE[0]]].concat();
    let ran = place.run(&nobody).await;
    let told = crate::repository::json(&ran.expect(1));
    assert_eq!(told["snapshots"], serde_json::json!([]));
    assert_eq!(told["failed"].as_array().unwrap().len(), 2);
    let ran = place
        .run(&[
            "rekey",
            "--all",
            "--passphrase-file",
            &passphrase,
            "--encrypt-to",
            ALICE[0],
        ])
        .await;
    assert_eq!(secretive(ran.expect(0)).stdout.lines().count(), 2);
    let ran = place
        .run(&[
            "verify",
            "--all",
            "--deep",
            "--passphrase-file",
            &passphrase,
        ])
        .await;
    ran.expect(1);
    let alice = place.path("alice");
    let ran = place
        .run(&["verify", "--all", "--deep", "--identity", &alice])
        .await;
    ran.expect(0);
}

#[tokio::test]
async fn a_slip_in_a_passphrase_is_found_before_anything_is_encrypted_with_it() {
    let source = ReplicaSet::start().await;
    dataset::orders(20).seed(&source.client()).await;
    let (place, uri) = (Place::new(), source.uri());
    let (passphrase, wrong) = (place.path("passphrase"), place.path("wrong"));
    let with = async |command: &[&str], passphrase: &str| {
        let arguments = [command, &["--passphrase-file", passphrase]].concat();
        secretive(place.run(&arguments).await)
    };
    let (backup, capture) = (["backup", &uri], ["capture", &uri, "--until-caught-up"]);
    // Of what was written before it began, and later of what is written after.
    with(&capture, &passphrase).await.expect(0);
    with(&backup, &passphrase).await.expect(0);
    let log = source.client().database("shop").collection("log");
    log.insert_one(bson::doc! { "_id": "late" }).await.unwrap();
    for command in [&backup[..], &capture] {
        let ran = with(command, &wrong).await.expect(1);
        assert!(ran.stderr.contains("is not that of"), "{}", ran.stderr);
        assert!(ran.stderr.contains("rekey"), "{}", ran.stderr);
    }
    let ran = place.run(&capture).await.expect(1);
    assert!(
        ran.stderr.contains("no restore takes both"),
        "{}",
        ran.stderr
    );
    with(&capture, &passphrase).await.expect(0);

    let verify = ["verify", "--all"];
    let ran = place.run(&verify).await.expect(0);
    assert!(ran.stderr.contains("slices not opened"), "{}", ran.stderr);
    assert!(ran.stderr.contains("was not opened"), "{}", ran.stderr);
    let ran = with(&verify, &wrong).await.expect(1);
    assert!(
        ran.stderr.contains("NOT VERIFIED 2 slices"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("no key that was given opens it"),
        "{}",
        ran.stderr
    );
    let ran = with(&verify, &passphrase).await.expect(0);
    assert!(!ran.stderr.contains("not opened"), "{}", ran.stderr);

    // Slices get new keys as snapshots do.
    let new = ["rekey", "--all", "--new-passphrase-file", &wrong];
    let ran = with(&new, &passphrase).await.expect(0);
    assert!(
        ran.stderr.contains("what was captured by"),
        "{}",
        ran.stderr
    );
    with(&verify, &wrong).await.expect(0);
    with(&backup, &passphrase).await.expect(1);
    with(&capture, &wrong).await.expect(0);
}

#[tokio::test]
async fn keys_that_are_none_are_refused_before_anything_is_read() {
    let place = Place::new();
    let alice = place.path("alice");
    let uri = "mongodb://127.0.0.1:1";
    for (arguments, code, problem) in [
        (
            vec!["backup", uri, "--encrypt-to", ALICE[1]],
            1,
            "is a secret key",
        ),
        (
            vec!["backup", uri, "--encrypt-to", "nothing"],
            1,
            "--encrypt-to nothing: No such file",
        ),
        (
            vec!["backup", uri, "--encrypt-to", &alice],
            1,
            "is a secret key",
        ),
        (
            vec![
                "backup",
                uri,
                "--encrypt-to",
                ALICE[0],
                "--passphrase-file",
                &alice,
            ],
            2,
            "not both",
        ),
        (
            vec!["show", "--identity", "nothing"],
            1,
            "--identity nothing: No such file",
        ),
        (
            vec!["rekey", "--all", "--encrypt-to", ALICE[0]],
            2,
            "what opens the snapshots now",
        ),
        (
            vec!["rekey", "--encrypt-to", ALICE[0]],
            2,
            "name the snapshots",
        ),
    ] {
        let ran = secretive(place.run(&arguments).await.expect(code));
        assert!(
            ran.stderr.contains(problem),
            "{arguments:?}: {}",
            ran.stderr
        );
    }
    // What is meant to be there and is not must not make a backup that everybody can read.
    for name in ["RDUMP_PASSPHRASE", "RDUMP_ENCRYPT_TO", "RDUMP_IDENTITY"] {
        let not_text = std::os::unix::ffi::OsStrExt::from_bytes(b"p\xe4ss");
        for (value, problem) in [
            (OsStr::new(""), "is set and empty"),
            (not_text, "is not UTF-8"),
        ] {
            let mut on = place.on();
            on.env(name, value);
            let ran = run(on, ["backup", uri]).await.expect(2);
            assert!(ran.stderr.contains(problem), "{}", ran.stderr);
        }
    }
    let mut on = place.on();
    on.env("RDUMP_ENCRYPT_TO", "age1nobody");
    let ran = run(on, ["backup", uri]).await.expect(1);
    assert!(ran.stderr.contains("RDUMP_ENCRYPT_TO: "), "{}", ran.stderr);
    let mut on = place.on();
    on.env("RDUMP_ENCRYPT_TO", ALICE[0]);
    let both = ["backup", uri, "--passphrase-file", &alice];
    let ran = run(on, both).await.expect(2);
    assert!(ran.stderr.contains("not both"), "{}", ran.stderr);
    assert!(!Path::new(&place.path("repository")).exists());
}

#[tokio::test]
async fn what_was_begun_encrypted_is_not_gone_on_with_in_the_clear() {
    let source = ReplicaSet::start().await;
    dataset::orders(20).seed(&source.client()).await;
    let (place, uri) = (Place::new(), source.uri());
    let encrypted = ["backup", &uri, "--encrypt-to", ALICE[0]];
    let id = id(&place.run(&encrypted).await.expect(0));
    for folder in ["manifests", "copies"] {
        fs::remove_file(place.path(&format!("repository/{folder}/{id}.json"))).expect("a file");
    }
    let alice = place.path("alice");
    for more in [&[][..], &["--identity", &alice]] {
        let arguments = [&["backup", &uri, "--resume"], more].concat();
        let ran = secretive(place.run(&arguments).await.expect(1));
        let refused = format!("Failed: snapshot {id} is not gone on with: ");
        ran.says(&refused);
    }
}

#[tokio::test]
async fn damaged_keys_are_found_without_a_key() {
    let source = ReplicaSet::start().await;
    dataset::orders(20).seed(&source.client()).await;
    let place = Place::new();
    let ran = place
        .run(&["backup", &source.uri(), "--encrypt-to", ALICE[0]])
        .await;
    let keys = format!("keys/{}-1.json", id(&ran.expect(0)));
    let path = place.folder.path().join("repository").join(&keys);
    damage::flip_byte(&path, damage::length(&path) / 2);
    let ran = place.run(&["verify"]).await.expect(4);
    assert!(
        ran.stderr.contains(&format!("DAMAGED {keys}")),
        "{}",
        ran.stderr
    );
}
