use std::{
    fmt,
    io::{self, Write},
    path::Path,
};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};

use crate::{ObjectInfo, Result, StorageError, Upload};

/// Writes bytes to whatever takes them one after the other: a pipe, a terminal, a socket.
///
/// What was written cannot be taken back: dropping it unfinished leaves a beginning without an end.
pub struct StreamUpload {
    name: String,
    /// `None` while it is being written to, and for ever if that was given up.
    output: Option<Box<dyn Write + Send>>,
    stored_bytes: u64,
}

impl StreamUpload {
    /// Writes to `output`, which errors call `name`.
    pub fn new(name: impl Into<String>, output: impl Write + Send + 'static) -> Self {
        Self {
            name: name.into(),
            output: Some(Box::new(output)),
            stored_bytes: 0,
        }
    }

    /// Lets `work` block on the output.
    async fn block_on(
        &mut self,
        work: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
    ) -> Result<()> {
        let broken = || io::Error::other("writing was given up before");
        let name = self.name.clone();
        let failed = |error| StorageError::from_io("write to", Path::new(&name), error);
        let mut output = self.output.take().ok_or_else(|| failed(broken()))?;
        let worked = tokio::task::spawn_blocking(move || {
            let worked = work(&mut output);
            (worked, output)
        });
        let (worked, output) = worked
            .await
            .map_err(|error| failed(io::Error::other(error)))?;
        worked.map_err(failed)?;
        self.output = Some(output);
        Ok(())
    }
}

impl Upload for StreamUpload {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        async move {
            self.stored_bytes += bytes.len() as u64;
            self.block_on(move |output| output.write_all(&bytes)).await
        }
        .boxed()
    }

    fn finish(mut self: Box<Self>) -> BoxFuture<'static, Result<ObjectInfo>> {
        async move {
            self.block_on(|output| output.flush()).await?;
            Ok(ObjectInfo::new(self.name, self.stored_bytes))
        }
        .boxed()
    }
}

impl fmt::Debug for StreamUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamUpload")
            .field("name", &self.name)
            .field("stored_bytes", &self.stored_bytes)
            .finish_non_exhaustive()
    }
}
