//! Reads the oplog and gathers slices of it.

use std::time::Duration;

use bson::{RawDocument, Timestamp, rawdoc};
use futures::StreamExt;
use mongodb::{options::SelectionCriteria, raw_batch_cursor::RawBatch};
use rdump_format::repository::EntryMark;
use rdump_oplog::{OpTime, OpenTransactions, entry_mark};
use tokio::sync::mpsc;

use super::{
    Capture,
    gathering::{Gathered, Gathering, give},
    oplog::{self, OplogPosition},
};
use crate::{Error, ErrorKind, Result, command};

/// The pauses between two looks at the oplog, at most and at least.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_millis(50)];
/// How long a reply may take: a majority of the members may be away, or the network.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How many entries are asked for at once.
const BATCH_ENTRIES: u32 = 10_000;

#[derive(Debug)]
pub(super) struct Reader<'a> {
    capture: &'a Capture,
    from: &'a SelectionCriteria,
    last: EntryMark,
    open: OpenTransactions,
    open_since: Option<OpTime>,
    until: Option<OpTime>,
    gathering: Gathering<'a>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        capture: &'a Capture,
        from: &'a SelectionCriteria,
        position: OplogPosition,
        until: Option<OpTime>,
    ) -> Self {
        Self {
            capture,
            from,
            last: position.mark,
            open: OpenTransactions::default(),
            open_since: position.open_since,
            until,
            gathering: Gathering::new(capture),
        }
    }

    /// Reads until it is stopped or has caught up; what it has gathered until then is given over.
    pub(super) async fn run(mut self, gathered: &mpsc::Sender<Gathered>) -> Result<()> {
        let cancel = self.capture.cx.cancel.clone();
        match cancel.run_until_cancelled(self.recall()).await {
            Some(recalled) => recalled?,
            None => return Ok(()),
        }
        let [longest, shortest] = PAUSES;
        let pause = (self.capture.options.slice_age / 5).clamp(shortest, longest);
        loop {
            let is_stopped = self.look(gathered).await?;
            let has_caught_up = self.until.is_some_and(|until| self.last.at >= until);
            if is_stopped || has_caught_up || self.gathering.is_due() {
                self.seal(gathered).await;
            }
            if is_stopped || has_caught_up {
                return Ok(());
            }
            let _ = cancel.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
    }

    /// Learns again which transactions are open; what the oplog has forgotten of them stays open for ever.
    async fn recall(&mut self) -> Result<()> {
        let Some(since) = self.open_since.take() else {
            return Ok(());
        };
        let mut open = OpenTransactions::default();
        let mut first = None;
        let mut batches = self.find(since, Some(self.last.at)).await?;
        while let Some(batch) = next(&mut batches).await? {
            for entry in batch.doc_slices().map_err(command::error)? {
                let entry = entry.map_err(Error::from_bson)?;
                let entry = entry.as_document().ok_or_else(oplog::malformed)?;
                first.get_or_insert(oplog::at(entry)?);
                let pushed = open.push(entry.as_bytes());
                pushed.map_err(|error| oplog::malformed().caused_by(error))?;
            }
        }
        self.open = match first.is_some_and(|first| first <= since) {
            true => open,
            false => OpenTransactions::since(Some(since)),
        };
        Ok(())
    }

    /// Reads what has come since the last look, and gives over what is full or old; says whether it was stopped.
    ///
    /// Nothing that was gathered is dropped on the way: what comes after it would seem to follow what was before it.
    async fn look(&mut self, gathered: &mpsc::Sender<Gathered>) -> Result<bool> {
        let cancel = self.capture.cx.cancel.clone();
        let found = cancel.run_until_cancelled(self.find(self.last.at, None));
        let Some(found) = found.await else {
            return Ok(true);
        };
        let (mut batches, mut first) = (found?, true);
        loop {
            let Some(batch) = cancel.run_until_cancelled(next(&mut batches)).await else {
                return Ok(true);
            };
            let Some(batch) = batch? else { break };
            for entry in batch.doc_slices().map_err(command::error)? {
                let entry = entry.map_err(Error::from_bson)?;
                let entry = entry.as_document().ok_or_else(oplog::malformed)?;
                if std::mem::take(&mut first) {
                    self.check_first(entry)?;
                    continue;
                }
                self.take(entry)?;
                if self.gathering.is_full() {
                    self.seal(gathered).await;
                }
            }
            if self.gathering.is_due() {
                self.seal(gathered).await;
            }
        }
        if first {
            return Err(gone(&self.last));
        }
        if let Some(last) = self.gathering.builder.mark() {
            self.last = last;
        }
        Ok(false)
    }

    /// The entry that was taken last has to be there still, and the first that comes.
    fn check_first(&self, entry: &RawDocument) -> Result<()> {
        let found = entry_mark(entry.as_bytes());
        let found = found.map_err(|error| oplog::malformed().caused_by(error))?;
        match found == self.last {
            true => Ok(()),
            false => Err(gone(&self.last)),
        }
    }

    fn take(&mut self, entry: &RawDocument) -> Result<()> {
        let bytes = entry.as_bytes();
        let fail = |error: &dyn std::error::Error| oplog::malformed().caused_by(error.to_string());
        self.open.push(bytes).map_err(|error| fail(&error))?;
        self.gathering
            .take(bytes, !is_noop(entry), oplog::malformed)
    }

    async fn seal(&mut self, gathered: &mpsc::Sender<Gathered>) {
        let Some((slice, waiting)) = self.gathering.seal(None) else {
            return;
        };
        self.last.clone_from(&slice.last);
        let gather = Gathered {
            slice,
            open_since: self.open.oldest(),
            told: None,
            waiting,
        };
        give(gathered, gather).await;
    }

    async fn find(&self, start: OpTime, end: Option<OpTime>) -> Result<Batches> {
        let mut span = rawdoc! { "$gte": Timestamp::from(start) };
        if let Some(end) = end {
            span.append(bson::cstr!("$lte"), Timestamp::from(end));
        }
        let mut find = rawdoc! {
            "find": "oplog.rs", "filter": { "ts": span }, "batchSize": i64::from(BATCH_ENTRIES), "readConcern": { "level": "majority" },
        };
        let deployment = &self.capture.source.0;
        if !deployment.server.capabilities().finds_in_oplog {
            find.append(bson::cstr!("oplogReplay"), true);
        }
        let local = deployment.database("local");
        let cursor = local
            .run_raw_cursor_command(find)
            .selection_criteria(self.from.clone())
            .batch_size(BATCH_ENTRIES)
            .batch();
        let cursor = within(cursor).await?.map_err(oplog::denied)?;
        Ok(Box::pin(cursor))
    }
}

type Batches =
    std::pin::Pin<Box<dyn futures::Stream<Item = mongodb::error::Result<RawBatch>> + Send>>;

async fn next(batches: &mut Batches) -> Result<Option<RawBatch>> {
    within(batches.next())
        .await?
        .transpose()
        .map_err(command::error)
}

async fn within<T>(reply: impl Future<Output = T>) -> Result<T> {
    let reply = tokio::time::timeout(LONGEST_WAIT, reply).await;
    reply.map_err(|_elapsed| {
        Error::new(
            ErrorKind::Unavailable,
            format!(
                "the server has not answered within {} s",
                LONGEST_WAIT.as_secs()
            ),
        )
    })
}

/// Looked into anew, by who finds out whether it was forgotten or rolled back.
fn gone(last: &EntryMark) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!("the entry of {} is not in the oplog any more", last.at),
    )
}

fn is_noop(entry: &RawDocument) -> bool {
    entry.get_str("op").is_ok_and(|operation| operation == "n")
}
