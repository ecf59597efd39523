//! JSON as people type it on command lines: keys without quotes, single quotes, a comma too many.

use std::str::CharIndices;

use serde_json::{Map, Number, Value};

/// How deep arrays and objects may be nested.
const MAX_DEPTH: usize = 32;

/// Reads one value. The error says what was expected.
pub(super) fn parse(text: &str) -> Result<Value, &'static str> {
    let mut reader = Reader { rest: text };
    let value = reader.value(0)?;
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err("the end is expected after the value"),
    }
}

const NOT_KNOWN: &str = "a string has an escape that is not known";

/// Four hexadecimal digits.
fn unit(characters: &mut CharIndices<'_>) -> Option<u16> {
    (0..4).try_fold(0, |unit: u16, _| {
        let digit = characters.next()?.1.to_digit(16)?;
        u16::try_from(digit).ok().map(|digit| unit << 4 | digit)
    })
}

/// The escape of the second half of a surrogate pair, if it comes next.
fn low_surrogate(characters: &mut CharIndices<'_>) -> Option<u16> {
    let mut ahead = characters.clone();
    let escape = (ahead.next()?.1, ahead.next()?.1);
    let unit = unit(&mut ahead).filter(|unit| (0xDC00..0xE000).contains(unit))?;
    (escape == ('\\', 'u')).then(|| *characters = ahead)?;
    Some(unit)
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn take(&mut self, expected: char) -> bool {
        let found = self.peek() == Some(expected);
        if found {
            self.rest = &self.rest[expected.len_utf8()..];
        }
        found
    }

    fn value(&mut self, depth: usize) -> Result<Value, &'static str> {
        if depth > MAX_DEPTH {
            return Err("it is nested too deeply");
        }
        match self.peek() {
            Some('{') => self.object(depth),
            Some('[') => self.array(depth),
            Some('"' | '\'') => self.string().map(Value::String),
            Some(_) => self.bare(),
            None => Err("a value is expected"),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, &'static str> {
        let mut object = Map::new();
        self.take('{');
        while !self.take('}') {
            let key = match self.peek() {
                Some('"' | '\'') => self.string()?,
                _ => self.word()?.to_owned(),
            };
            if !self.take(':') {
                return Err("a colon is expected after a key");
            }
            object.insert(key, self.value(depth + 1)?);
            if !self.take(',') && self.peek() != Some('}') {
                return Err("a comma or } is expected");
            }
        }
        Ok(Value::Object(object))
    }

    fn array(&mut self, depth: usize) -> Result<Value, &'static str> {
        let mut array = Vec::new();
        self.take('[');
        while !self.take(']') {
            array.push(self.value(depth + 1)?);
            if !self.take(',') && self.peek() != Some(']') {
                return Err("a comma or ] is expected");
            }
        }
        Ok(Value::Array(array))
    }

    fn string(&mut self) -> Result<String, &'static str> {
        let mut characters = self.rest.char_indices();
        let quote = characters.next().map(|(_, quote)| quote);
        let mut string = String::new();
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => match characters.next() {
                    Some((_, 'b')) => string.push('\u{8}'),
                    Some((_, 'f')) => string.push('\u{c}'),
                    Some((_, 'n')) => string.push('\n'),
                    Some((_, 'r')) => string.push('\r'),
                    Some((_, 't')) => string.push('\t'),
                    Some((_, 'u')) => {
                        let unit = unit(&mut characters).ok_or(NOT_KNOWN)?;
                        let low = match unit {
                            0xD800..0xDC00 => low_surrogate(&mut characters),
                            _ => None,
                        };
                        string.extend(char::decode_utf16([unit].into_iter().chain(low)).map(
                            // As mongodump takes the half of a pair.
                            |decoded| decoded.unwrap_or(char::REPLACEMENT_CHARACTER),
                        ));
                    }
                    Some((_, escaped @ ('"' | '\'' | '\\' | '/'))) => string.push(escaped),
                    _ => return Err(NOT_KNOWN),
                },
                _ if Some(character) == quote => {
                    self.rest = &self.rest[at + character.len_utf8()..];
                    return Ok(string);
                }
                other => string.push(other),
            }
        }
        Err("the end of a string is expected")
    }

    /// A number, a constant, or a word.
    fn bare(&mut self) -> Result<Value, &'static str> {
        let word = self.word()?.to_owned();
        Ok(match word.as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" => Value::Null,
            "NumberInt" | "NumberLong" if self.take('(') => {
                let number = match self.value(MAX_DEPTH)? {
                    Value::String(digits) => digits.parse::<i64>().map(Value::from),
                    number => Ok(number),
                };
                match (number, self.take(')')) {
                    (Ok(number @ Value::Number(_)), true) => number,
                    _ => return Err("a number is expected in NumberInt( ) and NumberLong( )"),
                }
            }
            _ => match (
                word.parse::<i64>(),
                word.parse::<f64>().ok().and_then(Number::from_f64),
            ) {
                (Ok(number), _) => Value::from(number),
                (_, Some(number)) => Value::Number(number),
                _ => return Err("a text needs quotes"),
            },
        })
    }

    fn word(&mut self) -> Result<&str, &'static str> {
        self.peek();
        let is_word = |character: char| character.is_alphanumeric() || "_$.+-".contains(character);
        let end = self
            .rest
            .find(|character| !is_word(character))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        if word.is_empty() {
            Err("a name or value is expected")
        } else {
            Ok(word)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::parse;

    #[test]
    fn what_people_type_is_read() {
        for (text, value) in [
            ("{}", json!({})),
            (r#"{"a":1}"#, json!({"a": 1})),
            (" { mode : 'nearest' , } ", json!({"mode": "nearest"})),
            (
                r#"{tagSets: [{dc: "ny"}, {}], n: -1.5e3,}"#,
                json!({"tagSets": [{"dc": "ny"}, {}], "n": -1500.0}),
            ),
            (
                "{a: NumberInt(5), b: NumberLong('-6')}",
                json!({"a": 5, "b": -6}),
            ),
            (
                r#"["a\"b\n", 'c"d', true, false, null]"#,
                json!(["a\"b\n", "c\"d", true, false, null]),
            ),
            (
                r#"'\u0041\u00e9\ud83d\ude00\ud83d\ud83d\u0041\ude00\b\f\r'"#,
                json!("Aé😀\u{fffd}\u{fffd}A\u{fffd}\u{8}\u{c}\r"),
            ),
        ] {
            assert_eq!(parse(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            "",
            "{",
            "[",
            "{a}",
            "{a:}",
            "{a:1 b:2}",
            "[1 2]",
            "'a",
            "{a:b}",
            "{} {}",
            r#""\q""#,
            r#""\u12""#,
            r#""\u12g4""#,
            r#""\u+123""#,
            "NumberInt(x)",
            "NumberInt(1",
            "NumberLong('1.5')",
            "{,}",
            "é",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
    }
}
