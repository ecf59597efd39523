//! The text of errors as people see it: the message, then its causes.

use std::error::Error;
use std::io;

use rdump_format::{
    Codec, CollectionMetadata, Compression, Compressor, Digest, Digester, DocumentReader, FileName,
    FolderManifest, FormatVersion, Namespace, Pattern, Prelude, Remap, SegmentRecord,
    check_collection_argument, check_collection_name, check_database_name, check_document,
    decompress, documents, ext_json, unescape, validate,
};

/// One line: the error and what caused it.
fn chain(error: impl Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text} < {error}");
        cause = error.source();
    }
    text
}

fn text<T: std::fmt::Debug>(outcome: Result<T, impl Error>) -> String {
    match outcome {
        Err(error) => chain(error),
        Ok(value) => panic!("no error, but {value:?}"),
    }
}

#[test]
fn names() {
    let shortened =
        FileName::parse(&format!("{}%24{}.bson", "x".repeat(208), "A".repeat(27))).unwrap();
    let lines = [
        text(check_database_name("")),
        text(check_database_name(&"x".repeat(64))),
        text(check_database_name("a/b")),
        text(check_collection_name("")),
        text(check_collection_name("a\0")),
        text(check_collection_argument("a$")),
        text("orders".parse::<Namespace>()),
        text(unescape("a%2")),
        text(unescape("%FF")),
        text(shortened.collection(None)),
        text(shortened.collection(Some("other"))),
        text(Pattern::parse("a.$b")),
        text(Remap::parse(&["a.*"], &["b.c"])),
        text(
            Remap::parse(&["a.b"], &["c"])
                .unwrap()
                .apply(&Namespace::new("a", "b")),
        ),
    ];
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn documents_and_segments() {
    struct Broken;
    impl io::Read for Broken {
        fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("unplugged"))
        }
    }
    let three = [5, 0, 0, 0, 0].repeat(3);
    let record = SegmentRecord {
        documents: 4,
        uncompressed_bytes: 15,
        stored_bytes: 15,
        sha256: Digest::of(&three),
    };
    let open = |record: &SegmentRecord, stored: &[u8]| {
        text(record.open(Codec::None, stored, &mut Digester::new(), &mut Vec::new()))
    };
    let decompress =
        |codec, stored: &[u8], bytes| text(decompress(codec, stored, bytes, &mut Vec::new()));
    let gzip = |body: &[u8]| {
        let mut stored = Vec::new();
        Compressor::new(Compression::GZIP)
            .unwrap()
            .compress(body, &mut stored)
            .unwrap();
        stored
    };
    let lines = [
        text(check_document(&[0xFF; 4])),
        text(check_document(&[6, 0, 0, 0, 0])),
        text(check_document(&[5, 0, 0, 0, 1])),
        text(documents(&[5, 0, 0, 0, 0, 5, 0]).collect::<Result<Vec<_>, _>>()),
        text(DocumentReader::new(Broken).read_into(&mut Vec::new())),
        text(validate(&[8, 0, 0, 0, 0x20, b'a', 0, 0])),
        open(&record, &three),
        open(&record, &three[1..]),
        open(&record, &[1; 15]),
        open(
            &SegmentRecord {
                sha256: Digest::of(&[1; 15]),
                ..record.clone()
            },
            &[1; 15],
        ),
        open(
            &SegmentRecord {
                uncompressed_bytes: 16,
                ..record.clone()
            },
            &three,
        ),
        decompress(Codec::None, b"abc", 2),
        decompress(Codec::Gzip, &gzip(b"abc"), 4),
        decompress(Codec::Gzip, &gzip(b"abc"), 2),
        decompress(Codec::Gzip, &gzip(b"abc")[..10], 3),
        decompress(Codec::Gzip, b"no gzip", 3),
        decompress(Codec::Zstd, b"no zstd", 3),
        text("lz4".parse::<Compression>()),
        text(Compressor::new(Compression::Zstd { level: 20 })),
        text("12".parse::<Digest>()),
    ];
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn json_files() {
    let metadata =
        |text_of_file: &str| text(CollectionMetadata::from_json(text_of_file.as_bytes()));
    let options = |options| {
        text(
            CollectionMetadata {
                options,
                ..Default::default()
            }
            .to_json(),
        )
    };
    let mut newer = FolderManifest::new();
    newer.version = FormatVersion::new(2, 0);
    let lines = [
        text(ext_json::parse("[]")),
        text(ext_json::parse(r#"{"a":[{"$oid":1}]}"#)),
        metadata(r#"{"options":"#),
        metadata(r#"{"options":1}"#),
        metadata(r#"{"indexes":[{"key":{"a":{"$numberInt":1}}}]}"#),
        options(bson::rawdoc! { "validator": { "a": { "$oid": 5 } } }),
        options(bson::rawdoc! { "validator": { "a": { "$minKey": 1 } } }),
        options(bson::rawdoc! { "validator": { "a": { "$date": { "$numberLong": "0" } } } }),
        text(Prelude::from_json(b"{}")),
        text(FolderManifest::from_bytes(b"{}")),
        text(newer.to_bytes()),
        text("one".parse::<FormatVersion>()),
    ];
    insta::assert_snapshot!(lines.join("\n"));
}
