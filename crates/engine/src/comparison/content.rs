//! Contents that can be compared without being in memory. Pure.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use bson::{RawDocument, RawDocumentBuf};
use rdump_format::{
    Digest,
    element::{Element, Elements},
};

use super::{expiring::Expiring, replayed::Becoming};
use crate::{Error, Result};

/// Into how many parts a collection is divided to find out where it differs.
pub(super) const BUCKETS: usize = 4096;

/// How many documents there are, and a digest that does not depend on their order: the sum of theirs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) documents: u64,
    sum: [u64; 4],
}

impl Content {
    fn add(&mut self, digest: &Digest) {
        self.documents += 1;
        let mut carry = false;
        for (sum, bytes) in self.sum.iter_mut().zip(digest.0.as_chunks().0) {
            let (with, first) = sum.overflowing_add(u64::from_le_bytes(*bytes));
            let (with, second) = with.overflowing_add(u64::from(carry));
            (*sum, carry) = (with, first || second);
        }
    }

    pub(super) fn digest(&self) -> Digest {
        let mut digest = Digest([0; 32]);
        let bytes = self.sum.iter().flat_map(|word| word.to_le_bytes());
        for (to, from) in digest.0.iter_mut().zip(bytes) {
            *to = from;
        }
        digest
    }
}

/// What a document is known by: the digest of its `_id`, or of all of it where it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key([u8; 16]);

impl Key {
    pub(super) fn of_id(id: &Element<'_>) -> Self {
        let (kind, value) = id.raw;
        Self::of(&[&[kind], value].concat())
    }

    fn of(bytes: &[u8]) -> Self {
        let mut key = [0; 16];
        for (to, from) in key.iter_mut().zip(Digest::of(bytes).0) {
            *to = from;
        }
        Self(key)
    }

    fn of_document(document: &[u8]) -> Result<Self> {
        for element in Elements::of(document).map_err(malformed)? {
            let element = element.map_err(malformed)?;
            if element.name == b"_id" {
                return Ok(Self::of_id(&element));
            }
        }
        Ok(Self::of(document))
    }

    fn bucket(self) -> usize {
        let [first, second, ..] = self.0;
        usize::from(u16::from_le_bytes([first, second])) % BUCKETS
    }
}

fn malformed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::data("a document is malformed").caused_by(error)
}

/// Which of the documents of a collection are compared.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    /// What a replay made of documents, if there was one.
    pub(super) replayed: Option<Arc<HashMap<Key, Becoming>>>,
    /// Whether these are the documents of before the replay.
    pub(super) is_before: bool,
    /// Those that go away by themselves.
    pub(super) expiring: Arc<Expiring>,
}

/// How closely is looked.
#[derive(Clone, Debug)]
pub(super) enum Closeness {
    /// At all documents together.
    Whole,
    /// At each bucket.
    Buckets,
    /// At each document of these buckets.
    Documents(Arc<HashSet<usize>>),
}

/// What was gathered of a collection.
#[derive(Debug)]
pub(super) enum Gathered {
    Whole(Content),
    Buckets(Vec<Content>),
    Documents(BTreeMap<Key, Seen>),
}

/// A document that was looked at by itself.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) digest: Digest,
    /// `{ _id: … }`, where that is known.
    pub(super) id: Option<RawDocumentBuf>,
}

/// Gathers documents.
#[derive(Debug)]
pub(super) struct Gatherer {
    rules: Rules,
    wanted: Arc<HashSet<usize>>,
    gathered: Gathered,
    /// How many were not compared, since they go away by themselves.
    expiring: u64,
    /// How many were not compared, since what a replay makes of them is not known.
    changed: u64,
}

impl Gatherer {
    pub(super) fn new(rules: Rules, closeness: &Closeness) -> Self {
        let gathered = match closeness {
            Closeness::Whole => Gathered::Whole(Content::default()),
            Closeness::Buckets => Gathered::Buckets(vec![Content::default(); BUCKETS]),
            Closeness::Documents(_) => Gathered::Documents(BTreeMap::new()),
        };
        let wanted = match closeness {
            Closeness::Documents(wanted) => Arc::clone(wanted),
            Closeness::Whole | Closeness::Buckets => Arc::default(),
        };
        Self {
            rules,
            wanted,
            gathered,
            expiring: 0,
            changed: 0,
        }
    }

    /// Takes whole documents, one after the other.
    pub(super) fn take(&mut self, body: &[u8]) -> Result<()> {
        for document in rdump_format::documents(body) {
            self.push(document.map_err(malformed)?)?;
        }
        Ok(())
    }

    fn push(&mut self, document: &[u8]) -> Result<()> {
        if self.rules.expiring.may_go(document) {
            self.expiring += 1;
            return Ok(());
        }
        let needs_key =
            self.rules.replayed.is_some() || !matches!(self.gathered, Gathered::Whole(_));
        let key = match needs_key {
            true => Some(Key::of_document(document)?),
            false => None,
        };
        if let (Some(replayed), Some(key)) = (&self.rules.replayed, &key) {
            match replayed.get(key) {
                Some(Becoming::Changed) => {
                    self.changed += 1;
                    return Ok(());
                }
                Some(_) if self.rules.is_before => return Ok(()),
                Some(_) | None => {}
            }
        }
        self.add(key, Digest::of(document), || id_of(document));
        Ok(())
    }

