//! Who is told how runs end.

use std::{fs, path::Path, process::Stdio};

use bson::doc;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rdump_testkit::{
    Recorder, ReplicaSet,
    damage::{files, flip_byte},
    dataset,
    recorder::{Answer, Recorded},
    wait::{PATIENCE, wait_for},
};
use serde_json::Value;
use tokio::process::Command;

use crate::{
    program::{rdump, run},
    repository::{backup, line, on},
};

const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:backups";

fn bodies(recorder: &Recorder) -> Vec<Value> {
    let requests = recorder.requests();
    let bodies = requests.iter().map(|it| serde_json::from_str(&it.body));
    bodies.collect::<Result<_, _>>().expect("JSON")
}

/// A file that names one webhook with everything that there is to be told of.
fn everything(folder: &Path, url: &str) -> String {
    let file = folder.join("notify.toml");
    let on = r#"["success", "problems", "failure", "damage", "gap"]"#;
    let text = format!("[[notify]]\ntype = \"webhook\"\nurl = \"{url}/canary\"\non = {on}\n");
    fs::write(&file, text).expect("it can be written");
    format!("--notify={}", file.display())
}

#[tokio::test]
async fn runs_tell_how_they_ended_and_what_they_did_does_not_depend_on_who_hears_it() {
    let source = ReplicaSet::start().await;
    dataset::orders(20).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().join("repository");
    let repository = repository.to_str().unwrap();
    let recorder = Recorder::start().await;
    let notify = everything(folder.path(), &recorder.url());
    let last = || bodies(&recorder).pop().unwrap();

    backup(&source, repository, &[&notify, "--dryRun"])
        .await
        .expect(0);
    assert!(recorder.requests().is_empty());
    let ran = backup(&source, repository, &[&notify]).await.expect(0);
    let told = last();
    assert_eq!(told["event"], "success", "{told}");
    assert_eq!(told["operation"], "backup");
    assert_eq!(told["repository"], repository);
    assert_eq!(told["snapshot"], line(&ran));
    assert_eq!(told["exit-code"], 0);
    assert!(told["figures"]["documents"].as_u64() >= Some(20), "{told}");

    let elsewhere = "mongodb://u:canary@127.0.0.1:1/?serverSelectionTimeoutMS=300";
    let failing = ["backup", elsewhere, &notify];
    run(on(repository), failing).await.expect(1);
    let told = last();
    assert_eq!(
        (&told["event"], &told["error-kind"]),
        (&"failure".into(), &"unavailable".into())
    );
    assert!(!told.to_string().contains("canary"), "{told}");

    for arguments in [
        &["verify", "--all"][..],
        &["copy", "--to", folder.path().join("copy").to_str().unwrap()],
        &["prune", "--keep-last=1"],
        &["status"],
    ] {
        let before = recorder.requests().len();
        run(on(repository), arguments.iter().chain(&[notify.as_str()]))
            .await
            .expect(0);
        assert_eq!(recorder.requests().len(), before + 1, "{arguments:?}");
        assert_eq!(last()["operation"], arguments[0]);
    }
    let empty = folder.path().join("empty");
    let empty = empty.to_str().unwrap();
    run(rdump(), ["init", empty]).await.expect(0);
    // It has no good one.
    run(on(empty), ["status", "--max-age=1h", &notify])
        .await
        .expect(3);
    assert_eq!(last()["event"], "problems");
    let data = files(Path::new(repository)).into_iter();
    let mut data = data.filter(|path| path.to_string_lossy().contains("/data/"));
    flip_byte(&Path::new(repository).join(data.next().unwrap()), 10);
    run(on(repository), ["verify", &notify]).await.expect(4);
    let told = last();
    assert_eq!(
        (&told["event"], &told["figures"]["damage"]),
        (&"damage".into(), &1.into())
    );

    // The backup is done, but nobody heard of it: metrics have that too.
    recorder.answer([Answer::With(404, "canary")]);
    let metrics = folder.path().join("rdump.prom");
    let metrics = metrics.to_str().unwrap();
    let ran = backup(&source, repository, &[&notify, "--metrics-file", metrics]).await;
    let ran = ran
        .expect(3)
        .says("WARNING: webhook 1 was not told: the answer was 404 Not Found");
    assert!(!ran.stderr.contains("canary"), "{}", ran.stderr);
    assert_eq!(last()["event"], "success");
    let id = line(&ran);
    run(on(repository), ["verify", id]).await.expect(0);
    let metrics = fs::read_to_string(metrics).unwrap();
    let problem = "rdump_last_run_problems{operation=\"backup\"";
    let problem = metrics
        .lines()
        .find(|line| line.starts_with(problem))
        .unwrap();
    assert!(problem.ends_with("} 1"), "{problem}");
}

