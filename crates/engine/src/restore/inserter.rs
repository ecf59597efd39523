//! Sending one batch until the fate of each of its documents is known.
//!
//! A batch whose reply got lost is sent again as it was. What an earlier attempt inserted then shows up as a duplicate
//! of itself: the stored document is read, and if it is ours it counts as inserted. So no document is lost, and none is
//! counted twice.

use std::sync::atomic::{AtomicBool, Ordering};

use bson::{RawDocument, RawDocumentBuf, doc, rawdoc};
use futures::TryStreamExt;
use mongodb::Database;
use rdump_format::Namespace;

use super::{
    insert_batch::{InsertBatch, InsertHead},
    insert_reply::{ServerError, WriteReply},
    top_level::is_same_but_for_timestamps,
    zero_timestamps,
};
use crate::{
    Error, ErrorKind, Problem, Result,
    command::{self, code},
    context::RunContext,
    retry::Retries,
};

/// Messages about refused documents that are kept of one batch.
const KEPT_MESSAGES: usize = 3;

/// Inserts batches into one collection.
#[derive(Debug)]
pub(super) struct Inserter {
    pub(super) cx: RunContext,
    pub(super) database: Database,
    /// The namespace as the user knows it.
    pub(super) namespace: Namespace,
    /// The collection that is inserted into.
    pub(super) collection: String,
    pub(super) head: InsertHead,
    pub(super) ordered: bool,
    /// Whether the server has to be told that buckets are meant, and not measurements.
    pub(super) raw_data: bool,
    pub(super) write_concern: bson::Document,
    pub(super) max_retries: u32,
    /// Whether an earlier run may have inserted what is to be inserted, or may have left it under way.
    pub(super) may_be_there: bool,
    /// Whether a document may come twice, either of which will do.
    pub(super) may_repeat: bool,
    /// Whether the server was told that buckets may have mixed schemas.
    pub(super) mixed_schema: AtomicBool,
}

/// What became of the documents of a batch.
#[derive(Debug, Default)]
pub(super) struct BatchOutcome {
    pub(super) documents: u64,
    pub(super) uncompressed_bytes: u64,
    /// How many of the documents may be there only once with others, since an `_id` came twice.
    pub(super) repeated_documents: u64,
    pub(super) failed_documents: u64,
    /// Why the first few failed.
    pub(super) messages: Vec<String>,
    /// Why the run has to end. What became of documents that are not counted is not known then.
    pub(super) error: Option<Error>,
}

/// The documents of a batch, by what is known of them. Indexes are ascending.
#[derive(Default)]
struct Fate {
    pending: Vec<usize>,
    inserted: Vec<usize>,
    repeated_documents: u64,
    failed_documents: u64,
    messages: Vec<String>,
    /// Whether an attempt may have inserted what is pending.
    uncertain: bool,
    /// Whether mixed schemas were allowed when it was sent last.
    mixed_schema: bool,
}

impl Inserter {
    /// Inserts a batch.
    pub(super) async fn insert(&self, batch: &InsertBatch) -> BatchOutcome {
        let mut fate = Fate {
            pending: (0..batch.len()).collect(),
            uncertain: self.may_be_there,
            ..Fate::default()
        };
        let error = self.settle(batch, &mut fate).await.err();
        let bytes = |index: &usize| batch.document(*index).len() as u64;
        BatchOutcome {
            documents: fate.inserted.len() as u64,
            uncompressed_bytes: fate.inserted.iter().map(bytes).sum(),
            repeated_documents: fate.repeated_documents,
            failed_documents: fate.failed_documents,
            messages: fate.messages,
            error,
        }
    }

    /// Sends the documents of a batch until nothing is pending.
    async fn settle(&self, batch: &InsertBatch, fate: &mut Fate) -> Result<()> {
        let mut retries = Retries::new(self.max_retries);
        while !fate.pending.is_empty() {
            fate.mixed_schema = self.mixed_schema.load(Ordering::Relaxed);
            let reply = command::run_raw(&self.database, self.command(batch, &fate.pending)?).await;
            match reply {
                Ok(reply) => {
                    self.judge(batch, fate, WriteReply::of(&reply), &mut retries)
                        .await?;
                }
                Err(error) => {
                    fate.uncertain = true;
                    retries
                        .again(&self.cx, Some(&self.namespace), WHAT, error)
                        .await?;
                }
            }
        }
        fate.inserted.sort_unstable();
        self.keep_timestamps(batch, &fate.inserted, &mut retries)
            .await
    }

    fn command(&self, batch: &InsertBatch, pending: &[usize]) -> Result<RawDocumentBuf> {
        let bytes = match pending.len() == batch.len() {
            true => batch.command().to_vec(),
            false => self
                .head
                .command(pending.iter().map(|index| batch.document(*index))),
        };
        raw(bytes)
    }

