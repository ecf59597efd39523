//! The documents of one collection and nothing else, written: what `mongodump --out -` gives.

use std::{io, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use rdump_format::{Codec, RunRecord};
use rdump_storage::{StreamUpload, Upload};
use tokio::sync::Mutex;

use super::{
    DumpHeader, DumpWriter, LastStep, NamespaceHeader, NamespaceWriter, PackedSegment, Packing,
    Written, folder_writer::empty_segment, no_step,
};
use crate::{Error, Result};

/// Writes the documents of one collection to a stream, one after the other.
///
/// There is neither name nor metadata in it, and nothing that says where it ends: whether it is whole, only the dump knows.
/// A view has no documents; those of a time-series collection are its buckets.
#[derive(Debug)]
pub struct DocumentStreamWriter {
    stream: Arc<Mutex<Stream>>,
}

#[derive(Debug)]
struct Stream {
    upload: Option<Box<dyn Upload>>,
    codec: Codec,
    written: Written,
}

impl DocumentStreamWriter {
    /// Prepares to write to `output`, which errors call `name`.
    pub fn new(name: impl Into<String>, output: impl io::Write + Send + 'static) -> Self {
        Self {
            stream: Arc::new(Mutex::new(Stream {
                upload: Some(Box::new(StreamUpload::new(name, output))),
                codec: Codec::None,
                written: Written::default(),
            })),
        }
    }
}

impl DumpWriter for DocumentStreamWriter {
    fn packing(&self) -> Packing {
        Packing::Sealed
    }

    fn takes_back(&self) -> bool {
        false
    }

    fn begin<'a>(&'a self, header: &'a DumpHeader) -> BoxFuture<'a, Result<Vec<String>>> {
        async move {
            let [namespace] = header.namespaces.as_slice() else {
                return Err(Error::invalid(
                    "can only dump a single collection to a stream of documents",
                ));
            };
            self.stream.lock().await.codec = namespace.codec;
            Ok(Vec::new())
        }
        .boxed()
    }

    fn namespace<'a>(
        &'a self,
        _: &'a NamespaceHeader,
    ) -> BoxFuture<'a, Result<Box<dyn NamespaceWriter>>> {
        let stream = Arc::clone(&self.stream);
        async move { Ok(Box::new(DocumentStreamNamespace(stream)) as Box<dyn NamespaceWriter>) }
            .boxed()
    }

    fn commit<'a>(&'a self, _: RunRecord) -> BoxFuture<'a, Result<LastStep<'a>>> {
        async move {
            let mut stream = self.stream.lock().await;
            if stream.written.stored_bytes == 0 && stream.codec != Codec::None {
                let empty = empty_segment(stream.codec)?;
                stream.write(empty).await?;
            }
            let upload = stream.upload.take();
            let upload = upload.ok_or_else(|| Error::internal("a stream was ended twice"))?;
            upload.finish().await?;
            Ok(no_step())
        }
        .boxed()
    }
}

impl Stream {
    async fn write(&mut self, segment: PackedSegment) -> Result<()> {
        let upload = self.upload.as_mut();
        let upload =
            upload.ok_or_else(|| Error::internal("a stream is written to that was ended"))?;
        self.written.add(&segment);
        Ok(upload.write(segment.bytes).await?)
    }
}

#[derive(Debug)]
struct DocumentStreamNamespace(Arc<Mutex<Stream>>);

impl NamespaceWriter for DocumentStreamNamespace {
    fn write(&mut self, segment: PackedSegment) -> BoxFuture<'_, Result<()>> {
        async move { self.0.lock().await.write(segment).await }.boxed()
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Written>> {
        async move { Ok(self.0.lock().await.written) }.boxed()
    }
}
