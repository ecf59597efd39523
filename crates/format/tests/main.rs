//! What goes through the public API alone: fuzz corpora, error texts, and folders written by other
//! versions.

mod compat;
mod corpus;
mod errors;
#[path = "../../../fuzz/src/lib.rs"]
#[expect(
    unreachable_pub,
    reason = "the fuzz targets call them from their own crate"
)]
mod targets;
