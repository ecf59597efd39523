//! `--writeConcern`: a number, a tag, or JSON.

use std::time::Duration;

use rdump::{Acknowledgement, WriteConcern};
use serde_json::Value;

use super::{Refusal, json};

/// Reads `2`, `majority`, a tag, or `{w: …, j: …, wtimeout: …}`; without `w` it is the majority.
pub(super) fn parse(text: &str) -> Result<WriteConcern, Refusal> {
    let text = text.trim();
    if !text.starts_with('{') {
        return acknowledgement(text).map(WriteConcern::new);
    }
    let Value::Object(object) = json::parse(text).map_err(invalid)? else {
        return Err(invalid("it is no object"));
    };
    let mut concern = WriteConcern::default();
    for (key, value) in &object {
        concern = match (key.as_str(), value) {
            ("w", Value::String(text)) => {
                concern.w = acknowledgement(text)?;
                concern
            }
            ("w", value @ Value::Number(_)) => {
                let members = whole(value).ok_or_else(|| invalid_w(value))?;
                concern.w = acknowledgement(&members.to_string())?;
                concern
            }
            ("j", Value::Null) => concern,
            ("j", Value::Bool(journal)) => concern.journal(*journal),
            ("j", value @ Value::Number(_)) => concern.journal(value.as_f64() != Some(0.0)),
            ("wtimeout" | "wtimeoutMS", value) => match whole(value).map(u64::try_from) {
                // The server takes 0 for "for ever", which is the default.
                Some(Ok(0)) => concern,
                Some(Ok(milliseconds)) => concern.timeout(Duration::from_millis(milliseconds)),
                _ => return Err(invalid(&format!("invalid 'wtimeout' argument: {value}"))),
            },
            // Servers since 2.0 have a journal instead.
            ("fsync", _) => concern,
            (other, _) => {
                return Err(invalid(&format!(
                    "{other} is not known, or not of the right type"
                )));
            }
        };
    }
    Ok(concern)
}

/// A number of members, the majority, or a tag.
fn acknowledgement(text: &str) -> Result<Acknowledgement, Refusal> {
    match (text, text.parse::<i64>().map(u32::try_from)) {
        ("" | "majority", _) => Ok(Acknowledgement::Majority),
        (_, Ok(Ok(members))) => Ok(Acknowledgement::Members(members)),
        (_, Ok(Err(_out_of_range))) => Err(invalid_w(&text)),
        (tag, Err(_no_number)) => Ok(Acknowledgement::Tag(tag.to_owned())),
    }
}

/// A number without a fraction, however it is written.
#[expect(
    clippy::cast_possible_truncation,
    reason = "has no fraction, and saturates"
)]
fn whole(value: &Value) -> Option<i64> {
    let float = value.as_f64().filter(|number| number.fract() == 0.0);
    value.as_i64().or(float.map(|number| number as i64))
}

fn invalid_w(value: &dyn std::fmt::Display) -> Refusal {
    invalid(&format!("invalid 'w' argument: {value}"))
}

fn invalid(reason: &str) -> Refusal {
    Refusal::Usage(format!("error parsing write concern: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_tags_and_json_are_read() {
        for (text, w) in [
            ("majority", Acknowledgement::Majority),
            ("", Acknowledgement::Majority),
            ("0", Acknowledgement::Members(0)),
            ("3", Acknowledgement::Members(3)),
            ("backups", Acknowledgement::Tag("backups".into())),
            ("{j: true}", Acknowledgement::Majority),
            ("{w: 2, fsync: false}", Acknowledgement::Members(2)),
            ("{w: '2'}", Acknowledgement::Members(2)),
            ("{'w': 2.0,}", Acknowledgement::Members(2)),
            ("{w: NumberInt(2)}", Acknowledgement::Members(2)),
            ("{w: NumberLong(\"2\")}", Acknowledgement::Members(2)),
            ("{w: 'backups'}", Acknowledgement::Tag("backups".into())),
            ("{\"w\": \"majority\"}", Acknowledgement::Majority),
        ] {
            assert_eq!(parse(text).unwrap().w, w, "{text}");
        }
        let concern = parse("{w: 'x', j: false, wtimeout: 500}").unwrap();
        assert_eq!(
            (concern.journal, concern.timeout),
            (Some(false), Some(Duration::from_millis(500)))
        );
        for (text, journal) in [
            ("{j: 1}", Some(true)),
            ("{j: 0}", Some(false)),
            ("{j: null}", None),
        ] {
            assert_eq!(parse(text).unwrap().journal, journal, "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in [
            "-1",
            "{w: -1}",
            "{w: 1.5}",
            "{w: []}",
            "{j: 'x'}",
            "{w: true}",
            "{w: null}",
            "4294967296",
            "{wtimeout: -1}",
            "{wtimeout: 'x'}",
            "{x: 1}",
            "{",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
