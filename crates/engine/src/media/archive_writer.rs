//! The mongodump archive, written: all namespaces in one stream.
//!
//! A compressed archive is a row of gzip members or zstd frames, one for each segment and one for what stands between
//! segments, so that segments are compressed on several threads.

use std::{io, path::Path, sync::Arc};

mod held_back;

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use rdump_format::{
    ArchiveMetadata, ArchivePrelude, ArchiveWriteError, Authorization, Codec, Compressor, Crc64,
    Namespace, RunRecord,
};
use rdump_storage::{Location, Sink, Store, StreamUpload, Upload};
use tokio::sync::Mutex;

use super::{
    DumpHeader, DumpWriter, LastStep, NamespaceHeader, NamespaceWriter, PackedSegment, Packing,
    Written, no_step, single_object,
};
use held_back::HeldBack;

use crate::{Error, Result};

/// Writes a mongodump archive, to a file or to a stream.
///
/// A file gets its name when the dump is complete. A stream that ends before that is no whole archive, and whoever reads
/// it says so.
#[derive(Debug)]
pub struct ArchiveWriter {
    place: Place,
    archive: Arc<Mutex<Archive>>,
    overwrite: bool,
}

/// Where an archive goes.
#[derive(Debug)]
enum Place {
    Object { store: Arc<dyn Store>, path: String },
    Stream,
}

/// An archive being written.
#[derive(Debug, Default)]
struct Archive {
    upload: Option<Box<dyn Upload>>,
    framing: Option<rdump_format::ArchiveWriter>,
    /// For what stands between segments.
    compressor: Option<Compressor>,
    /// Namespaces without documents, which come after users and roles: mongorestore wants these first.
    without_documents: Vec<Namespace>,
    /// The oplog, which comes after everything else.
    oplog: Option<HeldBack>,
}

impl ArchiveWriter {
    /// Prepares to write the file at `location`, through a symbolic link if it is one.
    ///
    /// What is no file, such as a named pipe, is written to as a stream.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if it is a folder, and as the file system has them.
    pub fn create(location: &Location) -> Result<Self> {
        let sink = location.sink();
        let sink = sink.map_err(|error| {
            Error::invalid(format!("cannot write an archive to {location}")).caused_by(error)
        })?;
        Ok(match sink {
            Sink::Object { store, path } => Self {
                place: Place::Object { store, path },
                archive: Arc::default(),
                overwrite: true,
            },
            Sink::Stream(stream) => Self::to_stream(stream),
        })
    }

    /// Prepares to write to `output`, which errors call `name`.
    pub fn stream(name: impl Into<String>, output: impl io::Write + Send + 'static) -> Self {
        Self::to_stream(StreamUpload::new(name, output))
    }

    fn to_stream(stream: StreamUpload) -> Self {
        Self {
            place: Place::Stream,
            archive: Arc::new(Mutex::new(Archive {
                upload: Some(Box::new(stream)),
                ..Archive::default()
            })),
            overwrite: true,
        }
    }

    /// Sets whether the archive may replace what is there. Default: true, as with mongodump.
    #[must_use]
    pub fn overwrite(mut self, yes: bool) -> Self {
        self.overwrite = yes;
        self
    }
}

impl DumpWriter for ArchiveWriter {
    fn packing(&self) -> Packing {
        Packing::Checksummed
    }

    fn takes_back(&self) -> bool {
        false
    }

    fn keeps_nothing(&self) -> bool {
        true
    }

    fn begin<'a>(&'a self, header: &'a DumpHeader) -> BoxFuture<'a, Result<Vec<String>>> {
        async move {
            let mut notices = Vec::new();
            let mut archive = self.archive.lock().await;
            if let Place::Object { store, path } = &self.place {
                if !self.overwrite && store.head(path).await?.is_some() {
                    return Err(single_object::exists(&**store, path).with_hint(
                        "choose another name, or allow that it is replaced (--overwrite)",
                    ));
                }
                archive.upload = Some(single_object::begin(&**store, path, &mut notices).await?);
            }
            archive.begin(header).await?;
            Ok(notices)
        }
        .boxed()
    }

