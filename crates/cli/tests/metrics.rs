//! What Prometheus is told.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use bson::doc;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rdump_testkit::{
    ReplicaSet,
    binaries::promtool,
    damage::{files, flip_byte},
    dataset,
    wait::{PATIENCE, wait_for},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::Command,
};

use crate::{
    program::{rdump, rrestore, run},
    repository::{backup, on},
};

/// Fails the test unless promtool is content, and has nothing to say.
async fn check(text: &str) {
    let mut promtool = Command::new(promtool());
    promtool.args(["check", "metrics"]).stdin(Stdio::piped());
    promtool.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("promtool starts");
    let mut stdin = promtool.stdin.take().expect("it is piped");
    stdin
        .write_all(text.as_bytes())
        .await
        .expect("promtool reads");
    drop(stdin);
    let ended = promtool.wait_with_output().await.expect("promtool ends");
    let said = String::from_utf8([ended.stdout, ended.stderr].concat()).expect("text");
    assert!(ended.status.success() && said.is_empty(), "{said}\n{text}");
}

/// The value of a metric, of the operation if that is not empty.
pub(crate) fn value(text: &str, name: &str, operation: &str) -> Option<f64> {
    let mut lines = text.lines().filter(|line| {
        let is_it = line.split(['{', ' ']).next() == Some(name);
        is_it && (operation.is_empty() || line.contains(&format!("operation=\"{operation}\"")))
    });
    let line = lines.next()?;
    assert_eq!(lines.next(), None, "one {name} of {operation} only");
    line.rsplit_once(' ')?.1.parse().ok()
}

struct File(PathBuf);

impl File {
    fn text(&self) -> String {
        fs::read_to_string(&self.0).expect("metrics were written")
    }

    fn value(&self, name: &str, operation: &str) -> Option<f64> {
        value(&self.text(), name, operation)
    }

    /// The option that names it.
    fn option(&self) -> String {
        format!("--metrics-file={}", self.0.display())
    }
}

#[tokio::test]
async fn each_command_leaves_metrics_that_promtool_finds_nothing_wrong_with() {
    let (source, target) = tokio::join!(ReplicaSet::start(), ReplicaSet::start());
    dataset::orders(100).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (repository, copy, dump) = (place("repository"), place("copy"), place("dump"));
    let file = File(folder.path().join("rdump.prom"));
    let option = file.option();

    // Nobody has made a repository there yet.
    let status = ["status", &option];
    run(on(&repository), status).await.expect(1);
    assert_eq!(file.value("rdump_last_run_success", "status"), Some(0.0));
    backup(&source, &repository, &[&option, "--dryRun"])
        .await
        .expect(0);
    assert!(!file.text().contains("backup"), "{}", file.text());
    backup(&source, &repository, &[&option]).await.expect(0);
    let documents = file.value("rdump_last_run_documents", "backup");
    assert!(documents >= Some(100.0), "{documents:?}");
    let good = file.value("rdump_last_success_timestamp_seconds", "backup");
    assert!(good > Some(1.7e9), "{good:?}");
    run(on(&repository), ["verify", "--all", &option])
        .await
        .expect(0);
    let uri = source.uri();
    let capture = [
        "capture",
        &uri,
        "--until-caught-up",
        "--slice-age=200ms",
        &option,
    ];
    run(on(&repository), capture).await.expect(0);
    let copying = ["copy", "--to", &copy, "--timeline", &option];
    run(on(&repository), copying).await.expect(0);
    let prune = ["prune", "--keep-last=1", &option];
    run(on(&repository), prune).await.expect(0);
    run(rdump(), [&uri, "--out", &dump, &option])
        .await
        .expect(0);
    let restore = ["--uri", &target.uri(), &dump, &option];
    run(rrestore(), restore).await.expect(0);
    run(on(&repository), status).await.expect(0);
    let text = file.text();
    check(&text).await;
    for (operation, has_documents) in [
        ("backup", true),
        ("capture", true),
        ("copy", false),
        ("dump", true),
        ("prune", false),
        ("restore", true),
        ("status", false),
        ("verify", false),
    ] {
        let value = |name: &str| value(&text, &format!("rdump_{name}"), operation);
        assert_eq!(value("last_run_success"), Some(1.0), "{operation}\n{text}");
        assert!(
            value("last_run_duration_seconds") > Some(0.0),
            "{operation}"
        );
        let documents = value("last_run_documents");
        assert_eq!(documents.is_some(), has_documents, "{operation}");
        assert_eq!(value("last_run_error"), None, "{operation}");
    }
    let state = |name: &str| value(&text, &format!("rdump_{name}"), "");
    assert_eq!(state("snapshots"), Some(1.0));
    assert_eq!(state("damaged_snapshots"), Some(0.0));
    assert_eq!(state("open_gaps"), Some(0.0));
    assert_eq!(state("capture_running"), Some(0.0));
    assert!(state("repository_stored_bytes") > Some(1000.0), "{text}");
    let (good, newest) = (
        state("last_good_snapshot_timestamp_seconds"),
        state("newest_snapshot_timestamp_seconds"),
    );
    assert!(good.is_some() && good == newest, "{text}");
    let ends = [
        "restorable_start",
        "restorable_end",
        "captured_until",
        "last_verified",
        "status",
    ];
    for name in ends {
        let value = state(&format!("{name}_timestamp_seconds"));
        assert!(value > Some(1.7e9), "{name}\n{text}");
    }

    // A run that fails leaves the time of the last good one.
    let good = file.value("rdump_last_success_timestamp_seconds", "backup");
    let elsewhere = [
        "backup",
        "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300",
        &option,
    ];
    run(on(&repository), elsewhere).await.expect(1);
    let text = file.text();
    check(&text).await;
    let value = |name: &str| value(&text, &format!("rdump_{name}"), "backup");
    assert_eq!(value("last_success_timestamp_seconds"), good);
    assert!(value("last_failure_timestamp_seconds") >= good);
    assert_eq!(value("last_run_success"), Some(0.0));
    assert_eq!(value("last_run_documents"), None);
    assert!(
        text.contains(r#"kind="unavailable",operation="backup""#),
        "{text}"
    );

    // So does damage.
    let data = files(Path::new(&repository)).into_iter();
    let mut data = data.filter(|path| path.to_string_lossy().contains("/data/"));
    flip_byte(&Path::new(&repository).join(data.next().unwrap()), 10);
    run(on(&repository), ["verify", "--all", &option])
        .await
        .expect(4);
    run(on(&repository), status).await.expect(0);
    assert_eq!(file.value("rdump_last_run_damage", "verify"), Some(1.0));
    assert_eq!(file.value("rdump_damaged_snapshots", ""), Some(1.0));
    assert_eq!(
        file.value("rdump_last_good_snapshot_timestamp_seconds", ""),
        None
    );
    check(&file.text()).await;
}

#[tokio::test]
async fn metrics_that_cannot_be_written_are_a_problem_of_what_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().join("repository");
    let repository = repository.to_str().unwrap();
    run(rdump(), ["init", repository]).await.expect(0);
    let foreign = folder.path().join("foreign.prom");
    fs::write(&foreign, "node_load1 3\n").unwrap();
    let option = File(foreign.clone()).option();
    run(on(repository), ["status", &option])
        .await
        .expect(3)
        .says("WARNING: metrics were not written: line 1 of ");
    assert_eq!(fs::read_to_string(&foreign).unwrap(), "node_load1 3\n");
    let option = File(folder.path().join("no/where.prom")).option();
    run(on(repository), ["status", &option])
        .await
        .expect(3)
        .says("WARNING: metrics were not written: cannot open ");
    // Where nothing is said of a repository, nothing is written.
    let nowhere = File(folder.path().join("rdump.prom"));
    run(rdump(), ["status", &nowhere.option()]).await.expect(2);
    assert!(!nowhere.0.exists());
}

