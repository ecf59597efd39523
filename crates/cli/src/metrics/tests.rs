use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Barrier},
    time::Duration,
};

use rdump::CancellationToken;
use rdump_testkit::binaries::promtool;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

use super::*;
use crate::{exit::Exit, outcome::Told};

const ODD: &str = "s3://a \"b\"\\c\nd";

fn workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

/// A registry in which everything has a value.
fn full() -> Registry {
    let registry = Registry::new();
    for (at, metric) in (1_u32..).zip(ALL) {
        let labels = vec![ODD; metric.labels.len()];
        registry.set(metric, &labels, f64::from(at) + 0.5);
    }
    registry
}

fn lines<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let is_it = |line: &&str| line.split(['{', ' ']).next() == Some(name);
    text.lines().filter(is_it).collect()
}

fn ended(figures: &[(&'static Metric, u64)]) -> Told {
    Told {
        repository: Some("r".to_owned()),
        figures: figures.to_vec(),
        seconds: 1.5,
        ..Told::default()
    }
}

#[test]
fn promtool_finds_nothing_to_say_of_any_metric() {
    use std::io::Write as _;
    let mut promtool = Command::new(promtool())
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let text = full().text();
    let mut stdin = promtool.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
}

#[test]
fn what_is_written_is_read_again() {
    let text = full().text();
    for metric in ALL {
        assert!(!lines(&text, metric.name).is_empty(), "{}", metric.name);
    }
    let again = Registry::new();
    again.restore(&text).unwrap();
    // But for the version that wrote it.
    again.set(&BUILD_INFO, &[ODD], 1.5);
    let sorted = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(sorted(&again.text()), sorted(&text));
}

#[test]
fn what_is_not_of_rdump_is_refused_and_what_another_version_wrote_is_left_out() {
    let registry = Registry::new();
    let unknown = |text: &str| registry.restore(text).map_err(|unknown| unknown.line);
    assert_eq!(unknown("# HELP a b\n\nnode_load1 3"), Err(3));
    for wrong in [
        "rdump_gaps",
        "rdump_gaps{",
        "rdump_gaps{a=\"b} 1",
        "rdump_gaps x",
        "PASSWORD=x",
    ] {
        assert_eq!(unknown(wrong), Err(1), "{wrong}");
    }
    assert_eq!(
        unknown("rdump_of_the_future{a=\"b\"} 1\nrdump_gaps{repository=\"r\"} 2"),
        Ok(())
    );
    let text = registry.text();
    assert!(!text.contains("future"), "{text}");
    assert_eq!(
        lines(&text, "rdump_gaps"),
        ["rdump_gaps{repository=\"r\"} 2"]
    );
}

#[test]
fn a_run_that_failed_leaves_when_the_last_good_one_was_and_nothing_of_its_figures() {
    let registry = Registry::new();
    let good = ended(&[(&DOCUMENTS, 7), (&STORED_BYTES, 9)]);
    record(&registry, "backup", Exit::Done, &good);
    record(&registry, "verify", Exit::Problems, &good);
    let mut bad = ended(&[]);
    bad.failure = Some(("conflict", "somebody else".to_owned()));
    record(&registry, "backup", Exit::Failed, &bad);
    let text = registry.text();
    let of = |name: &str| lines(&text, name);
    let (backup, verify) = (
        r#"{operation="backup",repository="r"}"#,
        r#"{operation="verify",repository="r"}"#,
    );
    assert_eq!(of("rdump_last_success_timestamp_seconds").len(), 2);
    let [failure] = of("rdump_last_failure_timestamp_seconds")[..] else {
        panic!("{text}");
    };
    assert!(failure.contains(backup));
    assert_eq!(
        of("rdump_last_run_documents"),
        [format!("rdump_last_run_documents{verify} 7")]
    );
    assert_eq!(
        of("rdump_last_run_success"),
        [
            format!("rdump_last_run_success{backup} 0"),
            format!("rdump_last_run_success{verify} 1")
        ]
    );
    assert_eq!(
        of("rdump_last_run_error"),
        [r#"rdump_last_run_error{kind="conflict",operation="backup",repository="r"} 1"#]
    );
    assert_eq!(of("rdump_runs_total").len(), 3);

    record(&registry, "backup", Exit::Done, &good);
    let text = registry.text();
    assert!(lines(&text, "rdump_last_run_error").is_empty());
    let runs = r#"rdump_runs_total{operation="backup",repository="r",result="success"} 2"#;
    assert!(text.contains(runs), "{text}");
}

#[test]
fn what_is_not_so_any_more_is_not_told_once_a_repository_was_looked_at() {
    let registry = Registry::new();
    registry.set(&RESTORABLE_END, &["r"], 1.0);
    registry.set(&RESTORABLE_END, &["other"], 1.0);
    registry.set(&CAPTURE_SLICES, &["r"], 1.0);
    let mut told = ended(&[(&SNAPSHOTS, 0)]);
    told.is_state = true;
    record(&registry, "status", Exit::Done, &told);
    let text = registry.text();
    let left = [r#"rdump_restorable_end_timestamp_seconds{repository="other"} 1"#];
    assert_eq!(lines(&text, RESTORABLE_END.name), left);
    assert_eq!(
        lines(&text, SNAPSHOTS.name),
        [r#"rdump_snapshots{repository="r"} 0"#]
    );
    assert_eq!(lines(&text, CAPTURE_SLICES.name).len(), 1);
}

#[test]
fn a_file_keeps_what_others_wrote_and_is_whole_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rdump.prom");
    let begin = Barrier::new(8);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (file, begin) = (&file, &begin);
            scope.spawn(move || {
                begin.wait();
                let labels = [format!("r{number}")];
                let labels = [labels[0].as_str()];
                update(file, |registry| registry.set(&SNAPSHOTS, &labels, 1.0)).unwrap();
            });
        }
    });
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(lines(&text, SNAPSHOTS.name).len(), 8, "{text}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o644);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

    // What a run left that was killed is in nobody's way.
    fs::write(folder.path().join(".rdump.prom.new"), "half").unwrap();
    update(&file, |_| {}).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), text);

    fs::write(&file, "rdump_gaps{repository=\"r\"} 1\nsecret\n").unwrap();
    let refused = update(&file, |_| {}).unwrap_err().to_string();
    assert!(refused.starts_with("line 2 of "), "{refused}");
    assert!(!refused.contains("secret"), "{refused}");
    let missing = folder.path().join("no/where.prom");
    let refused = update(&missing, |_| {}).unwrap_err().to_string();
    assert!(refused.starts_with("cannot open "), "{refused}");
}

