#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a panic in a test is a failed test"
)]

use proptest::prelude::*;

use super::*;
use crate::arbitrary;
use crate::codec::Compression;

const ALL: [Compression; 3] = [Compression::None, Compression::GZIP, Compression::ZSTD];

fn segments(documents: &[Vec<u8>], limit_bytes: usize) -> Vec<Segment> {
    let mut builder = SegmentBuilder::new(limit_bytes);
    let mut segments = Vec::new();
    for document in documents {
        segments.extend(builder.push(document).unwrap());
    }
    segments.extend(builder.finish());
    segments
}

/// What is stored of a segment after what `digester` has seen, and its record.
fn sealed(
    segment: &Segment,
    compression: Compression,
    digester: &mut Digester,
) -> (Vec<u8>, SegmentRecord) {
    let mut compressor = Compressor::new(compression).unwrap();
    let stored = segment
        .seal(&mut compressor, b"old content".to_vec())
        .unwrap();
    let bytes = segment.body.len() as u64;
    let record = SegmentRecord::of(segment.documents, bytes, &stored, digester);
    (stored, record)
}

/// As [`sealed`], of the first segment of a file.
fn first(segment: &Segment, compression: Compression) -> (Vec<u8>, SegmentRecord) {
    sealed(segment, compression, &mut Digester::new())
}

/// A segment of three documents.
fn three() -> Segment {
    Segment {
        body: [5, 0, 0, 0, 0].repeat(3),
        documents: 3,
    }
}

proptest! {
    #[test]
    fn segments_hold_what_was_pushed_and_are_as_long_as_asked(
        documents in prop::collection::vec(arbitrary::frame(), 0..20),
        limit_bytes in 0..200_usize,
        compression in prop::sample::select(&ALL[..]),
    ) {
        let segments = segments(&documents, limit_bytes);
        let (mut out, mut file) = (Vec::new(), Vec::new());
        let (mut written, mut read) = (Digester::new(), Digester::new());
        for segment in &segments {
            let (stored, record) = sealed(segment, compression, &mut written);
            record.open(compression.codec(), &stored, &mut read, &mut out).unwrap();
            file.extend(stored);
            prop_assert_eq!(record.sha256, Digest::of(&file));
        }
        prop_assert_eq!(out, documents.concat());
        prop_assert_eq!(segments.iter().map(|segment| segment.documents).sum::<u64>(), documents.len() as u64);
        let longest = documents.iter().map(Vec::len).max().unwrap_or(0);
        for (position, segment) in segments.iter().enumerate() {
            prop_assert!(segment.body.len() < limit_bytes.max(1) + longest);
            prop_assert!(segment.body.len() >= limit_bytes || position + 1 == segments.len());
        }
    }

    #[test]
    fn any_changed_byte_and_any_cut_is_noticed(
        documents in prop::collection::vec(arbitrary::frame(), 1..4),
        compression in prop::sample::select(&ALL[..]),
        at in any::<prop::sample::Index>(),
        mask in 1..=u8::MAX,
    ) {
        let (mut stored, record) = first(&segments(&documents, usize::MAX)[0], compression);
        let at = at.index(stored.len());
        let mut out = b"before".to_vec();
        let cut = record.open(compression.codec(), &stored[..at], &mut Digester::new(), &mut out);
        prop_assert!(matches!(cut, Err(SegmentError::StoredLength { .. })), "{:?}", cut);
        stored[at] ^= mask;
        let changed = record.open(compression.codec(), &stored, &mut Digester::new(), &mut out);
        prop_assert!(matches!(changed, Err(SegmentError::Digest { .. })), "{:?}", changed);
        prop_assert_eq!(out, b"before");
    }
}

#[test]
fn what_is_no_whole_document_is_not_pushed() {
    let mut builder = SegmentBuilder::new(1);
    builder.push(b"").unwrap_err();
    builder.push(&[6, 0, 0, 0, 0]).unwrap_err();
    assert!(builder.is_empty());
    assert!(builder.finish().is_none());
}

