//! One oplog entry, as it lies in the oplog.

#[cfg(test)]
mod tests;

use rdump_format::element::{Element, Elements, Value};
use rdump_format::{InvalidBson, MAX_DOCUMENT_BYTES};

use crate::OpTime;

/// A borrowed view of one [oplog](https://www.mongodb.com/docs/manual/core/replica-set-oplog/) entry.
///
/// It reads what any server since 3.6 wrote. Nothing but the frame of the document and the type and
/// name of each of its fields is looked at; what a caller does not ask for may be anything or missing,
/// and unknown fields are passed over.
///
/// # Examples
///
/// ```
/// use rdump_oplog::Entry;
///
/// let bytes = bson::rawdoc! {
///     "ts": bson::Timestamp { time: 7, increment: 1 }, "op": "i", "ns": "shop.orders", "o": { "_id": 1 },
/// };
/// let entry = Entry::parse(bytes.as_bytes())?;
/// assert_eq!(entry.at().to_string(), "7:1");
/// assert_eq!((entry.operation(), entry.namespace()), ("i", "shop.orders"));
/// # Ok::<(), rdump_oplog::EntryError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    bytes: &'a [u8],
    at: OpTime,
    operation: &'a str,
    namespace: &'a str,
    fields: Fields<'a>,
}

/// The fields that are known, each as it is.
#[derive(Clone, Copy, Debug, Default)]
struct Fields<'a> {
    at: Option<Value<'a>>,
    term: Option<i64>,
    version: Option<i64>,
    operation: Option<Value<'a>>,
    namespace: Option<Value<'a>>,
    object: Option<Value<'a>>,
    object2: Option<Value<'a>>,
    collection_uuid: Option<Element<'a>>,
    session: Option<&'a [u8]>,
    transaction_number: Option<i64>,
    previous: Option<OpTime>,
    multi_operation: Option<i64>,
    wall_milliseconds: Option<i64>,
}

