//! A dump that is one object of a store, which replaces what is there once it is complete.

use std::sync::Arc;

use bytes::Bytes;
use rdump_storage::{Sink, Store, Upload};

use super::folder_writer::{is_replaced, leftover_notice};
use crate::{Error, Result, context::RunContext};

/// What is wrong where something is that must not be replaced.
pub(crate) fn exists(store: &dyn Store, path: &str) -> Error {
    Error::conflict(format!("{path} already lies in {}", store.location()))
}

/// A stream, or an object that is written where nothing is.
#[derive(Debug)]
pub(crate) struct NewObject {
    upload: Box<dyn Upload>,
    place: Option<(Arc<dyn Store>, String)>,
}

impl NewObject {
    pub(crate) async fn begin(to: Sink, notices: &mut Vec<String>) -> Result<Self> {
        let (store, path) = match to {
            Sink::Stream(stream) => {
                return Ok(Self {
                    upload: Box::new(stream),
                    place: None,
                });
            }
            Sink::Object { store, path } => (store, path),
        };
        if store.head(&path).await?.is_some() {
            return Err(exists(&*store, &path).with_hint("choose another name"));
        }
        let upload = begin(&*store, &path, notices).await?;
        Ok(Self {
            upload,
            place: Some((store, path)),
        })
    }

    pub(crate) async fn write(&mut self, bytes: Bytes) -> Result<()> {
        Ok(self.upload.write(bytes).await?)
    }

    pub(crate) async fn finish(self) -> Result<()> {
        match self.place {
            Some((store, path)) => finish(&*store, &path, self.upload).await?,
            None => drop(self.upload.finish().await?),
        }
        Ok(())
    }
}

/// Does `work` that writes to a place, until its end or that of the run; then nothing is left of what is not finished.
pub(crate) async fn write<T>(
    to: Sink,
    cx: &RunContext,
    work: impl AsyncFnOnce(NewObject) -> Result<T>,
) -> Result<T> {
    let store = match &to {
        Sink::Object { store, .. } => Some(Arc::clone(store)),
        Sink::Stream(_) => None,
    };
    let written = async {
        let mut notices = Vec::new();
        let object = NewObject::begin(to, &mut notices).await?;
        for notice in notices {
            cx.notice(None, notice);
        }
        work(object).await
    };
    let written = cx.unless_cancelled(written).await;
    if let (Err(_), Some(store)) = (&written, store) {
        store.settle().await;
    }
    written
}

/// Starts to write it, and tells of what killed writers left behind.
pub(crate) async fn begin(
    store: &dyn Store,
    path: &str,
    notices: &mut Vec<String>,
) -> Result<Box<dyn Upload>> {
    for leftover in store.remove_leftovers(&[path.to_owned()]).await? {
        notices.push(leftover_notice(&leftover));
    }
    Ok(store.upload(path).await?)
}

/// Makes it visible, and looks whether it is.
pub(crate) async fn finish(store: &dyn Store, path: &str, upload: Box<dyn Upload>) -> Result<()> {
    store.flush().await?;
    let stored = upload.finish().await?;
    store.flush().await?;
    let found = store.head(path).await?;
    let is_there = found.is_some_and(|found| {
        found.stored_bytes == stored.stored_bytes && !is_replaced(store, &stored, &found)
    });
    match is_there {
        true => Ok(()),
        false => Err(Error::data(format!(
            "{path} was stored in {}, and is gone or was replaced since",
            store.location()
        ))),
    }
}
