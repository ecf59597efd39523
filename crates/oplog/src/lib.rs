//! The MongoDB oplog as values: no I/O, no driver.
//!
//! Today the one value that everything else will stand on: [`OpTime`], a moment of a replica set.

mod optime;

pub use optime::{OpTime, OpTimeError};
