#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a panic in a test is a failed test"
)]

use bson::{RawDocumentBuf, rawdoc};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::arbitrary;
use crate::codec::Codec;
use crate::digest::Digest;
use crate::manifest::RunRecord;
use crate::metadata::CollectionMetadata;
use crate::namespace::Namespace;
use crate::segment::{MAX_SEGMENT_BYTES, SegmentRecord};

fn repository() -> RepositoryRecord {
    RepositoryRecord::new(RepositoryId([0xa1; 16]), "2026-01-02T03:04:05Z")
}

fn id() -> SnapshotId {
    "20260102T030405Z-00ff17a0".parse().unwrap()
}

fn source() -> SourceRecord {
    SourceRecord::new(vec!["localhost:27017".to_owned()], "6.0.5", "replica-set")
}

fn segment(documents: u64, stored: &[u8]) -> SegmentRecord {
    SegmentRecord {
        documents,
        uncompressed_bytes: documents * 5,
        stored_bytes: stored.len() as u64,
        sha256: Digest::of(stored),
    }
}

fn manifest() -> SnapshotManifest {
    let run = RunRecord::new(
        source(),
        "0.1.0",
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:05:06Z",
    );
    let catalog = StoredObject::new("catalog/1-0.bson.zst", vec![segment(3, b"catalog")]);
    let mut manifest = SnapshotManifest::new(repository().id, id(), run, catalog);
    manifest.codec = Codec::Zstd;
    manifest.tags.insert("env".to_owned(), "test".to_owned());
    let segments = vec![segment(1, b"index"), segment(2, b"details")];
    manifest
        .parts
        .push(StoredObject::new("parts/1-0.bson.zst", segments));
    manifest
}

fn object(path: &str, segments: Vec<SegmentRecord>) -> DataObject {
    let mut object = DataObject::new(path, Namespace::new("shop", "orders"));
    object.segments = segments;
    object
}

fn build(objects: &[DataObject], ends: &[NamespaceEnd]) -> [Vec<u8>; 2] {
    let mut builder = PartBuilder::default();
    for object in objects {
        builder.push_object(object).unwrap();
    }
    for end in ends {
        builder.push_end(end).unwrap();
    }
    let length = builder.bytes();
    let segments = builder.finish().map(|segment| segment.body);
    assert_eq!(segments.iter().map(Vec::len).sum::<usize>(), length);
    segments
}

#[test]
fn records_are_read_as_they_were_written_and_any_flip_and_cut_is_noticed() {
    fn each_flip(bytes: &[u8], is_read: fn(&[u8]) -> bool) {
        assert!(is_read(bytes));
        for at in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            for bit in [1, 0x20, 0x80] {
                changed[at] = bytes[at] ^ bit;
                assert!(!is_read(&changed), "bit {bit:#x} of byte {at}");
            }
            assert!(!is_read(&bytes[..at]), "cut at {at}");
        }
    }
    let begun = BegunRecord::new(repository().id, id(), source(), "0.1.0", "now");
    let bytes = repository().to_bytes().unwrap();
    assert_eq!(RepositoryRecord::from_bytes(&bytes).unwrap(), repository());
    each_flip(&bytes, |bytes| RepositoryRecord::from_bytes(bytes).is_ok());
    let bytes = begun.to_bytes().unwrap();
    assert_eq!(BegunRecord::from_bytes(&bytes).unwrap(), begun);
    each_flip(&bytes, |bytes| BegunRecord::from_bytes(bytes).is_ok());
    let verified = VerificationRecord::new(repository().id, id(), "now");
    let bytes = verified.to_bytes().unwrap();
    assert_eq!(VerificationRecord::from_bytes(&bytes).unwrap(), verified);
    each_flip(&bytes, |bytes| {
        VerificationRecord::from_bytes(bytes).is_ok()
    });
    assert_eq!(
        VerificationRecord::parse_path(&verified.path()),
        Some((id(), 1))
    );
    assert_eq!(BegunRecord::parse_path(&begun.path()), Some((id(), 1)));
    assert_eq!(
        BegunRecord::parse_path(&begun.path().replace("-1.", "-01.")),
        None
    );
    let bytes = manifest().to_bytes().unwrap();
    assert_eq!(SnapshotManifest::from_bytes(&bytes).unwrap(), manifest());
    each_flip(&bytes, |bytes| SnapshotManifest::from_bytes(bytes).is_ok());
    let mut lease = LeaseRecord::new(id().as_str(), "host", "process", "then", "now");
    let bytes = lease.to_bytes().unwrap();
    assert_eq!(LeaseRecord::from_bytes(&bytes).unwrap(), lease);
    lease.waiting = Some(WaitingRecord::new(7, "now"));
    let bytes = lease.to_bytes().unwrap();
    assert_eq!(LeaseRecord::from_bytes(&bytes).unwrap(), lease);
    each_flip(&bytes, |bytes| LeaseRecord::from_bytes(bytes).is_ok());
    assert_eq!(LeaseRecord::parse_path(&lease.path()), Some(id()));
    let keys = KeyRecord::new(id(), vec!["passphrase".to_owned()], "armor");
    let bytes = keys.to_bytes().unwrap();
    assert_eq!(KeyRecord::from_bytes(&bytes).unwrap(), keys);
    each_flip(&bytes, |bytes| KeyRecord::from_bytes(bytes).is_ok());
    assert_eq!(KeyRecord::parse_path(&keys.path()), Some((id(), 1)));
}

