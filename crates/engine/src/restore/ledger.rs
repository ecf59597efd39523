//! What a restore notes in the target while it runs, so that another run can go on with it.
//!
//! A ledger is a collection of its own. Documents are only ever added to it, which the built-in role `restore` may do, and
//! it is dropped when the restore is done. It may be behind what was done, and never ahead of it.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use bson::{Document, RawDocumentBuf, Uuid, doc, oid::ObjectId};
use futures::TryStreamExt;
use mongodb::{
    Database,
    options::{ReadPreference, SelectionCriteria},
};
use rdump_format::{Digest, Namespace, RESTORES_DATABASE};
use tokio::sync::Mutex as AsyncMutex;

use super::{insert_reply::WriteReply, plan::PlannedNamespace, run::Shared};
use crate::{
    Error, ErrorKind, Problem, Result,
    command::{self, code},
    connect::Deployment,
    context::RunContext,
    retry::patiently,
};

mod record;

pub(super) use record::{
    Begun, Done, First, LedgerDocument, Progress, ReplayedUntil, Stage, Unfinished, VERSION,
};

/// The shortest time from writing down what is done to doing it again.
const PAUSE: Duration = Duration::from_secs(1);

/// What a run notes.
#[derive(Debug)]
pub(super) struct PlannedLedger {
    pub(super) id: ObjectId,
    /// What it begins with; nothing if an earlier run has begun it.
    pub(super) beginning: Option<(Begun, Vec<First>)>,
}

/// The ledger of a run.
#[derive(Debug)]
pub(super) struct Ledger {
    cx: RunContext,
    database: Database,
    id: ObjectId,
    write_concern: Document,
    max_retries: u32,
    /// What is done and not written down.
    done: Mutex<Vec<Done>>,
    /// When it was written down.
    written: AsyncMutex<Instant>,
}

impl Ledger {
    /// Notes segments; writes down what is noted if it is time to.
    async fn note(&self, done: Done) -> Result<()> {
        lock(&self.done).push(done);
        match self.written.try_lock() {
            Ok(mut written) if written.elapsed() >= PAUSE => self.write(&mut written).await,
            // It is not, or somebody is at it.
            _ => Ok(()),
        }
    }

    /// Writes down all that is noted.
    async fn flush(&self) -> Result<()> {
        let mut written = self.written.lock().await;
        self.write(&mut written).await
    }

    async fn write(&self, written: &mut Instant) -> Result<()> {
        let done = std::mem::take(&mut *lock(&self.done));
        for document in LedgerDocument::done(done) {
            self.insert(&document).await?;
        }
        *written = Instant::now();
        Ok(())
    }

    async fn insert(&self, document: &LedgerDocument) -> Result<()> {
        let document = bson::serialize_to_document(document).map_err(Error::from_bson)?;
        let insert = doc! {
            "insert": self.id.to_hex(), "documents": [document], "writeConcern": self.write_concern.clone(),
        };
        let insert = || async {
            let reply = WriteReply::of(&command::run(&self.database, insert.clone()).await?);
            // An attempt whose reply got lost is a duplicate of itself.
            let mut errors = reply.errors.into_iter().map(|error| error.error);
            let error = errors.find(|error| error.code != code::DUPLICATE_KEY);
            let Some(error) = error.or(reply.concern_error) else {
                return Ok(());
            };
            let kind = match command::is_transient_code(error.code) {
                true => ErrorKind::Unavailable,
                false => ErrorKind::Invalid,
            };
            let message = format!("the server did not take what the restore notes: {error}");
            Err(Error::new(kind, message))
        };
        let what = "noting what is restored";
        patiently(&self.cx, self.max_retries, None, what, insert).await
    }

    fn namespace(&self) -> Namespace {
        namespace(self.id)
    }

    /// Whether it is time to write down again what is done.
    pub(super) async fn is_due(&self) -> bool {
        self.written.lock().await.elapsed() >= PAUSE
    }

    /// Writes down how far the oplog is replayed.
    pub(super) async fn replayed(&self, replayed: ReplayedUntil) -> Result<()> {
        self.insert(&LedgerDocument::replayed(replayed)).await?;
        *self.written.lock().await = Instant::now();
        Ok(())
    }
}

