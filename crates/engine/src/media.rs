//! What a dump is written to and read from.
//!
//! A *medium* is a [`DumpWriter`] and a [`DumpReader`]. The pipelines of dump and restore know nothing else
//! of it: they hand over and take whole documents of one namespace at a time, in segments.

use std::{fmt, num::NonZeroUsize, ops::Range, sync::Arc};

use bson::RawDocumentBuf;
use bytes::Bytes;
use futures::{FutureExt, future, future::BoxFuture, stream::BoxStream};
use rdump_format::{
    Authorization, Codec, CollectionMetadata, Crc64, Namespace, Prelude, RunRecord, Selector,
    SourceRecord, repository::IdRange,
};
use tokio::sync::OwnedSemaphorePermit;

use rdump_format::repository::AuditVerb;
use rdump_storage::Location;

use crate::{Act, Error, OpTime, PointInTime, Problem, Result};

mod archive_reader;
mod archive_writer;
mod discard;
mod document_stream_reader;
mod document_stream_writer;
mod folder_reader;
mod folder_writer;
pub(crate) mod handover;
pub(crate) mod manifest;
pub(crate) mod runs;
pub(crate) mod segments;
pub(crate) mod single_object;

pub use archive_reader::ArchiveReader;
pub use archive_writer::ArchiveWriter;
pub use discard::Discard;
pub use document_stream_reader::DocumentStreamReader;
pub use document_stream_writer::DocumentStreamWriter;
pub(crate) use folder_reader::LooseFile;
pub use folder_reader::{FolderReader, FolderReaderOptions};
pub use folder_writer::FolderWriter;
pub(crate) use folder_writer::leftover_notice;

/// Takes a dump.
///
/// The order of calls: [`begin`](Self::begin), then for each namespace [`namespace`](Self::namespace), then
/// [`commit`](Self::commit). Until the last step is done, nothing of the dump may look complete.
pub trait DumpWriter: fmt::Debug + Send + Sync {
    /// How this medium wants its segments.
    fn packing(&self) -> Packing;

    /// Whether a namespace whose writer was dropped can be started over although documents of it were written.
    fn takes_back(&self) -> bool {
        true
    }

    /// Whether a dump of nothing is kept as one, and not left away with all its traces.
    fn keeps_nothing(&self) -> bool {
        false
    }

    /// Makes the place ready, and incomplete: what said that an older dump here was complete is removed.
    ///
    /// Returns things a person should know.
    fn begin<'a>(&'a self, header: &'a DumpHeader) -> BoxFuture<'a, Result<Vec<String>>>;

    /// Starts a namespace. Called again for the same namespace, after its writer was dropped unfinished, it
    /// starts that namespace over.
    fn namespace<'a>(
        &'a self,
        header: &'a NamespaceHeader,
    ) -> BoxFuture<'a, Result<Box<dyn NamespaceWriter>>>;

    /// How what earlier attempts have stored was read, if there were any.
    fn earlier(&self) -> Option<Reading> {
        None
    }

    /// What is stored of a namespace already, so that it is not read again.
    fn kept(&self, _header: &NamespaceHeader) -> Option<Kept> {
        None
    }

    /// Goes on with a namespace of which a part is [kept](Self::kept): the documents of the ranges that are left come.
    fn go_on<'a>(
        &'a self,
        header: &'a NamespaceHeader,
    ) -> BoxFuture<'a, Result<Box<dyn NamespaceWriter>>> {
        let namespace = &header.namespace;
        let error = Error::internal("there is nothing to go on with").for_namespace(namespace);
        future::ready(Err(error)).boxed()
    }

    /// Looks at everything that was stored, and returns the step that makes the dump complete, if that is a step by itself: it is
    /// awaited to its end even if the run is cancelled meanwhile, so that nobody hears of no dump where there is one.
    fn commit<'a>(&'a self, run: RunRecord) -> BoxFuture<'a, Result<LastStep<'a>>>;

    /// Where it is, for people. Default: nobody knows.
    fn location(&self) -> Option<Location> {
        None
    }

    /// Something that was done with the repository that it is in, if it is in one, for the [record](crate::Repository::audit) there.
    fn act(&self, _verb: AuditVerb) -> Option<Act> {
        None
    }

    /// Takes back what was being written when the run failed or was cancelled. All writers of namespaces are gone by then.
    fn give_up(&self) -> BoxFuture<'_, ()> {
        future::ready(()).boxed()
    }
}

/// Makes a dump complete. Gives what is wrong with the place, though not with the dump: each becomes a problem of the run.
pub type LastStep<'a> = BoxFuture<'a, Result<Vec<String>>>;

/// No step: all is done.
pub(crate) fn no_step<'a>() -> LastStep<'a> {
    future::ready(Ok(Vec::new())).boxed()
}

/// Takes one namespace's documents. Dropping it unfinished discards what it took.
pub trait NamespaceWriter: fmt::Debug + Send {
    /// Told first if the documents come in these ranges of `_id`: several of them at once, each in its order.
    fn begin_ranges(&mut self, _ranges: &[IdRange]) {}

