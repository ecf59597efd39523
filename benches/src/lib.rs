//! What rdump costs, and that it works: the demo and the side-by-side runner.
//!
//! Two programs live here, both on servers that the test kit starts and throws away. [`demo`] dumps a data set
//! with every kind of collection, restores it and compares. [`compare`] measures `rdump` and `rrestore` against
//! `mongodump` and `mongorestore` in turn, each as a process of its own. The criterion benches in
//! `benches/stages.rs` measure single stages without a server.

mod arguments;
pub mod compare;
pub mod demo;
mod folder;
mod programs;
mod screen;
mod units;
