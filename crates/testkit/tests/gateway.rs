//! A gateway before an object store passes on what comes, and fails as it is told to.

use std::{io, time::Duration};

use rdump_testkit::{
    S3Server,
    s3::{
        BUCKET, Gateway,
        gateway::{Answer, Fault, Odds, S3Operation},
    },
    wait::{PATIENCE, wait_for},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

/// Asks by a connection of its own; gives status line, headers and body as far as they come.
async fn asked(address: &str, method: &str, path: &str) -> (String, io::Result<usize>) {
    let connection = TcpStream::connect(address).await;
    let mut connection = connection.expect("it listens");
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let written = connection.write_all(request.as_bytes()).await;
    written.expect("it takes a request");
    let mut answer = Vec::new();
    let read = connection.read_to_end(&mut answer).await;
    (String::from_utf8_lossy(&answer).into_owned(), read)
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

#[tokio::test]
async fn what_nobody_has_a_fault_for_is_passed_on_and_remembered() {
    let server = S3Server::start().await;
    let gateway = Gateway::start(server.address()).await;
    let key = format!("/{BUCKET}/a/b%20c");
    let (direct, _) = asked(server.address(), "GET", &key).await;
    let (passed, read) = asked(&gateway.address(), "GET", &key).await;
    assert_eq!(read.unwrap(), passed.len());
    assert!(passed.starts_with("HTTP/1.1 403"), "{passed}");
    assert_eq!(body(&passed), body(&direct));
    let (head, _) = asked(&gateway.address(), "HEAD", &key).await;
    assert!(
        head.starts_with("HTTP/1.1 403") && body(&head).is_empty(),
        "{head}"
    );
    assert_eq!(gateway.keys(S3Operation::Get), ["a/b c"]);
    assert_eq!(gateway.count(S3Operation::Head), 1);
    assert_eq!((gateway.asked().len(), gateway.faults()), (2, 0));
}

#[tokio::test]
async fn each_fault_does_what_it_says() {
    let server = S3Server::start().await;
    let gateway = Gateway::start(server.address()).await;
    let path = format!("/{BUCKET}/key");
    let (whole, _) = asked(&gateway.address(), "GET", &path).await;
    let fails = async |fault: Fault| {
        gateway.rule(move |_| Some(fault.clone()));
        asked(&gateway.address(), "GET", &path).await
    };

    let moved = Answer::error(301, "PermanentRedirect").header("x-amz-bucket-region", "there");
    let (answer, _) = fails(moved.into()).await;
    assert!(answer.starts_with("HTTP/1.1 301"), "{answer}");
    assert!(answer.contains("x-amz-bucket-region: there"), "{answer}");
    assert!(
        body(&answer).contains("<Code>PermanentRedirect</Code>"),
        "{answer}"
    );

    for fault in [Fault::ResetBefore, Fault::LoseAnswer] {
        let (answer, read) = fails(fault).await;
        assert_eq!(answer, "");
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }

    let (answer, _) = fails(Fault::Truncate { bytes: 7 }).await;
    assert_eq!(body(&answer), &body(&whole)[..7]);
    assert!(
        answer.contains(&format!("content-length: {}", body(&whole).len())),
        "{answer}"
    );
    let (answer, _) = fails(Fault::Truncate { bytes: 1 << 20 }).await;
    assert_eq!(body(&answer), body(&whole));

    let every = Duration::from_millis(1);
    let (answer, _) = fails(Fault::Trickle { bytes: 3, every }).await;
    assert_eq!(body(&answer), body(&whole));
    assert_eq!(gateway.faults(), 6);
}

#[tokio::test]
async fn an_answer_that_is_held_ends_with_the_gateway() {
    let server = S3Server::start().await;
    let gateway = Gateway::start(server.address()).await;
    gateway.rule(|_| Some(Fault::Hold));
    let address = gateway.address();
    let mut held = JoinSet::new();
    held.spawn(async move { asked(&address, "GET", "/").await });
    wait_for("the request to be held", PATIENCE, async || {
        (gateway.faults() == 1).then_some(())
    })
    .await;
    assert!(held.try_join_next().is_none());
    drop(gateway);
    assert_eq!(held.join_next().await.unwrap().unwrap().0, "");
}

#[tokio::test]
async fn a_rule_counts_from_when_it_was_given() {
    let server = S3Server::start().await;
    let gateway = Gateway::start(server.address()).await;
    for _ in 0..2 {
        gateway.rule(|asked| (asked.before == 1).then(Fault::slow_down));
        for status in [403, 503, 403] {
            let (answer, _) = asked(&gateway.address(), "GET", "/bucket/key").await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{answer}"
            );
        }
    }
    assert_eq!(gateway.faults(), 2);
}

#[tokio::test]
async fn more_requests_than_a_throttle_lets_through_are_told_to_slow_down() {
    let server = S3Server::start().await;
    let gateway = Gateway::start(server.address()).await;
    gateway.throttle(1);
    let mut slowed = 0;
    for _ in 0..10 {
        let (answer, _) = asked(&gateway.address(), "GET", "/").await;
        slowed += usize::from(answer.contains("<Code>SlowDown</Code>"));
    }
    assert!(slowed > 0);
    assert_eq!(gateway.faults(), slowed);
    gateway.pass();
    drop(asked(&gateway.address(), "GET", "/").await);
    assert_eq!(gateway.faults(), slowed);
}

#[tokio::test]
async fn the_same_seed_lets_the_same_requests_fail() {
    let server = S3Server::start().await;
    let odds = Odds {
        errors: 0.2,
        resets: 0.1,
        lost_answers: 0.1,
    };
    let mut runs = Vec::new();
    for _ in 0..2 {
        let gateway = Gateway::start(server.address()).await;
        gateway.misbehave(7, odds);
        for _ in 0..50 {
            // Which of them fail is looked at below.
            drop(asked(&gateway.address(), "GET", "/").await);
        }
        let faults = gateway.asked().into_iter().map(|asked| asked.fault);
        runs.push(faults.collect::<Vec<_>>());
    }
    assert_eq!(runs[0], runs[1]);
    let of = |fault: Option<Fault>| runs[0].iter().filter(|&found| *found == fault).count();
    assert!(of(None) > 20);
    assert!(of(Some(Fault::error(503, "ServiceUnavailable"))) > 3);
    assert!(of(Some(Fault::ResetBefore)) > 0 && of(Some(Fault::LoseAnswer)) > 0);
}
