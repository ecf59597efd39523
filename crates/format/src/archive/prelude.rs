//! The front of an archive: who wrote it, and the metadata of every collection in it.

use bson::{RawDocumentBuf, raw::cstr, rawdoc};

use super::error::{ArchiveError, ArchivePart, ArchiveWriteError};
use super::fields::Fields;
use super::{FORMAT_VERSION, MAGIC, TERMINATOR};
use crate::framing::MAX_DOCUMENT_BYTES;
use crate::namespace::Namespace;
use crate::prelude::UNKNOWN;

/// What `type` is for a time-series collection.
const TIMESERIES: &str = "timeseries";

/// What an archive starts with. Plain data whose bytes are fixed by mongodump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivePrelude {
    /// How many collections were dumped at once, mongodump's `--numParallelCollections`: so many
    /// namespaces alternate at most. Any number may stand here.
    pub concurrent_collections: i32,
    /// The version of the server, such as `7.0.16`; `None` when the dump could not find out.
    pub server_version: Option<String>,
    /// The version of the tool that dumped.
    pub tool_version: String,
    /// One for every namespace that the archive must have, in any order.
    pub collections: Vec<ArchiveMetadata>,
}

/// What the prelude has of one collection or view.
///
/// | collection | namespace |
/// |---|---|
/// | the oplog | `oplog` of the database without a name |
/// | users and roles dumped with a database | `$admin.system.users`, `.roles`, `.version` of it |
/// | users and roles dumped with everything | `system.users`, `.roles`, `.version` of `admin` |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveMetadata {
    /// The collection; of a time-series collection not the one with the buckets.
    pub namespace: Namespace,
    /// The text of its metadata file, to be read as
    /// [`CollectionMetadata`](crate::CollectionMetadata); empty if it has none.
    pub metadata: String,
    /// `collection`, `view`, `timeseries` or empty; archives of tools before 100.4 lack it.
    pub kind: Option<String>,
}

impl ArchivePrelude {
    /// Appends the prelude to `out`, from the first byte of the archive to the terminator.
    ///
    /// # Errors
    ///
    /// [`ArchiveWriteError::NoName`] or [`ArchiveWriteError::TooLong`]; `out` is then as it was
    /// before.
    pub(super) fn encode(&self, out: &mut Vec<u8>) -> Result<(), ArchiveWriteError> {
        let start = out.len();
        let encoded = self.append(out);
        if encoded.is_err() {
            out.truncate(start);
        }
        encoded
    }

    fn append(&self, out: &mut Vec<u8>) -> Result<(), ArchiveWriteError> {
        let server_version = self.server_version.as_deref().unwrap_or(UNKNOWN);
        let header = || {
            rawdoc! {
                "concurrent_collections": self.concurrent_collections,
                "version": FORMAT_VERSION,
                "server_version": server_version,
                "tool_version": self.tool_version.as_str(),
            }
        };
        out.extend_from_slice(&MAGIC);
        append_document(&[server_version, &self.tool_version], header, out)
            .map_err(|bytes| ArchiveWriteError::HeaderTooLong { bytes })?;
        for collection in &self.collections {
            collection.append(out)?;
        }
        out.extend_from_slice(&TERMINATOR);
        Ok(())
    }

    /// Reads the first document; the collections come after it.
    pub(super) fn decode(header: &[u8], offset: u64) -> Result<Self, ArchiveError> {
        let known = [
            "concurrent_collections",
            "version",
            "server_version",
            "tool_version",
        ];
        let fields = Fields::read(header, offset, ArchivePart::Header, &known)?;
        let version = fields.text("version")?;
        if version != FORMAT_VERSION {
            return Err(ArchiveError::Version { offset, version });
        }
        let server_version = fields.text("server_version")?;
        Ok(Self {
            concurrent_collections: fields.int32("concurrent_collections")?,
            server_version: Some(server_version).filter(|version| version != UNKNOWN),
            tool_version: fields.text("tool_version")?,
            collections: Vec::new(),
        })
    }
}

impl ArchiveMetadata {
    /// Whether it is of a time-series collection, whose buckets are in a namespace of their own if
    /// the server was older than 8.3.
    pub(super) fn is_timeseries(&self) -> bool {
        self.kind.as_deref() == Some(TIMESERIES)
    }

    fn append(&self, out: &mut Vec<u8>) -> Result<(), ArchiveWriteError> {
        let Namespace { db, collection } = &self.namespace;
        if collection.is_empty() {
            return Err(ArchiveWriteError::NoName { db: db.clone() });
        }
        let texts = [
            db,
            collection,
            &self.metadata,
            self.kind.as_deref().unwrap_or_default(),
        ];
        let document = || {
            let mut document = rawdoc! {
                "db": db.as_str(),
                "collection": collection.as_str(),
                "metadata": self.metadata.as_str(),
                "size": 0,
            };
            if let Some(kind) = self.kind.as_deref() {
                document.append(cstr!("type"), kind);
            }
            document
        };
        append_document(&texts, document, out).map_err(|bytes| ArchiveWriteError::TooLong {
            namespace: self.namespace.clone(),
            bytes,
        })
    }

    pub(super) fn decode(document: &[u8], offset: u64) -> Result<Self, ArchiveError> {
        let known = ["db", "collection", "metadata", "size", "type"];
        let fields = Fields::read(document, offset, ArchivePart::Metadata, &known)?;
        let namespace = Namespace::new(fields.text("db")?, fields.text("collection")?);
        if namespace.collection.is_empty() {
            return fields.refuse("collection", "the name of a collection");
        }
        fields.number("size")?;
        let kind = match fields.has("type") {
            true => Some(fields.text("type")?),
            false => None,
        };
        Ok(Self {
            namespace,
            metadata: fields.text("metadata")?,
            kind,
        })
    }
}

/// Appends a document that holds `texts`, or says how long it would be, at least, if that is too
/// long.
fn append_document(
    texts: &[&str],
    document: impl FnOnce() -> RawDocumentBuf,
    out: &mut Vec<u8>,
) -> Result<(), usize> {
    let least = texts
        .iter()
        .map(|text| text.len())
        .fold(0, usize::saturating_add);
    if least > MAX_DOCUMENT_BYTES {
        return Err(least);
    }
    let document = document();
    let bytes = document.as_bytes();
    if bytes.len() > MAX_DOCUMENT_BYTES {
        return Err(bytes.len());
    }
    out.extend_from_slice(bytes);
    Ok(())
}
