//! The documents of a ledger. Pure.
//!
//! ```text
//! { _id, planned: [ { ns, create, uuid }, … ] }                             every namespace, so many a document
//! { _id, planned, begun: { version, dump, started_at, tool_version, options, namespaces, skipped, kept } }   the last of these
//! { _id, done: [ { ns, uuid, first, segments, documents, failed }, … ] }    from time to time
//! { _id, stage: "oplog" | "indexes" }                                       once it begins
//! { _id, replayed: "seconds:ordinal", waits_from: "seconds:ordinal" }        from time to time: everything until then is replayed, but what waits of
//!                                                                           capped collections, from another moment on
//! ```

use std::{collections::HashMap, ops::Range};

use bson::{Uuid, oid::ObjectId};
use rdump_format::{Namespace, OpTime};
use serde::{Deserialize, Serialize};

/// The version that this build writes, and the only one that it reads.
pub(in crate::restore) const VERSION: i32 = 1;
/// The most entries of one document: some hundred bytes each.
const MOST_ENTRIES: usize = 2_000;

/// One document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::restore) struct LedgerDocument {
    /// A new one by default.
    #[serde(rename = "_id")]
    id: ObjectId,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    planned: Vec<First>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    begun: Option<Begun>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    done: Vec<Done>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stage: Option<Stage>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replayed: Option<OpTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    waits_from: Option<OpTime>,
}

/// How far an oplog is replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::restore) struct ReplayedUntil {
    pub(in crate::restore) until: OpTime,
    /// The moment from which on something of capped collections is not, unless it is later.
    pub(in crate::restore) waits_from: Option<OpTime>,
}

/// What is restored, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::restore) struct Begun {
    pub(in crate::restore) version: i32,
    /// The identity of the dump.
    pub(in crate::restore) dump: String,
    /// RFC 3339, UTC.
    pub(in crate::restore) started_at: String,
    pub(in crate::restore) tool_version: String,
    /// The options, as JSON.
    pub(in crate::restore) options: String,
    /// How many namespaces are planned.
    pub(in crate::restore) namespaces: u64,
    /// What only the oplog has, and is left as it was at the target; by its name in the dump.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::restore) skipped: Vec<Namespace>,
    /// What the target had and keeps, of what the oplog makes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::restore) kept: Vec<First>,
}

/// What the first run planned to do with one namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::restore) struct First {
    pub(in crate::restore) ns: Namespace,
    pub(in crate::restore) create: bool,
    /// The UUID of what was there and stays.
    pub(in crate::restore) uuid: Option<Uuid>,
}

/// Segments of one namespace, one after the other, whose documents are in, or were refused for good.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::restore) struct Done {
    pub(in crate::restore) ns: Namespace,
    /// The UUID of the collection that they are in.
    pub(in crate::restore) uuid: Option<Uuid>,
    /// The number of the first one.
    pub(in crate::restore) first: u64,
    /// How many; none where it only says that the collection was made.
    pub(in crate::restore) segments: u64,
    /// How many documents of them were inserted.
    pub(in crate::restore) documents: u64,
    /// How many were refused.
    pub(in crate::restore) failed: u64,
}

/// What comes after all documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::restore) enum Stage {
    Oplog,
    Indexes,
}

impl LedgerDocument {
    /// What a restore begins with: who reads the last document has all others. Mostly it is the only one.
    pub(super) fn beginning(begun: Begun, planned: &[First]) -> Vec<Self> {
        let planned = planned.chunks(MOST_ENTRIES).map(|planned| Self {
            planned: planned.to_vec(),
            ..Self::default()
        });
        let mut documents: Vec<Self> = planned.collect();
        let mut last = documents.pop().unwrap_or_default();
        last.begun = Some(begun);
        documents.push(last);
        documents
    }

    /// What is done since it was last written down.
    pub(super) fn done(mut done: Vec<Done>) -> Vec<Self> {
        done.sort_by(|one, other| (&one.ns, one.first).cmp(&(&other.ns, other.first)));
        done.dedup_by(|next, last| last.takes_in(next));
        let documents = done.chunks(MOST_ENTRIES).map(|done| Self {
            done: done.to_vec(),
            ..Self::default()
        });
        documents.collect()
    }

