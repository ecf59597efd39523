//! Where the bytes of a dump live.
//!
//! A [`Location`] says where (today: a folder), [`Location::open`] or [`Location::create`] turns it into
//! a [`Store`]: a flat set of objects, each named by a `/`-separated path, each visible whole or not at
//! all. An object is written through an [`Upload`], which becomes visible only by [`Upload::finish`].
//!
//! Deliberately absent: what the bytes mean (that is `rdump-format`), and any notion of a dump.

mod error;
mod folder;
mod location;
mod sink;
mod store;
mod stream;

pub use error::{Result, StorageError};
pub use folder::FolderStore;
pub use location::Location;
pub use sink::Sink;
pub use store::{Leftover, Listing, Lock, ObjectInfo, Store, Unreadable, Upload};
pub use stream::StreamUpload;
