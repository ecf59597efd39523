//! Every type of BSON, every odd value of it, and every odd field name.

use bson::{Document, RawBson, RawDocumentBuf, doc, rawdoc};

use super::{Dataset, Seeder};
use crate::{
    raw::{self, RawBuilder},
    server_version::Feature,
};

const DB: &str = "types";

/// A value: its type, its encoding and what it is.
type Value = (u8, Vec<u8>, String);

/// All BSON types, deprecated ones too, with their extreme values, in `types`; odd field names; deep nesting.
pub fn every_bson_type() -> Dataset {
    Dataset::new("every-bson-type", &[DB], |seeder| async move {
        let values = values();
        seeder
            .insert(DB, "values", values.iter().zip(0..).map(document))
            .await;
        zero_timestamps(&seeder).await;
        let dollars = seeder.has(Feature::DollarFieldNames);
        seeder.insert(DB, "field_names", field_names(dollars)).await;
        seeder.insert(DB, "deep", deep()).await;
        let bare = (0..10).map(|id| rawdoc! { "_id": id });
        seeder.insert(DB, "only_ids", bare).await;
    })
}

/// The value at the top, in a document and in an array.
fn document(((element_type, value, what), id): (&Value, i32)) -> RawDocumentBuf {
    let nested = RawBuilder::new()
        .element(*element_type, "value", value)
        .build();
    let array = RawBuilder::new()
        .element(*element_type, "0", value)
        .element(*element_type, "1", value)
        .build();
    RawBuilder::new()
        .int32("_id", id)
        .string("what", what)
        .element(*element_type, "value", value)
        .document("document", &nested)
        .element(0x04, "array", array.as_bytes())
        .build()
}

fn values() -> Vec<Value> {
    let mut values: Vec<Value> = Vec::new();
    let mut add = |element_type: u8, value: &[u8], what: &str| {
        values.push((element_type, value.to_vec(), what.to_owned()));
    };
    for bits in [
        0.0_f64.to_bits(),
        (-0.0_f64).to_bits(),
        1.5_f64.to_bits(),
        f64::MAX.to_bits(),
        f64::MIN_POSITIVE.to_bits(),
        1,
        f64::INFINITY.to_bits(),
        f64::NEG_INFINITY.to_bits(),
        f64::NAN.to_bits(),
        0xFFF8_0000_0000_0000,
        0x7FF0_0000_0000_0001,
    ] {
        add(0x01, &bits.to_le_bytes(), "double");
    }
    for text in [
        "",
        "text",
        "nul \0 inside",
        "\u{1F980} \u{00FC}\u{0308}",
        "\r\n\"\\",
    ] {
        add(0x02, &raw::string(text), "string");
    }
    add(
        0x02,
        b"\x04\0\0\0\xC3\x28\xFF\0",
        "string that is not UTF-8",
    );
    add(0x03, rawdoc! {}.as_bytes(), "empty document");
    add(0x04, rawdoc! {}.as_bytes(), "empty array");
    let sparse = RawBuilder::new()
        .int32("7", 1)
        .int32("7", 2)
        .int32("x", 3)
        .build();
    add(
        0x04,
        sparse.as_bytes(),
        "array whose indexes do not count up",
    );
    // Compressed columns, subtype 7, have to be such to newer servers: this one has no elements.
    add(0x05, &binary(7, &[0]), "column");
    for subtype in [0, 1, 3, 4, 5, 6, 0x80, 0xFF] {
        let bytes = if subtype == 3 || subtype == 4 { 16 } else { 5 };
        add(0x05, &binary(subtype, &[0xAB; 16][..bytes]), "binary");
        add(0x05, &binary(subtype, &[]), "empty binary");
    }
    add(0x05, b"\x07\0\0\0\x02\x03\0\0\0abc", "old binary");
    add(0x05, b"\x04\0\0\0\x02\0\0\0\0", "empty old binary");
    add(0x06, b"", "undefined");
    add(0x07, &[0; 12], "object id of zeros");
    add(0x07, &[0xFF; 12], "object id");
    add(0x08, &[0], "false");
    add(0x08, &[1], "true");
    for milliseconds in [
        0,
        1,
        -1,
        i64::MIN,
        i64::MAX,
        -62_135_596_800_001,
        253_402_300_800_000,
    ] {
        add(0x09, &milliseconds.to_le_bytes(), "date");
    }
    add(0x0A, b"", "null");
    for regex in ["\0\0", "^a.*$\0i\0", "a/b\"\\\0imsx\0", "\u{00FC}\0u\0"] {
        add(0x0B, regex.as_bytes(), "regular expression");
    }
    let pointer = [raw::string("db.collection"), vec![7; 12]].concat();
    add(0x0C, &pointer, "database pointer");
    add(0x0D, &raw::string("function () { return 1; }"), "code");
    add(0x0E, &raw::string("symbol"), "symbol");
    for scope in [rawdoc! {}, rawdoc! { "x": 1, "y": { "z": [1, 2] } }] {
        add(
            0x0F,
            &code_with_scope("return x", &scope),
            "code with scope",
        );
    }
    for number in [0, -1, i32::MIN, i32::MAX] {
        add(0x10, &number.to_le_bytes(), "32-bit integer");
    }
    for (time, increment) in [
        (1_u64, 0_u64),
        (0, 1),
        (0xFFFF_FFFF, 0xFFFF_FFFF),
        (1_700_000_000, 5),
    ] {
        add(0x11, &(time << 32 | increment).to_le_bytes(), "timestamp");
    }
    for number in [0, 1, -1, i64::MIN, i64::MAX, 1 << 53, (1 << 53) + 1] {
        add(0x12, &number.to_le_bytes(), "64-bit integer");
    }
    for (high, low) in DECIMALS {
        add(
            0x13,
            &[low.to_le_bytes(), high.to_le_bytes()].concat(),
            "decimal",
        );
    }
    add(0xFF, b"", "minimum key");
    add(0x7F, b"", "maximum key");
    values
}

