//! Real servers, faults and data sets for tests.
//!
//! A test starts its own deployment ([`ReplicaSet`], [`Standalone`]), fills it with a [`dataset`], does
//! something to it (perhaps through a [`Proxy`], as if it were [`DocumentDb`], under a [`FailPoint`] or beside a
//! [`Workload`]) and compares what came out by [`Fingerprint`]. Nothing is shared between tests, so nothing has an order.
//!
//! The kit panics with a helpful text when something it needs is missing or fails: a test without its server
//! fails, it never skips. Only what a program other than a test would want to report returns a `Result`.
//! Nothing here depends on the crates under test.
//!
//! ```no_run
//! # async fn example() {
//! use rdump_testkit::{Fingerprint, FingerprintOptions, ReplicaSet, dataset};
//!
//! let source = ReplicaSet::start().await;
//! dataset::orders(1_000).seed(&source.client()).await;
//! let fingerprint = Fingerprint::of(&source.client(), &FingerprintOptions::new()).await;
//! assert_eq!(fingerprint.documents(), 1_000);
//! # }
//! ```

#![expect(
    clippy::missing_panics_doc,
    reason = "a test kit panics with a helpful text whenever something it needs fails"
)]

pub mod binaries;
pub mod damage;
pub mod dataset;
pub mod deployment;
pub mod document_db;
pub mod failpoint;
pub mod fingerprint;
pub mod measure;
pub mod mongod;
mod process;
pub mod proxy;
pub mod raw;
pub mod recorder;
pub mod reference;
pub mod replica_set;
pub mod s3;
pub mod server_version;
pub mod standalone;
pub mod wait;
pub mod workload;

pub use crate::{
    dataset::Dataset,
    deployment::Deployment,
    document_db::DocumentDb,
    failpoint::FailPoint,
    fingerprint::{Fingerprint, FingerprintOptions},
    mongod::Mongod,
    proxy::Proxy,
    recorder::Recorder,
    replica_set::ReplicaSet,
    s3::{Gateway, S3Server, SeaweedFs},
    server_version::{Feature, ServerVersion},
    standalone::Standalone,
    wait::wait_for,
    workload::{Workload, WorkloadOptions},
};