    fn namespace<'a>(
        &'a self,
        header: &'a NamespaceHeader,
    ) -> BoxFuture<'a, Result<Box<dyn NamespaceWriter>>> {
        let namespace = header.data_namespace.as_ref().unwrap_or(&header.namespace);
        if namespace.is_oplog() {
            // Beside an archive on this machine there is the room that it needs itself.
            let folder = match &self.place {
                Place::Object { store, .. } => store.location().as_path().map(Path::to_owned),
                Place::Stream => None,
            };
            let folder = folder.unwrap_or_else(std::env::temp_dir);
            let writer = ArchiveOplog {
                held_back: Some(HeldBack::in_folder(folder)),
                archive: Arc::clone(&self.archive),
            };
            return async move { Ok(Box::new(writer) as Box<dyn NamespaceWriter>) }.boxed();
        }
        let writer = ArchiveNamespace {
            namespace: namespace.clone(),
            archive: Arc::clone(&self.archive),
            written: Written::default(),
        };
        async move { Ok(Box::new(writer) as Box<dyn NamespaceWriter>) }.boxed()
    }

    fn commit<'a>(&'a self, _run: RunRecord) -> BoxFuture<'a, Result<LastStep<'a>>> {
        async move {
            let mut archive = self.archive.lock().await;
            archive.end_those_without_documents().await?;
            if let Some(oplog) = archive.oplog.take() {
                archive.put_last(oplog).await?;
            }
            let (upload, framing) = (archive.upload.take(), archive.framing.take());
            let (Some(upload), Some(framing)) = (upload, framing) else {
                return Err(Error::internal("an archive was ended that was not begun"));
            };
            framing.finish().map_err(misused)?;
            if let Place::Object { store, path } = &self.place {
                single_object::finish(&**store, path, upload).await?;
            } else {
                upload.finish().await?;
            }
            Ok(no_step())
        }
        .boxed()
    }

    fn give_up(&self) -> BoxFuture<'_, ()> {
        async move {
            drop(self.archive.lock().await.upload.take());
            if let Place::Object { store, .. } = &self.place {
                store.settle().await;
            }
        }
        .boxed()
    }
}

impl Archive {
    async fn begin(&mut self, header: &DumpHeader) -> Result<()> {
        let collections = header.namespaces.iter().map(listed);
        let prelude = ArchivePrelude {
            concurrent_collections: i32::try_from(header.parallel_collections.get())
                .unwrap_or(i32::MAX),
            server_version: header.prelude.server_version.clone(),
            tool_version: header.prelude.tool_version.clone(),
            collections: collections.collect::<Result<_>>()?,
        };
        if header.codec != Codec::None {
            let compressor = Compressor::new(header.codec.default_compression());
            self.compressor = Some(compressor.map_err(uncompressible)?);
        }
        let mut bytes = Vec::new();
        let framing = rdump_format::ArchiveWriter::new(&prelude, &mut bytes).map_err(misused)?;
        let without_documents = header
            .namespaces
            .iter()
            .filter(|namespace| namespace.data_namespace.is_none());
        self.without_documents = without_documents
            .map(|namespace| namespace.namespace.clone())
            .collect();
        self.framing = Some(framing);
        self.put(bytes).await
    }

    /// What stands before a run of documents of `namespace`, or after its last one if there is no `run`.
    async fn between(&mut self, namespace: &Namespace, run: Option<&Crc64>) -> Result<()> {
        if Authorization::of(namespace).is_none() {
            self.end_those_without_documents().await?;
        }
        let mut between = Vec::new();
        let framing = self.framing()?;
        match run {
            Some(checksum) => framing.run(namespace, checksum, &mut between),
            None => framing.end(namespace, &mut between),
        }
        .map_err(misused)?;
        self.put(between).await
    }

