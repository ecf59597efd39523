//! The binaries, run as a person runs them.

mod archive;
mod broken_pipe;
mod bundle;
mod capture;
mod command_line;
mod copy;
mod encrypted;
mod failures;
mod generated;
mod help;
mod interrupt;
mod json;
mod kill;
mod metrics;
mod moments;
mod notify;
mod object_store;
mod object_store_access;
mod oplog;
mod passwords;
mod program;
mod prune;
mod repository;
mod round_trip;
mod standard_streams;
mod verify;
