//! What becomes of archives that were cut or changed.

use super::*;

/// A small archive of everything: two namespaces that alternate, an empty one, buckets.
fn sample() -> Vec<u8> {
    let namespace = Namespace::new;
    let document = |id: i32| bson::rawdoc! { "_id": id, "text": "x" }.into_bytes();
    let mut orders = collection("shop", "orders", "collection");
    orders.metadata = r#"{"options":{},"indexes":[]}"#.to_owned();
    let events = [
        Seen::Prelude(prelude(vec![
            orders,
            collection("", "oplog", ""),
            collection("shop", "view", "view"),
            collection("shop", "prices", "timeseries"),
        ])),
        Seen::Block(0, namespace("shop", "orders")),
        Seen::Documents(0, 2, [document(1), document(2)].concat()),
        Seen::Block(3, namespace("shop", "system.buckets.prices")),
        Seen::Documents(3, 1, document(3)),
        Seen::Block(0, namespace("shop", "orders")),
        Seen::Documents(0, 1, document(4)),
        Seen::End(0, namespace("shop", "orders")),
        Seen::End(3, namespace("shop", "system.buckets.prices")),
        Seen::Block(2, namespace("shop", "view")),
        Seen::End(2, namespace("shop", "view")),
        Seen::Block(1, namespace("", "oplog")),
        Seen::Documents(1, 1, document(5)),
        Seen::End(1, namespace("", "oplog")),
    ];
    write(&events)
}

/// Where `needle` is, the `nth` time.
fn place(archive: &[u8], needle: &[u8], nth: usize) -> std::ops::Range<usize> {
    let mut places = archive.windows(needle.len()).enumerate();
    let found = |(_, window): &(usize, &[u8])| *window == needle;
    let (start, _) = places.by_ref().filter(found).nth(nth).unwrap();
    start..start + needle.len()
}

#[test]
fn an_archive_cut_anywhere_is_an_error_that_says_where() {
    // TOOLS-2455.
    let archive = sample();
    for at in 0..archive.len() {
        let (_, end) = read([&archive[..at]]);
        let (ArchiveError::Truncated { offset, .. }
        | ArchiveError::Unended { offset, .. }
        | ArchiveError::Unseen { offset, .. }) = end.unwrap_err()
        else {
            panic!("cut at {at}");
        };
        assert_eq!(offset, at as u64);
    }
}

#[test]
fn an_archive_with_anything_after_it_is_an_error() {
    let archive = sample();
    for tail in [&archive, &archive[4..], &TERMINATOR[..], &[0], b"\n"] {
        let (_, end) = read([archive.as_slice(), tail]);
        end.unwrap_err();
    }
}

/// Checksums protect documents, and the names of namespaces are there at least twice. What the
/// prelude says beyond names is nowhere else: such texts and numbers can change unnoticed, but not
/// where they begin and end.
#[test]
fn a_changed_byte_is_an_error_except_in_what_the_prelude_says() {
    let archive = sample();
    let value = |key: &[u8], bytes: usize, nth| {
        let key = place(&archive, key, nth);
        key.end..key.end + bytes
    };
    let text = |text: &[u8], nth| place(&archive, text, nth);
    let unprotected = [
        value(b"\x10concurrent_collections\0", 4, 0),
        text(b"6.0.5", 0),
        text(b"100.18.0", 0),
        text(br#"{"options":{},"indexes":[]}"#, 0),
        value(b"\x10size\0", 4, 0),
        value(b"\x10size\0", 4, 1),
        value(b"\x10size\0", 4, 2),
        value(b"\x10size\0", 4, 3),
        value(b"\x02type\0\x0b\0\0\0", 10, 0),
        value(b"\x02type\0\x05\0\0\0", 4, 0),
    ];
    for at in 0..archive.len() {
        let bits = (0..8).map(|bit| archive[at] ^ (1 << bit));
        let bytes = [0, 1, b'x', 0x7F, 0x80, 0xFF, !archive[at]];
        let unnoticed = bits.chain(bytes).filter(|byte| {
            let mut changed = archive.clone();
            changed[at] = *byte;
            changed != archive && read([changed.as_slice()]).1.is_ok()
        });
        assert_eq!(
            unnoticed.count() > 0,
            unprotected.iter().any(|range| range.contains(&at)),
            "byte {at} of {}",
            archive.escape_ascii()
        );
    }
}

#[test]
fn nothing_is_read_after_an_error() {
    let mut archive = sample();
    let blocks = place(&archive, &TERMINATOR, 0).end;
    archive[blocks] = 0;
    let mut decoder = ArchiveDecoder::new();
    let mut piece = archive.as_slice();
    decoder.decode(&mut piece).unwrap();
    decoder.decode(&mut piece).unwrap_err();
    let at = blocks as u64;
    for mut piece in [piece, &archive, &[]] {
        let error = decoder.decode(&mut piece).unwrap_err();
        assert!(matches!(error, ArchiveError::AfterError { offset } if offset == at));
    }
    decoder.finish().unwrap_err();
}