impl<'a> Entry<'a> {
    /// Reads an entry.
    ///
    /// # Errors
    ///
    /// [`EntryError`] when it is longer than [`MAX_DOCUMENT_BYTES`], no document, has no `op`, or one
    /// of `ts`, `op` and `ns` is of another type.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, EntryError> {
        if bytes.len() > MAX_DOCUMENT_BYTES {
            return Err(EntryError::TooLong { bytes: bytes.len() });
        }
        Self::read(bytes, Fields::default(), OpTime::default())
    }

    /// Reads an operation inside of this entry. It happened when this entry did, unless it says
    /// otherwise.
    pub(crate) fn parse_inner(&self, bytes: &'a [u8]) -> Result<Self, EntryError> {
        let known = Fields {
            term: self.fields.term,
            version: self.fields.version,
            ..Fields::default()
        };
        Self::read(bytes, known, self.at)
    }

    fn read(bytes: &'a [u8], mut fields: Fields<'a>, at: OpTime) -> Result<Self, EntryError> {
        for element in Elements::of(bytes).map_err(|source| EntryError::Bson { at, source })? {
            fields.set(element.map_err(|source| EntryError::Bson { at, source })?);
        }
        let at = match fields.at {
            None => at,
            Some(Value::Timestamp { time, increment }) => OpTime {
                seconds: time,
                ordinal: increment,
            },
            Some(_) => return Err(EntryError::wrong("ts", "a timestamp", at)),
        };
        Ok(Self {
            bytes,
            at,
            operation: match fields.operation {
                Some(value) => text(value, "op", at)?,
                None => return Err(EntryError::Missing { field: "op", at }),
            },
            namespace: match fields.namespace {
                Some(value) => text(value, "ns", at)?,
                None => "",
            },
            fields,
        })
    }

    /// The whole document.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// When it happened: `ts`; `0:0` if it does not say.
    pub fn at(&self) -> OpTime {
        self.at
    }

    /// The term of the primary that wrote it: `t`.
    pub fn term(&self) -> Option<i64> {
        self.fields.term
    }

    /// The version of the oplog's format: `v`.
    pub fn version(&self) -> Option<i64> {
        self.fields.version
    }

    /// What was done, `op`: `i`, `u` and `d` for documents, `c` for commands, `n` for nothing.
    pub fn operation(&self) -> &'a str {
        self.operation
    }

    /// Where it was done: `ns`; empty if it does not say. Commands have `db.$cmd`.
    pub fn namespace(&self) -> &'a str {
        self.namespace
    }

    /// The document, the change, the key or the command: `o`.
    ///
    /// # Errors
    ///
    /// [`EntryError`] when it is missing or no document.
    pub fn object(&self) -> Result<&'a [u8], EntryError> {
        let missing = EntryError::Missing {
            field: "o",
            at: self.at,
        };
        document(self.fields.object, "o", self.at)?.ok_or(missing)
    }

    /// Which document was updated, and more about other operations: `o2`.
    ///
    /// # Errors
    ///
    /// [`EntryError`] when it is no document.
    pub fn object2(&self) -> Result<Option<&'a [u8]>, EntryError> {
        document(self.fields.object2, "o2", self.at)
    }

    /// The session and the number of the transaction or retryable write in it that it is part of:
    /// `lsid` and `txnNumber`.
    pub fn session(&self) -> Option<(&'a [u8], i64)> {
        self.fields.session.zip(self.fields.transaction_number)
    }

    /// The entry before it of the same transaction: `prevOpTime`; `0:0` says that it is the first.
    pub fn previous(&self) -> Option<OpTime> {
        self.fields.previous
    }

    /// Whether it is a [vectored insert](https://jira.mongodb.org/browse/TOOLS-3546), which looks like a
    /// transaction and is none: `multiOpType` 1.
    pub fn is_vectored(&self) -> bool {
        self.fields.multi_operation == Some(1)
    }

    /// The clock of the primary that wrote it, in milliseconds since 1970: `wall`.
    pub fn wall_milliseconds(&self) -> Option<i64> {
        self.fields.wall_milliseconds
    }

    /// The collection's UUID, as it is: `ui`.
    pub(crate) fn collection_uuid(&self) -> Option<Element<'a>> {
        self.fields.collection_uuid
    }

    /// The database: what is before the first dot of the namespace.
    pub(crate) fn db(&self) -> &'a str {
        self.namespace
            .split_once('.')
            .map_or(self.namespace, |(db, _)| db)
    }

    /// The name of the command in its object, and what it is about.
    pub(crate) fn command(&self) -> Result<Command<'a>, EntryError> {
        let at = self.at;
        let object = self.object()?;
        let first = self
            .elements(object)?
            .next()
            .ok_or(EntryError::Missing { field: "o", at })?
            .map_err(|source| EntryError::Bson { at, source })?;
        let name = str::from_utf8(first.name)
            .map_err(|_utf8| EntryError::wrong("o", "a command with a name in UTF-8", at))?;
        Ok(Command {
            name,
            subject: first.value,
            object,
        })
    }

    /// The elements of a document within.
    pub(crate) fn elements(&self, document: &'a [u8]) -> Result<Elements<'a>, EntryError> {
        let at = self.at;
        Elements::of(document).map_err(|source| EntryError::Bson { at, source })
    }

    /// The element of this name of a document within.
    pub(crate) fn field(
        &self,
        document: &'a [u8],
        name: &str,
    ) -> Result<Option<Element<'a>>, EntryError> {
        let at = self.at;
        for element in self.elements(document)? {
            let element = element.map_err(|source| EntryError::Bson { at, source })?;
            if element.name == name.as_bytes() {
                return Ok(Some(element));
            }
        }
        Ok(None)
    }

    /// The operations inside of an `applyOps`.
    pub(crate) fn inner(
        &self,
        command: Command<'a>,
    ) -> Result<impl Iterator<Item = Result<Self, EntryError>> + use<'a>, EntryError> {
        let (entry, at) = (*self, self.at);
        let wrong = move || EntryError::wrong("applyOps", "an array of documents", at);
        let Value::Array(operations) = command.subject else {
            return Err(wrong());
        };
        Ok(self.elements(operations.bytes)?.map(move |element| {
            let element = element.map_err(|source| EntryError::Bson { at, source })?;
            match element.value {
                Value::Document(operation) => entry.parse_inner(operation.bytes),
                _ => Err(wrong()),
            }
        }))
    }
}

