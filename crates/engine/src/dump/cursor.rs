//! Reading a collection's documents, batch by batch, as the server sends them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bson::{RawBsonRef, RawDocument, RawDocumentBuf, raw::cstr, rawdoc};
use futures::StreamExt;
use mongodb::{
    Database, error::Error as DriverError, options::SelectionCriteria, raw_batch_cursor::RawBatch,
};
use rdump_format::{Namespace, repository::IdRange};
use rdump_oplog::OpTime;
use tokio::sync::mpsc;

use super::{
    moment::{self, Moment},
    pack::Run,
    partition,
};
use crate::{
    Error, Result,
    command::{self, code},
    context::RunContext,
    retry::Retries,
};

/// About how many bytes a server nearby is asked to send at once.
///
/// The server's own 16 MiB would cost a hundred times the memory and save nothing; with 1 MiB a dump takes longer and
/// needs 10 MB more than with this, with a quarter of it compressing costs more.
const BATCH_BYTES: u64 = 512 << 10;
/// Within how long a server nearby answers.
const NEARBY: Duration = Duration::from_millis(1);
/// How many times as much a server far away is asked to send at once, at most.
const MOST_TIMES: u64 = 16;
/// What a document is taken to have where the server does not say, in bytes.
const ASSUMED_DOCUMENT_BYTES: u64 = 1024;

/// What is read, and how.
#[derive(Clone, Debug)]
pub(super) struct Query {
    pub(super) database: Database,
    pub(super) collection: String,
    pub(super) filter: Option<RawDocumentBuf>,
    pub(super) from: SelectionCriteria,
    pub(super) batch_documents: u32,
    pub(super) fields: ReadFields,
    /// Whether the server can be told to read in natural order.
    pub(super) hints: bool,
    /// Says that the collection was dropped while it was read, if that is no error: what was read of it is all there is to read.
    pub(super) dropped: Option<Arc<AtomicBool>>,
}

/// What every command that reads documents has beside its own fields.
///
/// Servers take a read concern other than `local` with `find` and `aggregate`, not with commands about the catalog.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadFields {
    pub(super) read_concern: Option<RawDocumentBuf>,
    /// The moment to read at, as long as it is not lost.
    pub(super) moment: Option<Arc<Moment>>,
    /// Whether the server has to be told that buckets are meant, and not measurements.
    pub(super) raw_data: bool,
}

impl ReadFields {
    /// Gives the moment that is read at, if the command reads at one.
    pub(super) fn append_to(&self, command: &mut RawDocumentBuf) -> Option<OpTime> {
        let at = self.moment.as_ref().and_then(|moment| moment.current());
        let read_concern = match at {
            Some(at) => Some(moment::read_concern(at)),
            None => self.read_concern.clone(),
        };
        if let Some(read_concern) = read_concern {
            command.append(cstr!("readConcern"), read_concern);
        }
        if self.raw_data {
            command.append(cstr!("rawData"), true);
        }
        at
    }
}

/// Documents of a reply.
#[derive(Debug)]
pub(super) struct Batch {
    /// The reply, if that is what is taken.
    raw: Option<RawBatch>,
    taken: Taken,
}

/// What is taken of a reply.
#[derive(Debug)]
pub(super) enum Taken {
    /// All but so many at its beginning.
    After(usize),
    /// These instead; and none of the replies that come after it, if it is the last.
    Instead { documents: Vec<u8>, is_last: bool },
}

/// Why reading stopped before the end.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The network, the server or the cursor went away: reading may go on or start over.
    Interrupted(DriverError),
    /// The moment that everything was read at is lost: reading may go on or start over, at another time.
    Later(Error),
    /// Reading again would not help.
    Fatal(Error),
}

/// About how many bytes to ask for at once from a server that takes so long to answer.
///
/// While a reply is on its way the server prepares no other for the same cursor: the longer the way, the more has to
/// travel at once.
pub(super) fn batch_bytes(round_trip: Duration) -> u64 {
    let times = u64::try_from(round_trip.as_micros() / NEARBY.as_micros()).unwrap_or(MOST_TIMES);
    BATCH_BYTES * times.clamp(1, MOST_TIMES)
}

/// How many documents of this size make a batch.
pub(super) fn batch_documents(documents: u64, bytes: u64, batch_bytes: u64) -> u32 {
    let average = bytes.checked_div(documents).filter(|average| *average > 0);
    let batch = batch_bytes / average.unwrap_or(ASSUMED_DOCUMENT_BYTES);
    u32::try_from(batch.clamp(1, 100_000)).unwrap_or(1000)
}

impl Run for Batch {
    fn documents(&self) -> impl Iterator<Item = Result<&[u8]>> {
        let (skip, instead) = match &self.taken {
            Taken::After(skip) => (Some(*skip), None),
            Taken::Instead { documents, .. } => (None, Some(documents.as_slice())),
        };
        let instead = instead.map(rdump_format::documents);
        let instead = instead.into_iter().flatten();
        let instead = instead.map(|document| document.map_err(malformed));
        skip.map(|skip| self.received(skip))
            .into_iter()
            .flatten()
            .chain(instead)
    }

