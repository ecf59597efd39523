//! Which namespaces an archive must have, and how far each has come.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::crc64::Crc64;
use super::prelude::{ArchiveMetadata, ArchivePrelude};
use crate::namespace::Namespace;

/// Why a number always has a collection.
const NUMBERED: &str = "only `number` gives numbers, and nothing is ever removed";

/// The namespaces of a prelude, numbered as they stand there.
#[derive(Debug, Default)]
pub(super) struct Listing {
    numbers: HashMap<Namespace, usize>,
    namespaces: Vec<Listed>,
}

/// One namespace of a prelude.
#[derive(Debug)]
pub(super) struct Listed {
    /// Where its documents are: once it was seen, that may be the buckets of the time-series
    /// collection that the prelude names.
    pub(super) namespace: Namespace,
    is_timeseries: bool,
    pub(super) progress: Progress,
}

/// How far a namespace has come.
#[derive(Debug)]
pub(super) enum Progress {
    Unseen,
    /// The checksum of its documents so far.
    Open(Crc64),
    Ended,
}

impl Listing {
    /// Takes in all of a prelude.
    pub(super) fn of(prelude: &ArchivePrelude) -> Result<Self, Namespace> {
        let mut listing = Self::default();
        for collection in &prelude.collections {
            let added = listing.add(collection);
            added.map_err(|_number| collection.namespace.clone())?;
        }
        Ok(listing)
    }

    /// Takes in the next collection; returns its number if it is listed already.
    pub(super) fn add(&mut self, collection: &ArchiveMetadata) -> Result<(), usize> {
        let namespace = &collection.namespace;
        match self.numbers.entry(namespace.clone()) {
            Entry::Occupied(listed) => return Err(*listed.get()),
            Entry::Vacant(vacant) => vacant.insert(self.namespaces.len()),
        };
        self.namespaces.push(Listed {
            namespace: namespace.clone(),
            is_timeseries: collection.is_timeseries(),
            progress: Progress::Unseen,
        });
        Ok(())
    }

    /// The number of the collection whose documents are in `namespace`, if one is listed.
    ///
    /// The documents of a time-series collection are in its own namespace or in that of its
    /// buckets, as the version of the server has it. What the first header names stays.
    pub(super) fn number(&mut self, namespace: &Namespace) -> Option<usize> {
        let own = self.numbers.get(namespace).copied();
        let number = own.or_else(|| {
            let timeseries = namespace.without_buckets_prefix();
            let number = self.numbers.get(&timeseries).copied()?;
            self.namespaces.get(number)?.is_timeseries.then_some(number)
        })?;
        let listed = self.namespaces.get_mut(number)?;
        if matches!(listed.progress, Progress::Unseen) {
            listed.namespace.clone_from(namespace);
        }
        (listed.namespace == *namespace).then_some(number)
    }

    /// The collection of a number that [`number`](Self::number) has given.
    pub(super) fn get(&self, number: usize) -> &Listed {
        self.namespaces.get(number).expect(NUMBERED)
    }

    /// As [`get`](Self::get), to be changed.
    pub(super) fn get_mut(&mut self, number: usize) -> &mut Listed {
        self.namespaces.get_mut(number).expect(NUMBERED)
    }

    /// The namespaces whose progress is `wanted`.
    pub(super) fn select(&self, wanted: impl Fn(&Progress) -> bool) -> Vec<Namespace> {
        let all = self.namespaces.iter();
        all.filter(|listed| wanted(&listed.progress))
            .map(|listed| listed.namespace.clone())
            .collect()
    }
}
