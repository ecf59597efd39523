//! The elements of a BSON document, straight from its bytes.
//!
//! The types of `bson` are not enough here: they cannot show a DBPointer's parts, and insist on
//! UTF-8 where servers do not. The layout is that of <https://bsonspec.org/spec.html>.
//!
//! # Examples
//!
//! ```
//! use rdump_format::element::{Elements, Value};
//!
//! let document = bson::rawdoc! { "_id": 1, "tags": ["a"] };
//! for element in Elements::of(document.as_bytes())? {
//!     let element = element?;
//!     assert_eq!(element.name == b"_id", matches!(element.value, Value::Int32(1)));
//! }
//! # Ok::<(), rdump_format::InvalidBson>(())
//! ```

use crate::validate::InvalidBson;

/// A document or array within another, with its place in the outermost one.
#[derive(Clone, Copy, Debug)]
pub struct Nested<'a> {
    /// The document or array, length and terminator included.
    pub bytes: &'a [u8],
    /// Where `bytes` start, from the start of the outermost document.
    pub offset: usize,
}

/// One element. Strings are whatever bytes they are; nothing says that they are UTF-8.
#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    /// Where its type byte is, from the start of the outermost document.
    pub offset: usize,
    /// The key, without the zero byte at its end.
    pub name: &'a [u8],
    /// What it holds.
    pub value: Value<'a>,
    /// The type and the bytes of the value: equal values have equal bytes.
    pub raw: (u8, &'a [u8]),
}

