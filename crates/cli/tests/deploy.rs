//! The files of `deploy/`: what they say is taken by who reads them, and does what they say.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rdump_testkit::{
    ReplicaSet,
    binaries::kubernetes_validate,
    dataset,
    wait::{PATIENCE, wait_for},
};
use serde_json::Value;

mod chart;

use crate::{
    metrics::asked,
    program::{Ran, rdump, run},
    repository::on,
};

/// From the documentation of age.
const SECRET_KEY: &str =
    "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";
const PUBLIC_KEY: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";

/// A file of the folder, as text.
fn text(path: &str) -> String {
    fs::read_to_string(file(path)).unwrap()
}

fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../deploy")
        .join(path)
}

/// The documents of a file of YAML.
fn documents(path: &str) -> Vec<Value> {
    documents_of(&file(path))
}

fn documents_of(path: &Path) -> Vec<Value> {
    let program = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin))))";
    let mut python = Command::new("python3");
    python
        .args(["-c", program])
        .stdin(fs::File::open(path).unwrap());
    python.env("PYTHONPATH", kubernetes_validate().parent().unwrap());
    let read = python.stderr(Stdio::inherit()).output().unwrap();
    serde_json::from_slice(&read.stdout).unwrap()
}

/// What is wrong with a file, if something is.
fn validate(path: &Path) -> Result<(), String> {
    let mut validate = Command::new(kubernetes_validate());
    validate.args(["--strict", "--quiet", "--kubernetes-version", "1.37.0"]);
    let validated = validate.arg(path).output().unwrap();
    let said = [validated.stdout, validated.stderr].concat();
    match validated.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8(said).unwrap()),
    }
}

fn words(of: &Value) -> Vec<String> {
    let words = of.as_array().unwrap().iter();
    words
        .map(|word| word.as_str().unwrap().to_owned())
        .collect()
}

/// The one of a kind and name.
fn the<'a>(documents: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let is_it = |it: &&Value| it["kind"] == kind && it["metadata"]["name"] == name;
    documents.iter().find(is_it).unwrap()
}

/// Whether everything that is asked for is there.
fn selects(selector: &Value, labels: &Value) -> bool {
    let mut wanted = selector.as_object().unwrap().iter();
    !selector.as_object().unwrap().is_empty() && wanted.all(|(name, value)| labels[name] == *value)
}

#[test]
fn the_files_for_kubernetes_are_valid_and_fit_each_other() {
    for path in ["kubernetes/rdump.yaml", "kubernetes/rbac.yaml"] {
        assert_eq!(validate(&file(path)), Ok(()), "{path}");
    }
    let misspelt = text("kubernetes/rdump.yaml").replace("backoffLimit", "backofLimit");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("misspelt.yaml");
    fs::write(&path, misspelt).unwrap();
    let said = validate(&path).unwrap_err();
    assert!(said.contains("backofLimit"), "{said}");

    let documents_of_all = documents("kubernetes/rdump.yaml");
    let service = the(&documents_of_all, "Service", "rdump-capture");
    let capture = &the(&documents_of_all, "Deployment", "rdump-capture")["spec"];
    let labels = &capture["template"]["metadata"]["labels"];
    assert!(selects(&capture["selector"]["matchLabels"], labels));
    assert!(selects(&service["spec"]["selector"], labels));
    let backup = &the(&documents_of_all, "CronJob", "rdump-backup")["spec"]["jobTemplate"]["spec"];
    let of_backup = &backup["template"]["metadata"]["labels"];
    assert!(!selects(&service["spec"]["selector"], of_backup));
    let container = &capture["template"]["spec"]["containers"][0];
    let port = &service["spec"]["ports"][0];
    assert_eq!(port["targetPort"], container["ports"][0]["name"]);
    assert_eq!(port["port"], container["ports"][0]["containerPort"]);
    // The schemas of Kubernetes have no kinds of others.
    let [monitor] = &documents("kubernetes/servicemonitor.yaml")[..] else {
        panic!("one document");
    };
    let kind = (&monitor["apiVersion"], &monitor["kind"]);
    assert_eq!(
        kind,
        (&"monitoring.coreos.com/v1".into(), &"ServiceMonitor".into())
    );
    let spec = &monitor["spec"];
    assert!(selects(
        &spec["selector"]["matchLabels"],
        &service["metadata"]["labels"]
    ));
    assert_eq!(spec["endpoints"][0]["port"], port["name"]);
    let named = ["namespace", "name"].map(|it| monitor["metadata"][it].is_string());
    assert_eq!(named, [true, true]);
}