#[tokio::test]
async fn a_file_that_makes_no_sense_is_refused_before_anything_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().join("repository");
    let file = folder.path().join("notify.toml");
    fs::write(
        &file,
        "[[notify]]\ntype = \"slack\"\nurl = \"https://canary\"\nurls = 1\n",
    )
    .unwrap();
    let notify = [
        "backup",
        "mongodb://127.0.0.1:1",
        "--notify",
        file.to_str().unwrap(),
    ];
    let ran = run(on(repository.to_str().unwrap()), notify)
        .await
        .expect(2);
    let refused = format!(
        "error parsing command line options: --notify: {}, line 4: unknown field `urls`",
        file.display()
    );
    let ran = ran.says(&refused);
    assert!(!ran.stderr.contains("canary"), "{}", ran.stderr);
    assert!(!repository.exists());
}

#[tokio::test]
async fn a_gap_is_told_while_the_capture_goes_on() {
    let source = ReplicaSet::start().await;
    let orders = source.client().database("shop").collection("orders");
    orders.insert_one(doc! { "a": 0 }).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().join("repository");
    let repository = repository.to_str().unwrap();
    let uri = source.uri();
    // It begins at the snapshot.
    backup(&source, repository, &[]).await.expect(0);
    orders.insert_one(doc! { "a": 1 }).await.unwrap();
    let once = ["capture", &uri, "--until-caught-up", "--slice-age=200ms"];
    run(on(repository), once).await.expect(0);

    // Nobody knows what is between the two, where it is learned in another way.
    let recorder = Recorder::start().await;
    let notify = everything(folder.path(), &recorder.url());
    let mut command = on(repository);
    command.args(["capture", &uri, "--source=change-stream", &notify]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let child = child.unwrap();
    let told = wait_for("a notice", PATIENCE, async || bodies(&recorder).pop()).await;
    let expected = (&"gap".into(), &"capture".into(), &Value::Null);
    assert_eq!(
        (&told["event"], &told["operation"], &told["exit-code"]),
        expected
    );
    let message = told["message"].as_str().unwrap();
    assert!(
        message.starts_with("nothing is known of what was written from "),
        "{told}"
    );

    let id = i32::try_from(child.id().unwrap()).unwrap();
    kill(Pid::from_raw(id), Signal::SIGTERM).unwrap();
    let ended = child.wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), Some(3));
    let told = bodies(&recorder).pop().unwrap();
    assert_eq!(
        (&told["event"], &told["exit-code"]),
        (&"gap".into(), &3.into())
    );
}

/// rdump with credentials of nobody, whose topics are at a recorder.
fn at(recorder: &Recorder) -> Command {
    let mut command = rdump();
    command
        .env("AWS_ENDPOINT_URL_SNS", recorder.url())
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "canary")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// A form that was posted.
fn form(request: &Recorded) -> Vec<(String, String)> {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        let text = percent_encoding::percent_decode_str(&text).decode_utf8();
        text.expect("UTF-8").into_owned()
    };
    let pairs = request.body.split('&').filter_map(|it| it.split_once('='));
    pairs
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

