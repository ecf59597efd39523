#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a panic in a test is a failed test"
)]

mod damage;

use bson::raw::{CString, cstr};
use bson::{RawBson, RawDocumentBuf, rawdoc};
use proptest::collection::{hash_map, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::arbitrary;
use crate::framing::MAX_DOCUMENT_BYTES;
use crate::namespace::Namespace;

/// An event that owns what it says. Runs of documents that follow one another are one.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Prelude(ArchivePrelude),
    Block(usize, Namespace),
    Documents(usize, u64, Vec<u8>),
    End(usize, Namespace),
}

/// Adds `event` to those that were seen.
fn see(seen: &mut Vec<Seen>, event: ArchiveEvent<'_>) {
    match (event, seen.last_mut()) {
        (
            ArchiveEvent::Documents {
                collection,
                documents,
                bytes,
            },
            Some(Seen::Documents(before, count, all)),
        ) if *before == collection => {
            *count += documents;
            all.extend_from_slice(bytes);
        }
        (event, _) => seen.push(match event {
            ArchiveEvent::Prelude(prelude) => Seen::Prelude(prelude),
            ArchiveEvent::Block {
                collection,
                namespace,
            } => Seen::Block(collection, namespace.clone()),
            ArchiveEvent::Documents {
                collection,
                documents,
                bytes,
            } => Seen::Documents(collection, documents, bytes.to_vec()),
            ArchiveEvent::End {
                collection,
                namespace,
            } => Seen::End(collection, namespace.clone()),
        }),
    }
}

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Seen>, Result<(), ArchiveError>) {
    let mut decoder = ArchiveDecoder::new();
    let mut seen = Vec::new();
    for mut piece in pieces {
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(event)) => see(&mut seen, event),
                Ok(None) => break,
                Err(error) => return (seen, Err(error)),
            }
        }
        assert!(piece.is_empty(), "{} bytes are left", piece.len());
    }
    (seen, decoder.finish())
}

fn write(events: &[Seen]) -> Vec<u8> {
    let [Seen::Prelude(prelude), events @ ..] = events else {
        panic!("no prelude");
    };
    let mut archive = Vec::new();
    let mut writer = ArchiveWriter::new(prelude, &mut archive).unwrap();
    let mut block = None;
    for event in events {
        match event {
            Seen::Prelude(_) => panic!("a second prelude"),
            Seen::Block(_, namespace) => {
                block = Some(namespace);
                writer.run(namespace, &Crc64::new(), &mut archive).unwrap();
            }
            Seen::Documents(_, _, bytes) => {
                let crc = Crc64::of(bytes);
                writer.run(block.unwrap(), &crc, &mut archive).unwrap();
                archive.extend_from_slice(bytes);
            }
            Seen::End(_, namespace) => writer.end(namespace, &mut archive).unwrap(),
        }
    }
    writer.finish().unwrap();
    archive
}

fn collection(db: &str, name: &str, kind: &str) -> ArchiveMetadata {
    ArchiveMetadata {
        namespace: Namespace::new(db, name),
        metadata: String::new(),
        kind: Some(kind.to_owned()),
    }
}

fn prelude(collections: Vec<ArchiveMetadata>) -> ArchivePrelude {
    ArchivePrelude {
        concurrent_collections: 4,
        server_version: Some("6.0.5".to_owned()),
        tool_version: "100.18.0".to_owned(),
        collections,
    }
}

fn preludes() -> impl Strategy<Value = ArchivePrelude> {
    let namespace = (
        select(vec!["", "shop", "a.b", "\0"]),
        prop_oneof!["[a-c]{1,2}", "\\PC{1,12}"],
    );
    let about = (
        "\\PC{0,30}",
        select(vec![None, Some(""), Some("collection"), Some("view")]),
    );
    let collections = hash_map(namespace, about, 0..5).prop_map(|collections| {
        let all = collections.into_iter();
        all.map(|((db, name), (metadata, kind))| ArchiveMetadata {
            namespace: Namespace::new(db, name),
            metadata,
            kind: kind.map(str::to_owned),
        })
        .collect()
    });
    let version = select(vec![None, Some(""), Some("8.0.0-rc1")]);
    (any::<i32>(), version, ".{0,9}", collections).prop_map(
        |(concurrent_collections, server_version, tool_version, collections)| ArchivePrelude {
            concurrent_collections,
            server_version: server_version.map(str::to_owned),
            tool_version,
            collections,
        },
    )
}

