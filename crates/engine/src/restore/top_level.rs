//! The top-level fields of a raw document: its `_id`, and the timestamps that a server would overwrite.
//!
//! A server that inserts a document puts `_id` first, adds one if there is none, and replaces every zero timestamp at
//! the top level, `_id` excepted, by the current time. Deeper ones it leaves alone. A restore has to know all three.

use std::ops::Range;

const STRING: u8 = 0x02;
const DOCUMENT: u8 = 0x03;
const ARRAY: u8 = 0x04;
const BINARY: u8 = 0x05;
const REGEX: u8 = 0x0b;
const DB_POINTER: u8 = 0x0c;
const CODE: u8 = 0x0d;
const SYMBOL: u8 = 0x0e;
const CODE_WITH_SCOPE: u8 = 0x0f;
const TIMESTAMP: u8 = 0x11;

/// One field of a document: where it is in its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) kind: u8,
    /// Type, name with its zero byte, value.
    pub(crate) element: Range<usize>,
    pub(crate) name: Range<usize>,
    pub(crate) value: Range<usize>,
}

/// The fields of `document`, which must be framed soundly; `None` stands for bytes that are no field.
pub(crate) fn fields(document: &[u8]) -> impl Iterator<Item = Option<Field>> {
    let end = document.len().saturating_sub(1);
    let mut at = 4;
    std::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let field = field_at(document, at, end);
        at = field.as_ref().map_or(end, |field| field.element.end);
        Some(field)
    })
}

fn field_at(document: &[u8], start: usize, end: usize) -> Option<Field> {
    let kind = *document.get(start)?;
    let name_start = start + 1;
    let name = name_start..name_start + c_string(document.get(name_start..end)?)?;
    let value_start = name.end + 1;
    let value_bytes = value_bytes(kind, document.get(value_start..end)?)?;
    let value = value_start..value_start.checked_add(value_bytes)?;
    (value.end <= end).then_some(Field {
        kind,
        element: start..value.end,
        name,
        value,
    })
}

/// How long the value at the beginning of `rest` is.
fn value_bytes(kind: u8, rest: &[u8]) -> Option<usize> {
    let length = || {
        rest.first_chunk()
            .and_then(|field| usize::try_from(i32::from_le_bytes(*field)).ok())
    };
    Some(match kind {
        0x06 | 0x0a | 0x7f | 0xff => 0,
        0x08 => 1,
        0x10 => 4,
        0x01 | 0x09 | 0x12 | TIMESTAMP => 8,
        0x07 => 12,
        0x13 => 16,
        STRING | CODE | SYMBOL => length()? + 4,
        BINARY => length()? + 5,
        DB_POINTER => length()? + 4 + 12,
        DOCUMENT | ARRAY | CODE_WITH_SCOPE => length()?,
        REGEX => {
            let pattern = c_string(rest)? + 1;
            pattern + c_string(rest.get(pattern..)?)? + 1
        }
        _ => return None,
    })
}

fn c_string(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == 0)
}

/// What an insert has to know of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TopLevel {
    /// The field `_id`, if there is exactly one or more: the first.
    pub(crate) id: Option<Field>,
    /// Whether a server without `bypassEmptyTsReplacement` would change a field.
    pub(crate) has_zero_timestamp: bool,
}

impl TopLevel {
    /// Looks at the fields; what comes after bytes that are no field is not seen.
    pub(crate) fn of(document: &[u8]) -> Self {
        let mut seen = Self::default();
        for field in fields(document).map_while(|field| field) {
            if document.get(field.name.clone()) == Some(b"_id") {
                seen.id.get_or_insert(field);
            } else if is_zero_timestamp(document, &field) {
                seen.has_zero_timestamp = true;
            }
        }
        seen
    }
}

fn is_zero_timestamp(document: &[u8], field: &Field) -> bool {
    field.kind == TIMESTAMP && document.get(field.value.clone()) == Some(&[0; 8])
}

/// Whether `stored` is `ours`, or became so by an insert that overwrote zero timestamps.
pub(crate) fn is_same_but_for_timestamps(ours: &[u8], stored: &[u8]) -> bool {
    if ours.len() != stored.len() || ours.get(..4) != stored.get(..4) {
        return false;
    }
    fields(ours).all(|field| {
        field.is_some_and(|field| {
            let to_compare = match is_zero_timestamp(ours, &field) {
                true => field.element.start..field.value.start,
                false => field.element,
            };
            ours.get(to_compare.clone()) == stored.get(to_compare)
        })
    })
}

