//! A file of documents that is a part of no dump.

use std::sync::Arc;

use futures::stream::BoxStream;
use rdump_format::Codec;
use rdump_storage::{Location, ObjectInfo, Store};

use super::unverified;
use crate::{Error, Result, media::Documents};

/// A file of documents, plain or compressed, whatever its name.
#[derive(Debug)]
pub(crate) struct LooseFile {
    store: Arc<dyn Store>,
    codec: Codec,
    object: ObjectInfo,
}

impl LooseFile {
    /// Looks at the first bytes of the file at a location.
    pub(crate) async fn open(location: &Location) -> Result<Self> {
        let is_none = || Error::invalid(format!("{location} is no file"));
        let (folder, name) = location.split().ok_or_else(is_none)?;
        let store = folder.open()?;
        let object = store.head(&name).await?.ok_or_else(is_none)?;
        let end = object.stored_bytes.min(Codec::START_BYTES as u64);
        let start = store.read(&name, 0..end, object.version.as_ref());
        Ok(Self {
            codec: Codec::detect_documents(&start.await?),
            store,
            object,
        })
    }

    /// Its documents, in runs. The stream ends after its first error.
    pub(crate) fn documents(&self) -> BoxStream<'static, Result<Documents>> {
        unverified::read(&self.store, self.codec, &self.object)
    }
}