    /// Sorts the documents that were sent by what the server said of them.
    async fn judge(
        &self,
        batch: &InsertBatch,
        fate: &mut Fate,
        reply: WriteReply,
        retries: &mut Retries,
    ) -> Result<()> {
        let sent = std::mem::take(&mut fate.pending);
        let Some(attempted) = reply.attempted(sent.len(), self.ordered) else {
            return Err(Error::internal(format!(
                "the server says that it inserted {} of {} documents, and refused {}",
                reply.documents,
                sent.len(),
                reply.errors.len()
            ))
            .for_namespace(&self.namespace));
        };
        let (mut inserted, mut again, mut passing, mut mixed, mut fatal) =
            (Vec::new(), Vec::new(), None, false, None);
        let mut errors = reply.errors.into_iter().peekable();
        for (position, document) in sent.iter().copied().enumerate() {
            if position >= attempted {
                again.push(document);
                continue;
            }
            let Some(error) = errors.next_if(|error| error.index == position) else {
                inserted.push(document);
                continue;
            };
            match error.error.code {
                // It is of a document that is the dump's own: nothing else was there.
                code::DUPLICATE_KEY if self.may_repeat && error.is_about_id => {
                    fate.repeated_documents += 1;
                    inserted.push(document);
                }
                code::DUPLICATE_KEY
                    if fate.uncertain
                        && error.is_about_id
                        && self.is_stored(batch.document(document), retries).await? =>
                {
                    inserted.push(document);
                }
                code::DUPLICATE_KEY | code::DOCUMENT_VALIDATION_FAILURE => {
                    fate.failed_documents += 1;
                    if fate.messages.len() < KEPT_MESSAGES {
                        fate.messages.push(error.error.to_string());
                    }
                }
                // Another worker may have allowed them since.
                code::MIXED_SCHEMA_BUCKET if !fate.mixed_schema => {
                    mixed = true;
                    again.push(document);
                }
                code if command::is_transient_code(code) => {
                    again.push(document);
                    passing = Some(error.error);
                }
                _ => {
                    fate.failed_documents += 1;
                    fatal.get_or_insert_with(|| self.refused(&error.error));
                }
            }
        }
        match reply.concern_error {
            // What was inserted may be rolled back, so it is sent once more.
            Some(error) if command::is_transient_code(error.code) => {
                again.append(&mut inserted);
                again.sort_unstable();
                fate.uncertain = true;
                passing = Some(error);
            }
            Some(error) => {
                let message =
                    format!("documents were inserted, but not acknowledged as asked: {error}");
                let error = Error::new(ErrorKind::Unavailable, message);
                fatal.get_or_insert_with(|| error.for_namespace(&self.namespace));
            }
            None => {}
        }
        if !inserted.is_empty() {
            retries.progressed();
        }
        fate.inserted.append(&mut inserted);
        if let Some(error) = fatal {
            return Err(error);
        }
        fate.pending = again;
        if self.ordered && fate.failed_documents > 0 {
            // The run ends here, and what comes later in the order must not be there.
            fate.pending.clear();
            return Ok(());
        }
        if mixed && !self.mixed_schema.load(Ordering::Relaxed) {
            self.allow_mixed_schema(retries).await?;
        }
        match passing {
            Some(error) => {
                retries
                    .again_after(&self.cx, Some(&self.namespace), WHAT, self.passing(&error))
                    .await
            }
            None => Ok(()),
        }
    }

    fn passing(&self, error: &ServerError) -> Error {
        Error::new(
            ErrorKind::Unavailable,
            format!("the server could not insert: {error}"),
        )
        .for_namespace(&self.namespace)
    }

    fn refused(&self, error: &ServerError) -> Error {
        Error::invalid(format!("the server refused a document: {error}"))
            .for_namespace(&self.namespace)
    }

    /// Whether the document of the same `_id` at the target is this one.
    async fn is_stored(&self, document: &[u8], retries: &mut Retries) -> Result<bool> {
        let document_fields = RawDocument::from_bytes(document).ok();
        let id = document_fields.and_then(|document| document.get("_id").ok().flatten());
        let Some(id) = id else { return Ok(false) };
        let mut find = rawdoc! {
            "find": self.collection.as_str(), "filter": { "_id": { "$eq": id } }, "limit": 1, "singleBatch": true,
        };
        if self.raw_data {
            find.append(bson::cstr!("rawData"), true);
        }
        loop {
            let found = async {
                let cursor = self.database.run_raw_cursor_command(find.clone()).await?;
                cursor.with_type::<RawDocumentBuf>().try_next().await
            };
            match found.await {
                Ok(found) => {
                    return Ok(found.is_some_and(|found| {
                        is_same_but_for_timestamps(document, found.as_bytes())
                    }));
                }
                // Who may not read learns that a document was refused, although it may be ours.
                Err(error) if command::server_code(&error) == Some(code::UNAUTHORIZED) => {
                    return Ok(false);
                }
                Err(error) => {
                    retries
                        .again(
                            &self.cx,
                            Some(&self.namespace),
                            "looking for a document",
                            error,
                        )
                        .await?;
                }
            }
        }
    }

