//! What an index was, and what is asked of the target instead.
//!
//! Everything is raw: the order of fields and the types of numbers are part of an index.

use std::collections::HashSet;

use bson::{RawBsonRef, RawDocument, RawDocumentBuf, rawdoc};

/// What reading raw BSON returns; the driver's own error is large.
pub(crate) type BsonResult<T> = Result<T, Box<bson::error::Error>>;

/// How index specifications are changed on their way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IndexRules {
    /// Leave `v` as it was.
    pub(crate) keep_version: bool,
    /// Turn key values that only old servers took into numbers.
    pub(crate) convert_legacy: bool,
    /// Make hashed fields with a dot ascending.
    pub(crate) fix_dotted_hashed: bool,
    /// The collection's collation is not simple, or unknown: an index without one must say that it is simple, else it
    /// would inherit the collection's.
    pub(crate) say_simple_collation: bool,
    /// The collection is a time-series, whose indexes on measurements never say their version.
    pub(crate) is_time_series: bool,
}

/// What is built, and what a person should know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Converted {
    pub(crate) specs: Vec<RawDocumentBuf>,
    pub(crate) notices: Vec<String>,
}

/// Why the indexes of a collection cannot be built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    #[error("index {index} of the metadata has no name")]
    Nameless { index: usize },
    #[error("index {name:?} has no key")]
    Keyless { name: String },
    #[error("the collection has two indexes on `_id` alone, {first:?} and {second:?}")]
    TwoIds { first: String, second: String },
    #[error("the indexes are no sound BSON")]
    Bson(#[from] Box<bson::error::Error>),
}

/// The indexes to build for `indexes`, in their order; the one on `_id` comes with the collection.
pub(crate) fn convert(
    indexes: &[RawDocumentBuf],
    rules: IndexRules,
) -> Result<Converted, IndexError> {
    let mut converted = Converted::default();
    let mut id: Option<&str> = None;
    let mut identities = HashSet::new();
    for (number, index) in indexes.iter().enumerate() {
        let Ok(name) = index.get_str("name") else {
            return Err(IndexError::Nameless { index: number });
        };
        let Ok(key) = index.get_document("key") else {
            return Err(IndexError::Keyless {
                name: name.to_owned(),
            });
        };
        if is_default_id(index)? {
            if let Some(first) = id.replace(name) {
                return Err(IndexError::TwoIds {
                    first: first.to_owned(),
                    second: name.to_owned(),
                });
            }
            continue;
        }
        let key = convert_key(key, rules)?;
        if rules.convert_legacy && !identities.insert(identity(&key, index)?) {
            converted.notices.push(format!(
                "index {name:?} is not built: with its key converted it equals an earlier one"
            ));
            continue;
        }
        converted.specs.push(convert_one(index, &key, rules)?);
    }
    Ok(converted)
}

/// Whether it is the index on `_id` that every collection has, as old servers wrote it too.
pub(crate) fn is_default_id(index: &RawDocument) -> BsonResult<bool> {
    let Ok(key) = index.get_document("key") else {
        return Ok(false);
    };
    let mut fields = key.iter();
    let Some((name, value)) = fields.next().transpose()? else {
        return Ok(false);
    };
    let is_one =
        legacy_value(value).map_or_else(|| as_number(value) == Some(1.0), |value| value == 1);
    Ok(name.as_str() == "_id"
        && is_one
        && fields.next().is_none()
        && index.get("partialFilterExpression")?.is_none())
}

/// Whether a key has a value that servers since 4.9 do not know any more.
pub(crate) fn is_geo_haystack(index: &RawDocument) -> bool {
    let Ok(key) = index.get_document("key") else {
        return false;
    };
    key.iter()
        .flatten()
        .any(|(_, value)| value.as_str() == Some("geoHaystack"))
}

