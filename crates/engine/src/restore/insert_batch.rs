//! Insert commands, built byte by byte from documents that are never decoded.
//!
//! ```text
//! length | insert, ordered, writeConcern, … | 04 "documents" | length | 03 "0" document | 03 "1" document | … | 00 | 00
//! ```

use std::{io::Write, ops::Range};

use bson::{Document, RawDocumentBuf, oid::ObjectId};

use super::top_level::TopLevel;
use crate::{Error, Result};

/// Everything of an insert command but its documents.
#[derive(Clone, Debug)]
pub(crate) struct InsertHead(Vec<u8>);

impl InsertHead {
    /// `fields` are the fields of the command, its name first, `documents` left out.
    pub(crate) fn new(fields: &Document) -> Result<Self> {
        let raw = RawDocumentBuf::try_from(fields).map_err(|error| {
            Error::internal("an insert command cannot be built").caused_by(error)
        })?;
        let mut bytes = raw.into_bytes();
        bytes.pop();
        Ok(Self(bytes))
    }

    /// The command that inserts `documents`.
    pub(crate) fn command<'a>(&self, documents: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut command = CommandBytes::start(Vec::new(), self, 0);
        for document in documents {
            command.push(|out| out.extend_from_slice(document));
        }
        command.end()
    }
}

/// A command that documents are appended to.
#[derive(Debug)]
struct CommandBytes {
    bytes: Vec<u8>,
    array_start: usize,
    documents: usize,
}

impl CommandBytes {
    /// `expected_bytes` are made room for at once: growing by and by would leave a trail of buffers.
    fn start(mut bytes: Vec<u8>, head: &InsertHead, expected_bytes: usize) -> Self {
        bytes.clear();
        bytes.reserve(expected_bytes);
        bytes.extend_from_slice(&head.0);
        bytes.extend_from_slice(b"\x04documents\0");
        let array_start = bytes.len();
        bytes.extend_from_slice(&[0; 4]);
        Self {
            bytes,
            array_start,
            documents: 0,
        }
    }

    /// Appends the document that `append` appends, and says where it is.
    fn push(&mut self, append: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
        self.bytes.push(0x03);
        // Writing into a vector cannot fail.
        let _ = write!(self.bytes, "{}\0", self.documents);
        let start = self.bytes.len();
        append(&mut self.bytes);
        self.documents += 1;
        start..self.bytes.len()
    }

    fn end(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&[0; 2]);
        let total = self.bytes.len();
        let array = total - 1 - self.array_start;
        for (at, length) in [(self.array_start, array), (0, total)] {
            if let (Some(field), Ok(length)) =
                (self.bytes.get_mut(at..at + 4), i32::try_from(length))
            {
                field.copy_from_slice(&length.to_le_bytes());
            }
        }
        self.bytes
    }
}

/// One insert command and where its documents are.
#[derive(Debug)]
pub(crate) struct InsertBatch {
    command: Vec<u8>,
    places: Vec<Range<usize>>,
    zero_timestamps: Vec<usize>,
}

impl InsertBatch {
    /// How many documents it has.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// The document of this index, as the server will store it.
    pub(crate) fn document(&self, index: usize) -> &[u8] {
        self.places
            .get(index)
            .and_then(|place| self.command.get(place.clone()))
            .unwrap_or_default()
    }

    /// The indexes of documents with a timestamp that the server would overwrite, ascending.
    pub(crate) fn zero_timestamps(&self) -> &[usize] {
        &self.zero_timestamps
    }

    /// The whole command.
    pub(crate) fn command(&self) -> &[u8] {
        &self.command
    }

    /// Its buffer, for another batch.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.command
    }
}

/// When an [`InsertBatch`] is full.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchLimits {
    pub(crate) documents: usize,
    /// Bytes of documents; a longer document makes a batch by itself.
    pub(crate) bytes: usize,
}

