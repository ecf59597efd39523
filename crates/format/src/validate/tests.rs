#![expect(
    clippy::indexing_slicing,
    reason = "a panic in a test is a failed test"
)]

use proptest::prelude::*;

use super::*;
use crate::arbitrary;
use crate::ext_json;

proptest! {
    #[test]
    fn sound_documents_pass(document in arbitrary::document()) {
        prop_assert_eq!(validate(&document), Ok(()));
    }

    #[test]
    fn a_document_cut_anywhere_is_refused(
        document in arbitrary::document(),
        at in any::<prop::sample::Index>(),
    ) {
        let cut = &document[..at.index(document.len())];
        prop_assert!(validate(cut).is_err());
    }

    #[test]
    fn a_changed_byte_never_panics_and_what_passes_has_sound_elements(
        mut document in arbitrary::document(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for (at, byte) in changes {
            let at = at.index(document.len());
            document[at] = byte;
        }
        if validate(&document).is_ok() {
            let document = bson::RawDocument::from_bytes(&document).unwrap();
            // What is sound can be written as JSON, but for what only JSON minds.
            let written = ext_json::to_canonical(document);
            prop_assert!(!matches!(written, Err(crate::ExtJsonError::Bson { .. })), "{:?}", written);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = validate(&bytes);
    }
}

fn element(kind: u8, value: &[u8]) -> Vec<u8> {
    arbitrary::encode(vec![("a".to_owned(), (kind, value.to_vec()))])
}

#[test]
fn what_servers_hold_is_let_through() {
    validate(&element(0x02, b"\x02\0\0\0\xFF\0")).unwrap(); // not UTF-8
    validate(&element(0x02, b"\x02\0\0\0\0\0")).unwrap(); // a NUL inside
    validate(&element(0x05, b"\x00\0\0\0\x02")).unwrap(); // old binary without a length inside
    let inner = element(0x0A, b"");
    validate(&element(0x04, &inner)).unwrap(); // an array whose key is no number
}

#[test]
fn every_fault_is_named_with_its_place() {
    let long = |kind, value: &[u8]| element(kind, value);
    let faults: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("three bytes", vec![5, 0, 0]),
        ("length too high", vec![6, 0, 0, 0, 0]),
        ("length negative", vec![0, 0, 0, 0xFF, 0]),
        ("no terminator", vec![5, 0, 0, 0, 1]),
        ("length field alone", vec![4, 0, 0, 0]),
        ("type 0", long(0x00, b"")),
        ("type 0x14", long(0x14, b"")),
        ("name without end", vec![7, 0, 0, 0, 0x0A, b'a', 0]),
        ("double cut short", long(0x01, b"1234567")),
        ("string of length 0", long(0x02, b"\0\0\0\0")),
        (
            "string of negative length",
            long(0x02, b"\xFF\xFF\xFF\xFF\0"),
        ),
        ("string too long", long(0x02, b"\x09\0\0\0a\0")),
        ("string without end", long(0x02, b"\x01\0\0\0a")),
        ("document too short", long(0x03, b"\x04\0\0\0")),
        ("document too long", long(0x03, b"\x06\0\0\0\0")),
        ("array without terminator", long(0x04, b"\x05\0\0\0\x01")),
        (
            "binary of negative length",
            long(0x05, b"\xFF\xFF\xFF\xFF\0"),
        ),
        ("binary too long", long(0x05, b"\x02\0\0\0\0a")),
        ("boolean of 2", long(0x08, b"\x02")),
        ("regex without end", long(0x0B, b"a\0b")),
        (
            "code with scope too short",
            long(0x0F, b"\x0D\0\0\0\x01\0\0\0\0\x05\0\0\0\0"),
        ),
        (
            "code with scope of another length",
            long(0x0F, b"\x0F\0\0\0\x01\0\0\0\0\x05\0\0\0\0"),
        ),
    ];
    let found = faults
        .iter()
        .map(|(fault, document)| format!("{fault}: {}", validate(document).unwrap_err()));
    insta::assert_snapshot!(found.collect::<Vec<_>>().join("\n"));
}

#[test]
fn nesting_is_limited_without_using_the_stack() {
    let nested = |levels: usize| {
        (1..levels).fold(arbitrary::encode(vec![]), |inner, level| {
            let kind = if level % 2 == 0 { 0x03 } else { 0x04 };
            arbitrary::encode(vec![("0".to_owned(), (kind, inner))])
        })
    };
    assert_eq!(validate(&nested(MAX_DEPTH)), Ok(()));
    let error = validate(&nested(MAX_DEPTH + 1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid BSON at byte 1400: the documents are nested too deep"
    );
    validate(&nested(20_000)).unwrap_err();
}
