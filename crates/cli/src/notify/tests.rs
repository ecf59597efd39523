use std::{
    fs,
    time::{Duration, Instant},
};

use rdump_testkit::{
    Recorder,
    recorder::{Answer, Recorded},
};
use serde_json::Value;

use super::*;
use crate::{exit::Exit, metrics, outcome::Told, toml_file};

/// What nobody may see.
const CANARY: &str = "canary";

fn variable(name: &str) -> Option<Secret> {
    (name == "RDUMP_TEST_TOKEN").then(|| Secret::from("Bearer canary"))
}

/// Tells those of a file, and is in no mood to wait.
fn notifier(text: &str) -> Notifier {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notify.toml");
    fs::write(&file, text).unwrap();
    let mut notifier = Notifier::open(&file, variable).unwrap();
    notifier.patience = Patience {
        total: Duration::from_secs(2),
        attempt: Duration::from_millis(300),
        pause: Duration::from_millis(1),
    };
    notifier
}

fn webhook(url: &str) -> Notifier {
    notifier(&format!(
        "[[notify]]\ntype = \"webhook\"\nurl = \"{url}\"\n"
    ))
}

fn told() -> Told {
    Told {
        repository: Some("s3://backups/<shop>".to_owned()),
        snapshot: Some("2026".to_owned()),
        figures: vec![
            (&metrics::DOCUMENTS, 7),
            (&metrics::STORED_BYTES, 1500),
            (&metrics::CAPTURED_UNTIL, 1_700_000_000),
        ],
        seconds: 2.5,
        ..Told::default()
    }
}

fn failure() -> Notice {
    let mut told = told();
    told.failure = Some(("unavailable", "nobody is there".to_owned()));
    Notice::of_run("backup", Exit::Failed, told)
}

/// Why each was not told, after its name.
fn failures(sent: &[Sent]) -> Vec<String> {
    let failed = sent.iter().filter_map(|one| {
        let why = one.sent.as_ref().err()?;
        Some(format!("{}: {why}", one.to))
    });
    failed.collect()
}

fn json(request: &Recorded) -> Value {
    assert_eq!(request.method, "POST");
    assert_eq!(request.headers["content-type"], "application/json");
    serde_json::from_str(&request.body).unwrap()
}