#[test]
fn one_record_is_not_taken_for_another() {
    let bytes = repository().to_bytes().unwrap();
    let error = SnapshotManifest::from_bytes(&bytes).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"manifest cannot be used: it is something else, or cut short: expected "\",\"manifest\":" at byte 75"#
    );
}

#[test]
fn a_newer_version_says_which_release_reads_it_before_anything_else_is_looked_at() {
    let newer = r#"{"version":"1.7","read_by":"3.2.0","what":["else"]}"#;
    let error = SnapshotManifest::from_bytes(&Frame::Manifest.wrap(newer)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "manifest cannot be used: it is of format version 1.7, and this release reads up to 1.1: rdump 3.2.0 and newer releases read it"
    );
    let error = RepositoryRecord::from_bytes(&Frame::Repository.wrap(newer)).unwrap_err();
    assert!(matches!(error.fault, RecordFault::TooNew { .. }));
}

#[test]
fn a_manifest_that_contradicts_itself_is_refused() {
    let refused = |change: fn(&mut SnapshotManifest)| {
        let mut manifest = manifest();
        change(&mut manifest);
        let written = manifest.to_bytes().unwrap_err().to_string();
        let text = serde_json::to_string(&manifest).unwrap();
        let read = SnapshotManifest::from_bytes(&Frame::Manifest.wrap(&text));
        assert_eq!(read.unwrap_err().to_string(), written);
        written
    };
    let path = "manifest cannot be used: a path is not as the format says: ";
    for wrong in [
        "parts/../1-0.bson.zst",
        "/parts/1-0.bson.zst",
        "parts/01-0.bson.zst",
        "parts/1-+0.bson.zst",
        "parts/1.bson.zst",
        "data/1-0.bson.zst",
        "parts/1-0.bson",
    ] {
        let mut manifest = manifest();
        wrong.clone_into(&mut manifest.parts[0].path);
        let error = manifest.to_bytes().unwrap_err();
        assert_eq!(error.to_string(), format!("{path}{wrong}"));
    }
    let error = refused(|manifest| manifest.catalog.path = "catalog/x".to_owned());
    assert_eq!(error, format!("{path}catalog/x"));
    let error = refused(|manifest| manifest.parts.push(manifest.parts[0].clone()));
    assert!(error.contains("a part is listed twice: parts/1-0"));
    let error = refused(|manifest| manifest.parts[0].segments.truncate(1));
    assert!(error.contains("a part has not two segments"));
    let error = refused(|manifest| manifest.catalog.segments[0].stored_bytes = u64::MAX);
    assert!(error.contains("a segment is longer than the format allows"));
}

#[test]
fn ids_have_one_spelling() {
    let id = SnapshotId::new("2026-01-31T23:59:59.5Z", [1, 0xa]).unwrap();
    assert_eq!(id.as_str(), "20260131T235959Z-8000010a");
    let later = SnapshotId::new("2026-01-31T23:59:59.999999999Z", [0; 2]).unwrap();
    assert_eq!(later.as_str(), "20260131T235959Z-ffff0000");
    assert!(id < later);
    assert!(SnapshotId::new("2026-01-31T23:59:59Z", [0; 2]).unwrap() < id);
    for wrong in [
        "",
        "latest",
        "20260131T235959Z-00FF010a",
        "20260131T235959Z-00ff010a/",
    ] {
        let error = wrong.parse::<SnapshotId>().unwrap_err().to_string();
        assert!(error.contains("is not the id of a snapshot"), "{error}");
    }
    assert!(SnapshotId::new("yesterday", [0; 2]).is_err());
    let text = repository().id.to_string();
    assert_eq!(text.parse(), Ok(repository().id));
    assert!(text.to_uppercase().parse::<RepositoryId>().is_err());
}

