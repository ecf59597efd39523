//! A store answers, but not with what it was asked for.

use rdump_storage::{StorageError, Store};
use rdump_testkit::s3::gateway::{Answer, Asked, Fault, S3Operation};

use super::{Faulty, LARGE_BYTES, bytes, uploaded, whole};
use crate::conforming::s3;

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

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_id_was_lost_with_the_answer_is_taken_back() {
    let faulty = Faulty::seaweedfs().await;
    faulty.gateway.rule(|asked| {
        let is_lost = asked.operation == S3Operation::Create && asked.before < 2;
        is_lost.then_some(Fault::LoseAnswer)
    });
    let large = bytes(1, LARGE_BYTES);
    let info = uploaded(&faulty.store, "db/c.bson", &large).await.unwrap();
    assert!(whole(&faulty.direct, &info).await.unwrap() == large);
    assert_eq!(faulty.gateway.count(S3Operation::Create), 3);
    assert_eq!(faulty.left().await, (vec!["db/c.bson".to_owned()], vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn checksums_that_a_store_refuses_are_left_out_only_if_nobody_insists() {
    let large = bytes(1, LARGE_BYTES);
    for how in ["auto", "crc32c"] {
        let faulty = Faulty::small().await;
        faulty.gateway.rule(|asked| {
            let checksums = ["x-amz-checksum-algorithm", "x-amz-checksum-crc32c"];
            let has = checksums.iter().any(|name| asked.header(name).is_some());
            has.then(|| Fault::error(400, "InvalidArgument"))
        });
        let location = format!("{}&checksum={how}", faulty.gateway.location("dump"));
        let store = s3(&location);
        for (path, bytes) in [("small", bytes(1, 3)), ("large", large.clone())] {
            let stored = uploaded(&store, path, &bytes).await;
            if how == "auto" {
                assert!(whole(&faulty.direct, &stored.unwrap()).await.unwrap() == bytes);
            } else {
                assert!(
                    matches!(stored, Err(StorageError::Refused { .. })),
                    "{stored:?}"
                );
            }
        }
        // Once was enough.
        let faults = if how == "auto" { 1 } else { 2 };
        assert_eq!(faulty.gateway.faults(), faults, "{how}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_uploads_of_long_ago_and_of_this_place_are_cleaned_up_and_only_if_that_is_asked_for() {
    let page = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>\
         <Upload><Key>dump/db/old.bson</Key><UploadId>1</UploadId><Initiated>2020-01-01T00:00:00.000Z</Initiated></Upload>\
         <Upload><Key>dump/db/new.bson</Key><UploadId>2</UploadId><Initiated>2999-01-01T00:00:00.000Z</Initiated></Upload>\
         <Upload><Key>dump/else/old</Key><UploadId>3</UploadId><Initiated>2020-01-01T00:00:00.000Z</Initiated></Upload>\
         <Upload><Key>dumpling</Key><UploadId>4</UploadId><Initiated>2020-01-01T00:00:00.000Z</Initiated></Upload>\
         </ListMultipartUploadsResult>";
    for (options, removed) in [("", false), ("&clean-uploads=true", true)] {
        let faulty = Faulty::small().await;
        faulty.gateway.rule(move |asked| match asked.operation {
            S3Operation::ListUploads => Some(Answer::new(200).body(page).into()),
            S3Operation::Abort => Some(Answer::new(204).into()),
            _ => None,
        });
        let store = s3(&format!("{}{options}", faulty.gateway.location("dump")));
        let found = store.remove_leftovers(&["db".to_owned()]).await.unwrap();
        let found: Vec<_> = found.iter().map(|l| (l.path.as_str(), l.removed)).collect();
        assert_eq!(found, [("db/old.bson", removed), ("db/new.bson", false)]);
        let aborted = faulty.gateway.keys(S3Operation::Abort);
        let expected = if removed {
            vec!["dump/db/old.bson"]
        } else {
            vec![]
        };
        assert_eq!(aborted, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_says_how_often_and_how_long_it_was_tried() {
    let faulty = Faulty::small().await;
    faulty.gateway.rule(|_| Some(Fault::error(503, "SlowDown")));
    let error = faulty.store.head("x").await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("(tried 8 times in "), "{error}: {source}");
    assert_eq!(faulty.gateway.count(S3Operation::Head), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_gives_the_whole_object_for_a_range_is_not_believed() {
    let faulty = Faulty::small().await;
    let info = uploaded(&faulty.direct, "small", &bytes(1, 1_000))
        .await
        .unwrap();
    faulty.gateway.rule(|asked| {
        let whole = Answer::new(200).body("x".repeat(1_000));
        (asked.operation == S3Operation::Get).then(|| whole.into())
    });
    let read = faulty.store.read("small", 10..20, None).await;
    let error = read.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("the whole object"), "{error}: {source}");
    assert_eq!(info.stored_bytes, 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_is_not_the_store_s_own_is_asked_about_again() {
    let faulty = Faulty::seaweedfs().await;
    let page = Answer::new(400).body("<html><body>400 Bad Request</body></html>");
    for unread in [Answer::new(400), page] {
        let before = faulty.gateway.faults();
        let unread = unread.clone();
        faulty.gateway.rule(move |asked| {
            (asked.before < 1 && asked.operation != S3Operation::Head)
                .then(|| unread.clone().into())
        });
        let large = bytes(1, LARGE_BYTES);
        let path = format!("large {before}");
        let info = uploaded(&faulty.store, &path, &large).await.unwrap();
        assert!(whole(&faulty.store, &info).await.unwrap() == large);
        assert!(faulty.gateway.faults() >= before + 3);
    }
    // One with a code is, and so may be one that can have none.
    for answer in [Answer::error(400, "InvalidTag"), Answer::new(400)] {
        let faulty = Faulty::small().await;
        faulty.gateway.rule(move |_| Some(answer.clone().into()));
        faulty.store.head("a").await.unwrap_err();
        assert_eq!(faulty.gateway.faults(), 1);
    }
}
