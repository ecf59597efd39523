//! Packs operations into commands, and says which of them may be sent at once.

mod part;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;

use bson::{RawBson, RawDocument, RawDocumentBuf};
use rdump_format::element::{Elements, Value};

use crate::document::DocumentBuilder;
use crate::lane::Lane;
use crate::{Operation, Rename};

pub use part::{BatchPart, WriteCommand};

/// The longest command of more than one operation, in bytes: what servers take for a document.
const MAX_COMMAND_BYTES: u64 = 16 * 1024 * 1024;

/// What a command has around its operations, in bytes, and a little more.
const AROUND_BYTES: usize = 128;

/// How operations are packed. Memory is `lanes` × `command_bytes`, and as much again for commands under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchOptions {
    /// How many commands may be under way at once. Default: 4.
    pub lanes: NonZeroUsize,
    /// The most operations of one command. Default: 1000.
    pub operations: NonZeroUsize,
    /// How long a command may get, in bytes; 16 MiB at most. Default: 1 MiB.
    ///
    /// An operation is never split, so a command of a single one may be longer.
    pub command_bytes: u64,
    /// Writes what a validator would refuse. Default: no.
    pub bypass_document_validation: bool,
}

impl Default for BatchOptions {
    fn default() -> Self {
        const LANES: NonZeroUsize = NonZeroUsize::new(4).expect("four is not zero");
        const OPERATIONS: NonZeroUsize = NonZeroUsize::new(1000).expect("a thousand is not zero");
        Self {
            lanes: LANES,
            operations: OPERATIONS,
            command_bytes: 1024 * 1024,
            bypass_document_validation: false,
        }
    }
}

impl BatchOptions {
    /// Sets how many commands may be under way at once.
    #[must_use]
    pub fn lanes(mut self, lanes: NonZeroUsize) -> Self {
        self.lanes = lanes;
        self
    }

    /// Sets the most operations of one command.
    #[must_use]
    pub fn operations(mut self, operations: NonZeroUsize) -> Self {
        self.operations = operations;
        self
    }

    /// Sets how long a command may get, in bytes.
    #[must_use]
    pub fn command_bytes(mut self, bytes: u64) -> Self {
        self.command_bytes = bytes;
        self
    }

    /// Sets whether to write what a validator would refuse.
    #[must_use]
    pub fn bypass_document_validation(mut self, bypass: bool) -> Self {
        self.bypass_document_validation = bypass;
        self
    }
}

/// What to do with the commands, in this order.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Dispatch {
    /// Send it once the batch before it in the same lane is applied. Those of other lanes do not matter.
    ///
    /// It may be sent again if the reply got lost: what the oplog says can be said twice.
    Batch(Batch),
    /// Go on once every batch before this is applied.
    Wait,
}

/// Packs operations into `applyOps` commands and distributes them over lanes, so that what depends on
/// each other keeps its order: see the [documentation of the crate](crate#the-order-of-operations).
///
/// # Examples
///
/// ```
/// # use rdump_oplog::{IndexCatalog, Replay, ReplayOptions, ReplayTarget};
/// use rdump_oplog::{BatchOptions, Batcher, Dispatch, Step};
/// # let mut replay = Replay::new(ReplayTarget::new([6, 0, 5]), ReplayOptions::default(), IndexCatalog::new());
/// # let mut steps = Vec::new();
/// # let entry = bson::rawdoc! { "op": "i", "ns": "shop.orders", "o": { "_id": 1 } };
/// # let _ = replay.push(entry.as_bytes(), &mut steps)?;
/// let mut batcher = Batcher::new(BatchOptions::default());
/// let mut dispatches = Vec::new();
/// for step in steps {
///     if let Step::Apply(operation) = step {
///         batcher.push(operation, &mut dispatches);
///     }
/// }
/// batcher.finish(&mut dispatches);
///
/// let [Dispatch::Batch(batch)] = dispatches.as_slice() else {
///     panic!("{dispatches:?}");
/// };
/// assert_eq!(batch.operations(), 1);
/// # Ok::<(), rdump_oplog::ReplayError>(())
/// ```
#[derive(Debug)]
pub struct Batcher {
    options: BatchOptions,
    lanes: Vec<BatchBuilder>,
    /// Whether a batch was given out that nobody waited for.
    is_unsettled: bool,
}

