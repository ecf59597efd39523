//! Sending operations of an oplog to the target.

use std::collections::HashMap;

use bson::{Document, RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf, cstr, rawdoc};
use mongodb::{Database, error::Error as DriverError};
use rdump_format::Namespace;
use rdump_oplog::{Batch, BatchPart, Entry, OpTime, WriteCommand};

use super::{About, OfTarget, unsound};
use crate::{
    Error, ErrorKind, Result,
    command::{self, code},
    restore::{insert_reply, run::Shared},
    retry::Retries,
};

/// What is done after an interruption.
const AGAIN: &str = "applying the operations again";

impl Shared {
    /// Applies the operations of a batch.
    pub(super) async fn apply(&self, batch: Batch, about: &About) -> Result<()> {
        let first = batch.operation(0);
        if first.is_some_and(|first| first.get_str("op").is_ok_and(|kind| kind == "c")) {
            about.there().clear();
        }
        let batch = self.resolve_rename(batch, &about.of_target).await?;
        let parts = match self.deployment.server.capabilities().documentdb {
            true => batch.without_apply_ops(),
            false => batch.parts(),
        };
        for part in parts {
            match part {
                BatchPart::Command {
                    db,
                    command,
                    operation,
                } => self.command(&db, command, &operation).await?,
                BatchPart::ApplyOps(batch) => self.apply_ops(batch, about).await?,
                BatchPart::Write(write) => self.write(write, about).await?,
            }
        }
        Ok(())
    }

    async fn apply_ops(&self, mut batch: Batch, about: &About) -> Result<()> {
        let admin = self.deployment.database("admin");
        let mut retries = Retries::new(self.options.max_retries);
        let mut fallen = Vec::new();
        loop {
            let sent = self
                .send(&admin, batch.command().to_owned(), &mut retries)
                .await?;
            let error = match sent {
                Ok(_) => break,
                Err(error) => error,
            };
            let position = failed_position(&error);
            let Some(operation) = batch.operation(position) else {
                return Err(command::error(error));
            };
            // Later it is a view or a time-series collection, or is not there at all.
            let is_missing = matches!(
                command::server_code(&error),
                Some(code::NAMESPACE_NOT_FOUND | code::COMMAND_NOT_SUPPORTED_ON_VIEW)
            );
            let code = command::server_code(&error);
            let operation = Applied::of(operation)?;
            if (code, operation.kind.as_str()) == (Some(code::ILLEGAL_OPERATION), "d") {
                let (rest, left_out) = batch.without_deletes(position);
                fallen.extend(left_out);
                match rest {
                    Some(rest) => batch = rest,
                    None => break,
                }
                continue;
            }
            if !is_missing || !matches!(operation.kind.as_str(), "i" | "u" | "d") {
                return Err(self.refused(command::error(error), &operation));
            }
            note(about, operation.namespace, operation.at);
            match batch.without_missing(position) {
                Some(rest) => batch = rest,
                None => break,
            }
        }
        match fallen.is_empty() {
            true => Ok(()),
            false => self.check_fallen(&fallen, about, &mut retries).await,
        }
    }

    /// Looks whether what the oplog deletes of capped collections has fallen out of them, where the server takes no deletes of those.
    async fn check_fallen(
        &self,
        deletes: &[RawDocumentBuf],
        about: &About,
        retries: &mut Retries,
    ) -> Result<()> {
        let mut ids: HashMap<String, RawArrayBuf> = HashMap::new();
        for delete in deletes {
            let namespace = delete.get_str("ns").map_err(Error::from_bson)?;
            let id = delete
                .get_document("o")
                .map_err(Error::from_bson)?
                .get("_id");
            let id = id.map_err(Error::from_bson)?;
            let ids = ids.entry(namespace.to_owned()).or_default();
            id.into_iter().for_each(|id| ids.push(id));
        }
        for (name, ids) in ids {
            let namespace: Namespace = name.parse().map_err(|error| unsound().caused_by(error))?;
            let database = self.deployment.database(&namespace.db);
            let find = rawdoc! {
                "find": namespace.collection.as_str(), "filter": { "_id": { "$in": ids } },
                "projection": { "_id": 1 }, "limit": 1, "singleBatch": true,
            };
            let reply = self.ask(&database, find, retries).await?;
            let reply = reply.map_err(command::error)?;
            let cursor = reply.get_document("cursor").ok();
            let found = cursor.and_then(|cursor| cursor.get_array("firstBatch").ok());
            let is_there = found.is_some_and(|found| !found.is_empty());
            if is_there && about.kept().insert(namespace.clone()) {
                self.problem(
                    &namespace,
                    "it has documents that the oplog deletes: this server takes no deletes from capped collections",
                )?;
            }
        }
        Ok(())
    }

