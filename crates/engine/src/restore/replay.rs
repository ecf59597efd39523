//! Replaying an oplog over what was restored, before indexes are built.
//!
//! What entries mean and which of them keep their order is for [`rdump_oplog`] to say; this sends it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{StreamExt, stream::BoxStream};
use rdump_format::Namespace;
use rdump_oplog::{
    Batch, BatchOptions, Batcher, CollectionIndexes, Dispatch, Disposition, Entry, IndexCatalog,
    Notice, OpTime, OpTimeLimit, Remapped, Replay, ReplayError, ReplayOptions, ReplayTarget,
    Replayed, Step, Unknown, remap,
};
use serde::Serialize;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use super::{
    ledger::ReplayedUntil,
    oplog_source::{OplogNames, PlannedOplog},
    run::Shared,
    undecided::Undecided,
};
use crate::{Error, Event, Result, media::Documents};
use capped::Waits;

mod apply;
mod capped;

/// The most entries that are taken without noting that they are applied.
const MOST_TAKEN: u64 = 50_000;

/// The name of what change streams do not tell of, as a command that is made up for it.
const CREATE_TIME_SERIES: &str = "createTimeSeries";

pub(super) use capped::Capped;

/// What a restore replayed of an oplog.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ReplayedOplog {
    /// Operations, counted as mongorestore counts them.
    pub operations: u64,
    /// Whether the limit was reached before the oplog ended.
    pub limit_reached: bool,
    /// Transactions that were neither committed nor aborted, of which nothing was replayed.
    pub unfinished_transactions: u64,
    /// Entries that were left out since they are not known; each is a problem.
    pub skipped: u64,
}

/// Applies every operation of the oplog that is in `documents`; returns what was done, and the indexes to build.
pub(super) async fn replay(
    shared: &Arc<Shared>,
    planned: &PlannedOplog,
    mut documents: BoxStream<'_, Result<Documents>>,
    catalog: IndexCatalog,
    of_target: OfTarget,
    capped: Capped,
) -> Result<(ReplayedOplog, Vec<(Namespace, CollectionIndexes)>)> {
    let options = &shared.options;
    let oplog = Namespace::oplog();
    shared.cx.emit(Event::NamespaceStarted {
        namespace: oplog.clone(),
        estimated_documents: None,
        estimated_bytes: None,
    });
    let replay = Replay::new(
        ReplayTarget::new(shared.deployment.server.version_numbers),
        ReplayOptions::default()
            .limit(planned.limit)
            .preserve_uuid(options.preserve_uuid)
            .skip_unknown(options.skip_unknown_oplog_entries)
            // mongorestore drops them.
            .keep_databases(shared.reader.identity().is_some()),
        catalog,
    );
    // What a validator let in, it let in then.
    let can_bypass = !shared.deployment.server.capabilities().documentdb;
    let bypasses = options.bypass_document_validation || (planned.is_of_snapshot && can_bypass);
    let batches = BatchOptions::default().bypass_document_validation(bypasses);
    let about = About {
        of_target,
        missing: Mutex::default(),
        there: Mutex::default(),
        kept: Mutex::default(),
        // What was applied and not noted is applied again.
        fuzzy_until: match planned.replayed {
            None => planned.fuzzy_until,
            Some(_) => OpTime::MAX,
        },
    };
    let replayed = planned.replayed.unwrap_or_default();
    let mut replaying = Replaying {
        shared,
        names: planned.names.as_ref(),
        replay,
        undecided: Undecided::new(),
        capped,
        done: replayed.until.max(planned.since),
        waits_from: replayed.waits_from.unwrap_or(OpTime::MAX),
        is_resumed: planned.replayed.is_some(),
        is_whole: planned.is_whole,
        begins_with_dump: planned.source.entry().is_some(),
        is_first: false,
        limit: planned.limit,
        taken: 0,
        skipped: 0,
        at: OpTime::default(),
        before: OpTime::default(),
        steps: Vec::new(),
        batcher: Batcher::new(batches),
        lanes: Lanes::start(shared, batches.lanes.get(), about),
    };
    let taken = replaying.take_all(&mut documents).await;
    // What comes before a fault is done all the same, as far as the oplog says what that is.
    let settled = replaying.finish(taken.is_ok()).await;
    taken.and(settled)?;
    let Replaying {
        replay,
        lanes,
        skipped,
        ..
    } = replaying;
    let limit_reached = replay.limit_reached();
    let replayed = replay.finish();
    lanes.check_missing(&replayed)?;
    for transaction in &replayed.unfinished {
        let message = format!(
            "transaction {} of {} was neither committed nor aborted where the oplog ends: it is left out",
            transaction.number, transaction.started
        );
        shared.cx.notice(Some(&oplog), message);
    }
    shared.cx.emit(Event::NamespaceFinished {
        namespace: oplog,
        documents: replayed.applied,
        failed_documents: 0,
    });
    let done = ReplayedOplog {
        operations: replayed.applied,
        limit_reached,
        unfinished_transactions: replayed.unfinished.len() as u64,
        skipped,
    };
    Ok((done, replayed.catalog.into_collections()))
}

