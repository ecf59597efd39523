//! Fail points fire while their guard lives.

use bson::doc;
use mongodb::error::ErrorKind;
use rdump_testkit::{FailPoint, Standalone};

async fn error_code(standalone: &Standalone) -> Option<i32> {
    let found = standalone
        .client()
        .database("a")
        .run_command(doc! { "count": "b" })
        .await;
    match found.err()?.kind.as_ref() {
        ErrorKind::Command(error) => Some(error.code),
        other => panic!("an error of another kind: {other}"),
    }
}

#[tokio::test]
async fn a_fail_point_fires_until_its_guard_is_dropped() {
    let standalone = Standalone::start().await;
    let always = doc! { "configureFailPoint": "failCommand", "mode": "alwaysOn",
    "data": { "failCommands": ["count"], "errorCode": 43 } };
    let guard = FailPoint::enable(&standalone, always).await;
    assert_eq!(error_code(&standalone).await, Some(43));
    assert_eq!(error_code(&standalone).await, Some(43));
    // Dropped in the middle of a runtime of one thread, it is off when the drop returns.
    drop(guard);
    assert_eq!(error_code(&standalone).await, None);
    let once = doc! { "times": 1 };
    let guard =
        FailPoint::fail_command(&standalone, &["count"], once, doc! { "errorCode": 6 }).await;
    assert_eq!(error_code(&standalone).await, Some(6));
    assert_eq!(error_code(&standalone).await, None);
    assert!(guard.disable().await >= 1);
}

#[tokio::test]
async fn dropping_the_guard_of_a_dead_server_does_no_harm() {
    let standalone = Standalone::start().await;
    let once = doc! { "times": 1 };
    let guard =
        FailPoint::fail_command(&standalone, &["count"], once, doc! { "errorCode": 6 }).await;
    standalone.kill();
    drop(guard);
}
