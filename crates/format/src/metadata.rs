//! `<collection>.metadata.json`: the options and indexes of one collection, as mongodump writes
//! them.
//!
//! See `docs/format.md`, *Metadata*.

mod difference;
#[cfg(test)]
mod tests;

use bson::{RawDocument, RawDocumentBuf};

use crate::element::{Element, Elements, Nested, Value};
use crate::ext_json::{ExtJsonError, parse, quote, write_canonical};
use crate::validate::InvalidBson;

/// The longest metadata or prelude that is written or read, in bytes, as a file and decompressed:
/// 64 MiB.
///
/// Options and indexes of a collection are documents of the server, which are shorter by far even
/// as text.
pub const MAX_METADATA_BYTES: u64 = 64 << 20;

/// The content of a metadata file. All fields are public: it is plain data whose text form is fixed
/// by mongodump.
///
/// # Examples
///
/// ```
/// use rdump_format::CollectionMetadata;
///
/// let text = br#"{"options":{"capped":true,"size":4096},"indexes":[],"type":"collection"}"#;
/// let metadata = CollectionMetadata::from_json(text)?;
/// assert_eq!(metadata.options, bson::rawdoc! { "capped": true, "size": 4096 });
/// assert_eq!(
///     metadata.to_json()?,
///     r#"{"options":{"capped":true,"size":{"$numberInt":"4096"}},"indexes":[],"type":"collection"}"#
/// );
/// # Ok::<(), rdump_format::MetadataError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CollectionMetadata {
    /// What `listCollections` said, in its order; empty when there are none.
    pub options: RawDocumentBuf,
    /// What `listIndexes` said, in its order.
    pub indexes: Vec<RawDocumentBuf>,
    /// The UUID of the collection, unless the server has none, or it is a view.
    pub uuid: Option<[u8; 16]>,
    /// The name of the collection, which dumps of old tools lack.
    pub collection: Option<String>,
    /// `collection`, `view` or `timeseries`; dumps of old tools and servers lack it.
    pub kind: Option<String>,
}

impl CollectionMetadata {
    /// The text of the file: canonical Extended JSON, the same bytes as mongodump's, without a
    /// newline.
    ///
    /// # Errors
    ///
    /// [`MetadataError::WriteOptions`] or [`MetadataError::WriteIndex`] when they cannot be written
    /// as JSON, [`MetadataError::Unreadable`] and [`MetadataError::Discrepancy`] when the text
    /// would not be read back as the same bytes. A key such as `$oid` in a validator does that,
    /// since it looks like Extended JSON.
    pub fn to_json(&self) -> Result<String, MetadataError> {
        let text = self.text()?;
        let back =
            Self::from_json(text.as_bytes()).map_err(|source| MetadataError::Unreadable {
                source: source.into(),
            })?;
        match difference::between(self, &back) {
            Some(path) => Err(MetadataError::Discrepancy { path }),
            None => Ok(text),
        }
    }