/// The events of an archive whose namespaces alternate in any way.
fn archives() -> impl Strategy<Value = Vec<Seen>> {
    let steps = vec(
        (any::<Index>(), vec(arbitrary::frame(), 0..3), any::<bool>()),
        0..12,
    );
    (preludes(), steps).prop_map(|(prelude, steps)| {
        let all = prelude.collections.iter().enumerate();
        let mut open = all
            .map(|(number, collection)| (number, collection.namespace.clone()))
            .collect::<Vec<_>>();
        let mut events = vec![Seen::Prelude(prelude)];
        let mut block = None;
        for (index, documents, ends) in steps {
            if open.is_empty() {
                break;
            }
            let at = index.index(open.len());
            let (number, namespace) = open[at].clone();
            if block != Some(number) {
                events.push(Seen::Block(number, namespace.clone()));
                block = Some(number);
            }
            if let [_, ..] = documents.as_slice() {
                let bytes = documents.concat();
                match events.last_mut().unwrap() {
                    Seen::Documents(_, count, all) => {
                        *count += documents.len() as u64;
                        all.extend(bytes);
                    }
                    _ => events.push(Seen::Documents(number, documents.len() as u64, bytes)),
                }
            }
            if ends {
                events.push(Seen::End(number, namespace));
                open.remove(at);
                block = None;
            }
        }
        for (number, namespace) in open {
            let begun = Seen::Block(number, namespace.clone());
            if !events.contains(&begun) {
                events.push(begun);
            }
            events.push(Seen::End(number, namespace));
        }
        events
    })
}

proptest! {
    #[test]
    fn what_was_written_is_read_and_written_again(events in archives()) {
        let archive = write(&events);
        let (seen, end) = read([archive.as_slice()]);
        end.unwrap();
        prop_assert_eq!(&seen, &events);
        prop_assert_eq!(write(&seen), archive);
    }

    #[test]
    fn any_way_of_cutting_gives_the_same(
        events in archives(),
        cuts in vec(any::<Index>(), 0..20),
        damage in prop::option::of((any::<Index>(), any::<u8>())),
    ) {
        let mut archive = write(&events);
        if let Some((at, byte)) = damage {
            let at = at.index(archive.len());
            archive[at] = byte;
        }
        let mut cuts = cuts.iter().map(|cut| cut.index(archive.len())).collect::<Vec<_>>();
        cuts.sort_unstable();
        cuts.push(archive.len());
        let mut from = 0;
        let pieces = cuts.into_iter().map(|to| &archive[std::mem::replace(&mut from, to)..to]);
        let text = |(seen, end): (Vec<Seen>, Result<(), ArchiveError>)| {
            (seen, end.map_err(|error| error.to_string()))
        };
        let whole = text(read([archive.as_slice()]));
        prop_assert_eq!(&text(read(pieces)), &whole);
        prop_assert_eq!(&text(read(archive.chunks(1))), &whole);
    }
}

#[test]
fn a_run_is_as_long_as_its_piece_allows() {
    let events = [
        Seen::Prelude(prelude(vec![collection("shop", "orders", "collection")])),
        Seen::Block(0, Namespace::new("shop", "orders")),
        Seen::Documents(0, 100, [5, 0, 0, 0, 0].repeat(100)),
        Seen::End(0, Namespace::new("shop", "orders")),
    ];
    let archive = write(&events);
    let mut decoder = ArchiveDecoder::new();
    let mut runs = Vec::new();
    let (first, second) = archive.split_at(archive.len() - 400);
    for mut piece in [first, second] {
        while let Some(event) = decoder.decode(&mut piece).unwrap() {
            if let ArchiveEvent::Documents { documents, .. } = event {
                runs.push(documents);
            }
        }
    }
    let [before, 1, after] = runs[..] else {
        panic!("{runs:?}");
    };
    assert_eq!(before + 1 + after, 100);
}

#[test]
fn an_archive_may_have_nothing_but_its_prelude() {
    let events = [Seen::Prelude(prelude(vec![]))];
    let (seen, end) = read([write(&events).as_slice()]);
    end.unwrap();
    assert_eq!(seen, events);
}

#[test]
fn documents_may_be_as_long_as_entries_of_the_oplog() {
    let mut longest = vec![0; MAX_DOCUMENT_BYTES];
    longest[..4].copy_from_slice(&i32::try_from(MAX_DOCUMENT_BYTES).unwrap().to_le_bytes());
    let events = [
        Seen::Prelude(prelude(vec![collection("", "oplog", "")])),
        Seen::Block(0, Namespace::new("", "oplog")),
        Seen::Documents(0, 1, longest),
        Seen::End(0, Namespace::new("", "oplog")),
    ];
    let archive = write(&events);
    let (seen, end) = read(archive.chunks(1 << 20));
    end.unwrap();
    assert_eq!(seen, events);
}