impl Batcher {
    /// Starts without operations.
    #[must_use]
    pub fn new(options: BatchOptions) -> Self {
        let command_bytes = options.command_bytes.min(MAX_COMMAND_BYTES);
        let builder = || BatchBuilder::new(options.bypass_document_validation);
        Self {
            options: BatchOptions {
                command_bytes,
                ..options
            },
            lanes: std::iter::repeat_with(builder)
                .take(options.lanes.get())
                .collect(),
            is_unsettled: false,
        }
    }

    /// Adds an operation, and appends to `dispatches` what is to be done before more are added.
    pub fn push(&mut self, operation: Operation, dispatches: &mut Vec<Dispatch>) {
        let Lane::Shared(hash) = operation.lane else {
            return self.push_alone(operation, dispatches);
        };
        let count = self.lanes.len() as u64;
        let lane = usize::try_from(hash.checked_rem(count).unwrap_or_default()).unwrap_or_default();
        let Some(builder) = self.lanes.get_mut(lane) else {
            return;
        };
        let document = operation.document();
        let bytes = builder.bytes_with(document);
        if builder.operations >= self.options.operations.get() || bytes > self.options.command_bytes
        {
            let batch = builder.build(lane);
            self.is_unsettled |= batch.is_some();
            dispatches.extend(batch.map(Dispatch::Batch));
        }
        builder.push(document);
    }

    /// Appends what is left to `dispatches`.
    pub fn finish(&mut self, dispatches: &mut Vec<Dispatch>) {
        for (lane, builder) in self.lanes.iter_mut().enumerate() {
            let batch = builder.build(lane);
            self.is_unsettled |= batch.is_some();
            dispatches.extend(batch.map(Dispatch::Batch));
        }
    }

    fn push_alone(&mut self, operation: Operation, dispatches: &mut Vec<Dispatch>) {
        self.finish(dispatches);
        if self.is_unsettled {
            dispatches.push(Dispatch::Wait);
        }
        let batch = Batch::alone(operation, self.options.bypass_document_validation);
        dispatches.extend([Dispatch::Batch(batch), Dispatch::Wait]);
        self.is_unsettled = false;
    }
}

/// The operations of one lane that were not given out yet.
#[derive(Debug)]
struct BatchBuilder {
    bypass_document_validation: bool,
    command: DocumentBuilder,
    array: usize,
    operations: usize,
}

impl BatchBuilder {
    fn new(bypass_document_validation: bool) -> Self {
        let mut command = DocumentBuilder::new();
        let array = command.start_array("applyOps");
        Self {
            bypass_document_validation,
            command,
            array,
            operations: 0,
        }
    }

    fn bytes_with(&self, document: &RawDocument) -> u64 {
        let bytes = document.as_bytes().len();
        let bytes = self.command.len().saturating_add(bytes);
        bytes.saturating_add(AROUND_BYTES) as u64
    }

    fn push(&mut self, document: &RawDocument) {
        let position = self.operations.to_string();
        self.command.document(&position, document.as_bytes());
        self.operations = self.operations.saturating_add(1);
    }

    /// What was pushed since the last time, if anything was.
    fn build(&mut self, lane: usize) -> Option<Batch> {
        if self.operations == 0 {
            return None;
        }
        let bypass = self.bypass_document_validation;
        let mut full = std::mem::replace(self, Self::new(bypass));
        full.command.end(full.array);
        // Otherwise the command takes a lock on everything, and those of other lanes wait for it.
        full.command.boolean("allowAtomic", false);
        full.command.boolean("bypassDocumentValidation", bypass);
        Some(Batch {
            lane,
            operations: full.operations,
            bypass_document_validation: bypass,
            command: full.command.build(),
            rename: None,
        })
    }
}

/// Operations for one command.
#[derive(Clone, Debug)]
pub struct Batch {
    lane: usize,
    operations: usize,
    bypass_document_validation: bool,
    command: RawDocumentBuf,
    /// The one operation, if it is a rename.
    rename: Option<Operation>,
}

impl Batch {
    fn alone(operation: Operation, bypass_document_validation: bool) -> Self {
        let mut builder = BatchBuilder::new(bypass_document_validation);
        builder.push(operation.document());
        let batch = builder.build(0);
        let batch = batch.expect("an operation was pushed");
        let is_rename = operation.rename.is_some();
        Self {
            rename: is_rename.then_some(operation),
            ..batch
        }
    }

    /// The lane: less than [`BatchOptions::lanes`].
    #[must_use]
    pub fn lane(&self) -> usize {
        self.lane
    }