    async fn is_there(&self, namespace: &Namespace, about: &About) -> Result<bool> {
        if about.there().contains(namespace) {
            return Ok(true);
        }
        let is_there = self.listed(namespace).await?.is_some();
        if is_there {
            about.there().insert(namespace.clone());
        }
        Ok(is_there)
    }

    /// Runs a command. That what it makes is there, and what it drops is not, is no failure: it may be said twice.
    async fn command(
        &self,
        db: &str,
        command: RawDocumentBuf,
        operation: &RawDocument,
    ) -> Result<()> {
        let mut retries = Retries::new(self.options.max_retries);
        let database = self.deployment.database(db);
        match self.send(&database, command, &mut retries).await? {
            Ok(_) => Ok(()),
            Err(error) => match command::server_code(&error) {
                Some(code::NAMESPACE_EXISTS | code::NAMESPACE_NOT_FOUND) => Ok(()),
                _ => Err(self.refused(command::error(error), &Applied::of(operation)?)),
            },
        }
    }

    /// Writes as clients do. What a document cannot be updated with is changed by what comes later, as where a server catches up.
    ///
    /// What is not there is not made, as by `applyOps`.
    async fn write(&self, mut write: WriteCommand, about: &About) -> Result<()> {
        let database = self.deployment.database(&write.db);
        let last = write.operations.last();
        let last = Applied::of(last.ok_or_else(|| Error::internal("a write of nothing"))?)?;
        if !self.is_there(&last.namespace, about).await? {
            note(about, last.namespace, last.at);
            return Ok(());
        }
        let mut retries = Retries::new(self.options.max_retries);
        loop {
            let mut command = write.command.clone();
            if self.deployment.server.capabilities().zero_timestamps {
                command.append(cstr!("bypassEmptyTsReplacement"), true);
            }
            let reply = match self.send(&database, command, &mut retries).await? {
                Ok(reply) => insert_reply::WriteReply::of(&reply),
                Err(error) => {
                    let first = write.operations.first();
                    let first = first.ok_or_else(|| Error::internal("a write of nothing"))?;
                    return Err(self.refused(command::error(error), &Applied::of(first)?));
                }
            };
            let Some(failed) = reply.errors.first() else {
                return Ok(());
            };
            let operation = write.operations.get(failed.index);
            let operation = operation.ok_or_else(|| Error::internal("an error of no operation"))?;
            let operation = Applied::of(operation)?;
            let is_later = retries.is_used() || operation.at <= about.fuzzy_until;
            let is_viable = !matches!(failed.error.code, code::PATH_NOT_VIABLE | code::BAD_VALUE);
            if is_later && !is_viable {
                match write.after(failed.index) {
                    Some(rest) => write = rest,
                    None => return Ok(()),
                }
                continue;
            }
            let failure = Error::new(ErrorKind::Invalid, failed.error.to_string());
            if command::is_transient_code(failed.error.code) {
                retries
                    .again_after(&self.cx, Some(&Namespace::oplog()), AGAIN, failure)
                    .await?;
                continue;
            }
            return Err(self.refused(failure, &operation));
        }
    }

    /// Sends a command until there is an answer that will stay the same.
    async fn send(
        &self,
        database: &Database,
        mut command: RawDocumentBuf,
        retries: &mut Retries,
    ) -> Result<std::result::Result<Document, DriverError>> {
        let concern = RawDocumentBuf::try_from(&self.write_concern).map_err(Error::from_bson)?;
        command.append(cstr!("writeConcern"), concern);
        self.ask(database, command, retries).await
    }

