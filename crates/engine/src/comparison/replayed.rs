//! What a replay is to make of documents.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures::{StreamExt, stream::BoxStream};
use rdump_format::{Digest, Namespace, OpTime, OpTimeLimit};
use rdump_oplog::{Becomes, Entry, Touch, touched};

use super::{content::Key, expiring::Expiring};
use crate::{Error, Result, media::Documents};

/// How many documents that were written are kept in mind, of about 80 bytes each; what more of them are of is not compared.
const MAX_DOCUMENTS: usize = 1 << 20;

/// What a replay makes of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Becoming {
    /// What has this digest.
    Is(Digest),
    Gone,
    /// What the entries alone do not say.
    Changed,
}

/// What a replay does.
#[derive(Debug, Default)]
pub(super) struct Replayed {
    documents: HashMap<Namespace, Arc<HashMap<Key, Becoming>>>,
    /// Namespaces of which nothing is known afterwards.
    whole: HashSet<Namespace>,
    /// Databases of which nothing is known afterwards.
    databases: HashSet<String>,
    /// Namespaces whose options or indexes change.
    definitions: HashSet<Namespace>,
}

/// Which entries are replayed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Between {
    /// Those after this moment,
    pub(super) after: OpTime,
    /// until here.
    pub(super) limit: OpTimeLimit,
}

impl Replayed {
    /// Reads the entries that are replayed.
    pub(super) async fn read(
        mut entries: BoxStream<'_, Result<Documents>>,
        between: Between,
        expiring: &HashMap<Namespace, Arc<Expiring>>,
    ) -> Result<Self> {
        let mut reading = Reading::default();
        while let Some(run) = entries.next().await {
            let run = run?;
            // A segment or a slice at once: some milliseconds.
            reading.take(&run.body, between, expiring)?;
        }
        Ok(reading.finish())
    }

    /// Why what a namespace holds is not known afterwards, if so.
    pub(super) fn why_unknown(&self, namespace: &Namespace) -> Option<&'static str> {
        let is_whole = self.whole.contains(namespace) || self.databases.contains(&namespace.db);
        is_whole.then_some(
            "it was made, dropped, renamed or emptied on the way to the moment, or more was written to it than is kept in mind",
        )
    }

    /// Whether its options or indexes change.
    pub(super) fn redefines(&self, namespace: &Namespace) -> bool {
        self.definitions.contains(namespace)
    }

    /// What becomes of its documents.
    pub(super) fn documents(&self, namespace: &Namespace) -> Option<Arc<HashMap<Key, Becoming>>> {
        self.documents.get(namespace).cloned()
    }
}

#[derive(Debug, Default)]
struct Reading {
    replayed: Replayed,
    documents: HashMap<Namespace, HashMap<Key, Becoming>>,
    kept: usize,
}

impl Reading {
    fn take(
        &mut self,
        body: &[u8],
        between: Between,
        expiring: &HashMap<Namespace, Arc<Expiring>>,
    ) -> Result<()> {
        let malformed = || Error::data("the oplog to be replayed has a malformed entry");
        for entry in rdump_format::documents(body) {
            let entry = entry.map_err(|error| malformed().caused_by(error))?;
            let at = Entry::parse(entry)
                .map_err(|error| malformed().caused_by(error))?
                .at();
            if !between.limit.allows(at) {
                continue;
            }
            if at <= between.after {
                self.unsure(entry)?;
                continue;
            }
            touched(entry, &mut |touch| self.touch(touch, expiring))
                .map_err(|error| malformed().caused_by(error))?;
        }
        Ok(())
    }

    /// What belongs to a transaction may be done later.
    fn unsure(&mut self, entry: &[u8]) -> Result<()> {
        let malformed =
            |error| Error::data("the oplog to be replayed has a malformed entry").caused_by(error);
        if !rdump_oplog::is_of_transaction(entry).map_err(malformed)? {
            return Ok(());
        }
        touched(entry, &mut |touch| {
            if let Touch::Document { namespace, id, .. } = touch {
                self.document(namespace, Key::of_id(&id), Becoming::Changed);
            }
        })
        .map_err(|error| {
            Error::data("the oplog to be replayed has a malformed entry").caused_by(error)
        })
    }

    fn touch(&mut self, touch: Touch<'_>, expiring: &HashMap<Namespace, Arc<Expiring>>) {
        match touch {
            Touch::Document {
                namespace,
                id,
                becomes,
            } => {
                let becoming = match becomes {
                    Becomes::Is(document) => {
                        let named = namespace.parse::<Namespace>().ok();
                        let named = named.map(|named| named.without_buckets_prefix());
                        let expiring = named.and_then(|named| expiring.get(&named));
                        match expiring.is_some_and(|expiring| expiring.may_go(document)) {
                            true => Becoming::Changed,
                            false => Becoming::Is(Digest::of(document)),
                        }
                    }
                    Becomes::Gone => Becoming::Gone,
                    Becomes::Changed => Becoming::Changed,
                };
                self.document(namespace, Key::of_id(&id), becoming);
            }
            Touch::Definitions { db, collection } => {
                let namespace = Namespace::new(db, collection);
                self.replayed.definitions.insert(namespace);
            }
            Touch::Whole { db, collection } => self.whole(Namespace::new(db, collection)),
            Touch::Database(db) => {
                self.replayed.databases.insert(db.to_owned());
            }
            _ => {}
        }
    }

    fn document(&mut self, namespace: &str, key: Key, becoming: Becoming) {
        let Ok(namespace) = namespace.parse::<Namespace>() else {
            return;
        };
        let namespace = namespace.without_buckets_prefix();
        if self.replayed.whole.contains(&namespace) {
            return;
        }
        if self.kept >= MAX_DOCUMENTS {
            self.whole(namespace);
            return;
        }
        let of_namespace = self.documents.entry(namespace).or_default();
        if of_namespace.insert(key, becoming).is_none() {
            self.kept += 1;
        }
    }

    fn whole(&mut self, namespace: Namespace) {
        let dropped = self.documents.remove(&namespace);
        self.kept -= dropped.map_or(0, |documents| documents.len());
        self.replayed.whole.insert(namespace);
    }

    fn finish(mut self) -> Replayed {
        let documents = self.documents.into_iter();
        self.replayed.documents = documents.map(|(name, of)| (name, Arc::new(of))).collect();
        self.replayed
    }
}