    fn bytes(&self) -> u64 {
        match (&self.raw, &self.taken) {
            (Some(raw), _) => raw.as_raw_document().as_bytes().len() as u64,
            (None, Taken::Instead { documents, .. }) => documents.len() as u64,
            (None, Taken::After(_)) => 0,
        }
    }
}

fn malformed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::data("the server's reply to find or getMore is malformed").caused_by(error)
}

impl Batch {
    /// These documents.
    pub(super) fn of(documents: Vec<u8>) -> Self {
        let is_last = false;
        Self {
            raw: None,
            taken: Taken::Instead { documents, is_last },
        }
    }

    /// The documents as they came, without the first ones.
    fn received(&self, skip: usize) -> impl Iterator<Item = Result<&[u8]>> {
        let documents = self.raw.as_ref().map(RawBatch::doc_slices).transpose();
        let (documents, error) = match documents {
            Ok(documents) => (documents.map(|array| array.into_iter().skip(skip)), None),
            Err(error) => (None, Some(Err(malformed(error)))),
        };
        let documents = documents
            .into_iter()
            .flatten()
            .map(|document| match document {
                Ok(RawBsonRef::Document(document)) => Ok(document.as_bytes()),
                Ok(other) => Err(malformed(format!(
                    "a {:?} among the documents",
                    other.element_type()
                ))),
                Err(error) => Err(malformed(error)),
            });
        error.into_iter().chain(documents)
    }
}

impl Query {
    /// Reads everything in the server's natural order, or what the filter lets through.
    pub(super) async fn read_natural(
        &self,
        batches: &mpsc::Sender<Batch>,
    ) -> Result<(), ReadError> {
        let mut find = rawdoc! { "find": self.collection.as_str() };
        match &self.filter {
            Some(filter) => find.append(cstr!("filter"), filter.clone()),
            // Keeps servers that limit how much a query may scan from refusing, and index scans away.
            None if self.hints => find.append(cstr!("hint"), rawdoc! { "$natural": 1 }),
            None => {}
        }
        self.read(find, batches, |_| Ok(Taken::After(0))).await
    }

    /// Reads a range of `_id` in order; after an interruption it goes on where it was.
    pub(super) async fn read_range(
        &self,
        cx: &RunContext,
        namespace: &Namespace,
        mut range: IdRange,
        retries: &mut Retries,
        batches: &mpsc::Sender<Batch>,
    ) -> Result<()> {
        if range.is_read() {
            return Ok(());
        }
        let mut find = partition::find(&range, &self.collection, self.filter.as_deref());
        let mut last_part = false;
        loop {
            let mut resumed_at = range.last_id().map(RawDocument::to_owned);
            let read = self.read(find, batches, |batch| {
                let documents = || {
                    let array = batch.doc_slices().ok().into_iter().flatten().flatten();
                    array.filter_map(|document| document.as_document())
                };
                // `min` is inclusive: the document that was read last may come again.
                let again = resumed_at.take().is_some_and(|last| {
                    let first = documents().next().and_then(IdRange::id_of);
                    first.is_some_and(|first| first == last)
                });
                let skip = usize::from(again);
                // What came again is no progress, or a batch of one would be read for ever.
                if let Some(last) = documents().skip(skip).last() {
                    if let Some(id) = IdRange::id_of(last) {
                        range.advance(id);
                    }
                    retries.progressed();
                }
                Ok(Taken::After(skip))
            });
            match read.await {
                Ok(()) if last_part => return Ok(()),
                Ok(()) => last_part = true,
                Err(ReadError::Fatal(error)) => return Err(error),
                Err(ReadError::Later(_)) => {}
                Err(ReadError::Interrupted(error)) => {
                    let error = command::error(error);
                    let what = "reading on after the last document";
                    retries
                        .again_after(cx, Some(namespace), what, error)
                        .await?;
                }
            }
            find = match range.left_out() {
                Some(filter) if last_part => self.find_only(&filter),
                None if last_part => return Ok(()),
                _ => partition::find(&range, &self.collection, self.filter.as_deref()),
            };
        }
    }

    /// The command that reads the documents that pass both this filter and that of the query.
    fn find_only(&self, filter: &RawDocument) -> RawDocumentBuf {
        let filter = match &self.filter {
            Some(ours) => rawdoc! { "$and": [filter.to_owned(), ours.clone()] },
            None => filter.to_owned(),
        };
        rawdoc! { "find": self.collection.as_str(), "filter": filter }
    }