#[tokio::test]
async fn a_test_reaches_all_who_are_named_and_says_who_was_not_told() {
    let (web, sns) = tokio::join!(Recorder::start(), Recorder::start());
    let published = "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult>\
        <MessageId>1</MessageId></PublishResult></PublishResponse>";
    let refused = "<ErrorResponse><Error><Type>Sender</Type><Code>AuthorizationError</Code>\
        <Message>may not publish</Message></Error></ErrorResponse>";
    sns.answer([Answer::With(503, ""), Answer::With(200, published)]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notify.toml");
    let url = web.url();
    fs::write(
        &file,
        format!(
            "[[notify]]\ntype = \"webhook\"\nurl = \"{url}/hook\"\non = [\"gap\"]\n\
             [[notify]]\ntype = \"slack\"\nurl-env = \"RDUMP_TEST_SLACK\"\n\
             [[notify]]\ntype = \"sns\"\ntopic = \"{TOPIC}\"\n"
        ),
    )
    .unwrap();
    let test = ["notify-test", file.to_str().unwrap()];
    let mut command = at(&sns);
    command.env("RDUMP_TEST_SLACK", format!("{url}/services/canary"));
    let ran = run(command, test).await.expect(0);
    assert_eq!(
        ran.stdout,
        "webhook 1 was told\nslack 2 was told\nsns 3 was told\n"
    );
    let paths = web.requests().into_iter().map(|it| it.path);
    let mut paths: Vec<_> = paths.collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/hook", "/services/canary"]);
    let requests = sns.requests();
    assert_eq!(requests.len(), 2, "a 503 is no end");
    let signed = &requests[1].headers["authorization"];
    let scope = "/eu-west-1/sns/aws4_request";
    assert!(
        signed.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"),
        "{signed}"
    );
    assert!(
        signed.contains(scope) && !signed.contains("canary"),
        "{signed}"
    );
    let form = form(&requests[1]);
    let value = |name: &str| {
        let found = form.iter().find(|(it, _)| it == name);
        &*found.unwrap_or_else(|| panic!("no {name} in {form:?}")).1
    };
    assert_eq!((value("Action"), value("TopicArn")), ("Publish", TOPIC));
    assert_eq!(value("Subject"), "rdump notify-test: test");
    let message: Value = serde_json::from_str(value("Message")).unwrap();
    assert_eq!(
        (&message["version"], &message["event"]),
        (&1.into(), &"test".into())
    );

    // Slack's URL is not there now, and SNS says no.
    sns.answer([Answer::With(403, refused)]);
    let ran = run(at(&sns), test)
        .await
        .expect(1)
        .says("WARNING: slack 2 was not told: the environment has no RDUMP_TEST_SLACK")
        .says(&format!(
            "WARNING: sns 3 was not told: {TOPIC} did not take a message: AuthorizationError: may not publish"
        ));
    assert_eq!(ran.stdout, "webhook 1 was told\n");
    assert!(!ran.stderr.contains("canary"), "{}", ran.stderr);
    run(rdump(), ["notify-test"]).await.expect(2);
    run(rdump(), ["notify-test", "/no/where"])
        .await
        .expect(1)
        .says("Failed: cannot read /no/where: ");
}

#[tokio::test]
async fn a_notice_goes_by_https_to_whom_somebody_vouches_for() {
    let recorder = Recorder::start_with_tls().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notify.toml");
    let url = recorder.url();
    fs::write(
        &file,
        format!("[[notify]]\ntype = \"webhook\"\nurl = \"{url}/\"\n"),
    )
    .unwrap();
    let test = ["notify-test", file.to_str().unwrap()];
    let mut command = rdump();
    command.env("SSL_CERT_FILE", recorder.ca_file());
    run(command, test).await.expect(0);
    assert_eq!(bodies(&recorder).len(), 1);
}
