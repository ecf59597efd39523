//! Where passwords come from: a file, a terminal, standard input.

use std::{fs, process::Stdio};

use bson::doc;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rdump_testkit::{Standalone, deployment::ROOT_PASSWORD, wait::PATIENCE};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
    time::timeout,
};

use crate::program::{rdump, run};

/// A server with users, and one document in `shop.orders`.
async fn server() -> Standalone {
    let server = Standalone::builder().auth().start().await;
    let orders = server.client().database("shop").collection("orders");
    let inserted = orders.insert_one(doc! { "_id": 1 }).await;
    inserted.expect("the server takes a document");
    server
}

const LOGIN: [&str; 4] = ["-u", "root", "--authenticationDatabase", "admin"];

#[tokio::test]
async fn a_config_file_holds_password_and_connection_string_and_the_line_overrides_it() {
    let server = server().await;
    let host = &server.hosts()[0];
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    let dump = async |text: String, name: &str, more: &[&str]| {
        fs::write(&config, text).unwrap();
        let out = folder.path().join(name);
        let (config, out_text) = (config.to_str().unwrap(), out.to_str().unwrap());
        let arguments = ["--config", config, "-d", "shop", "-o", out_text];
        let ran = run(rdump(), arguments.iter().chain(more)).await;
        (ran, out.join("shop/orders.bson").exists())
    };
    let by_flags = [&["-h", host][..], &LOGIN].concat();

    let (ran, is_dumped) = dump(format!("password: {ROOT_PASSWORD:?}\n"), "a", &by_flags).await;
    let ran = ran.expect(0);
    assert!(
        is_dumped && !ran.stderr.contains("WARNING"),
        "{}",
        ran.stderr
    );

    let uri =
        format!("uri: mongodb://root@{host}/?authSource=admin\npassword: {ROOT_PASSWORD:?}\n");
    let (ran, is_dumped) = dump(uri, "b", &[]).await;
    ran.expect(0);
    assert!(is_dumped);

    let wrong = "password: canary7\nuri: mongodb://127.0.0.1:1\n".to_owned();
    let uri = format!("mongodb://root@{host}/?authSource=admin");
    let line = ["-p", ROOT_PASSWORD, "--uri", &uri];
    let (ran, is_dumped) = dump(wrong, "c", &line).await;
    ran.expect(0);
    assert!(is_dumped);

    let (ran, _) = dump("password: canary7\n".to_owned(), "d", &by_flags).await;
    let ran = ran.expect(1).says("Failed: authentication failed");
    assert!(!ran.stderr.contains("canary7"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_missing_password_is_read_from_standard_input() {
    let server = server().await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = rdump();
    command
        .args(["-h", &server.hosts()[0], "-d", "shop"])
        .args(LOGIN)
        .args(["-o", folder.path().join("dump").to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let line = format!("{ROOT_PASSWORD}\n");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(line.as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(
        stderr.contains("Enter password for mongo user:"),
        "{stderr}"
    );
    assert_eq!(output.stdout, b"", "prompts never go to stdout");

    let ran = run(rdump(), ["-h", &server.hosts()[0], "-u", "root"]).await;
    ran.expect(1).says(
        "Failed: there is no password for user \"root\", and no terminal to ask for it: pass it by",
    );
}

/// As [`at_the_prompt`], where the password is typed and nothing fails.
async fn in_a_terminal(line: &str) -> String {
    let (code, shown) = at_the_prompt(line, |_| format!("{ROOT_PASSWORD}\n")).await;
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains(ROOT_PASSWORD), "{shown}");
    shown
}

/// Runs a line of shell in a terminal of its own, and types what `answer` makes of what is shown when a password is
/// asked for. Gives the exit code and all that was shown.
///
/// `script`, of every Linux distribution, does it.
async fn at_the_prompt(line: &str, answer: impl FnOnce(&str) -> String) -> (Option<i32>, String) {
    let mut child = Command::new("script")
        .args(["-qec", line, "/dev/null"])
        .env_remove("RDUMP_URI")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("script, of bsdutils or util-linux, is installed");
    let mut terminal = child.stdout.take().expect("it is piped");
    let mut shown = Vec::new();
    let prompt = "Enter password for mongo user:";
    let until_prompt = async {
        while !String::from_utf8_lossy(&shown).contains(prompt) {
            let read = terminal.read_buf(&mut shown).await;
            let read = read.expect("the terminal can be read");
            assert!(read > 0, "{}", String::from_utf8_lossy(&shown));
        }
    };
    timeout(PATIENCE, until_prompt)
        .await
        .expect("the password is asked for");
    let answer = answer(&String::from_utf8_lossy(&shown));
    let mut keyboard = child.stdin.take().expect("it is piped");
    let typed = keyboard.write_all(answer.as_bytes()).await;
    typed.expect("the terminal takes it");
    let read = terminal.read_to_end(&mut shown).await;
    read.expect("the terminal can be read");
    let shown = String::from_utf8_lossy(&shown).into_owned();
    let status = child.wait().await.expect("script ends");
    (status.code(), shown)
}

/// A line of shell that asks for a password, and says then how it ended and how the terminal is.
fn asking(more: &str) -> String {
    let binary = env!("CARGO_BIN_EXE_rdump");
    let asking = format!("exec {binary} -h 127.0.0.1:1 --serverSelectionTimeout 1 -u root {more}");
    format!("trap : INT; sh -c 'echo pid $$; {asking}'; echo ended with $?; stty -a")
}

#[tokio::test]
async fn a_signal_at_the_prompt_ends_it_with_1_and_the_terminal_shows_again_what_is_typed() {
    let ctrl_c = |_: &str| "half a password\u{3}".to_owned();
    let terminate = |shown: &str| {
        let id = shown.split("pid ").nth(1).unwrap();
        let id = id.split_whitespace().next().unwrap();
        kill(Pid::from_raw(id.parse().unwrap()), Signal::SIGTERM).unwrap();
        String::new()
    };
    for (code, shown) in [
        at_the_prompt(&asking(""), ctrl_c).await,
        at_the_prompt(&asking(""), terminate).await,
    ] {
        assert_eq!(code, Some(0), "{shown}");
        assert!(shown.contains("ended with 1"), "{shown}");
        let failed = "Failed: stopped while waiting for a password: received termination signal";
        assert!(shown.contains(failed), "{shown}");
        assert!(
            shown.contains(" echo ") && !shown.contains("-echo "),
            "{shown}"
        );
        assert!(!shown.contains("half a"), "{shown}");
    }
}

#[tokio::test]
async fn a_terminal_that_ends_the_input_has_given_no_password() {
    let (_, shown) = at_the_prompt(&asking(""), |_| "\u{4}".to_owned()).await;
    let failed =
        "Failed: there is no password for user \"root\": the terminal ended the input without one";
    assert!(
        shown.contains(failed) && shown.contains("ended with 1"),
        "{shown}"
    );
}

#[tokio::test]
async fn the_prompt_of_a_terminal_goes_to_standard_error() {
    let folder = tempfile::tempdir().unwrap();
    let stderr = folder.path().join("stderr");
    let asking = asking(&format!("2> {}", stderr.display()));
    let line = format!("echo Enter password for mongo user:; {asking}");
    let (_, shown) = at_the_prompt(&line, |_| "x\n".to_owned()).await;
    assert_eq!(shown.matches("Enter password").count(), 1, "{shown}");
    let stderr = fs::read_to_string(stderr).unwrap();
    assert!(
        stderr.contains("Enter password for mongo user: \n"),
        "{stderr}"
    );
}

#[tokio::test]
async fn a_terminal_is_asked_for_the_password_and_does_not_show_it() {
    // TOOLS-2346.
    let server = server().await;
    let folder = tempfile::tempdir().unwrap();
    let (out, stdout) = (folder.path().join("dump"), folder.path().join("stdout"));
    let line = format!(
        "{} -h {} {} -d shop -o {} > {}",
        env!("CARGO_BIN_EXE_rdump"),
        server.hosts()[0],
        LOGIN.join(" "),
        out.display(),
        stdout.display()
    );
    in_a_terminal(&line).await;
    assert_eq!(fs::read(stdout).unwrap(), b"");
    assert!(out.join("shop/orders.bson").exists());
}

/// A dump on standard input is no password, not even its first line.
#[tokio::test]
async fn a_restore_from_standard_input_asks_the_terminal_or_nobody() {
    let server = server().await;
    let folder = tempfile::tempdir().unwrap();
    let uri = server.root_uri();
    for (name, dumping, restoring) in [
        (
            "archive",
            "--archive",
            "--archive --nsFrom shop.orders --nsTo shop.archive",
        ),
        ("documents", "-o-", "-d shop -c documents -"),
    ] {
        let dump = folder.path().join(name);
        let line = format!(
            "{} --uri '{uri}' -d shop -c orders {dumping} > {}",
            env!("CARGO_BIN_EXE_rdump"),
            dump.display()
        );
        let mut shell = Command::new("sh");
        shell.arg("-c");
        run(shell, [line]).await.expect(0);
        let line = format!(
            "{} -h {} {} {restoring} < {}",
            env!("CARGO_BIN_EXE_rrestore"),
            server.hosts()[0],
            LOGIN.join(" "),
            dump.display()
        );
        let shown = in_a_terminal(&line).await;
        assert!(shown.contains("1 document(s) restored"), "{shown}");
        let restored = server.client().database("shop");
        let restored = restored.collection::<bson::Document>(name);
        assert_eq!(restored.count_documents(doc! {}).await.unwrap(), 1);

        // A session of its own has no terminal.
        let mut without = Command::new("setsid");
        without.args(["--wait", "sh", "-c"]);
        let ran = run(without, [line]).await.expect(1).says(
            "Failed: there is no password for user \"root\", and no terminal to ask for it: pass it by",
        );
        let ran = ran.says("0 document(s) restored successfully.");
        assert!(!ran.stderr.contains("standard input"), "{}", ran.stderr);
    }
}
