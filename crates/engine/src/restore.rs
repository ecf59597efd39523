//! Restoring a dump into a deployment.

mod create_command;
mod index_spec;
mod insert_batch;
mod insert_reply;
mod options;
mod top_level;

pub use options::RestoreOptions;
