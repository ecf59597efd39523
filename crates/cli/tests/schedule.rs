//! Plans, and the process that follows one.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

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
    Recorder, ReplicaSet, dataset,
    wait::{PATIENCE, wait_for},
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStderr},
    time::timeout,
};

use crate::{
    metrics::{asked, value},
    program::{Ran, rdump, run},
    repository::on,
};

/// A folder with a plan in it, and all that the plan names.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn shown(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Writes a plan with a deployment and two repositories.
    fn plan(&self, jobs: &str) -> PathBuf {
        let text = format!(
            "timezone = \"Europe/Vienna\"\nstate = {:?}\n{jobs}\n\
             [deployments.shop]\nuri-env = \"SHOP_URI\"\n\
             [repositories.main]\nlocation = {:?}\n[repositories.far]\nlocation = {:?}\n",
            self.path("state"),
            self.path("main"),
            self.path("far"),
        );
        let file = self.path("plan.toml");
        fs::write(&file, text).unwrap();
        file
    }

    /// As if nothing of this was done for years.
    fn overdue(&self, jobs: &[&str]) {
        let jobs = jobs.iter().map(|job| {
            let past = serde_json::json!({ "settled-until": "2020-01-01T00:00:00Z" });
            ((*job).to_owned(), past)
        });
        let jobs: serde_json::Map<String, Value> = jobs.collect();
        let state = serde_json::json!({ "version": 1, "jobs": jobs });
        fs::create_dir_all(self.path("state")).unwrap();
        fs::write(self.path("state/schedule.json"), state.to_string()).unwrap();
    }

    fn state(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("state/schedule.json")).unwrap()).unwrap()
    }
}

/// A process that follows a plan.
struct Following {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    said: String,
}

impl Following {
    fn start(plan: &Path, uri: &str) -> Self {
        let mut command = rdump();
        command.arg("schedule").arg(plan).env("SHOP_URI", uri);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let said = String::new();
        Self { child, lines, said }
    }

    fn send(&self, signal: Signal) {
        let id = i32::try_from(self.child.id().expect("it still runs")).unwrap();
        kill(Pid::from_raw(id), signal).unwrap();
    }

    /// Reads until it has said all of this, in any order.
    async fn says(&mut self, texts: &[&str]) {
        let mut left = texts.to_vec();
        let read = async {
            while !left.is_empty() {
                let line = self.lines.next_line().await.unwrap();
                let line = line.unwrap_or_else(|| panic!("{left:?} is not in\n{}", self.said));
                self.said += &format!("{line}\n");
                left.retain(|text| !line.contains(text));
            }
        };
        if timeout(PATIENCE, read).await.is_err() {
            panic!("{left:?} is not in\n{}", self.said);
        }
    }

    async fn stop(mut self) -> String {
        self.send(Signal::SIGTERM);
        while let Some(line) = self.lines.next_line().await.unwrap() {
            self.said += &format!("{line}\n");
        }
        assert_eq!(
            self.child.wait().await.unwrap().code(),
            Some(0),
            "{}",
            self.said
        );
        self.said
    }
}

async fn check(plan: &Path) -> Ran {
    let mut command = rdump();
    command.env("SHOP_URI", "mongodb://127.0.0.1:1/");
    run(
        command,
        ["plan".as_ref(), "check".as_ref(), plan.as_os_str()],
    )
    .await
}

const JOBS: &str = r#"
metrics-listen = "127.0.0.1:0"

[[jobs]]
run = "backup"
repository = "main"
deployment = "shop"
cron = "0 2 * * *"

[[jobs]]
run = "capture"
repository = "main"
deployment = "shop"
arguments = ["--slice-age=200ms"]

[[jobs]]
run = "verify"
repository = "main"
cron = "0 5 * * *"
arguments = ["--all"]

[[jobs]]
run = "copy"
repository = "main"
to = "far"
cron = "30 6 * * *"
arguments = ["--all", "--timeline"]

[[jobs]]
run = "prune"
repository = "main"
cron = "0 8 * * *"
missed = "skip"
arguments = ["--keep-daily=30", "--keep-weekly=12", "--keep-monthly=12", "--pitr-window=7d"]

[[jobs]]
run = "status"
repository = "main"
cron = "*/15 * * * *"
arguments = ["--max-age=26h"]
"#;