/// Upper and lower half of decimal128 values.
const DECIMALS: [(u64, u64); 12] = [
    (0x3040_0000_0000_0000, 0),                     // 0
    (0xB040_0000_0000_0000, 0),                     // -0
    (0x3040_0000_0000_0000, 1),                     // 1
    (0x303A_0000_0000_0000, 1_000),                 // 1.000
    (0x0000_0000_0000_0000, 1),                     // 1E-6176, the smallest, subnormal
    (0x5FFE_314D_C644_8D93, 0x38C1_5B09_FFFF_FFFF), // the largest
    (0x5FFE_0000_0000_0000, 0),                     // 0E+6111
    (0x7800_0000_0000_0000, 0),                     // infinity
    (0xF800_0000_0000_0000, 0),                     // -infinity
    (0x7C00_0000_0000_0000, 0),                     // NaN
    (0xFC00_0000_0000_0000, 0),                     // -NaN
    (0x7C00_0000_0000_0000, 12),                    // NaN with a payload
];

fn binary(subtype: u8, bytes: &[u8]) -> Vec<u8> {
    [&raw::length(bytes.len())[..], &[subtype], bytes].concat()
}

fn code_with_scope(code: &str, scope: &RawDocumentBuf) -> Vec<u8> {
    let body = [raw::string(code), scope.as_bytes().to_vec()].concat();
    [raw::length(body.len() + 4).to_vec(), body].concat()
}

/// Timestamp(0, 0): the server replaces it at the top of an inserted document, but not in an update by pipeline.
async fn zero_timestamps(seeder: &Seeder) {
    let zero = RawBuilder::new()
        .int32("_id", 1)
        .timestamp("nested", 0, 0)
        .build();
    let nested = RawBuilder::new()
        .int32("_id", 1)
        .document("a", &zero)
        .build();
    let place = rawdoc! { "_id": 2 };
    seeder.insert(DB, "zero_timestamps", [nested, place]).await;
    let target = RawBuilder::new()
        .int32("_id", 2)
        .timestamp("top", 0, 0)
        .build();
    let command: RawDocumentBuf = rawdoc! {
        "update": "zero_timestamps",
        "updates": [{ "q": { "_id": 2 }, "u": [{ "$replaceRoot": { "newRoot": { "$literal": target } } }] }],
    };
    seeder.command(DB, command).await;
    let filter: Document = doc! { "_id": 2, "top": bson::Timestamp { time: 0, increment: 0 } };
    let collection = seeder
        .client()
        .database(DB)
        .collection::<RawDocumentBuf>("zero_timestamps");
    let found = collection.count_documents(filter).await;
    assert_eq!(found.ok(), Some(1), "the server keeps an empty timestamp");
}

/// Duplicate, empty and otherwise odd names of fields; `dollars` says whether they may be in front at the top.
fn field_names(dollars: bool) -> Vec<RawDocumentBuf> {
    let odd = [
        "",
        " ",
        ".",
        "a.b",
        ".a",
        "a.",
        "a..b",
        "$",
        "a$",
        "a$b",
        "é",
        "e\u{0301}",
        "\u{1F980}",
        "\n",
        "\"",
        "\\",
        "0",
        "-1",
        "__proto__",
        "_ID",
        "$ref",
        "$id",
        "$db",
        "$numberLong",
        "$oid",
        "$date",
        "$where",
    ];
    let mut documents = vec![
        RawBuilder::new()
            .int32("_id", 0)
            .int32("a", 1)
            .int32("b", 2)
            .int32("a", 3)
            .build(),
        RawBuilder::new()
            .int32("_id", 1)
            .int32("", 1)
            .int32("", 2)
            .build(),
        RawBuilder::new()
            .int32("_id", 2)
            .document(
                "d",
                &RawBuilder::new().int32("_id", 1).int32("_id", 2).build(),
            )
            .build(),
    ];
    for (name, id) in odd.into_iter().zip(100..) {
        let inner = RawBuilder::new().int32(name, 1).build();
        documents.push(
            RawBuilder::new()
                .int32("_id", id)
                .document("inner", &inner)
                .build(),
        );
        // A name with a dollar in front is always allowed inside.
        if name.starts_with('$') && !dollars {
            continue;
        }
        documents.push(
            RawBuilder::new()
                .int32("_id", 1_000 + id)
                .int32(name, 1)
                .build(),
        );
    }
    let wide = (0..1_000).fold(RawBuilder::new().int32("_id", 3), |wide, field| {
        wide.int32(&format!("field{field}"), field)
    });
    documents.push(wide.build());
    let long = "n".repeat(10_000);
    documents.push(RawBuilder::new().int32("_id", 4).int32(&long, 1).build());
    documents
}

/// Documents and arrays nested a hundred deep.
fn deep() -> Vec<RawDocumentBuf> {
    let mut document = rawdoc! { "leaf": true };
    let mut array = RawBson::Int32(1);
    for _ in 0..99 {
        document = rawdoc! { "d": document };
        let mut outer = bson::RawArrayBuf::new();
        outer.push(array);
        array = RawBson::Array(outer);
    }
    vec![
        rawdoc! { "_id": 1, "d": document },
        rawdoc! { "_id": 2, "a": array },
    ]
}
