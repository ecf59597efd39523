//! A native MongoDB dump and restore engine.
//!
//! It reads a deployment into a *dump*, a mongodump folder with a manifest of checksums, and puts a dump back; it
//! verifies a dump without a server. Documents travel as the bytes that the server sent: none is decoded on the way
//! out, and none is sent back before its segment's checksum was compared.
//!
//! | to | start with | and get |
//! |---|---|---|
//! | dump | [`Source::connect`], [`FolderWriter::create`], [`Dump`] | [`DumpReport`] |
//! | restore | [`Target::connect`], [`FolderReader::open`], [`Restore`] | [`RestoreReport`] |
//! | verify | [`verify_folder`] | [`VerifyReport`] |
//! | back up | [`Source::connect`], [`Repository::open_or_init`], [`Backup`] | [`BackupReport`] |
//! | restore a snapshot | [`Repository::find_snapshot`], [`SnapshotReader::open`], [`Restore`] | [`RestoreReport`] |
//! | verify a snapshot | [`Snapshot::verify`], or [`Repository::verify`] of one that cannot be opened | [`SnapshotVerifyReport`] |
//! | restore for practice | [`Drill`] | [`DrillReport`] |
//! | compare deployments | [`Comparison`] | [`ComparisonReport`] |
//! | see who did what with a repository | [`Repository::actor`], [`Repository::audit`] | [`AuditEntry`], [`AuditReport`] |
//! | look before it fails | [`Doctor`] | [`DoctorReport`] |
//! | copy a repository elsewhere | [`RepositoryCopy`] | [`CopyReport`] |
//! | carry a snapshot as one stream | [`Repository::bundle`], [`Repository::unbundle`], [`BundleReader`] | [`BundleReport`], [`UnbundleReport`] |
//! | copy a dump to another medium | a reader, a writer, [`Transfer::new`] | [`DumpReport`] |
//!
//! What changes something has a plan, which only reads and can be shown or serialized, and a run, which does what the
//! plan says and returns a report. Options ([`ConnectOptions`], [`DumpOptions`], [`RestoreOptions`]) are plain data
//! that can be kept in a file; services (an [`Observer`], [`Counters`], a [`CancellationToken`]) go to the operation.
//! An [`Error`] says by its [`kind`](Error::kind) what the caller should do about it. What is wrong and does not end
//! a restore is a [`Problem`] in its report.
//!
//! Every public async function says what happens when its future is dropped. The library prints nothing, reads no
//! environment variables, handles no signals and installs no log subscriber; it logs through `tracing`. It needs a
//! multi-threaded tokio runtime to be fast, and any tokio runtime to work.
//!
//! # Dump
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use rdump::{Compression, ConnectOptions, Dump, DumpOptions, FolderWriter, Source};
//!
//! # async fn example() -> rdump::Result<()> {
//! let source = Source::connect(&ConnectOptions::default().uri("mongodb://localhost:27017")).await?;
//! let writer = FolderWriter::create(&"dump".parse()?)?;
//! let options = DumpOptions::default().db("shop").compression(Compression::ZSTD);
//! let dump = Dump::new(&source, Arc::new(writer)).options(options);
//! let plan = dump.plan().await?; // reads only
//! println!("{plan}");
//! let report = dump.run(plan).await?;
//! println!("{report}");
//! # Ok(())
//! # }
//! ```
//!
//! # Verify
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use rdump::{CancellationToken, verify_folder};
//!
//! # async fn example() -> rdump::Result<()> {
//! let report = verify_folder(&"dump".parse()?, Arc::new(()), CancellationToken::new()).await?;
//! for damage in &report.damage {
//!     println!("{damage}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Restore
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use rdump::{ConnectOptions, FolderReader, FolderReaderOptions, Restore, RestoreOptions, Target};
//!
//! # async fn example() -> rdump::Result<()> {
//! let target = Target::connect(&ConnectOptions::default().uri("mongodb://localhost:27017")).await?;
//! let reader = FolderReader::open(&"dump".parse()?, FolderReaderOptions::default()).await?;
//! let options = RestoreOptions::default().rename("shop.*", "shop_copy.*");
//! let restore = Restore::new(&target, Arc::new(reader)).options(options);
//! let plan = restore.plan().await?; // reads only
//! println!("{plan}");
//! let report = restore.run(plan).await?;
//! for problem in &report.problems {
//!     println!("{problem}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Other media
//!
//! An archive ([`ArchiveWriter`], [`ArchiveReader`]) is a whole dump in one stream, and the documents of one collection go
//! through a stream by themselves ([`DocumentStreamWriter`], [`DocumentStreamReader`]).
//! A dump can be written to anything that is a [`DumpWriter`](media::DumpWriter) and restored from anything that is a
//! [`DumpReader`](media::DumpReader): [`media`] has the two traits.

