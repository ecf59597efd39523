//! Which documents end up at the target, and how they are counted.

use std::{fs, num::NonZeroUsize};

use bson::{Bson, Document, RawDocumentBuf, Timestamp, doc};
use futures::TryStreamExt;
use mongodb::Client;
use rdump::{Codec, ErrorKind, Event, Pattern, RestoreOptions, Selector};
use rdump_testkit::{ReplicaSet, damage, raw::RawBuilder};

use super::{restore, try_restore};
use crate::made::{Made, raw};

pub(crate) async fn stored(client: &Client, db: &str, collection: &str) -> Vec<RawDocumentBuf> {
    let collection = client.database(db).collection::<RawDocumentBuf>(collection);
    let cursor = collection
        .find(doc! {})
        .hint(mongodb::options::Hint::Keys(doc! { "$natural": 1 }))
        .await
        .unwrap();
    cursor.try_collect().await.unwrap()
}

fn numbered(range: std::ops::Range<i32>) -> impl Iterator<Item = Document> {
    range.map(|number| doc! { "_id": number, "text": "x".repeat(50) })
}

fn one() -> NonZeroUsize {
    NonZeroUsize::MIN
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_that_no_encoder_would_write_come_back_to_the_byte() {
    let target = ReplicaSet::start().await;
    let largest = 16 * 1024 * 1024;
    let filler = largest
        - RawBuilder::new()
            .int32("_id", 3)
            .binary("b", 0, &[])
            .build()
            .as_bytes()
            .len();
    let documents = [
        RawBuilder::new()
            .int32("_id", 1)
            .int32("a", 1)
            .int32("a", 2)
            .int32("", 3)
            .int32("", 4)
            .build(),
        RawBuilder::new()
            .int32("_id", 2)
            .string("$dollar", "$x")
            .element(0x06, "undefined", &[])
            .build(),
        RawBuilder::new()
            .int32("_id", 3)
            .binary("b", 0, &vec![7; filler])
            .build(),
        RawBuilder::new()
            .timestamp("_id", 0, 0)
            .element(0x0e, "symbol", &rdump_testkit::raw::string("s"))
            .build(),
    ];
    assert_eq!(documents[2].as_bytes().len(), largest);
    let mut made = Made::new();
    made.raw_data("db.c", Codec::Zstd, &documents);
    made.manifest();
    let report = restore(
        &made.location(),
        &target,
        RestoreOptions::default().insertion_workers(one()),
    )
    .await;
    assert_eq!((report.documents, report.verified), (4, true));
    assert!(stored(&target.client(), "db", "c").await == documents);
}

#[tokio::test(flavor = "multi_thread")]
async fn zero_timestamps_stay_zero_and_nothing_is_overwritten() {
    // TOOLS-3540.
    let target = ReplicaSet::start().await;
    let zero = Bson::Timestamp(Timestamp {
        time: 0,
        increment: 0,
    });
    let documents = [
        doc! { "_id": 1, "t": zero.clone(), "": zero.clone(), "s": "$literal", "n": { "t": zero.clone() } },
        doc! { "_id": zero.clone(), "a": [zero.clone()] },
        doc! { "_id": 2, "x": 1 },
        doc! { "_id": 3, "t": zero.clone() },
    ];
    let mut made = Made::new();
    made.data("db.c", Codec::None, documents.clone());
    let taken = doc! { "_id": 3, "mine": true };
    target
        .client()
        .database("db")
        .collection::<Document>("c")
        .insert_one(&taken)
        .await
        .unwrap();
    let (report, _) = try_restore(&made.location(), &target, RestoreOptions::default()).await;
    let report = report.unwrap();
    assert_eq!((report.documents, report.failed_documents), (3, 1));
    let mut found = stored(&target.client(), "db", "c").await;
    assert_eq!(found.remove(0), raw(&taken));
    found.sort_by_key(|document| {
        documents
            .iter()
            .position(|expected| raw(expected) == *document)
    });
    assert!(
        found
            .iter()
            .eq(documents[..3].iter().map(raw).collect::<Vec<_>>().iter()),
        "{found:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_without_an_id_gets_one_and_one_with_it_elsewhere_keeps_it() {
    let target = ReplicaSet::start().await;
    let mut made = Made::new();
    made.data(
        "db.c",
        Codec::None,
        [doc! { "a": 1 }, doc! { "b": 2, "_id": 5 }],
    );
    assert_eq!(
        restore(&made.location(), &target, RestoreOptions::default())
            .await
            .documents,
        2
    );
    let found = stored(&target.client(), "db", "c").await;
    assert!(found[0].get_object_id("_id").is_ok());
    assert_eq!(found[1], raw(&doc! { "_id": 5, "b": 2 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_are_counted_and_described_once_a_collection() {
    // duplicate_keys.js.
    let target = ReplicaSet::start().await;
    let client = target.client();
    client
        .database("db")
        .collection("c")
        .insert_many(numbered(0..1000).step_by(7))
        .await
        .unwrap();
    let mut made = Made::new();
    made.data("db.c", Codec::None, numbered(0..5000));
    for batch in [1, 7, 1000] {
        let options = RestoreOptions::default().batch_documents(NonZeroUsize::new(batch).unwrap());
        let (report, _) = try_restore(&made.location(), &target, options).await;
        let report = report.unwrap();
        assert_eq!(report.documents + report.failed_documents, 5000);
        assert_eq!(report.failed_documents, if batch == 1 { 143 } else { 5000 });
        assert_eq!(report.problems.len(), 1);
        let text = report.problems[0].to_string();
        assert!(
            text.starts_with(&format!(
                "db.c: the target refused {} documents: E11000",
                report.failed_documents
            )),
            "{text}"
        );
        assert_eq!(stored(&client, "db", "c").await.len(), 5000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_another_kind_ends_the_run_although_there_are_duplicates_in_its_batch() {
    let target = ReplicaSet::start().await;
    let mut made = Made::new();
    let no_id = doc! { "_id": [1, 2] };
    let documents = numbered(0..10).chain(numbered(3..4)).chain([no_id]);
    made.data("db.c", Codec::None, documents.chain(numbered(10..20)));
    let (report, _) = try_restore(&made.location(), &target, RestoreOptions::default()).await;
    let error = report.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error.to_string().contains("cannot be of type array"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_violates_a_validator_is_counted_unless_bypassed() {
    // restore_document_validation.js.
    let target = ReplicaSet::start().await;
    let mut made = Made::new();
    made.metadata("db.c", doc! { "validator": { "n": { "$lt": 10 } } }, &[]);
    made.data(
        "db.c",
        Codec::None,
        (0..30).map(|number| doc! { "_id": number, "n": number }),
    );
    let (report, _) = try_restore(&made.location(), &target, RestoreOptions::default()).await;
    let report = report.unwrap();
    assert_eq!(
        (
            report.documents,
            report.failed_documents,
            report.problems.len()
        ),
        (10, 20, 1)
    );
    let options = RestoreOptions::default()
        .drop(true)
        .bypass_document_validation(true);
    assert_eq!(
        restore(&made.location(), &target, options).await.documents,
        30
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_refused_document_ends_the_run_when_asked_and_order_makes_it_exact() {
    // mongorestore/mongorestore_test.go.
    let target = ReplicaSet::start().await;
    let client = target.client();
    let mut made = Made::new();
    made.data(
        "db.c",
        Codec::None,
        numbered(0..10_000)
            .chain(numbered(5000..5001))
            .chain(numbered(10_000..20_000)),
    );
    let (report, _) = try_restore(
        &made.location(),
        &target,
        RestoreOptions::default().maintain_insertion_order(true),
    )
    .await;
    let error = report.unwrap_err();
    assert_eq!(
        (error.kind(), error.namespace().unwrap().to_string()),
        (ErrorKind::Conflict, "db.c".into())
    );
    let found = stored(&client, "db", "c").await;
    assert!(
        found
            .iter()
            .zip(numbered(0..10_000))
            .all(|(found, expected)| *found == raw(&expected))
    );
    assert_eq!(found.len(), 10_000);

    let options = RestoreOptions::default().drop(true).stop_on_error(true);
    let (report, observer) = try_restore(&made.location(), &target, options).await;
    assert_eq!(report.unwrap_err().kind(), ErrorKind::Conflict);
    let count = stored(&client, "db", "c").await.len();
    assert!((5_000..20_000).contains(&count), "{count}");
    let partial = |event: &Event| matches!(event, Event::Stopped { partial, .. } if *partial == ["db.c".parse().unwrap()]);
    assert!(observer.events().iter().any(partial));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capped_collection_keeps_its_order() {
    let target = ReplicaSet::start().await;
    let mut made = Made::new();
    made.metadata("db.c", doc! { "capped": true, "size": 10 << 20 }, &[]);
    let shuffled: Vec<_> = (0..20_000)
        .map(|number| doc! { "_id": (number * 7919) % 20_011, "text": "x".repeat(100) })
        .collect();
    made.data("db.c", Codec::None, shuffled.clone());
    assert_eq!(
        restore(&made.location(), &target, RestoreOptions::default())
            .await
            .documents,
        20_000
    );
    let found = stored(&target.client(), "db", "c").await;
    assert!(
        found
            .iter()
            .eq(shuffled.iter().map(raw).collect::<Vec<_>>().iter())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capped_collection_that_has_room_for_a_part_keeps_the_last() {
    let target = ReplicaSet::start().await;
    let mut made = Made::new();
    made.metadata("db.c", doc! { "capped": true, "size": 4096 }, &[]);
    made.data("db.c", Codec::None, numbered(0..5000));
    let (report, observer) =
        try_restore(&made.location(), &target, RestoreOptions::default()).await;
    let report = report.unwrap();
    assert_eq!((report.documents, report.problems), (5000, Vec::new()));
    let found = stored(&target.client(), "db", "c").await;
    let text = format!(
        "5000 documents were inserted, but the target has {}",
        found.len()
    );
    let notice = |event: &Event| matches!(event, Event::Notice { message, .. } if *message == text);
    assert!(observer.events().iter().any(notice));
    assert!((1..100).contains(&found.len()), "{}", found.len());
    let last = numbered(0..5000).skip(5000 - found.len());
    assert!(found.into_iter().eq(last.map(|document| raw(&document))));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_damaged_segment_is_inserted() {
    let target = ReplicaSet::start().await;
    for codec in [Codec::None, Codec::Zstd] {
        let mut made = Made::new();
        let path = made.data("db.c", codec, numbered(0..300));
        made.manifest();
        let first = made.segments(&path)[0];
        damage::flip_bits(&made.file(&path), first + 40, 1);
        let (report, _) = try_restore(
            &made.location(),
            &target,
            RestoreOptions::default().drop(true),
        )
        .await;
        let error = report.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(
            error
                .to_string()
                .starts_with(&format!("db.c: segment 2 of 3 of {path}")),
            "{error}"
        );
        let found = stored(&target.client(), "db", "c").await;
        assert!(
            found
                .iter()
                .all(|document| document.get_i32("_id").unwrap() < 100),
            "{} documents",
            found.len()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_collection_fails_only_a_restore_that_selects_it_and_before_anything_is_written()
{
    let target = ReplicaSet::start().await;
    let mut made = Made::new();
    made.data("a.good", Codec::None, numbered(0..3));
    let missing = made.data("b.missing", Codec::None, numbered(0..3));
    made.manifest();
    fs::remove_file(made.file(&missing)).unwrap();

    let (report, _) = try_restore(&made.location(), &target, RestoreOptions::default()).await;
    let error = report.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert_eq!(
        error.to_string(),
        "b.missing: b/missing.bson is missing, but the manifest lists it"
    );
    assert!(stored(&target.client(), "a", "good").await.is_empty());

    let select = Selector {
        include: vec![Pattern::parse("a.*").unwrap()],
        exclude: vec![],
    };
    let options = RestoreOptions::default().select(select);
    restore(&made.location(), &target, options).await;
    assert_eq!(stored(&target.client(), "a", "good").await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsound_document_is_named_by_its_place_when_asked_for() {
    let target = ReplicaSet::start().await;
    let sound = raw(&doc! { "_id": 1 });
    let unsound = RawBuilder::new()
        .int32("_id", 2)
        .element(0x02, "s", &[0xff, 0, 0, 0, b'x', 0])
        .build();
    let mut made = Made::new();
    made.raw_data("db.c", Codec::None, [&sound, &unsound]);
    let (report, _) = try_restore(
        &made.location(),
        &target,
        RestoreOptions::default().validate_documents(true),
    )
    .await;
    let error = report.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert_eq!(
        error.to_string(),
        "db.c: the document at byte 14 of the uncompressed data is not sound"
    );
}

/// TOOLS-3575.
#[tokio::test(flavor = "multi_thread")]
async fn time_series_are_restored_by_their_buckets_whatever_their_schemas() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let client = source.client();
    let options = doc! { "timeseries": { "timeField": "t", "metaField": "m" } };
    let db = client.database("db");
    db.run_command(
        doc! { "create": "s", "timeseries": options.get_document("timeseries").unwrap().clone() },
    )
    .await
    .unwrap();
    let series = db.collection::<Document>("s");
    for number in 0..500_i64 {
        let value = if number % 2 == 0 {
            Bson::Int64(number)
        } else {
            Bson::String("text".into())
        };
        series.insert_one(doc! { "t": bson::DateTime::from_millis(number * 1000), "m": number % 5, "v": value }).await.unwrap();
    }
    let buckets = stored(&client, "db", "system.buckets.s").await;
    // A bucket with both in one column is what only a server of before 5.2 would have made.
    let mixed = raw_bucket(&buckets[0]);
    // Buckets are clustered by their `_id`, so that is their order.
    let all: Vec<_> = std::iter::once(mixed)
        .chain(buckets.iter().skip(1).cloned())
        .collect();
    let mut made = Made::new();
    made.metadata("db.s", options, &[]);
    made.raw_data("db.system.buckets.s", Codec::None, &all);
    let report = restore(&made.location(), &target, RestoreOptions::default()).await;
    assert_eq!(report.documents, all.len() as u64);
    assert!(stored(&target.client(), "db", "system.buckets.s").await == all);
    let (again, _) = try_restore(&made.location(), &target, RestoreOptions::default()).await;
    assert_eq!(again.unwrap_err().kind(), ErrorKind::Conflict);
    restore(
        &made.location(),
        &target,
        RestoreOptions::default()
            .drop(true)
            .rename("db.s", "db.renamed"),
    )
    .await;
    assert!(stored(&target.client(), "db", "system.buckets.renamed").await == all);

    // TOOLS-4089: servers since 8.3 have the buckets under the name of the collection.
    let mut made = Made::new();
    let options = doc! { "timeseries": { "timeField": "t", "metaField": "m" } };
    made.metadata("db.s", options, &[]);
    made.raw_data("db.s", Codec::None, &all);
    let options = RestoreOptions::default().rename("db.s", "db.viewless");
    restore(&made.location(), &target, options).await;
    assert!(stored(&target.client(), "db", "system.buckets.viewless").await == all);

    // mongorestore/mongorestore_test.go: what is no bucket is refused whatever may be bypassed.
    let mut made = Made::new();
    let options = doc! { "timeseries": { "timeField": "t", "metaField": "m" } };
    made.metadata("db.invalid", options, &[]);
    made.data("db.system.buckets.invalid", Codec::None, numbered(0..10));
    let options = RestoreOptions::default().bypass_document_validation(true);
    let (report, _) = try_restore(&made.location(), &target, options).await;
    let report = report.unwrap();
    assert_eq!((report.documents, report.failed_documents), (0, 10));
}

/// The bucket with a smallest value of another type than the largest.
fn raw_bucket(bucket: &RawDocumentBuf) -> RawDocumentBuf {
    let mut bucket = Document::try_from(bucket.as_ref()).unwrap();
    bucket
        .get_document_mut("control")
        .unwrap()
        .get_document_mut("min")
        .unwrap()
        .insert("v", 1_i64);
    bucket
        .get_document_mut("control")
        .unwrap()
        .get_document_mut("max")
        .unwrap()
        .insert("v", "text");
    raw(&bucket)
}

#[tokio::test]
async fn what_no_manifest_lists_is_restored_and_is_a_problem_if_it_was_selected() {
    let target = ReplicaSet::start().await;
    let mut made = Made::new();
    made.data("db.c", Codec::None, numbered(0..1));
    made.manifest();
    made.data("db.new", Codec::None, numbered(0..3));

    let options = RestoreOptions::default().rename("db.*", "other.*");
    let (report, _) = try_restore(&made.location(), &target, options).await;
    let report = report.unwrap();
    assert_eq!((report.documents, report.verified), (4, false));
    let problems: Vec<_> = report.problems.iter().map(ToString::to_string).collect();
    let expected =
        "other.new: restored from files that the manifest does not list: it could not be verified";
    assert_eq!(problems, [expected]);

    let select = Selector {
        include: vec![Pattern::parse("db.c").unwrap()],
        ..Selector::default()
    };
    let options = RestoreOptions::default().select(select);
    let report = restore(&made.location(), &target, options).await;
    assert_eq!(report.documents, 1);
}
