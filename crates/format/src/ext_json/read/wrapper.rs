//! The objects that stand for values which JSON does not have.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bson::Decimal128;
use jiff::Timestamp;

use super::{cstring, document, string, with_length};
use crate::ext_json::ExtJsonError;
use crate::ext_json::tree::Json;

type Fields = [(String, Json)];

/// Appends the value that the object stands for and returns its BSON type; `None` when it is no
/// wrapper.
///
/// The first key alone decides, as it does for mongodump and mongorestore.
pub(super) fn value(fields: &Fields, out: &mut Vec<u8>) -> Result<Option<u8>, ExtJsonError> {
    let Some((key, first)) = fields.first() else {
        return Ok(None);
    };
    let single = fields.len() == 1;
    let kind = match key.as_str() {
        "$oid" => wrapped(single, "$oid must have 24 hexadecimal digits", || {
            object_id(first, out)
        }),
        "$numberInt" => wrapped(
            single,
            "$numberInt must have a 32-bit integer in a string",
            || {
                out.extend(text(first)?.parse::<i32>().ok()?.to_le_bytes());
                Some(0x10)
            },
        ),
        "$numberLong" => wrapped(
            single,
            "$numberLong must have a 64-bit integer in a string",
            || {
                out.extend(text(first)?.parse::<i64>().ok()?.to_le_bytes());
                Some(0x12)
            },
        ),
        "$numberDouble" => wrapped(
            single,
            "$numberDouble must have a number in a string",
            || {
                out.extend(double(text(first)?)?.to_le_bytes());
                Some(0x01)
            },
        ),
        "$numberDecimal" => wrapped(
            single,
            "$numberDecimal must have a decimal128 number in a string",
            || {
                out.extend(decimal(text(first)?)?.bytes());
                Some(0x13)
            },
        ),
        "$date" => wrapped(
            single,
            "$date must have milliseconds or an RFC 3339 date",
            || {
                out.extend(millis(first)?.to_le_bytes());
                Some(0x09)
            },
        ),
        "$timestamp" => wrapped(
            single,
            "$timestamp must have t and i from 0 to 4294967295",
            || {
                let [time, increment] = parts(first, ["t", "i"])?;
                out.extend(u32_of(increment)?.to_le_bytes());
                out.extend(u32_of(time)?.to_le_bytes());
                Some(0x11)
            },
        ),
        "$undefined" => wrapped(single, "$undefined must be true", || {
            matches!(first, Json::Bool(true)).then_some(0x06)
        }),
        "$minKey" => wrapped(single, "$minKey must be 1", || {
            matches!(first, Json::Int(1)).then_some(0xFF)
        }),
        "$maxKey" => wrapped(single, "$maxKey must be 1", || {
            matches!(first, Json::Int(1)).then_some(0x7F)
        }),
        "$uuid" => wrapped(
            single,
            "$uuid must have 8-4-4-4-12 hexadecimal digits",
            || uuid(first, out),
        ),
        "$binary" => wrapped(
            true,
            "$binary must have base64 text and a hexadecimal subtype",
            || binary(fields, out),
        ),
        "$symbol" => {
            let symbol = wrapped(single, "$symbol must have a string", || text(first))?;
            string(symbol, out)?;
            Ok(0x0E)
        }
        "$regularExpression" => {
            let [pattern, options] = wrapped(
                single,
                "$regularExpression must have pattern and options",
                || {
                    let [pattern, options] = parts(first, ["pattern", "options"])?;
                    Some([text(pattern)?, text(options)?])
                },
            )?;
            cstring(pattern, out)?;
            cstring(options, out)?;
            Ok(0x0B)
        }
        "$dbPointer" => {
            let [namespace, id] = wrapped(single, "$dbPointer must have $ref and $id", || {
                parts(first, ["$ref", "$id"])
            })?;
            string(
                wrapped(true, "$ref must have a string", || text(namespace))?,
                out,
            )?;
            wrapped(true, "$id must have an $oid", || {
                object_id(only(id, "$oid")?, out)
            })?;
            Ok(0x0C)
        }
        "$code" => code(fields, out),
        "$scope" => Err(ExtJsonError::value("$scope must come after $code")),
        _ => return Ok(None),
    };
    kind.map(Some)
}

/// What `read` makes of the wrapper, or `reason`, also when keys come after the first that must
/// not.
fn wrapped<T>(
    alone: bool,
    reason: &'static str,
    read: impl FnOnce() -> Option<T>,
) -> Result<T, ExtJsonError> {
    alone
        .then(read)
        .flatten()
        .ok_or_else(|| ExtJsonError::value(reason))
}

