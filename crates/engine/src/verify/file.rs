//! One file.

use std::{error::Error as StdError, sync::Arc};

use bytes::Bytes;
use futures::StreamExt;
use rdump_format::{
    CollectionMetadata, Digester, FileRecord, FileRole, Prelude, SegmentError, decompress,
};
use rdump_storage::{StorageError, Store, read_ahead};

use super::{Damage, DamageKind};
use crate::{Error, Event, Result, context::RunContext, media::segments::segment_ranges};

/// How much of a file without segments is read at once, in bytes.
const READ_BYTES: u64 = 8 << 20;
/// Faults that are told of one file.
const MOST_FAULTS: usize = 10;

/// What was found in a file.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) documents: u64,
    pub(super) stored_bytes: u64,
    pub(super) damage: Vec<Damage>,
}

impl From<Damage> for Checked {
    fn from(damage: Damage) -> Self {
        Self {
            damage: vec![damage],
            ..Self::default()
        }
    }
}

/// Reads a file of the recorded size from front to end.
pub(super) async fn check(
    store: &Arc<dyn Store>,
    record: &FileRecord,
    cx: &RunContext,
) -> Result<Checked> {
    let mut checked = Checked::default();
    match record.kind {
        role if role.has_documents() => segments(store, record, cx, &mut checked).await?,
        _ => small(store, record, &mut checked).await?,
    }
    Ok(checked)
}

/// Checks one segment after the other, up to the first whose digest is not right: that of each covers those before.
async fn segments(
    store: &Arc<dyn Store>,
    record: &FileRecord,
    cx: &RunContext,
    checked: &mut Checked,
) -> Result<()> {
    let mut digester = Digester::new();
    let mut body = Vec::new();
    let (mut start, mut uncompressed_bytes) = (0, 0);
    let ranges = segment_ranges(record.segments.as_slice().into());
    let mut reads = read_ahead(store, &record.path, None, ranges);
    for (number, segment) in record.segments.iter().enumerate() {
        let end = start + segment.stored_bytes;
        let Some(read) = reads.next().await else {
            return Ok(());
        };
        let Some(stored) = taken(record, read, checked)? else {
            return Ok(());
        };
        let (codec, described) = (record.codec, segment.clone());
        let work = tokio::task::spawn_blocking(move || {
            body.clear();
            let opened = described.open(codec, &stored, &mut digester, &mut body);
            (digester, body, opened)
        });
        let opened;
        (digester, body, opened) = work
            .await
            .map_err(|error| Error::task("verify segment", error))?;
        match opened {
            Ok(()) => {
                checked.documents += segment.documents;
                uncompressed_bytes += segment.uncompressed_bytes;
                advanced(cx, record, checked.documents, uncompressed_bytes);
            }
            Err(error) => {
                let kind = match error {
                    SegmentError::StoredLength { .. } | SegmentError::Digest { .. } => {
                        DamageKind::Digest
                    }
                    _ => DamageKind::Format,
                };
                let (count, documents) = (record.segments.len(), segment.documents);
                let rest = match count - number - 1 {
                    unchecked if kind == DamageKind::Digest && unchecked > 0 => {
                        format!("; the {unchecked} segments after it were not checked")
                    }
                    _ => String::new(),
                };
                let message = format!(
                    "segment {} of {count} (bytes {start} to {end}), {documents} documents: {}{rest}",
                    number + 1,
                    chain(&error)
                );
                checked
                    .damage
                    .push(Damage::new(&record.path, kind, message));
                if kind == DamageKind::Digest || checked.damage.len() == MOST_FAULTS {
                    return Ok(());
                }
            }
        }
        start = end;
    }
    Ok(())
}

fn advanced(cx: &RunContext, record: &FileRecord, documents: u64, uncompressed_bytes: u64) {
    if let Some(namespace) = record.namespace.clone() {
        cx.emit(Event::NamespaceAdvanced {
            namespace,
            documents,
            uncompressed_bytes,
        });
    }
}

/// Checks a file of metadata or the prelude: its digest, and whether it can be read.
async fn small(store: &Arc<dyn Store>, record: &FileRecord, checked: &mut Checked) -> Result<()> {
    let mut digester = Digester::new();
    let mut stored = Vec::new();
    let mut start = 0;
    while start < record.stored_bytes {
        let end = record.stored_bytes.min(start + READ_BYTES);
        let read = store.read(&record.path, start..end, None).await;
        let Some(bytes) = taken(record, read, checked)? else {
            return Ok(());
        };
        digester.update(&bytes);
        stored.extend_from_slice(&bytes);
        start = end;
    }
    let actual = digester.finish();
    let (kind, message) = if actual != record.sha256 {
        let recorded = record.sha256;
        let message = format!("its SHA-256 is {actual}, but the manifest recorded {recorded}");
        (DamageKind::Digest, message)
    } else if let Err(error) = meaning(record, &stored) {
        let message = format!("it cannot be read: {}", chain(&*error));
        (DamageKind::Format, message)
    } else {
        return Ok(());
    };
    checked
        .damage
        .push(Damage::new(&record.path, kind, message));
    Ok(())
}

fn meaning(record: &FileRecord, stored: &[u8]) -> Result<(), Box<dyn StdError + Send + Sync>> {
    let mut content = Vec::new();
    decompress(
        record.codec,
        stored,
        record.uncompressed_bytes,
        &mut content,
    )?;
    match record.kind {
        FileRole::Metadata => drop(CollectionMetadata::from_json(&content)?),
        FileRole::Prelude => drop(Prelude::from_json(&content)?),
        _ => {}
    }
    Ok(())
}

/// What was read of the file; damage, and not an error, if the file went away or was changed meanwhile.
fn taken(
    record: &FileRecord,
    read: Result<Bytes, StorageError>,
    checked: &mut Checked,
) -> Result<Option<Bytes>> {
    let kind = match read {
        Ok(bytes) => {
            checked.stored_bytes += bytes.len() as u64;
            return Ok(Some(bytes));
        }
        Err(StorageError::NotFound { .. }) => DamageKind::Missing,
        Err(StorageError::TooShort { .. }) => DamageKind::Size,
        Err(StorageError::Changed { .. }) => DamageKind::Digest,
        Err(error) => return Err(error.into()),
    };
    checked.damage.push(Damage::new(
        &record.path,
        kind,
        "it was changed while it was being read",
    ));
    Ok(None)
}

/// An error and its causes as one line.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let causes = std::iter::successors(error.source(), |&error| error.source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}
