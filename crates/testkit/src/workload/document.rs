//! The documents that a workload writes.

mod edit;

use bson::{DateTime, Document, RawDocumentBuf, doc};
use rand::RngExt as _;

use super::{change::Image, pen::Pen};
pub(super) use edit::{Edit, edit};

/// 2100-01-01T00:00:00Z, in milliseconds: nothing expires by it.
const FAR: i64 = 4_102_444_800_000;

/// A document that is new.
pub(super) fn new(pen: &mut Pen, id: i64) -> Document {
    let items: Vec<Document> = (0..pen.rng.random_range(0..4))
        .map(|n| doc! { "n": n, "state": "new" })
        .collect();
    doc! {
        "_id": id, "writer": i64::from(pen.number), "version": 0, "text": text(pen), "list": [],
        "items": items, "nested": { "count": 0 }, "expires": DateTime::from_millis(FAR),
    }
}

/// A document that is new, with so much text in it.
pub(super) fn large(pen: &mut Pen, id: i64, text_bytes: usize) -> Document {
    let mut document = new(pen, id);
    document.insert("payload", words(text_bytes));
    document
}

/// A text of up to 200 bytes.
pub(super) fn text(pen: &mut Pen) -> String {
    words(pen.rng.random_range(0..200))
}

/// The bytes of a document, to be shared.
pub(super) fn image(document: &Document) -> Image {
    raw(document).into()
}

/// The bytes of a document.
pub(super) fn raw(document: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).expect("the document was made of plain values")
}

fn words(bytes: usize) -> String {
    let mut words = "workload ".repeat(bytes / 9 + 1);
    words.truncate(bytes);
    words
}
