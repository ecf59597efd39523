//! Extended JSON to BSON.

use bson::RawDocumentBuf;

use super::ExtJsonError;
use super::tree::Json;

mod wrapper;

/// Reads one document of Extended JSON, canonical, relaxed or of older tools, keeping the order of
/// its keys.
///
/// Numbers without a wrapper become an `int` where they fit, else a `long`, else a `double`. The
/// outermost object is never a wrapper.
///
/// # Errors
///
/// [`ExtJsonError::Json`] with line and column, [`ExtJsonError::NotAnObject`], and
/// [`ExtJsonError::Value`] with the path of a value that starts like a wrapper and is none, or that
/// BSON cannot hold.
pub fn parse(text: &str) -> Result<RawDocumentBuf, ExtJsonError> {
    let Json::Object(fields) = Json::parse(text)? else {
        return Err(ExtJsonError::NotAnObject);
    };
    let mut bytes = Vec::with_capacity(text.len());
    document(&fields, &mut bytes)?;
    RawDocumentBuf::from_bytes(bytes)
        .map_err(|_too_long| ExtJsonError::value("the document is too long"))
}

fn document(fields: &[(String, Json)], out: &mut Vec<u8>) -> Result<(), ExtJsonError> {
    with_length(out, |out| {
        for (key, json) in fields {
            element(key, json, out).map_err(|error| error.within(key))?;
        }
        out.push(0);
        Ok(())
    })
}

fn array(values: &[Json], out: &mut Vec<u8>) -> Result<(), ExtJsonError> {
    with_length(out, |out| {
        for (position, json) in values.iter().enumerate() {
            let key = position.to_string();
            element(&key, json, out).map_err(|error| error.within(&key))?;
        }
        out.push(0);
        Ok(())
    })
}

/// Writes a length field, then what `content` writes; the length counts both.
fn with_length(
    out: &mut Vec<u8>,
    content: impl FnOnce(&mut Vec<u8>) -> Result<(), ExtJsonError>,
) -> Result<(), ExtJsonError> {
    let start = out.len();
    out.extend([0; 4]);
    content(out)?;
    let length = out.len().saturating_sub(start);
    let field = i32::try_from(length)
        .map_err(|_too_long| ExtJsonError::value("the document is too long"))?;
    if let Some(place) = out
        .get_mut(start..)
        .and_then(|written| written.first_chunk_mut())
    {
        *place = field.to_le_bytes();
    }
    Ok(())
}

fn element(key: &str, json: &Json, out: &mut Vec<u8>) -> Result<(), ExtJsonError> {
    let start = out.len();
    out.push(0);
    cstring(key, out)?;
    let kind = value(json, out)?;
    if let Some(place) = out.get_mut(start) {
        *place = kind;
    }
    Ok(())
}

/// Appends the bytes of the value and returns its BSON type.
fn value(json: &Json, out: &mut Vec<u8>) -> Result<u8, ExtJsonError> {
    match json {
        Json::Null => Ok(0x0A),
        Json::Bool(flag) => {
            out.push(u8::from(*flag));
            Ok(0x08)
        }
        Json::Int(int) => Ok(match i32::try_from(*int) {
            Ok(int) => {
                out.extend(int.to_le_bytes());
                0x10
            }
            Err(_) => {
                out.extend(int.to_le_bytes());
                0x12
            }
        }),
        Json::Double(double) => {
            out.extend(double.to_le_bytes());
            Ok(0x01)
        }
        Json::String(text) => {
            string(text, out)?;
            Ok(0x02)
        }
        Json::Array(values) => {
            array(values, out)?;
            Ok(0x04)
        }
        Json::Object(fields) => match wrapper::value(fields, out)? {
            Some(kind) => Ok(kind),
            None => {
                document(fields, out)?;
                Ok(0x03)
            }
        },
    }
}

fn string(text: &str, out: &mut Vec<u8>) -> Result<(), ExtJsonError> {
    let length = text.len().saturating_add(1);
    let field =
        i32::try_from(length).map_err(|_too_long| ExtJsonError::value("the string is too long"))?;
    out.extend(field.to_le_bytes());
    out.extend(text.as_bytes());
    out.push(0);
    Ok(())
}

fn cstring(text: &str, out: &mut Vec<u8>) -> Result<(), ExtJsonError> {
    if text.contains('\0') {
        return Err(ExtJsonError::value(
            "a key, pattern or option contains a NUL",
        ));
    }
    out.extend(text.as_bytes());
    out.push(0);
    Ok(())
}