    pub(super) fn stage(stage: Stage) -> Self {
        Self {
            stage: Some(stage),
            ..Self::default()
        }
    }
}

impl LedgerDocument {
    pub(super) fn replayed(replayed: ReplayedUntil) -> Self {
        Self {
            replayed: Some(replayed.until),
            waits_from: replayed.waits_from,
            ..Self::default()
        }
    }
}

impl Done {
    fn range(&self) -> Range<u64> {
        self.first..self.first.saturating_add(self.segments)
    }

    /// Takes in what follows, if it does.
    fn takes_in(&mut self, next: &Self) -> bool {
        let follows = self.ns == next.ns
            && self.uuid == next.uuid
            && self.segments > 0
            && self.range().end == next.first;
        if follows {
            self.segments += next.segments;
            self.documents += next.documents;
            self.failed += next.failed;
        }
        follows
    }
}

/// What of a namespace is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::restore) struct Progress {
    /// The collection that it is in.
    pub(in crate::restore) uuid: Option<Uuid>,
    /// The numbers of the segments, in ascending order.
    pub(in crate::restore) segments: Vec<Range<u64>>,
    pub(in crate::restore) documents: u64,
    pub(in crate::restore) failed: u64,
}

impl Progress {
    /// What is noted of one collection, if anything is. Of what was noted twice, by two runs at once, nothing counts: it is
    /// inserted again.
    pub(in crate::restore) fn of(noted: &[Done], uuid: Uuid) -> Option<Self> {
        let uuid = Some(uuid);
        let mut noted: Vec<&Done> = noted.iter().filter(|done| done.uuid == uuid).collect();
        if noted.is_empty() {
            return None;
        }
        noted.sort_by_key(|done| (done.first, done.segments));
        let mut progress = Self {
            uuid,
            ..Self::default()
        };
        for done in noted.into_iter().filter(|done| done.segments > 0) {
            let (range, last) = (done.range(), progress.segments.last_mut());
            match last {
                Some(last) if range.start < last.end => {
                    return Some(Self {
                        uuid,
                        ..Self::default()
                    });
                }
                Some(last) if range.start == last.end => last.end = range.end,
                _ => progress.segments.push(range),
            }
            progress.documents = progress.documents.saturating_add(done.documents);
            progress.failed = progress.failed.saturating_add(done.failed);
        }
        Some(progress)
    }
}

/// A ledger that was read: a restore that did not finish.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::restore) struct Unfinished {
    pub(in crate::restore) id: ObjectId,
    pub(in crate::restore) begun: Begun,
    pub(in crate::restore) planned: HashMap<Namespace, First>,
    pub(in crate::restore) done: HashMap<Namespace, Vec<Done>>,
    pub(in crate::restore) stages: Vec<Stage>,
    pub(in crate::restore) replayed: Option<ReplayedUntil>,
}

