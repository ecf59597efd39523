//! The binaries, run as a person runs them.

mod archive;
mod broken_pipe;
mod failures;
mod generated;
mod help;
mod interrupt;
mod json;
mod kill;
mod program;
mod round_trip;
mod verify;
