//! Go string literals, which go-flags takes as values.

/// A value as it is meant: one that starts with a double quote is a Go string literal. `None` if it is a bad one.
pub(super) fn unquote(value: String) -> Option<String> {
    match value.strip_prefix('"') {
        Some(quoted) => literal(quoted),
        None => Some(value),
    }
}

/// What comes after the opening quote of a literal, read to the closing one at its end.
fn literal(quoted: &str) -> Option<String> {
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
    use super::unquote;

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
            assert_eq!(unquote(raw.to_owned()).as_deref(), Some(value), "{raw}");
        }
    }

    #[test]
    fn a_badly_quoted_value_is_none() {
        for raw in [
            r#"""#,
            r#""a"#,
            r#""a"b""#,
            r#""\q""#,
            r#""\x4""#,
            r#""\uD800""#,
            r#""\xff""#,
        ] {
            assert_eq!(unquote(raw.to_owned()), None, "{raw}");
        }
    }
}
