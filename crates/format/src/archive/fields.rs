//! The fields of the documents that an archive adds to those of collections.

use super::error::{ArchiveError, ArchivePart};
use crate::element::{Elements, Nested, Value};

/// The fields of one document that are known: in any order, each there once. Every one must be taken
/// by the name and as the type that it has.
pub(super) struct Fields<'a> {
    offset: u64,
    part: ArchivePart,
    values: Vec<(&'static str, Value<'a>)>,
}

impl<'a> Fields<'a> {
    /// Reads `document`, which is `part` and at byte `offset` of the archive. A field that is not
    /// known is passed over in the prelude, where a later mongodump may say more, if all those are
    /// there that are: a damaged name is no new field.
    pub(super) fn read(
        document: &'a [u8],
        offset: u64,
        part: ArchivePart,
        known: &[&'static str],
    ) -> Result<Self, ArchiveError> {
        let refuse = |source| ArchiveError::Bson {
            offset,
            inside: part.clone(),
            source,
        };
        let mut values: Vec<(&'static str, Value<'a>)> = Vec::new();
        let mut unexpected = None;
        let outermost = Nested {
            bytes: document,
            offset: 0,
        };
        for element in Elements::new(outermost).map_err(refuse)? {
            let element = element.map_err(refuse)?;
            let name = known.iter().find(|name| name.as_bytes() == element.name);
            match name {
                Some(name) if values.iter().all(|(before, _)| before != name) => {
                    values.push((name, element.value));
                }
                None if part != ArchivePart::BlockHeader => {
                    unexpected.get_or_insert(element.name);
                }
                _ => return Err(unexpected_field(offset, part, element.name)),
            }
        }
        match unexpected {
            Some(name) if values.len() < known.len() => {
                return Err(unexpected_field(offset, part, name));
            }
            _ => {}
        }
        Ok(Self {
            offset,
            part,
            values,
        })
    }

    pub(super) fn text(&self, field: &'static str) -> Result<String, ArchiveError> {
        let bytes = self.required(field, "a string", |value| match value {
            Value::String(bytes) => Some(bytes),
            _ => None,
        })?;
        match str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => self.refuse(field, "UTF-8"),
        }
    }

    /// Makes sure that it is a number.
    pub(super) fn number(&self, field: &'static str) -> Result<(), ArchiveError> {
        self.required(field, "a number", |value| {
            let number = matches!(value, Value::Int32(_) | Value::Int64(_) | Value::Double(_));
            number.then_some(())
        })
    }

    /// An integer of 32 bits, as a number of any type.
    pub(super) fn int32(&self, field: &'static str) -> Result<i32, ArchiveError> {
        self.required(field, "a 32-bit integer", |value| match value {
            Value::Int32(int) => Some(int),
            Value::Int64(int) => i32::try_from(int).ok(),
            Value::Double(double) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "what it changes is refused"
                )]
                let int = double as i32;
                (f64::from(int) == double).then_some(int)
            }
            _ => None,
        })
    }

    pub(super) fn int64(&self, field: &'static str) -> Result<i64, ArchiveError> {
        self.required(field, "a 64-bit integer", |value| match value {
            Value::Int64(int) => Some(int),
            _ => None,
        })
    }

    pub(super) fn bool(&self, field: &'static str) -> Result<bool, ArchiveError> {
        self.required(field, "a boolean", |value| match value {
            Value::Bool(flag) => Some(flag),
            _ => None,
        })
    }

    /// Whether the field is there.
    pub(super) fn has(&self, field: &str) -> bool {
        self.value(field).is_some()
    }

    /// The error that the value of `field` is not what it should be.
    pub(super) fn refuse<T>(
        &self,
        field: &'static str,
        expected: &'static str,
    ) -> Result<T, ArchiveError> {
        Err(ArchiveError::FieldValue {
            offset: self.offset,
            inside: self.part.clone(),
            field,
            expected,
        })
    }

    fn value(&self, field: &str) -> Option<Value<'a>> {
        let mut values = self.values.iter();
        values.find_map(|(name, value)| (*name == field).then_some(*value))
    }

    fn required<T>(
        &self,
        field: &'static str,
        expected: &'static str,
        of: impl Fn(Value<'a>) -> Option<T>,
    ) -> Result<T, ArchiveError> {
        match self.value(field) {
            Some(value) => of(value).map_or_else(|| self.refuse(field, expected), Ok),
            None => Err(ArchiveError::MissingField {
                offset: self.offset,
                inside: self.part.clone(),
                field,
            }),
        }
    }
}

fn unexpected_field(offset: u64, inside: ArchivePart, field: &[u8]) -> ArchiveError {
    ArchiveError::UnexpectedField {
        offset,
        inside,
        field: String::from_utf8_lossy(field).into_owned(),
    }
}