    /// As [`send`](Self::send), of what changes nothing.
    async fn ask(
        &self,
        database: &Database,
        command: RawDocumentBuf,
        retries: &mut Retries,
    ) -> Result<std::result::Result<Document, DriverError>> {
        loop {
            let failure = match command::run_raw(database, command.clone()).await {
                Ok(reply) => match insert_reply::concern_error(&reply) {
                    None => return Ok(Ok(reply)),
                    Some(error) => {
                        let unsure = Error::new(
                            ErrorKind::Unavailable,
                            format!(
                                "operations of the oplog were applied, but not acknowledged as asked: {error}"
                            ),
                        );
                        if !command::is_transient_code(error.code) {
                            return Err(unsure);
                        }
                        unsure
                    }
                },
                Err(error) if command::is_transient(&error) => command::error(error),
                Err(error) => return Ok(Err(error)),
            };
            retries
                .again_after(&self.cx, Some(&Namespace::oplog()), AGAIN, failure)
                .await?;
        }
    }

    fn refused(&self, error: Error, operation: &Applied) -> Error {
        let refused = refused(error, &operation.kind, operation.at, &operation.namespace);
        let bypasses = self.options.bypass_document_validation;
        match refused.hint() {
            None if !bypasses => refused.with_hint(
                "the log of the target says why; what was written before its collection got a validator \
                 is let through by --bypassDocumentValidation",
            ),
            _ => refused,
        }
    }

    /// Names the collection that a rename drops as the target knows it, unless that is the target's own.
    async fn resolve_rename(&self, batch: Batch, of_target: &OfTarget) -> Result<Batch> {
        let Some(rename) = batch.renames().cloned() else {
            return Ok(batch);
        };
        if self.listed(&rename.from).await?.is_none() {
            return Ok(batch);
        }
        let replaced = self.listed(&rename.to).await?;
        Ok(match replaced.and_then(|replaced| replaced.uuid) {
            Some(uuid) if of_target.get(&rename.to) == Some(&uuid) => {
                let message = format!(
                    "the target had it, and the dump does not: it is kept as tmp….rename, since the oplog renames {} to it",
                    rename.from
                );
                self.cx.notice(Some(&rename.to), message);
                batch
            }
            Some(uuid) => batch.replace(uuid),
            None => batch,
        })
    }
}

/// Which operation it is that failed.
struct Applied {
    at: OpTime,
    kind: String,
    namespace: Namespace,
}

impl Applied {
    fn of(operation: &RawDocument) -> Result<Self> {
        let parsed =
            Entry::parse(operation.as_bytes()).map_err(|error| unsound().caused_by(error))?;
        let namespace = parsed.namespace().parse().map_err(|error| {
            Error::data("an operation of the oplog names no namespace").caused_by(error)
        })?;
        Ok(Self {
            at: parsed.at(),
            kind: parsed.operation().to_owned(),
            namespace,
        })
    }
}

/// The position of the operation that a server failed at: it gives a result for each up to that one.
fn failed_position(error: &DriverError) -> usize {
    let results = error
        .server_response()
        .and_then(|reply| reply.get("results").ok().flatten())
        .and_then(RawBsonRef::as_array);
    let results = results.map_or(0, |results| results.into_iter().count());
    results.saturating_sub(1)
}

fn note(about: &About, namespace: Namespace, at: OpTime) {
    let mut missing = about.missing();
    let last = missing.entry(namespace).or_default();
    *last = at.max(*last);
}

fn refused(error: Error, kind: &str, at: OpTime, namespace: &Namespace) -> Error {
    let cause = std::error::Error::source(&error)
        .map(ToString::to_string)
        .unwrap_or_default();
    let refused = Error::new(
        error.kind(),
        format!("the operation {kind:?} of the oplog at {at} cannot be applied: {error}"),
    )
    .for_namespace(namespace)
    .caused_by(cause);
    match error.kind() {
        ErrorKind::Denied => refused.with_hint(
            "replaying an oplog needs a role with the action anyAction on anyResource, which no built-in role has",
        ),
        _ => refused,
    }
}