    /// Old buckets may hold what a server does not expect of new ones.
    async fn allow_mixed_schema(&self, retries: &mut Retries) -> Result<()> {
        let collection = self.namespace.collection.as_str();
        let command =
            doc! { "collMod": collection, "timeseriesBucketsMayHaveMixedSchemaData": true };
        loop {
            match self.database.run_command(command.clone()).await {
                Ok(_) => break,
                Err(error) => {
                    retries
                        .again(
                            &self.cx,
                            Some(&self.namespace),
                            "allowing mixed schemas",
                            error,
                        )
                        .await?;
                }
            }
        }
        self.mixed_schema.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Writes back the zero timestamps that the server replaced in documents that were inserted.
    async fn keep_timestamps(
        &self,
        batch: &InsertBatch,
        inserted: &[usize],
        retries: &mut Retries,
    ) -> Result<()> {
        let documents = batch
            .zero_timestamps()
            .iter()
            .filter(|index| inserted.binary_search(index).is_ok());
        let documents: Vec<&[u8]> = documents.map(|index| batch.document(*index)).collect();
        for (command, updates) in
            zero_timestamps::updates(&self.collection, &self.write_concern, &documents)?
        {
            let command = raw(command)?;
            loop {
                let reply = match command::run_raw(&self.database, command.clone()).await {
                    Ok(reply) => WriteReply::of(&reply),
                    // The built-in role `restore` may insert, and not update.
                    Err(error) if command::server_code(&error) == Some(code::UNAUTHORIZED) => {
                        let message = "this server puts its time in the place of zero timestamps, and this user may \
                                       not update documents to put them back";
                        self.cx
                            .problem(Problem::new(Some(&self.namespace), message));
                        return Ok(());
                    }
                    Err(error) => {
                        retries
                            .again(&self.cx, Some(&self.namespace), WHAT_TIMESTAMPS, error)
                            .await?;
                        continue;
                    }
                };
                let error = reply
                    .errors
                    .first()
                    .map(|error| &error.error)
                    .or(reply.concern_error.as_ref());
                match error {
                    None if reply.documents == updates => break,
                    None => {
                        return Err(Error::conflict(
                            "documents went away before their timestamps could be restored",
                        )
                        .for_namespace(&self.namespace));
                    }
                    Some(error) if command::is_transient_code(error.code) => {
                        let error = self.passing(error);
                        retries
                            .again_after(&self.cx, Some(&self.namespace), WHAT_TIMESTAMPS, error)
                            .await?;
                    }
                    Some(error) => return Err(self.refused(error)),
                }
            }
        }
        Ok(())
    }
}

const WHAT: &str = "inserting a batch again";
const WHAT_TIMESTAMPS: &str = "restoring zero timestamps again";

fn raw(command: Vec<u8>) -> Result<RawDocumentBuf> {
    RawDocumentBuf::from_bytes(command)
        .map_err(|error| Error::internal("a command is not sound").caused_by(error))
}

#[cfg(test)]
mod tests {
    use bson::oid::ObjectId;
    use mongodb::Client;

    use super::*;
    use crate::restore::insert_batch::{BatchBuilder, BatchLimits};

    #[tokio::test]
    async fn a_batch_that_was_sent_before_mixed_schemas_were_allowed_is_sent_again_once() {
        // TOOLS-3575.
        let (documents, bytes) = (10, 1 << 20);
        let head = InsertHead::new(&doc! { "insert": "c" }).unwrap();
        let mut batches = BatchBuilder::new(head.clone(), BatchLimits { documents, bytes }, false);
        let document = rawdoc! { "_id": 1 };
        batches.push(document.as_bytes(), Vec::new, ObjectId::new);
        let batch = batches.finish().unwrap();
        // Nothing listens there, and nothing is sent.
        let client = Client::with_uri_str("mongodb://127.0.0.1:1").await.unwrap();
        let inserter = Inserter {
            cx: RunContext::default(),
            database: client.database("db"),
            namespace: Namespace::new("db", "c"),
            collection: "c".to_owned(),
            head,
            ordered: false,
            raw_data: false,
            write_concern: doc! {},
            max_retries: 0,
            may_be_there: false,
            may_repeat: false,
            // As another worker has set it.
            mixed_schema: AtomicBool::new(true),
        };
        let mut retries = Retries::new(0);
        let error = doc! { "index": 0, "code": code::MIXED_SCHEMA_BUCKET, "errmsg": "mixed" };
        let reply = || WriteReply::of(&doc! { "n": 0, "writeErrors": [&error] });
        let mut fate = Fate {
            pending: vec![0],
            ..Fate::default()
        };
        let judged = inserter.judge(&batch, &mut fate, reply(), &mut retries);
        judged.await.unwrap();
        assert_eq!(fate.pending, [0]);
        fate.mixed_schema = true;
        let judged = inserter.judge(&batch, &mut fate, reply(), &mut retries);
        assert_eq!(judged.await.unwrap_err().kind(), ErrorKind::Invalid);
    }
}
