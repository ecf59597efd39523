use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    BUCKET, Gateway,
    gateway::{Answer, Asked, Fault, S3Operation},
};

/// What makes of a gateway a store that gives nothing of the classes `GLACIER` and `DEEP_ARCHIVE` before it was asked to thaw it.
///
/// It knows the class of what is written through the gateway. What was asked for is thawed after it was looked up so many times.
#[derive(Clone)]
pub struct Freezer {
    polls: usize,
    objects: Arc<Mutex<Objects>>,
}

#[derive(Default)]
struct Objects {
    /// The objects that are frozen, or were, by their keys.
    frozen: BTreeMap<String, State>,
    /// Whether what is being uploaded will be.
    uploading: BTreeMap<String, bool>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Frozen,
    /// For how many looks more.
    Thawing(usize),
    Thawed,
}

impl Freezer {
    /// Has a gateway freeze; its other rules are gone.
    pub fn of(gateway: &Gateway, polls: usize) -> Self {
        let freezer = Self {
            polls,
            objects: Arc::default(),
        };
        gateway.rule({
            let freezer = freezer.clone();
            move |asked| freezer.answer(asked)
        });
        freezer
    }

    /// The keys of what is frozen or being thawed.
    pub fn frozen(&self) -> Vec<String> {
        let objects = self.objects();
        let frozen = objects.frozen.iter();
        let frozen = frozen.filter(|(_, state)| **state != State::Thawed);
        frozen.map(|(key, _)| key.clone()).collect()
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, asked: &Asked) -> Option<Fault> {
        let class = asked.header("x-amz-storage-class");
        let freezes = class.is_some_and(|class| ["GLACIER", "DEEP_ARCHIVE"].contains(&class));
        let mut objects = self.objects();
        let state = objects.frozen.get(&asked.key).copied();
        match asked.operation {
            S3Operation::Create => drop(objects.uploading.insert(asked.key.clone(), freezes)),
            S3Operation::Complete => {
                let freezes = objects.uploading.remove(&asked.key).unwrap_or_default();
                objects.set(&asked.key, freezes);
            }
            S3Operation::Put => objects.set(&asked.key, freezes),
            S3Operation::Delete => objects.set(&asked.key, false),
            S3Operation::Copy => {
                let from = asked.header("x-amz-copy-source").unwrap_or_default();
                let from = percent_encoding::percent_decode_str(from).decode_utf8_lossy();
                let key = from.strip_prefix(&format!("{BUCKET}/")).unwrap_or_default();
                if matches!(
                    objects.frozen.get(key),
                    Some(State::Frozen | State::Thawing(_))
                ) {
                    return Some(Fault::error(403, "InvalidObjectState"));
                }
                if asked.query("uploadId").is_none() {
                    objects.set(&asked.key, freezes);
                }
            }
            S3Operation::Get => {
                if matches!(state, Some(State::Frozen | State::Thawing(_))) {
                    return Some(Fault::error(403, "InvalidObjectState"));
                }
            }
            S3Operation::Restore => {
                let (status, next) = match state {
                    None => return Some(Fault::error(403, "InvalidObjectState")),
                    Some(State::Thawing(_)) => {
                        return Some(Fault::error(409, "RestoreAlreadyInProgress"));
                    }
                    Some(State::Frozen) => (202, State::Thawing(self.polls)),
                    Some(State::Thawed) => (200, State::Thawed),
                };
                objects.frozen.insert(asked.key.clone(), next);
                return Some(Answer::new(status).into());
            }
            S3Operation::Head => {
                let told = match state? {
                    State::Frozen => return None,
                    State::Thawing(0) | State::Thawed => {
                        objects.frozen.insert(asked.key.clone(), State::Thawed);
                        "ongoing-request=\"false\", expiry-date=\"Fri, 21 Dec 2096 00:00:00 GMT\""
                    }
                    State::Thawing(left) => {
                        let next = State::Thawing(left - 1);
                        objects.frozen.insert(asked.key.clone(), next);
                        "ongoing-request=\"true\""
                    }
                };
                return Some(Fault::Headers(vec![("x-amz-restore", told.to_owned())]));
            }
            _ => {}
        }
        None
    }
}

impl Objects {
    fn set(&mut self, key: &str, freezes: bool) {
        match freezes {
            true => self.frozen.insert(key.to_owned(), State::Frozen),
            false => self.frozen.remove(key),
        };
    }
}

impl fmt::Debug for Freezer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Freezer")
            .field("frozen", &self.frozen())
            .finish_non_exhaustive()
    }
}
