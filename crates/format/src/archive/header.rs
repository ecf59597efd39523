//! The document that a block starts with.

use bson::rawdoc;

use super::error::{ArchiveError, ArchivePart};
use super::fields::Fields;
use crate::namespace::Namespace;

/// Names the namespace of a block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BlockHeader {
    pub(super) namespace: Namespace,
    /// The checksum of all documents of the namespace, if the header ends it.
    pub(super) end: Option<u64>,
}

impl BlockHeader {
    pub(super) fn encode(namespace: &Namespace, end: Option<u64>, out: &mut Vec<u8>) {
        let document = rawdoc! {
            "db": namespace.db.as_str(),
            "collection": namespace.collection.as_str(),
            "EOF": end.is_some(),
            "CRC": end.unwrap_or(0).cast_signed(),
        };
        out.extend_from_slice(document.as_bytes());
    }

    pub(super) fn decode(document: &[u8], offset: u64) -> Result<Self, ArchiveError> {
        let known = ["db", "collection", "EOF", "CRC"];
        let fields = Fields::read(document, offset, ArchivePart::BlockHeader, &known)?;
        let namespace = Namespace::new(fields.text("db")?, fields.text("collection")?);
        if namespace.collection.is_empty() {
            return fields.refuse("collection", "the name of a collection");
        }
        let crc = fields.int64("CRC")?.cast_unsigned();
        let end = match (fields.bool("EOF")?, crc) {
            (true, crc) => Some(crc),
            (false, 0) => None,
            (false, _) => return fields.refuse("CRC", "0, as where a namespace does not end"),
        };
        Ok(Self { namespace, end })
    }
}
