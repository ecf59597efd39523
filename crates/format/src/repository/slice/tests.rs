use proptest::prelude::*;

use super::*;
use crate::{Compression, Compressor, SegmentBuilder};

fn at(seconds: u32) -> OpTime {
    OpTime {
        seconds,
        ordinal: 1,
    }
}

fn entry(number: i32) -> Vec<u8> {
    bson::rawdoc! { "op": "i", "ns": "shop.orders", "o": { "_id": number } }.into_bytes()
}

/// A slice with so many entries, in segments of about so many bytes.
fn written(entries: i32, segment_bytes: usize) -> Vec<u8> {
    let source = SourceRecord::new(vec!["h:1".to_owned()], "6.0.27", "replica set");
    let capture = "20260102T030405Z-00ff17a0".parse().unwrap();
    let mut header = SliceHeader::new(
        RepositoryId([7; 16]),
        TimelineId([3; 8]),
        capture,
        source,
        at(4),
    );
    header.previous = Some(Previous::new("timeline/x", b"x"));
    let mut footer = SliceFooter::new(at(9), "2026-01-02T03:04:05Z");
    footer.last = Some(EntryMark::new(at(9), Some(2), Digest::of(b"entry")));
    let mut builder = SegmentBuilder::new(segment_bytes);
    let mut segments = Vec::new();
    for number in 0..entries {
        segments.extend(builder.push(&entry(number)).unwrap());
    }
    segments.extend(builder.finish());
    let mut compressor = Compressor::new(Compression::ZSTD).unwrap();
    let mut stored = Vec::new();
    for segment in segments {
        let sealed = segment.seal(&mut compressor, Vec::new()).unwrap();
        let bytes = segment.body.len() as u64;
        let record = SegmentRecord::of(segment.documents, bytes, &sealed, &mut Digester::new());
        footer.entries += record.documents;
        footer.uncompressed_bytes += record.uncompressed_bytes;
        footer.segments.push(record);
        stored.extend(sealed);
    }
    header.stored_bytes = stored.len() as u64;
    OplogSlice::write(&header, &footer, &stored).unwrap()
}

fn read(slice: &OplogSlice<'_>) -> Vec<u8> {
    let mut documents = Vec::new();
    for (record, stored) in slice.segments() {
        let decoded = record.decode(crate::Codec::Zstd, stored, &mut documents);
        decoded.unwrap();
    }
    documents
}

#[test]
fn any_byte_that_is_changed_and_any_cut_is_noticed() {
    let bytes = written(40, 500);
    OplogSlice::read(&bytes).unwrap();
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        OplogSlice::read(&changed).unwrap_err();
        OplogSlice::read(&bytes[..place]).unwrap_err();
    }
    OplogSlice::read(&[bytes.as_slice(), b"x"].concat()).unwrap_err();
}

#[test]
fn zstd_alone_gives_the_entries() {
    let bytes = written(40, 500);
    let mut documents = Vec::new();
    let mut decoder = crate::decoder(crate::Codec::Zstd, bytes.as_slice()).unwrap();
    std::io::Read::read_to_end(&mut decoder, &mut documents).unwrap();
    assert_eq!(documents, (0..40).flat_map(entry).collect::<Vec<_>>());
}

#[test]
fn a_slice_without_entries_says_that_nothing_was_written() {
    let bytes = written(0, 500);
    let slice = OplogSlice::read(&bytes).unwrap();
    assert_eq!((slice.footer.entries, read(&slice)), (0, Vec::new()));
    assert_eq!(
        SpanName::parse_path(&slice.name().path()),
        Some(slice.name())
    );
}

#[test]
fn what_contradicts_itself_is_not_written() {
    let bytes = written(1, 500);
    let slice = OplogSlice::read(&bytes).unwrap();
    let stored = slice.stored;
    let refused = |change: fn(&mut SliceHeader, &mut SliceFooter)| {
        let (mut header, mut footer) = (slice.header.clone(), slice.footer.clone());
        change(&mut header, &mut footer);
        OplogSlice::write(&header, &footer, stored)
            .unwrap_err()
            .to_string()
    };
    let errors = [
        refused(|header, _| header.start = at(9)),
        refused(|header, _| header.stored_bytes -= 1),
        refused(|_, footer| footer.entries += 1),
        refused(|_, footer| footer.segments.clear()),
        refused(|_, footer| footer.last.as_mut().unwrap().at = at(8)),
        refused(|header, _| header.version = FormatVersion::new(9, 0)),
    ];
    let words = [
        "it ends before it begins: 9:1 after 9:1",
        "skippable frame",
        "its segments are not what it counts: 1 entries",
        "its segments are not what it counts: 0 entries",
        "its last entry is of another moment: 8:1 and 9:1",
        "format version 9.0",
    ];
    for (error, words) in errors.iter().zip(words) {
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_gap_says_why_and_what_comes_after_it() {
    let mut gap = GapRecord::new(
        RepositoryId([7; 16]),
        TimelineId([3; 8]),
        (at(4), at(9)),
        GapReason::RolledOver,
        Previous::new("timeline/x", b"x"),
        "2026-01-02T03:04:05Z",
    );
    gap.next = TimelineId([4; 8]);
    let bytes = gap.to_bytes().unwrap();
    assert_eq!(GapRecord::from_bytes(&bytes).unwrap(), gap);
    assert_eq!(gap.name().kind, SpanKind::Gap);
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        GapRecord::from_bytes(&changed).unwrap_err();
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read(entries in 0_i32..80, segment_bytes in 1_usize..2000) {
        let bytes = written(entries, segment_bytes);
        let slice = OplogSlice::read(&bytes).unwrap();
        prop_assert_eq!(slice.footer.entries, u64::try_from(entries).unwrap());
        prop_assert_eq!(read(&slice), (0..entries).flat_map(entry).collect::<Vec<_>>());
    }

    #[test]
    fn no_input_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = OplogSlice::read(&bytes);
        let _ = OplogSlice::read(&[SKIPPABLE.as_slice(), &bytes].concat());
    }
}