    /// Appends a segment.
    fn write(&mut self, segment: PackedSegment) -> BoxFuture<'_, Result<()>>;

    /// Ends the namespace.
    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Written>>;
}

/// How a medium wants its segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Packing {
    /// Compressed as the options say.
    Sealed,
    /// Compressed as the options say, with a checksum of what was compressed.
    Checksummed,
    /// As they are.
    Plain,
}

/// Whole documents of one namespace, ready to be stored.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PackedSegment {
    /// The bytes to store.
    pub bytes: Bytes,
    /// How many documents they hold.
    pub documents: u64,
    /// Their size before compression, in bytes.
    pub uncompressed_bytes: u64,
    /// The checksum of the documents before compression; of nothing but for [`Packing::Checksummed`].
    pub checksum: Crc64,
    /// How far a range of `_id` is read with them, if they come in such.
    pub reached: Option<Reached>,
}

/// How far one of the [ranges](NamespaceWriter::begin_ranges) of a namespace is read.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Reached {
    /// Which one, counted from 0.
    pub range: usize,
    /// `{ _id: … }` of the last document.
    pub id: RawDocumentBuf,
}

/// What a dump is about, told to the medium before anything else.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DumpHeader {
    /// Server and tool.
    pub prelude: Prelude,
    /// The deployment.
    pub source: SourceRecord,
    /// When the run started: RFC 3339, UTC.
    pub started_at: String,
    /// The options of the run, as data.
    pub options: serde_json::Value,
    /// The only database that is dumped, if it is one.
    pub db: Option<String>,
    /// Whether only one collection of [`db`](Self::db) is dumped.
    pub single_collection: bool,
    /// How many namespaces are written at once, at most.
    pub parallel_collections: NonZeroUsize,
    /// How everything is compressed, so that it is known without a namespace.
    pub codec: Codec,
    /// The namespaces, those without data included.
    pub namespaces: Vec<NamespaceHeader>,
    /// How what is read comes to be of one moment.
    pub reading: Reading,
    /// Whether what is [kept](DumpWriter::kept) of earlier attempts counts, as [`Reading`] says.
    pub keeps: bool,
}

/// How what an attempt reads comes to be of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reading {
    /// The moment from which on the oplog is captured.
    pub captured_from: Option<OpTime>,
    /// The moment that everything is read at, or nothing.
    pub read_at: Option<OpTime>,
}

/// One namespace of a dump.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NamespaceHeader {
    /// The namespace as the user knows it; never that of time-series buckets.
    pub namespace: Namespace,
    /// The namespace that the documents are stored under: the buckets of a time-series collection, else
    /// the same. `None` if there are no documents, as for a view.
    pub data_namespace: Option<Namespace>,
    /// Options, indexes and UUID; `None` for users and roles that are dumped with their database.
    pub metadata: Option<CollectionMetadata>,
    /// How its segments are compressed.
    pub codec: Codec,
}

impl NamespaceHeader {
    /// The metadata as every medium writes it.
    fn metadata_text(&self) -> Result<Option<String>> {
        let text = self.metadata.as_ref().map(CollectionMetadata::to_json);
        text.transpose().map_err(|error| {
            Error::data("its options or indexes cannot be written so that they come back the same")
                .for_namespace(&self.namespace)
                .caused_by(error)
        })
    }
}

/// What is stored of a namespace before a dump reads any of it.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Kept {
    /// How much.
    pub written: Written,
    /// What is left to read; nothing if it is stored whole.
    pub left: Vec<IdRange>,
}

/// What a [`NamespaceWriter`] stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// Documents.
    pub documents: u64,
    /// Bytes before compression.
    pub uncompressed_bytes: u64,
    /// Bytes after compression.
    pub stored_bytes: u64,
}

impl Written {
    /// Counts one more segment.
    pub(crate) fn add(&mut self, segment: &PackedSegment) {
        self.documents += segment.documents;
        self.uncompressed_bytes += segment.uncompressed_bytes;
        self.stored_bytes += segment.bytes.len() as u64;
    }
}

/// Gives a dump back.
pub trait DumpReader: fmt::Debug + Send + Sync {
    /// What the dump says of itself.
    fn contents(&self) -> &DumpContents;

    /// How the documents are got.
    fn access(&self) -> Access<'_>;

    /// What it can be known by for ever: whatever has the same identity has the same documents in the same
    /// [segments](RandomAccess::segments). Default: `None`, it has no such segments, and no restore of it can be gone on with.
    fn identity(&self) -> Option<String> {
        None
    }

    /// What is replayed over it: that leads to a later moment. Default: nothing.
    fn until(&self) -> Option<&PointInTime> {
        None
    }

    /// Something that is done from now on with the repository that it is in, if it is in one, for the [record](crate::Repository::audit) there.
    fn act(&self, _verb: AuditVerb) -> Option<Act> {
        None
    }
}

