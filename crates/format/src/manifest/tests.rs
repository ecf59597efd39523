#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a panic in a test is a failed test"
)]

use proptest::prelude::*;

use super::*;
use crate::codec::{Codec, Compression};
use crate::digest::{Digest, Digester};
use crate::metadata::MAX_METADATA_BYTES;
use crate::namespace::Namespace;
use crate::segment::{MAX_SEGMENT_BYTES, Segment, SegmentRecord};

fn run() -> RunRecord {
    let mut source = SourceRecord::new(vec!["localhost:27017".to_owned()], "6.0.5", "replica-set");
    source.set_name = Some("rs".to_owned());
    let mut run = RunRecord::new(
        source,
        "0.1.0",
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:05:06Z",
    );
    run.options = serde_json::json!({ "compress": "zstd" });
    run
}

fn segment(documents: u64) -> SegmentRecord {
    SegmentRecord {
        documents,
        uncompressed_bytes: documents * 5,
        stored_bytes: documents * 3,
        sha256: Digest::of(b""),
    }
}

fn data(path: &str, segments: Vec<SegmentRecord>) -> FileRecord {
    let digest = segments.last().map_or(Digest::of(b""), |last| last.sha256);
    let mut file = FileRecord::new(path, FileRole::Data, digest);
    file.namespace = Some(Namespace::new("shop", "orders"));
    file.codec = Codec::Zstd;
    file.documents = segments.iter().map(|segment| segment.documents).sum();
    file.uncompressed_bytes = segments
        .iter()
        .map(|segment| segment.uncompressed_bytes)
        .sum();
    file.stored_bytes = segments.iter().map(|segment| segment.stored_bytes).sum();
    file.segments = segments;
    file
}

fn metadata(path: &str) -> FileRecord {
    let mut file = data(path, vec![]);
    file.kind = FileRole::Metadata;
    file.codec = Codec::None;
    (file.uncompressed_bytes, file.stored_bytes) = (14, 14);
    file
}

/// A manifest of one run with every kind of file.
fn sample() -> FolderManifest {
    let mut manifest = FolderManifest::default();
    manifest.runs.push(run());
    manifest.files = vec![
        FileRecord::new("prelude.json", FileRole::Prelude, Digest::of(b"")),
        data("shop/orders.bson.zst", vec![segment(3), segment(2)]),
        metadata("shop/orders.metadata.json"),
    ];
    manifest
}

fn file(change: impl FnOnce(&mut FileRecord)) -> ManifestError {
    let mut manifest = sample();
    change(&mut manifest.files[1]);
    let error = manifest.to_bytes().unwrap_err();
    // What is not written is not read either.
    let text = serde_json::to_string(&manifest).unwrap();
    let read = FolderManifest::from_bytes(&Frame::Manifest.wrap(&text)).unwrap_err();
    assert_eq!(read.to_string(), error.to_string());
    error
}

fn manifests() -> impl Strategy<Value = FolderManifest> {
    let file = (
        "[a-zé ]{1,6}",
        prop::collection::vec(0..1_000_u64, 0..4),
        0..2_u32,
    );
    prop::collection::hash_map("[a-z]{1,4}/", file, 0..6).prop_map(|files| {
        let mut manifest = FolderManifest::new();
        manifest.runs = vec![run(), run()];
        for (folder, (name, segments, run)) in files {
            let mut file = data(
                &format!("{folder}{name}"),
                segments.into_iter().map(segment).collect(),
            );
            file.run = run;
            manifest.files.push(file);
        }
        manifest
    })
}

proptest! {
    #[test]
    fn a_manifest_comes_back_from_its_bytes(manifest in manifests()) {
        let bytes = manifest.to_bytes().unwrap();
        prop_assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
        prop_assert_eq!(FolderManifest::from_bytes(&bytes).unwrap(), manifest);
    }

    #[test]
    fn a_value_of_any_text_never_panics(
        value in r#"\{("(version|runs|files)":["0-9.\[\]{}]{0,8},?){0,4}\}|.{0,40}"#,
    ) {
        let _ = FolderManifest::from_bytes(&Frame::Manifest.wrap(&value));
    }
}

#[test]
fn every_flipped_bit_every_cut_and_every_addition_is_noticed() {
    let bytes = sample().to_bytes().unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        FolderManifest::from_bytes(&flipped).unwrap_err();
    }
    for end in 0..bytes.len() {
        FolderManifest::from_bytes(&bytes[..end]).unwrap_err();
        FolderManifest::from_bytes(&bytes[end + 1..]).unwrap_err();
    }
    for more in [&b"\n"[..], b" ", b"}\n"] {
        FolderManifest::from_bytes(&[&bytes, more].concat()).unwrap_err();
        FolderManifest::from_bytes(&[more, &bytes].concat()).unwrap_err();
    }
}

#[test]
fn the_bytes_are_one_line_with_the_digest_first() {
    let bytes = String::from_utf8(sample().to_bytes().unwrap()).unwrap();
    let value = &bytes[Frame::Manifest.value_offset()..bytes.len() - 2];
    assert_eq!(
        bytes,
        format!(
            "{{\"sha256\":\"{}\",\"manifest\":{value}}}\n",
            Digest::of(value.as_bytes())
        )
    );
    insta::assert_snapshot!(value);
}

#[test]
fn an_empty_compressed_file_is_one_empty_segment() {
    let mut compressor = crate::Compressor::new(Compression::GZIP).unwrap();
    let stored = Segment::default()
        .seal(&mut compressor, Vec::new())
        .unwrap();
    let record = SegmentRecord::of(0, 0, &stored, &mut Digester::new());
    let mut manifest = sample();
    manifest.files[1] = data("shop/empty.bson.gz", vec![record]);
    let back = FolderManifest::from_bytes(&manifest.to_bytes().unwrap()).unwrap();
    assert_eq!(back, manifest);
}

