//! Control characters that stand in strings as they are.
//!
//! JSON has none there, but mongodump and mongorestore read them, in a `$where` of several lines for instance.

use std::borrow::Cow;

/// How much longer an escape is than its control character, in bytes.
const LONGER_BYTES: usize = 5;

/// A text whose strings have escapes for their control characters.
#[derive(Debug)]
pub(super) struct Escaped<'a> {
    original: &'a str,
    pub(super) text: Cow<'a, str>,
    /// Where the escapes begin, in bytes of `text`.
    escapes: Vec<usize>,
}

impl<'a> Escaped<'a> {
    pub(super) fn new(original: &'a str) -> Self {
        let mut text = String::new();
        let mut escapes = Vec::new();
        let mut copied = 0;
        let mut in_string = false;
        let mut after_backslash = false;
        for (at, byte) in original.bytes().enumerate() {
            match byte {
                _ if after_backslash => after_backslash = false,
                b'"' => in_string = !in_string,
                b'\\' => after_backslash = in_string,
                0..0x20 if in_string => {
                    text += original.get(copied..at).unwrap_or_default();
                    escapes.push(text.len());
                    text += &format!("\\u{byte:04x}");
                    copied = at.saturating_add(1);
                }
                _ => {}
            }
        }
        let text = match escapes.is_empty() {
            true => Cow::Borrowed(original),
            false => Cow::Owned(text + original.get(copied..).unwrap_or_default()),
        };
        Self {
            original,
            text,
            escapes,
        }
    }

    /// Line and column in the original of a line and column in `text`, both from 1 on.
    pub(super) fn place(&self, line: usize, column: usize) -> (usize, usize) {
        let before = self.text.split_inclusive('\n').map(str::len);
        let before: usize = before.take(line.saturating_sub(1)).sum();
        let end = before.saturating_add(column);
        let escapes = self.escapes.iter().filter(|at| **at < end).count();
        let end = end.saturating_sub(escapes.saturating_mul(LONGER_BYTES));
        let Some(read) = self.original.as_bytes().get(..end) else {
            return (line, column);
        };
        let mut lines = read.split(|byte| *byte == b'\n');
        let column = lines.next_back().map_or(0, <[u8]>::len);
        (lines.count().saturating_add(1), column)
    }
}