impl<'a> Fields<'a> {
    fn set(&mut self, element: Element<'a>) {
        match (element.name, element.value) {
            (b"ts", value) => self.at = Some(value),
            (b"t", value) => self.term = integer(value),
            (b"v", value) => self.version = integer(value),
            (b"op", value) => self.operation = Some(value),
            (b"ns", value) => self.namespace = Some(value),
            (b"o", value) => self.object = Some(value),
            (b"o2", value) => self.object2 = Some(value),
            (b"ui", _) => self.collection_uuid = Some(element),
            (b"lsid", Value::Document(session)) => self.session = Some(session.bytes),
            (b"txnNumber", value) => self.transaction_number = integer(value),
            (b"prevOpTime", Value::Document(previous)) => {
                self.previous = Elements::of(previous.bytes)
                    .into_iter()
                    .flatten()
                    .flatten()
                    .find_map(|element| match (element.name, element.value) {
                        (b"ts", Value::Timestamp { time, increment }) => Some(OpTime {
                            seconds: time,
                            ordinal: increment,
                        }),
                        _ => None,
                    });
            }
            (b"multiOpType", value) => self.multi_operation = integer(value),
            (b"wall", Value::DateTime(milliseconds)) => {
                self.wall_milliseconds = Some(milliseconds);
            }
            _ => {}
        }
    }
}

/// A command inside of an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Command<'a> {
    pub(crate) name: &'a str,
    /// What the name has as its value: the collection, mostly.
    pub(crate) subject: Value<'a>,
    /// The whole command.
    pub(crate) object: &'a [u8],
}

fn text<'a>(value: Value<'a>, field: &'static str, at: OpTime) -> Result<&'a str, EntryError> {
    match value {
        Value::String(text) => str::from_utf8(text).ok(),
        _ => None,
    }
    .ok_or_else(|| EntryError::wrong(field, "a string in UTF-8", at))
}

fn document<'a>(
    value: Option<Value<'a>>,
    field: &'static str,
    at: OpTime,
) -> Result<Option<&'a [u8]>, EntryError> {
    match value {
        None => Ok(None),
        Some(Value::Document(document)) => Ok(Some(document.bytes)),
        Some(_) => Err(EntryError::wrong(field, "a document", at)),
    }
}

/// A whole number of any type: some writers use doubles.
#[expect(
    clippy::cast_possible_truncation,
    reason = "what is no small whole number is none that an entry has"
)]
fn integer(value: Value<'_>) -> Option<i64> {
    match value {
        Value::Int32(number) => Some(number.into()),
        Value::Int64(number) => Some(number),
        Value::Double(number) => Some(number as i64),
        _ => None,
    }
}

/// Why bytes are no oplog entry. `at` is its own time or, before that is known, that of the entry
/// around it; the caller knows where the bytes came from.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message is its documentation")]
#[non_exhaustive]
pub enum EntryError {
    #[error("oplog entry is {bytes} bytes long, and {MAX_DOCUMENT_BYTES} are possible")]
    TooLong { bytes: usize },
    #[error("oplog entry at {at} is not sound")]
    Bson { at: OpTime, source: InvalidBson },
    #[error("oplog entry at {at} has no `{field}`")]
    Missing { field: &'static str, at: OpTime },
    #[error("`{field}` of the oplog entry at {at} is not {expected}")]
    Type {
        field: &'static str,
        expected: &'static str,
        at: OpTime,
    },
}

impl EntryError {
    pub(crate) fn wrong(field: &'static str, expected: &'static str, at: OpTime) -> Self {
        Self::Type {
            field,
            expected,
            at,
        }
    }
}
