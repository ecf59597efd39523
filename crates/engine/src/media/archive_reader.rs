//! The mongodump archive, read: one stream with the documents of all namespaces, as they come.
//!
//! A thread of its own reads, decompresses and takes the archive apart. What it has read and nobody has used up yet is
//! bounded, whatever the number of namespaces.

use std::io::{self, BufReader, Cursor, Read};

use rdump_format::{
    ArchiveDecoder, ArchiveError, ArchiveEvent, ArchivePrelude, Codec, CollectionMetadata, Prelude,
    decoder,
};
use rdump_storage::{Location, StorageError};
use tokio::sync::oneshot;

use super::{
    Access, Documents, DumpContents, DumpData, DumpEntry, DumpReader,
    handover::{self, Arriving, Handover, Stop},
    runs,
    runs::Watched,
};
use crate::{Error, ErrorKind, Result};

/// How many bytes are decompressed at once, and so about the longest run of documents.
const PIECE_BYTES: usize = 4 << 20;
/// How much is read at once from where the archive comes from.
const READ_BYTES: usize = 1 << 20;

/// Reads a mongodump archive from front to end, once.
#[derive(Debug)]
pub struct ArchiveReader {
    contents: DumpContents,
    /// What comes after the prelude.
    arriving: Arriving,
}

impl ArchiveReader {
    /// Reads the prelude of the archive at `location`, which may be a named pipe. Plain, gzip and zstd are told apart by the
    /// first bytes.
    ///
    /// The thread that reads ends with the archive, or when the reader is gone and what it waits for has come.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if nothing is there, and as [`stream`](Self::stream).
    ///
    /// # Cancel safety
    ///
    /// As of [`stream`](Self::stream).
    pub async fn open(location: &Location) -> Result<Self> {
        let input = location.source().await.map_err(|error| {
            let is_missing = matches!(error, StorageError::NotFound { .. });
            let error = Error::from(error);
            let kind = if is_missing {
                ErrorKind::Invalid
            } else {
                error.kind()
            };
            Error::new(kind, format!("cannot open archive {location}")).caused_by(error)
        })?;
        Self::stream(format!("archive {location}"), input).await
    }

    /// As [`open`](Self::open), of the archive that `input` is; errors call it `name`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if it is no archive,
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) if its front is damaged,
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) if it cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up reading; what was read is gone.
    pub async fn stream(
        name: impl Into<String>,
        input: impl Read + Send + 'static,
    ) -> Result<Self> {
        let name = name.into();
        let (opened, contents) = oneshot::channel();
        let of_thread = name.clone();
        let arriving = handover::start(&name, move |handover| {
            let reading = Reading {
                name: of_thread,
                opened: Some(opened),
                handover,
                offset: 0,
                run: None,
            };
            reading.read(input);
        })?;
        let contents = contents.await.map_err(|_gone| handover::gave_up(&name))??;
        Ok(Self { contents, arriving })
    }
}

impl DumpReader for ArchiveReader {
    fn contents(&self) -> &DumpContents {
        &self.contents
    }

    fn access(&self) -> Access<'_> {
        self.arriving.access("the archive")
    }
}

/// What the thread has.
struct Reading {
    name: String,
    opened: Option<oneshot::Sender<Result<DumpContents>>>,
    handover: Handover,
    /// How many bytes of the archive, before compression, were taken apart.
    offset: u64,
    /// Documents that are not handed over yet, and whose they are.
    run: Option<(usize, Documents)>,
}

impl Reading {
    fn read(mut self, input: impl Read + Send) {
        let Err(Stop::Failed(error)) = self.read_all(input) else {
            return;
        };
        // What came before the damage is whole.
        let _ = self.hand_over();
        if let Some(opened) = self.opened.take() {
            let _ = opened.send(Err(error));
            return;
        }
        self.handover.fail(error);
    }