#[test]
fn a_part_says_of_each_object_whose_it_is() {
    let objects = [
        object(
            "data/1-0.bson.zst",
            vec![segment(3, b"abc"), segment(0, b"")],
        ),
        object("data/12-7.bson", vec![segment(1, b"defgh")]),
    ];
    let mut end = NamespaceEnd::new(Namespace::new("shop", "a.b"));
    end.uuid = Some([0x5a; 16]);
    objects.iter().for_each(|object| end.add(object));
    let counted = (
        end.objects,
        end.documents,
        end.uncompressed_bytes,
        end.stored_bytes,
    );
    assert_eq!(counted, (2, 4, 20, 8));
    let [index, details] = build(&objects, std::slice::from_ref(&end));
    let part = Part::read(&index, &details).unwrap();
    assert_eq!(part.objects, objects);
    assert_eq!(part.ends, [end]);
    let stored = PartIndex::read(&index).unwrap();
    assert_eq!(stored.objects[0].path, "data/1-0.bson.zst");
    assert_eq!(stored.objects[0].segments[0], (3, Digest::of(b"abc")));

    let error = Part::read(&index, &[]).unwrap_err().to_string();
    assert!(
        error.contains("a data object is of no namespace: data/1-0"),
        "{error}"
    );
    let error = Part::read(&[], &details).unwrap_err().to_string();
    assert!(
        error.contains("there are more objects than stored"),
        "{error}"
    );
    let one = build(&objects[1..], &[]);
    let error = Part::read(&index, &one[1]).unwrap_err().to_string();
    assert!(error.contains("other segments than are stored"), "{error}");
}

#[test]
fn a_part_says_which_documents_are_left_unless_that_is_long() {
    let stored = NamespaceEnd::new(Namespace::new("shop", "orders"));
    // Deeper than a document of a part may be.
    let deep = (0..300).fold(rawdoc! {}, |inner, _| rawdoc! { "_id": inner });
    let mut left = IdRange::between(vec![rawdoc! { "_id": 5 }, deep]);
    left[1].advance(rawdoc! { "_id": 7 });
    let progress = NamespaceProgress::new(stored.clone(), left);
    let long = rawdoc! { "_id": "x".repeat(64 << 10) };
    let mut builder = PartBuilder::default();
    builder.push_progress(&progress).unwrap();
    let long = NamespaceProgress::new(stored.clone(), IdRange::between(vec![long]));
    builder.push_progress(&long).unwrap();
    builder.push_end(&stored).unwrap();
    let [index, details] = builder.finish().map(|segment| segment.body);
    let part = Part::read(&index, &details).unwrap();
    assert_eq!((part.progress, part.ends), (vec![progress], vec![stored]));
}

#[test]
fn objects_that_cannot_be_are_not_written() {
    let refused = |object: &DataObject| {
        let error = PartBuilder::default().push_object(object).unwrap_err();
        error.to_string()
    };
    let path = refused(&object("data/../x.bson", vec![segment(1, b"x")]));
    assert!(path.contains("a path is not as the format says: data/../x.bson"));
    assert!(refused(&object("data/1-0.bson", vec![])).contains("has no segments"));
    let mut long = segment(1, b"x");
    long.stored_bytes = MAX_SEGMENT_BYTES + 1;
    assert!(refused(&object("data/1-0.bson", vec![long])).contains("longer than"));
}

fn raw() -> impl Strategy<Value = RawDocumentBuf> {
    arbitrary::document().prop_map(|bytes| RawDocumentBuf::from_bytes(bytes).unwrap())
}

fn entry() -> impl Strategy<Value = CatalogEntry> {
    let name = || ("[a-z]{1,4}", "\\PC{1,12}").prop_map(|(db, name)| Namespace::new(db, name));
    let text = || proptest::option::of("\\PC{0,12}");
    let metadata = (
        raw(),
        vec(raw(), 0..4),
        any::<Option<[u8; 16]>>(),
        text(),
        text(),
    );
    let metadata =
        metadata.prop_map(
            |(options, indexes, uuid, collection, kind)| CollectionMetadata {
                options,
                indexes,
                uuid,
                collection,
                kind,
            },
        );
    let metadata = proptest::option::of(metadata);
    let parts = (name(), proptest::option::of(name()), metadata);
    parts.prop_map(|(namespace, data, metadata)| CatalogEntry {
        namespace,
        data,
        metadata,
    })
}

