//! What each fuzz target does with its input: read it, and when it can be read, write it and read
//! that again.
//!
//! Nothing here may panic, whatever the input; an assertion is a property that must hold for all of
//! them.

use std::io::Read;

use rdump_format::{
    ArchiveDecoder, ArchiveError, ArchiveEvent, ArchiveWriter, Codec, CollectionMetadata, Crc64,
    Digest, Digester, DocumentReader, FileName, FolderManifest, Namespace, SegmentRecord,
    check_document, decoder, escape, ext_json,
    repository::{
        AuditEntry, BegunRecord, CatalogEntry, KeyRecord, LeaseRecord, Part, PartBuilder,
        RecordError, RepositoryRecord, SnapshotManifest, VerificationRecord,
    },
    stem, unescape, validate,
};

/// The most that one input is decompressed to, in bytes.
const ENOUGH_BYTES: u64 = 4 * 1024 * 1024;

/// The most checksums that are put right in one input.
const ENOUGH_REPAIRS: usize = 8;

/// A stream of documents, plain or compressed.
pub fn documents(input: &[u8]) {
    let mut reader = DocumentReader::new(input);
    for document in rdump_format::documents(input) {
        let mut read = Vec::new();
        match (document, reader.read_into(&mut read)) {
            (Ok(document), Ok(Some(length))) => {
                assert_eq!((document, document.len()), (read.as_slice(), length));
                check_document(document).expect("it came out of a stream");
                one_document(document);
            }
            (Err(sliced), Err(read)) => assert_eq!(sliced.to_string(), read.to_string()),
            (sliced, read) => panic!("one way of reading gave {sliced:?}, the other {read:?}"),
        }
    }
    for codec in [Codec::Gzip, Codec::Zstd] {
        let decoder = decoder(codec, input).expect("codecs can always be set up");
        let _ = decoder.take(ENOUGH_BYTES).read_to_end(&mut Vec::new());
    }
}

fn one_document(document: &[u8]) {
    let sound = validate(document).is_ok();
    let document = bson::RawDocument::from_bytes(document).expect("its frame was checked");
    if let Ok(text) = ext_json::to_canonical(document) {
        assert!(sound, "{text}");
        // The text may read as something else, if a key looks like Extended JSON. That, then, comes
        // back.
        if let Ok(read) = ext_json::parse(&text)
            && let Ok(text) = ext_json::to_canonical(&read)
        {
            assert_eq!(ext_json::parse(&text).expect("it was written"), read);
        }
    }
}

/// The text of a metadata file.
pub fn metadata(input: &[u8]) {
    let Ok(metadata) = CollectionMetadata::from_json(input) else {
        return;
    };
    if let Ok(text) = metadata.to_json() {
        let back = CollectionMetadata::from_json(text.as_bytes()).expect("it was written");
        assert_eq!(back, metadata);
    }
}

/// A manifest, and the value of one: the digest would keep the fuzzer out.
pub fn manifest(input: &[u8]) {
    let value = [
        format!("{{\"sha256\":\"{}\",\"manifest\":", Digest::of(input)).as_bytes(),
        input,
        b"}\n",
    ]
    .concat();
    for bytes in [input, &value] {
        if let Ok(manifest) = FolderManifest::from_bytes(bytes) {
            let written = manifest.to_bytes().expect("it was read");
            assert_eq!(
                FolderManifest::from_bytes(&written).expect("it was written"),
                manifest
            );
        }
    }
}

/// What a repository holds beside data, by the first byte: the value of a record, a part of a manifest, or an entry of a catalog.
pub fn repository(input: &[u8]) {
    match input.split_first() {
        Some((0, value)) => {
            for name in [
                "repository",
                "begun",
                "manifest",
                "verification",
                "keys",
                "lease",
                "audit",
            ] {
                let digest = Digest::of(value);
                let start = format!("{{\"sha256\":\"{digest}\",\"{name}\":");
                let bytes = [start.as_bytes(), value, b"}\n"].concat();
                record(
                    &bytes,
                    SnapshotManifest::from_bytes,
                    SnapshotManifest::to_bytes,
                );
                record(
                    &bytes,
                    RepositoryRecord::from_bytes,
                    RepositoryRecord::to_bytes,
                );
                record(&bytes, AuditEntry::from_bytes, AuditEntry::to_bytes);
                record(&bytes, BegunRecord::from_bytes, BegunRecord::to_bytes);
                record(&bytes, KeyRecord::from_bytes, KeyRecord::to_bytes);
                record(&bytes, LeaseRecord::from_bytes, LeaseRecord::to_bytes);
                record(
                    &bytes,
                    VerificationRecord::from_bytes,
                    VerificationRecord::to_bytes,
                );
            }
        }
        Some((1, part)) => {
            // The documents of the first segment begin with the type and the name of this field.
            let index = rdump_format::documents(part).map_while(Result::ok);
            let index = index.take_while(|document| document.get(4..12) == Some(b"\x02object\0"));
            let (index, details) = part.split_at(index.map(<[u8]>::len).sum());
            let Ok(part) = Part::read(index, details) else {
                return;
            };
            let mut builder = PartBuilder::default();
            for object in &part.objects {
                builder.push_object(object).expect("it was read");
            }
            for end in &part.ends {
                // More than a signed number holds is read as no number.
                builder.push_end(end).expect("it was read");
            }
            for progress in &part.progress {
                builder.push_progress(progress).expect("it was read");
            }
            let [index, details] = builder.finish();
            let back = Part::read(&index.body, &details.body).expect("it was written");
            assert_eq!(back, part);
        }
        Some((_, entry)) => {
            let Ok(entry) = CatalogEntry::from_document(entry, 0) else {
                return;
            };
            let document = entry.to_document().expect("it was read");
            let back = CatalogEntry::from_document(&document, 0).expect("it was written");
            assert_eq!(back, entry);
        }
        None => {}
    }
}

