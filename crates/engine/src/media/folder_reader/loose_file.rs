//! A file of documents that is a part of no dump.

use std::{path::Path, sync::Arc};

use futures::stream::BoxStream;
use rdump_format::Codec;
use rdump_storage::{Location, Store};

use super::{DataFile, unverified};
use crate::{Error, Result, media::Documents};

/// A file of documents, plain or compressed, whatever its name.
#[derive(Debug)]
pub(crate) struct LooseFile {
    store: Arc<dyn Store>,
    name: String,
    file: DataFile,
}

impl LooseFile {
    /// Looks at the first bytes of the file at `path`.
    pub(crate) async fn open(path: &Path) -> Result<Self> {
        let is_none = || Error::invalid(format!("{} is no file", path.display()));
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(is_none)?;
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let store = Location::from(folder.unwrap_or(Path::new("."))).open()?;
        let found = store.head(name).await?.ok_or_else(is_none)?;
        let end = found.stored_bytes.min(Codec::START_BYTES as u64);
        let start = store.read(name, 0..end, None).await?;
        Ok(Self {
            store,
            name: name.to_owned(),
            file: DataFile {
                codec: Codec::detect_documents(&start),
                stored_bytes: found.stored_bytes,
                segments: None,
            },
        })
    }

    /// Its documents, in runs. The stream ends after its first error.
    pub(crate) fn documents(&self) -> BoxStream<'static, Result<Documents>> {
        unverified::read(&self.store, &self.name, &self.file)
    }
}
