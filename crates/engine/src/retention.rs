//! Which snapshots are kept, and which moments between them. Pure.

mod rules;
#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr, time::Duration};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

pub(crate) use rules::{Candidate, Look, kept};

/// What is kept of the snapshots of a deployment. Each rule keeps what it says, whatever others say; what none keeps goes.
///
/// `keep_hourly: 24` keeps the newest snapshot of each of the last 24 hours that have one, and so on, by the clock of [`time_zone`](Self::time_zone):
/// days begin at midnight there, weeks on Monday ([ISO 8601](https://en.wikipedia.org/wiki/ISO_week_date)).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use rdump::RetentionPolicy;
///
/// # fn main() -> rdump::Result<()> {
/// let policy = RetentionPolicy::default()
///     .keep_daily(30)
///     .keep_weekly(12)
///     .keep_monthly(12)
///     .keep_tag("keep=always")
///     .pitr_window(Duration::from_secs(7 * 24 * 3600))
///     .time_zone("Europe/Berlin")?;
/// assert!(!policy.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RetentionPolicy {
    /// How many of the newest snapshots. Default: 0.
    pub keep_last: u32,
    /// Of how many hours that have a snapshot the newest one. Default: 0.
    pub keep_hourly: u32,
    /// Of how many days. Default: 0.
    pub keep_daily: u32,
    /// Of how many weeks. Default: 0.
    pub keep_weekly: u32,
    /// Of how many months. Default: 0.
    pub keep_monthly: u32,
    /// Of how many years. Default: 0.
    pub keep_yearly: u32,
    /// All that are at most so much older than the newest one. Default: none.
    ///
    /// It does not count from now on purpose: where no backup succeeds any more, nothing is lost for that.
    pub keep_within: Option<Duration>,
    /// All that are marked so: by `key=value`, or `key` with any value. Default: none.
    pub keep_tags: Vec<String>,
    /// How far back from the last moment that can be restored any moment stays restorable that is. Default: as far as the oldest snapshot that is kept.
    pub pitr_window: Option<Duration>,
    /// By whose clock hours, days, weeks, months and years begin. Default: UTC.
    pub time_zone: Zone,
}

impl RetentionPolicy {
    /// Sets how many of the newest snapshots are kept.
    #[must_use]
    pub fn keep_last(mut self, snapshots: u32) -> Self {
        self.keep_last = snapshots;
        self
    }

    /// Sets of how many hours the newest snapshot is kept.
    #[must_use]
    pub fn keep_hourly(mut self, hours: u32) -> Self {
        self.keep_hourly = hours;
        self
    }

    /// Sets of how many days the newest snapshot is kept.
    #[must_use]
    pub fn keep_daily(mut self, days: u32) -> Self {
        self.keep_daily = days;
        self
    }

    /// Sets of how many weeks the newest snapshot is kept.
    #[must_use]
    pub fn keep_weekly(mut self, weeks: u32) -> Self {
        self.keep_weekly = weeks;
        self
    }

    /// Sets of how many months the newest snapshot is kept.
    #[must_use]
    pub fn keep_monthly(mut self, months: u32) -> Self {
        self.keep_monthly = months;
        self
    }

    /// Sets of how many years the newest snapshot is kept.
    #[must_use]
    pub fn keep_yearly(mut self, years: u32) -> Self {
        self.keep_yearly = years;
        self
    }

    /// Keeps all snapshots that are at most so much older than the newest one.
    #[must_use]
    pub fn keep_within(mut self, duration: Duration) -> Self {
        self.keep_within = Some(duration);
        self
    }

    /// Keeps all snapshots that are marked so, by `key=value` or `key`.
    #[must_use]
    pub fn keep_tag(mut self, tag: impl Into<String>) -> Self {
        self.keep_tags.push(tag.into());
        self
    }

    /// Sets how far back any moment stays restorable.
    #[must_use]
    pub fn pitr_window(mut self, window: Duration) -> Self {
        self.pitr_window = Some(window);
        self
    }