/// A record that can be read can be written, and is the same then.
fn record<T: PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    read: fn(&[u8]) -> Result<T, RecordError>,
    write: fn(&T) -> Result<Vec<u8>, RecordError>,
) {
    if let Ok(record) = read(bytes) {
        let written = write(&record).expect("it was read");
        assert_eq!(read(&written).expect("it was written"), record);
    }
}

/// The name of a file, and the name of a collection.
pub fn file_name(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    assert_eq!(unescape(&escape(text)).expect("it was escaped"), text);
    assert!(stem(text).len() <= 238);
    if let Some(file) = FileName::parse(text) {
        let _ = file.collection(Some(text));
        if let Ok(collection) = file.collection(None) {
            assert_eq!(
                unescape(&escape(&collection)).expect("it was escaped"),
                collection
            );
        }
    }
}

/// A codec, two numbers that a manifest records, and the bytes of a segment with their true digest.
pub fn segment(input: &[u8]) {
    let Some(([codec, documents, low, high], stored)) = input.split_first_chunk() else {
        return;
    };
    let codec = match codec % 3 {
        0 => Codec::None,
        1 => Codec::Gzip,
        _ => Codec::Zstd,
    };
    let record = SegmentRecord {
        documents: u64::from(*documents),
        uncompressed_bytes: u64::from(u16::from_le_bytes([*low, *high])),
        stored_bytes: stored.len() as u64,
        sha256: Digest::of(stored),
    };
    let mut out = b"before".to_vec();
    let opened = record.open(codec, stored, &mut Digester::new(), &mut out);
    let grown = out.len() as u64 - 6;
    assert_eq!(
        grown,
        if opened.is_ok() {
            record.uncompressed_bytes
        } else {
            0
        }
    );
}

/// An archive, read at once and in small pieces; one that is whole is written again.
///
/// Checksums would keep the fuzzer out, so wrong ones are put right.
pub fn archive(input: &[u8]) {
    let mut archive = input.to_vec();
    let mut read = read_archive(archive.chunks(usize::MAX));
    for _ in 0..ENOUGH_REPAIRS {
        let Err(ArchiveError::Checksum {
            offset,
            recorded,
            actual,
            ..
        }) = read
        else {
            break;
        };
        let at = usize::try_from(offset).expect("it is in memory");
        let mut fields = archive[at..].windows(8);
        let field = fields.position(|field| field == recorded.to_le_bytes());
        let at = at + field.expect("the header has it");
        archive[at..at + 8].copy_from_slice(&actual.to_le_bytes());
        read = read_archive(archive.chunks(usize::MAX));
    }
    let in_pieces = read_archive(archive.chunks(1 + input.len() % 13));
    match (read, in_pieces) {
        (Ok(written), Ok(in_pieces)) => {
            assert_eq!(written, in_pieces);
            let again = read_archive([written.as_slice()]).expect("it was written");
            assert_eq!(again, written);
        }
        (Err(at_once), Err(in_pieces)) => assert_eq!(at_once.to_string(), in_pieces.to_string()),
        (at_once, in_pieces) => panic!("at once {at_once:?}, in pieces {in_pieces:?}"),
    }
}

/// What a writer makes of the archive in `pieces`.
fn read_archive<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, ArchiveError> {
    let mut decoder = ArchiveDecoder::new();
    let mut out = Vec::new();
    let mut writer = None;
    let mut block = Namespace::new("", "");
    for mut piece in pieces {
        while let Some(event) = decoder.decode(&mut piece)? {
            if let ArchiveEvent::Prelude(prelude) = event {
                writer = Some(ArchiveWriter::new(&prelude, &mut out).expect("it was read"));
                continue;
            }
            let writer = writer.as_mut().expect("the prelude comes first");
            let written = match event {
                ArchiveEvent::Prelude(_) => Ok(()),
                ArchiveEvent::Block { namespace, .. } => {
                    block.clone_from(namespace);
                    writer.run(&block, &Crc64::new(), &mut out)
                }
                ArchiveEvent::Documents {
                    documents, bytes, ..
                } => {
                    let count = rdump_format::documents(bytes).map(|document| {
                        document.expect("it came out of an archive");
                    });
                    assert_eq!(count.count() as u64, documents);
                    let written = writer.run(&block, &Crc64::of(bytes), &mut out);
                    out.extend_from_slice(bytes);
                    written
                }
                ArchiveEvent::End { namespace, .. } => writer.end(namespace, &mut out),
            };
            written.expect("it was read");
        }
    }
    decoder.finish()?;
    let writer = writer.expect("the prelude comes first");
    writer.finish().expect("it was whole");
    Ok(out)
}