    /// Sends what a command gives. `seen` looks at each batch first, and says what is taken of it.
    pub(super) async fn read(
        &self,
        mut find: RawDocumentBuf,
        batches: &mpsc::Sender<Batch>,
        mut seen: impl FnMut(&RawBatch) -> Result<Taken>,
    ) -> Result<(), ReadError> {
        // getMore takes its batch size from the options, find from the command.
        find.append(cstr!("batchSize"), i64::from(self.batch_documents));
        let at = self.fields.append_to(&mut find);
        let cursor = self.database.run_raw_cursor_command(find);
        let cursor = cursor
            .selection_criteria(self.from.clone())
            .batch_size(self.batch_documents);
        let mut cursor = match cursor.batch().await {
            Err(error) => return self.failed(error, at),
            Ok(cursor) => cursor,
        };
        while let Some(raw) = cursor.next().await {
            let raw = match raw {
                Err(error) => return self.failed(error, at),
                Ok(raw) => raw,
            };
            if let Some(at) = at
                && !moment::is_of(raw.as_raw_document(), at)
            {
                return Err(self.lose(moment::not_of(at)));
            }
            let taken = seen(&raw).map_err(ReadError::Fatal)?;
            let is_last = matches!(&taken, Taken::Instead { is_last: true, .. });
            if batches
                .send(Batch {
                    raw: Some(raw),
                    taken,
                })
                .await
                .is_err()
            {
                return Err(ReadError::Fatal(Error::internal(
                    "the packer stopped before the reader",
                )));
            }
            if is_last {
                break;
            }
        }
        Ok(())
    }

    /// What it means that a command failed.
    #[expect(
        clippy::result_large_err,
        reason = "the driver's own error is as large, and there is one of it for a cursor"
    )]
    fn failed(&self, error: DriverError, at: Option<OpTime>) -> Result<(), ReadError> {
        let code = command::server_code(&error);
        if let Some((at, code)) = at.zip(code)
            && let Some(lost) = moment::forgotten(code, at)
        {
            return Err(self.lose(lost.caused_by(command::error(error).to_string())));
        }
        match self.tells_of_drop(&error) {
            true => Ok(()),
            false => Err(ReadError::of(error)),
        }
    }

    /// Gives up the moment that everything is read at.
    fn lose(&self, error: Error) -> ReadError {
        let lost = self.fields.moment.as_ref();
        let lost = lost.map_or(Ok(()), |moment| moment.lose(error.clone()));
        match lost {
            Ok(()) => ReadError::Later(error),
            Err(error) => ReadError::Fatal(error),
        }
    }

    /// Whether the server says that the collection was dropped, and that is no error but is noted.
    fn tells_of_drop(&self, error: &DriverError) -> bool {
        let is_killed = command::server_code(error) == Some(code::QUERY_PLAN_KILLED);
        let noted = self.dropped.as_ref().filter(|_| is_killed);
        noted
            .inspect(|dropped| dropped.store(true, Ordering::Release))
            .is_some()
    }
}

impl ReadError {
    fn of(error: DriverError) -> Self {
        match command::server_code(&error) {
            Some(code::QUERY_PLAN_KILLED) => Self::Fatal(
                Error::conflict("it was dropped, renamed or converted while it was dumped")
                    .with_hint("start the dump again")
                    .caused_by(command::error(error).to_string()),
            ),
            Some(code::CURSOR_NOT_FOUND) => Self::Interrupted(error),
            _ if command::is_transient(&error) => Self::Interrupted(error),
            _ => Self::Fatal(command::error(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_says_that_buckets_are_meant_only_where_it_has_to() {
        let command = |fields: ReadFields| {
            let mut command = rawdoc! { "find": "c" };
            assert_eq!(fields.append_to(&mut command), None);
            command
        };
        assert_eq!(command(ReadFields::default()), rawdoc! { "find": "c" });
        let fields = ReadFields {
            read_concern: Some(rawdoc! { "level": "majority" }),
            raw_data: true,
            moment: None,
        };
        let expected =
            rawdoc! { "find": "c", "readConcern": { "level": "majority" }, "rawData": true };
        assert_eq!(command(fields), expected);
    }

    #[test]
    fn the_longer_the_way_the_more_is_asked_for_at_once() {
        for (microseconds, mebibytes) in [(0, 0.5), (999, 0.5), (4_000, 2.0), (70_000, 8.0)] {
            let bytes = batch_bytes(Duration::from_micros(microseconds));
            assert_eq!(bytes as f64 / f64::from(1 << 20), mebibytes);
        }
    }

    #[test]
    fn a_batch_has_half_a_mebibyte_of_documents_as_far_as_is_known() {
        for (documents, bytes, batch) in [
            (1000, 256_000, 2048),
            (10, 10 << 20, 1),
            // A view has no statistics, and not every server knows more than a count.
            (0, 0, 512),
            (1_000_000, 0, 512),
            (0, 1 << 20, 512),
            // Statistics that cannot be.
            (u64::MAX, 1, 512),
            (1, u64::MAX, 1),
            (u64::MAX, u64::MAX, 100_000),
        ] {
            assert_eq!(
                batch_documents(documents, bytes, BATCH_BYTES),
                batch,
                "{documents} documents of {bytes} bytes"
            );
        }
    }
}