    /// Writes the oplog, once everything else is written.
    async fn put_last(&mut self, oplog: HeldBack) -> Result<()> {
        let namespace = Namespace::oplog();
        let mut segments = oplog.take();
        loop {
            let next;
            (segments, next) = blocking(move || {
                let next = segments.next().transpose()?;
                Ok((segments, next))
            })
            .await?;
            let Some(segment) = next else { break };
            self.between(&namespace, Some(&segment.checksum)).await?;
            self.write(segment.bytes).await?;
        }
        self.between(&namespace, None).await
    }

    async fn end_those_without_documents(&mut self) -> Result<()> {
        let mut ends = Vec::new();
        for namespace in std::mem::take(&mut self.without_documents) {
            self.framing()?
                .end(&namespace, &mut ends)
                .map_err(misused)?;
        }
        self.put(ends).await
    }

    /// Writes what stands between segments.
    async fn put(&mut self, bytes: Vec<u8>) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let stored = match &mut self.compressor {
            None => bytes,
            Some(compressor) => {
                let mut stored = Vec::new();
                compressor
                    .compress(&bytes, &mut stored)
                    .map_err(uncompressible)?;
                stored
            }
        };
        self.write(stored.into()).await
    }

    /// Writes bytes as they are.
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let upload = self.upload.as_mut();
        let upload =
            upload.ok_or_else(|| Error::internal("an archive is written to that was not begun"))?;
        Ok(upload.write(bytes).await?)
    }

    fn framing(&mut self) -> Result<&mut rdump_format::ArchiveWriter> {
        let framing = self.framing.as_mut();
        framing.ok_or_else(|| Error::internal("an archive is written to that was not begun"))
    }
}

/// One namespace being written.
#[derive(Debug)]
struct ArchiveNamespace {
    namespace: Namespace,
    archive: Arc<Mutex<Archive>>,
    written: Written,
}

impl NamespaceWriter for ArchiveNamespace {
    fn write(&mut self, segment: PackedSegment) -> BoxFuture<'_, Result<()>> {
        async move {
            let mut archive = self.archive.lock().await;
            let checksum = Some(&segment.checksum);
            archive.between(&self.namespace, checksum).await?;
            self.written.add(&segment);
            archive.write(segment.bytes).await
        }
        .boxed()
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Written>> {
        async move {
            let mut archive = self.archive.lock().await;
            archive.between(&self.namespace, None).await?;
            Ok(self.written)
        }
        .boxed()
    }
}

/// The oplog, which comes as everything else does, and has to be written after it.
#[derive(Debug)]
struct ArchiveOplog {
    /// `None` after a failure.
    held_back: Option<HeldBack>,
    archive: Arc<Mutex<Archive>>,
}

impl NamespaceWriter for ArchiveOplog {
    fn write(&mut self, segment: PackedSegment) -> BoxFuture<'_, Result<()>> {
        async move {
            let Some(mut held_back) = self.held_back.take() else {
                return Err(Error::internal("the oplog is written to after a failure"));
            };
            let held_back = blocking(move || held_back.push(&segment).map(|()| held_back)).await?;
            self.held_back = Some(held_back);
            Ok(())
        }
        .boxed()
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Written>> {
        async move {
            let Some(held_back) = self.held_back else {
                return Err(Error::internal("the oplog is ended after a failure"));
            };
            let written = held_back.written;
            self.archive.lock().await.oplog = Some(held_back);
            Ok(written)
        }
        .boxed()
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::task("keep the oplog", error))?
}

/// What the prelude has of a namespace.
fn listed(header: &NamespaceHeader) -> Result<ArchiveMetadata> {
    let metadata = header.metadata_text()?;
    Ok(ArchiveMetadata {
        namespace: header.namespace.clone(),
        metadata: metadata.unwrap_or_default(),
        // Empty where there is no metadata, as with mongodump.
        kind: Some(
            header
                .metadata
                .as_ref()
                .and_then(|metadata| metadata.kind.clone())
                .unwrap_or_default(),
        ),
    })
}

fn misused(error: ArchiveWriteError) -> Error {
    Error::internal("the archive was not written in order").caused_by(error)
}

fn uncompressible(error: rdump_format::CodecError) -> Error {
    Error::internal("could not compress what stands between segments").caused_by(error)
}