#[tokio::test]
async fn what_is_overdue_is_done_once_and_the_state_survives_a_restart() {
    let source = ReplicaSet::start().await;
    dataset::orders(200).seed(&source.client()).await;
    let (place, recorder) = (Place::new(), Recorder::start().await);
    let notify = format!(
        "{JOBS}\n[[notify]]\ntype = \"webhook\"\nurl = \"{}/told\"\non = [\"success\", \"problems\", \"failure\"]\n",
        recorder.url()
    );
    let plan = place.plan(&notify);
    place.overdue(&["backup main", "prune main"]);

    let mut following = Following::start(&plan, &source.uri());
    following
        .says(&[
            "metrics are at http://",
            "prune main: left out, since it could not begin within its start window",
            "backup main: ended with 0",
            "capture main: capturing into",
        ])
        .await;
    let address = following.said.split("http://").nth(1).unwrap();
    let address = address.split('/').next().unwrap().to_owned();
    let served = asked(&address, "/metrics").await.unwrap();
    assert_eq!(
        value(&served, "rdump_last_run_success", "backup"),
        Some(1.0)
    );
    // What is written later is captured by the same process.
    let orders = source.client().database("shop").collection("late");
    orders.insert_one(doc! { "_id": 1 }).await.unwrap();
    let captured = async || {
        let served = asked(&address, "/metrics").await?;
        let entries = value(&served, "rdump_capture_entries_total", "");
        entries.filter(|entries| *entries > 0.0)
    };
    wait_for("an entry to be captured", PATIENCE, captured).await;
    let told = async || {
        let requests = recorder.requests();
        let told = requests.iter().map(|it| it.body.as_str());
        let told = told.collect::<Vec<_>>().join("\n");
        let is_told = told.contains("left out, since") && told.contains("\"success\"");
        is_told.then_some(())
    };
    wait_for("both to be told", PATIENCE, told).await;

    // Nobody else follows a plan with the same folder.
    let mut second = rdump();
    second
        .arg("schedule")
        .arg(&plan)
        .env("SHOP_URI", source.uri());
    let refused = run(second, [""; 0]).await.expect(1);
    assert!(
        refused.stderr.contains("another rdump schedule uses"),
        "{}",
        refused.stderr
    );

    // A plan that makes no sense changes nothing; one that does is followed.
    fs::write(&plan, "state = 7").unwrap();
    following.send(Signal::SIGHUP);
    following
        .says(&["the plan stays what it was: the plan"])
        .await;
    place.plan(&notify.replace("--keep-daily=30", "--keep-daily=31"));
    following.send(Signal::SIGHUP);
    following.says(&["the plan was read again"]).await;
    let said = following.stop().await;
    assert_eq!(said.matches("backup main: begins").count(), 1, "{said}");
    assert_eq!(said.matches("capture main: begins").count(), 1, "{said}");

    let told = recorder.requests();
    let told = told.iter().map(|it| it.body.as_str()).collect::<String>();
    assert!(told.contains("\"job\":\"backup main\""), "{told}");
    let state = place.state();
    assert_eq!(state["jobs"]["backup main"]["exit-code"], 0, "{state}");
    let mut again = Following::start(&plan, &source.uri());
    again.says(&["capture main: capturing into"]).await;
    let said = again.stop().await;
    assert!(!said.contains("backup main: begins"), "{said}");
    let listed = run(on(&place.shown("main")), ["list", "--json"])
        .await
        .expect(0);
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(listed["snapshots"].as_array().unwrap().len(), 1, "{listed}");
}

#[tokio::test]
async fn what_fails_is_tried_again_and_kept_so_over_a_restart() {
    let place = Place::new();
    let jobs = "[[jobs]]\nrun = \"backup\"\nrepository = \"main\"\ndeployment = \"shop\"\ncron = \"0 2 * * *\"\n\
                retries = 1\nretry-after = \"1h\"\n";
    let plan = place.plan(jobs);
    place.overdue(&["backup main"]);
    let nobody = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100&connectTimeoutMS=100";
    let mut following = Following::start(&plan, nobody);
    following
        .says(&[
            "backup main: ended with 1",
            "backup main: will be tried again",
        ])
        .await;
    following.stop().await;
    let state = place.state();
    assert_eq!(state["jobs"]["backup main"]["attempts"], 1, "{state}");
    let mut again = Following::start(&plan, nobody);
    again.says(&["following "]).await;
    let said = again.stop().await;
    assert!(!said.contains("backup main: begins"), "{said}");
}

#[tokio::test]
async fn a_damaged_note_of_what_was_done_is_put_aside_and_said() {
    let place = Place::new();
    let plan = place.plan(JOBS);
    place.overdue(&["prune main"]);
    fs::write(place.path("state/schedule.json"), "{ \"version\": 1, \"jo").unwrap();
    let nobody = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100&connectTimeoutMS=100";
    let mut following = Following::start(&plan, nobody);
    following
        .says(&[
            "schedule.json cannot be understood",
            "capture main: ended with 1",
        ])
        .await;
    let said = following.stop().await;
    assert!(!said.contains("prune main"), "{said}");
    assert!(place.path("state/schedule.json.damaged").exists());
    assert!(place.state()["jobs"]["prune main"].is_object());
}

