//! What a `collMod` does to an index.

use bson::{RawDocument, RawDocumentBuf};
use rdump_format::InvalidBson;
use rdump_format::element::{Element, Elements, Value};

use super::IndexChoice;
use crate::document::DocumentBuilder;

/// The part `index` of a `collMod`, understood.
#[derive(Debug)]
pub(crate) struct CollMod<'a> {
    pub(crate) which: IndexChoice<'a>,
    set: Vec<Element<'a>>,
    unset: Vec<&'static [u8]>,
}

/// Why it is not understood.
#[derive(Debug)]
pub(crate) enum CollModFault {
    Bson(InvalidBson),
    /// What it should be instead.
    Wrong(&'static str),
}

impl From<InvalidBson> for CollModFault {
    fn from(source: InvalidBson) -> Self {
        Self::Bson(source)
    }
}

impl<'a> CollMod<'a> {
    /// Reads the value of `index`.
    pub(crate) fn parse(index: Value<'a>) -> Result<Self, CollModFault> {
        let Value::Document(index) = index else {
            return Err(CollModFault::Wrong("its `index` is no document"));
        };
        let (mut name, mut key) = (None, None);
        let (mut set, mut unset) = (Vec::new(), Vec::new());
        for element in Elements::of(index.bytes)? {
            let element = element?;
            match (element.name, element.value) {
                (b"name", Value::String(text)) => name = Some(text),
                (b"keyPattern", Value::Document(pattern)) => key = Some(pattern.bytes),
                // What an index is not is not in its specification.
                (b"hidden", Value::Bool(false)) => unset.push(b"hidden".as_slice()),
                (b"prepareUnique", Value::Bool(false)) => unset.push(b"prepareUnique"),
                (b"expireAfterSeconds" | b"hidden" | b"prepareUnique", _)
                | (b"unique", Value::Bool(true)) => set.push(element),
                // An order, not an option of an index.
                (b"forceNonUnique", Value::Bool(true)) => unset.push(b"unique"),
                (b"unique" | b"forceNonUnique", Value::Bool(false)) => {}
                _ => {
                    return Err(CollModFault::Wrong(
                        "its `index` has an option that is not known, or of a wrong type",
                    ));
                }
            }
        }
        let which = match (name, key) {
            (Some(name), None) => IndexChoice::Name(name),
            (None, Some(key)) => IndexChoice::Key(key),
            _ => {
                return Err(CollModFault::Wrong(
                    "its `index` names no one index, by either name or key",
                ));
            }
        };
        Ok(Self { which, set, unset })
    }

    /// The changed specification. Options keep their place; new ones go to the end.
    pub(super) fn apply(&self, spec: &RawDocument) -> RawDocumentBuf {
        let mut changed = DocumentBuilder::new();
        let mut left = self.set.clone();
        left.retain(|set| !self.unset.contains(&set.name));
        for element in Elements::of(spec.as_bytes())
            .into_iter()
            .flatten()
            .flatten()
        {
            if self.unset.contains(&element.name) {
                continue;
            }
            match left.iter().position(|set| set.name == element.name) {
                Some(position) => changed.copy(&left.remove(position)),
                None => changed.copy(&element),
            }
        }
        for element in left {
            changed.copy(&element);
        }
        changed.build()
    }
}
