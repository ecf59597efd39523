//! One operation, as it is sent.

use bson::{RawDocument, RawDocumentBuf};
use rdump_format::Namespace;
use rdump_format::element::{Elements, Value};

use super::ReplayOptions;
use crate::document::DocumentBuilder;
use crate::lane::Lane;
use crate::{Entry, EntryError};

/// An operation for [`applyOps`](https://www.mongodb.com/docs/manual/reference/command/applyOps/).
#[derive(Clone, Debug)]
pub struct Operation {
    document: RawDocumentBuf,
    pub(crate) lane: Lane,
    pub(crate) replaces: Option<Namespace>,
}

impl Operation {
    /// The operation with `object` in the place of its own.
    ///
    /// Of the entry stays what `applyOps` takes: `ts`, `t`, `v`, `op`, `ns`, `o`, `o2` and, if UUIDs are
    /// preserved, `ui`; each only if the entry has it.
    pub(super) fn new(
        entry: &Entry<'_>,
        object: &[u8],
        lane: Lane,
        options: ReplayOptions,
    ) -> Result<Self, EntryError> {
        let mut document = DocumentBuilder::new();
        let at = entry.at();
        if at != crate::OpTime::default() {
            let [low, high] = [at.ordinal.to_le_bytes(), at.seconds.to_le_bytes()];
            document.raw(b"ts", (0x11, &[low, high].concat()));
        }
        // Servers insist on this type.
        if let Some(term) = entry.term() {
            document.int64("t", term);
        }
        if let Some(version) = entry.version() {
            document.int64("v", version);
        }
        document.string("op", entry.operation());
        document.string("ns", entry.namespace());
        document.document("o", object);
        if let Some(object2) = entry.object2()? {
            document.document("o2", object2);
        }
        if let (true, Some(uuid)) = (options.preserve_uuid, entry.collection_uuid()) {
            document.copy(&uuid);
        }
        Ok(Self {
            document: document.build(),
            lane,
            replaces: None,
        })
    }

    /// It is a `renameCollection` that drops this collection, which the target has under a UUID of its
    /// own.
    pub(super) fn replacing(mut self, collection: Namespace) -> Self {
        self.replaces = Some(collection);
        self
    }

    /// What is sent.
    #[must_use]
    pub fn document(&self) -> &RawDocument {
        &self.document
    }

    /// The same with this UUID for the collection that a `renameCollection` drops.
    pub(crate) fn with_replaced_uuid(&self, uuid: [u8; 16]) -> Self {
        const UUID_LENGTH_AND_SUBTYPE: [u8; 5] = [16, 0, 0, 0, 4];
        let uuid = [UUID_LENGTH_AND_SUBTYPE.as_slice(), &uuid].concat();
        let mut document = DocumentBuilder::new();
        for element in elements(self.document.as_bytes()) {
            match (element.name, element.value) {
                (b"o", Value::Document(command)) => {
                    let mut changed = DocumentBuilder::new();
                    for element in elements(command.bytes) {
                        match element.name {
                            b"dropTarget" => changed.raw(b"dropTarget", (0x05, &uuid)),
                            _ => changed.copy(&element),
                        }
                    }
                    document.document("o", changed.build().as_bytes());
                }
                _ => document.copy(&element),
            }
        }
        Self {
            document: document.build(),
            ..self.clone()
        }
    }
}

/// The elements of a document that was read before.
fn elements(document: &[u8]) -> impl Iterator<Item = rdump_format::element::Element<'_>> {
    Elements::of(document).into_iter().flatten().flatten()
}
