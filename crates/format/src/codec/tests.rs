#![expect(
    clippy::indexing_slicing,
    reason = "a panic in a test is a failed test"
)]

use std::io::Read;

use proptest::prelude::*;

use super::*;

const ALL: [Compression; 5] = [
    Compression::None,
    Compression::GZIP,
    Compression::Gzip { level: 1 },
    Compression::ZSTD,
    Compression::Zstd { level: 19 },
];

fn compressed(compression: Compression, pieces: &[&[u8]]) -> Vec<u8> {
    let mut compressor = Compressor::new(compression).unwrap();
    let mut out = Vec::new();
    for piece in pieces {
        compressor.compress(piece, &mut out).unwrap();
    }
    out
}

fn stream(codec: Codec, stored: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    decoder(codec, stored)
        .unwrap()
        .read_to_end(&mut out)
        .map(|_| out)
}

proptest! {
    #[test]
    fn pieces_come_back_one_by_one_and_as_a_stream(
        pieces in prop::collection::vec(prop::collection::vec(0..4_u8, 0..300), 1..4),
        compression in prop::sample::select(&ALL[..]),
    ) {
        let codec = compression.codec();
        let mut compressor = Compressor::new(compression).unwrap();
        let mut file = Vec::new();
        for piece in &pieces {
            let start = file.len();
            compressor.compress(piece, &mut file).unwrap();
            let mut out = b"before".to_vec();
            decompress(codec, &file[start..], piece.len() as u64, &mut out).unwrap();
            prop_assert_eq!(&out[6..], piece.as_slice());
        }
        prop_assert_eq!(stream(codec, &file).unwrap(), pieces.concat());
    }

    #[test]
    fn a_piece_cut_anywhere_is_an_error(
        body in prop::collection::vec(0..4_u8, 1..300),
        compression in prop::sample::select(&ALL[..]),
        at in any::<prop::sample::Index>(),
    ) {
        let codec = compression.codec();
        let stored = compressed(compression, &[&body]);
        let cut = &stored[..at.index(stored.len())];
        let mut out = b"before".to_vec();
        prop_assert!(decompress(codec, cut, body.len() as u64, &mut out).is_err());
        prop_assert_eq!(out, b"before");
        if codec != Codec::None {
            prop_assert!(stream(codec, cut).is_err());
        }
    }

    #[test]
    fn another_length_than_promised_is_an_error(
        body in prop::collection::vec(0..4_u8, 1..300),
        compression in prop::sample::select(&ALL[..]),
        promised in 0..400_u64,
    ) {
        prop_assume!(promised != body.len() as u64);
        let stored = compressed(compression, &[&body]);
        let mut out = Vec::new();
        prop_assert!(decompress(compression.codec(), &stored, promised, &mut out).is_err());
        prop_assert!(out.is_empty());
    }

    #[test]
    fn no_bytes_panic(
        stored in prop::collection::vec(any::<u8>(), 0..64),
        promised in any::<u64>(),
    ) {
        for codec in [Codec::None, Codec::Gzip, Codec::Zstd] {
            let _ = decompress(codec, &stored, promised, &mut Vec::new());
            let _ = stream(codec, &stored);
        }
    }
}

#[test]
fn garbage_after_the_last_piece_is_an_error() {
    for compression in [Compression::GZIP, Compression::ZSTD] {
        for garbage in [&b"garbage that is long enough"[..], b"x", b"\0"] {
            let file = [compressed(compression, &[b"abc"]), garbage.to_vec()].concat();
            stream(compression.codec(), &file).unwrap_err();
            decompress(compression.codec(), &file, 3, &mut Vec::new()).unwrap_err();
        }
    }
}

#[test]
fn no_bytes_at_all_are_no_compressed_file() {
    assert_eq!(stream(Codec::None, b"").unwrap(), b"");
    for compression in [Compression::GZIP, Compression::ZSTD] {
        let codec = compression.codec();
        stream(codec, b"").unwrap_err();
        decompress(codec, b"", 0, &mut Vec::new()).unwrap_err();
        let empty = compressed(compression, &[b""]);
        assert!(!empty.is_empty());
        assert_eq!(stream(codec, &empty).unwrap(), b"");
        decompress(codec, &empty, 0, &mut Vec::new()).unwrap();
    }
}

#[test]
fn a_flipped_bit_of_a_zstd_frame_is_an_error_or_harmless() {
    let body = b"the checksum of the frame covers what it holds".repeat(5);
    let stored = compressed(Compression::ZSTD, &[&body]);
    for at in 0..stored.len() * 8 {
        let mut flipped = stored.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        let mut out = Vec::new();
        if decompress(Codec::Zstd, &flipped, body.len() as u64, &mut out).is_ok() {
            assert_eq!(out, body, "bit {at}");
        }
    }
}

#[test]
fn a_zstd_frame_says_how_long_its_content_is() {
    let stored = compressed(Compression::ZSTD, &[&[7; 1000]]);
    assert_eq!(
        zstd::zstd_safe::get_frame_content_size(&stored).unwrap(),
        Some(1000)
    );
    assert_eq!(stored[4] & 0b100, 0b100, "checksum flag");
}

