//! The catalog of a snapshot.

use bson::raw::RawDocumentBuf;
use bson::{Binary, RawArrayBuf, RawBson, cstr, spec::BinarySubtype};

use super::{RecordError, RecordFault};
use crate::element::{Elements, Value};
use crate::framing::MAX_DOCUMENT_BYTES;
use crate::metadata::CollectionMetadata;
use crate::namespace::Namespace;

/// One namespace of a snapshot, as the server described it.
///
/// A document with the fields `ns`; `data`, the namespace that the documents are under, if it has any; and, but for users
/// and roles of one database, `options` and `indexes` to the byte as the server gave them, `uuid` and `type`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CatalogEntry {
    /// The namespace as the user knows it; never that of time-series buckets.
    pub namespace: Namespace,
    /// The namespace that the documents are under: the buckets of a time-series collection, else the same. `None` if there
    /// are no documents, as for a view.
    pub data: Option<Namespace>,
    /// Options, indexes, UUID and type; `None` for users and roles that are of one database.
    pub metadata: Option<CollectionMetadata>,
}

impl CatalogEntry {
    /// A namespace without documents or metadata.
    pub fn new(namespace: Namespace) -> Self {
        Self {
            namespace,
            data: None,
            metadata: None,
        }
    }

    /// The document.
    ///
    /// # Errors
    ///
    /// [`RecordError`] if it would be longer than a document may be.
    pub fn to_document(&self) -> Result<Vec<u8>, RecordError> {
        let mut document = RawDocumentBuf::new();
        document.append(cstr!("ns"), self.namespace.to_string());
        if let Some(data) = &self.data {
            document.append(cstr!("data"), data.to_string());
        }
        if let Some(metadata) = &self.metadata {
            document.append(cstr!("options"), metadata.options.clone());
            let mut indexes = RawArrayBuf::new();
            for index in &metadata.indexes {
                indexes.push(index.clone());
            }
            document.append(cstr!("indexes"), indexes);
            if let Some(uuid) = metadata.uuid {
                let uuid = RawBson::Binary(Binary {
                    subtype: BinarySubtype::Uuid,
                    bytes: uuid.to_vec(),
                });
                document.append(cstr!("uuid"), uuid);
            }
            if let Some(name) = &metadata.collection {
                document.append(cstr!("name"), name.as_str());
            }
            if let Some(kind) = &metadata.kind {
                document.append(cstr!("type"), kind.as_str());
            }
        }
        let bytes = document.into_bytes();
        if bytes.len() > MAX_DOCUMENT_BYTES {
            let problem = "its options and indexes are longer than a document may be";
            let about = self.namespace.to_string();
            return Err(RecordError::catalog(RecordFault::contradiction(
                problem, about,
            )));
        }
        Ok(bytes)
    }

    /// Reads the document, which is the one of this number in the catalog.
    ///
    /// # Errors
    ///
    /// [`RecordError`] for anything that [`to_document`](Self::to_document) does not write.
    pub fn from_document(document: &[u8], number: u64) -> Result<Self, RecordError> {
        let fail = |source| RecordError::catalog(RecordFault::Document { number, source });
        read(document).map_err(fail)
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn read(document: &[u8]) -> Result<CatalogEntry, Failure> {
    crate::validate::validate(document)?;
    let owned = |bytes: &[u8]| RawDocumentBuf::from_bytes(bytes.to_vec()).map_err(Failure::from);
    let text = |bytes: &[u8]| str::from_utf8(bytes).map(str::to_owned);
    let (mut namespace, mut data): (Option<Namespace>, Option<Namespace>) = (None, None);
    let mut metadata = CollectionMetadata::default();
    let (mut options, mut indexes, mut other) = (false, false, false);
    let mut last: usize = 0;
    for element in Elements::of(document)? {
        let element = element?;
        // In this order and once, so that every entry has one spelling.
        let place = NAMES.iter().position(|name| *name == element.name);
        let place = place.map(|place| place.saturating_add(1));
        match place {
            Some(place) if place > last => last = place,
            _ => {
                let name = String::from_utf8_lossy(element.name);
                return Err(format!("unexpected field {name:?}").into());
            }
        }
        match (element.name, element.value) {
            (b"ns", Value::String(name)) => namespace = Some(text(name)?.parse()?),
            (b"data", Value::String(name)) => data = Some(text(name)?.parse()?),
            (b"options", Value::Document(found)) => {
                metadata.options = owned(found.bytes)?;
                options = true;
            }
            (b"indexes", Value::Array(found)) => {
                for index in Elements::of(found.bytes)? {
                    match index?.value {
                        Value::Document(index) => metadata.indexes.push(owned(index.bytes)?),
                        _ => return Err("an index is no document".into()),
                    }
                }
                indexes = true;
            }
            (b"uuid", Value::Binary { subtype: 4, bytes }) => {
                metadata.uuid = Some(bytes.try_into()?);
                other = true;
            }
            (b"name", Value::String(name)) => {
                metadata.collection = Some(text(name)?);
                other = true;
            }
            (b"type", Value::String(kind)) => {
                metadata.kind = Some(text(kind)?);
                other = true;
            }
            (name, _) => {
                let name = String::from_utf8_lossy(name);
                return Err(format!("field {name:?} has another type").into());
            }
        }
    }
    let metadata = match (options, indexes) {
        (true, true) => Some(metadata),
        (false, false) if !other => None,
        _ => return Err("options or indexes are missing".into()),
    };
    Ok(CatalogEntry {
        namespace: namespace.ok_or("field \"ns\" is missing")?,
        data,
        metadata,
    })
}

/// The fields of an entry, in their order.
const NAMES: [&[u8]; 7] = [
    b"ns", b"data", b"options", b"indexes", b"uuid", b"name", b"type",
];
