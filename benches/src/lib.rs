//! What rdump costs, and that it works: the demo, the side-by-side runner, and capture under load.
//!
//! Three programs live here, all on servers that the test kit starts and throws away. [`demo`] dumps a data set
//! with every kind of collection, restores it and compares. [`compare`] measures `rdump` and `rrestore` against
//! `mongodump` and `mongorestore` in turn, each as a process of its own. [`capture`] measures `rdump capture` while
//! documents are inserted at a steady rate. The criterion benches in
//! `benches/stages.rs` measure single stages without a server.

mod arguments;
pub mod capture;
pub mod compare;
pub mod demo;
mod folder;
mod machine;
mod process;
mod programs;
mod screen;
mod units;
mod until_stopped;
