//! What goes through the public API alone: fuzz corpora, error texts, folders written by other
//! versions, and what the reference tools wrote.

mod compat;
mod corpus;
mod errors;
mod reference;
#[path = "../../../fuzz/src/lib.rs"]
#[expect(
    unreachable_pub,
    reason = "the fuzz targets call them from their own crate"
)]
mod targets;