/// What is answered to who asks for a path.
pub(crate) async fn asked(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    Some(body.to_owned())
}

#[tokio::test]
async fn a_capture_answers_who_asks_how_far_it_is() {
    let source = ReplicaSet::start().await;
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().join("repository");
    let repository = repository.to_str().unwrap();
    let file = File(folder.path().join("rdump.prom"));
    let mut command = on(repository);
    command.args([
        "capture",
        &source.uri(),
        "--slice-age=200ms",
        &file.option(),
    ]);
    command.arg("--metrics-listen=127.0.0.1:0");
    let spawned = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = spawned.unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let address = loop {
        let line = lines.next_line().await.unwrap().expect("a line");
        if let Some((_, rest)) = line.split_once("metrics are at http://") {
            break rest.strip_suffix("/metrics").unwrap().to_owned();
        }
    };
    assert_eq!(asked(&address, "/healthz").await.unwrap(), "ok\n");

    // The address is taken.
    let other = ["capture", &source.uri(), "--metrics-listen", &address];
    run(on(repository), other).await.expect(1).says(&format!(
        "Failed: cannot listen on {address}, as --metrics-listen says: "
    ));

    let orders = source.client().database("shop").collection("orders");
    let has_stored = async || {
        orders.insert_one(doc! { "a": 1 }).await.unwrap();
        let text = asked(&address, "/metrics").await?;
        (value(&text, "rdump_capture_slices_total", "") > Some(0.0)).then_some(text)
    };
    let text = wait_for("a slice", PATIENCE, has_stored).await;
    check(&text).await;
    let of = |name: &str| value(&text, &format!("rdump_{name}"), "");
    assert!(of("capture_entries_total") > Some(0.0));
    assert!(of("capture_stored_bytes_total") > Some(0.0));
    assert!(of("captured_until_timestamp_seconds") > Some(1.7e9));
    assert!(of("capture_lag_seconds") < Some(60.0));
    assert_eq!(of("capture_gaps_total"), Some(0.0));
    assert!(of("capture_waiting_bytes").is_some());

    let id = i32::try_from(child.id().unwrap()).unwrap();
    kill(Pid::from_raw(id), Signal::SIGTERM).unwrap();
    while lines.next_line().await.unwrap().is_some() {}
    let ended = child.wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert!(TcpStream::connect(&address).await.is_err());
    assert_eq!(file.value("rdump_last_run_success", "capture"), Some(1.0));
    assert!(file.value("rdump_last_run_slices", "capture") > Some(0.0));

    for wrong in ["9464", ":9464", "127.0.0.1:99999"] {
        let wrong = ["capture", &source.uri(), "--metrics-listen", wrong];
        let ran = run(on(repository), wrong).await.expect(2);
        assert!(
            ran.stderr.contains("is no address such as"),
            "{}",
            ran.stderr
        );
    }
}

#[tokio::test]
async fn promtool_takes_the_alerts_and_each_fires_where_it_should() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/prometheus");
    for arguments in [
        ["check", "rules", "rules.yml"],
        ["test", "rules", "rules_test.yml"],
    ] {
        let mut promtool = Command::new(promtool());
        let ended = promtool.current_dir(&rules).args(arguments).output();
        let ended = ended.await.unwrap();
        let said = String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap();
        assert!(ended.status.success(), "{said}");
        assert!(
            said.contains("SUCCESS") && !said.contains("FAILED"),
            "{said}"
        );
    }
}
