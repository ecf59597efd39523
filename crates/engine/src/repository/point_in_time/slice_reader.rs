//! Slices that are read: with their keys, and one after the other.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use rdump_format::{
    Digest,
    repository::{DataKeys, EntryMark, OplogSlice, Previous, SnapshotId, SpanKind, SpanName},
};
use tokio::sync::Mutex;

use crate::{
    Error, Result,
    repository::{
        Repository,
        timeline::{open_keys, parse_slice, unpack_slice},
    },
};

/// Reads slices, with the keys of those that are encrypted.
#[derive(Clone, Debug)]
pub(in crate::repository) struct SliceReader {
    repository: Repository,
    /// Those that were looked for, of each capture.
    keys: Arc<Mutex<HashMap<SnapshotId, Result<Arc<DataKeys>>>>>,
}

impl SliceReader {
    pub(in crate::repository) fn new(repository: &Repository) -> Self {
        Self {
            repository: repository.clone(),
            keys: Arc::default(),
        }
    }

    pub(super) fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Refuses a slice that is not encrypted where keys were given: who could write to the repository could have put it there.
    pub(super) fn check_encrypted(&self, span: &SpanName) -> Result<()> {
        match self.repository.identities.is_some() && span.kind == SpanKind::Slice {
            true => Err(Error::invalid(format!(
                "{} is not encrypted, although a key was given to open it",
                span.path()
            ))
            .with_hint(
                "if that is right: `rdump oplog-export` without the key, and `rrestore --oplogReplay --oplogFile` of what it writes after the snapshot is restored",
            )),
            false => Ok(()),
        }
    }

    /// The entries of a slice that was read.
    pub(in crate::repository) async fn entries(
        &self,
        span: &SpanName,
        bytes: Bytes,
    ) -> Result<Vec<u8>> {
        self.check_encrypted(span)?;
        let keys = match span.kind {
            SpanKind::EncryptedSlice => {
                let capture = parse_slice(span, &bytes)?.header.capture;
                let mut known = self.keys.lock().await;
                let opened = match known.get(&capture) {
                    Some(opened) => opened.clone(),
                    None => {
                        let opened = open_keys(&self.repository, &capture).await.map(Arc::new);
                        known.insert(capture, opened.clone());
                        opened
                    }
                };
                Some(opened?)
            }
            _ => None,
        };
        let span = *span;
        let read =
            tokio::task::spawn_blocking(move || unpack_slice(&span, &bytes, keys.as_deref()));
        read.await
            .map_err(|error| Error::task("unpack a slice", error))?
    }

    /// Whether what a slice says it follows is what comes before it, or ends with the same entry: two may have captured at once.
    pub(super) async fn follows(&self, previous: Option<&Previous>, before: &End) -> Result<bool> {
        let Some(previous) = previous else {
            return Ok(false);
        };
        let span = SpanName::parse_path(&previous.path).filter(SpanName::is_slice);
        match span {
            _ if previous.sha256 == before.digest => Ok(true),
            Some(span) if span != before.span && before.last.is_some() => {
                let bytes = self.repository.read_span(&span).await?;
                let other = End::of(span, &bytes, &parse_slice(&span, &bytes)?);
                Ok(other.digest == previous.sha256 && other.last == before.last)
            }
            _ => Ok(false),
        }
    }
}

/// What a slice ends with.
pub(super) struct End {
    pub(super) span: SpanName,
    digest: Digest,
    last: Option<EntryMark>,
}

impl End {
    pub(super) fn of(span: SpanName, bytes: &[u8], slice: &OplogSlice<'_>) -> Self {
        Self {
            span,
            digest: Digest::of(bytes),
            last: slice.footer.last.clone(),
        }
    }
}