#[cfg(test)]
mod tests {
    use bson::{Bson, RawDocumentBuf, Timestamp, doc, oid::ObjectId};

    use super::*;

    const ZERO: Bson = Bson::Timestamp(Timestamp {
        time: 0,
        increment: 0,
    });
    const SOME: Bson = Bson::Timestamp(Timestamp {
        time: 1,
        increment: 2,
    });

    fn raw(document: bson::Document) -> Vec<u8> {
        RawDocumentBuf::try_from(&document).unwrap().into_bytes()
    }

    #[test]
    fn every_type_is_stepped_over() {
        let document = doc! {
            "double": 1.5, "string": "a", "document": { "a": 1 }, "array": [1, 2], "binary": Bson::Binary(bson::Binary {
                subtype: bson::spec::BinarySubtype::Generic, bytes: vec![1, 2, 3],
            }),
            "undefined": Bson::Undefined, "oid": ObjectId::new(), "bool": true,
            "date": bson::DateTime::from_millis(5), "null": Bson::Null,
            "regex": Bson::RegularExpression(bson::Regex { pattern: "a".try_into().unwrap(), options: "i".try_into().unwrap() }),
            "code": Bson::JavaScriptCode("x".into()), "symbol": Bson::Symbol("s".into()),
            "scoped": Bson::JavaScriptCodeWithScope(bson::JavaScriptCodeWithScope { code: "y".into(), scope: doc! { "z": 1 } }),
            "int": 1_i32, "timestamp": SOME, "long": 1_i64, "decimal": "1.5".parse::<bson::Decimal128>().unwrap(),
            "min": Bson::MinKey, "max": Bson::MaxKey, "_id": 7,
        };
        let bytes = raw(document.clone());
        let names: Vec<_> = fields(&bytes)
            .map(|field| String::from_utf8(bytes[field.unwrap().name].to_vec()).unwrap())
            .collect();
        assert_eq!(names, document.keys().cloned().collect::<Vec<_>>());
        let id = TopLevel::of(&bytes).id.unwrap();
        assert_eq!(bytes[id.value], 7_i32.to_le_bytes());
    }

    #[test]
    fn only_zero_timestamps_at_the_top_and_outside_the_id_count() {
        assert!(TopLevel::of(&raw(doc! { "_id": 1, "": ZERO })).has_zero_timestamp);
        assert!(
            !TopLevel::of(&raw(
                doc! { "_id": ZERO, "a": SOME, "b": { "c": ZERO }, "d": [ZERO] }
            ))
            .has_zero_timestamp
        );
    }

    #[test]
    fn overwritten_timestamps_are_no_difference_and_all_else_is() {
        let ours = raw(doc! { "_id": 1, "t": ZERO, "n": { "t": ZERO } });
        assert!(is_same_but_for_timestamps(
            &ours,
            &raw(doc! { "_id": 1, "t": SOME, "n": { "t": ZERO } })
        ));
        assert!(is_same_but_for_timestamps(&ours, &ours));
        for other in [
            doc! { "_id": 2, "t": SOME, "n": { "t": ZERO } },
            doc! { "_id": 1, "u": SOME, "n": { "t": ZERO } },
            doc! { "_id": 1, "t": SOME, "n": { "t": SOME } },
            doc! { "_id": 1, "t": 1_i64, "n": { "t": ZERO } },
            doc! { "_id": 1, "t": SOME },
        ] {
            assert!(
                !is_same_but_for_timestamps(&ours, &raw(other.clone())),
                "{other}"
            );
        }
    }

    #[test]
    fn bytes_that_are_no_field_end_the_look_without_a_panic() {
        let mut bytes = raw(doc! { "a": "text", "_id": 1 });
        bytes[7] = 0xf0;
        assert_eq!(TopLevel::of(&bytes), TopLevel::default());
        for cut in 0..bytes.len() {
            let _ = TopLevel::of(&bytes[..cut]);
        }
    }
}