/// Gathers documents into insert commands.
#[derive(Debug)]
pub(crate) struct BatchBuilder {
    head: InsertHead,
    limits: BatchLimits,
    /// Whether the server overwrites zero timestamps.
    watch_timestamps: bool,
    open: Option<OpenBatch>,
    /// The size of the last batch, near which the next one will be.
    expected_bytes: usize,
    expected_documents: usize,
}

#[derive(Debug)]
struct OpenBatch {
    command: CommandBytes,
    places: Vec<Range<usize>>,
    zero_timestamps: Vec<usize>,
    bytes: usize,
}

impl BatchBuilder {
    pub(crate) fn new(head: InsertHead, limits: BatchLimits, watch_timestamps: bool) -> Self {
        Self {
            head,
            limits,
            watch_timestamps,
            open: None,
            expected_bytes: 0,
            expected_documents: 0,
        }
    }

    /// Whether `document` must wait for the next batch, so that [`finish`](Self::finish) is due before it is pushed.
    pub(crate) fn is_full_for(&self, document: &[u8]) -> bool {
        self.open.as_ref().is_some_and(|open| {
            open.places.len() >= self.limits.documents
                || open.bytes + document.len() > self.limits.bytes
        })
    }

    /// Adds a document, with `_id` where the server would put it: first, and made by `id` if there is none.
    ///
    /// An `_id` that the server made would be another one when the command is sent again.
    pub(crate) fn push(
        &mut self,
        document: &[u8],
        spare: impl FnOnce() -> Vec<u8>,
        id: impl FnOnce() -> ObjectId,
    ) {
        let open = self.open.get_or_insert_with(|| OpenBatch {
            command: CommandBytes::start(spare(), &self.head, self.expected_bytes),
            places: Vec::with_capacity(self.expected_documents),
            zero_timestamps: Vec::new(),
            bytes: 0,
        });
        let seen = TopLevel::of(document);
        if self.watch_timestamps && seen.has_zero_timestamp {
            open.zero_timestamps.push(open.places.len());
        }
        let place = open.command.push(|out| match seen.id {
            Some(id) if id.element.start == 4 => out.extend_from_slice(document),
            Some(id) => append_parts(
                out,
                document,
                &[
                    id.element.clone(),
                    4..id.element.start,
                    id.element.end..document.len(),
                ],
            ),
            None => append_with_id(out, document, id()),
        });
        open.bytes += place.len();
        open.places.push(place);
    }

    /// The batch of what was pushed, if anything was.
    pub(crate) fn finish(&mut self) -> Option<InsertBatch> {
        let open = self.open.take()?;
        let command = open.command.end();
        // A sixteenth more, since batches differ; but one large document says nothing about the next batch.
        let expected = command.len().saturating_add(command.len() / 16);
        self.expected_bytes =
            expected.min(self.limits.bytes.saturating_add(self.limits.bytes / 16));
        self.expected_documents = open.places.len();
        Some(InsertBatch {
            command,
            places: open.places,
            zero_timestamps: open.zero_timestamps,
        })
    }
}

/// Appends the length of `document` and then these parts of it.
fn append_parts(out: &mut Vec<u8>, document: &[u8], parts: &[Range<usize>]) {
    for part in std::iter::once(&(0..4)).chain(parts) {
        out.extend_from_slice(document.get(part.clone()).unwrap_or_default());
    }
}

