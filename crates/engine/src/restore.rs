//! Restoring a dump into a deployment.

mod options;

pub use options::RestoreOptions;