#[test]
fn buckets_belong_to_the_time_series_collection_of_the_prelude() {
    // TOOLS-4089.
    let (own, buckets) = (
        Namespace::new("shop", "prices"),
        Namespace::new("shop", "system.buckets.prices"),
    );
    for namespace in [&own, &buckets] {
        let events = [
            Seen::Prelude(prelude(vec![collection("shop", "prices", "timeseries")])),
            Seen::Block(0, namespace.clone()),
            Seen::Documents(0, 1, vec![5, 0, 0, 0, 0]),
            Seen::End(0, namespace.clone()),
        ];
        let (seen, end) = read([write(&events).as_slice()]);
        end.unwrap();
        assert_eq!(seen, events);
    }

    let mut out = Vec::new();
    let timeseries = prelude(vec![collection("shop", "prices", "timeseries")]);
    let mut writer = ArchiveWriter::new(&timeseries, &mut out).unwrap();
    writer.run(&buckets, &Crc64::new(), &mut out).unwrap();
    let error = writer.end(&own, &mut out).unwrap_err();
    assert_eq!(error, ArchiveWriteError::NoMetadata { namespace: own });

    let ordinary = prelude(vec![collection("shop", "prices", "collection")]);
    let mut writer = ArchiveWriter::new(&ordinary, &mut out).unwrap();
    let error = writer.end(&buckets, &mut out).unwrap_err();
    assert_eq!(error, ArchiveWriteError::NoMetadata { namespace: buckets });
}

#[test]
fn a_collection_that_is_named_like_buckets_is_itself() {
    let prelude = prelude(vec![
        collection("shop", "prices", "timeseries"),
        collection("shop", "system.buckets.prices", "collection"),
    ]);
    let events = [
        Seen::Block(1, prelude.collections[1].namespace.clone()),
        Seen::End(1, prelude.collections[1].namespace.clone()),
        Seen::Block(0, prelude.collections[0].namespace.clone()),
        Seen::End(0, prelude.collections[0].namespace.clone()),
    ];
    let events = [vec![Seen::Prelude(prelude)], events.to_vec()].concat();
    let (seen, end) = read([write(&events).as_slice()]);
    end.unwrap();
    assert_eq!(seen, events);
}

#[test]
fn a_writer_refuses_what_no_reader_would_take() {
    let orders = Namespace::new("shop", "orders");
    let listed = collection("shop", "orders", "collection");
    let before = b"before".to_vec();
    let mut out = before.clone();

    let mut start = |collections| ArchiveWriter::new(&prelude(collections), &mut out).unwrap_err();
    assert_eq!(
        start(vec![listed.clone(), listed.clone()]),
        ArchiveWriteError::ListedTwice {
            namespace: orders.clone()
        }
    );
    assert_eq!(
        start(vec![collection("shop", "", "collection")]),
        ArchiveWriteError::NoName {
            db: "shop".to_owned()
        }
    );
    for excess in [-30, 0] {
        let long = MAX_DOCUMENT_BYTES.checked_add_signed(excess).unwrap();
        let error = start(vec![ArchiveMetadata {
            metadata: "x".repeat(long),
            ..listed.clone()
        }]);
        assert!(
            matches!(&error, ArchiveWriteError::TooLong { namespace, bytes }
                if *namespace == orders && *bytes > MAX_DOCUMENT_BYTES),
            "{error}"
        );
    }
    let mut long = prelude(vec![]);
    long.tool_version = "x".repeat(MAX_DOCUMENT_BYTES);
    let error = ArchiveWriter::new(&long, &mut out).unwrap_err();
    assert!(matches!(error, ArchiveWriteError::HeaderTooLong { .. }));
    assert_eq!(out, before, "an error leaves something behind");

    let mut writer = ArchiveWriter::new(&prelude(vec![listed]), &mut out).unwrap();
    let after_prelude = out.len();
    let other = Namespace::new("shop", "other");
    let unlisted = ArchiveWriteError::NoMetadata {
        namespace: other.clone(),
    };
    let run = writer.run(&other, &Crc64::new(), &mut out);
    assert_eq!(run, Err(unlisted));
    assert_eq!(out.len(), after_prelude);

    writer.end(&orders, &mut out).unwrap();
    let after_end = out.len();
    let ended = || ArchiveWriteError::Ended {
        namespace: orders.clone(),
    };
    assert_eq!(writer.end(&orders, &mut out), Err(ended()));
    let run = writer.run(&orders, &Crc64::new(), &mut out);
    assert_eq!(run, Err(ended()));
    assert_eq!(out.len(), after_end);
    writer.finish().unwrap();
}

#[test]
fn an_archive_is_whole_once_all_of_its_namespaces_have_ended() {
    let collections = [1, 2].map(|number| collection("shop", &number.to_string(), "collection"));
    let mut out = Vec::new();
    let mut writer = ArchiveWriter::new(&prelude(collections.into()), &mut out).unwrap();
    writer
        .run(&Namespace::new("shop", "1"), &Crc64::new(), &mut out)
        .unwrap();
    let namespaces = vec![Namespace::new("shop", "1"), Namespace::new("shop", "2")];
    assert_eq!(
        writer.finish(),
        Err(ArchiveWriteError::Unended { namespaces })
    );
}

