//! Documents of an object that a manifest describes: segment by segment, each checked before it is decompressed.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use rdump_format::{Codec, Digester, SegmentRecord, repository::DataKeys};
use rdump_storage::{StorageError, Store, Version, read_ahead};

use super::Documents;
use crate::{Error, ErrorKind, Result, media::manifest};

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What the digest of a segment covers.
#[derive(Clone, Debug)]
pub(crate) enum Digested {
    /// The object from its first byte to the end of the segment.
    FromStart,
    /// The segment alone.
    Alone,
    /// As that, and the segment is encrypted.
    Encrypted(Encrypted),
}

/// An object whose segments are encrypted.
#[derive(Clone, Debug)]
pub(crate) struct Encrypted {
    pub(crate) keys: Arc<DataKeys>,
    /// Where it is, relative to the folder of its snapshot.
    pub(crate) path: String,
}

/// A file whose segments are read one after the other.
struct Reading {
    path: String,
    codec: Codec,
    records: Arc<[SegmentRecord]>,
    stored: BoxStream<'static, Result<Bytes, StorageError>>,
    /// The segments that come next, and where each is.
    places: Box<dyn Iterator<Item = (usize, Range<u64>)> + Send>,
    digested: Digested,
    digester: Digester,
}

/// All segments of an object.
pub(crate) fn read(
    store: &Arc<dyn Store>,
    codec: Codec,
    object: (&str, Option<&Version>),
    records: &Arc<[SegmentRecord]>,
    digested: Digested,
) -> BoxStream<'static, Result<Documents>> {
    read_some(store, codec, object, records, digested, |_| true)
}

/// The segments of an object that are wanted by their number; only some only where each is [`Digested::Alone`].
pub(crate) fn read_some(
    store: &Arc<dyn Store>,
    codec: Codec,
    (path, version): (&str, Option<&Version>),
    records: &Arc<[SegmentRecord]>,
    digested: Digested,
    is_wanted: impl Fn(usize) -> bool + Clone + Send + 'static,
) -> BoxStream<'static, Result<Documents>> {
    let places = || {
        let is_wanted = is_wanted.clone();
        let places = (0..).zip(segment_ranges(Arc::clone(records)));
        places.filter(move |(number, _)| is_wanted(*number))
    };
    let ranges = places().map(|(_, range)| range);
    let reading = Reading {
        path: path.to_owned(),
        codec,
        records: Arc::clone(records),
        stored: read_ahead(store, path, version, ranges),
        places: Box::new(places()),
        digested,
        digester: Digester::new(),
    };
    let segments = stream::try_unfold(reading, |mut reading| async move {
        let documents = reading.next().await?;
        Ok(documents.map(|documents| (documents, reading)))
    });
    segments
        .try_filter(|run| std::future::ready(run.documents > 0))
        .boxed()
}

/// The documents of a stored segment, checked; the number of one that is encrypted counts from 0. Blocks.
pub(crate) fn open(
    codec: Codec,
    record: &SegmentRecord,
    stored: Bytes,
    digester: &mut Digester,
    encrypted: Option<(&Encrypted, usize)>,
) -> Result<Documents, Failure> {
    let body = match codec {
        _ if let Some((encrypted, number)) = encrypted => {
            record.check_stored(&stored, digester)?;
            let Encrypted { keys, path } = encrypted;
            let decrypted = keys.decrypt_segment(path, number, &stored)?;
            drop(stored);
            let mut body = Vec::new();
            record.decode(codec, &decrypted, &mut body)?;
            body
        }
        Codec::None => {
            record.check_plain(&stored, digester)?;
            stored.into()
        }
        _ => {
            let mut body = Vec::new();
            record.open(codec, &stored, digester, &mut body)?;
            body
        }
    };
    Ok(Documents::new(body, record.documents))
}

/// Where each segment lies in its file.
pub(crate) fn segment_ranges(records: Arc<[SegmentRecord]>) -> impl Iterator<Item = Range<u64>> {
    let mut start = 0_u64;
    let mut number = 0;
    std::iter::from_fn(move || {
        let end = start.saturating_add(records.get(number)?.stored_bytes);
        number += 1;
        Some(std::mem::replace(&mut start, end)..end)
    })
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Documents>> {
        let Some(stored) = self.stored.next().await else {
            return Ok(None);
        };
        let Some((number, place)) = self.places.next() else {
            return Ok(None);
        };
        let Some(record) = self.records.get(number).cloned() else {
            return Ok(None);
        };
        let opened = match stored.map_err(Error::from) {
            Ok(stored) => self.open(number, record, stored).await,
            // What cannot be had now may be whole.
            Err(error) if error.kind() != ErrorKind::Data => return Err(error),
            Err(error) => Err(error.into()),
        };
        let numbered = |documents| Documents {
            segment: Some(number as u64),
            ..documents
        };
        opened
            .map(|opened| Some(numbered(opened)))
            .map_err(|error| {
                Error::data(format!(
                    "segment {} of {} of {} (bytes {} to {}) is damaged and was not restored",
                    number + 1,
                    self.records.len(),
                    self.path,
                    place.start,
                    place.end
                ))
                .with_hint(manifest::hint())
                .caused_by(error)
            })
    }

    /// The documents of a segment that is whole.
    async fn open(
        &mut self,
        number: usize,
        record: SegmentRecord,
        stored: Bytes,
    ) -> Result<Documents, Failure> {
        let (codec, mut digester) = (self.codec, std::mem::take(&mut self.digester));
        let digested = self.digested.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let encrypted = match &digested {
                Digested::Encrypted(encrypted) => Some((encrypted, number)),
                _ => None,
            };
            let documents = open(codec, &record, stored, &mut digester, encrypted)?;
            Ok::<_, Failure>((documents, digester))
        });
        let (documents, digester) = opened.await??;
        if matches!(self.digested, Digested::FromStart) {
            self.digester = digester;
        }
        Ok(documents)
    }
}
