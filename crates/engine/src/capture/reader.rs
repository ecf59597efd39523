//! Reads the oplog and gathers slices of it.

use std::time::{Duration, Instant};

use bson::{RawDocument, RawDocumentBuf, Timestamp, rawdoc};
use futures::StreamExt;
use mongodb::{options::SelectionCriteria, raw_batch_cursor::RawBatch};
use rdump_format::{Namespace, Selector, repository::EntryMark};
use rdump_oplog::{
    GatheredSlice, OpTime, OpenTransactions, RemapError, Remapped, SliceBuilder, entry_mark, remap,
};
use tokio::sync::mpsc;

use super::{
    Capture,
    oplog::{self, OplogPosition},
    waiting::Waiting,
};
use crate::{Error, ErrorKind, Result, command};

/// How long a slice without entries is put off.
pub(super) const IDLE: Duration = Duration::from_secs(60);
/// The pauses between two looks at the oplog, at most and at least.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_millis(50)];
/// How long a reply may take: a majority of the members may be away, or the network.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How large a segment is, in bytes before compression.
pub(super) const SEGMENT_BYTES: usize = 8 << 20;
/// How many entries are asked for at once.
const BATCH_ENTRIES: u32 = 10_000;

/// A slice that is to be stored.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) slice: GatheredSlice,
    /// When the oldest transaction began that is open at its end.
    pub(super) open_since: Option<OpTime>,
    /// Of a change stream, what leads on from there.
    pub(super) token: Option<RawDocumentBuf>,
    /// Goes once it is stored.
    pub(super) waiting: Waiting,
}

#[derive(Debug)]
pub(super) struct Reader<'a> {
    capture: &'a Capture,
    from: &'a SelectionCriteria,
    last: EntryMark,
    open: OpenTransactions,
    open_since: Option<OpTime>,
    until: Option<OpTime>,
    builder: SliceBuilder,
    waiting: Waiting,
    /// Since when something waits to be stored.
    waits_since: Option<Instant>,
    sealed_at: Instant,
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
            builder: SliceBuilder::new(SEGMENT_BYTES),
            waiting: Waiting::new(&capture.cx.counters),
            waits_since: None,
            sealed_at: Instant::now(),
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
            if is_stopped || has_caught_up || self.is_due() {
                self.seal(gathered).await?;
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
                if self.builder.bytes() >= self.capture.options.slice_bytes {
                    self.seal(gathered).await?;
                }
            }
            if self.is_due() {
                self.seal(gathered).await?;
            }
        }
        if first {
            return Err(gone(&self.last));
        }
        if let Some(last) = self.builder.mark() {
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
        let changed;
        let stored = match selected(&self.capture.options.select, bytes) {
            Ok(Remapped::Same) => Some(bytes).filter(|_| !is_noop(entry)),
            Ok(Remapped::Nothing) => None,
            Ok(Remapped::Changed(entry)) => {
                changed = entry;
                Some(changed.as_bytes())
            }
            Err(error) => return Err(fail(&error)),
        };
        self.builder
            .push(bytes, stored)
            .map_err(|error| fail(&error))?;
        self.waiting.grow_to(self.builder.bytes());
        if stored.is_some() {
            self.waits_since.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    /// Whether what was gathered has to be given over.
    fn is_due(&self) -> bool {
        let age = self.capture.options.slice_age;
        match self.waits_since {
            Some(since) => since.elapsed() >= age,
            None => self.builder.end().is_some() && self.sealed_at.elapsed() >= IDLE.max(age),
        }
    }

    async fn seal(&mut self, gathered: &mpsc::Sender<Gathered>) -> Result<()> {
        let builder = std::mem::replace(&mut self.builder, SliceBuilder::new(SEGMENT_BYTES));
        let waiting = self.waiting.take();
        self.waits_since = None;
        self.sealed_at = Instant::now();
        let Some(slice) = builder.build() else {
            return Ok(());
        };
        self.last.clone_from(&slice.last);
        let open_since = self.open.oldest();
        // Who receives has failed, and says why.
        let gather = Gathered {
            slice,
            open_since,
            token: None,
            waiting,
        };
        let _ = gathered.send(gather).await;
        Ok(())
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

/// What is stored of an entry.
pub(super) fn selected(
    select: &Selector,
    entry: &[u8],
) -> std::result::Result<Remapped, RemapError> {
    if *select == Selector::default() {
        return Ok(Remapped::Same);
    }
    let map = |namespace: &Namespace| select.selects(namespace).then(|| namespace.clone());
    match remap(entry, &map) {
        // A restore that needs what was in it says so.
        Err(RemapError::RenamedIn { .. }) => Ok(Remapped::Same),
        remapped => remapped,
    }
}

fn is_noop(entry: &RawDocument) -> bool {
    entry.get_str("op").is_ok_and(|operation| operation == "n")
}
