//! Where two documents that should be equal are not.

use bson::RawDocument;

use super::CollectionMetadata;
use crate::element::{Element, Elements};

/// The path of the first value of `written` that did not come back; `None` when all did.
pub(super) fn between(written: &CollectionMetadata, back: &CollectionMetadata) -> Option<String> {
    let differs = |a: &RawDocument, b: &RawDocument| a.as_bytes() != b.as_bytes();
    if differs(&written.options, &back.options) {
        return Some(path("options", &written.options, &back.options));
    }
    for (position, (index, back)) in written.indexes.iter().zip(&back.indexes).enumerate() {
        if differs(index, back) {
            return Some(path(&format!("indexes.{position}"), index, back));
        }
    }
    let rest = |metadata: &CollectionMetadata| {
        (
            metadata.indexes.len(),
            metadata.uuid,
            metadata.collection.clone(),
            metadata.kind.clone(),
        )
    };
    (rest(written) != rest(back)).then(|| "collection".to_owned())
}

/// `start` and the keys that lead to the first difference inside.
fn path(start: &str, written: &RawDocument, back: &RawDocument) -> String {
    let mut path = start.to_owned();
    let mut inside = Some((written.as_bytes(), back.as_bytes()));
    while let Some((element, other)) = inside.and_then(|(a, b)| first_difference(a, b)) {
        path.push('.');
        path.push_str(&String::from_utf8_lossy(element.name));
        inside = other
            .filter(|other| other.name == element.name)
            .and_then(|other| Some((element.value.nested()?.bytes, other.value.nested()?.bytes)));
    }
    path
}

/// The first element of `written` that is not at its place in `back`, and what is there.
fn first_difference<'a>(
    written: &'a [u8],
    back: &'a [u8],
) -> Option<(Element<'a>, Option<Element<'a>>)> {
    let mut others = Elements::of(back).ok()?;
    Elements::of(written)
        .ok()?
        .map_while(Result::ok)
        .find_map(|element| {
            let other = others.next().and_then(Result::ok);
            let same = |other: &Element<'_>| (other.name, other.raw) == (element.name, element.raw);
            if other.as_ref().is_some_and(same) {
                None
            } else {
                Some((element, other))
            }
        })
}
