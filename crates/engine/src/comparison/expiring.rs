//! Documents that go away by themselves: what is there of them depends on when one looks. Pure.

use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use rdump_format::element::{Elements, Value};

/// Which documents of a collection may go away while it is looked at, by its
/// [TTL indexes](https://www.mongodb.com/docs/manual/core/index-ttl/) and options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Expiring {
    rules: Vec<Rule>,
    /// The moment until which it is looked at: milliseconds since 1970.
    until_milliseconds: i64,
}

/// A document goes away some time after the earliest date of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    path: Vec<String>,
    after_milliseconds: i64,
}

impl Expiring {
    /// What options and indexes say, where nobody looks at it after that moment.
    pub(super) fn new(
        options: &RawDocument,
        indexes: &[RawDocumentBuf],
        until_milliseconds: i64,
    ) -> Self {
        let mut rules = Vec::new();
        if let Some(after_milliseconds) = after(options) {
            let series = options.get_document("timeseries").ok();
            let field = series.and_then(|it| it.get_str("timeField").ok());
            let path = match field {
                Some(field) => vec!["control".to_owned(), "min".to_owned(), field.to_owned()],
                None => vec!["_id".to_owned()],
            };
            rules.push(Rule {
                path,
                after_milliseconds,
            });
        }
        for index in indexes {
            let key = index.get_document("key").ok();
            let field = key.and_then(|key| key.iter().next()?.ok());
            if let (Some((path, _)), Some(after_milliseconds)) = (field, after(index)) {
                rules.push(Rule {
                    path: path.as_str().split('.').map(str::to_owned).collect(),
                    after_milliseconds,
                });
            }
        }
        Self {
            rules,
            until_milliseconds,
        }
    }

    /// Whether a document may be gone by then.
    pub(super) fn may_go(&self, document: &[u8]) -> bool {
        self.rules.iter().any(|rule| {
            let path: Vec<&[u8]> = rule.path.iter().map(String::as_bytes).collect();
            earliest(document, &path).is_some_and(|at| {
                at.saturating_add(rule.after_milliseconds) <= self.until_milliseconds
            })
        })
    }
}

/// How long after a date what has it goes away.
fn after(of: &RawDocument) -> Option<i64> {
    let seconds = match of.get("expireAfterSeconds").ok()?? {
        RawBsonRef::Int32(seconds) => i64::from(seconds),
        RawBsonRef::Int64(seconds) => seconds,
        #[expect(
            clippy::cast_possible_truncation,
            reason = "what does not fit is as good as never"
        )]
        RawBsonRef::Double(seconds) => seconds as i64,
        // Servers make a number of what is none.
        _ => 0,
    };
    Some(seconds.saturating_mul(1000))
}

/// The earliest date at a path, in arrays too.
fn earliest(document: &[u8], path: &[&[u8]]) -> Option<i64> {
    let (first, rest) = path.split_first()?;
    let elements = Elements::of(document).into_iter().flatten().flatten();
    let found = elements.filter(|element| element.name == *first);
    found.filter_map(|element| at(element.value, rest)).min()
}

fn at(value: Value<'_>, rest: &[&[u8]]) -> Option<i64> {
    match (value, rest) {
        (Value::DateTime(at), []) => Some(at),
        (Value::Document(nested), [_, ..]) => earliest(nested.bytes, rest),
        (Value::Array(nested), _) => {
            let elements = Elements::of(nested.bytes).into_iter().flatten().flatten();
            let inside = elements.filter(|element| !matches!(element.value, Value::Array(_)));
            inside.filter_map(|element| at(element.value, rest)).min()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use bson::{DateTime, rawdoc};

    use super::*;

    #[test]
    fn what_may_go_is_known_by_indexes_and_options() {
        let date = DateTime::from_millis;
        let options = rawdoc! { "clusteredIndex": {}, "expireAfterSeconds": 5_i64 };
        let index = rawdoc! { "key": { "a.at": 1 }, "name": "i", "expireAfterSeconds": 10 };
        let expiring = Expiring::new(&options, &[index], 100_000);
        let goes = [
            rawdoc! { "_id": date(95_000) },
            rawdoc! { "_id": 1, "a": { "at": date(90_000) } },
            rawdoc! { "_id": 1, "a": [{ "at": [date(900_000), date(90_000)] }] },
        ];
        let stays = [
            rawdoc! { "_id": date(95_001) },
            rawdoc! { "_id": 1, "a": { "at": date(90_001) } },
            rawdoc! { "_id": 1, "a": { "at": 5 }, "at": date(0) },
            rawdoc! { "_id": 1 },
        ];
        assert!(goes.iter().all(|it| expiring.may_go(it.as_bytes())));
        assert!(!stays.iter().any(|it| expiring.may_go(it.as_bytes())));
        let series = rawdoc! { "timeseries": { "timeField": "t" }, "expireAfterSeconds": 1 };
        let series = Expiring::new(&series, &[], 100_000);
        let bucket = |at| rawdoc! { "control": { "min": { "t": date(at) } } };
        assert!(series.may_go(bucket(99_000).as_bytes()));
        assert!(!series.may_go(bucket(99_001).as_bytes()));
        let none = Expiring::new(&rawdoc! {}, &[rawdoc! { "key": { "a": 1 } }], 100_000);
        assert!(!none.may_go(goes[0].as_bytes()));
    }
}
