//! A file of documents that is a part of no dump.

use std::{path::Path, sync::Arc};

use futures::stream::BoxStream;
use rdump_format::Codec;
use rdump_storage::{Location, Store};

use super::{DataFile, unverified};
use crate::{Error, Result, media::Documents};

/// How much of a file says how it is compressed, in bytes.
const MAGIC_BYTES: u64 = 16;

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
        let magic = store
            .read(name, 0..found.stored_bytes.min(MAGIC_BYTES))
            .await?;
        Ok(Self {
            store,
            name: name.to_owned(),
            file: DataFile {
                codec: Codec::detect(&magic),
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