    /// How many operations it has.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.operations
    }

    /// The command, for the database `admin`:
    /// `{applyOps: […], allowAtomic: false, bypassDocumentValidation: …}`.
    ///
    /// The server applies the operations in this order and ends with the first that fails. Then the
    /// length of `results` in its reply is the position of that one and 1.
    #[must_use]
    pub fn command(&self) -> &RawDocument {
        &self.command
    }

    /// The operation at this position, for [`Entry::parse`](crate::Entry::parse) to say what it was.
    #[must_use]
    pub fn operation(&self, position: usize) -> Option<&RawDocument> {
        self.documents().nth(position)
    }

    fn documents(&self) -> impl Iterator<Item = &RawDocument> {
        let elements = |document| Elements::of(document).into_iter().flatten().flatten();
        let array = elements(self.command.as_bytes()).next();
        let operations = match array.map(|array| array.value) {
            Some(Value::Array(operations)) => operations.bytes,
            _ => &[],
        };
        elements(operations).filter_map(|element| match element.value {
            Value::Document(operation) => RawDocument::from_bytes(operation.bytes).ok(),
            _ => None,
        })
    }

    /// What is left to send when the operation at this position failed because its collection is not
    /// there (`NamespaceNotFound`): what comes after it, without all else on that collection.
    ///
    /// Servers do not create a collection for an operation, and a dump does not have the ones that were
    /// dropped before it came to them. Only a later drop makes it right to go on:
    /// [`Replayed::dropped_after`](crate::Replayed::dropped_after).
    #[must_use]
    pub fn without_missing(&self, position: usize) -> Option<Self> {
        let namespace = |operation: &RawDocument| operation.get_str("ns").ok().map(str::to_owned);
        let missing = namespace(self.operation(position)?);
        let mut rest = BatchBuilder::new(self.bypass_document_validation);
        for operation in self.documents().skip(position) {
            if namespace(operation) != missing {
                rest.push(operation);
            }
        }
        rest.build(self.lane)
    }

    /// What is left to send when the delete at this position failed because its collection is capped and the server takes no deletes of
    /// those (`IllegalOperation`); and the documents that are not there afterwards: the deletes that are left out, all on that collection from there
    /// on, but those of what is inserted again.
    ///
    /// MongoDB 5.0 writes into its oplog what falls out of a capped collection, and refuses to be told so: there it falls out by itself.
    #[must_use]
    pub fn without_deletes(&self, position: usize) -> (Option<Self>, Vec<RawDocumentBuf>) {
        let is_delete = |operation: &RawDocument| operation.get_str("op").is_ok_and(|op| op == "d");
        let namespace = |operation: &RawDocument| operation.get_str("ns").ok().map(str::to_owned);
        let id = |operation: &RawDocument| {
            let object = operation.get_document("o").ok()?;
            object.get("_id").ok()?.map(RawBson::from)
        };
        let refused = self.operation(position).and_then(namespace);
        let mut rest = BatchBuilder::new(self.bypass_document_validation);
        let mut left_out: Vec<RawDocumentBuf> = Vec::new();
        for operation in self.documents().skip(position) {
            let is_there = namespace(operation) == refused;
            match is_delete(operation) && is_there {
                true => left_out.push(operation.to_owned()),
                false => rest.push(operation),
            }
            if is_there && operation.get_str("op").is_ok_and(|op| op == "i") {
                left_out.retain(|deleted| id(deleted) != id(operation));
            }
        }
        (rest.build(self.lane), left_out)
    }

    /// The rename that this batch is, unless UUIDs are preserved; then it needs no further thought.
    ///
    /// A collection that is there under the new name has to be dropped, and the oplog knows it only by its
    /// UUID at the source. So look up both names at the target, after what is before this batch is applied.
    /// If both are there, [`replace`](Self::replace) the one with the new name. Otherwise the server would
    /// move that one to a name of its own making, `tmpXXXXX.rename`, where it stays: right for a collection
    /// that the target had before, and nobody asked to drop.
    ///
    /// If the collection is not there under its old name, the dump has it under the new one already. Then
    /// `replace` would drop just that: send the batch as it is, and it does nothing.
    #[must_use]
    pub fn renames(&self) -> Option<&Rename> {
        self.rename.as_ref()?.rename.as_ref()
    }

    /// Drops the collection of this UUID, which has the new name at the target.
    #[must_use]
    pub fn replace(self, uuid: [u8; 16]) -> Self {
        match self.rename {
            Some(operation) => {
                Self::alone(operation.dropping(uuid), self.bypass_document_validation)
            }
            None => self,
        }
    }
}