proptest! {
    #[test]
    fn an_entry_of_the_catalog_is_read_to_the_byte(entry in entry()) {
        let document = entry.to_document().unwrap();
        prop_assert_eq!(CatalogEntry::from_document(&document, 0).unwrap(), entry);
    }

    #[test]
    fn damaged_entries_and_parts_are_refused_or_read(
        entry in entry(), at in any::<prop::sample::Index>(), to in any::<u8>(),
    ) {
        // What they hold is under a digest: here only nothing may panic.
        let mut document = entry.to_document().unwrap();
        let at_document = at.index(document.len());
        document[at_document] = to;
        let _ = CatalogEntry::from_document(&document, 0);
        let objects = [object("data/1-0.bson.zst", vec![segment(3, b"abc"), segment(0, b"")])];
        let end = NamespaceEnd::new(Namespace::new("shop", "a.b"));
        let [mut index, mut details] = build(&objects, &[end]);
        let _ = Part::read(&index, &index);
        let (at_index, at_details) = (at.index(index.len()), at.index(details.len()));
        index[at_index] = to;
        details[at_details] = to;
        let _ = Part::read(&index, &details);
    }

    #[test]
    fn parts_are_read_as_they_were_written(counts in vec(vec(any::<(u16, u16)>(), 1..9), 0..9)) {
        let objects: Vec<_> = counts.iter().zip(0..).map(|(segments, number)| {
            let segments = segments.iter().map(|(documents, stored)| {
                segment((*documents).into(), &stored.to_le_bytes())
            });
            object(&format!("data/1-{number}.bson.gz"), segments.collect())
        }).collect();
        let [index, details] = build(&objects, &[]);
        prop_assert_eq!(Part::read(&index, &details).unwrap().objects, objects);
    }
}

#[test]
fn what_was_pruned_is_in_the_name_and_in_the_record() {
    let before = crate::OpTime {
        seconds: 7,
        ordinal: 3,
    };
    let record = PrunedRecord::new(repository().id, before, "2026-01-02T03:04:05Z");
    assert_eq!(record.path(), "timeline/0000000700000003.pruned.json");
    assert_eq!(PrunedRecord::parse_path(&record.path()), Some(before));
    for other in [
        "timeline/7.pruned.json",
        "timeline/0000000700000003.json",
        "0000000700000003.pruned.json",
    ] {
        assert_eq!(PrunedRecord::parse_path(other), None, "{other}");
    }
    let bytes = record.to_bytes().unwrap();
    assert_eq!(PrunedRecord::from_bytes(&bytes).unwrap(), record);
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        PrunedRecord::from_bytes(&changed).unwrap_err();
    }
    let mut timeline = Timeline::default();
    timeline.prune(before);
    timeline.prune(crate::OpTime::default());
    assert_eq!(timeline.pruned_before(), Some(before));
}

#[test]
fn an_id_says_when_it_was_begun_and_an_object_whose_it_is() {
    assert_eq!(id().begun_at(), "2026-01-02T03:04:05Z");
    let path = format!("{}data/1-0.bson.zst", id().folder());
    assert_eq!(SnapshotId::of_object(&path), Some(id()));
    for other in [
        "snapshots/x/data/1-0.bson.zst",
        "manifests/x.json",
        "snapshots/",
    ] {
        assert_eq!(SnapshotId::of_object(other), None, "{other}");
    }
}

#[test]
fn a_run_says_which_part_of_a_deployment_it_is_of() {
    let mut manifest = manifest();
    let all = serde_json::json!({
        "db": null, "select": { "include": [], "exclude": [] }, "exclude-collections": [],
        "views-as-collections": false, "parallel-collections": 4,
    });
    for (options, part) in [
        (serde_json::Value::Null, None),
        (all, None),
        (serde_json::json!({ "db": "shop" }), Some("db \"shop\"")),
        (
            serde_json::json!({ "select": { "include": ["a.*"], "exclude": [] } }),
            Some("select {\"exclude\":[],\"include\":[\"a.*\"]}"),
        ),
        (
            serde_json::json!({ "views-as-collections": true }),
            Some("views-as-collections true"),
        ),
    ] {
        manifest.run.options = options;
        assert_eq!(manifest.run.part().as_deref(), part);
        assert_eq!(manifest.is_of_part(), part.is_some());
    }
    // Of one that is encrypted the options are private.
    manifest.run.options = serde_json::Value::Null;
    manifest.of_part = true;
    assert!(manifest.is_of_part());
}