/// Each of these in quadratic time would take minutes.
#[test]
fn very_many_namespaces_take_no_time() {
    let collections = (0..30_000).map(|number| collection("shop", &number.to_string(), ""));
    let prelude = prelude(collections.collect());
    let namespaces = prelude
        .collections
        .iter()
        .map(|listed| listed.namespace.clone());
    let namespaces = namespaces.collect::<Vec<_>>();
    let mut archive = Vec::new();
    let mut writer = ArchiveWriter::new(&prelude, &mut archive).unwrap();
    for namespace in &namespaces {
        writer.run(namespace, &Crc64::new(), &mut archive).unwrap();
    }
    for namespace in &namespaces {
        writer.end(namespace, &mut archive).unwrap();
    }
    writer.finish().unwrap();
    let (seen, end) = read(archive.chunks(1 << 16));
    end.unwrap();
    assert_eq!(seen.len(), 1 + 2 * namespaces.len());
}

/// An archive with one collection that ends at once, made of these documents.
fn made(
    header: &RawDocumentBuf,
    metadata: &[RawDocumentBuf],
    blocks: &[RawDocumentBuf],
) -> Vec<u8> {
    let mut archive = MAGIC.to_vec();
    archive.extend_from_slice(header.as_bytes());
    for metadata in metadata {
        archive.extend_from_slice(metadata.as_bytes());
    }
    archive.extend_from_slice(&TERMINATOR);
    for block in blocks {
        archive.extend_from_slice(block.as_bytes());
        archive.extend_from_slice(&TERMINATOR);
    }
    archive
}

#[test]
fn a_prelude_may_say_more_than_is_known_and_say_it_otherwise() {
    let header = |parallel: RawBson| {
        rawdoc! {
            "later": { "a": [1] }, "concurrent_collections": parallel, "version": "0.1",
            "server_version": "6.0.5", "tool_version": "100.18.0",
        }
    };
    let metadata = |size: RawBson, text: &str| {
        rawdoc! { "db": "a", "collection": "b", "metadata": text, "later": "x", "size": size, "type": "collection" }
    };
    let block =
        |eof: bool, crc: i64| rawdoc! { "db": "a", "collection": "b", "EOF": eof, "CRC": crc };
    let blocks = [block(false, 0), block(true, 0)];
    let one = [metadata(RawBson::Int32(5), "")];
    for parallel in [RawBson::Int32(4), RawBson::Int64(4), RawBson::Double(4.0)] {
        let (seen, end) = read([made(&header(parallel), &one, &blocks).as_slice()]);
        end.unwrap();
        let Seen::Prelude(prelude) = &seen[0] else {
            panic!("{seen:?}");
        };
        assert_eq!(prelude.concurrent_collections, 4);
    }
    for parallel in [
        RawBson::Int64(1 << 40),
        RawBson::Double(4.5),
        RawBson::Double(f64::NAN),
    ] {
        let (_, end) = read([made(&header(parallel), &one, &blocks).as_slice()]);
        assert!(matches!(end.unwrap_err(), ArchiveError::FieldValue { .. }));
    }

    let header = header(RawBson::Int32(4));
    let sizes = [RawBson::Int64(1 << 40), RawBson::Double(5.0)];
    let twice = sizes.map(|size| metadata(size, "{}"));
    let (seen, end) = read([made(&header, &twice, &blocks).as_slice()]);
    end.unwrap();
    assert!(matches!(&seen[0], Seen::Prelude(prelude) if prelude.collections.len() == 1));
    let other = [
        metadata(RawBson::Int32(0), "{}"),
        metadata(RawBson::Int32(0), ""),
    ];
    let (_, end) = read([made(&header, &other, &blocks).as_slice()]);
    assert!(matches!(end.unwrap_err(), ArchiveError::ListedTwice { .. }));

    // A damaged name is no new field.
    for name in ["db", "collection", "metadata", "size", "type"] {
        let mut damaged = RawDocumentBuf::new();
        for element in one[0].iter() {
            let (known, value) = element.unwrap();
            let name = if known == name {
                "x".to_owned()
            } else {
                known.to_string()
            };
            damaged.append(CString::try_from(name).unwrap(), value.to_owned());
        }
        let (_, end) = read([made(&header, &[damaged], &blocks).as_slice()]);
        let end = end.unwrap_err();
        assert!(matches!(end, ArchiveError::UnexpectedField { .. }), "{end}");
    }

    let mut block = block(true, 0);
    block.append(cstr!("later"), 1);
    let (_, end) = read([made(&header, &one, &[block]).as_slice()]);
    assert!(matches!(
        end.unwrap_err(),
        ArchiveError::UnexpectedField { .. }
    ));
}
