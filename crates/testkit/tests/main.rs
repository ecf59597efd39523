//! The kit tests itself: one binary, because linking counts.

mod binaries;
mod damage;
mod dataset;
mod deployment;
mod document_db;
mod failpoint;
mod fingerprint;
mod gateway;
mod measure;
mod proxy;
mod server_versions;
mod workload;