#[test]
fn a_version_that_cannot_be_read_in_full_is_refused_before_anything_else() {
    let read = |value: &str| FolderManifest::from_bytes(&Frame::Manifest.wrap(value)).unwrap_err();
    for version in ["1.2", "2.0", "65535.65535"] {
        let error = read(&format!(r#"{{"later":[],"version":"{version}"}}"#));
        assert!(
            matches!(
                error,
                ManifestError::Version {
                    source: VersionError::TooNew { .. }
                }
            ),
            "{error:?}"
        );
    }
    let error = read(r#"{"version":"0.9"}"#);
    assert!(
        matches!(
            error,
            ManifestError::Version {
                source: VersionError::TooOld { .. }
            }
        ),
        "{error:?}"
    );
    for version in [
        "1", "1.00", "01.0", "1.0 ", "+1.0", "1.0.0", "1.65536", "a.b", "",
    ] {
        let error = read(&format!(r#"{{"version":"{version}"}}"#));
        assert!(matches!(error, ManifestError::Json { .. }), "{error:?}");
        version.parse::<FormatVersion>().unwrap_err();
    }
    let mut manifest = sample();
    manifest.version = FormatVersion::new(1, 2);
    manifest.to_bytes().unwrap_err();
}

#[test]
fn unknown_fields_of_this_version_are_refused() {
    let error = FolderManifest::from_bytes(
        &Frame::Manifest.wrap(r#"{"version":"1.0","runs":[],"files":[],"x":1}"#),
    )
    .unwrap_err();
    assert!(
        matches!(error, ManifestError::Json { offset: 128, .. }),
        "{error:?}"
    );
    FolderManifest::from_bytes(&Frame::Manifest.wrap(r#"{"version":"1.0","runs":[],"files":[]}"#))
        .unwrap();
}

#[test]
fn paths_stay_in_the_folder_and_are_written_in_one_way() {
    let at = |path: &str| file(|file| file.path = path.to_owned());
    for path in [
        "",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "../a",
        "a/../b",
        "a/..",
        "./a",
        "a\\b",
        "..\\a",
        "a\0",
        MANIFEST_FILE,
        "prelude.json",
    ] {
        let error = at(path);
        assert!(
            matches!(error, ManifestError::Path { .. }),
            "{path:?} {error:?}"
        );
    }
    let mut manifest = sample();
    manifest.files[1].path = "..a/b...bson".to_owned();
    manifest.to_bytes().unwrap();
}

#[test]
fn records_that_contradict_each_other_are_refused() {
    let errors = [
        file(|file| file.run = 1),
        file(|file| file.run = u32::MAX),
        file(|file| file.documents = 4),
        file(|file| file.uncompressed_bytes = 0),
        file(|file| file.stored_bytes = 16),
        file(|file| file.segments.clear()),
        file(|file| file.sha256 = Digest::of(b"another")),
        file(|file| file.segments[0].documents = u64::MAX),
        file(|file| file.segments[0].uncompressed_bytes = MAX_SEGMENT_BYTES + 1),
        file(|file| file.segments[1].stored_bytes = MAX_SEGMENT_BYTES + 1),
        file(|file| file.namespace = None),
        file(|file| file.namespace = Some(Namespace::new("", "a"))),
        file(|file| file.namespace = Some(Namespace::new("a", ""))),
        file(|file| file.codec = Codec::None),
        file(|file| file.kind = FileRole::Metadata),
        file(|file| file.kind = FileRole::Prelude),
        file(|file| file.kind = FileRole::Oplog),
        file(|file| file.path = "prelude.json".to_owned()),
    ];
    insta::assert_snapshot!(errors.map(|error| error.to_string()).join("\n"));

    let mut manifest = sample();
    manifest.files[2].stored_bytes = MAX_METADATA_BYTES + 1;
    manifest.files[2].uncompressed_bytes = MAX_METADATA_BYTES + 1;
    let error = manifest.to_bytes().unwrap_err();
    assert!(matches!(error, ManifestError::Path { .. }), "{error:?}");

    let mut manifest = sample();
    manifest.files[1].documents = u64::MAX;
    manifest.files[1].segments[0].documents = u64::MAX - 2;
    let path = "shop/more.bson.zst";
    manifest.files.push(data(path, vec![segment(1)]));
    let error = manifest.to_bytes().unwrap_err();
    assert!(
        matches!(
            error,
            ManifestError::Overflow {
                what: "documents",
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn what_is_too_long_for_a_manifest_is_refused_by_its_length() {
    FolderManifest::check_length(MAX_MANIFEST_BYTES).unwrap();
    let error = FolderManifest::check_length(MAX_MANIFEST_BYTES + 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "manifest is 1073741825 bytes long, and 1073741824 are possible"
    );
}

#[test]
fn what_is_no_manifest_is_refused_with_the_place() {
    let refused = |bytes: &[u8]| FolderManifest::from_bytes(bytes).unwrap_err().to_string();
    let whole = sample().to_bytes().unwrap();
    let errors = [
        refused(b""),
        refused(&whole[..40]),
        refused(&whole[..80]),
        refused(&whole[..whole.len() - 1]),
        refused(&Frame::Manifest.wrap("[]")),
        refused(&Frame::Manifest.wrap(r#"{"version":"1.0","runs":[],"files":[{}]}"#)),
    ];
    insta::assert_snapshot!(errors.join("\n"));
}
