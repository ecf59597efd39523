//! A namespace of a snapshot being written.

use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use rdump_format::{
    Codec, Digester, SegmentRecord,
    repository::{DataKeys, DataObject, IdRange, NamespaceEnd, NamespaceProgress},
};
use rdump_storage::Upload;

use super::{not_encrypted, shared::Shared};
use crate::{
    Error, Result,
    media::{NamespaceWriter, PackedSegment, Written},
    repository::encryption,
};

/// A namespace being written.
#[derive(Debug)]
pub(super) struct SnapshotNamespace {
    pub(super) shared: Arc<Shared>,
    pub(super) codec: Codec,
    pub(super) object_bytes: u64,
    pub(super) writing: Option<(Box<dyn Upload>, DataObject)>,
    /// Objects that parts list at the end only: those of an oplog, so that it comes after all other data.
    pub(super) held_back: Vec<DataObject>,
    /// What the objects that were ended hold.
    pub(super) end: NamespaceEnd,
    /// What is not in them or the one that is being written; nothing if that is not known.
    pub(super) left: Vec<IdRange>,
}

impl SnapshotNamespace {
    async fn begin_object(&mut self) -> Result<(Box<dyn Upload>, DataObject)> {
        let (shared, extension) = (&self.shared, self.codec.extension());
        let number = {
            let mut stored = shared.stored.lock().await;
            stored.objects += 1;
            stored.objects - 1
        };
        let encrypted = shared.extension();
        let path = format!(
            "data/{}-{number}.bson{extension}{encrypted}",
            shared.attempt
        );
        let mut object = DataObject::new(path, self.end.namespace.clone());
        object.take = self.end.take;
        let path = format!("{}{}", shared.id()?.folder(), object.path);
        Ok((shared.repository.store().upload(&path).await?, object))
    }

    /// Ends the object that is being written.
    async fn end_object(&mut self) -> Result<()> {
        let Some((upload, object)) = self.writing.take() else {
            return Ok(());
        };
        let (info, wanted) = (upload.finish().await?, object.stored_bytes());
        if info.stored_bytes != wanted {
            return Err(Error::data(format!(
                "{} has {} bytes instead of {wanted}",
                info.path, info.stored_bytes
            )));
        }
        self.end.add(&object);
        if self.end.namespace.is_oplog() {
            self.held_back.push(object);
            return Ok(());
        }
        let progress = (!self.left.is_empty())
            .then(|| NamespaceProgress::new(self.end.clone(), self.left.clone()));
        self.shared.list(&object, progress).await
    }
}

impl NamespaceWriter for SnapshotNamespace {
    fn begin_ranges(&mut self, ranges: &[IdRange]) {
        self.left = ranges.to_vec();
    }

    fn write(&mut self, segment: PackedSegment) -> BoxFuture<'_, Result<()>> {
        async move {
            self.shared.check_lease().await?;
            let (mut upload, mut object) = match self.writing.take() {
                Some(writing) => writing,
                None => self.begin_object().await?,
            };
            let (documents, uncompressed_bytes) = (segment.documents, segment.uncompressed_bytes);
            let bytes = match self.shared.keys.get() {
                None => segment.bytes,
                Some(keys) => encrypt(Arc::clone(keys), &object, segment.bytes).await?,
            };
            let stored = bytes.clone();
            let digested = tokio::task::spawn_blocking(move || {
                let digester = &mut Digester::new();
                SegmentRecord::of(documents, uncompressed_bytes, &stored, digester)
            });
            upload.write(bytes).await?;
            let record = digested.await;
            let record = record.map_err(|error| Error::task("digest", error))?;
            object.segments.push(record);
            let reached = segment.reached;
            let range = reached.and_then(|it| Some((self.left.get_mut(it.range)?, it.id)));
            match range {
                Some((range, id)) => range.advance(id),
                None => self.left.clear(),
            }
            let stored_bytes = object.stored_bytes();
            self.writing = Some((upload, object));
            match stored_bytes >= self.object_bytes {
                true => self.end_object().await,
                false => Ok(()),
            }
        }
        .boxed()
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Written>> {
        let mut this = self;
        async move {
            this.end_object().await?;
            for object in &this.held_back {
                this.shared.list(object, None).await?;
            }
            let end = &this.end;
            this.shared.push(|stored| stored.end(end)).await?;
            Ok(written(end))
        }
        .boxed()
    }
}

/// What is stored of the next segment of an object.
async fn encrypt(keys: Arc<DataKeys>, object: &DataObject, segment: Bytes) -> Result<Bytes> {
    let (path, number) = (object.path.clone(), object.segments.len());
    let encrypted = tokio::task::spawn_blocking(move || {
        keys.encrypt_segment(&path, number, encryption::nonce(), &segment)
    });
    let encrypted = encrypted
        .await
        .map_err(|error| Error::task("encrypt", error))?;
    Ok(encrypted.map_err(not_encrypted)?.into())
}

pub(super) fn written(end: &NamespaceEnd) -> Written {
    Written {
        documents: end.documents,
        uncompressed_bytes: end.uncompressed_bytes,
        stored_bytes: end.stored_bytes,
    }
}
