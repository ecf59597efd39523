//! Whether the inside of a document is sound, for `--objcheck`.

#[cfg(test)]
mod tests;

use crate::element::Elements;

/// How deep documents and arrays may be nested, the outermost document included: the limit of the
/// server.
pub const MAX_DEPTH: usize = 200;

/// Why a document is not sound BSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid BSON at byte {offset}: {reason}")]
#[non_exhaustive]
pub struct InvalidBson {
    /// Where the fault is, in bytes from the start of the document.
    pub offset: usize,
    /// What is wrong there.
    pub reason: &'static str,
}

impl InvalidBson {
    pub(crate) fn new(offset: usize, reason: &'static str) -> Self {
        Self { offset, reason }
    }
}

/// Checks every element of `doc`: type, length, terminators, and how deep it is nested.
///
/// Judges as a server does on insert, and as mongorestore does with `--objcheck`: a string that is
/// not UTF-8, an array whose keys are not numbers, a key that is there twice are all let through,
/// since servers hold such documents. Memory and stack do not grow with the input.
///
/// # Errors
///
/// [`InvalidBson`], with the place of the first fault.
pub fn validate(doc: &[u8]) -> Result<(), InvalidBson> {
    let mut open = vec![Elements::of(doc)?];
    while let Some(innermost) = open.last_mut() {
        let Some(element) = innermost.next() else {
            open.pop();
            continue;
        };
        if let Some(nested) = element?.value.nested() {
            if open.len() >= MAX_DEPTH {
                return Err(InvalidBson::new(
                    nested.offset,
                    "the documents are nested too deep",
                ));
            }
            open.push(Elements::new(nested)?);
        }
    }
    Ok(())
}
