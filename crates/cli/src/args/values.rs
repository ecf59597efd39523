//! Values as go-flags, the parser of mongodump, reads them.

use std::path::PathBuf;

use rdump::Secret;

/// A text; one that starts with a double quote is a Go string literal.
pub(crate) fn text(raw: &str) -> Result<String, String> {
    match raw.strip_prefix('"') {
        Some(quoted) => unquote(quoted)
            .ok_or_else(|| "it starts with a quote, but is no quoted string".to_owned()),
        None => Ok(raw.to_owned()),
    }
}

/// As [`text`].
pub(crate) fn path(raw: &str) -> Result<PathBuf, String> {
    text(raw).map(PathBuf::from)
}

/// As [`text`], but never fails: the parser would quote what it fails at.
pub(crate) fn secret(raw: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(text(raw).map_or_else(|_| Secret::from(raw), Secret::from))
}

/// What comes after the opening quote of a Go string literal, read to the closing one at its end.
fn unquote(quoted: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut characters = quoted.strip_suffix('"')?.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' | '\n' => return None,
            '\\' => escape(&mut characters, &mut bytes)?,
            other => push(&mut bytes, other),
        }
    }
    String::from_utf8(bytes).ok()
}

fn push(bytes: &mut Vec<u8>, character: char) {
    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

/// What comes after a backslash.
fn escape(characters: &mut std::str::Chars<'_>, bytes: &mut Vec<u8>) -> Option<()> {
    let kind = characters.next()?;
    match kind {
        'a' => bytes.push(7),
        'b' => bytes.push(8),
        'f' => bytes.push(12),
        'n' => bytes.push(b'\n'),
        'r' => bytes.push(b'\r'),
        't' => bytes.push(b'\t'),
        'v' => bytes.push(11),
        '\\' | '"' => push(bytes, kind),
        'x' => bytes.push(u8::try_from(number(characters, 2, 16, 0)?).ok()?),
        '0'..='7' => bytes.push(u8::try_from(number(characters, 2, 8, kind.to_digit(8)?)?).ok()?),
        'u' => push(bytes, char::from_u32(number(characters, 4, 16, 0)?)?),
        'U' => push(bytes, char::from_u32(number(characters, 8, 16, 0)?)?),
        _ => return None,
    }
    Some(())
}

fn number(
    characters: &mut std::str::Chars<'_>,
    digits: u32,
    radix: u32,
    start: u32,
) -> Option<u32> {
    (0..digits).try_fold(start, |number, _| {
        number
            .checked_mul(radix)?
            .checked_add(characters.next()?.to_digit(radix)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_in_quotes_is_unquoted() {
        for (raw, value) in [
            ("plain", "plain"),
            ("", ""),
            (r#""""#, ""),
            (r#""a b""#, "a b"),
            (r#""a\tb\\\"\x41\101é\U0001F600""#, "a\tb\\\"AAé😀"),
            (r#"a"b"#, "a\"b"),
            (r#"{"a": 1}"#, r#"{"a": 1}"#),
        ] {
            assert_eq!(text(raw).as_deref(), Ok(value), "{raw}");
        }
    }

    #[test]
    fn a_badly_quoted_value_is_refused_unless_it_is_secret() {
        for raw in [
            r#"""#,
            r#""a"#,
            r#""a"b""#,
            r#""\q""#,
            r#""\x4""#,
            r#""\uD800""#,
            r#""\xff""#,
        ] {
            assert!(text(raw).is_err(), "{raw}");
            assert_eq!(secret(raw).unwrap().reveal(), raw);
        }
    }
}
