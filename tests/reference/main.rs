//! mongodump and mongorestore read what we write, and we read what they write.
//!
//! `cargo test -p rdump-tests --features reference`, with the tools on `PATH` or in `MONGODUMP` and `MONGORESTORE`. The
//! matrix is one test for each medium, way and subject: `-- folder_gzip::rdump_to_mongorestore` runs a part of it.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

mod bytes;
mod cell;
mod data_sets;
mod differential;
mod documents;
mod flags;
mod kept;
mod limits;
mod load;
mod pass;
mod slow;
mod time_series;
mod unruly;
mod users;

use rdump_testkit::{Fingerprint, FingerprintOptions, ReplicaSet, dataset};

macro_rules! each_medium {
    ($($name:ident: $medium:ident,)+) => { $(
        mod $name {
            each_way! {
                $medium,
                mongodump_to_rrestore: MongodumpToRrestore,
                rdump_to_mongorestore: RdumpToMongorestore,
                rdump_to_rrestore: RdumpToRrestore,
            }
        }
    )+ };
}

macro_rules! each_way {
    ($medium:ident, $($name:ident: $way:ident,)+) => { $(
        mod $name {
            use crate::{cell::{Cell, Medium, Way}, data_sets, load, time_series, users};

            const CELL: Cell = Cell { medium: Medium::$medium, way: Way::$way };

            #[tokio::test]
            async fn every_data_set_comes_back() {
                data_sets::come_back(CELL).await;
            }

            #[tokio::test]
            async fn what_a_workload_writes_comes_back_as_it_was_at_one_moment() {
                load::comes_back_as_it_was_at_one_moment(CELL).await;
            }

            #[tokio::test]
            async fn users_and_roles_come_back() {
                users::come_back(CELL).await;
            }

            #[tokio::test]
            async fn time_series_come_back_with_what_is_measured_meanwhile() {
                time_series::come_back_with_what_is_measured_meanwhile(CELL).await;
            }
        }
    )+ };
}

each_medium! {
    folder: Folder,
    folder_gzip: FolderGzip,
    archive: Archive,
    archive_gzip: ArchiveGzip,
    archive_through_a_pipe: Pipe,
}

async fn seeded() -> ReplicaSet {
    let source = ReplicaSet::start().await;
    for data in dataset::all() {
        data.seed(&source.client()).await;
    }
    source
}

/// Without the versions of indexes: a restore builds today's, unless it is asked to keep them.
async fn fingerprint(of: &ReplicaSet) -> Fingerprint {
    let options = FingerprintOptions::new().ignore_index_version(true);
    Fingerprint::of(&of.client(), &options).await
}

/// The same of some databases.
async fn fingerprint_of(of: &ReplicaSet, databases: &[String]) -> Fingerprint {
    let options = FingerprintOptions::new().ignore_index_version(true);
    Fingerprint::of(&of.client(), &options.databases(databases)).await
}