mod backup;
mod capabilities;
mod capture;
mod catalog;
mod change_stream;
mod command;
mod comparison;
mod concerns;
mod connect;
mod context;
mod doctor;
mod drill;
mod dump;
mod error;
pub mod media;
mod observer;
mod repository;
mod restore;
mod retention;
mod retry;
mod same_options;
mod spool;
mod transfer;
mod verify;

use std::num::NonZeroUsize;

pub use backup::{Backup, BackupPlan, BackupReport};
pub use capture::{Capture, CaptureOptions, CaptureReport, CaptureSource};
pub use comparison::{ComparedNamespace, Comparison, ComparisonReport, Difference};
pub use concerns::{Acknowledgement, ReadMode, ReadPreference, WriteConcern};
pub use connect::{
    ConnectOptions, ConnectPlan, Flavor, Secret, ServerInfo, Source, Target, Topology,
};
pub use doctor::{Check, Doctor, DoctorReport, Finding, Severity};
pub use drill::{Drill, DrillReport, Drilled, ScratchServer};
pub use dump::{
    Consistency, Dump, DumpOptions, DumpPlan, DumpReport, DumpedNamespace, DumpedOplog,
};
pub use error::{Error, ErrorKind, Result};
pub use media::{
    ArchiveReader, ArchiveWriter, Discard, DocumentStreamReader, DocumentStreamWriter,
    FolderReader, FolderReaderOptions, FolderWriter,
};
pub use observer::{Counter, Counters, Event, Observer, Problem, RecordingObserver};
pub use repository::{
    Act, Actor, AuditHead, AuditReport, BundleReader, BundleReport, CapturedSpan, Capturing,
    CopyReport, DrillStatus, Identities, PlannedSlices, PlannedSnapshot, PlannedTier,
    PlannedUnfinished, PlannedUnnamed, PointInTime, Prune, PrunePlan, PruneReport, Recipients,
    RekeyReport, Repository, RepositoryCopy, RepositoryStatus, RestorableSpan, RestorePoint,
    Sample, Snapshot, SnapshotChoice, SnapshotNamespace, SnapshotReader, SnapshotStatus,
    SnapshotVerifyOptions, SnapshotVerifyReport, SnapshotWriter, Snapshots, Thaw, ThawReport, Tier,
    TierChoice, TierPlan, TierReport, TimelineVerifyReport, UnbundleReport,
};
pub use restore::{
    NamespaceKind, OnConflict, PlannedNamespace, ReplayedOplog, Restore, RestoreOptions,
    RestorePlan, RestoreReport, RestoredNamespace,
};
pub use retention::{KeepReason, RetentionPolicy, Zone};
pub use transfer::Transfer;
pub use verify::{Damage, DamageKind, VerifyReport, verify_folder};

pub use rdump_format::repository::{
    AuditActor, AuditEntry, AuditError, AuditResult, AuditSubject, AuditVerb, IdRange,
    RepositoryId, SnapshotId, SnapshotManifest, SpanKind, SpanName, Stretch, Timeline, TimelineId,
    WaitingRecord,
};
pub use rdump_format::{
    Codec, Compression, Digest, Namespace, Pattern, Selector, data_file, oplog_file,
};
pub use rdump_format::{RunRecord, SourceRecord};
pub use rdump_oplog::{OpTime, OpTimeLimit};
/// Where dumps live: credentials and options of object stores, and what a store of one's own has to do.
pub use rdump_storage as storage;
pub use rdump_storage::{Location, Retrieval, Store, ThawRequest};
pub use tokio_util::sync::CancellationToken;

/// As many as there are cores, at most 4.
fn default_parallelism() -> NonZeroUsize {
    const MOST: NonZeroUsize = NonZeroUsize::new(4).expect("4 is not 0");
    std::thread::available_parallelism()
        .unwrap_or(NonZeroUsize::MIN)
        .min(MOST)
}