/// Something that answers, and how it is ended.
async fn serving() -> (JoinSet<()>, SocketAddr, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (mut tasks, cancel) = (JoinSet::new(), CancellationToken::new());
    tasks.spawn(serve(listener, Arc::new(full()), cancel.clone()));
    (tasks, address, cancel)
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{request} HTTP/1.1\r\nHost: h\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn who_asks_over_http_is_answered_and_who_hangs_is_in_nobodys_way() {
    let (mut tasks, address, cancel) = serving().await;
    let mut hanging = Vec::new();
    for _ in 0..15 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /metr").await.unwrap();
        hanging.push(stream);
    }
    let answer = ask(address, "GET /metrics").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let kind = "content-type: text/plain; version=0.0.4\r\n";
    assert!(answer.contains(kind), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, full().text());
    assert!(ask(address, "GET /healthz").await.ends_with("\r\n\r\nok\n"));
    assert!(ask(address, "GET /").await.starts_with("HTTP/1.1 404 "));
    let answer = ask(address, "POST /metrics").await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");

    // One more and nobody is answered, until the first of them has had his time.
    hanging.push(TcpStream::connect(address).await.unwrap());
    let answer = timeout(Duration::from_secs(60), ask(address, "GET /healthz")).await;
    assert!(answer.unwrap().ends_with("ok\n"));

    cancel.cancel();
    let ended = timeout(Duration::from_secs(30), tasks.join_next()).await;
    ended.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

/// Set `INSTA_UPDATE=always` to write the table where it differs, as for snapshots.
#[test]
fn the_documentation_has_every_metric() {
    let path = workspace("docs/monitoring.md");
    let document = fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- metrics: begin -->\n", "<!-- metrics: end -->");
    let (before, rest) = document.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    let mut table = "| metric | labels | what |\n|---|---|---|\n".to_owned();
    for metric in ALL {
        let labels: Vec<_> = metric.labels.iter().map(|it| format!("`{it}`")).collect();
        let (name, help) = (metric.name, metric.help);
        writeln!(table, "| `{name}` | {} | {help} |", labels.join(", ")).unwrap();
    }
    let expected = format!("{before}{begin}{table}{end}{after}");
    if expected != document && std::env::var("INSTA_UPDATE").as_deref() == Ok("always") {
        fs::write(&path, &expected).unwrap();
    } else {
        assert!(
            expected == document,
            "docs/monitoring.md differs; INSTA_UPDATE=always writes it:\n{table}"
        );
    }
}

#[test]
fn alerts_and_the_dashboard_name_metrics_that_there_are() {
    let known: BTreeSet<_> = ALL.iter().map(|metric| metric.name).collect();
    let rules = "deploy/prometheus/rules.yml";
    for file in [
        rules,
        "deploy/prometheus/rules_test.yml",
        "deploy/grafana/dashboard.json",
    ] {
        let text = fs::read_to_string(workspace(file)).unwrap();
        let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let named: BTreeSet<_> = words.filter(|word| word.starts_with("rdump_")).collect();
        assert!(named.len() > 10, "{file}");
        let unknown: Vec<_> = named.difference(&known).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}");
        if file.ends_with(".json") {
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
        }
    }
    // Each alert fires in a test.
    let text = |file: &str| fs::read_to_string(workspace(file)).unwrap();
    let tests = text("deploy/prometheus/rules_test.yml");
    for line in text(rules).lines() {
        if let Some((_, alert)) = line.split_once("- alert: ") {
            let fires = format!(r#"alertname="{alert}""#);
            assert!(tests.contains(&fires), "no test in which {alert} fires");
        }
    }
}
