//! A native MongoDB dump and restore engine.

mod catalog;
mod command;
mod concerns;
mod connect;
mod context;
mod dump;
mod error;
pub mod media;
mod observer;
mod restore;
mod retry;
mod verify;

use std::num::NonZeroUsize;

pub use concerns::{Acknowledgement, ReadMode, ReadPreference, WriteConcern};
pub use connect::{ConnectOptions, ConnectPlan, Secret, ServerInfo, Source, Target, Topology};
pub use dump::{Dump, DumpOptions, DumpPlan, DumpReport, DumpedNamespace};
pub use error::{Error, ErrorKind, Result};
pub use media::{Discard, FolderReader, FolderReaderOptions, FolderWriter};
pub use observer::{Counter, Counters, Event, Observer, Problem, RecordingObserver};
pub use restore::{
    NamespaceKind, PlannedNamespace, Restore, RestoreOptions, RestorePlan, RestoreReport,
    RestoredNamespace,
};
pub use verify::{Damage, DamageKind, VerifyReport, verify_folder};

pub use rdump_format::{Codec, Compression, Namespace, Pattern, Selector, data_file};
pub use rdump_storage::{Location, Store};
pub use tokio_util::sync::CancellationToken;

/// As many as there are cores, at most 4.
fn default_parallelism() -> NonZeroUsize {
    const MOST: NonZeroUsize = NonZeroUsize::new(4).expect("4 is not 0");
    std::thread::available_parallelism()
        .unwrap_or(NonZeroUsize::MIN)
        .min(MOST)
}
