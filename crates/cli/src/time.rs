//! Moments and durations, as people write and read them.

use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use rdump::OpTime;

/// A moment as the oplog counts, and by the clock.
pub(crate) fn text(at: OpTime) -> String {
    match Timestamp::from_second(i64::from(at.seconds)) {
        Ok(clock) => format!("{at} ({clock})"),
        Err(_) => at.to_string(),
    }
}

/// A duration such as `10s`, `500ms` or `1m30s`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration such as 10s, 500ms or 5m");
    let parsed: SignedDuration = text.parse().map_err(|_error| wrong())?;
    Duration::try_from(parsed).map_err(|_error| wrong())
}

/// A duration such as `7d`, `12h` or `2w`; a day has 24 hours.
pub(crate) fn days(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration such as 12h, 7d or 2w");
    let span: Span = text.parse().map_err(|_error| wrong())?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours());
    let length = length.map_err(|_error| wrong())?;
    Duration::try_from(length).map_err(|_error| wrong())
}

/// A time such as `2026-11-21T08:30:00Z`, to the second.
pub(crate) fn second(text: &str) -> Result<u32, String> {
    let parsed: Timestamp = text
        .parse()
        .map_err(|error| format!("{text:?} is no time such as 2026-11-21T08:30:00Z: {error}"))?;
    if parsed.subsec_nanosecond() != 0 {
        return Err(format!(
            "{text:?} has a part of a second, which an oplog has not: give the second, of which all is meant, or --to-optime"
        ));
    }
    u32::try_from(parsed.as_second()).map_err(|_error| {
        format!("{text:?} is before 1970 or after 2106, where an oplog has no time")
    })
}

/// A time such as `2026-11-21T08:30:00Z`, or how long ago it was, such as `7d`: in seconds since 1970.
pub(crate) fn since(text: &str) -> Result<i64, String> {
    let ago = days(text).map(|ago| i64::try_from(ago.as_secs()).unwrap_or(i64::MAX));
    match (ago, text.parse::<Timestamp>()) {
        (Ok(ago), _) => Ok(Timestamp::now().as_second().saturating_sub(ago)),
        (_, Ok(time)) => Ok(time.as_second()),
        _ => Err(format!(
            "{text:?} is neither a time such as 2026-11-21T08:30:00Z nor a duration such as 7d"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_times_are_read_and_what_is_none_is_refused_by_name() {
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert!(duration("-1s").unwrap_err().contains("-1s"));
        assert!(duration("10").unwrap_err().contains("10s, 500ms"));
        assert_eq!(days("7d"), Ok(Duration::from_secs(7 * 86_400)));
        assert_eq!(days("2w"), Ok(Duration::from_secs(14 * 86_400)));
        assert_eq!(days("36h"), Ok(Duration::from_secs(36 * 3_600)));
        for wrong in ["1y", "2mo", "-1d", "7", ""] {
            assert!(days(wrong).unwrap_err().contains("7d"), "{wrong}");
        }
        assert_eq!(since("1970-01-01T00:00:07Z"), Ok(7));
        let week = Timestamp::now().as_second() - since("7d").unwrap();
        assert!((week - 7 * 86_400).abs() < 60, "{week}");
        assert!(since("yesterday").unwrap_err().contains("yesterday"));
        assert_eq!(second("1970-01-01T00:00:07Z"), Ok(7));
        assert_eq!(second("1970-01-01T02:00:07+02:00"), Ok(7));
        assert_eq!(second("1970-01-01T00:00:07.000Z"), Ok(7));
        let refused = second("1970-01-01T00:00:07.250Z").unwrap_err();
        assert!(refused.contains("a part of a second"), "{refused}");
        assert!(second("yesterday").unwrap_err().contains("yesterday"));
        assert!(second("1960-01-01T00:00:00Z").unwrap_err().contains("1970"));
    }

    #[test]
    fn a_moment_is_told_by_the_clock_too() {
        let at = OpTime {
            seconds: 7,
            ordinal: 3,
        };
        assert_eq!(text(at), "7:3 (1970-01-01T00:00:07Z)");
    }
}
