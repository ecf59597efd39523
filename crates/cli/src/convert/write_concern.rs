//! `--writeConcern`: a number, a tag, or JSON.

use std::time::Duration;

use rdump::{Acknowledgement, WriteConcern};
use serde_json::Value;

use super::{Refusal, json};

/// Reads `2`, `majority`, a tag, or `{w: …, j: …, wtimeout: …}`; without `w` it is the majority.
pub(super) fn parse(text: &str) -> Result<WriteConcern, Refusal> {
    let text = text.trim();
    if !text.starts_with('{') {
        return match text.parse::<i64>() {
            Ok(number) => members(number).map(WriteConcern::new),
            Err(_) => Ok(WriteConcern::new(tag(text))),
        };
    }
    let Value::Object(object) = json::parse(text).map_err(invalid)? else {
        return Err(invalid("it is no object"));
    };
    let mut concern = WriteConcern::default();
    for (key, value) in &object {
        concern = match (key.as_str(), value) {
            ("w", Value::String(name)) => {
                concern.w = tag(name);
                concern
            }
            ("w", Value::Number(number)) => {
                concern.w = members(
                    number
                        .as_i64()
                        .ok_or_else(|| invalid("invalid 'w' argument"))?,
                )?;
                concern
            }
            ("j", Value::Bool(journal)) => concern.journal(*journal),
            ("wtimeout" | "wtimeoutMS", value) => match value.as_u64() {
                // The server takes 0 for "for ever", which is the default.
                Some(0) => concern,
                Some(milliseconds) => concern.timeout(Duration::from_millis(milliseconds)),
                None => return Err(invalid("wtimeout must be a number of milliseconds")),
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

fn tag(name: &str) -> Acknowledgement {
    match name {
        "" | "majority" => Acknowledgement::Majority,
        other => Acknowledgement::Tag(other.to_owned()),
    }
}

fn members(number: i64) -> Result<Acknowledgement, Refusal> {
    u32::try_from(number)
        .map(Acknowledgement::Members)
        .map_err(|_negative| invalid("invalid 'w' argument"))
}

fn invalid(reason: &str) -> Refusal {
    Refusal::bad_option(format_args!("invalid --writeConcern: {reason}"))
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
            ("{\"w\": \"majority\"}", Acknowledgement::Majority),
        ] {
            assert_eq!(parse(text).unwrap().w, w, "{text}");
        }
        let concern = parse("{w: 'x', j: false, wtimeout: 500}").unwrap();
        assert_eq!(
            (concern.journal, concern.timeout),
            (Some(false), Some(Duration::from_millis(500)))
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in [
            "-1",
            "{w: -1}",
            "{w: 1.5}",
            "{w: []}",
            "{j: 1}",
            "{wtimeout: 'x'}",
            "{x: 1}",
            "{",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
