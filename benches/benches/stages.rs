//! What single stages of a dump and a restore cost, without a server.
//!
//! Documents are those of the test kit's three shapes, about 8 MiB of each: one segment.

use std::{hint::black_box, time::Duration};

use bson::{RawArrayBuf, RawDocumentBuf, raw::RawBsonRef, rawdoc};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rdump_format::{
    CollectionMetadata, Compression, Compressor, Digester, Segment, SegmentBuilder, SegmentRecord,
    documents,
};
use rdump_testkit::dataset::Shape;

/// Uncompressed size of a segment.
const SEGMENT_BYTES: u64 = 8 << 20;
/// Uncompressed size of a reply of the server, and of an insert command.
const BATCH_BYTES: u64 = 1 << 20;

const SHAPES: [(&str, Shape); 3] = [
    ("small", Shape::Small),
    ("medium", Shape::Medium),
    ("large", Shape::Large),
];
const COMPRESSIONS: [Compression; 4] = [
    Compression::None,
    Compression::Zstd { level: 1 },
    Compression::Zstd { level: 3 },
    Compression::Gzip { level: 6 },
];

/// About `bytes` of documents.
fn some(shape: Shape, bytes: u64) -> Vec<RawDocumentBuf> {
    let number = bytes / shape.document_bytes();
    (0..)
        .map_while(|batch| shape.batch(1, batch, number))
        .flatten()
        .collect()
}

/// Documents one after another, as a segment has them.
fn body(shape: Shape) -> Segment {
    let all = some(shape, SEGMENT_BYTES);
    let documents = all.len() as u64;
    Segment {
        body: all
            .into_iter()
            .flat_map(RawDocumentBuf::into_bytes)
            .collect(),
        documents,
    }
}

/// Walking what a server replies, and what a file holds.
fn walk(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("walk");
    for (name, shape) in SHAPES {
        let mut batch = RawArrayBuf::new();
        for document in some(shape, BATCH_BYTES) {
            batch.push(document);
        }
        group.throughput(Throughput::Elements(batch.into_iter().count() as u64));
        group.bench_with_input(BenchmarkId::new("batch", name), &batch, |bencher, batch| {
            bencher.iter(|| {
                let documents = batch.into_iter().map(|document| match document {
                    Ok(RawBsonRef::Document(document)) => document.as_bytes().len(),
                    _ => panic!("a batch holds documents"),
                });
                documents.sum::<usize>()
            });
        });
        let segment = body(shape);
        group.throughput(Throughput::Elements(segment.documents));
        group.bench_with_input(
            BenchmarkId::new("segment", name),
            &segment,
            |bencher, segment| {
                bencher.iter(|| documents(&segment.body).filter(Result::is_ok).count());
            },
        );
    }
    group.finish();
}

/// Gathering documents into segments.
fn pack(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pack");
    for (name, shape) in SHAPES {
        let all = some(shape, SEGMENT_BYTES);
        let bytes: usize = all.iter().map(|document| document.as_bytes().len()).sum();
        group.throughput(Throughput::Bytes(bytes as u64));
        let mut buffer = Vec::new();
        group.bench_with_input(BenchmarkId::from_parameter(name), &all, |bencher, all| {
            bencher.iter(|| {
                // One segment after the other in the same memory, as a dump does.
                let mut builder =
                    SegmentBuilder::with_buffer(usize::MAX, std::mem::take(&mut buffer));
                for document in all {
                    let sealed = builder
                        .push(document.as_bytes())
                        .expect("the document is whole");
                    assert!(sealed.is_none());
                }
                buffer = builder.finish().expect("there are documents").body;
            });
        });
    }
    group.finish();
}

/// Sealing a segment (codec and SHA-256), and opening it again with all checks.
fn codecs(criterion: &mut Criterion) {
    for (name, shape) in SHAPES {
        let segment = body(shape);
        let bytes = Throughput::Bytes(segment.body.len() as u64);
        let sealed = COMPRESSIONS.map(|compression| {
            let mut compressor = Compressor::new(compression).expect("the level is legal");
            let sealed = segment.seal(&mut compressor, Vec::new());
            let stored = sealed.expect("documents can be compressed");
            let record = described(&segment, &stored);
            (compression, stored, record)
        });

        let mut group = criterion.benchmark_group(format!("seal/{name}"));
        group.throughput(bytes.clone());
        for compression in COMPRESSIONS {
            let mut compressor = Compressor::new(compression).expect("the level is legal");
            let mut buffer = Vec::new();
            group.bench_function(compression.to_string(), |bencher| {
                bencher.iter(|| {
                    let sealed = segment.seal(&mut compressor, std::mem::take(&mut buffer));
                    buffer = sealed.expect("documents can be compressed");
                    black_box(described(&segment, &buffer));
                });
            });
        }
        group.finish();

        let mut group = criterion.benchmark_group(format!("open/{name}"));
        group.throughput(bytes);
        for (compression, stored, record) in &sealed {
            let mut buffer = Vec::new();
            group.bench_function(compression.to_string(), |bencher| {
                bencher.iter(|| {
                    buffer.clear();
                    let mut digester = Digester::new();
                    let opened =
                        record.open(compression.codec(), stored, &mut digester, &mut buffer);
                    opened.expect("the segment is whole");
                });
            });
        }
        group.finish();
    }
}

fn described(segment: &Segment, stored: &[u8]) -> SegmentRecord {
    let bytes = segment.body.len() as u64;
    SegmentRecord::of(segment.documents, bytes, stored, &mut Digester::new())
}

/// Options and indexes to JSON, with the proof that they come back, and from JSON.
fn metadata(criterion: &mut Criterion) {
    let index = |number: i32| {
        rawdoc! {
            "v": 2,
            "key": { "customer.id": 1, "createdAt": -1 },
            "name": format!("customer.id_1_createdAt_-1_{number}"),
            "partialFilterExpression": { "state": { "$gt": number }, "when": { "$exists": true } },
        }
    };
    let metadata = CollectionMetadata {
        options: rawdoc! {
            "validator": { "$jsonSchema": { "required": ["state"], "properties": { "state": { "bsonType": "int" } } } },
            "collation": { "locale": "de", "strength": 2 },
        },
        indexes: (0..16).map(index).collect(),
        uuid: Some([7; 16]),
        collection: Some("orders".to_owned()),
        kind: Some("collection".to_owned()),
    };
    let json = metadata
        .to_json()
        .expect("the metadata comes back from JSON");

    let mut group = criterion.benchmark_group("metadata");
    group.throughput(Throughput::Bytes(json.len() as u64));
    group.bench_function("to_json", |bencher| {
        bencher.iter(|| black_box(&metadata).to_json());
    });
    group.bench_function("from_json", |bencher| {
        bencher.iter(|| CollectionMetadata::from_json(black_box(json.as_bytes())));
    });
    group.finish();
}

fn quick() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
}

criterion_group! {
    name = stages;
    config = quick();
    targets = walk, pack, codecs, metadata
}
criterion_main!(stages);