/// The command line that a line of a unit starts.
fn started(unit: &str, key: &str) -> Vec<String> {
    let text = text(unit);
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let words = line.unwrap().split(' ').map(str::to_owned);
    let words: Vec<_> = words.collect();
    assert_eq!(words[0], "/usr/bin/rdump");
    words[1..].to_vec()
}

#[tokio::test]
async fn what_the_files_start_backs_up_and_captures() {
    let source = ReplicaSet::start().await;
    dataset::orders(100).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    let documents = documents("kubernetes/rdump.yaml");
    let configured = the(&documents, "ConfigMap", "rdump")["data"].as_object();
    let secret = the(&documents, "Secret", "rdump")["stringData"].as_object();
    let names = [secret, configured].map(|it| it.unwrap().keys().collect::<Vec<_>>());
    assert_eq!(names, [["RDUMP_URI"], ["RDUMP_REPO"]]);
    let container = |of: &Value| of["template"]["spec"]["containers"][0]["args"].clone();
    let backup = &the(&documents, "CronJob", "rdump-backup")["spec"]["jobTemplate"]["spec"];
    let capture = &the(&documents, "Deployment", "rdump-capture")["spec"];
    let units = [
        "systemd/rdump-backup.service",
        "systemd/rdump-capture.service",
    ];
    let units = units.map(|unit| started(unit, "ExecStart="));
    let lines = [
        (words(&container(backup)), words(&container(capture))),
        units.into(),
    ];
    for (number, (backup, capture)) in lines.into_iter().enumerate() {
        let repository = folder.path().join(number.to_string());
        let repository = repository.to_str().unwrap();
        let metrics = folder.path().join("rdump.prom");
        let here = |word: String| match word.as_str() {
            "/var/lib/node_exporter/textfile/rdump.prom" => metrics.to_str().unwrap().to_owned(),
            "0.0.0.0:9464" | "127.0.0.1:9464" => "127.0.0.1:0".to_owned(),
            _ => word,
        };
        run(on(repository), ["init"]).await.expect(0);
        let environment = |mut command: tokio::process::Command| {
            command.env("RDUMP_URI", source.uri());
            command.env("RDUMP_REPO", repository);
            command
        };
        let backup: Vec<String> = backup.into_iter().map(here).collect();
        run(environment(rdump()), &backup).await.expect(0);
        let listed = run(on(repository), ["list", "--json"]).await.expect(0);
        let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
        assert_eq!(listed["snapshots"].as_array().unwrap().len(), 1);

        let log = folder.path().join("capture.log");
        let mut command = environment(rdump());
        command.args(capture.into_iter().map(here));
        command.stderr(fs::File::create(&log).unwrap());
        let mut capturing = command.kill_on_drop(true).spawn().unwrap();
        let healthy = async || {
            let said = fs::read_to_string(&log).unwrap();
            let address = said.split("http://").nth(1)?.split('/').next()?.to_owned();
            asked(&address, "/healthz").await
        };
        wait_for("the capture to be healthy", PATIENCE, healthy).await;
        capturing.kill().await.unwrap();
    }
}

