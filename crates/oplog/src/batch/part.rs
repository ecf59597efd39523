//! Batches with updates that newer servers do not take from an oplog.
//!
//! Until 4.4 an oplog said by [operators](https://www.mongodb.com/docs/manual/reference/operator/update/) how a document was updated, and the entries that are made of change
//! events do so too. Later servers refuse that in `applyOps`; an `update` does the same everywhere.

use std::ops::Range;

use bson::{RawDocument, RawDocumentBuf};
use rdump_format::element::{Element, Elements, Value};

use super::{Batch, BatchBuilder};
use crate::document::DocumentBuilder;

/// A part of a batch, as it is sent.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever sends a batch has to send all of it"
)]
pub enum BatchPart {
    /// An `applyOps` for the database `admin`.
    ApplyOps(Batch),
    /// An `update` or `delete`.
    Write(WriteCommand),
    /// A command, for this database.
    Command {
        /// The database.
        db: String,
        /// The command, without a write concern.
        command: RawDocumentBuf,
        /// The operation.
        operation: RawDocumentBuf,
    },
}

/// Operations on documents of one collection as a command that clients write with.
///
/// They are said so that they can be said twice. The server ends with the first that fails.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WriteCommand {
    /// The database that it is for.
    pub db: String,
    /// The command, without a write concern.
    pub command: RawDocumentBuf,
    /// The operations, in this order.
    pub operations: Vec<RawDocumentBuf>,
    bypass_document_validation: bool,
}

impl WriteCommand {
    /// What is left after the operation at this position; `None` if that is nothing.
    #[must_use]
    pub fn after(&self, position: usize) -> Option<Self> {
        let rest = self.operations.get(position.saturating_add(1)..)?;
        let first = rest.first()?;
        let rest: Vec<_> = rest.iter().map(|it| &**it).collect();
        let namespace = first.get_str("ns").unwrap_or_default();
        let bypasses = self.bypass_document_validation;
        Some(Self::new(namespace, Kind::of(first), &rest, bypasses))
    }

    fn new(
        namespace: &str,
        kind: Kind,
        operations: &[&RawDocument],
        bypass_document_validation: bool,
    ) -> Self {
        let (db, collection) = namespace.split_once('.').unwrap_or((namespace, ""));
        let (name, array) = match kind {
            Kind::Delete => ("delete", "deletes"),
            Kind::Update | Kind::Other => ("update", "updates"),
        };
        let mut command = DocumentBuilder::new();
        command.string(name, collection);
        let start = command.start_array(array);
        for (position, operation) in operations.iter().enumerate() {
            let statement = match kind {
                Kind::Delete => deletion(operation),
                Kind::Update | Kind::Other => update(operation),
            };
            command.document(&position.to_string(), statement.as_bytes());
        }
        command.end(start);
        if bypass_document_validation && kind != Kind::Delete {
            command.boolean("bypassDocumentValidation", true);
        }
        Self {
            bypass_document_validation,
            db: db.to_owned(),
            command: command.build(),
            operations: operations
                .iter()
                .map(|it| RawDocument::to_owned(it))
                .collect(),
        }
    }
}

impl Batch {
    /// What is sent for it, one after the other: itself, unless operations are among those that `applyOps` may refuse.
    ///
    /// Operations on different collections may change places, which does not matter in a lane.
    #[must_use]
    pub fn parts(self) -> Vec<BatchPart> {
        let has_operators = self.documents().any(is_by_operators);
        match has_operators {
            true => self.into_writes(true),
            false => vec![BatchPart::ApplyOps(self)],
        }
    }

    /// As [`parts`](Self::parts), for a server that has no `applyOps`: what can be said otherwise is.
    #[must_use]
    pub fn without_apply_ops(self) -> Vec<BatchPart> {
        let parts = self.into_writes(false).into_iter();
        let parts = parts.flat_map(|part| match part {
            BatchPart::ApplyOps(batch) => batch.into_commands(),
            part => vec![part],
        });
        parts.collect()
    }

    /// Commands that stand for themselves; what is none stays as it is.
    fn into_commands(self) -> Vec<BatchPart> {
        let command = |operation: &RawDocument| {
            let is_command = operation.get_str("op").is_ok_and(|kind| kind == "c");
            let object = operation.get_document("o").ok().filter(|_| is_command)?;
            let name = elements(object.as_bytes()).next()?.name;
            let db = match name {
                b"renameCollection" => "admin",
                _ => operation.get_str("ns").ok()?.split('.').next()?,
            };
            let mut command = DocumentBuilder::new();
            for element in elements(object.as_bytes()) {
                match (name, element.name) {
                    (b"create", b"idIndex") => {}
                    // There it says which collection has the name now.
                    (b"renameCollection", b"dropTarget") => command.boolean("dropTarget", true),
                    (b"renameCollection", b"stayTemp") => {}
                    _ => command.copy(&element),
                }
            }
            Some(BatchPart::Command {
                db: db.to_owned(),
                command: command.build(),
                operation: operation.to_owned(),
            })
        };
        let commands: Option<Vec<_>> = self.documents().map(command).collect();
        commands.unwrap_or_else(|| vec![BatchPart::ApplyOps(self)])
    }

