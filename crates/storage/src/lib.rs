//! Where the bytes of a dump live.
//!
//! A [`Location`] says where (today: a folder), [`Location::open`] or [`Location::create`] turns it into
//! a [`Store`]: a flat set of objects, each named by a `/`-separated path, each visible whole or not at
//! all. A small object is [`put`](Store::put) at once, if need be under a condition; a large one is written through an
//! [`Upload`], which becomes visible only by [`Upload::finish`]. A [`MemoryStore`] is one without a location.
//! Whoever has a store of another kind finds in [`conformance`] what it has to do.
//!
//! Deliberately absent: what the bytes mean (that is `rdump-format`), and any notion of a dump.

mod class;
pub mod conformance;
mod error;
mod folder;
mod location;
mod memory;
mod object;
mod posture;
mod read_ahead;
mod s3;
mod sink;
mod sns;
mod source;
mod store;
mod stream;

pub use class::{ClassState, ObjectClass, Retrieval, ThawRequest};
pub use error::{Result, StorageError};
pub use folder::FolderStore;
pub use location::{Location, OpenStore};
pub use memory::MemoryStore;
pub use object::{
    Leftover, Listed, Listing, ObjectChecksum, ObjectInfo, PutIf, Retention, Unreadable, Version,
};
pub use posture::{Lifecycle, ObjectLock, Posture, Told, UnfinishedUpload};
pub use read_ahead::{ObjectReader, ReadAhead, read_ahead};
pub use s3::{S3Checksum, S3Credentials, S3Location, S3Options, S3Retention, S3Store};
pub use sink::Sink;
pub use sns::{SnsError, SnsTopic};
pub use store::{Capabilities, Lock, Store, Upload};
pub use stream::StreamUpload;
