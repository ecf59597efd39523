//! What is dumped from a server comes back, on it and on every newer one, by rdump and rrestore.
//!
//! `cargo test -p rdump-tests --features server-matrix`, with `-- --nocapture` for each way and how long it took. The
//! servers are fetched on first use, 400 MB altogether, or set: `RDUMP_MONGOD_4_4_2` and so on.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test says how far it came and fails by panicking, its helpers too"
)]

mod exceptions;
mod flags;
mod gone;
mod medium;
mod newer;

use rdump_testkit::{Fingerprint, FingerprintOptions, ReplicaSet, ServerVersion, dataset};
use tempfile::TempDir;

macro_rules! with_each_server {
    ($($name:ident: $version:ident,)+) => { $(
        mod $name {
            use rdump_testkit::ServerVersion;

            #[tokio::test]
            async fn everything_comes_back_on_it_and_on_every_newer_server() {
                super::newer::everything_comes_back(ServerVersion::$version).await;
            }

            #[tokio::test]
            async fn partitions_and_views_and_uuids_come_back_by_their_flags() {
                super::flags::come_back(ServerVersion::$version).await;
            }

            #[tokio::test]
            async fn the_built_in_roles_for_backups_are_enough() {
                super::flags::roles_are_enough(ServerVersion::$version).await;
            }

            #[tokio::test]
            async fn a_cursor_that_dies_and_a_connection_that_breaks_are_made_up_for() {
                super::flags::failures_are_made_up_for(ServerVersion::$version).await;
            }
        }
    )+ };
}

with_each_server! {
    mongodb_4_2: V4_2_6,
    mongodb_4_4: V4_4_2,
    mongodb_5_0: V5_0_4,
    mongodb_6_0_5: V6_0_5,
    mongodb_6_0_27: V6_0_27,
}

#[tokio::test]
async fn buckets_of_mixed_schemas_are_noted_and_go_on_with_the_note() {
    newer::mixed_schemas_are_noted_and_go_on().await;
}

#[tokio::test]
async fn geo_haystack_indexes_are_refused_by_newer_servers_before_anything_is_written() {
    gone::geo_haystack_is_refused().await;
}

#[tokio::test]
async fn images_as_older_servers_have_them_stay_an_option() {
    gone::older_images_stay().await;
}

/// A replica set with everything that servers of its version can hold.
async fn seeded(version: ServerVersion) -> ReplicaSet {
    let source = ReplicaSet::builder().version(version).start().await;
    for data in dataset::all_on(version) {
        data.seed(&source.client()).await;
    }
    source
}

/// A place for a dump, and its path.
fn folder() -> (TempDir, String) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("dump").to_str().unwrap().to_owned();
    (folder, path)
}

/// Without the versions of indexes: a restore builds today's, unless it is asked to keep them.
async fn print(of: &ReplicaSet) -> Fingerprint {
    let options = FingerprintOptions::new().ignore_index_version(true);
    Fingerprint::of(&of.client(), &options).await
}