    /// As writes: all that can be, or all on collections of which something has to be.
    fn into_writes(self, only_where_needed: bool) -> Vec<BatchPart> {
        let mut namespaces: Vec<(&str, Vec<&RawDocument>)> = Vec::new();
        for operation in self.documents() {
            let namespace = operation.get_str("ns").unwrap_or_default();
            match namespaces.iter_mut().find(|(known, _)| *known == namespace) {
                Some((_, operations)) => operations.push(operation),
                None => namespaces.push((namespace, vec![operation])),
            }
        }
        let mut parts = Vec::new();
        for (namespace, operations) in namespaces {
            if only_where_needed && !operations.iter().any(|it| is_by_operators(it)) {
                parts.extend(self.apply_ops(&operations));
                continue;
            }
            let kinds: Vec<_> = operations.iter().map(|it| Kind::of(it)).collect();
            for Range { start, end } in runs(&kinds) {
                let run = operations.get(start..end).unwrap_or_default();
                match kinds.get(start) {
                    Some(Kind::Other) | None => parts.extend(self.apply_ops(run)),
                    Some(kind) => parts.push(BatchPart::Write(WriteCommand::new(
                        namespace,
                        *kind,
                        run,
                        self.bypass_document_validation,
                    ))),
                }
            }
        }
        parts
    }

    fn apply_ops(&self, operations: &[&RawDocument]) -> Option<BatchPart> {
        let mut builder = BatchBuilder::new(self.bypass_document_validation);
        operations.iter().for_each(|it| builder.push(it));
        builder.build(self.lane).map(BatchPart::ApplyOps)
    }
}

/// What an operation becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Update,
    Delete,
    /// Part of an `applyOps`.
    Other,
}

impl Kind {
    fn of(operation: &RawDocument) -> Self {
        let has_id = id(operation).is_some();
        match operation.get_str("op") {
            Ok("i" | "u") if has_id && !is_diff(operation) => Self::Update,
            Ok("d") if has_id => Self::Delete,
            _ => Self::Other,
        }
    }
}

/// Where the same comes one after the other.
fn runs(kinds: &[Kind]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for run in kinds.chunk_by(|one, next| one == next) {
        let start = runs.last().map_or(0, |run| run.end);
        runs.push(start..start.saturating_add(run.len()));
    }
    runs
}

/// `{q: {_id: …}, u: …, upsert: …}`: an insert replaces what is there, a replacement inserts what is not.
fn update(operation: &RawDocument) -> RawDocumentBuf {
    let mut statement = query(operation);
    let object = operation.get_document("o").map(RawDocument::as_bytes);
    let object = object.unwrap_or_default();
    if is_by_operators(operation) {
        let mut change = DocumentBuilder::new();
        for element in elements(object).filter(|element| element.name != b"$v") {
            change.copy(&element);
        }
        statement.document("u", change.build().as_bytes());
    } else {
        statement.document("u", object);
        statement.boolean("upsert", true);
    }
    statement.build()
}

/// `{q: {_id: …}, limit: 1}`
fn deletion(operation: &RawDocument) -> RawDocumentBuf {
    let mut statement = query(operation);
    statement.int32("limit", 1);
    statement.build()
}

/// `{q: {_id: {$eq: …}}}`
fn query(operation: &RawDocument) -> DocumentBuilder {
    let (mut equal, mut id_is) = (DocumentBuilder::new(), DocumentBuilder::new());
    if let Some(id) = id(operation) {
        equal.raw(b"$eq", id.raw);
    }
    id_is.document("_id", equal.build().as_bytes());
    let mut statement = DocumentBuilder::new();
    statement.document("q", id_is.build().as_bytes());
    statement
}

/// The `_id` of the document that an operation is about.
fn id(operation: &RawDocument) -> Option<Element<'_>> {
    let object = |name| operation.get_document(name).ok().map(RawDocument::as_bytes);
    let object = match operation.get_str("op") {
        Ok("u") => object("o2"),
        _ => object("o"),
    };
    elements(object?).find(|element| element.name == b"_id")
}

/// Whether it is an update by operators: `{$v: 1, $set: {…}}`, where `$v` may be missing.
fn is_by_operators(operation: &RawDocument) -> bool {
    let is_update = operation.get_str("op").is_ok_and(|kind| kind == "u");
    if !is_update || is_diff(operation) {
        return false;
    }
    let object = operation.get_document("o").map(RawDocument::as_bytes);
    let first = object.ok().and_then(|object| elements(object).next());
    first.is_some_and(|element| element.name.starts_with(b"$"))
}

/// Whether it is an update by `{$v: 2, diff: {…}}`.
fn is_diff(operation: &RawDocument) -> bool {
    let Ok(object) = operation.get_document("o") else {
        return false;
    };
    let mut fields = elements(object.as_bytes());
    let is_version = |element: Element<'_>| element.name == b"$v";
    let is_diff = |element: Element<'_>| {
        element.name == b"diff" && matches!(element.value, Value::Document(_))
    };
    fields.next().is_some_and(is_version) && fields.next().is_some_and(is_diff)
}

fn elements(document: &[u8]) -> impl Iterator<Item = Element<'_>> {
    Elements::of(document).into_iter().flatten().flatten()
}
