//! Snapshots whose data is in a storage class that is not read from.

use std::collections::HashSet;

use futures::{StreamExt, TryStreamExt, stream};
use rdump_storage::{ClassState, Listed, ObjectInfo};

use super::Snapshot;
use crate::{Error, ErrorKind, Result};

/// How many objects are asked for their class at once.
pub(super) const LOOKS_AT_ONCE: usize = 16;

impl Snapshot {
    /// Refuses to begin to read objects of its folder of which one is frozen: what a reader has done until it comes to that
    /// could be worse than nothing.
    pub(super) async fn check_readable(
        &self,
        wanted: impl Iterator<Item = &str> + Send,
    ) -> Result<()> {
        let store = &**self.store();
        if !store.has_classes() {
            return Ok(());
        }
        let (id, folder) = (self.id(), self.id().folder());
        let wanted: HashSet<&str> = wanted.collect();
        let mut cold: Vec<ObjectInfo> = Vec::new();
        let mut listed = store.list(&folder);
        while let Some(listed) = listed.try_next().await? {
            if let Listed::Object(object) = listed
                && object.is_of_freezing_class()
                && object
                    .path
                    .strip_prefix(&folder)
                    .is_some_and(|path| wanted.contains(path))
            {
                cold.push(object);
            }
        }
        drop(listed);
        let (all, some) = (wanted.len(), cold.len());
        let looks = cold.into_iter().map(async |object| {
            let class = store.class(&object.path).await?;
            Ok::<_, Error>((object, class))
        });
        let looks: Vec<_> = looks.collect();
        let mut looks = stream::iter(looks).buffer_unordered(LOOKS_AT_ONCE);
        while let Some((object, class)) = looks.try_next().await? {
            // One that is gone is missed by who reads it.
            let Some(class) = class.filter(|class| !class.is_readable()) else {
                continue;
            };
            let state = match class.state {
                ClassState::Thawing => "is being thawed from",
                _ => "is frozen in",
            };
            return Err(Error::new(
                ErrorKind::Frozen,
                format!(
                    "{} {state} storage class {}, and {some} of the {all} data objects of snapshot {id} that are wanted are in such a class",
                    object.path, class.name
                ),
            )
            .at(object.path)
            .with_hint(format!(
                "`rdump thaw --snapshot {id} --wait` asks the store to thaw them, and waits"
            )));
        }
        Ok(())
    }
}
