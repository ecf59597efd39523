//! Topics of Amazon SNS: the one thing that is told to anybody, and the one that is no store.
//!
//! It is here since this is the crate that names the AWS SDK.

use std::{fmt, str::FromStr, time::Duration};

use aws_config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_sns::{Client, error::SdkError, operation::publish::PublishError};

use crate::s3::http_client;

/// How often a message is sent before that has failed.
const ATTEMPTS: u32 = 5;
/// How long SNS may take to answer.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest subject that SNS takes, in letters.
const MOST_SUBJECT: usize = 100;

/// A topic, by its ARN: `arn:aws:sns:eu-west-1:123456789012:backups`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnsTopic {
    arn: String,
    region: String,
}

/// Why something is no topic, or a topic did not take a message.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message is its documentation")]
#[non_exhaustive]
pub enum SnsError {
    #[error("{arn:?} is no topic such as arn:aws:sns:eu-west-1:123456789012:backups: {reason}")]
    InvalidTopic { arn: String, reason: &'static str },
    #[error("{topic} did not take a message: {reason}")]
    Refused { topic: SnsTopic, reason: String },
    #[error("a message could not be sent to {topic}")]
    Io {
        topic: SnsTopic,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl SnsTopic {
    /// Sends a message of at most 256 KiB to whoever subscribed to the topic. Of the subject, which mails have, letters that SNS does not take are left out.
    ///
    /// Credentials are found as the AWS tools find them, and `AWS_ENDPOINT_URL_SNS` counts. It is tried five times, ten seconds each at most.
    ///
    /// # Errors
    ///
    /// [`SnsError::Refused`] if SNS said no, [`SnsError::Io`] if there are no credentials or nobody answered.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the sending; the message may have been sent.
    pub async fn publish(&self, subject: &str, message: &str) -> Result<(), SnsError> {
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .build();
        let config = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http_client())
            .region(Region::new(self.region.clone()))
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(timeouts);
        let client = Client::new(&config.load().await);
        let sent = client
            .publish()
            .topic_arn(&self.arn)
            .subject(subject_of(subject))
            .message(message)
            .send();
        match sent.await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, error: SdkError<PublishError>) -> SnsError {
        let topic = self.clone();
        match &error {
            SdkError::ServiceError(answered) => {
                let metadata = answered.err().meta();
                let code = metadata.code().unwrap_or("no code");
                let reason = match metadata.message() {
                    Some(message) => format!("{code}: {message}"),
                    None => format!("{code}, HTTP {}", answered.raw().status().as_u16()),
                };
                SnsError::Refused { topic, reason }
            }
            _ => SnsError::Io {
                topic,
                source: error.into(),
            },
        }
    }
}

/// One line of printable ASCII, which is what SNS takes.
fn subject_of(text: &str) -> String {
    let printable = |letter: &char| matches!(letter, ' '..='~');
    let subject: String = text.chars().filter(printable).take(MOST_SUBJECT).collect();
    match subject.trim() {
        "" => "rdump".to_owned(),
        subject => subject.to_owned(),
    }
}

impl FromStr for SnsTopic {
    type Err = SnsError;

    fn from_str(arn: &str) -> Result<Self, SnsError> {
        let invalid = |reason| SnsError::InvalidTopic {
            arn: arn.to_owned(),
            reason,
        };
        let parts: Vec<&str> = arn.split(':').collect();
        let ["arn", partition, service, region, account, name] = parts[..] else {
            return Err(invalid("it has six parts"));
        };
        if !partition.starts_with("aws") || service != "sns" {
            return Err(invalid("it begins with arn:aws:sns:"));
        }
        let is_plain = |text: &str| {
            let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
            !text.is_empty() && text.chars().all(plain)
        };
        if name.ends_with(".fifo") {
            return Err(invalid(
                "one that keeps an order (.fifo) mails nobody: name another",
            ));
        }
        match [region, account, name].into_iter().all(is_plain) {
            true => Ok(Self {
                arn: arn.to_owned(),
                region: region.to_owned(),
            }),
            false => Err(invalid("it has a region, an account and a name")),
        }
    }
}

impl fmt::Display for SnsTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_read_and_what_is_none_is_refused() {
        let topic: SnsTopic = "arn:aws:sns:eu-west-1:123456789012:backups"
            .parse()
            .unwrap();
        assert_eq!(topic.region, "eu-west-1");
        assert!(
            "arn:aws-cn:sns:cn-north-1:1:a_b-C"
                .parse::<SnsTopic>()
                .is_ok()
        );
        for (wrong, reason) in [
            ("", "six parts"),
            ("backups", "six parts"),
            ("arn:aws:sns:eu-west-1:1:a:b", "six parts"),
            ("arn:aws:sqs:eu-west-1:1:a", "arn:aws:sns:"),
            ("arn:aws:sns::1:a", "a region"),
            ("arn:aws:sns:eu-west-1:1:", "a name"),
            ("arn:aws:sns:eu-west-1:1:a.fifo", "(.fifo)"),
        ] {
            let refused = wrong.parse::<SnsTopic>().unwrap_err().to_string();
            assert!(refused.contains(reason), "{refused}");
        }
    }

    #[test]
    fn a_subject_is_one_line_that_sns_takes() {
        assert_eq!(subject_of("a\nb\u{e9}c "), "abc");
        assert_eq!(subject_of("\n"), "rdump");
        assert_eq!(subject_of(&"x".repeat(300)).len(), 100);
    }
}
