//! MongoDB Extended JSON: canonical text out, every known spelling in.
//!
//! Written is [canonical Extended JSON
//! v2](https://www.mongodb.com/docs/manual/reference/mongodb-extended-json/) as the Go
//! driver, and so mongodump, spells it, to the byte: no spaces, `"` `\` and control characters
//! escaped, also U+2028 and U+2029, nothing else; doubles as `1.0`, `1E+06`, `-0.0`, `NaN`.
//!
//! Read are the canonical and the relaxed form, and the wrappers of older tools: `{"$date":
//! "2020-01-01T00:00:00Z"}`, `{"$date": 0}`, `{"$binary": "AA==", "$type": "00"}`, `{"$uuid":
//! "…"}`. An object whose first key is that of a wrapper must be a sound one. `{"$regex": …}` is
//! left as it is: it is a query operator, and means the same.
//!
//! Order is kept, and so are keys that are there twice. Strings may hold control characters as they are: tabs and new
//! lines.

mod controls;
mod read;
#[cfg(test)]
mod tests;
mod tree;
mod write;

use std::error::Error;

use crate::validate::{InvalidBson, MAX_DEPTH};

pub use read::parse;
pub use write::to_canonical;
pub(crate) use write::{quote, write_canonical};

/// How deep JSON may be nested: every level of BSON takes one, but for the scope of code, which
/// takes two.
const MAX_JSON_DEPTH: usize = 2 * MAX_DEPTH + 8;

/// Why BSON cannot be written as Extended JSON, or why a text is not Extended JSON.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message is its documentation")]
#[non_exhaustive]
pub enum ExtJsonError {
    #[error("cannot write the document as JSON")]
    Bson {
        #[from]
        source: InvalidBson,
    },
    #[error("cannot write the element at byte {offset} as JSON: {reason}")]
    Element { offset: usize, reason: &'static str },
    #[error("not JSON at line {line}, column {column}")]
    Json {
        line: usize,
        column: usize,
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("text is JSON, but no object")]
    NotAnObject,
    #[error("not Extended JSON at {path:?}: {reason}")]
    Value { path: String, reason: &'static str },
}

impl ExtJsonError {
    fn value(reason: &'static str) -> Self {
        Self::Value {
            path: String::new(),
            reason,
        }
    }

    /// The same error, seen from around `key`.
    fn within(mut self, key: &str) -> Self {
        if let Self::Value { path, .. } = &mut self {
            *path = if path.is_empty() {
                key.to_owned()
            } else {
                format!("{key}.{path}")
            };
        }
        self
    }
}
