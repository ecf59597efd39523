#![expect(
    clippy::indexing_slicing,
    reason = "a panic in a test is a failed test"
)]

use bson::{Bson, RawDocument, RawDocumentBuf, doc, rawdoc};
use proptest::prelude::*;

use super::*;
use crate::arbitrary;

fn raw(bytes: &[u8]) -> &RawDocument {
    RawDocument::from_bytes(bytes).unwrap()
}

fn canonical(document: bson::Document) -> String {
    to_canonical(&RawDocumentBuf::try_from(document).unwrap()).unwrap()
}

/// What `text` reads as, written canonically.
fn reread(text: &str) -> String {
    to_canonical(&parse(text).unwrap()).unwrap()
}

fn refused(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

proptest! {
    #[test]
    fn what_is_written_reads_back_to_the_byte(document in arbitrary::document()) {
        let text = to_canonical(raw(&document)).unwrap();
        let back = parse(&text).map_err(|error| TestCaseError::fail(format!("{error}: {text}")))?;
        prop_assert_eq!(back.as_bytes(), document.as_slice(), "{}", text);
    }

    #[test]
    fn no_text_makes_the_reader_panic(
        text in ".{0,40}",
        wrapper in r#"\{"\$[a-zA-Z]{2,9}":["0-9a-z{}:,.\[\] -]{0,20}\}"#,
    ) {
        let _ = parse(&text);
        let _ = parse(&wrapper);
        let _ = parse(&format!("{{\"a\":{wrapper}}}"));
    }

    #[test]
    fn no_bytes_make_the_writer_panic(
        mut document in arbitrary::document(),
        at in any::<prop::sample::Index>(),
        with in any::<u8>(),
    ) {
        let at = at.index(document.len());
        document[at] = with;
        if let Ok(document) = RawDocument::from_bytes(&document) {
            let _ = to_canonical(document);
        }
    }

    #[test]
    fn a_double_reads_back_to_the_bit(bits in any::<u64>()) {
        let double = f64::from_bits(bits);
        prop_assume!(!double.is_nan());
        let document = rawdoc! { "d": double };
        let back = parse(&to_canonical(&document).unwrap()).unwrap();
        prop_assert_eq!(back.get_f64("d").unwrap().to_bits(), bits);
    }
}

#[test]
fn doubles_are_spelled_as_go_does() {
    for (double, spelled) in [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (-1.5, "-1.5"),
        (0.1, "0.1"),
        (123_456.0, "123456.0"),
        (999_999.5, "999999.5"),
        (1e6, "1E+06"),
        (1_234_567.0, "1.234567E+06"),
        (-1_048_576.0, "-1.048576E+06"),
        (1e20, "1E+20"),
        (1e21, "1E+21"),
        (1e100, "1E+100"),
        (0.0001, "0.0001"),
        (0.000_01, "1E-05"),
        (1.5e-7, "1.5E-07"),
        (f64::MAX, "1.7976931348623157E+308"),
        (5e-324, "5E-324"),
        (1.234_567_892_123_2e18, "1.2345678921232E+18"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "Infinity"),
        (f64::NEG_INFINITY, "-Infinity"),
    ] {
        assert_eq!(
            canonical(doc! { "d": double }),
            format!(r#"{{"d":{{"$numberDouble":"{spelled}"}}}}"#)
        );
    }
}

#[test]
fn strings_are_escaped_as_go_does() {
    let text = "\0\u{1}\u{1f}\u{7f}\u{8}\u{c}\n\r\t\"\\/<>&'é\u{2028}\u{2029}\u{202a}😀";
    assert_eq!(
        canonical(doc! { text.replace('\0', ""): text }),
        [
            r#"{"\u0001\u001f"#,
            "\u{7f}",
            r#"\b\f\n\r\t\"\\/<>&'é\u2028\u2029"#,
            "\u{202a}",
            r#"😀":"\u0000\u0001\u001f"#,
            "\u{7f}",
            r#"\b\f\n\r\t\"\\/<>&'é\u2028\u2029"#,
            "\u{202a}",
            r#"😀"}"#,
        ]
        .concat()
    );
}

#[test]
fn every_type_has_its_wrapper() {
    let oid = bson::oid::ObjectId::from_bytes([0xAB; 12]);
    let document = doc! {
        "binary": bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: vec![1, 2, 3] },
        "old": bson::Binary { subtype: bson::spec::BinarySubtype::BinaryOld, bytes: vec![1] },
        "oid": oid,
        "date": bson::DateTime::from_millis(-1),
        "regex": Bson::RegularExpression(bson::Regex { pattern: "^a\"".try_into().unwrap(), options: "im".try_into().unwrap() }),
        "code": Bson::JavaScriptCode("f()".into()),
        "scope": bson::JavaScriptCodeWithScope { code: "f".into(), scope: doc! { "a": [true, Bson::Null] } },
        "symbol": Bson::Symbol("s".into()),
        "timestamp": bson::Timestamp { time: u32::MAX, increment: 2 },
        "int": 1,
        "long": i64::MIN,
        "decimal": "1.50E+10".parse::<bson::Decimal128>().unwrap(),
        "undefined": Bson::Undefined,
        "min": Bson::MinKey,
        "max": Bson::MaxKey,
        "empty": {},
        "none": [],
    };
    insta::assert_snapshot!(canonical(document).replace(",\"", ",\n\""));
}

#[test]
fn the_scope_of_code_may_hold_code() {
    let text = r#"{"a":{"$code":"f","$scope":{"b":{"$code":"g","$scope":{}}}}}"#;
    assert_eq!(reread(text), text);
}

#[test]
fn relaxed_and_old_spellings_are_read() {
    for (text, canonical) in [
        (r#"{ "v" : 1 }"#, r#"{"v":{"$numberInt":"1"}}"#),
        (
            r#"{"v":2147483648}"#,
            r#"{"v":{"$numberLong":"2147483648"}}"#,
        ),
        (
            r#"{"v":9223372036854775808}"#,
            r#"{"v":{"$numberDouble":"9.223372036854776E+18"}}"#,
        ),
        (r#"{"v":-1e400}"#, ""),
        (r#"{"v":1.0}"#, r#"{"v":{"$numberDouble":"1.0"}}"#),
        (r#"{"v":1e3}"#, r#"{"v":{"$numberDouble":"1000.0"}}"#),
        (r#"{"v":4.35}"#, r#"{"v":{"$numberDouble":"4.35"}}"#),
        (
            r#"{"v":{"$date":"1970-01-01T00:00:01.5Z"}}"#,
            r#"{"v":{"$date":{"$numberLong":"1500"}}}"#,
        ),
        (
            r#"{"v":{"$date":"1969-12-31T23:59:59.9999Z"}}"#,
            r#"{"v":{"$date":{"$numberLong":"-1"}}}"#,
        ),
        (
            r#"{"v":{"$date":"1970-01-01T00:00:00.0019Z"}}"#,
            r#"{"v":{"$date":{"$numberLong":"1"}}}"#,
        ),
        (
            r#"{"v":{"$date":"1970-01-01T01:00:00+01:00"}}"#,
            r#"{"v":{"$date":{"$numberLong":"0"}}}"#,
        ),
        (
            r#"{"v":{"$date":"1970-01-01T01:00:00.000+0100"}}"#,
            r#"{"v":{"$date":{"$numberLong":"0"}}}"#,
        ),
        (
            r#"{"v":{"$date":-5}}"#,
            r#"{"v":{"$date":{"$numberLong":"-5"}}}"#,
        ),
        (
            r#"{"v":{"$binary":"AQI=","$type":"0"}}"#,
            r#"{"v":{"$binary":{"base64":"AQI=","subType":"00"}}}"#,
        ),
        (
            r#"{"v":{"$binary":{"subType":"80","base64":""}}}"#,
            r#"{"v":{"$binary":{"base64":"","subType":"80"}}}"#,
        ),
        (
            r#"{"v":{"$uuid":"00112233-4455-6677-8899-AABBCCDDEEFF"}}"#,
            r#"{"v":{"$binary":{"base64":"ABEiM0RVZneImaq7zN3u/w==","subType":"04"}}}"#,
        ),
        (
            r#"{"v":{"$timestamp":{"i":2,"t":1}}}"#,
            r#"{"v":{"$timestamp":{"t":1,"i":2}}}"#,
        ),
        (
            r#"{"v":{"$regex":"^a","$options":"i"}}"#,
            r#"{"v":{"$regex":"^a","$options":"i"}}"#,
        ),
        (r#"{"$oid":"x"}"#, r#"{"$oid":"x"}"#),
        (
            r#"{"v":{"a":1,"$oid":2}}"#,
            r#"{"v":{"a":{"$numberInt":"1"},"$oid":{"$numberInt":"2"}}}"#,
        ),
        (r#"{"v":{"$unknown":true}}"#, r#"{"v":{"$unknown":true}}"#),
        (
            r#"{"a":1,"a":{"":[]}}"#,
            r#"{"a":{"$numberInt":"1"},"a":{"":[]}}"#,
        ),
        ("{}", "{}"),
    ] {
        if canonical.is_empty() {
            parse(text).unwrap_err();
        } else {
            assert_eq!(reread(text), canonical, "{text}");
        }
    }
}

#[test]
fn a_broken_wrapper_is_refused_with_its_path() {
    let broken = [
        r#"{"$oid":"0123"}"#,
        r#"{"$oid":"0123456789abcdef01234567","b":1}"#,
        r#"{"$oid":{}}"#,
        r#"{"$numberInt":"2147483648"}"#,
        r#"{"$numberInt":1}"#,
        r#"{"$numberLong":"x"}"#,
        r#"{"$numberDouble":"one"}"#,
        r#"{"$numberDouble":"-NaN"}"#,
        r#"{"$numberDecimal":"one"}"#,
        r#"{"$numberDecimal":"sNaN"}"#,
        r#"{"$date":"yesterday"}"#,
        r#"{"$date":{"$numberLong":1}}"#,
        r#"{"$date":{"a":"1"}}"#,
        r#"{"$date":{"$numberLong":"1","a":1}}"#,
        r#"{"$date":true}"#,
        r#"{"$timestamp":{"t":1}}"#,
        r#"{"$timestamp":{"t":1,"i":-1}}"#,
        r#"{"$timestamp":{"t":1,"i":"2"}}"#,
        r#"{"$timestamp":{"t":1,"x":2}}"#,
        r#"{"$timestamp":7}"#,
        r#"{"$undefined":false}"#,
        r#"{"$minKey":2}"#,
        r#"{"$maxKey":true}"#,
        r#"{"$uuid":"0011223344556677-8899-AABB-CCDD-EEFF"}"#,
        r#"{"$uuid":"0011223x-4455-6677-8899-AABBCCDDEEFF"}"#,
        r#"{"$uuid":1}"#,
        r#"{"$binary":{"base64":"AQI=","type":"00"}}"#,
        r#"{"$binary":{"base64":"A","subType":"00"}}"#,
        r#"{"$binary":{"base64":"","subType":"100"}}"#,
        r#"{"$binary":"","$other":"00"}"#,
        r#"{"$binary":"","$type":"00","a":1}"#,
        r#"{"$symbol":1}"#,
        r#"{"$regularExpression":{"pattern":"a"}}"#,
        r#"{"$regularExpression":{"pattern":"a","options":1}}"#,
        r#"{"$regularExpression":{"pattern":"a\u0000","options":""}}"#,
        r#"{"$regularExpression":{"pattern":"a","options":"\u0000"}}"#,
        r#"{"$dbPointer":{"$ref":"a"}}"#,
        r#"{"$dbPointer":{"$ref":1,"$id":{"$oid":"0123456789abcdef01234567"}}}"#,
        r#"{"$dbPointer":{"$ref":"a","$id":"0123456789abcdef01234567"}}"#,
        r#"{"$code":1}"#,
        r#"{"$code":"","$scope":1}"#,
        r#"{"$code":"","$scope":{"b":{"$maxKey":2}}}"#,
        r#"{"$scope":{}}"#,
    ];
    let refusals = broken.map(|wrapper| {
        format!(
            "{wrapper}\n  {}",
            refused(&format!(r#"{{"a":[0,{wrapper}]}}"#))
        )
    });
    insta::assert_snapshot!(refusals.join("\n"));
}

#[test]
fn strings_and_keys_may_hold_control_characters_as_they_are() {
    let text = "{\n\t\"$where\": \"function() {\n\treturn \\\"é\\\";\r\n}\u{1}\u{0}\",\r\n\t\"a\tb\": \"\\n\" }";
    assert_eq!(
        parse(text).unwrap(),
        rawdoc! { "$where": "function() {\n\treturn \"é\";\r\n}\u{1}\0", "a\tb": "\n" }
    );
    for text in ["{\"a\": \"\\\n\"}", "{\u{1}\"a\": 1}", "{\"a\": 1}\u{1}"] {
        assert!(parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn what_is_wrong_is_found_where_it_stands_even_after_control_characters() {
    for (text, place) in [
        ("{\"a\": \"\t\n\n\",\n  x}", "line 4, column 3"),
        ("{\"a\": \"\t\t\", x}", "line 1, column 13"),
        ("{\n \"a\": x}", "line 2, column 7"),
        ("{\"a\": \"\t", "line 1, column 8"),
    ] {
        let message = refused(text);
        assert!(message.ends_with(place), "{text:?}: {message}");
    }
}

#[test]
fn a_text_that_is_no_document_is_refused() {
    for text in [
        "",
        "[]",
        "1",
        "{",
        "{} {}",
        "{\"a\":}",
        "{'a':1}",
        "{a:1}",
        r#"{"a":"\ud800"}"#,
        r#"{"a\u0000":1}"#,
    ] {
        parse(text).unwrap_err();
    }
    assert_eq!(refused("[]"), "text is JSON, but no object");
    assert_eq!(refused("{\"a\":1\n,}"), "not JSON at line 2, column 2");
    let error = parse(r#"{"a\u0000":1}"#).unwrap_err();
    assert_eq!(
        error.to_string(),
        "not Extended JSON at \"a\\0\": a key, pattern or option contains a NUL"
    );
}

fn nested(levels: usize) -> Vec<u8> {
    (1..levels).fold(arbitrary::encode(vec![]), |inner, _| {
        arbitrary::encode(vec![("a".to_owned(), (3, inner))])
    })
}

#[test]
fn documents_may_be_nested_200_deep_and_no_deeper() {
    let deepest = nested(MAX_DEPTH);
    let text = to_canonical(raw(&deepest)).unwrap();
    assert_eq!(parse(&text).unwrap().as_bytes(), deepest);

    let error = to_canonical(raw(&nested(MAX_DEPTH + 1))).unwrap_err();
    assert!(matches!(error, ExtJsonError::Bson { .. }), "{error:?}");

    for deep in ["[".repeat(100_000), "{\"a\":".repeat(100_000)] {
        parse(&deep).unwrap_err();
        parse(&format!("{{\"a\":{deep}")).unwrap_err();
    }
}

#[test]
fn the_scopes_of_code_may_be_nested_as_deep() {
    let text = (1..MAX_DEPTH).fold("{}".to_owned(), |inner, _| {
        format!(r#"{{"a":{{"$code":"","$scope":{inner}}}}}"#)
    });
    assert_eq!(reread(&text), text);
}

#[test]
fn what_json_cannot_hold_is_refused_with_its_place() {
    let element =
        |kind, value: &[u8]| arbitrary::encode(vec![("a".to_owned(), (kind, value.to_vec()))]);
    for (document, reason) in [
        (element(0x02, b"\x02\0\0\0\xFF\0"), "a string is not UTF-8"),
        (element(0x0D, b"\x02\0\0\0\xFF\0"), "a string is not UTF-8"),
        (element(0x0E, b"\x02\0\0\0\xFF\0"), "a string is not UTF-8"),
        (element(0x0B, b"\xFF\0\0"), "a string is not UTF-8"),
        (element(0x0B, b"\0\xFF\0"), "a string is not UTF-8"),
        (
            element(0x0C, b"\x02\0\0\0\xFF\0abcdefghijkl"),
            "a string is not UTF-8",
        ),
        (
            element(0x0F, b"\x0F\0\0\0\x02\0\0\0\xFF\0\x05\0\0\0\0"),
            "a string is not UTF-8",
        ),
        (
            element(0x05, b"\x03\0\0\0\x02abc"),
            "the length inside a binary of subtype 2 is not that of its bytes",
        ),
        (
            element(0x05, b"\x05\0\0\0\x02\x02\0\0\0a"),
            "the length inside a binary of subtype 2 is not that of its bytes",
        ),
    ] {
        let error = to_canonical(raw(&document)).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("cannot write the element at byte 4 as JSON: {reason}")
        );
    }
    let mut name = element(0x0A, b"");
    name[5] = 0xFF;
    to_canonical(raw(&name)).unwrap_err();
}
