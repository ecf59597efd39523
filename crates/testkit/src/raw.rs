//! Builds BSON documents byte by byte, including those that no other builder lets through.
//!
//! The bson crate neither makes the deprecated types nor repeats a field name; a server holds both, and a
//! dump must bring both back. See the [BSON specification](https://bsonspec.org/spec.html).

use bson::{RawDocument, RawDocumentBuf};

/// Builds one document (or array) from elements, in the order they are added.
#[derive(Clone, Debug)]
pub struct RawBuilder {
    /// Four bytes for the length, then the elements.
    bytes: Vec<u8>,
}

impl Default for RawBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl RawBuilder {
    /// An empty document.
    pub fn new() -> Self {
        Self::with_capacity(64)
    }

    /// An empty document with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity);
        bytes.extend([0; 4]);
        Self { bytes }
    }

    /// Adds an element of any type; `value` is its encoding.
    pub fn push(&mut self, element_type: u8, name: &str, value: &[u8]) {
        assert!(!name.contains('\0'), "a field name holds no NUL: {name:?}");
        self.bytes.push(element_type);
        self.bytes.extend(name.as_bytes());
        self.bytes.push(0);
        self.bytes.extend(value);
    }

    /// Adds an element; see [`RawBuilder::push`].
    #[must_use]
    pub fn element(mut self, element_type: u8, name: &str, value: &[u8]) -> Self {
        self.push(element_type, name, value);
        self
    }

    /// Adds a UTF-8 string (type 2).
    #[must_use]
    pub fn string(self, name: &str, value: &str) -> Self {
        self.element(0x02, name, &string(value))
    }

    /// Adds an embedded document (type 3).
    #[must_use]
    pub fn document(self, name: &str, value: &RawDocument) -> Self {
        self.element(0x03, name, value.as_bytes())
    }

    /// Adds an array (type 4) of documents.
    #[must_use]
    pub fn documents(
        mut self,
        name: &str,
        values: impl IntoIterator<Item = RawDocumentBuf>,
    ) -> Self {
        let mut array = Self::new();
        for (index, value) in values.into_iter().enumerate() {
            array.push(0x03, &index.to_string(), value.as_bytes());
        }
        self.push(0x04, name, array.build().as_bytes());
        self
    }

    /// Adds a binary value (type 5); old binary (subtype 2) gets its second length.
    #[must_use]
    pub fn binary(self, name: &str, subtype: u8, value: &[u8]) -> Self {
        let mut encoded = Vec::new();
        if subtype == 2 {
            encoded.extend(length(value.len() + 4));
            encoded.push(subtype);
            encoded.extend(length(value.len()));
        } else {
            encoded.extend(length(value.len()));
            encoded.push(subtype);
        }
        encoded.extend(value);
        self.element(0x05, name, &encoded)
    }

    /// Adds a date (type 9), in milliseconds since 1970.
    #[must_use]
    pub fn date(self, name: &str, milliseconds: i64) -> Self {
        self.element(0x09, name, &milliseconds.to_le_bytes())
    }

    /// Adds a boolean (type 8).
    #[must_use]
    pub fn bool(self, name: &str, value: bool) -> Self {
        self.element(0x08, name, &[u8::from(value)])
    }

    /// Adds a 32-bit integer (type 16).
    #[must_use]
    pub fn int32(self, name: &str, value: i32) -> Self {
        self.element(0x10, name, &value.to_le_bytes())
    }

    /// Adds a timestamp (type 17).
    #[must_use]
    pub fn timestamp(self, name: &str, time: u32, increment: u32) -> Self {
        let value = u64::from(time) << 32 | u64::from(increment);
        self.element(0x11, name, &value.to_le_bytes())
    }

    /// Adds a 64-bit integer (type 18).
    #[must_use]
    pub fn int64(self, name: &str, value: i64) -> Self {
        self.element(0x12, name, &value.to_le_bytes())
    }

    /// Adds a double (type 1).
    #[must_use]
    pub fn double(self, name: &str, value: f64) -> Self {
        self.element(0x01, name, &value.to_le_bytes())
    }

    /// Adds all elements of another document.
    #[must_use]
    pub fn extend(mut self, other: &RawDocument) -> Self {
        let bytes = other.as_bytes();
        self.bytes.extend(&bytes[4..bytes.len() - 1]);
        self
    }

    /// Ends the document.
    pub fn build(mut self) -> RawDocumentBuf {
        self.bytes.push(0);
        let total = length(self.bytes.len());
        self.bytes[..4].copy_from_slice(&total);
        RawDocumentBuf::from_bytes(self.bytes).expect("the builder frames its document")
    }
}

/// Encodes a string as a value: length, text, NUL.
pub fn string(value: &str) -> Vec<u8> {
    let mut encoded = length(value.len() + 1).to_vec();
    encoded.extend(value.as_bytes());
    encoded.push(0);
    encoded
}

/// Encodes a length as BSON does: a 32-bit little-endian integer.
pub fn length(bytes: usize) -> [u8; 4] {
    i32::try_from(bytes)
        .expect("BSON lengths have 31 bits")
        .to_le_bytes()
}

/// The bytes of the value of the top-level field `name`, with its type in front; `None` if there is none.
pub fn value_bytes(document: &RawDocument, name: &str) -> Option<Vec<u8>> {
    let bytes = document.as_bytes();
    let mut end = 4;
    for element in document.iter_elements() {
        let element = element.ok()?;
        let value = end + 1 + element.key().len() + 1;
        end = value + element.size();
        if element.key() == name {
            let mut typed = vec![element.element_type() as u8];
            typed.extend(&bytes[value..end]);
            return Some(typed);
        }
    }
    None
}
