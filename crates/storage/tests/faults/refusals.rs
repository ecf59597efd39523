//! What a store refuses, and says why.

use futures::future::join_all;
use rdump_storage::{Listing, PutIf, Result, S3Credentials, S3Store, StorageError, Store};
use rdump_testkit::{
    S3Server,
    s3::{ACCESS_KEY, gateway::Answer},
};

use super::{Faulty, LARGE_BYTES, bytes, uploaded};
use crate::conforming::s3;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_store_refuses_is_sorted_by_what_can_be_done_about_it() {
    let there = |answer: Answer| answer.header("x-amz-bucket-region", "eu-north-1");
    let expecting = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization header is malformed; \
                     the region 'us-east-1' is wrong; expecting 'eu-north-1'</Message></Error>";
    let faulty = Faulty::small().await;
    let refused = [
        (Answer::error(404, "NoSuchBucket"), "no bucket"),
        (Answer::error(403, "InvalidAccessKeyId"), "credentials"),
        (Answer::error(403, "SignatureDoesNotMatch"), "credentials"),
        (Answer::error(400, "ExpiredToken"), "credentials"),
        (Answer::error(403, "RequestTimeTooSkewed"), "clock"),
        (Answer::error(403, "AccessDenied"), "denied"),
        (there(Answer::error(301, "PermanentRedirect")), "region"),
        (there(Answer::error(307, "TemporaryRedirect")), "region"),
        (
            there(Answer::error(400, "AuthorizationHeaderMalformed")),
            "region",
        ),
        (
            there(Answer::error(400, "IllegalLocationConstraintException")),
            "region",
        ),
        (Answer::new(400).body(expecting), "region"),
    ];
    let sorted = refused.map(async |(answer, kind)| {
        let faulty = faulty.beside("dump").await;
        let shown = format!("{answer:?}");
        faulty.gateway.rule(move |_| Some(answer.clone().into()));
        for (action, failed) in failures(&faulty.store).await {
            let error = failed.unwrap_err();
            let found = match &error {
                StorageError::NoSuchBucket { bucket } if bucket == "tested" => "no bucket",
                StorageError::Credentials { .. } => "credentials",
                StorageError::ClockSkew { .. } => "clock",
                StorageError::Denied { action: named, .. } if *named == action => "denied",
                StorageError::WrongRegion { bucket, region }
                    if bucket == "tested" && region == "eu-north-1" =>
                {
                    "region"
                }
                _ => "something else",
            };
            assert_eq!(found, kind, "{action}, {shown}: {error:?}");
        }
    });
    join_all(sorted).await;
}

/// How each operation fails that is answered with a body, by the action it is permitted by.
async fn failures(store: &S3Store) -> Vec<(&'static str, Result<()>)> {
    let small = || bytes(1, 1_000);
    let capabilities = store.capabilities().await;
    vec![
        ("s3:ListBucket", Listing::of(store, "").await.map(drop)),
        ("s3:GetObject", store.read("a", 0..10, None).await.map(drop)),
        (
            "s3:PutObject",
            store.put("a", small(), PutIf::Absent).await.map(drop),
        ),
        (
            "s3:PutObject",
            uploaded(store, "a", &bytes(1, LARGE_BYTES)).await.map(drop),
        ),
        ("s3:DeleteObject", store.delete(&["a"]).await),
        (
            "s3:ListBucketMultipartUploads",
            store.remove_leftovers(&[]).await.map(drop),
        ),
        ("s3:PutObject", capabilities.map(drop)),
    ]
}

/// What is asked for by HEAD is answered without a body, and so without a code.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_region_is_told_where_nothing_else_is() {
    let faulty = Faulty::small().await;
    for status in [301, 307, 400] {
        let answer = Answer::new(status).header("x-amz-bucket-region", "eu-north-1");
        faulty.gateway.rule(move |_| Some(answer.clone().into()));
        let error = faulty.store.head("a").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the region of bucket tested is eu-north-1, and not the one that was asked"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_and_buckets_that_are_not_there_are_told_by_a_server_itself() {
    let server = S3Server::start().await;
    let wrong = S3Credentials::new(ACCESS_KEY, "wrong");
    let store = S3Store::new(server.location("dump").parse().unwrap()).credentials(wrong);
    let error = Listing::of(&store, "").await.unwrap_err();
    assert!(
        matches!(error, StorageError::Credentials { .. }),
        "{error:?}"
    );
    let elsewhere = s3(&server.location("dump").replace("tested", "absent"));
    let error = Listing::of(&elsewhere, "").await.unwrap_err();
    assert!(
        matches!(error, StorageError::NoSuchBucket { .. }),
        "{error:?}"
    );
}