/// `deploy/plan.toml` with folders for what it names.
pub(crate) fn plan_in(folder: &Path) -> PathBuf {
    let here = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let mut plan = text("plan.toml");
    for (there, name) in [
        ("/var/lib/rdump", "state"),
        ("s3://company-backup/shop?region=eu-central-1", "main"),
        ("s3://company-vault/shop?region=eu-west-1", "far"),
    ] {
        assert_eq!(plan.matches(there).count(), 1, "{there}");
        plan = plan.replace(there, &here(name));
    }
    plan = plan.replace("/etc/rdump/", &here(""));
    for (name, content) in [
        ("shop.uri", "mongodb://127.0.0.1:1/"),
        ("scratch.uri", "mongodb://127.0.0.1:2/"),
        ("backup.pub", PUBLIC_KEY),
        ("verify.key", SECRET_KEY),
        ("slack.url", "https://127.0.0.1:3/"),
    ] {
        fs::write(folder.join(name), content).unwrap();
    }
    let path = folder.join("plan.toml");
    fs::write(&path, plan).unwrap();
    path
}

#[tokio::test]
async fn the_plan_makes_sense_and_whoever_follows_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan_in(folder.path());
    let plan = plan.to_str().unwrap();
    let checked: Ran = run(rdump(), ["plan", "check", plan]).await.expect(0);
    for text in [
        "Times are those of Europe/Vienna.",
        "--keep-daily=30 --keep-weekly=12 --keep-monthly=12 --pitr-window=7d",
        "RPO 10s",
    ] {
        assert!(checked.stdout.contains(text), "{}", checked.stdout);
    }
    assert!(
        !checked.stdout.contains("To think about"),
        "{}",
        checked.stdout
    );

    let unit = "systemd/rdump-schedule.service";
    let check = started(unit, "ExecStartPre=");
    assert_eq!(check, ["plan", "check", "/etc/rdump/plan.toml"]);
    let follow = started(unit, "ExecStart=");
    assert_eq!(follow, ["schedule", "/etc/rdump/plan.toml"]);
    let [compose] = &documents("docker/compose.yaml")[..] else {
        panic!("one document");
    };
    let service = &compose["services"]["rdump"];
    assert_eq!(words(&service["command"]), follow);
    let mounted = words(&service["volumes"]);
    let state = ["./etc:/etc/rdump:ro", "state:/var/lib/rdump"];
    assert_eq!(mounted, state);
    let dockerfile = &service["build"]["dockerfile"];
    assert_eq!(*dockerfile, "deploy/docker/Dockerfile");
    let timer = text("systemd/rdump-backup.timer");
    assert!(timer.contains("\nOnCalendar=") && timer.contains("\nWantedBy=timers.target\n"));
}

/// The policies of the page are those that other tests take actions out of; the files are for who does not want to copy them from a page.
#[test]
fn the_policies_for_amazon_are_those_of_the_page() {
    let page = text("../docs/s3.md");
    let files = [
        ("writer", "backup"),
        ("reader", "restore"),
        ("verifier", "note"),
        ("pruner", "prune-repository"),
        ("doctor", "doctor"),
        ("tier", "tier"),
        ("thaw", "thaw"),
        ("lock", "lock"),
    ];
    for (name, policy) in files {
        let begin = format!("<!-- policy: {policy} -->\n```json\n");
        let in_page = page.split(&begin).nth(1).unwrap();
        let in_page = in_page.split("```").next().unwrap();
        assert_eq!(text(&format!("aws/{name}.json")), in_page, "{name}");
        assert!(page.contains(&format!("`{name}.json`")), "{name}");
        let policy: Value = serde_json::from_str(in_page).unwrap();
        let statements = policy["Statement"].as_array().unwrap();
        let actions: Vec<String> = statements
            .iter()
            .flat_map(|it| words(&it["Action"]))
            .collect();
        assert!(!actions.is_empty(), "{name}");
        assert!(actions.iter().all(|it| !it.contains('*')), "{actions:?}");
        let deletes = actions.iter().any(|it| it == "s3:DeleteObject");
        assert_eq!(deletes, name == "pruner", "{name}: {actions:?}");
    }
    let count = fs::read_dir(file("aws")).unwrap().count();
    assert_eq!(count, files.len());
}
