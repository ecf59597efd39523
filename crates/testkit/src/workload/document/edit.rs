//! Updates of documents, of every sort that the oplog has another form for, with what they make.
//!
//! Every one changes `version`, so that none is without an entry in the oplog, and adds one field at most, so that
//! there is no question of their order.

use bson::{Bson, Document, doc};
use rand::RngExt as _;

use super::{Pen, text};

/// Items of a document that are kept.
const MAX_ITEMS: usize = 6;

/// An update, and the document after it.
#[derive(Clone, Debug)]
pub(in crate::workload) struct Edit {
    pub(in crate::workload) after: Document,
    /// Operators, a replacement or a pipeline.
    pub(in crate::workload) update: Bson,
    pub(in crate::workload) array_filters: Option<Vec<Document>>,
}

/// Chooses an update of a document made by [`new`](super::new).
pub(in crate::workload) fn edit(pen: &mut Pen, before: &Document) -> Edit {
    let mut after = before.clone();
    let version = number(&after, "version");
    after.insert("version", version + 1);
    let mut array_filters = None;
    let update: Bson = match pen.pick(11) {
        0 | 1 => {
            let (text, element) = (text(pen), pen.rng.random_range(0..1000));
            after.insert("text", &text);
            array(&mut after, "list").push(element.into());
            doc! { "$inc": { "version": 1 }, "$set": { "text": text }, "$push": { "list": element } }
                .into()
        }
        2 => {
            let least = pen.rng.random_range(0..3);
            array_filters = Some(vec![doc! { "item.n": { "$gte": least } }]);
            let state = format!("of version {version}");
            for item in documents(&mut after, "items") {
                if number(item, "n") >= least {
                    item.insert("state", &state);
                }
            }
            doc! { "$inc": { "version": 1 }, "$set": { "items.$[item].state": state } }.into()
        }
        3 => {
            let text = text(pen);
            let nested = nested(&mut after);
            nested.insert("count", number(nested, "count") + 2);
            nested.insert("word", &text);
            doc! { "$inc": { "version": 1, "nested.count": 2 }, "$set": { "nested.word": text } }
                .into()
        }
        4 => {
            nested(&mut after).remove("word");
            doc! { "$inc": { "version": 1 }, "$unset": { "nested.word": "" } }.into()
        }
        5 => {
            let list = array(&mut after, "list");
            let end = if pen.chance(50) { 1 } else { -1 };
            if end == 1 {
                list.pop();
            } else if !list.is_empty() {
                list.remove(0);
            }
            doc! { "$inc": { "version": 1 }, "$pop": { "list": end } }.into()
        }
        6 => {
            let item = doc! { "n": pen.rng.random_range(0..5), "state": "pushed" };
            let items = array(&mut after, "items");
            items.push(item.clone().into());
            items.drain(..items.len().saturating_sub(MAX_ITEMS));
            let kept = -i32::try_from(MAX_ITEMS).expect("there are few");
            let push = doc! { "items": { "$each": [item], "$slice": kept } };
            doc! { "$inc": { "version": 1 }, "$push": push }.into()
        }
        7 => {
            let count = number(nested(&mut after), "count");
            after.insert("total", version + count);
            let total = doc! { "$add": ["$version", "$nested.count"] };
            pipeline([doc! { "$set": { "version": next_version(), "total": total } }])
        }
        8 => {
            let kept = pen.rng.random_range(1..4);
            array(&mut after, "list").truncate(kept);
            after.remove("total");
            let kept = i32::try_from(kept).expect("there are few");
            let slice = doc! { "$slice": ["$list", kept] };
            pipeline([
                doc! { "$set": { "version": next_version(), "list": slice } },
                doc! { "$unset": "total" },
            ])
        }
        9 => {
            let nested = nested(&mut after);
            nested.insert("count", number(nested, "count") + 5);
            let count = doc! { "$add": ["$nested.count", 5] };
            pipeline([doc! { "$set": { "nested.count": count, "version": next_version() } }])
        }
        _ => {
            after.insert("text", text(pen));
            after.insert("list", Vec::<Bson>::new());
            after.remove("total");
            after.clone().into()
        }
    };
    Edit {
        after,
        update,
        array_filters,
    }
}

fn pipeline<const STAGES: usize>(stages: [Document; STAGES]) -> Bson {
    Bson::Array(stages.into_iter().map(Bson::Document).collect())
}

fn next_version() -> Document {
    doc! { "$add": ["$version", 1] }
}

fn number(document: &Document, name: &str) -> i32 {
    document.get_i32(name).expect("every document has it")
}

fn array<'a>(document: &'a mut Document, name: &str) -> &'a mut Vec<Bson> {
    document
        .get_array_mut(name)
        .expect("every document has this array")
}

fn documents<'a>(document: &'a mut Document, name: &str) -> impl Iterator<Item = &'a mut Document> {
    array(document, name)
        .iter_mut()
        .filter_map(Bson::as_document_mut)
}

fn nested(document: &mut Document) -> &mut Document {
    document
        .get_document_mut("nested")
        .expect("every document has one in it")
}