fn append_with_id(out: &mut Vec<u8>, document: &[u8], id: ObjectId) {
    let id: Vec<u8> = [b"\x07_id\0".as_slice(), &id.bytes()].concat();
    let length = i32::try_from(document.len() + id.len()).unwrap_or(i32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&id);
    out.extend_from_slice(document.get(4..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use bson::{Bson, RawDocument, Timestamp, doc};

    use super::*;

    fn raw(document: Document) -> Vec<u8> {
        RawDocumentBuf::try_from(&document).unwrap().into_bytes()
    }

    fn decoded(command: &[u8]) -> Document {
        Document::try_from(RawDocument::from_bytes(command).unwrap()).unwrap()
    }

    fn builder(documents: usize, bytes: usize) -> BatchBuilder {
        let head = InsertHead::new(
            &doc! { "insert": "c", "ordered": false, "writeConcern": { "w": "majority" } },
        );
        BatchBuilder::new(head.unwrap(), BatchLimits { documents, bytes }, true)
    }

    #[test]
    fn a_command_is_what_an_encoder_would_have_made() {
        let mut builder = builder(1000, 1 << 20);
        let documents: Vec<Document> = (0..12)
            .map(|number| doc! { "_id": number, "text": "x".repeat(9) })
            .collect();
        for document in &documents {
            builder.push(&raw(document.clone()), Vec::new, ObjectId::new);
        }
        let batch = builder.finish().unwrap();
        let expected = doc! {
            "insert": "c", "ordered": false, "writeConcern": { "w": "majority" }, "documents": documents.clone(),
        };
        assert_eq!(batch.command(), raw(expected));
        assert_eq!(batch.document(11), raw(documents[11].clone()));
        assert!(builder.finish().is_none());
        let again = builder
            .head
            .command([3, 5].iter().map(|index| batch.document(*index)));
        assert_eq!(decoded(&again).get_array("documents").unwrap().len(), 2);
    }

    #[test]
    fn the_id_is_put_first_and_made_when_there_is_none() {
        let mut builder = builder(1000, 1 << 20);
        builder.push(
            &raw(doc! { "a": 1, "_id": 5, "b": 2 }),
            Vec::new,
            ObjectId::new,
        );
        builder.push(&raw(doc! { "a": 1 }), Vec::new, ObjectId::new);
        builder.push(&raw(doc! {}), Vec::new, ObjectId::new);
        let batch = builder.finish().unwrap();
        assert_eq!(batch.document(0), raw(doc! { "_id": 5, "a": 1, "b": 2 }));
        for (index, rest) in [(1, Some(Bson::Int32(1))), (2, None)] {
            let document = decoded(batch.document(index));
            assert!(document.get_object_id("_id").is_ok());
            assert_eq!(document.keys().next().unwrap(), "_id");
            assert_eq!(document.get("a"), rest.as_ref());
        }
        assert_eq!(
            decoded(batch.command())
                .get_array("documents")
                .unwrap()
                .len(),
            3
        );
    }

    #[test]
    fn a_batch_is_full_by_count_or_bytes_and_one_large_document_goes_alone() {
        // TOOLS-939, TOOLS-2875, TOOLS-4142, TOOLS-4145.
        let small = raw(doc! { "_id": 1 });
        let mut by_count = builder(2, 1 << 20);
        assert!(!by_count.is_full_for(&small));
        by_count.push(&small, Vec::new, ObjectId::new);
        assert!(!by_count.is_full_for(&small));
        by_count.push(&small, Vec::new, ObjectId::new);
        assert!(by_count.is_full_for(&small));

        let large = raw(doc! { "_id": 1, "text": "x".repeat(200) });
        let mut by_bytes = builder(1000, 100);
        assert!(!by_bytes.is_full_for(&large));
        by_bytes.push(&large, Vec::new, ObjectId::new);
        assert!(by_bytes.is_full_for(&small));
    }

    #[test]
    fn documents_with_timestamps_to_keep_are_remembered() {
        let zero = Bson::Timestamp(Timestamp {
            time: 0,
            increment: 0,
        });
        let mut builder = builder(1000, 1 << 20);
        builder.push(&raw(doc! { "_id": 1 }), Vec::new, ObjectId::new);
        builder.push(&raw(doc! { "_id": 2, "t": zero }), Vec::new, ObjectId::new);
        assert_eq!(builder.finish().unwrap().zero_timestamps(), [1]);
    }
}