/// Notes the segments of one namespace.
#[derive(Debug)]
pub(super) struct Noting<'a> {
    ledger: &'a Ledger,
    ns: Namespace,
    uuid: Option<Uuid>,
    /// The segments of which some documents are under way.
    open: Mutex<HashMap<u64, Open>>,
}

/// A segment of which some documents are under way.
#[derive(Debug, Default)]
struct Open {
    pending: u64,
    documents: u64,
    failed: u64,
}

impl Noting<'_> {
    /// Says that the documents of a segment are about to be inserted.
    pub(super) fn open(&self, segment: u64, documents: u64) {
        let open = Open {
            pending: documents,
            ..Open::default()
        };
        lock(&self.open).insert(segment, open);
    }

    /// Says that so many documents of a segment are in, and so many were refused for good.
    pub(super) async fn settle(&self, segment: u64, documents: u64, failed: u64) -> Result<()> {
        let done = {
            let mut all = lock(&self.open);
            let Some(open) = all.get_mut(&segment) else {
                return Err(Error::internal(format!("segment {segment} was not begun")));
            };
            open.pending = open.pending.saturating_sub(documents + failed);
            open.documents += documents;
            open.failed += failed;
            if open.pending > 0 {
                return Ok(());
            }
            all.remove(&segment)
        };
        let Open {
            documents, failed, ..
        } = done.unwrap_or_default();
        let done = self.done(segment, 1, documents, failed);
        self.ledger.note(done).await
    }

    /// Writes down that the collection is there, and ours.
    pub(super) async fn made(&self) -> Result<()> {
        lock(&self.ledger.done).push(self.done(0, 0, 0, 0));
        self.ledger.flush().await
    }

    fn done(&self, first: u64, segments: u64, documents: u64, failed: u64) -> Done {
        Done {
            ns: self.ns.clone(),
            uuid: self.uuid,
            first,
            segments,
            documents,
            failed,
        }
    }

    /// What gives ids to documents that have none.
    pub(super) fn ids(&self) -> MadeIds {
        let id = self.ledger.id.bytes();
        let seed = [&id[..], self.ns.to_string().as_bytes()].concat();
        MadeIds {
            seed: Digest::of(&seed).0,
            id,
        }
    }
}

/// Gives ids to documents that have none: the same to the same one, whichever run it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct MadeIds {
    id: [u8; 12],
    seed: [u8; 32],
}

impl MadeIds {
    /// The id of a document by its place in a segment.
    pub(super) fn of(&self, segment: u64, document: u64) -> ObjectId {
        // The first four bytes are the time. The others differ within a collection, up to 2^32 segments of as many documents.
        let mut bytes = self.id;
        let mut seed = [0; 8];
        seed.iter_mut()
            .zip(self.seed)
            .for_each(|(to, from)| *to = from);
        let place = (segment << 32).wrapping_add(document);
        let place = u64::from_be_bytes(seed).wrapping_add(place).to_be_bytes();
        bytes
            .iter_mut()
            .skip(4)
            .zip(place)
            .for_each(|(to, from)| *to = from);
        ObjectId::from_bytes(bytes)
    }
}

impl Shared {
    /// Drops ledgers that must not be believed any more.
    pub(super) async fn drop_ledgers(&self, outdated: &[ObjectId]) -> Result<()> {
        for id in outdated {
            let dropped = self.drop_ledger(*id).await;
            dropped.map_err(|error| {
                error.for_namespace(&namespace(*id)).with_hint(
                    "a restore that did not finish has noted there what would not be true any more: drop this collection",
                )
            })?;
        }
        Ok(())
    }

    async fn drop_ledger(&self, id: ObjectId) -> Result<()> {
        let database = self.deployment.database(RESTORES_DATABASE);
        let collection = database.collection::<Document>(&id.to_hex());
        let drop = || async { collection.drop().await.map_err(command::error) };
        let what = "dropping what a restore has noted";
        patiently(&self.cx, self.options.max_retries, None, what, drop).await
    }