/// An oplog on its way to the target.
struct Replaying<'a> {
    shared: &'a Arc<Shared>,
    names: Option<&'a OplogNames>,
    replay: Replay,
    undecided: Undecided,
    capped: Capped,
    /// The moment until which everything is there already.
    done: OpTime,
    /// The moment from which on something of capped collections is not there although it is of before that.
    waits_from: OpTime,
    is_resumed: bool,
    is_whole: bool,
    /// Whether the next entry is the first of what was captured with the dump.
    begins_with_dump: bool,
    /// Whether the entry at hand is that.
    is_first: bool,
    limit: OpTimeLimit,
    /// How many entries were taken after that.
    taken: u64,
    /// How many entries were left out.
    skipped: u64,
    /// When the entry at hand was written; others may be of the same moment.
    at: OpTime,
    /// The moment before that, all of which was taken.
    before: OpTime,
    /// What has to be done about the entry at hand.
    steps: Vec<Step>,
    batcher: Batcher,
    lanes: Lanes,
}

impl Replaying<'_> {
    /// Takes every entry up to the limit.
    async fn take_all(&mut self, documents: &mut BoxStream<'_, Result<Documents>>) -> Result<()> {
        let (mut entries, mut bytes) = (0, 0);
        while let Some(run) = documents.next().await {
            let run = run?;
            for entry in rdump_format::documents(&run.body) {
                let entry = entry.map_err(|error| unsound().caused_by(error))?;
                self.take(entry).await?;
                if self.replay.limit_reached() {
                    return Ok(());
                }
            }
            entries += run.documents;
            bytes += run.body.len() as u64;
            self.shared.cx.emit(Event::NamespaceAdvanced {
                namespace: Namespace::oplog(),
                documents: entries,
                uncompressed_bytes: bytes,
            });
        }
        Ok(())
    }

    /// Takes one entry, as far as it is about what is restored.
    async fn take(&mut self, entry: &[u8]) -> Result<()> {
        self.is_first = std::mem::take(&mut self.begins_with_dump);
        let parsed = Entry::parse(entry).map_err(|error| unsound().caused_by(error))?;
        if !self.limit.allows(parsed.at()) {
            // After that nothing is taken any more.
            self.release_all().await?;
            return self.take_now(entry).await;
        }
        let remapped = match self.names {
            Some(names) => remap(entry, &|namespace| names.target(namespace)),
            None => Ok(Remapped::Same),
        };
        match remapped {
            Ok(Remapped::Same) => self.take_remapped(entry).await,
            Ok(Remapped::Changed(entry)) => self.take_remapped(entry.as_bytes()).await,
            Ok(Remapped::Nothing) => Ok(()),
            Err(error) => Err(unsound().caused_by(error)),
        }?;
        self.note_if_due().await
    }

    /// Takes one entry, unless it is about a capped collection that may have it already.
    async fn take_remapped(&mut self, entry: &[u8]) -> Result<()> {
        let parsed = Entry::parse(entry).map_err(|error| unsound().caused_by(error))?;
        if parsed.at() != self.at {
            (self.before, self.at) = (self.at, parsed.at());
        }
        if self.at > self.done || self.at >= self.waits_from {
            match self.capped.take(&parsed)? {
                Waits::No => {}
                Waits::Yes => return Ok(()),
                Waits::Released(namespace) => self.release(&namespace).await?,
                Waits::Known(namespace) => return self.release(&namespace).await,
            }
        }
        self.take_now(entry).await
    }

    /// Takes what waited of a capped collection.
    async fn release(&mut self, namespace: &str) -> Result<()> {
        for kept in self.capped.release(namespace) {
            let entry = self.capped.read(&kept)?;
            self.take_now(&entry).await?;
        }
        Ok(())
    }

    async fn take_now(&mut self, entry: &[u8]) -> Result<()> {
        let pushed = self.replay.push(entry, &mut self.steps);
        if self.is_first && matches!(pushed, Ok(Disposition::Done)) {
            // What ends with the entry that the dump's own oplog begins with is in the dump, of which nothing was read before.
            let is_told =
                |step: &Step| matches!(step, Step::Notice(Notice::TransactionStartMissing { .. }));
            self.steps.retain(|step| !is_told(step));
        }
        match self.advance(pushed).await? {
            Disposition::Done => {}
            Disposition::Keep(transaction) => self.undecided.keep(transaction, entry)?,
            Disposition::Abort(transaction) => drop(self.undecided.take(transaction)),
            Disposition::Commit(transaction) => {
                for kept in self.undecided.take(transaction) {
                    let kept = self.undecided.read(&kept)?;
                    let pushed = self.replay.push_committed(&kept, &mut self.steps);
                    self.advance(pushed).await?;
                }
                let pushed = self.replay.push_committed(entry, &mut self.steps);
                self.advance(pushed).await?;
            }
        }
        Ok(())
    }

    /// Does what has to be done, then says what became of taking the entry.
    async fn advance<T>(&mut self, pushed: std::result::Result<T, ReplayError>) -> Result<T> {
        let mut dispatches = Vec::new();
        let mut steps = std::mem::take(&mut self.steps);
        for step in steps.drain(..) {
            match step {
                Step::Apply(_) if self.at <= self.done => {}
                // It must not be done twice, when there is another collection under the old name.
                Step::Apply(operation) if operation.is_rename() => {
                    self.lanes.send(&mut dispatches).await?;
                    self.settle().await?;
                    self.note(OpTime {
                        ordinal: self.at.ordinal.saturating_sub(1),
                        ..self.at
                    })
                    .await?;
                    self.batcher.push(operation, &mut dispatches);
                    self.lanes.send(&mut dispatches).await?;
                    self.settle().await?;
                    self.note(self.at).await?;
                }
                Step::Apply(operation) => self.batcher.push(operation, &mut dispatches),
                Step::Skip(unknown) => {
                    self.skipped += 1;
                    let message = format!("not replayed: {unknown}");
                    self.shared.problem(&Namespace::oplog(), message)?;
                }
                // What it has done is there already.
                Step::Notice(Notice::TransactionStartMissing { .. }) if self.at <= self.done => {}
                Step::Notice(notice @ Notice::TransactionStartMissing { .. }) if self.is_whole => {
                    let hint = "take a newer snapshot as the base (--snapshot), or another moment";
                    return Err(unsound().caused_by(notice.to_string()).with_hint(hint));
                }
                Step::Notice(notice) => {
                    let oplog = Namespace::oplog();
                    self.shared.cx.notice(Some(&oplog), notice.to_string());
                }
                _ => return Err(Error::internal("a step of the replay is not known")),
            }
        }
        self.steps = steps;
        self.lanes.send(&mut dispatches).await?;
        pushed.map_err(|error| match &error {
            ReplayError::Unknown { source } => unknown(source),
            _ => unsound().caused_by(error),
        })
    }

    /// From time to time, has everything applied and notes that.
    async fn note_if_due(&mut self) -> Result<()> {
        let Some(ledger) = &self.shared.ledger else {
            return Ok(());
        };
        if self.at <= self.done {
            return Ok(());
        }
        self.taken += 1;
        if self.is_resumed && self.taken == MOST_TAKEN {
            // What was applied and not noted is behind.
            self.release_all().await?;
        }
        if self.taken.is_multiple_of(MOST_TAKEN) || ledger.is_due().await {
            self.settle().await?;
            self.note(self.before).await?;
        }
        Ok(())
    }

    /// Notes that everything until then is applied, but what waits.
    async fn note(&self, until: OpTime) -> Result<()> {
        // Who goes on has to find that too.
        if !self.lanes.about.kept().is_empty() {
            return Ok(());
        }
        let waits_from = self.capped.waits_from();
        match &self.shared.ledger {
            Some(ledger) => ledger.replayed(ReplayedUntil { until, waits_from }).await,
            None => Ok(()),
        }
    }

    async fn release_all(&mut self) -> Result<()> {
        for namespace in self.capped.namespaces() {
            self.release(&namespace).await?;
        }
        Ok(())
    }

    /// Takes what still waits, and has everything applied.
    async fn finish(&mut self, is_all_taken: bool) -> Result<()> {
        self.release_all().await?;
        self.settle().await?;
        self.note(if is_all_taken { self.at } else { self.before })
            .await
    }

    /// Sends what is left, and waits until everything is applied.
    async fn settle(&mut self) -> Result<()> {
        let mut dispatches = Vec::new();
        self.batcher.finish(&mut dispatches);
        self.lanes.send(&mut dispatches).await?;
        self.lanes.wait().await
    }
}

