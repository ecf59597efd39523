//! The whole way, with every data set.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use std::{collections::BTreeSet, fs, num::NonZeroUsize};

use rdump::{Compression, DumpOptions, RestoreOptions};
use rdump_testkit::{
    Fingerprint, FingerprintOptions, ReplicaSet, dataset, fingerprint::assert_same,
};
use rdump_tests::{
    dump,
    kept::{self, Kept},
    restore,
};
use tempfile::TempDir;

/// Every data set goes through a folder of this form and comes back the same.
async fn round_trip(compression: Compression, partitions: usize) {
    let (source, target) = tokio::join!(ReplicaSet::start(), ReplicaSet::start());
    for data in dataset::all() {
        data.seed(&source.client()).await;
    }
    let folder = TempDir::new().unwrap();
    let options = DumpOptions::default()
        .compression(compression)
        .partitions(NonZeroUsize::new(partitions).unwrap());
    dump(&source, folder.path(), options).await;
    // Some data sets hold documents that violate their collection's validator.
    let options = RestoreOptions::default().bypass_document_validation(true);
    let report = restore(folder.path(), &target, options).await;
    assert_eq!(report.problems, []);
    assert!(report.verified);
    let (before, after) = tokio::join!(fingerprint(&source), fingerprint(&target));
    assert_same(&before, &after);
}

/// Without the versions of indexes: a restore builds today's, unless it is asked to keep them.
async fn fingerprint(of: &ReplicaSet) -> Fingerprint {
    Fingerprint::of(
        &of.client(),
        &FingerprintOptions::new().ignore_index_version(true),
    )
    .await
}

#[tokio::test]
async fn every_data_set_comes_back_from_a_plain_folder() {
    round_trip(Compression::None, 1).await;
}

#[tokio::test]
async fn every_data_set_comes_back_from_a_gzip_folder() {
    round_trip(Compression::Gzip { level: 6 }, 1).await;
}

#[tokio::test]
async fn every_data_set_comes_back_from_a_zstd_folder_of_four_partitions() {
    round_trip(Compression::Zstd { level: 1 }, 4).await;
}

/// As they were written by mongodump, with users and roles, and with what was written while they were.
#[tokio::test]
async fn dumps_that_mongodump_wrote_come_back_with_all_that_they_hold() {
    let folder = kept::folder();
    for kept in Kept::ALL {
        let target = ReplicaSet::builder().version(Kept::SERVER).start().await;
        let report = kept.restore(&folder, &target).await;
        assert_eq!(report.problems, []);
        let expected = kept::expected(kept, &folder);
        kept::assert_same(kept, &expected, &kept::print(&target).await);
    }
}

#[test]
fn every_dump_that_is_kept_is_read() {
    let folder = kept::folder();
    let there = fs::read_dir(&folder).unwrap();
    let there: BTreeSet<_> = there.map(|entry| entry.unwrap().path()).collect();
    let paths = Kept::ALL.map(|kept| [kept.path(&folder), kept.print_path(&folder)]);
    assert_eq!(there, paths.into_iter().flatten().collect());
}