    fn read_all(&mut self, mut input: impl Read + Send) -> Result<(), Stop> {
        let mut start = Vec::new();
        // A pipe may give them one by one.
        let read = input
            .by_ref()
            .take(Codec::START_BYTES as u64)
            .read_to_end(&mut start);
        read.map_err(|error| runs::unreadable(&self.name, error))?;
        let codec = Codec::detect(&start);
        let input = BufReader::with_capacity(READ_BYTES, Cursor::new(start).chain(input));
        let (input, watch) = Watched::new(input);
        let mut input = decoder(codec, input).map_err(|error| {
            Error::data(format!("{} cannot be decompressed", self.name)).caused_by(error)
        })?;
        let mut decoder = ArchiveDecoder::new();
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let filled = fill(&mut input, &mut piece);
            let start = self.offset;
            let mut rest = piece.get(..filled.bytes).unwrap_or_default();
            loop {
                let event = decoder.decode(&mut rest);
                self.offset = start + (filled.bytes - rest.len()) as u64;
                match event.map_err(|error| self.damaged(error))? {
                    Some(event) => self.take(event)?,
                    None => break,
                }
            }
            self.hand_over()?;
            match filled.ended {
                None => {}
                Some(Ok(())) => break,
                Some(Err(error)) => return Err(watch.error(&self.name, error).into()),
            }
        }
        decoder.finish().map_err(|error| self.damaged(error))?;
        Ok(())
    }

    fn take(&mut self, event: ArchiveEvent<'_>) -> Result<(), Stop> {
        match event {
            ArchiveEvent::Prelude(prelude) => {
                let mut listed = prelude.collections.iter();
                let oplog = listed.position(|listed| listed.namespace.is_oplog());
                self.handover.set_oplog(oplog);
                let opened = self.opened.take();
                let unwanted =
                    opened.is_none_or(|opened| opened.send(Ok(contents(prelude))).is_err());
                return if unwanted {
                    Err(Stop::Unwanted)
                } else {
                    Ok(())
                };
            }
            ArchiveEvent::Block { collection, .. } => self.handover.begin(collection)?,
            ArchiveEvent::Documents {
                collection,
                documents,
                bytes,
            } => {
                self.handover.begin(collection)?;
                if self.run.as_ref().is_some_and(|(of, _)| *of != collection) {
                    self.hand_over()?;
                }
                if self.handover.wants(collection)? {
                    let (_, run) = self
                        .run
                        .get_or_insert_with(|| (collection, Documents::default()));
                    run.body.extend_from_slice(bytes);
                    run.documents += documents;
                }
            }
            ArchiveEvent::End { collection, .. } => {
                self.handover.begin(collection)?;
                self.hand_over()?;
                self.handover.end(collection);
            }
        }
        Ok(())
    }

    /// Hands over the documents that were gathered, once there is room for them.
    fn hand_over(&mut self) -> Result<(), Stop> {
        match self.run.take() {
            Some((collection, run)) => self.handover.give(collection, run),
            None => Ok(()),
        }
    }

    fn damaged(&self, error: ArchiveError) -> Error {
        match error {
            ArchiveError::BadMagic { .. } => Error::invalid(format!(
                "{} does not appear to be a mongodump archive",
                self.name
            )),
            _ => Error::data(format!("{} is damaged or cut short", self.name)),
        }
        .caused_by(error)
    }
}

/// How much of a piece was filled, and what came after it.
struct Filled {
    bytes: usize,
    ended: Option<io::Result<()>>,
}

fn fill(input: &mut impl Read, piece: &mut [u8]) -> Filled {
    let mut bytes = 0;
    loop {
        let room = piece.get_mut(bytes..).unwrap_or_default();
        if room.is_empty() {
            return Filled { bytes, ended: None };
        }
        match input.read(room) {
            Ok(0) => {
                let ended = Some(Ok(()));
                return Filled { bytes, ended };
            }
            Ok(read) => bytes += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                let ended = Some(Err(error));
                return Filled { bytes, ended };
            }
        }
    }
}

/// What the prelude says of the dump.
fn contents(prelude: ArchivePrelude) -> DumpContents {
    let entries = prelude.collections.into_iter().map(|listed| {
        let metadata = match listed.metadata.as_bytes() {
            [] => Ok(None),
            text => CollectionMetadata::from_unprotected_json(text).map(Some),
        };
        let (metadata, damage) = match metadata {
            Ok(metadata) => (metadata, None),
            Err(error) => {
                let damage =
                    Error::data("its metadata in the archive does not hold options and indexes");
                (
                    None,
                    Some(damage.for_namespace(&listed.namespace).caused_by(error)),
                )
            }
        };
        let has = |option: &str| {
            let options = metadata.as_ref().map(|metadata| &metadata.options);
            options.is_some_and(|options| options.get(option).ok().flatten().is_some())
        };
        let is_view = has("viewOn");
        // A view that was dumped as if it were a collection has metadata that do not say what it reads.
        let lacks = match listed.kind.as_deref() {
            Some("view") => listed.metadata.is_empty(),
            Some("timeseries") => !has("timeseries"),
            _ => false,
        };
        let damage = damage.or_else(|| {
            let kind = listed.kind.as_deref().filter(|_| lacks)?;
            let message = format!(
                "the archive calls it a {kind}, and its metadata there does not say of what"
            );
            Some(Error::data(message).for_namespace(&listed.namespace))
        });
        let data = DumpData {
            place: "the archive".to_owned(),
            buckets: has("timeseries"),
            stored_bytes: 0,
            uncompressed_bytes: None,
            documents: None,
        };
        DumpEntry {
            namespace: listed.namespace,
            data: (damage.is_none() && !is_view).then_some(data),
            metadata,
            damage,
            unlisted: false,
        }
    });
    DumpContents {
        prelude: Some(Prelude {
            server_version: prelude.server_version,
            tool_version: prelude.tool_version,
        }),
        run: None,
        // Every namespace has a checksum, though only at its end.
        verified: true,
        entries: entries.collect(),
        unfinished: Vec::new(),
        notices: Vec::new(),
    }
}
