//! A store answers, but not with what it was asked for.

use rdump_storage::{StorageError, Store};
use rdump_testkit::s3::gateway::{Answer, Asked, Fault, S3Operation};

use super::{Faulty, LARGE_BYTES, bytes, uploaded, whole};

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_denied_names_the_action_and_is_aborted() {
    let faulty = Faulty::seaweedfs().await;
    let after_two_parts = |asked: &Asked| asked.operation == S3Operation::Part && asked.before >= 2;
    // Who is not let in at the end may not look what has become of it either.
    let at_the_end =
        |asked: &Asked| matches!(asked.operation, S3Operation::Complete | S3Operation::Head);
    let large = bytes(1, 3 * LARGE_BYTES);
    for denied in [after_two_parts, at_the_end] {
        let aborts = faulty.gateway.count(S3Operation::Abort);
        faulty
            .gateway
            .rule(move |asked| denied(asked).then(|| Fault::error(403, "AccessDenied")));
        let error = uploaded(&faulty.store, "db/c.bson", &large).await;
        let error = error.unwrap_err();
        let StorageError::Denied { action, path, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(
            (*action, path.as_str()),
            ("s3:PutObject", "s3://tested/dump/db/c.bson")
        );
        assert_eq!(faulty.left().await, (vec![], vec![]));
        assert_eq!(faulty.gateway.count(S3Operation::Abort), aborts + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_takes_conditions_and_does_not_mind_them_is_found_out() {
    let heedless = Answer::new(200).header("etag", "\"d41d8cd98f00b204e9800998ecf8427e\"");
    let ignorant = Answer::error(501, "NotImplemented");
    for answer in [heedless, ignorant] {
        let faulty = Faulty::small().await;
        faulty.gateway.rule(move |asked| {
            let conditional = asked.header("if-none-match").is_some();
            conditional.then(|| answer.clone().into())
        });
        let capabilities = faulty.store.capabilities().await.unwrap();
        assert!(!capabilities.conditional_put);
        // It was tried once, and nothing is left of that.
        faulty.store.capabilities().await.unwrap();
        assert_eq!(faulty.left_objects().await, 0);
        assert!(faulty.gateway.count(S3Operation::Put) <= 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_comes_with_a_success_is_no_success() {
    let faulty = Faulty::small().await;
    let late = Answer::error(200, "InternalError");
    faulty.gateway.rule(move |asked| match asked.operation {
        S3Operation::Complete | S3Operation::Copy if asked.before < 1 => Some(late.clone().into()),
        _ => None,
    });
    let large = bytes(1, LARGE_BYTES);
    let info = uploaded(&faulty.store, "large", &large).await.unwrap();
    let copy = faulty.store.copy("large", "copy").await.unwrap();
    for info in [info, copy] {
        assert!(whole(&faulty.direct, &info).await.unwrap() == large);
    }
    assert_eq!(faulty.gateway.faults(), 2);
}
