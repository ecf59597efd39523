//! One operation, as it is sent.

use bson::{RawDocument, RawDocumentBuf};
use rdump_format::Namespace;
use rdump_format::element::{Elements, Value};

use super::ReplayOptions;
use crate::Entry;
use crate::document::DocumentBuilder;
use crate::lane::Lane;

/// An operation for [`applyOps`](https://www.mongodb.com/docs/manual/reference/command/applyOps/).
#[derive(Clone, Debug)]
pub struct Operation {
    document: RawDocumentBuf,
    pub(crate) lane: Lane,
    /// What it renames, if the target gave the collections UUIDs of its own.
    pub(crate) rename: Option<Rename>,
}

/// A collection gets another name, which may be that of another collection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rename {
    /// The name that it had.
    pub from: Namespace,
    /// The name that it gets.
    pub to: Namespace,
}

impl Operation {
    /// The operation with these as its `o` and `o2`.
    ///
    /// Of the entry stays what `applyOps` takes: `ts`, `t`, `v`, `op`, `ns` and, if UUIDs are preserved,
    /// `ui`; each only if the entry has it.
    pub(super) fn new(
        entry: &Entry<'_>,
        (object, object2): (&[u8], Option<&[u8]>),
        lane: Lane,
        options: ReplayOptions,
    ) -> Self {
        let mut document = Self::start(entry);
        document.string("op", entry.operation());
        document.string("ns", entry.namespace());
        document.document("o", object);
        if let Some(object2) = object2 {
            document.document("o2", object2);
        }
        if let (true, Some(uuid)) = (options.preserve_uuid, entry.collection_uuid()) {
            document.copy(&uuid);
        }
        Self {
            document: document.build(),
            lane,
            rename: None,
        }
    }

    /// A command in the database of the entry, for what the entry takes for granted.
    pub(super) fn before(entry: &Entry<'_>, object: &[u8]) -> Self {
        let mut document = Self::start(entry);
        document.string("op", "c");
        document.string("ns", &format!("{}.$cmd", entry.db()));
        document.document("o", object);
        Self {
            document: document.build(),
            lane: Lane::Alone,
            rename: None,
        }
    }

    /// When the entry was written, and by whom.
    fn start(entry: &Entry<'_>) -> DocumentBuilder {
        let mut document = DocumentBuilder::new();
        let at = entry.at();
        if at != crate::OpTime::default() {
            document.timestamp("ts", at);
        }
        // Servers insist on this type.
        if let Some(term) = entry.term() {
            document.int64("t", term);
        }
        if let Some(version) = entry.version() {
            document.int64("v", version);
        }
        document
    }

    /// It is a `renameCollection` that does not say which collection it drops.
    pub(super) fn renaming(mut self, rename: Rename) -> Self {
        self.rename = Some(rename);
        self
    }

    /// Whether it gives a collection another name.
    #[must_use]
    pub fn is_rename(&self) -> bool {
        let is_command = matches!(self.lane, Lane::Alone);
        let command = || {
            self.document
                .get_document("o")
                .ok()?
                .into_iter()
                .next()?
                .ok()
        };
        is_command && command().is_some_and(|(name, _)| name.as_str() == "renameCollection")
    }

    /// What is sent.
    #[must_use]
    pub fn document(&self) -> &RawDocument {
        &self.document
    }

    /// A `renameCollection` that drops the collection with this UUID.
    pub(crate) fn dropping(&self, uuid: [u8; 16]) -> Self {
        const UUID_LENGTH_AND_SUBTYPE: [u8; 5] = [16, 0, 0, 0, 4];
        let uuid = [UUID_LENGTH_AND_SUBTYPE.as_slice(), &uuid].concat();
        let mut document = DocumentBuilder::new();
        for element in elements(self.document.as_bytes()) {
            match (element.name, element.value) {
                (b"o", Value::Document(command)) => {
                    let mut changed = DocumentBuilder::new();
                    for element in elements(command.bytes) {
                        changed.copy(&element);
                    }
                    changed.raw(b"dropTarget", (0x05, &uuid));
                    document.document("o", changed.build().as_bytes());
                }
                _ => document.copy(&element),
            }
        }
        Self {
            document: document.build(),
            lane: self.lane,
            rename: None,
        }
    }
}

/// The elements of a document that was read before.
fn elements(document: &[u8]) -> impl Iterator<Item = rdump_format::element::Element<'_>> {
    Elements::of(document).into_iter().flatten().flatten()
}