pub(super) fn unsound() -> Error {
    Error::data("the oplog cannot be replayed")
}

/// Why what is not known ends a restore, and what can be done about it.
pub(super) fn unknown(unknown: &Unknown) -> Error {
    let text = unknown.to_string();
    let hint = match text.contains(CREATE_TIME_SERIES) {
        // What is looked up of it is all that is known.
        true => {
            "change streams tell nothing of time-series collections: leave it out (--nsExclude)"
        }
        false => {
            "a newer release may know it; --skip-unknown-oplog-entries goes on without it, and what is restored may not be what was there"
        }
    };
    unsound().caused_by(text).with_hint(hint)
}

/// The UUIDs of collections that the target had, and the dump has not.
pub(super) type OfTarget = HashMap<Namespace, [u8; 16]>;

/// What is known of the collections of the target.
#[derive(Debug)]
struct About {
    of_target: OfTarget,
    /// Those that were not there for an operation on them, and when that was last.
    missing: Mutex<HashMap<Namespace, OpTime>>,
    /// Capped ones that have what the oplog deletes, since the target takes no deletes of those.
    kept: Mutex<HashSet<Namespace>>,
    /// Those that were there, and were neither dropped nor renamed since.
    there: Mutex<HashSet<Namespace>>,
    /// The moment until which documents may be later than the operations on them.
    fuzzy_until: OpTime,
}

