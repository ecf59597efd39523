//! What was found of snapshots when they were verified.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use rdump_format::repository::{SnapshotId, VERIFIED, VerificationRecord};

use super::{PARALLEL_READS, Repository, Snapshot, read_record};
use crate::{ErrorKind, Result, retention::Look};

/// What is known of a snapshot by its verifications.
#[derive(Clone, Copy, Debug)]
pub(super) struct Looked {
    pub(super) look: Look,
    /// When the last of them ended.
    pub(super) at: Option<Timestamp>,
}

impl Repository {
    /// What was found of each snapshot that was verified: once it was found damaged, it is, until all of it was read again and found whole.
    pub(super) async fn looks(
        &self,
        snapshots: &[Snapshot],
    ) -> Result<BTreeMap<SnapshotId, Looked>> {
        let all = snapshots.iter();
        let all = all.map(|it| (it.id().clone(), it.manifest().run.stored_bytes));
        let all: &BTreeMap<SnapshotId, u64> = &all.collect();
        let mut numbers: BTreeMap<SnapshotId, BTreeSet<u32>> = BTreeMap::new();
        let mut listed = self.store().list(VERIFIED);
        while let Some(listed) = listed.try_next().await? {
            if let Some((id, number)) = VerificationRecord::parse_path(listed.path()) {
                numbers.entry(id).or_default().insert(number);
            }
        }
        let read = stream::iter(numbers).map(|(id, numbers)| async move {
            let (mut look, mut at) = (Look::None, None);
            for number in numbers.into_iter().rev() {
                let path = format!("{VERIFIED}{id}-{number}.json");
                let read = read_record(&**self.store(), &path, VerificationRecord::from_bytes);
                let record = match read.await? {
                    Some(Ok(record)) => record,
                    // What cannot be read says nothing.
                    Some(Err(error)) if error.kind() != ErrorKind::Data => return Err(error),
                    _ => continue,
                };
                at = at.max(record.verified_at.parse().ok());
                if record.damaged > 0 {
                    look = Look::Damaged;
                    break;
                }
                look = Look::Whole;
                if record.from == 0 && all.get(&id).is_some_and(|all| record.bytes >= *all) {
                    break;
                }
            }
            Ok((id, Looked { look, at }))
        });
        read.buffered(PARALLEL_READS).try_collect().await
    }
}
