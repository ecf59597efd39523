use bson::{RawDocumentBuf, rawdoc};
use proptest::prelude::*;

use super::*;
use crate::arbitrary;

fn raw(bytes: Vec<u8>) -> RawDocumentBuf {
    RawDocumentBuf::from_bytes(bytes).unwrap()
}

fn refused(text: &str) -> MetadataError {
    CollectionMetadata::from_json(text.as_bytes()).unwrap_err()
}

proptest! {
    #[test]
    fn metadata_comes_back_from_its_text(
        options in arbitrary::document(),
        indexes in arbitrary::documents(4),
        uuid in any::<Option<[u8; 16]>>(),
        collection in any::<Option<String>>(),
        kind in prop::option::of("collection|view|timeseries"),
    ) {
        let indexes = indexes.into_iter().map(raw).collect();
        let metadata = CollectionMetadata { options: raw(options), indexes, uuid, collection, kind };
        let text = metadata.to_json().unwrap();
        prop_assert_eq!(CollectionMetadata::from_json(text.as_bytes()).unwrap(), metadata);
    }

    #[test]
    fn no_bytes_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..40),
        text in r#"\{("(options|indexes|uuid|type)":[\[\]{}0-9",:a]{0,9},?){0,3}\}"#,
    ) {
        let _ = CollectionMetadata::from_json(&bytes);
        let _ = CollectionMetadata::from_json(text.as_bytes());
    }
}

#[test]
fn a_damaged_name_is_no_new_field_where_nothing_protects_metadata() {
    let read = |text: &str| CollectionMetadata::from_unprotected_json(text.as_bytes());
    let whole =
        r#"{"indexes":[],"options":{"viewOn":"x"},"uuid":"","collectionName":"v","type":"view"}"#;
    read(whole).unwrap();
    read(&whole.replace(r#""uuid":"""#, r#""later":1"#)).unwrap();
    for name in ["indexes", "options"] {
        let damaged = whole.replace(name, "other");
        let error = read(&damaged).unwrap_err().to_string();
        assert_eq!(
            error,
            r#"it lacks options or indexes, and has "other", which is not known"#
        );
        CollectionMetadata::from_json(damaged.as_bytes()).unwrap();
    }
    // Earlier versions of mongodump left options out that there are none of.
    for text in [
        "",
        "{}",
        r#"{"indexes":[]}"#,
        r#"{"options":{},"indexes":[]}"#,
    ] {
        read(text).unwrap();
    }
}

#[test]
fn the_text_is_that_of_mongodump() {
    let mut metadata = CollectionMetadata {
        options: rawdoc! { "capped": true, "size": 1_048_576_i64, "max": 5e6 },
        indexes: vec![
            rawdoc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" },
            rawdoc! { "v": 2, "key": { "a": 1, "b.<c>": -1.0, "": "text" }, "name": "é" },
        ],
        uuid: Some([0x0A; 16]),
        collection: Some("a\"/b".to_owned()),
        kind: Some("collection".to_owned()),
    };
    assert_eq!(
        metadata.to_json().unwrap(),
        [
            r#"{"options":{"capped":true,"size":{"$numberLong":"1048576"},"max":{"$numberDouble":"5E+06"}},"#,
            r#""indexes":[{"v":{"$numberInt":"2"},"key":{"_id":{"$numberInt":"1"}},"name":"_id_"},"#,
            r#"{"v":{"$numberInt":"2"},"key":{"a":{"$numberInt":"1"},"b.<c>":{"$numberDouble":"-1.0"},"":"text"},"name":"é"}],"#,
            r#""uuid":"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a","collectionName":"a\"/b","type":"collection"}"#,
        ]
        .concat()
    );
    metadata = CollectionMetadata {
        collection: Some("v".to_owned()),
        kind: Some("view".to_owned()),
        ..Default::default()
    };
    assert_eq!(
        metadata.to_json().unwrap(),
        r#"{"indexes":[],"collectionName":"v","type":"view"}"#
    );
    assert_eq!(
        CollectionMetadata::default().to_json().unwrap(),
        r#"{"indexes":[]}"#
    );
}

#[test]
fn keys_that_look_like_extended_json_stop_the_dump() {
    // TOOLS-3611, TOOLS-3637.
    let with_options = |options| CollectionMetadata {
        options,
        ..Default::default()
    };
    let discrepancy = with_options(
        rawdoc! { "validator": { "$or": [{ "a": { "$date": { "$numberLong": "5" } } }] } },
    );
    let error = discrepancy.to_json().unwrap_err();
    assert!(
        matches!(&error, MetadataError::Discrepancy { path } if path == "options.validator.$or.0.a"),
        "{error:?}"
    );

    let unreadable = with_options(rawdoc! { "validator": { "a": { "$oid": 5 } } });
    let error = unreadable.to_json().unwrap_err();
    assert!(
        matches!(error, MetadataError::Unreadable { .. }),
        "{error:?}"
    );

    // The whole of the options is taken for a date.
    let vanished = with_options(rawdoc! { "$date": { "$numberLong": "5" } });
    let error = vanished.to_json().unwrap_err();
    assert!(
        matches!(error, MetadataError::Unreadable { .. }),
        "{error:?}"
    );

    // Query operators are not Extended JSON.
    let operators = with_options(
        rawdoc! { "validator": { "a": { "$regex": "^a", "$options": "i", "$type": "string" } } },
    );
    operators.to_json().unwrap();
}

#[test]
fn what_json_loses_stops_the_dump() {
    let misnumbered = arbitrary::encode(vec![("1".to_owned(), (0x0A, vec![]))]);
    let payload = f64::from_bits(0x7FF8_0000_0000_0001).to_le_bytes().to_vec();
    for (lossy, path) in [
        (
            arbitrary::encode(vec![("a".to_owned(), (0x04, misnumbered))]),
            "indexes.1.a.1",
        ),
        (
            arbitrary::encode(vec![("n".to_owned(), (0x01, payload))]),
            "indexes.1.n",
        ),
    ] {
        let metadata = CollectionMetadata {
            indexes: vec![rawdoc! {}, raw(lossy)],
            ..Default::default()
        };
        let error = metadata.to_json().unwrap_err();
        assert!(
            matches!(&error, MetadataError::Discrepancy { path: found } if found == path),
            "{error:?}"
        );
    }
}

#[test]
fn what_cannot_be_written_stops_the_dump() {
    let broken = raw(arbitrary::encode(vec![(
        "a".to_owned(),
        (0x02, b"\x02\0\0\0\xFF\0".to_vec()),
    )]));
    let error = CollectionMetadata {
        options: broken.clone(),
        ..Default::default()
    }
    .to_json()
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot write the options of the collection as JSON"
    );
    let error = CollectionMetadata {
        indexes: vec![broken],
        ..Default::default()
    }
    .to_json()
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot write the index at position 0 as JSON"
    );
}