#[tokio::test]
async fn a_webhook_gets_a_document_and_the_headers_that_are_kept_elsewhere() {
    let recorder = Recorder::start().await;
    let url = recorder.url();
    let folder = tempfile::tempdir().unwrap();
    let [kept, address] = ["token", "url"].map(|name| folder.path().join(name));
    fs::write(&kept, "from a file\n").unwrap();
    fs::write(&address, format!("{url}/hook?key=canary\n")).unwrap();
    let notifier = notifier(&format!(
        "[[notify]]\ntype = \"webhook\"\nurl-file = {address:?}\n\
         [notify.headers]\nAuthorization = {{ env = \"RDUMP_TEST_TOKEN\" }}\nX-Token = {{ file = {kept:?} }}\n"
    ));
    let sent = notifier.send(&failure()).await;
    assert_eq!(failures(&sent), Vec::<String>::new());
    let requests = recorder.requests();
    let [request] = &requests[..] else {
        panic!("{requests:?}");
    };
    assert_eq!(request.path, "/hook?key=canary");
    assert_eq!(request.headers["authorization"], "Bearer canary");
    assert_eq!(request.headers["x-token"], "from a file");
    assert!(request.headers["user-agent"].starts_with("rdump/"));
    let mut document = json(request);
    let time = document["time"].take();
    time.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(!document["host"].take().as_str().unwrap().is_empty());
    let expected = serde_json::json!({
        "version": 1,
        "event": "failure",
        "operation": "backup",
        "job": null,
        "repository": "s3://backups/<shop>",
        "snapshot": "2026",
        "message": "nobody is there",
        "error-kind": "unavailable",
        "exit-code": 1,
        "figures": {
            "documents": 7,
            "stored-bytes": 1500,
            "captured-until-timestamp-seconds": 1_700_000_000,
        },
        "duration-seconds": 2.5,
        "time": null,
        "host": null,
        "rdump": env!("CARGO_PKG_VERSION"),
    });
    assert_eq!(document, expected);
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_is_refused_is_not() {
    let recorder = Recorder::start().await;
    let notifier = webhook(&format!("{}/canary", recorder.url()));
    recorder.answer([500, 429, 503, 200].map(|status| Answer::With(status, CANARY)));
    assert_eq!(
        failures(&notifier.send(&failure()).await),
        Vec::<String>::new()
    );
    assert_eq!(recorder.requests().len(), 4);
    for (status, told) in [
        (400, "webhook 1: the answer was 400 Bad Request"),
        (302, "webhook 1: the answer was 302 Found"),
    ] {
        let before = recorder.requests().len();
        recorder.answer([Answer::With(status, CANARY)]);
        assert_eq!(failures(&notifier.send(&failure()).await), [told]);
        assert_eq!(recorder.requests().len(), before + 1);
    }
    // One that hangs is given up and asked again.
    recorder.answer([Answer::Never]);
    assert_eq!(
        failures(&notifier.send(&failure()).await),
        Vec::<String>::new()
    );

    recorder.answer(vec![Answer::Never; 1000]);
    let begun = Instant::now();
    let [failed] = &failures(&notifier.send(&failure()).await)[..] else {
        panic!("it was told");
    };
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert!(
        failed.starts_with("webhook 1: no answer within 0.3 s, "),
        "{failed}"
    );
}

#[tokio::test]
async fn nothing_of_a_url_or_a_token_is_shown() {
    // Nobody listens there.
    let refused = webhook("http://127.0.0.1:1/canary");
    let mut failed = failures(&refused.send(&failure()).await);
    assert!(failed[0].contains("onnect"), "{failed:?}");
    for (url, told) in [
        ("http://canary@127.0.0.1/", "its URL has a user"),
        ("ftp://canary/", "its URL does not begin with"),
        ("canary", "its URL does not begin with"),
        ("http://127.0.0.1/ canary", "its URL is none"),
    ] {
        let notifier = webhook(url);
        let why = failures(&notifier.send(&failure()).await);
        assert!(why[0].contains(told), "{why:?}");
        failed.extend(why);
        failed.push(format!("{notifier:?} {:?}", notifier.channels));
    }
    for (text, told) in [
        ("url-env = \"NOT_SET\"", "the environment has no NOT_SET"),
        ("url-file = \"/no/where\"", "cannot read /no/where: "),
        (
            "url = \"http://127.0.0.1:1/\"\nheaders.X = { file = \"/dev/null\" }",
            "what is read for it is empty",
        ),
    ] {
        let notifier = notifier(&format!("[[notify]]\ntype = \"webhook\"\n{text}\n"));
        let why = failures(&notifier.send(&failure()).await);
        assert!(why[0].contains(told), "{why:?}");
    }
    assert!(!failed.concat().contains(CANARY), "{failed:?}");
}

#[tokio::test]
async fn slack_gets_a_text_in_which_nothing_is_taken_for_a_link() {
    let recorder = Recorder::start().await;
    let url = recorder.url();
    let notifier = notifier(&format!(
        "[[notify]]\ntype = \"slack\"\nurl = \"{url}/services/T\"\n"
    ));
    assert_eq!(
        failures(&notifier.send(&failure()).await),
        Vec::<String>::new()
    );
    let requests = recorder.requests();
    let document = json(&requests[0]);
    assert_eq!(document.as_object().unwrap().len(), 1);
    let text = document["text"].as_str().unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let title = ":rotating_light: *rdump backup of s3://backups/&lt;shop&gt;: failure*";
    assert_eq!(lines[..2], [title, "nobody is there"]);
    let facts = "snapshot 2026, documents 7, stored bytes 1.50 kB, on ";
    assert!(lines[2].starts_with(facts), "{text}");
}

#[tokio::test]
async fn each_is_told_of_what_it_wants_to_know() {
    let recorder = Recorder::start().await;
    let url = recorder.url();
    let notifier = notifier(&format!(
        "[[notify]]\ntype = \"webhook\"\nurl = \"{url}/some\"\n\
         [[notify]]\ntype = \"webhook\"\nurl = \"{url}/good\"\non = [\"success\"]\n"
    ));
    let with = |figures: &[(&'static metrics::Metric, u64)]| {
        let mut told = told();
        told.figures.extend(figures);
        told
    };
    let gaps = [(&metrics::GAPS_FOUND, 0), (&metrics::OPEN_GAPS, 1)];
    let problem = |code| Notice::of_run("verify", code, told());
    for (notice, event, to) in [
        (problem(Exit::Done), "success", "/good"),
        (problem(Exit::Problems), "problems", "/some"),
        (problem(Exit::Cancelled), "failure", "/some"),
        (problem(Exit::Damaged), "damage", "/some"),
        (
            Notice::of_run("verify", Exit::Problems, with(&[(&metrics::DAMAGE, 3)])),
            "damage",
            "/some",
        ),
        (
            Notice::of_run("capture", Exit::Problems, with(&gaps)),
            "gap",
            "/some",
        ),
        (
            Notice::of_run("status", Exit::Problems, with(&gaps[1..])),
            "problems",
            "/some",
        ),
        (
            Notice::of_gap("capture", told(), "from 1 to 2"),
            "gap",
            "/some",
        ),
    ] {
        let before = recorder.requests().len();
        assert_eq!(notifier.send(&notice).await.len(), 1, "{event}");
        let requests = recorder.requests();
        let [request] = &requests[before..] else {
            panic!("{requests:?}");
        };
        assert_eq!(
            (json(request)["event"].as_str(), &*request.path),
            (Some(event), to)
        );
    }
    assert_eq!(notifier.send(&Notice::test()).await.len(), 2);
    assert_eq!(json(recorder.requests().last().unwrap())["event"], "test");
}

#[test]
fn a_file_that_makes_no_sense_is_refused_and_nothing_of_it_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notify.toml");
    let url = "url = \"https://canary\"";
    let slack = format!("[[notify]]\ntype = \"slack\"\n{url}\n");
    for (text, told) in [
        (String::new(), ", nobody is told: there is no [[notify]]"),
        ("[[notify]]\n".to_owned(), ", line 1: missing field `type`"),
        (
            "[[notify]]\ntype = \"canary\"\n".to_owned(),
            ", line 2: unknown variant ",
        ),
        (format!("{slack}canary = 1\n"), ", line 4: unknown field "),
        (
            format!("{slack}canary = {{}}\n"),
            ", line 4: unknown field `canary`",
        ),
        (format!("{slack}on = []\n"), ", slack 1: on is empty"),
        (
            format!("{slack}on = [\"canary\"]\n"),
            ", line 4: unknown variant ",
        ),
        (
            format!("{slack}headers.A = {{ env = \"a\" }}\n"),
            ", slack 1: headers go with a webhook",
        ),
        (
            format!("{slack}topic = \"arn:aws:sns:a:1:b\"\n"),
            ", slack 1: a topic goes with sns",
        ),
        (
            "[[notify]]\ntype = \"sns\"\n".to_owned(),
            ", sns 1: give its topic",
        ),
        (
            format!("{slack}url-env = \"canary\"\n"),
            ", slack 1: give one of url, url-file and url-env",
        ),
        (
            "[[notify]]\ntype = \"slack\"\n".to_owned(),
            ", slack 1: give one of",
        ),
        (
            format!("{slack}[[notify]]\ntype = \"sns\"\ntopic = \"arn:aws:sqs:a:1:b\"\n"),
            ", line 6: … is no topic such as arn:",
        ),
        (
            format!(
                "[[notify]]\ntype = \"webhook\"\n{url}\nheaders.A = {{ env = \"a\", file = \"b\" }}\n"
            ),
            ", webhook 1: give one of file and env for the header A",
        ),
        (
            format!(
                "[[notify]]\ntype = \"webhook\"\n{url}\nheaders.\"canary canary\" = {{ env = \"a\" }}\n"
            ),
            ", webhook 1: one of the headers has no name that HTTP takes",
        ),
        (
            format!("{slack}\n[plan]\n"),
            ", line 5: unknown field `plan`",
        ),
    ] {
        fs::write(&file, &text).unwrap();
        let refused = Notifier::open(&file, variable).unwrap_err();
        let refused = failure::chain(&refused);
        let (_, why) = refused.split_once("notify.toml").unwrap();
        assert!(why.starts_with(told), "{text}: {why}");
        assert!(
            !why.contains("https") && !why.contains("canary canary"),
            "{why}"
        );
    }
}

/// Whoever has these in a file of more can read them there.
#[test]
fn channels_may_be_a_part_of_another_file() {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Plan {
        name: String,
        notify: Vec<Channel>,
    }
    let text = "name = \"night\"\n[[notify]]\ntype = \"sns\"\ntopic = \"arn:aws:sns:eu-west-1:123456789012:a\"\n";
    let plan: Plan = toml_file::parse(text).unwrap();
    assert_eq!(plan.name, "night");
    check(&plan.notify).unwrap();
    let by_default = [Event::Problems, Event::Failure, Event::Damage, Event::Gap];
    assert_eq!(plan.notify[0].on, by_default.into());
}