#[tokio::test]
async fn what_would_encrypt_a_command_and_not_a_plan_is_refused() {
    let place = Place::new();
    let plan = place.plan(JOBS);
    for (variable, reason) in [
        ("RDUMP_PASSPHRASE", "say `passphrase-env`"),
        ("RDUMP_ENCRYPT_TO", "say `encrypt-to`"),
    ] {
        let mut command = rdump();
        command
            .env("SHOP_URI", "mongodb://127.0.0.1:1/")
            .env(variable, "secret");
        let words = ["plan".as_ref(), "check".as_ref(), plan.as_os_str()];
        let ran = run(command, words).await.expect(1);
        assert!(ran.stderr.contains(reason), "{}", ran.stderr);
    }
}

#[tokio::test]
async fn a_plan_is_explained_with_what_could_be_lost_at_worst() {
    let place = Place::new();
    let ran = check(&place.plan(JOBS)).await.expect(0);
    for text in [
        "Times are those of Europe/Vienna.",
        "RPO 10s",
        "nobody restores from main for practice",
        "if main is lost too",
        "RDUMP_URI=… rdump backup --repo",
        "nobody verifies far",
        "far grows for ever",
        "02:00:00 CE",
    ] {
        // The slice age of the plan is what counts.
        let text = text.replace("10s", "200ms");
        assert!(
            ran.stdout.contains(&text),
            "{text:?} is not in\n{}",
            ran.stdout
        );
    }
    let only = "[[jobs]]\nrun = \"backup\"\nrepository = \"main\"\ndeployment = \"shop\"\ncron = \"0 2 * * *\"\n";
    let ran = check(&place.plan(only)).await.expect(0);
    assert!(
        ran.stdout.contains("a capture would make that seconds"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("nobody verifies main"),
        "{}",
        ran.stdout
    );
}

#[tokio::test]
async fn a_plan_that_makes_no_sense_is_refused_with_the_place_of_it() {
    let place = Place::new();
    let job = |more: &str| format!("[[jobs]]\nrun = \"backup\"\nrepository = \"main\"\n{more}\n");
    let whole = job("deployment = \"shop\"\ncron = \"0 2 * * *\"");
    for (jobs, reason) in [
        (String::new(), "there is nothing to do"),
        (job("cron = \"0 2 * * *\""), "it has no `deployment`"),
        (job("deployment = \"shop\""), "it has no `cron`"),
        (
            job("deployment = \"shop\"\ncron = \"0 2 * *\""),
            "is no cron expression",
        ),
        (
            job("deployment = \"shop\"\ncron = \"0 0 31 2 *\""),
            "is never due",
        ),
        (
            job("deployment = \"other\"\ncron = \"0 2 * * *\""),
            "there is no deployment \"other\"",
        ),
        (
            format!("{whole}\n{whole}"),
            "two jobs are called \"backup main\"",
        ),
        (
            whole.replace("\"main\"", "\"lost\""),
            "there is no repository \"lost\"",
        ),
        (format!("{whole}arguments = [\"--nonsense\"]"), "--nonsense"),
        (
            format!("{whole}arguments = [\"--repo=elsewhere\"]"),
            "--repo is not for `arguments`",
        ),
        (
            format!("{whole}arguments = [\"--dryRun\"]"),
            "--dryRun is not for `arguments`",
        ),
        (
            format!("{whole}arguments = [\"--sample\", \"mongodb://u:secret@h/\"]"),
            "`arguments` name a connection string",
        ),
        (
            format!(
                "{whole}\n[deployments.open]\nuri = \"mongodb://h/?tlsCertificateKeyFilePassword=secret\""
            ),
            "`uri` has a password",
        ),
        (format!("{whole}start-window = \"soon\""), "`start-window`"),
        (
            format!("metrics-listen = \"9464\"\n{whole}"),
            "`metrics-listen`",
        ),
        (
            format!("{whole}\n[deployments.open]\nuri = \"mongodb://u:secret@h/\""),
            "`uri` has a password",
        ),
        (
            format!("{whole}\n[deployments.none]\nuri-env = \"NO_SUCH\""),
            "the environment has no NO_SUCH",
        ),
        (
            format!("{whole}\n[[notify]]\ntype = \"webhook\""),
            "give one of url",
        ),
        (format!("{whole}\nretires = 3"), "line "),
    ] {
        let ran = check(&place.plan(&jobs)).await.expect(1);
        assert!(
            ran.stderr.contains(reason),
            "{reason:?} is not in\n{}",
            ran.stderr
        );
        assert!(!ran.stderr.contains("secret"), "{}", ran.stderr);
    }
}