#[test]
fn buffers_go_round() {
    let document = [5, 0, 0, 0, 0];
    let mut builder = SegmentBuilder::with_buffer(10, vec![1; 1000]);
    assert!(builder.is_empty());
    assert!(builder.push(&document).unwrap().is_none());
    assert!(!builder.is_empty());
    builder.replace_buffer(vec![2; 2000]); // kept for the next segment
    let first = builder.push(&document).unwrap().unwrap();
    assert_eq!(
        (first.body.len(), first.body.capacity(), first.documents),
        (10, 1000, 2)
    );

    builder.push(&document).unwrap();
    let second = builder.push(&document).unwrap().unwrap();
    assert_eq!((second.body.len(), second.body.capacity()), (10, 2000));

    builder.replace_buffer(first.body); // used at once: there is none
    builder.push(&document).unwrap();
    let third = builder.finish().unwrap();
    assert_eq!(
        (
            third.body.as_slice(),
            third.body.capacity(),
            third.documents
        ),
        (&document[..], 1000, 1)
    );
}

#[test]
fn an_empty_segment_is_an_empty_piece() {
    for compression in ALL {
        let (stored, record) = first(&Segment::default(), compression);
        let mut out = Vec::new();
        record
            .open(compression.codec(), &stored, &mut Digester::new(), &mut out)
            .unwrap();
        assert_eq!((out.len(), record.documents), (0, 0));
    }
}

#[test]
fn segments_that_changed_places_are_noticed() {
    let mut digester = Digester::new();
    let (_, before) = sealed(&three(), Compression::None, &mut digester);
    let (stored, after) = sealed(&three(), Compression::None, &mut digester);
    let opened = after.open(Codec::None, &stored, &mut Digester::new(), &mut Vec::new());
    assert!(
        matches!(opened, Err(SegmentError::Digest { .. })),
        "{opened:?}"
    );
    let opened = before.open(Codec::None, &stored, &mut Digester::new(), &mut Vec::new());
    opened.unwrap();
}

#[test]
fn a_record_that_lies_is_found_out() {
    for compression in ALL {
        let codec = compression.codec();
        let (stored, record) = first(&three(), compression);
        let mut out = Vec::new();
        let mut open = |record: SegmentRecord| {
            let opened = record.open(codec, &stored, &mut Digester::new(), &mut out);
            opened.unwrap_err()
        };

        let error = open(SegmentRecord {
            documents: 4,
            ..record.clone()
        });
        assert_eq!(
            error.to_string(),
            "segment holds 3 documents, but the manifest recorded 4"
        );
        let error = open(SegmentRecord {
            uncompressed_bytes: 14,
            ..record.clone()
        });
        assert!(matches!(error, SegmentError::Codec { .. }), "{error:?}");
        let error = open(SegmentRecord {
            stored_bytes: 1,
            ..record.clone()
        });
        assert!(
            matches!(error, SegmentError::StoredLength { recorded: 1, .. }),
            "{error:?}"
        );
        let error = open(SegmentRecord {
            sha256: Digest::of(b"other"),
            ..record
        });
        assert!(matches!(error, SegmentError::Digest { .. }), "{error:?}");
        assert!(out.is_empty());
    }
}

#[test]
fn bytes_that_are_no_documents_are_not_handed_out() {
    let segment = Segment {
        body: b"no documents".to_vec(),
        documents: 1,
    };
    let (stored, record) = first(&segment, Compression::ZSTD);
    let mut out = Vec::new();
    let opened = record.open(Codec::Zstd, &stored, &mut Digester::new(), &mut out);
    let error = opened.unwrap_err();
    assert!(matches!(error, SegmentError::Framing { .. }), "{error:?}");
    assert!(out.is_empty());
}

#[test]
fn a_record_is_an_array() {
    let (_, record) = first(&three(), Compression::None);
    let json = serde_json::to_string(&record).unwrap();
    assert_eq!(json, format!(r#"[3,15,15,"{}"]"#, record.sha256));
    assert_eq!(
        serde_json::from_str::<SegmentRecord>(&json).unwrap(),
        record
    );
}
