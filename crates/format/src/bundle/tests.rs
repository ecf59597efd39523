#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a panic in a test is a failed test"
)]

use std::ops::Range;

use proptest::prelude::*;

use super::*;

const PATH: &str = "snapshots/20260131T235959Z-0f1e2d3c/data/1-4294967295.bson.zst";

fn header() -> [u8; BLOCK_BYTES] {
    BundleEntry::new(PATH, 12345)
        .to_header(1_769_900_000)
        .unwrap()
}

const KIND: Range<usize> = 156..157;
const LENGTH: Range<usize> = 124..136;
const MAGIC: Range<usize> = 257..265;
const PREFIX: Range<usize> = 345..500;

/// A header that is right but for one field.
fn with(field: Range<usize>, bytes: &[u8]) -> [u8; BLOCK_BYTES] {
    let mut header = Header::from_byte_slice(&header()).clone();
    let field = &mut header.as_mut_bytes()[field];
    field.fill(0);
    field[..bytes.len()].copy_from_slice(bytes);
    header.set_cksum();
    *header.as_bytes()
}

proptest! {
    #[test]
    fn an_entry_comes_back(path in "[a-zA-Z0-9/._-]{1,100}", stored_bytes in 0..=MAX_ENTRY_BYTES, time: u64) {
        let entry = BundleEntry::new(path, stored_bytes);
        let header = entry.to_header(time).unwrap();
        prop_assert_eq!(BundleEntry::from_header(&header), Ok(Some(entry.clone())));
        prop_assert!(is_tar(&header));
        let end = entry.stored_bytes + entry.padding_bytes() as u64;
        prop_assert!(end.is_multiple_of(BLOCK_BYTES as u64) && entry.padding_bytes() < BLOCK_BYTES);
    }

    #[test]
    fn any_changed_byte_is_noticed_or_changes_nothing(at in 0..BLOCK_BYTES, by in 1..=255_u8) {
        let mut changed = header();
        changed[at] ^= by;
        match BundleEntry::from_header(&changed) {
            Err(_) => {}
            Ok(read) => prop_assert_eq!(read, BundleEntry::from_header(&header()).unwrap()),
        }
    }

    #[test]
    fn any_block_is_an_entry_or_an_error(bytes in prop::collection::vec(any::<u8>(), BLOCK_BYTES)) {
        let _ = BundleEntry::from_header(bytes.first_chunk().unwrap());
    }
}

#[test]
fn what_is_no_plain_file_is_refused_by_name() {
    // Old files, links, devices, folders, pipes; long names and links of GNU, extended headers, sparse files.
    for kind in [
        0, b'1', b'2', b'3', b'4', b'5', b'6', b'7', b'L', b'K', b'x', b'g', b'S', b'V',
    ] {
        let error = BundleEntry::from_header(&with(KIND, &[kind])).unwrap_err();
        let path = PATH.to_owned();
        assert_eq!(
            error,
            BundleError::NoPlainFile {
                path,
                kind: kind.into()
            }
        );
    }
}

#[test]
fn lengths_are_octal_digits_and_nothing_else() {
    for text in ["77777777777\0", "00000000000\0", "7\0"] {
        let read = BundleEntry::from_header(&with(LENGTH, text.as_bytes()));
        let is_whole = text.len() == LENGTH.len();
        assert_eq!(read.is_ok(), is_whole, "{text:?}");
    }
    let binary = b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff";
    for bytes in [
        &binary[..],
        b"00000000008\0",
        b"          1\0",
        b"777777777777",
        b"-0000000001\0",
    ] {
        let error = BundleEntry::from_header(&with(LENGTH, bytes)).unwrap_err();
        assert_eq!(
            error,
            BundleError::Length {
                path: PATH.to_owned()
            }
        );
    }
}

#[test]
fn what_does_not_fit_is_not_written() {
    for entry in [
        BundleEntry::new("x".repeat(101), 0),
        BundleEntry::new("x", MAX_ENTRY_BYTES + 1),
    ] {
        let BundleEntry { path, stored_bytes } = entry.clone();
        let error = BundleError::TooLong { path, stored_bytes };
        assert_eq!(entry.to_header(0), Err(error));
    }
}

#[test]
fn zeros_are_the_end() {
    assert_eq!(BundleEntry::from_header(&[0; BLOCK_BYTES]), Ok(None));
}

#[test]
fn a_tar_of_another_kind_is_one_and_no_bundle() {
    for (field, bytes) in [(MAGIC, &b"ustar  \0"[..]), (PREFIX, b"/etc")] {
        let header = with(field, bytes);
        assert!(is_tar(&header));
        assert_eq!(BundleEntry::from_header(&header), Err(BundleError::Magic));
    }
    assert!(!is_tar(&[b'a'; BLOCK_BYTES]) && !is_tar(&header()[..200]) && !is_tar(b""));
}
