//! The text of errors as people see it: the message, then its causes.

use std::error::Error;
use std::io;

use bson::{RawDocumentBuf, rawdoc};
use rdump_format::{
    ArchiveDecoder, ArchiveError, ArchiveMetadata, ArchivePrelude, ArchiveWriter, Codec,
    CollectionMetadata, Compression, Compressor, Crc64, Digest, Digester, DocumentReader, FileName,
    FolderManifest, FormatVersion, MAX_DOCUMENT_BYTES, Namespace, Pattern, Prelude, Remap,
    SegmentRecord, check_collection_argument, check_collection_name, check_database_name,
    check_document, decompress, documents, ext_json, unescape, validate,
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

/// The parts of an archive, to be put together wrongly.
fn decode(parts: &[&[u8]]) -> Result<(), ArchiveError> {
    let archive = parts.concat();
    let mut piece = archive.as_slice();
    let mut decoder = ArchiveDecoder::new();
    while decoder.decode(&mut piece)?.is_some() {}
    decoder.finish()
}

#[test]
fn archives() {
    let magic = 0x8199_E26D_u32.to_le_bytes();
    let end = [0xFF; 4];
    let bytes = RawDocumentBuf::into_bytes;
    let header = bytes(rawdoc! {
        "concurrent_collections": 4, "version": "0.1", "server_version": "6.0.5", "tool_version": "100.18.0",
    });
    let newer = bytes(rawdoc! {
        "concurrent_collections": 4, "version": "0.2", "server_version": "6.0.5", "tool_version": "100.18.0",
    });
    let orders = bytes(rawdoc! {
        "db": "shop", "collection": "orders", "metadata": "", "size": 0, "type": "collection",
    });
    let other = bytes(rawdoc! {
        "db": "shop", "collection": "orders", "metadata": "{}", "size": 0, "type": "collection",
    });
    let nameless = bytes(rawdoc! {
        "db": "shop", "collection": "", "metadata": "", "size": 0,
    });
    let block = |collection: &str, end: bool, crc: i64| {
        bytes(rawdoc! { "db": "shop", "collection": collection, "EOF": end, "CRC": crc })
    };
    let (start, stop) = (block("orders", false, 0), block("orders", true, 0));
    let mut latin = start.clone();
    *latin.iter_mut().find(|byte| **byte == b'p').unwrap() = 0xFF;
    let front = [&magic, header.as_slice(), &orders, &end].concat();
    let whole = |parts: &[&[u8]]| text(decode(&[&front, &parts.concat()]));
    let after_error = {
        let mut decoder = ArchiveDecoder::new();
        decoder.decode(&mut b"BSON".as_slice()).unwrap_err();
        text(decoder.decode(&mut b"BSON".as_slice()))
    };
    let lines = [
        text(decode(&[])),
        text(decode(&[b"BSON"])),
        after_error,
        text(decode(&[&magic, &end])),
        text(decode(&[&magic, &newer])),
        text(decode(&[&magic, &header[..9]])),
        text(decode(&[&magic, &header, &orders])),
        text(decode(&[&magic, &header, &orders, &other])),
        text(decode(&[&magic, &header, &nameless])),
        text(decode(&[&magic, &header, &start])),
        whole(&[]),
        whole(&[&end]),
        whole(&[&[4, 0, 0, 0]]),
        whole(&[&start[..20]]),
        whole(&[&start]),
        whole(&[&start, &[0; 4]]),
        whole(&[&start, &[5, 0, 0, 0, 1]]),
        whole(&[&start, &end]),
        whole(&[&start, &end, &end]),
        whole(&[&stop, &header]),
        whole(&[&stop]),
        whole(&[&stop, &end, &start]),
        whole(&[&stop, &end, &stop]),
        whole(&[&block("other", false, 0)]),
        whole(&[&block("", false, 0)]),
        whole(&[&block("orders", false, 1)]),
        whole(&[&start, &end, &block("orders", true, -1)]),
        whole(&[&latin]),
        whole(&[&[8, 0, 0, 0, 0x20, b'a', 0, 0]]),
        whole(&[&bytes(rawdoc! { "ns": "shop.orders" })]),
        whole(&[&bytes(rawdoc! { "db": "shop" })]),
        whole(&[&bytes(rawdoc! { "db": 1 })]),
    ];
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn archives_that_cannot_be_written() {
    let namespace = |number: usize| Namespace::new("shop", number.to_string());
    let prelude = |names: &[Namespace], metadata: &str| ArchivePrelude {
        concurrent_collections: 1,
        server_version: None,
        tool_version: "1".repeat(metadata.len()),
        collections: names
            .iter()
            .map(|name| ArchiveMetadata {
                namespace: name.clone(),
                metadata: metadata.to_owned(),
                kind: None,
            })
            .collect(),
    };
    let start = |names: &[Namespace], metadata: &str| {
        ArchiveWriter::new(&prelude(names, metadata), &mut Vec::new())
    };
    let long = "x".repeat(MAX_DOCUMENT_BYTES + 1);
    let long_metadata = ArchivePrelude {
        tool_version: "1".into(),
        ..prelude(&[namespace(1)], &long)
    };
    let all = [0, 1, 2, 3, 4, 5, 6].map(namespace);
    let mut writer = start(&all, "").unwrap();
    let mut out = Vec::new();
    let lines = [
        text(start(&[Namespace::new("shop", "")], "")),
        text(start(&[namespace(1), namespace(1)], "")),
        text(start(&[], "").unwrap().end(&namespace(1), &mut Vec::new())),
        text(ArchiveWriter::new(&long_metadata, &mut Vec::new())),
        text(start(&[namespace(1)], &long)),
        text(
            writer
                .end(&all[0], &mut out)
                .and_then(|()| writer.run(&all[0], &Crc64::new(), &mut out)),
        ),
        text(writer.finish()),
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