    /// Begins the ledger, or opens it again. Where it cannot be written, a notice says so, and the restore does without.
    pub(super) async fn begin_ledger(&mut self, planned: PlannedLedger) -> Result<()> {
        let ledger = Ledger {
            cx: self.cx.clone(),
            database: self.deployment.database(RESTORES_DATABASE),
            id: planned.id,
            write_concern: self.write_concern.clone(),
            max_retries: self.options.max_retries,
            done: Mutex::default(),
            written: AsyncMutex::new(Instant::now()),
        };
        let begun = async {
            if let Some((begun, planned)) = planned.beginning {
                for document in LedgerDocument::beginning(begun, &planned) {
                    ledger.insert(&document).await?;
                }
            }
            Ok::<_, Error>(())
        };
        match begun.await {
            Ok(()) => self.ledger = Some(ledger),
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => {
                let message =
                    format!("this restore cannot be gone on with if it is interrupted: {error}");
                self.cx.notice(Some(&ledger.namespace()), message);
            }
        }
        Ok(())
    }

    /// Writes down all that is noted, and what comes now.
    pub(super) async fn begin_stage(&self, stage: Stage) -> Result<()> {
        let Some(ledger) = &self.ledger else {
            return Ok(());
        };
        ledger.flush().await?;
        ledger.insert(&LedgerDocument::stage(stage)).await
    }

    /// Drops the ledger: there is nothing to go on with any more.
    pub(super) async fn end_ledger(&self) {
        let Some(ledger) = &self.ledger else { return };
        if let Err(error) = self.drop_ledger(ledger.id).await {
            let message = format!(
                "the restore is done, and what it has noted there could not be dropped: {error}"
            );
            let namespace = ledger.namespace();
            self.cx.problem(Problem::new(Some(&namespace), message));
        }
    }

    /// What notes the segments of a namespace whose collection is made, if there is a ledger.
    pub(super) async fn noting(&self, planned: &PlannedNamespace) -> Result<Option<Noting<'_>>> {
        let Some(ledger) = self.ledger.as_ref().filter(|_| planned.steps.is_noted) else {
            return Ok(None);
        };
        let noting = |uuid| Noting {
            ledger,
            ns: planned.namespace.clone(),
            uuid,
            open: Mutex::default(),
        };
        if let Some(progress) = &planned.steps.progress
            && progress.uuid.is_some()
        {
            return Ok(Some(noting(progress.uuid)));
        }
        let listed = self.listed(planned.inserted_into()).await?;
        let uuid = listed.and_then(|listed| listed.uuid);
        let noting = noting(uuid.map(Uuid::from_bytes));
        if !planned.steps.is_repeatable {
            noting.made().await?;
        }
        Ok(Some(noting))
    }
}

fn namespace(id: ObjectId) -> Namespace {
    Namespace::new(RESTORES_DATABASE, id.to_hex())
}

/// The ledgers in a deployment, of which none but those that were begun wholly counts, without what is done; with it, if it is
/// that of one restore. What cannot be read is named, and is none.
pub(super) async fn unfinished(
    deployment: &Deployment,
    only: Option<ObjectId>,
    max_retries: u32,
    cx: &RunContext,
) -> Result<Vec<Unfinished>> {
    let database = deployment.database(RESTORES_DATABASE);
    let primary = SelectionCriteria::ReadPreference(ReadPreference::Primary);
    let what = "looking for restores that did not finish";
    let ids = match only {
        Some(id) => vec![id],
        None => {
            let list = || async {
                let names = database.list_collection_names().await;
                names.map_err(command::error)
            };
            let names = patiently(cx, max_retries, None, what, list).await?;
            let ids = names
                .iter()
                .filter_map(|name| ObjectId::parse_str(name).ok());
            ids.collect()
        }
    };
    let filter = match only {
        Some(_) => doc! {},
        None => doc! { "done": { "$exists": false } },
    };
    let mut found = Vec::new();
    for id in ids {
        let collection = database.collection::<RawDocumentBuf>(&id.to_hex());
        let read = || async {
            let find = collection.find(filter.clone());
            let cursor = find.selection_criteria(primary.clone()).await;
            let documents = cursor.map_err(command::error)?.try_collect::<Vec<_>>();
            documents.await.map_err(command::error)
        };
        let documents = patiently(cx, max_retries, None, what, read).await?;
        let documents = documents.iter().map(|document| {
            let read = bson::deserialize_from_slice(document.as_bytes());
            read.map_err(Error::from_bson)
        });
        match documents.collect::<Result<Vec<LedgerDocument>>>() {
            Ok(documents) => found.extend(Unfinished::of(id, documents)),
            Err(error) => {
                let message = format!("what is noted there cannot be read, and is left: {error}");
                cx.notice(Some(&namespace(id)), message);
            }
        }
    }
    Ok(found)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
