//! BSON to canonical Extended JSON.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bson::{Decimal128, RawDocument};

use super::ExtJsonError;
use crate::element::{Element, Elements, Nested, Value};
use crate::validate::{InvalidBson, MAX_DEPTH};

/// The binary subtype whose bytes start with their own length once more.
const OLD_BINARY: u8 = 2;

/// Writes `doc` as canonical Extended JSON v2, as mongodump does.
///
/// # Errors
///
/// [`ExtJsonError::Bson`] and [`ExtJsonError::Element`], with the place in `doc`: BSON that is not
/// sound, a string that is not UTF-8, documents nested more than 200 deep.
pub fn to_canonical(doc: &RawDocument) -> Result<String, ExtJsonError> {
    let mut out = String::with_capacity(doc.as_bytes().len());
    write_canonical(doc, &mut out)?;
    Ok(out)
}

/// As [`to_canonical`], appending to `out`.
pub(crate) fn write_canonical(doc: &RawDocument, out: &mut String) -> Result<(), ExtJsonError> {
    document(
        Nested {
            bytes: doc.as_bytes(),
            offset: 0,
        },
        MAX_DEPTH,
        out,
    )
}

/// Writes `text` as a JSON string.
pub(crate) fn quote(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\x1f' | '\u{2028}' | '\u{2029}' => {
                push(out, format_args!("\\u{:04x}", u32::from(character)));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Appends formatted text; a `String` takes everything.
fn push(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(arguments);
}

/// `levels` is how many there may be from here on, this one included.
fn document(nested: Nested<'_>, levels: usize, out: &mut String) -> Result<(), ExtJsonError> {
    let within = inner(nested, levels)?;
    out.push('{');
    for (position, element) in Elements::new(nested)?.enumerate() {
        let element = element?;
        if position > 0 {
            out.push(',');
        }
        quote(utf8(element.name, &element)?, out);
        out.push(':');
        value(&element, within, out)?;
    }
    out.push('}');
    Ok(())
}

fn array(nested: Nested<'_>, levels: usize, out: &mut String) -> Result<(), ExtJsonError> {
    let within = inner(nested, levels)?;
    out.push('[');
    for (position, element) in Elements::new(nested)?.enumerate() {
        if position > 0 {
            out.push(',');
        }
        value(&element?, within, out)?;
    }
    out.push(']');
    Ok(())
}

fn inner(nested: Nested<'_>, levels: usize) -> Result<usize, InvalidBson> {
    levels.checked_sub(1).ok_or(InvalidBson::new(
        nested.offset,
        "the documents are nested too deep",
    ))
}

fn utf8<'a>(bytes: &'a [u8], element: &Element<'_>) -> Result<&'a str, ExtJsonError> {
    str::from_utf8(bytes).map_err(|_not_utf8| ExtJsonError::Element {
        offset: element.offset,
        reason: "a string is not UTF-8",
    })
}

fn value(element: &Element<'_>, levels: usize, out: &mut String) -> Result<(), ExtJsonError> {
    let quoted = |bytes, out: &mut String| utf8(bytes, element).map(|text| quote(text, out));
    match element.value {
        Value::Double(double) => push(
            out,
            format_args!(r#"{{"$numberDouble":"{}"}}"#, format_double(double)),
        ),
        Value::String(text) => quoted(text, out)?,
        Value::Document(nested) => document(nested, levels, out)?,
        Value::Array(nested) => array(nested, levels, out)?,
        Value::Binary { subtype, bytes } => {
            let content = if subtype == OLD_BINARY {
                old_binary(bytes, element)?
            } else {
                bytes
            };
            let base64 = STANDARD.encode(content);
            push(
                out,
                format_args!(r#"{{"$binary":{{"base64":"{base64}","subType":"{subtype:02x}"}}}}"#),
            );
        }
        Value::Undefined => out.push_str(r#"{"$undefined":true}"#),
        Value::ObjectId(id) => push(out, format_args!(r#"{{"$oid":"{}"}}"#, hex::encode(id))),
        Value::Bool(flag) => push(out, format_args!("{flag}")),
        Value::DateTime(millis) => push(
            out,
            format_args!(r#"{{"$date":{{"$numberLong":"{millis}"}}}}"#),
        ),
        Value::Null => out.push_str("null"),
        Value::Regex { pattern, options } => {
            out.push_str(r#"{"$regularExpression":{"pattern":"#);
            quoted(pattern, out)?;
            out.push_str(r#","options":"#);
            quoted(options, out)?;
            out.push_str("}}");
        }
        Value::DbPointer { namespace, id } => {
            out.push_str(r#"{"$dbPointer":{"$ref":"#);
            quoted(namespace, out)?;
            push(
                out,
                format_args!(r#","$id":{{"$oid":"{}"}}}}}}"#, hex::encode(id)),
            );
        }
        Value::Code(code) => {
            out.push_str(r#"{"$code":"#);
            quoted(code, out)?;
            out.push('}');
        }
        Value::Symbol(symbol) => {
            out.push_str(r#"{"$symbol":"#);
            quoted(symbol, out)?;
            out.push('}');
        }
        Value::CodeWithScope { code, scope } => {
            out.push_str(r#"{"$code":"#);
            quoted(code, out)?;
            out.push_str(r#","$scope":"#);
            document(scope, levels, out)?;
            out.push('}');
        }
        Value::Int32(int) => push(out, format_args!(r#"{{"$numberInt":"{int}"}}"#)),
        Value::Timestamp { time, increment } => {
            push(
                out,
                format_args!(r#"{{"$timestamp":{{"t":{time},"i":{increment}}}}}"#),
            );
        }
        Value::Int64(int) => push(out, format_args!(r#"{{"$numberLong":"{int}"}}"#)),
        Value::Decimal128(bytes) => {
            let decimal = Decimal128::from_bytes(*bytes);
            push(out, format_args!(r#"{{"$numberDecimal":"{decimal}"}}"#));
        }
        Value::MinKey => out.push_str(r#"{"$minKey":1}"#),
        Value::MaxKey => out.push_str(r#"{"$maxKey":1}"#),
    }
    Ok(())
}

/// The bytes of a binary of subtype 2 without the length inside.
fn old_binary<'a>(bytes: &'a [u8], element: &Element<'_>) -> Result<&'a [u8], ExtJsonError> {
    bytes
        .split_first_chunk()
        .filter(|(field, content)| {
            usize::try_from(i32::from_le_bytes(**field)).ok() == Some(content.len())
        })
        .map(|(_, content)| content)
        .ok_or(ExtJsonError::Element {
            offset: element.offset,
            reason: "the length inside a binary of subtype 2 is not that of its bytes",
        })
}

/// The shortest text that reads back as `double`, spelled as Go's `strconv` does with format `G`.
///
/// An exponent is shown below 1E-04 and from 1E+06 on, with its sign and at least two digits. A
/// number that would look like an integer gets `.0`.
fn format_double(double: f64) -> String {
    if double.is_nan() {
        return "NaN".to_owned();
    }
    if double.is_infinite() {
        return if double > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }
        .to_owned();
    }
    let scientific = format!("{double:E}");
    let (digits, exponent) = scientific.split_once('E').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        let plain = format!("{double}");
        return if plain.contains('.') {
            plain
        } else {
            plain + ".0"
        };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}E{sign}{:02}", exponent.unsigned_abs())
}
