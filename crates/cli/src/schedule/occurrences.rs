//! When a cron expression is due.

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{SignedDuration, Timestamp, Zoned, tz::TimeZone};

/// The moments that a [cron expression](https://man7.org/linux/man-pages/man5/crontab.5.html) is of, by the clock of a time zone.
///
/// What is due at an hour that summer time leaves out is due right after it; what is due at one that comes twice is due the first time.
#[derive(Clone, Debug)]
pub(super) struct Occurrences {
    text: String,
    cron: Cron,
    zone: TimeZone,
}

impl Occurrences {
    /// Reads five fields, or a word such as `@daily`.
    pub(super) fn parse(text: &str, zone: &TimeZone) -> Result<Self, String> {
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let cron = parser.parse(text).map_err(|error| {
            format!("{text:?} is no cron expression such as \"0 2 * * *\": {error}")
        })?;
        let this = Self {
            text: text.to_owned(),
            cron,
            zone: zone.clone(),
        };
        match this.after(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(this),
            None => Err(format!("{text:?} is never due")),
        }
    }

    /// The first one after a moment.
    pub(super) fn after(&self, moment: Timestamp) -> Option<Timestamp> {
        let found = self.cron.find_next_occurrence(&self.at(moment), false);
        found.ok().map(|found| found.timestamp())
    }

    /// The last one until a moment, that moment included.
    pub(super) fn until(&self, moment: Timestamp) -> Option<Timestamp> {
        let found = self.cron.find_previous_occurrence(&self.at(moment), true);
        found.ok().map(|found| found.timestamp())
    }

    /// The longest time between two in the year that begins then.
    pub(super) fn longest_pause(&self, from: Timestamp) -> Option<SignedDuration> {
        // Minutes are those of every hour: pauses within one are all in the first day.
        let (hour, day) = (1, 24);
        let end = |hours| from.saturating_add(SignedDuration::from_hours(hours)).ok();
        let (first_day, year) = (end(day)?, end(366 * day)?);
        let mut at = self.after(from)?;
        let mut longest = self.after(at)?.duration_since(at);
        while at < first_day {
            let next = self.after(at)?;
            longest = longest.max(next.duration_since(at));
            at = next;
        }
        while at < year {
            // All pauses of a stretch are shorter than it is.
            let stretch = longest.max(SignedDuration::from_hours(hour));
            let last = self.until(at.saturating_add(stretch).ok()?)?;
            if last > at {
                at = last;
            } else {
                let next = self.after(at)?;
                longest = next.duration_since(at);
                at = next;
            }
        }
        Some(longest)
    }

    /// What tells it from others: the expression, and whose clock it is of.
    pub(super) fn text(&self) -> String {
        let zone = self.zone.iana_name().unwrap_or("UTC");
        format!("{} {zone}", self.text)
    }

    /// A moment by the same clock.
    pub(super) fn shown(&self, moment: Timestamp) -> String {
        self.at(moment).strftime("%F %T %Z").to_string()
    }

    /// In words.
    pub(super) fn described(&self) -> String {
        let text = self.cron.describe();
        text.trim_end_matches('.').to_owned()
    }

    fn at(&self, moment: Timestamp) -> Zoned {
        moment.to_zoned(self.zone.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Occurrences {
        Occurrences::parse(text, &TimeZone::get("Europe/Vienna").unwrap()).unwrap()
    }

    fn days(occurrences: &Occurrences, from: &str, count: usize) -> Vec<String> {
        let first = from.parse().unwrap();
        let next = |at: &Timestamp| occurrences.after(*at);
        std::iter::successors(next(&first), next)
            .take(count)
            .map(|at| at.to_string())
            .collect()
    }

    #[test]
    fn each_day_has_one_also_where_summer_time_begins_and_ends() {
        let nightly = of("30 2 * * *");
        assert_eq!(
            days(&nightly, "2026-03-28T00:00:00Z", 3),
            [
                "2026-03-28T01:30:00Z",
                "2026-03-29T01:00:00Z",
                "2026-03-30T00:30:00Z"
            ]
        );
        assert_eq!(
            days(&nightly, "2026-10-24T00:00:00Z", 3),
            [
                "2026-10-24T00:30:00Z",
                "2026-10-25T00:30:00Z",
                "2026-10-26T01:30:00Z"
            ]
        );
    }

    #[test]
    fn looking_back_and_ahead_finds_the_same() {
        for text in [
            "30 2 * * *",
            "*/15 * * * *",
            "0 4 * * SUN",
            "0 1 31 * *",
            "5 0 * 2 *",
        ] {
            let occurrences = of(text);
            let mut at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
            for _ in 0..400 {
                let next = occurrences.after(at).unwrap();
                assert_eq!(occurrences.until(next), Some(next), "{text}");
                let before = next.checked_sub(SignedDuration::from_secs(1)).unwrap();
                let last = occurrences.until(before).unwrap();
                assert!(last <= at || last < next, "{text}: {last} {at} {next}");
                assert_eq!(occurrences.after(last), Some(next), "{text}");
                at = next;
            }
        }
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for text in [
            "",
            "daily",
            "0 2 * *",
            "61 * * * *",
            "0 0 0 2 * *",
            "0 0 31 2 *",
        ] {
            let zone = TimeZone::UTC;
            let refused = Occurrences::parse(text, &zone).unwrap_err();
            assert!(refused.contains(&format!("{text:?}")), "{refused}");
        }
    }

    #[test]
    fn the_longest_pause_is_that_of_a_year() {
        let hours = |text| {
            of(text)
                .longest_pause("2026-01-01T00:00:00Z".parse().unwrap())
                .unwrap()
                .as_hours()
        };
        assert_eq!(hours("0 3 * * *"), 25);
        assert_eq!(hours("0 * * * *"), 1);
        assert_eq!(hours("0 3 * * MON-FRI"), 73);
        assert_eq!(hours("* * * 6 *"), 335 * 24);
        assert_eq!(hours("0 3 29 2 *"), 1461 * 24);
        let minutes = |text| {
            let from = "2026-01-01T00:00:00Z".parse().unwrap();
            of(text).longest_pause(from).unwrap().as_mins()
        };
        assert_eq!(minutes("* * * * *"), 1);
        assert_eq!(minutes("0,20 * * * *"), 40);
    }
}