fn text(json: &Json) -> Option<&str> {
    match json {
        Json::String(text) => Some(text),
        _ => None,
    }
}

fn u32_of(json: &Json) -> Option<u32> {
    match json {
        Json::Int(int) => u32::try_from(*int).ok(),
        _ => None,
    }
}

/// The value of `key`, if it is all that the object has.
fn only<'a>(json: &'a Json, key: &str) -> Option<&'a Json> {
    match json {
        Json::Object(fields) => match fields.as_slice() {
            [(name, value)] if name == key => Some(value),
            _ => None,
        },
        _ => None,
    }
}

/// The values of two keys, in any order, if they are all that the object has.
fn parts<'a>(json: &'a Json, keys: [&str; 2]) -> Option<[&'a Json; 2]> {
    match json {
        Json::Object(fields) => match fields.as_slice() {
            [(first, a), (second, b)] if [first, second] == keys => Some([a, b]),
            [(second, b), (first, a)] if [first, second] == keys => Some([a, b]),
            _ => None,
        },
        _ => None,
    }
}

/// A number; of the many ways to write not-a-number, the one that Extended JSON has.
fn double(text: &str) -> Option<f64> {
    text.parse()
        .ok()
        .filter(|double: &f64| !double.is_nan() || text == "NaN")
}

/// As [`double`], for decimal128.
fn decimal(text: &str) -> Option<Decimal128> {
    let decimal: Decimal128 = text.parse().ok()?;
    let is_nan = decimal.to_string() == "NaN";
    Some(decimal).filter(|_| !is_nan || text == "NaN")
}

fn object_id(json: &Json, out: &mut Vec<u8>) -> Option<u8> {
    let mut id = [0; 12];
    hex::decode_to_slice(text(json)?, &mut id).ok()?;
    out.extend(id);
    Some(0x07)
}

fn millis(json: &Json) -> Option<i64> {
    match json {
        Json::Int(millis) => Some(*millis),
        Json::String(date) => {
            let date: Timestamp = date.parse().ok()?;
            // Down, not towards 1970, as the Go driver does.
            i64::try_from(date.as_nanosecond().checked_div_euclid(1_000_000)?).ok()
        }
        other => text(only(other, "$numberLong")?)?.parse().ok(),
    }
}

fn uuid(json: &Json, out: &mut Vec<u8>) -> Option<u8> {
    let text = text(json)?;
    let hyphens = text
        .bytes()
        .enumerate()
        .filter(|(_, byte)| *byte == b'-')
        .map(|(position, _)| position);
    if !hyphens.eq([8, 13, 18, 23]) {
        return None;
    }
    let mut bytes = [0; 16];
    hex::decode_to_slice(text.replace('-', ""), &mut bytes).ok()?;
    write_binary(4, &bytes, out)
}

fn binary(fields: &Fields, out: &mut Vec<u8>) -> Option<u8> {
    let [base64, subtype] = match fields {
        [(_, json)] => parts(json, ["base64", "subType"])?,
        [(_, base64), (key, subtype)] if key == "$type" => [base64, subtype],
        _ => return None,
    };
    let content = STANDARD.decode(text(base64)?).ok()?;
    write_binary(u8::from_str_radix(text(subtype)?, 16).ok()?, &content, out)
}

fn write_binary(subtype: u8, content: &[u8], out: &mut Vec<u8>) -> Option<u8> {
    let length = i32::try_from(content.len()).ok()?;
    if subtype == 2 {
        out.extend(length.checked_add(4)?.to_le_bytes());
        out.push(subtype);
        out.extend(length.to_le_bytes());
    } else {
        out.extend(length.to_le_bytes());
        out.push(subtype);
    }
    out.extend(content);
    Some(0x05)
}

fn code(fields: &Fields, out: &mut Vec<u8>) -> Result<u8, ExtJsonError> {
    match fields {
        [(_, Json::String(code))] => {
            string(code, out)?;
            Ok(0x0D)
        }
        [(_, Json::String(code)), (key, Json::Object(scope))] if key == "$scope" => {
            with_length(out, |out| {
                string(code, out)?;
                document(scope, out).map_err(|error| error.within("$scope"))
            })?;
            Ok(0x0F)
        }
        _ => Err(ExtJsonError::value(
            "$code must have a string, and nothing beside it but an object in $scope",
        )),
    }
}