    fn text(&self) -> Result<String, MetadataError> {
        let mut text = String::from("{");
        if !is_empty(&self.options) {
            text.push_str(r#""options":"#);
            write_canonical(&self.options, &mut text)
                .map_err(|source| MetadataError::WriteOptions { source })?;
            text.push(',');
        }
        text.push_str(r#""indexes":["#);
        for (position, index) in self.indexes.iter().enumerate() {
            if position > 0 {
                text.push(',');
            }
            write_canonical(index, &mut text)
                .map_err(|source| MetadataError::WriteIndex { position, source })?;
        }
        text.push(']');
        let uuid = self.uuid.map(hex::encode);
        for (key, value) in [
            ("uuid", &uuid),
            ("collectionName", &self.collection),
            ("type", &self.kind),
        ] {
            if let Some(value) = value {
                text.push_str(",\"");
                text.push_str(key);
                text.push_str("\":");
                quote(value, &mut text);
            }
        }
        text.push('}');
        Ok(text)
    }

    /// Reads the text of a file of any version of mongodump.
    ///
    /// Accepted are canonical, relaxed and old Extended JSON, any white space, and any of the
    /// fields missing; unknown ones are passed over. A file of no bytes is metadata without
    /// anything.
    ///
    /// # Errors
    ///
    /// [`MetadataError::Json`] for text that is not Extended JSON, [`MetadataError::Field`] for a
    /// field of another type.
    pub fn from_json(text: &[u8]) -> Result<Self, MetadataError> {
        Self::read(text).map(|(metadata, _)| metadata)
    }

    /// Reads metadata that nothing protects: where options or indexes are missing, as some versions of mongodump leave
    /// them out, a field that is not known may be them under a damaged name.
    ///
    /// # Errors
    ///
    /// As [`from_json`](Self::from_json), and [`MetadataError::Unknown`].
    pub fn from_unprotected_json(text: &[u8]) -> Result<Self, MetadataError> {
        let (metadata, names) = Self::read(text)?;
        let has = |wanted: &&str| names.iter().any(|name| name == wanted);
        let is_whole = ["options", "indexes"].iter().all(has);
        let unknown = names
            .iter()
            .find(|name| !FIELDS.contains(&name.as_str()))
            .filter(|_| !is_whole);
        match unknown.cloned() {
            Some(field) => Err(MetadataError::Unknown { field }),
            None => Ok(metadata),
        }
    }

    /// Reads metadata, and tells the names of all fields.
    fn read(text: &[u8]) -> Result<(Self, Vec<String>), MetadataError> {
        let (mut metadata, mut names) = (Self::default(), Vec::new());
        if text.is_empty() {
            return Ok((metadata, names));
        }
        let text = str::from_utf8(text).map_err(|source| MetadataError::NotUtf8 {
            offset: source.valid_up_to(),
        })?;
        let document = parse(text).map_err(|source| MetadataError::Json { source })?;
        for element in Elements::of(document.as_bytes())? {
            let element = element?;
            metadata.set(&element)?;
            names.push(String::from_utf8_lossy(element.name).into_owned());
        }
        Ok((metadata, names))
    }

    fn set(&mut self, element: &Element<'_>) -> Result<(), MetadataError> {
        match (element.name, element.value) {
            (b"options" | b"indexes" | b"uuid" | b"collectionName" | b"type", Value::Null) => {}
            (b"options", Value::Document(options)) => self.options = owned(options)?,
            (b"options", _) => {
                return Err(MetadataError::Field {
                    field: "options",
                    expected: "an object",
                });
            }
            (b"indexes", Value::Array(indexes)) => {
                self.indexes = Elements::of(indexes.bytes)?
                    .map(|index| match index?.value {
                        Value::Document(index) => owned(index),
                        _ => Err(MetadataError::Field {
                            field: "indexes",
                            expected: "an array of objects",
                        }),
                    })
                    .collect::<Result<_, _>>()?;
            }
            (b"indexes", _) => {
                return Err(MetadataError::Field {
                    field: "indexes",
                    expected: "an array of objects",
                });
            }
            (b"uuid", Value::String(b"")) => {}
            (b"uuid", value) => self.uuid = Some(uuid(value)?),
            (b"collectionName", value) => self.collection = Some(string(value, "collectionName")?),
            (b"type", value) => self.kind = Some(string(value, "type")?),
            _ => {}
        }
        Ok(())
    }
}

/// What metadata has.
const FIELDS: [&str; 5] = ["options", "indexes", "uuid", "collectionName", "type"];

fn is_empty(document: &RawDocument) -> bool {
    document.as_bytes().len() <= 5
}

fn owned(nested: Nested<'_>) -> Result<RawDocumentBuf, MetadataError> {
    let malformed = |_| InvalidBson::new(nested.offset, "the document is not whole");
    Ok(RawDocumentBuf::from_bytes(nested.bytes.to_vec()).map_err(malformed)?)
}

fn uuid(value: Value<'_>) -> Result<[u8; 16], MetadataError> {
    let mut uuid = [0; 16];
    match value {
        Value::String(digits) if hex::decode_to_slice(digits, &mut uuid).is_ok() => Ok(uuid),
        _ => Err(MetadataError::Field {
            field: "uuid",
            expected: "32 hexadecimal digits",
        }),
    }
}

fn string(value: Value<'_>, field: &'static str) -> Result<String, MetadataError> {
    match value {
        Value::String(text) => String::from_utf8(text.to_vec()).ok(),
        _ => None,
    }
    .ok_or(MetadataError::Field {
        field,
        expected: "a string",
    })
}

/// Why metadata cannot be written or read. The caller knows whose it is.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message is its documentation")]
#[non_exhaustive]
pub enum MetadataError {
    #[error("cannot write the options of the collection as JSON")]
    WriteOptions { source: ExtJsonError },
    #[error("cannot write the index at position {position} as JSON")]
    WriteIndex {
        position: usize,
        source: ExtJsonError,
    },
    #[error("metadata written as JSON could not be read back")]
    Unreadable { source: Box<MetadataError> },
    #[error("metadata written as JSON would not come back the same: {path:?} differs")]
    Discrepancy { path: String },
    #[error("it lacks options or indexes, and has {field:?}, which is not known")]
    Unknown { field: String },
    #[error("metadata is not UTF-8 at byte {offset}")]
    NotUtf8 { offset: usize },
    #[error("cannot read the metadata")]
    Json { source: ExtJsonError },
    #[error("field `{field}` of the metadata is not {expected}")]
    Field {
        field: &'static str,
        expected: &'static str,
    },
    #[error("metadata is not sound")]
    Bson {
        #[from]
        source: InvalidBson,
    },
}