/// The value of an element: one variant for each type of BSON, `MinKey` to `MaxKey`.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "each variant is the type of its name")]
#[non_exhaustive]
pub enum Value<'a> {
    Double(f64),
    String(&'a [u8]),
    Document(Nested<'a>),
    Array(Nested<'a>),
    Binary {
        subtype: u8,
        bytes: &'a [u8],
    },
    Undefined,
    ObjectId(&'a [u8; 12]),
    Bool(bool),
    DateTime(i64),
    Null,
    Regex {
        pattern: &'a [u8],
        options: &'a [u8],
    },
    DbPointer {
        namespace: &'a [u8],
        id: &'a [u8; 12],
    },
    Code(&'a [u8]),
    Symbol(&'a [u8]),
    CodeWithScope {
        code: &'a [u8],
        scope: Nested<'a>,
    },
    Int32(i32),
    Timestamp {
        time: u32,
        increment: u32,
    },
    Int64(i64),
    Decimal128(&'a [u8; 16]),
    MinKey,
    MaxKey,
}

impl<'a> Value<'a> {
    /// The document or array inside, if there is one.
    #[must_use]
    pub fn nested(&self) -> Option<Nested<'a>> {
        match self {
            Self::Document(nested)
            | Self::Array(nested)
            | Self::CodeWithScope { scope: nested, .. } => Some(*nested),
            _ => None,
        }
    }
}

/// The elements of one document, in order. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    rest: Bytes<'a>,
}

impl<'a> Elements<'a> {
    /// The elements of an outermost document.
    ///
    /// # Errors
    ///
    /// [`InvalidBson`] when its length field or its terminator is wrong.
    pub fn of(document: &'a [u8]) -> Result<Self, InvalidBson> {
        Self::new(Nested {
            bytes: document,
            offset: 0,
        })
    }

    /// Checks length and terminator, and starts before the first element.
    ///
    /// # Errors
    ///
    /// [`InvalidBson`] when the length field or the terminator is wrong.
    pub fn new(document: Nested<'a>) -> Result<Self, InvalidBson> {
        let refuse = |reason| InvalidBson::new(document.offset, reason);
        let mut rest = Bytes {
            bytes: document.bytes,
            offset: document.offset,
        };
        let length = i32::from_le_bytes(*rest.array()?);
        if usize::try_from(length).ok() != Some(document.bytes.len()) {
            return Err(refuse("the length of the document is not its length field"));
        }
        match rest.bytes.split_last() {
            Some((0, elements)) => Ok(Self {
                rest: Bytes {
                    bytes: elements,
                    ..rest
                },
            }),
            _ => Err(refuse("the document does not end with a zero byte")),
        }
    }

    fn element(&mut self) -> Result<Element<'a>, InvalidBson> {
        let offset = self.rest.offset;
        let [kind] = *self.rest.array()?;
        let name = self.rest.cstring()?;
        let before = self.rest;
        let value = self.rest.value(kind, offset)?;
        let length = self.rest.offset.saturating_sub(before.offset);
        let raw = (kind, before.bytes.get(..length).unwrap_or_default());
        Ok(Element {
            offset,
            name,
            value,
            raw,
        })
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>, InvalidBson>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.bytes.is_empty() {
            return None;
        }
        let element = self.element();
        if element.is_err() {
            self.rest.bytes = &[];
        }
        Some(element)
    }
}

/// Bytes not yet looked at, and where they start in the outermost document.
#[derive(Clone, Copy, Debug)]
struct Bytes<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Bytes<'a> {
    fn refuse<T>(&self, reason: &'static str) -> Result<T, InvalidBson> {
        Err(InvalidBson::new(self.offset, reason))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], InvalidBson> {
        let Some((taken, rest)) = self.bytes.split_at_checked(length) else {
            return self.refuse("the value is longer than the document that holds it");
        };
        *self = Self {
            bytes: rest,
            offset: self.offset.saturating_add(length),
        };
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], InvalidBson> {
        let at = *self;
        self.take(N)?
            .first_chunk()
            .map_or_else(|| at.refuse("the value is cut short"), Ok)
    }

    fn cstring(&mut self) -> Result<&'a [u8], InvalidBson> {
        let Some(length) = self.bytes.iter().position(|byte| *byte == 0) else {
            return self.refuse("the name or pattern has no zero byte at its end");
        };
        let text = self.take(length)?;
        self.take(1)?;
        Ok(text)
    }

    /// A length field of at least `least`.
    fn length(&mut self, least: usize) -> Result<usize, InvalidBson> {
        let at = *self;
        match usize::try_from(i32::from_le_bytes(*self.array()?)) {
            Ok(length) if length >= least => Ok(length),
            _ => at.refuse("the length of the value is impossible"),
        }
    }

    fn string(&mut self) -> Result<&'a [u8], InvalidBson> {
        let at = *self;
        let length = self.length(1)?;
        match self.take(length)?.split_last() {
            Some((0, text)) => Ok(text),
            _ => at.refuse("the string does not end with a zero byte"),
        }
    }

    /// A document: its own length field says how much of the rest it is.
    fn document(&mut self) -> Result<Nested<'a>, InvalidBson> {
        let Self { offset, .. } = *self;
        let length = { *self }.length(5)?;
        Ok(Nested {
            bytes: self.take(length)?,
            offset,
        })
    }

    fn value(&mut self, kind: u8, offset: usize) -> Result<Value<'a>, InvalidBson> {
        Ok(match kind {
            0x01 => Value::Double(f64::from_le_bytes(*self.array()?)),
            0x02 => Value::String(self.string()?),
            0x03 => Value::Document(self.document()?),
            0x04 => Value::Array(self.document()?),
            0x05 => {
                let length = self.length(0)?;
                let [subtype] = *self.array()?;
                Value::Binary {
                    subtype,
                    bytes: self.take(length)?,
                }
            }
            0x06 => Value::Undefined,
            0x07 => Value::ObjectId(self.array()?),
            0x08 => match { *self }.array()? {
                [flag @ (0 | 1)] => {
                    self.take(1)?;
                    Value::Bool(*flag == 1)
                }
                _ => return self.refuse("the boolean is neither 0 nor 1"),
            },
            0x09 => Value::DateTime(i64::from_le_bytes(*self.array()?)),
            0x0A => Value::Null,
            0x0B => Value::Regex {
                pattern: self.cstring()?,
                options: self.cstring()?,
            },
            0x0C => Value::DbPointer {
                namespace: self.string()?,
                id: self.array()?,
            },
            0x0D => Value::Code(self.string()?),
            0x0E => Value::Symbol(self.string()?),
            0x0F => self.code_with_scope()?,
            0x10 => Value::Int32(i32::from_le_bytes(*self.array()?)),
            0x11 => {
                let increment = u32::from_le_bytes(*self.array()?);
                Value::Timestamp {
                    time: u32::from_le_bytes(*self.array()?),
                    increment,
                }
            }
            0x12 => Value::Int64(i64::from_le_bytes(*self.array()?)),
            0x13 => Value::Decimal128(self.array()?),
            0x7F => Value::MaxKey,
            0xFF => Value::MinKey,
            _ => {
                return Err(InvalidBson::new(
                    offset,
                    "the type of the element is unknown",
                ));
            }
        })
    }

    fn code_with_scope(&mut self) -> Result<Value<'a>, InvalidBson> {
        let at = *self;
        let length = self.length(14)?;
        let code = self.string()?;
        let scope = self.document()?;
        if self.offset.saturating_sub(at.offset) == length {
            Ok(Value::CodeWithScope { code, scope })
        } else {
            at.refuse("the length of the code with scope is not that of its parts")
        }
    }
}