    fn add(
        &mut self,
        key: Option<Key>,
        digest: Digest,
        id: impl FnOnce() -> Option<RawDocumentBuf>,
    ) {
        match (&mut self.gathered, key) {
            (Gathered::Whole(content), _) => content.add(&digest),
            (Gathered::Buckets(buckets), Some(key)) => {
                if let Some(content) = buckets.get_mut(key.bucket()) {
                    content.add(&digest);
                }
            }
            (Gathered::Documents(seen), Some(key)) if self.wanted.contains(&key.bucket()) => {
                let id = id();
                seen.insert(key, Seen { digest, id });
            }
            (Gathered::Buckets(_) | Gathered::Documents(_), _) => {}
        }
    }

    /// Ends; what the replay is known to have made of documents is added to those of before it.
    pub(super) fn finish(mut self) -> Read {
        if let (Some(replayed), true) = (self.rules.replayed.clone(), self.rules.is_before) {
            for (key, becoming) in &*replayed {
                if let Becoming::Is(digest) = becoming {
                    self.add(Some(*key), *digest, || None);
                }
            }
        }
        Read {
            gathered: self.gathered,
            expiring: self.expiring,
            changed: self.changed,
        }
    }
}

/// What was read of a collection.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) gathered: Gathered,
    pub(super) expiring: u64,
    pub(super) changed: u64,
}

fn id_of(document: &[u8]) -> Option<RawDocumentBuf> {
    let document = RawDocument::from_bytes(document).ok()?;
    let mut id = RawDocumentBuf::new();
    id.append(bson::cstr!("_id"), document.get("_id").ok()??);
    Some(id)
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    fn whole(documents: &[RawDocumentBuf]) -> Content {
        let mut gatherer = Gatherer::new(Rules::default(), &Closeness::Whole);
        for document in documents {
            gatherer.take(document.as_bytes()).unwrap();
        }
        match gatherer.finish().gathered {
            Gathered::Whole(content) => content,
            gathered => panic!("{gathered:?}"),
        }
    }

    #[test]
    fn a_digest_is_of_what_there_is_in_any_order_and_however_often() {
        let [a, b] = [rawdoc! { "_id": 1 }, rawdoc! { "_id": 2, "a": 1.5 }];
        let both = whole(&[a.clone(), b.clone()]);
        assert_eq!(both, whole(&[b.clone(), a.clone()]));
        assert_eq!(both.documents, 2);
        let others = [
            vec![a.clone()],
            vec![a.clone(), a.clone()],
            vec![a, b.clone(), b],
        ];
        for other in others {
            assert_ne!(both.digest(), whole(&other).digest());
        }
    }

    #[test]
    fn sums_carry() {
        let mut content = Content::default();
        content.add(&Digest([0xff; 32]));
        let mut one = Digest([0; 32]);
        one.0[0] = 1;
        content.add(&one);
        assert_eq!(content.sum, [0; 4]);
        one.0[0] = 0;
        one.0[8] = 3;
        content.add(&one);
        assert_eq!(content.sum, [0, 3, 0, 0]);
    }

    #[test]
    fn what_a_replay_made_of_documents_is_expected_in_their_place() {
        let documents = |documents: &[RawDocumentBuf], rules: Rules| {
            let mut gatherer = Gatherer::new(rules, &Closeness::Whole);
            for document in documents {
                gatherer.take(document.as_bytes()).unwrap();
            }
            let read = gatherer.finish();
            match read.gathered {
                Gathered::Whole(content) => (content, read.changed),
                gathered => panic!("{gathered:?}"),
            }
        };
        let key = |id: i32| Key::of_document(rawdoc! { "_id": id }.as_bytes()).unwrap();
        let new = rawdoc! { "_id": 1, "new": true };
        let made = rawdoc! { "_id": 4 };
        let replayed = HashMap::from([
            (key(1), Becoming::Is(Digest::of(new.as_bytes()))),
            (key(2), Becoming::Gone),
            (key(3), Becoming::Changed),
            (key(4), Becoming::Is(Digest::of(made.as_bytes()))),
        ]);
        let rules = |is_before| Rules {
            replayed: Some(Arc::new(replayed.clone())),
            is_before,
            expiring: Arc::default(),
        };
        let same = rawdoc! { "_id": 5 };
        let before = [1, 2, 3, 5].map(|id| rawdoc! { "_id": id });
        let after = [new, rawdoc! { "_id": 3, "somehow": 1 }, made, same];
        let expected = documents(&before, rules(true));
        assert_eq!(expected, documents(&after, rules(false)));
        assert_eq!((expected.0.documents, expected.1), (3, 1));
        assert_ne!(expected.0, documents(&after[1..], rules(false)).0);
    }
}
