//! Data sets are the same every time, and every one can be seeded.

use rdump_testkit::{
    Fingerprint, FingerprintOptions, Standalone,
    dataset::{self, Shape, seed_bulk},
    fingerprint::{TimeSeriesBy, assert_same},
};

#[tokio::test]
async fn every_data_set_is_the_same_in_every_deployment() {
    let servers = tokio::join!(Standalone::start(), Standalone::start());
    let (one, other) = (servers.0.client(), servers.1.client());
    for dataset in dataset::all() {
        let options = FingerprintOptions::new()
            .databases(dataset.databases())
            .time_series(TimeSeriesBy::Measurements);
        let started = std::time::Instant::now();
        tokio::join!(dataset.seed(&one), dataset.seed(&other));
        let seeded = started.elapsed();
        let first = Fingerprint::of(&one, &options).await;
        let second = Fingerprint::of(&other, &options).await;
        println!(
            "{}: {} documents, {} KB, {seeded:?}, read in {:?}",
            dataset.name(),
            first.documents(),
            first.document_bytes() / 1024,
            started.elapsed() - seeded
        );
        assert!(
            !first.collections().is_empty(),
            "{} is empty",
            dataset.name()
        );
        assert_same(&first, &second);
    }
}

#[tokio::test]
async fn bulk_data_is_seeded_by_its_seed_alone() {
    let standalone = Standalone::start().await;
    let client = standalone.client();
    let options = FingerprintOptions::new();
    for (db, seed) in [("a", 1), ("b", 1), ("c", 2)] {
        seed_bulk(&client, &format!("{db}.small"), Shape::Small, 20_000, seed).await;
        seed_bulk(&client, &format!("{db}.large"), Shape::Large, 30, seed).await;
    }
    let of = async |db: &str| {
        Fingerprint::of(&client, &options.clone().databases([db]))
            .await
            .rename_database(db, "x")
    };
    let (a, b, c) = (of("a").await, of("b").await, of("c").await);
    assert_eq!(a.documents(), 20_030);
    assert_same(&a, &b);
    assert!(!a.diff(&c).is_empty());
}

#[test]
fn bulk_data_has_the_size_and_the_compressibility_that_it_says() {
    let shapes = [
        (Shape::Small, 0.31),
        (Shape::Medium, 0.35),
        (Shape::Large, 0.62),
    ];
    let found: Vec<(f64, f64)> = shapes
        .iter()
        .map(|(shape, _)| size_and_ratio(*shape))
        .collect();
    println!("{found:.3?}");
    for ((shape, ratio), (size, found)) in shapes.into_iter().zip(found) {
        assert!((size - 1.0).abs() < 0.05, "{shape:?}: {size} of the size");
        assert!(
            (found - ratio).abs() < 0.03,
            "{shape:?}: compresses to {found}"
        );
    }
}

/// Size of 16 MB of documents, as part of what it should be, and their ratio of compression.
fn size_and_ratio(shape: Shape) -> (f64, f64) {
    let documents: u64 = (16 << 20) / shape.document_bytes();
    let batches = (0..)
        .map_while(|batch| shape.batch(1, batch, documents))
        .flatten();
    let bytes: Vec<u8> = batches.flat_map(bson::RawDocumentBuf::into_bytes).collect();
    let size = bytes.len() as f64 / documents as f64 / shape.document_bytes() as f64;
    let compressed = zstd::bulk::compress(&bytes, 1).expect("zstd compresses anything");
    (size, compressed.len() as f64 / bytes.len() as f64)
}