impl Unfinished {
    /// What the documents of a ledger say; `None` if its run had changed nothing yet.
    pub(super) fn of(id: ObjectId, documents: Vec<LedgerDocument>) -> Option<Self> {
        let (mut begun, mut planned, mut stages) = (None, HashMap::new(), Vec::new());
        let mut replayed: Option<ReplayedUntil> = None;
        let mut done: HashMap<Namespace, Vec<Done>> = HashMap::new();
        for document in documents {
            begun = begun.or(document.begun);
            planned.extend(document.planned.into_iter().map(|it| (it.ns.clone(), it)));
            for noted in document.done {
                done.entry(noted.ns.clone()).or_default().push(noted);
            }
            stages.extend(document.stage);
            if let Some(until) = document.replayed
                && replayed.is_none_or(|before| before.until <= until)
            {
                let waits_from = document.waits_from;
                replayed = Some(ReplayedUntil { until, waits_from });
            }
        }
        let begun = begun.filter(|begun: &Begun| {
            begun.version != VERSION || begun.namespaces == planned.len() as u64
        })?;
        Some(Self {
            id,
            begun,
            planned,
            done,
            stages,
            replayed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Option<Uuid> = Some(Uuid::from_bytes([1; 16]));
    const THERE: Option<Uuid> = Some(Uuid::from_bytes([2; 16]));

    fn done(uuid: Option<Uuid>, first: u64, segments: u64) -> Done {
        Done {
            ns: Namespace::new("db", "c"),
            uuid,
            first,
            segments,
            documents: segments * 10,
            failed: segments,
        }
    }

    fn begun(namespaces: u64) -> Begun {
        Begun {
            version: VERSION,
            dump: "d".to_owned(),
            started_at: "2026-01-31T23:59:59Z".to_owned(),
            tool_version: "1.2.3".to_owned(),
            options: "{}".to_owned(),
            namespaces,
            skipped: Vec::new(),
            kept: Vec::new(),
        }
    }

    fn planned(number: usize) -> First {
        First {
            ns: Namespace::new("db", format!("c{number}")),
            create: number.is_multiple_of(2),
            uuid: HERE,
        }
    }

    fn again(document: &LedgerDocument) -> LedgerDocument {
        let bytes = bson::serialize_to_vec(document).unwrap();
        assert!(bytes.len() < 1 << 20, "{} bytes", bytes.len());
        bson::deserialize_from_slice(&bytes).unwrap()
    }

    #[test]
    fn what_is_written_is_read_and_no_document_is_long() {
        let first: Vec<_> = (0..20_000).map(planned).collect();
        let mut documents = LedgerDocument::beginning(begun(20_000), &first);
        let noted = (0..20_000).map(|number| Done {
            ns: planned(number).ns,
            ..done(HERE, 0, 1)
        });
        documents.extend(LedgerDocument::done(noted.collect()));
        documents.push(LedgerDocument::stage(Stage::Indexes));
        let documents: Vec<_> = documents.iter().map(again).collect();
        let id = ObjectId::new();
        let found = Unfinished::of(id, documents.clone()).unwrap();
        assert_eq!((found.id, &found.begun), (id, &begun(20_000)));
        assert_eq!((found.planned.len(), found.done.len()), (20_000, 20_000));
        assert_eq!(found.planned[&planned(7).ns], planned(7));
        assert_eq!(found.stages, [Stage::Indexes]);
        // Cut off anywhere before its end, the beginning says nothing.
        for count in 0..first.len().div_ceil(MOST_ENTRIES) {
            assert_eq!(Unfinished::of(id, documents[..count].to_vec()), None);
        }
    }

    #[test]
    fn what_follows_is_noted_as_one() {
        let noted = vec![
            done(HERE, 3, 1),
            done(HERE, 0, 0),
            done(HERE, 1, 1),
            done(HERE, 0, 1),
        ];
        let [document] = &LedgerDocument::done(noted)[..] else {
            panic!("it is one document");
        };
        let [empty, two, one] = &document.done[..] else {
            panic!("{document:?}");
        };
        assert_eq!((empty.first, empty.segments), (0, 0));
        assert_eq!(
            (two.first, two.segments, two.documents, two.failed),
            (0, 2, 20, 2)
        );
        assert_eq!((one.first, one.segments), (3, 1));
        assert!(LedgerDocument::done(Vec::new()).is_empty());
    }

    #[test]
    fn what_is_in_another_collection_of_the_name_does_not_count() {
        let noted = [
            done(THERE, 0, 9),
            done(HERE, 4, 2),
            done(HERE, 0, 4),
            done(None, 6, 1),
        ];
        let progress = Progress::of(&noted, HERE.unwrap()).unwrap();
        let six = Range { start: 0, end: 6 };
        assert_eq!(progress.segments, [six]);
        assert_eq!((progress.documents, progress.failed), (60, 6));
        assert_eq!(Progress::of(&noted, Uuid::from_bytes([3; 16])), None);
        let made = Progress::of(&[done(HERE, 0, 0)], HERE.unwrap()).unwrap();
        assert_eq!((made.uuid, made.segments.len()), (HERE, 0));
    }

    #[test]
    fn what_two_runs_noted_at_once_does_not_count() {
        for overlapping in [done(HERE, 0, 1), done(HERE, 2, 2), done(HERE, 0, 4)] {
            let noted = [done(HERE, 0, 3), overlapping];
            let progress = Progress::of(&noted, HERE.unwrap()).unwrap();
            assert_eq!(progress.segments, []);
            assert_eq!((progress.uuid, progress.documents), (HERE, 0));
        }
    }
}
