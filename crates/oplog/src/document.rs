//! Writes raw BSON documents.

use bson::RawDocumentBuf;
use rdump_format::element::Element;

use crate::OpTime;

/// Builds a raw document, element by element.
///
/// What goes in comes out of oplog entries, whose length is checked, so that no length field
/// overflows.
#[derive(Debug)]
pub(crate) struct DocumentBuilder {
    bytes: Vec<u8>,
}

impl DocumentBuilder {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; 4] }
    }

    /// Bytes written so far.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends a value of this type as its bytes are.
    pub(crate) fn raw(&mut self, name: &[u8], (kind, value): (u8, &[u8])) {
        self.bytes.push(kind);
        self.bytes.extend_from_slice(name);
        self.bytes.push(0);
        self.bytes.extend_from_slice(value);
    }

    /// Appends an element of another document as it is.
    pub(crate) fn copy(&mut self, element: &Element<'_>) {
        self.raw(element.name, element.raw);
    }

    pub(crate) fn document(&mut self, name: &str, document: &[u8]) {
        self.raw(name.as_bytes(), (0x03, document));
    }

    pub(crate) fn string(&mut self, name: &str, value: &str) {
        let length = length(value.len().saturating_add(1)).to_le_bytes();
        self.raw(
            name.as_bytes(),
            (0x02, &[&length, value.as_bytes(), &[0]].concat()),
        );
    }

    pub(crate) fn int32(&mut self, name: &str, value: i32) {
        self.raw(name.as_bytes(), (0x10, &value.to_le_bytes()));
    }

    pub(crate) fn timestamp(&mut self, name: &str, at: OpTime) {
        let [low, high] = [at.ordinal.to_le_bytes(), at.seconds.to_le_bytes()];
        self.raw(name.as_bytes(), (0x11, &[low, high].concat()));
    }

    pub(crate) fn int64(&mut self, name: &str, value: i64) {
        self.raw(name.as_bytes(), (0x12, &value.to_le_bytes()));
    }

    pub(crate) fn boolean(&mut self, name: &str, value: bool) {
        self.raw(name.as_bytes(), (0x08, &[u8::from(value)]));
    }

    /// Starts an array. What is written until [`end`](Self::end) is inside it.
    pub(crate) fn start_array(&mut self, name: &str) -> usize {
        self.raw(name.as_bytes(), (0x04, &[]));
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        start
    }

    /// Ends the document or array that started there.
    pub(crate) fn end(&mut self, start: usize) {
        self.bytes.push(0);
        let inside = self.bytes.get_mut(start..).unwrap_or_default();
        let length = length(inside.len()).to_le_bytes();
        if let Some(field) = inside.first_chunk_mut() {
            *field = length;
        }
    }

    pub(crate) fn build(mut self) -> RawDocumentBuf {
        self.end(0);
        RawDocumentBuf::from_bytes(self.bytes).expect("length and terminator were just written")
    }
}

fn length(bytes: usize) -> i32 {
    i32::try_from(bytes).expect("an entry is 16 MiB and 16 KiB at most")
}
