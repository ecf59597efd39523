//! `--readPreference`: a mode, or JSON.

use std::collections::BTreeMap;

use rdump::{ReadMode, ReadPreference};
use serde_json::Value;

use super::{Refusal, json};

/// Reads a mode such as `nearest`, or `{mode: …, tagSets: […], maxStalenessSeconds: …}`.
pub(super) fn parse(text: &str) -> Result<ReadPreference, Refusal> {
    let text = text.trim();
    if !text.starts_with('{') {
        return mode(text).map(ReadPreference::new);
    }
    let Value::Object(object) = json::parse(text).map_err(invalid)? else {
        return Err(invalid("it is no object"));
    };
    let mut preference = ReadPreference::default();
    let mut has_mode = false;
    for (key, value) in &object {
        preference = match (key.to_ascii_lowercase().as_str(), value) {
            ("mode", Value::String(name)) => {
                has_mode = true;
                preference.mode = mode(name)?;
                preference
            }
            ("tagsets", Value::Array(sets)) => {
                preference.tag_sets(sets.iter().map(tags).collect::<Result<_, _>>()?)
            }
            ("tags", set @ Value::Object(_)) => preference.tag_sets(vec![tags(set)?]),
            ("maxstalenessseconds", value) => match value.as_i64() {
                // -1 is how the drivers spell "any".
                Some(-1 | 0) => preference,
                Some(seconds) if seconds > 0 => {
                    preference.max_staleness_seconds(seconds.unsigned_abs())
                }
                _ => return Err(invalid("maxStalenessSeconds must be a positive number")),
            },
            // Routers of 4.4 to 7.0 hedge reads by themselves.
            ("hedge", Value::Object(_)) => preference,
            (other, _) => {
                return Err(invalid(&format!(
                    "{other} is not known, or not of the right type"
                )));
            }
        };
    }
    match has_mode {
        true => Ok(preference),
        false => Err(invalid("no 'mode' specified")),
    }
}

fn mode(name: &str) -> Result<ReadMode, Refusal> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "primary" => ReadMode::Primary,
        "primarypreferred" => ReadMode::PrimaryPreferred,
        "secondary" => ReadMode::Secondary,
        "secondarypreferred" => ReadMode::SecondaryPreferred,
        "nearest" => ReadMode::Nearest,
        _ => return Err(invalid(&format!("unknown read preference {name}"))),
    })
}

fn tags(set: &Value) -> Result<BTreeMap<String, String>, Refusal> {
    let Value::Object(set) = set else {
        return Err(invalid("tagSets must be objects"));
    };
    set.iter()
        .map(|(name, value)| match value {
            Value::String(value) => Ok((name.clone(), value.clone())),
            _ => Err(invalid("the value of a tag must be a text")),
        })
        .collect()
}

fn invalid(reason: &str) -> Refusal {
    Refusal::Failed(anyhow::anyhow!("error parsing --readPreference: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_and_json_are_read() {
        assert_eq!(
            parse("nearest").unwrap(),
            ReadPreference::new(ReadMode::Nearest)
        );
        assert_eq!(
            parse(" secondaryPreferred ").unwrap().mode,
            ReadMode::SecondaryPreferred
        );
        let preference =
            parse("{mode: 'secondary', tagSets: [{dc: 'ny'}, {}], maxStalenessSeconds: 120}")
                .unwrap();
        assert_eq!(preference.mode, ReadMode::Secondary);
        assert_eq!(
            preference.tag_sets,
            [
                BTreeMap::from([("dc".into(), "ny".into())]),
                BTreeMap::new()
            ]
        );
        assert_eq!(preference.max_staleness_seconds, Some(120));
        for text in [
            "{mode:'nearest', maxStalenessSeconds:-1}",
            "{Mode: \"NEAREST\", TagSets: [], maxstalenessseconds: 0, hedge: {enabled: true}}",
        ] {
            assert_eq!(
                parse(text).unwrap(),
                ReadPreference::new(ReadMode::Nearest),
                "{text}"
            );
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in [
            "",
            "fastest",
            "{}",
            "{tagSets: []}",
            "{mode: 1}",
            "{mode: 'nearest', tagSets: 1}",
            "{mode: 'nearest', x: 1}",
            "{",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
