//! JSON as it stands: keys in order, also those that are there twice.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{ExtJsonError, MAX_JSON_DEPTH, controls::Escaped};

#[derive(Debug)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    pub(super) fn parse(text: &str) -> Result<Self, ExtJsonError> {
        let escaped = Escaped::new(text);
        let mut deserializer = serde_json::Deserializer::from_str(&escaped.text);
        // Ours is higher than its 128.
        deserializer.disable_recursion_limit();
        let parsed = Nesting {
            left: MAX_JSON_DEPTH,
        }
        .deserialize(&mut deserializer)
        .and_then(|tree| deserializer.end().map(|()| tree));
        parsed.map_err(|source| {
            let (line, column) = escaped.place(source.line(), source.column());
            ExtJsonError::Json {
                line,
                column,
                source: source.into(),
            }
        })
    }
}

/// Builds the tree, and counts how many levels more there may be.
#[derive(Clone, Copy)]
struct Nesting {
    left: usize,
}

impl Nesting {
    fn inner<E: Error>(self) -> Result<Self, E> {
        let left = self.left.checked_sub(1);
        left.map(|left| Self { left })
            .ok_or_else(|| E::custom("the values are nested too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for Nesting {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nesting {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(i64::try_from(value).map_or(Json::Double(value as f64), Json::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Double(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let inner = self.inner()?;
        let mut values = Vec::new();
        while let Some(value) = access.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Json::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let inner = self.inner()?;
        let mut fields = Vec::new();
        while let Some(key) = access.next_key()? {
            fields.push((key, access.next_value_seed(inner)?));
        }
        Ok(Json::Object(fields))
    }
}