#[test]
fn metadata_of_all_times_is_read() {
    // extended_json_metadata.js.
    assert_eq!(
        CollectionMetadata::from_json(b"").unwrap(),
        CollectionMetadata::default()
    );

    let old = r#"{ "options" : {"size" : { "$numberLong" : "10000000" }, "capped" : true, "flags" : 1 },
        "indexes" : [ { "v" : 1, "key" : { "_id" : { "$numberLong" : "1"}}, "ns" : "config.changelog", "name" : "_id_" },
                      { "v" : { "$numberDecimal" : "2" }, "key" : { "a" : 1.0 } } ] }"#;
    let metadata = CollectionMetadata::from_json(old.as_bytes()).unwrap();
    assert_eq!(
        metadata.options,
        rawdoc! { "size": 10_000_000_i64, "capped": true, "flags": 1 }
    );
    let decimal: bson::Decimal128 = "2".parse().unwrap();
    assert_eq!(
        metadata.indexes,
        [
            rawdoc! { "v": 1, "key": { "_id": 1_i64 }, "ns": "config.changelog", "name": "_id_" },
            rawdoc! { "v": decimal, "key": { "a": 1.0 } },
        ]
    );
    assert_eq!(
        (metadata.uuid, metadata.collection, metadata.kind),
        (None, None, None)
    );

    let bare = r#"{"later":[1],"options":null,"indexes":null,"uuid":"","collectionName":null,"type":null}"#;
    assert_eq!(
        CollectionMetadata::from_json(bare.as_bytes()).unwrap(),
        CollectionMetadata::default()
    );
    let upper =
        CollectionMetadata::from_json(br#"{"uuid":"6516131D47D94B63AFDF174387000B54"}"#).unwrap();
    assert_eq!(upper.uuid.map(|uuid| uuid[0]), Some(0x65));
}

#[test]
fn a_field_of_another_type_is_refused_by_name() {
    for (text, message) in [
        (
            r#"{"options":[]}"#,
            "field `options` of the metadata is not an object",
        ),
        (
            r#"{"indexes":{}}"#,
            "field `indexes` of the metadata is not an array of objects",
        ),
        (
            r#"{"indexes":[{},1]}"#,
            "field `indexes` of the metadata is not an array of objects",
        ),
        (
            r#"{"uuid":"00"}"#,
            "field `uuid` of the metadata is not 32 hexadecimal digits",
        ),
        (
            r#"{"uuid":1}"#,
            "field `uuid` of the metadata is not 32 hexadecimal digits",
        ),
        (
            r#"{"collectionName":1}"#,
            "field `collectionName` of the metadata is not a string",
        ),
        (
            r#"{"type":{}}"#,
            "field `type` of the metadata is not a string",
        ),
    ] {
        assert_eq!(refused(text).to_string(), message);
    }
    let error = CollectionMetadata::from_json(b"{\"\xFF\":1}").unwrap_err();
    assert!(
        matches!(error, MetadataError::NotUtf8 { offset: 2 }),
        "{error:?}"
    );
    for text in [" ", "[]", "{", "{}x"] {
        assert!(
            matches!(refused(text), MetadataError::Json { .. }),
            "{text}"
        );
    }
}