fn convert_one(
    index: &RawDocument,
    key: &RawDocument,
    rules: IndexRules,
) -> BsonResult<RawDocumentBuf> {
    let has_2dsphere = key
        .iter()
        .flatten()
        .any(|(_, value)| value.as_str() == Some("2dsphere"));
    let is_version_1 = index.get("v")?.and_then(as_number) == Some(1.0);
    let mut spec = RawDocumentBuf::new();
    for field in index.iter() {
        let (name, value) = field?;
        match name.as_str() {
            "v" if !rules.keep_version => {}
            // The collection that it was of; the command says which it is of now.
            "ns" => {}
            "key" => spec.append(name, key),
            // Indexes of version 1 have no collation, not even this one.
            "collation" if rules.keep_version && is_version_1 && is_simple(value) => {}
            _ => spec.append(name, value),
        }
    }
    if rules.say_simple_collation
        && index.get("collation")?.is_none()
        && !(rules.keep_version && is_version_1)
    {
        spec.append(bson::cstr!("collation"), rawdoc! { "locale": "simple" });
    }
    if has_2dsphere && !rules.is_time_series && index.get("2dsphereIndexVersion")?.is_none() {
        // The version that those had which did not say.
        spec.append(bson::cstr!("2dsphereIndexVersion"), 1_i32);
    }
    Ok(spec)
}

fn convert_key(key: &RawDocument, rules: IndexRules) -> BsonResult<RawDocumentBuf> {
    let mut converted = RawDocumentBuf::new();
    for field in key.iter() {
        let (name, value) = field?;
        let legacy = if rules.convert_legacy {
            legacy_value(value)
        } else {
            None
        };
        let is_dotted_hashed = value.as_str() == Some("hashed") && name.as_str().contains('.');
        match legacy {
            Some(direction) => converted.append(name, direction),
            None if rules.fix_dotted_hashed && is_dotted_hashed => converted.append(name, 1_i32),
            None => converted.append(name, value),
        }
    }
    Ok(converted)
}

/// Whether the key has a value that today's servers refuse.
pub(super) fn has_legacy_key(spec: &RawDocument) -> bool {
    let fields = spec
        .get_document("key")
        .into_iter()
        .flat_map(RawDocument::iter);
    fields
        .flatten()
        .any(|(_, value)| legacy_value(value).is_some())
}

/// What a key value means that today's servers refuse; `None` if they take it.
fn legacy_value(value: RawBsonRef<'_>) -> Option<i32> {
    match (value, as_number(value)) {
        (RawBsonRef::String(text), _) => text.is_empty().then_some(1),
        (_, None) => Some(1),
        (_, Some(number)) if number.is_nan() => Some(1),
        (RawBsonRef::Double(_) | RawBsonRef::Decimal128(_), Some(number))
            if number.abs() < 1e-9 =>
        {
            Some(if number < 0.0 { -1 } else { 1 })
        }
        (_, Some(number)) => (number == 0.0).then_some(1),
    }
}

/// The value of a number, near enough to tell directions apart.
pub(crate) fn as_number(value: RawBsonRef<'_>) -> Option<f64> {
    match value {
        RawBsonRef::Int32(number) => Some(f64::from(number)),
        #[expect(
            clippy::cast_precision_loss,
            reason = "key values are small, and only their sign counts if not"
        )]
        RawBsonRef::Int64(number) => Some(number as f64),
        RawBsonRef::Double(number) => Some(number),
        RawBsonRef::Decimal128(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

pub(crate) fn is_simple(collation: RawBsonRef<'_>) -> bool {
    let locale = collation
        .as_document()
        .and_then(|collation| collation.get_str("locale").ok());
    locale == Some("simple")
}

/// By what a server tells indexes apart: key, collation and partial filter.
type Identity = (Vec<(String, String)>, Vec<u8>, Vec<u8>);

fn identity(key: &RawDocument, index: &RawDocument) -> BsonResult<Identity> {
    let fields = key.iter().map(|field| {
        let (name, value) = field?;
        let value =
            as_number(value).map_or_else(|| format!("{value:?}"), |number| number.to_string());
        Ok((name.as_str().to_owned(), value))
    });
    let bytes = |name: &str| -> BsonResult<Vec<u8>> {
        let document = index.get(name)?.and_then(|value| value.as_document());
        Ok(document
            .map(|document| document.as_bytes().to_vec())
            .unwrap_or_default())
    };
    Ok((
        fields.collect::<BsonResult<_>>()?,
        bytes("collation")?,
        bytes("partialFilterExpression")?,
    ))
}

#[cfg(test)]
mod tests;
