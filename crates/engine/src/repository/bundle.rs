//! Bundles: a snapshot as one tar stream, which holds the objects of a repository under their own names.
//!
//! ```text
//! repository.json          where the snapshot comes from
//! copies/<id>.json         the root of the manifest, so that it is known what comes
//! keys/<id>-<n>.json       its keys, wrapped, if it is encrypted
//! begun/<id>-<n>.json      one for each attempt
//! snapshots/<id>/catalog/  the catalog
//! snapshots/<id>/parts/    the parts of the manifest
//! snapshots/<id>/data/     the data objects that count, in the order of the parts, the oplog after all others
//! manifests/<id>.json      the root again: without it there is no snapshot
//! ```
//!
//! What was written so and is taken apart by any tar is a repository. `docs/format.md`, *Bundle*, is the authority.

use std::collections::HashSet;

use futures::TryStreamExt;
use rdump_format::{Namespace, repository::DataObject};

use super::{Snapshot, snapshot::Object};
use crate::Result;

mod input;
mod reader;
mod unbundle;
mod writer;

pub use reader::BundleReader;
pub use unbundle::UnbundleReport;
pub use writer::BundleReport;

/// The most bytes that come before the data objects, since they are kept in memory by whoever reads.
const MAX_HEAD_BYTES: u64 = 1 << 30;

/// The data objects, in the order in which they are in a bundle: those that count, or of a snapshot that is encrypted all of
/// them, since it cannot be told which count.
pub(super) async fn data_objects(snapshot: &Snapshot) -> Result<Vec<Object>> {
    let mut objects = Vec::new();
    if snapshot.manifest().is_encrypted() {
        for part in &snapshot.manifest().parts {
            let index = snapshot.index(part).await?;
            objects.extend(index.objects.into_iter().map(Object::closed));
        }
        return Ok(objects);
    }
    let stored = snapshot.stored(None, |_| true).await?;
    let counting = stored.values().flat_map(|stored| &stored.objects);
    let counting: HashSet<_> = counting.map(|object| object.path.as_str()).collect();
    let mut parts = snapshot.parts();
    while let Some(part) = parts.try_next().await? {
        let counts = |object: &DataObject| counting.contains(object.path.as_str());
        let of_part = part.objects.into_iter().filter(counts);
        objects.extend(of_part.map(Object::of));
    }
    // It is replayed over everything else. The sort is stable.
    let is_oplog = |object: &Object| object.namespace.as_ref().is_some_and(Namespace::is_oplog);
    objects.sort_by_key(is_oplog);
    Ok(objects)
}