/// How the documents of a dump are got from its medium.
#[non_exhaustive]
pub enum Access<'a> {
    /// Namespace by namespace, in any order.
    Random(&'a dyn RandomAccess),
    /// As they come, all namespaces mixed. The stream ends after its first error.
    ///
    /// An [`Arrival`] whose documents are not wanted is dropped. Of all others the documents have to be taken at the same
    /// time: while those of one are not, no other gets any.
    Sequential(ArrivalStream<'a>),
}

impl fmt::Debug for Access<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Random(_) => "Random",
            Self::Sequential(_) => "Sequential",
        })
    }
}

/// The namespaces of a medium that is read once, from front to end.
pub type ArrivalStream<'a> = BoxStream<'a, Result<Arrival>>;

/// A medium that has the documents of each namespace in a place of their own.
pub trait RandomAccess: fmt::Debug + Send + Sync {
    /// The documents of one namespace, in runs of whole documents, each checked before it is given.
    ///
    /// The stream ends after its first error.
    fn documents<'a>(&'a self, entry: &'a DumpEntry) -> BoxStream<'a, Result<Documents>>;

    /// The documents of one namespace without those segments whose numbers are in `done`: ranges in ascending order, none of
    /// which overlap. Each run is one segment, and says [which](Documents::segment). Default: all documents.
    fn segments<'a>(
        &'a self,
        entry: &'a DumpEntry,
        _done: &[Range<u64>],
    ) -> BoxStream<'a, Result<Documents>> {
        self.documents(entry)
    }
}

/// A namespace of which the first documents came, or of which there are none.
#[non_exhaustive]
pub struct Arrival {
    /// Its place among the [entries](DumpContents::entries).
    pub entry: usize,
    /// Its documents, in runs. The stream ends after its first error.
    pub documents: BoxStream<'static, Result<Documents>>,
}

impl fmt::Debug for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrival")
            .field("entry", &self.entry)
            .finish_non_exhaustive()
    }
}

/// What is in a dump.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DumpContents {
    /// The server it was taken from, if the dump says so.
    pub prelude: Option<Prelude>,
    /// How it was made, if the dump says so.
    pub run: Option<RunRecord>,
    /// Whether everything can be checked against digests taken at the dump.
    pub verified: bool,
    /// The namespaces, in the order of the medium.
    pub entries: Vec<DumpEntry>,
    /// Things a person should know: files that were skipped and why.
    pub notices: Vec<String>,
    /// Namespaces that are no part of the dump, and lie there since another one did not finish.
    pub unfinished: Vec<Problem>,
}

/// One namespace of a dump that is read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DumpEntry {
    /// The namespace as the user knows it; never that of time-series buckets.
    pub namespace: Namespace,
    /// Options, indexes and UUID, if the dump has them.
    pub metadata: Option<CollectionMetadata>,
    /// The documents, or `None` if the dump has no data for it, as for a view.
    pub data: Option<DumpData>,
    /// Why it cannot be restored, if so: a file of it is missing or damaged, or two files are for it. There is
    /// neither metadata nor data then.
    pub damage: Option<Error>,
    /// Whether the dump has a manifest, and it lists no file of this namespace.
    pub unlisted: bool,
}

/// The data of one namespace of a dump that is read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DumpData {
    /// Where it is, as the medium names it.
    pub place: String,
    /// Whether the documents are time-series buckets.
    pub buckets: bool,
    /// Stored size, in bytes.
    pub stored_bytes: u64,
    /// Uncompressed size in bytes, if the dump says so.
    pub uncompressed_bytes: Option<u64>,
    /// How many documents, if the dump says so.
    pub documents: Option<u64>,
}

/// Whether a restore of what is selected needs a namespace of a dump.
pub(crate) fn is_needed(namespace: &Namespace, select: &Selector) -> bool {
    match Authorization::of(namespace) {
        // Users and roles are of that version.
        Some(Authorization::Version) => {
            let mut names = ["system.users", "system.roles", "system.version"].into_iter();
            names.any(|name| {
                let collection = namespace.collection.replace("system.version", name);
                select.selects(&Namespace::new(&namespace.db, collection))
            })
        }
        _ => select.selects(namespace),
    }
}

/// A run of whole documents of one namespace.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Documents {
    /// The documents, one after the other.
    pub body: Vec<u8>,
    /// How many.
    pub documents: u64,
    /// Which segment of the namespace they are, counted from 0, if they are one by themselves.
    pub segment: Option<u64>,
    /// What the medium counts them against until they are used up.
    pub(crate) held: Option<Held>,
}

/// A share of what a medium has in memory at once, given back when the last copy is dropped.
pub(crate) type Held = Arc<OwnedSemaphorePermit>;

impl Documents {
    /// `documents` whole documents, one after the other.
    pub fn new(body: Vec<u8>, documents: u64) -> Self {
        Self {
            body,
            documents,
            segment: None,
            held: None,
        }
    }
}