    /// Sets by whose clock days begin: a name such as `Europe/Berlin`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if there is no such time zone.
    pub fn time_zone(mut self, name: &str) -> Result<Self> {
        self.time_zone = name.parse()?;
        Ok(self)
    }

    /// For how long it keeps what it keeps longest, as far as its rules are about time: a month has 31 days, a year 366.
    pub(crate) fn longest(&self) -> Option<Duration> {
        const HOUR: Duration = Duration::from_secs(3600);
        const DAY: Duration = Duration::from_secs(24 * 3600);
        let periods = [
            (self.keep_hourly, HOUR),
            (self.keep_daily, DAY),
            (self.keep_weekly, DAY * 7),
            (self.keep_monthly, DAY * 31),
            (self.keep_yearly, DAY * 366),
        ];
        let periods = periods.into_iter().filter(|(number, _)| *number > 0);
        let periods = periods.map(|(number, period)| period.saturating_mul(number));
        let spans = self.keep_within.into_iter().chain(self.pitr_window);
        periods.chain(spans).max()
    }

    /// Whether it has no rule at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let time_zone = self.time_zone.clone();
        *self
            == Self {
                time_zone,
                ..Self::default()
            }
    }
}

/// A time zone, by its name in the [IANA database](https://www.iana.org/time-zones).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(TimeZone);

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl FromStr for Zone {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        TimeZone::get(name).map(Self).map_err(|error| {
            Error::invalid(format!("{name:?} is no time zone such as Europe/Berlin"))
                .caused_by(error)
        })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.iana_name().unwrap_or("UTC"))
    }
}

impl TryFrom<String> for Zone {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        name.parse()
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.to_string()
    }
}

/// Why a snapshot is kept. `Display` is for people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case", tag = "rule")]
#[non_exhaustive]
pub enum KeepReason {
    /// It is among the newest.
    Last,
    /// It is the newest of an hour.
    Hourly {
        /// The hour, by the clock of the time zone.
        of: String,
    },
    /// It is the newest of a day.
    Daily {
        /// The day.
        of: String,
    },
    /// It is the newest of a week.
    Weekly {
        /// The week, such as `2026-W47`.
        of: String,
    },
    /// It is the newest of a month.
    Monthly {
        /// The month, such as `2026-11`.
        of: String,
    },
    /// It is the newest of a year.
    Yearly {
        /// The year.
        of: String,
    },
    /// It is not much older than the newest.
    Within,
    /// It is marked so.
    Tag {
        /// As the policy has it.
        tag: String,
    },
    /// It is the newest of its deployment.
    Newest,
    /// It is the newest of its deployment that was verified and found whole.
    LastGood,
    /// Moments that stay restorable are restored from it.
    Base,
    /// It is of a moment more than a day from now: a clock was ahead.
    Future,
    /// It is encrypted and of a part of its deployment; of which, cannot be told without a key.
    Unknown,
    /// It is locked in its store.
    Locked {
        /// Until when, if it ends by itself: RFC 3339, UTC.
        until: Option<String>,
    },
}

impl fmt::Display for KeepReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last => f.write_str("last"),
            Self::Hourly { of } => write!(f, "hourly {of}"),
            Self::Daily { of } => write!(f, "daily {of}"),
            Self::Weekly { of } => write!(f, "weekly {of}"),
            Self::Monthly { of } => write!(f, "monthly {of}"),
            Self::Yearly { of } => write!(f, "yearly {of}"),
            Self::Within => f.write_str("within"),
            Self::Tag { tag } => write!(f, "tag {tag}"),
            Self::Newest => f.write_str("newest"),
            Self::LastGood => f.write_str("last good"),
            Self::Base => f.write_str("base of restorable moments"),
            Self::Future => f.write_str("of the future: a clock was ahead"),
            Self::Unknown => f.write_str("of an unknown part"),
            Self::Locked { until: Some(until) } => write!(f, "retained until {until}"),
            Self::Locked { until: None } => f.write_str("retained until its hold is lifted"),
        }
    }
}
