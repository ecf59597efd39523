//! The MongoDB [oplog](https://www.mongodb.com/docs/manual/core/replica-set-oplog/) as values: no I/O, no driver, no
//! clock.
//!
//! Bytes of oplog entries go in; what has to be done about them comes out. Nothing is sent anywhere, the
//! same entries give the same values, and no input makes it panic or overflow its stack.
//!
//! | module | what it knows |
//! |---|---|
//! | `entry` | the fields of an entry, whichever server wrote it |
//! | `change_event` | the same, told by a change stream |
//! | `capture` | what must not happen while a dump goes on |
//! | `slice` | what is stored of a span of time |
//! | `filter` | what is not replayed |
//! | `remap` | what is left of entries for some collections, perhaps under other names |
//! | `transaction` | what counts only once it is committed |
//! | `index_catalog` | indexes, which are built when everything else is done |
//! | `replay` | what each entry means for the target |
//! | `lane`, `batch` | which operations must keep their order, and how they are packed into commands |
//!
//! # The order of operations
//!
//! Applying one operation takes a server much less time than answering a command, so many go into one
//! `applyOps`, and several of those are under way at once.
//!
//! Nothing but the index on `_id` exists while an oplog is replayed, so that an operation on a document
//! depends on that document alone, and the outcome for it on the order of the operations on it alone.
//! What every other operation does meanwhile does not matter:
//!
//! * An `i`, `u` or `d` names its document by `_id`, in `o` or `o2`. `applyOps` makes a replacement of an
//!   insert of what is there, and on servers before 8.1 an insert of an update of what is not: both
//!   still look at one document.
//! * A transaction is no exception. mongorestore too applies its operations one by one, once it is
//!   committed, and nobody reads a target that is being restored.
//! * The buckets of a time-series collection are documents like others, with an ObjectId.
//!
//! So operations get a *lane* by namespace and `_id`: what is in one lane keeps its order, and lanes are
//! independent. What must not be overlooked is that equal ids are equal by the rules of the server: `1`,
//! `1.0` and `NumberLong(1)` are one document, in sub-documents too; see `lane/id.rs`.
//!
//! A namespace gets one lane for all of its documents when there is more to their order:
//!
//! * Capped collections hold the order itself, and which documents fall out depends on it.
//! * With a default collation other than the simple one ids that differ can be equal. That holds when
//!   nothing is known of a collection, too.
//! * If the target has a unique index already, on a collection that was not dropped, the order in which a
//!   value moves from one document to another counts.
//! * `system.*` and `config.*` have such indexes (`system.users`), and views depend on each other.
//!
//! Commands are applied alone: everything before them first, everything after them later. So is an
//! operation that does not say which document it is about.
//!
//! A lane is chosen by the name of the collection at that time. If UUIDs are preserved, an operation
//! reaches its collection under another name that it may have got before the dump; all of its operations
//! up to the next command have the same name, though, and so the same lanes.

#![warn(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

mod ahead;
mod batch;
mod capture;
mod change_event;
mod document;
mod entry;
mod filter;
mod index_catalog;
mod lane;
mod remap;
mod replay;
mod slice;
mod touched;
mod transaction;
mod unknown;

pub use ahead::{Ahead, CreatedCollection, RenamedCollection};
pub use batch::{Batch, BatchOptions, BatchPart, Batcher, Dispatch, WriteCommand};
pub use capture::{CaptureError, RESHARDING_COLLECTIONS, changes_catalog, check_captured};
pub use change_event::{ChangeEvent, ChangeEventError, EventEntries};
pub use entry::{Entry, EntryError};
pub use filter::is_skipped;
pub use index_catalog::{CollectionIndexes, DefaultCollation, IndexCatalog};
pub use rdump_format::{OpTime, OpTimeError, OpTimeLimit};
pub use remap::{RemapError, Remapped, remap};
pub use replay::{
    Disposition, Notice, Operation, Rename, Replay, ReplayError, ReplayOptions, ReplayTarget,
    Replayed, Step,
};
pub use slice::{GatheredSlice, OpenTransactions, SliceBuilder, SliceError, entry_mark};
pub use touched::{Becomes, Touch, touched};
pub use transaction::{TransactionKey, UnfinishedTransaction, is_of_transaction};
pub use unknown::Unknown;