impl About {
    fn missing(&self) -> MutexGuard<'_, HashMap<Namespace, OpTime>> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self) -> MutexGuard<'_, HashSet<Namespace>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn there(&self) -> MutexGuard<'_, HashSet<Namespace>> {
        self.there.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The tasks that send batches, one for each lane.
struct Lanes {
    senders: Vec<mpsc::Sender<Job>>,
    tasks: JoinSet<Result<()>>,
    about: Arc<About>,
}

enum Job {
    Batch(Batch),
    /// Says when everything before this is done.
    Settle(oneshot::Sender<()>),
}

impl Lanes {
    fn start(shared: &Arc<Shared>, lanes: usize, about: About) -> Self {
        let mut this = Self {
            senders: Vec::with_capacity(lanes),
            tasks: JoinSet::new(),
            about: Arc::new(about),
        };
        for _ in 0..lanes {
            // One waits while one is under way.
            let (sender, mut jobs) = mpsc::channel(1);
            this.senders.push(sender);
            let (shared, about) = (Arc::clone(shared), Arc::clone(&this.about));
            this.tasks.spawn(async move {
                while let Some(job) = jobs.recv().await {
                    match job {
                        Job::Batch(batch) => shared.apply(batch, &about).await?,
                        // Who does not wait any more does not care.
                        Job::Settle(settled) => drop(settled.send(())),
                    }
                }
                Ok(())
            });
        }
        this
    }

    async fn send(&mut self, dispatches: &mut Vec<Dispatch>) -> Result<()> {
        for dispatch in dispatches.drain(..) {
            match dispatch {
                Dispatch::Batch(batch) => {
                    let lane = self.senders.get(batch.lane());
                    let lane = lane.ok_or_else(|| Error::internal("a batch for no lane"))?;
                    if lane.send(Job::Batch(batch)).await.is_err() {
                        return Err(self.failure().await);
                    }
                }
                Dispatch::Wait => self.wait().await?,
                _ => return Err(Error::internal("a part of the replay is not known")),
            }
        }
        Ok(())
    }

    /// Waits until everything that was sent is applied.
    async fn wait(&mut self) -> Result<()> {
        let mut waiting = Vec::with_capacity(self.senders.len());
        for lane in &self.senders {
            let (settled, is_settled) = oneshot::channel();
            waiting.push(is_settled);
            if lane.send(Job::Settle(settled)).await.is_err() {
                return Err(self.failure().await);
            }
        }
        for is_settled in waiting {
            if is_settled.await.is_err() {
                return Err(self.failure().await);
            }
        }
        Ok(())
    }

    /// Why a lane ended before its time. What the others were sent is applied, and then they end too.
    async fn failure(&mut self) -> Error {
        self.senders.clear();
        let mut failure = None;
        while let Some(ended) = self.tasks.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => failure = failure.or(Some(error)),
                Err(error) => failure = failure.or(Some(Error::task("replay", error))),
            }
        }
        failure.unwrap_or_else(|| Error::internal("the replay ended before the oplog"))
    }

    /// Makes sure that every collection that was not there was to go anyhow.
    fn check_missing(&self, replayed: &Replayed) -> Result<()> {
        let missing = self.about.missing();
        let lost = missing
            .iter()
            .filter(|(namespace, at)| !replayed.dropped_after(namespace, **at))
            .min_by_key(|(_, at)| **at);
        match lost {
            Some((namespace, at)) => Err(Error::data(format!(
                "the oplog has an operation on it at {at}, and neither the dump nor the oplog before that has the collection"
            ))
            .for_namespace(namespace)),
            None => Ok(()),
        }
    }
}