#[test]
fn data_that_cannot_be_compressed_grows_by_an_eighth_at_most() {
    let mut state = 1_u64;
    let body: Vec<u8> = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56).to_le_bytes()[0]
    })
    .take(3_000_000)
    .collect();
    for compression in ALL {
        let stored = compressed(compression, &[&body]);
        assert!(stored.len() < body.len() + body.len() / 8, "{compression}");
        let mut out = Vec::new();
        decompress(compression.codec(), &stored, body.len() as u64, &mut out).unwrap();
        assert!(out == body, "{compression}");
    }
}

#[test]
fn the_most_compressible_data_passes_the_test_of_the_ratio() {
    let body = vec![0; 20_000_000];
    for compression in ALL {
        let stored = compressed(compression, &[&body]);
        let mut out = Vec::new();
        decompress(compression.codec(), &stored, body.len() as u64, &mut out).unwrap();
        assert!(out == body, "{compression}");
    }
}

#[test]
fn a_promise_that_cannot_be_kept_allocates_nothing() {
    for compression in ALL {
        let stored = compressed(compression, &[b"abc"]);
        let mut out = Vec::new();
        let error = decompress(compression.codec(), &stored, 1 << 40, &mut out).unwrap_err();
        assert!(
            matches!(
                error,
                CodecError::Length {
                    found: "they are too few",
                    ..
                }
            ),
            "{error:?}"
        );
        assert_eq!(out.capacity(), 0);
    }
}

#[test]
fn compression_is_written_as_it_is_read() {
    for (text, compression) in [
        ("none", Compression::None),
        ("gzip", Compression::Gzip { level: 6 }),
        ("gzip:1", Compression::Gzip { level: 1 }),
        ("gzip:9", Compression::Gzip { level: 9 }),
        ("zstd", Compression::Zstd { level: 1 }),
        ("zstd:19", Compression::Zstd { level: 19 }),
    ] {
        assert_eq!(text.parse::<Compression>().unwrap(), compression);
        assert_eq!(compression.to_string(), text);
        let json = serde_json::to_string(&compression).unwrap();
        assert_eq!(json, format!("{text:?}"));
        assert_eq!(
            serde_json::from_str::<Compression>(&json).unwrap(),
            compression
        );
    }
    for text in [
        "", "gzip:", "gzip:0", "gzip:10", "gzip:+1", "zstd:0", "zstd:20", "zstd:256", "none:1",
        "lz4", "GZIP",
    ] {
        text.parse::<Compression>().unwrap_err();
    }
    assert_eq!(Compression::default().codec(), Codec::default());
}

#[test]
fn a_level_that_does_not_exist_is_refused() {
    let error = Compressor::new(Compression::Gzip { level: 10 }).unwrap_err();
    assert_eq!(error.to_string(), "gzip has no level 10: use 1 to 9");
    let compressor = Compressor::new(Compression::ZSTD).unwrap();
    assert_eq!(compressor.compression(), Compression::ZSTD);
    assert_eq!(
        format!("{compressor:?}"),
        "Compressor { compression: Zstd { level: 1 }, .. }"
    );
}

#[test]
fn codecs_have_names_and_extensions() {
    let all = [Codec::None, Codec::Gzip, Codec::Zstd];
    assert_eq!(all.map(Codec::extension), ["", ".gz", ".zst"]);
    assert_eq!(
        all.map(|codec| codec.to_string()),
        ["plain", "gzip", "zstd"]
    );
    assert_eq!(
        all.map(|codec| serde_json::to_string(&codec).unwrap()),
        [r#""none""#, r#""gzip""#, r#""zstd""#]
    );
}

#[test]
fn documents_are_not_taken_for_compressed_whatever_their_length() {
    for high in 0..=0x100_u32 {
        let mut start = (high << 16 | 0x8B1F).to_le_bytes().to_vec();
        for field in [b"\x07_id\0\x01".as_slice(), b"\x02name\0"] {
            start.truncate(4);
            start.extend_from_slice(field);
            assert_eq!(Codec::detect_documents(&start), Codec::None, "{high}");
        }
    }
    assert_eq!(Codec::detect_documents(b"\x05\0\0\0\0"), Codec::None);
    assert_eq!(Codec::detect_documents(b""), Codec::None);
}

#[test]
fn compressed_documents_are_known_by_their_start() {
    for compression in ALL {
        let stored = compressed(compression, &[b"\x05\0\0\0\0"]);
        let start = &stored[..stored.len().min(Codec::START_BYTES)];
        assert_eq!(Codec::detect_documents(start), compression.codec());
    }
    // `gzip < file` has a time, `gzip file` a name besides.
    for start in [
        [0x1F, 0x8B, 8, 0, 0x12, 0x34, 0x56, 0x68, 0],
        [0x1F, 0x8B, 8, 8, 0x12, 0x34, 0x56, 0x68, 2],
    ] {
        assert_eq!(Codec::detect_documents(&start), Codec::Gzip);
    }
}
