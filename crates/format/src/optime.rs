//! A moment in the history of a replica set, and the one to stop before.

use std::{fmt, str::FromStr};

use bson::Timestamp;
use serde::{Deserialize, Serialize};

/// A moment in the history of a replica set: seconds since 1970 and an ordinal within the second.
///
/// It is the server's [timestamp](https://www.mongodb.com/docs/manual/reference/bson-types/#timestamps) of
/// an oplog entry. `Display` and `FromStr` use `seconds:ordinal`; `FromStr` takes `seconds` alone as
/// ordinal 0, as mongorestore's `--oplogLimit` does.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct OpTime {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub seconds: u32,
    /// The ordinal within the second, from 1.
    pub ordinal: u32,
}

impl OpTime {
    /// After everything.
    pub const MAX: Self = Self {
        seconds: u32::MAX,
        ordinal: u32::MAX,
    };

    /// The first moment after it; [`MAX`](Self::MAX) has none and stays.
    ///
    /// # Examples
    ///
    /// ```
    /// use rdump_format::OpTime;
    ///
    /// assert_eq!(OpTime { seconds: 7, ordinal: 1 }.next(), OpTime { seconds: 7, ordinal: 2 });
    /// assert_eq!(OpTime { seconds: 7, ordinal: u32::MAX }.next(), OpTime { seconds: 8, ordinal: 0 });
    /// assert_eq!(OpTime::MAX.next(), OpTime::MAX);
    /// ```
    #[must_use]
    pub fn next(self) -> Self {
        match (self.ordinal.checked_add(1), self.seconds.checked_add(1)) {
            (Some(ordinal), _) => Self { ordinal, ..self },
            (None, Some(seconds)) => Self {
                seconds,
                ordinal: 0,
            },
            (None, None) => Self::MAX,
        }
    }
}

impl From<Timestamp> for OpTime {
    fn from(timestamp: Timestamp) -> Self {
        Self {
            seconds: timestamp.time,
            ordinal: timestamp.increment,
        }
    }
}

impl From<OpTime> for Timestamp {
    fn from(time: OpTime) -> Self {
        Self {
            time: time.seconds,
            increment: time.ordinal,
        }
    }
}

impl fmt::Display for OpTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seconds, self.ordinal)
    }
}

impl FromStr for OpTime {
    type Err = OpTimeError;

    fn from_str(text: &str) -> Result<Self, OpTimeError> {
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            plain
                .then(|| digits.parse().ok())
                .flatten()
                .ok_or_else(|| OpTimeError {
                    text: text.to_owned(),
                })
        };
        match text.split_once(':') {
            Some((seconds, "")) => Ok(Self {
                seconds: number(seconds)?,
                ordinal: 0,
            }),
            Some((seconds, ordinal)) => Ok(Self {
                seconds: number(seconds)?,
                ordinal: number(ordinal)?,
            }),
            None => Ok(Self {
                seconds: number(text)?,
                ordinal: 0,
            }),
        }
    }
}

impl TryFrom<String> for OpTime {
    type Error = OpTimeError;

    fn try_from(text: String) -> Result<Self, OpTimeError> {
        text.parse()
    }
}

impl From<OpTime> for String {
    fn from(time: OpTime) -> Self {
        time.to_string()
    }
}

/// The moment that a replay stops before, as mongorestore's `--oplogLimit`: what happened at it is not
/// replayed any more.
///
/// Default: there is none. Neither is there for `0:0`, which mongorestore takes for the same.
///
/// # Examples
///
/// ```
/// use rdump_format::{OpTime, OpTimeLimit};
///
/// let limit: OpTimeLimit = "7:2".parse()?;
/// assert!(limit.allows(OpTime { seconds: 7, ordinal: 1 }));
/// assert!(!limit.allows(OpTime { seconds: 7, ordinal: 2 }));
/// # Ok::<(), rdump_format::OpTimeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OpTimeLimit(OpTime);

impl OpTimeLimit {
    /// Whether what happened then is replayed.
    #[must_use]
    pub fn allows(self, at: OpTime) -> bool {
        self.0 == OpTime::default() || at < self.0
    }
}

impl From<OpTime> for OpTimeLimit {
    fn from(time: OpTime) -> Self {
        Self(time)
    }
}

impl FromStr for OpTimeLimit {
    type Err = OpTimeError;

    fn from_str(text: &str) -> Result<Self, OpTimeError> {
        text.parse().map(Self)
    }
}

/// Text that is no [`OpTime`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a moment of the form SECONDS or SECONDS:ORDINAL")]
pub struct OpTimeError {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_and_written() {
        // mongorestore/oplog_test.go.
        let time = OpTime {
            seconds: 123,
            ordinal: 456,
        };
        assert_eq!("123:456".parse(), Ok(time));
        assert_eq!(time.to_string(), "123:456");
        assert_eq!(
            OpTime::from(Timestamp {
                time: 123,
                increment: 456
            }),
            time
        );
        assert_eq!(
            "123".parse(),
            Ok(OpTime {
                seconds: 123,
                ordinal: 0
            })
        );
        assert_eq!(
            "123:".parse(),
            Ok(OpTime {
                seconds: 123,
                ordinal: 0
            })
        );
    }

    #[test]
    fn what_is_no_moment_is_refused_by_name() {
        for text in [
            "",
            ":",
            ":1",
            "1:2:3",
            "+1",
            "-1",
            "4294967296",
            "1:4294967296",
            "a",
        ] {
            let error = text.parse::<OpTime>().unwrap_err();
            assert!(error.to_string().contains(text), "{text}");
        }
    }

    #[test]
    fn moments_are_ordered_by_second_then_ordinal() {
        let mut times = ["2:1", "1:9", "1:10"].map(|text| text.parse::<OpTime>().unwrap());
        times.sort();
        assert_eq!(times.map(|time| time.to_string()), ["1:9", "1:10", "2:1"]);
    }

    #[test]
    fn the_moment_of_the_limit_is_not_replayed() {
        let limit: OpTimeLimit = "5:3".parse().unwrap();
        let allowed =
            ["4:9", "5:2", "5:3", "5:4", "6"].map(|text| limit.allows(text.parse().unwrap()));
        assert_eq!(allowed, [true, true, false, false, false]);
        assert_eq!(
            "5:3".parse::<OpTime>().map(OpTimeLimit::from),
            "5:3".parse()
        );
        assert!("5:x".parse::<OpTimeLimit>().is_err());
    }

    #[test]
    fn no_limit_and_a_limit_of_zero_replay_everything() {
        for limit in [OpTimeLimit::default(), "0".parse().unwrap()] {
            assert!(limit.allows(OpTime::default()));
            assert!(limit.allows("4294967295:4294967295".parse().unwrap()));
        }
    }
}
