//! A store answers, but not with what it was asked for.

use rdump_storage::Store;
use rdump_testkit::s3::gateway::{Answer, Fault, S3Operation};

use super::{Faulty, LARGE_BYTES, bytes, uploaded, whole};

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
