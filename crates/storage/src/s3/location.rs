use std::{fmt, str::FromStr};

use super::S3Options;
use crate::{Result, StorageError};

/// A bucket of an object store that speaks the S3 protocol, and what the paths of objects in it start with.
///
/// As text it is `s3://bucket/prefix`, with [options](S3Options) after a question mark, their values percent-encoded where need
/// be: `s3://bucket/prefix?region=eu-north-1&storage-class=STANDARD_IA`.
///
/// Credentials are never a part of it. `Display` gives `s3://bucket/prefix` alone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct S3Location {
    /// The bucket.
    pub bucket: String,
    /// What paths start with, without a slash at either end; empty for the whole bucket.
    pub prefix: String,
    /// How it is reached, and how objects are kept.
    pub options: S3Options,
}

/// What a URL of this kind starts with.
pub(super) const SCHEME: &str = "s3://";

impl S3Location {
    /// A prefix of a bucket.
    ///
    /// # Errors
    ///
    /// [`StorageError::InvalidLocation`] if the bucket has no possible name, or the prefix an empty part.
    pub fn new(bucket: &str, prefix: &str) -> Result<Self> {
        let shown = || format!("{SCHEME}{bucket}/{prefix}");
        if bucket.contains('@') {
            return invalid(
                "s3://…",
                "credentials have no place in it: use the environment, a profile or a role",
            );
        }
        let may_be_in_bucket =
            |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
        if !(3..=255).contains(&bucket.len()) || !bucket.chars().all(may_be_in_bucket) {
            return invalid(
                &shown(),
                "the name of a bucket has 3 to 63 letters, digits, dots and hyphens",
            );
        }
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !prefix.is_empty() && !prefix.split('/').all(is_plain) {
            return invalid(&shown(), "the prefix has an empty part, `.` or `..`");
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            options: S3Options::default(),
        })
    }

    /// The key of an object.
    pub(crate) fn key(&self, path: &str) -> String {
        match self.prefix.as_str() {
            "" => path.to_owned(),
            prefix => format!("{prefix}/{path}"),
        }
    }

    /// The path of the object that has this key, if it is below the prefix.
    pub(crate) fn path<'a>(&self, key: &'a str) -> Option<&'a str> {
        match self.prefix.as_str() {
            "" => Some(key),
            prefix => key.strip_prefix(prefix)?.strip_prefix('/'),
        }
    }

    /// The location above and the name there, if any is.
    pub(crate) fn split(&self) -> Option<(Self, String)> {
        let (above, name) = match self.prefix.rsplit_once('/') {
            Some((above, name)) => (above, name),
            None => ("", self.prefix.as_str()),
        };
        let parent = Self {
            prefix: above.to_owned(),
            ..self.clone()
        };
        (!name.is_empty()).then(|| (parent, name.to_owned()))
    }

    /// Which store it is in, as far as the location says: all regions of Amazon's are one.
    pub(super) fn endpoint(&self) -> Option<String> {
        let endpoint = self.options.endpoint.as_deref()?;
        let endpoint = endpoint.trim_end_matches('/').to_ascii_lowercase();
        (!endpoint.ends_with(".amazonaws.com")).then_some(endpoint)
    }

    /// Whether the objects are the same.
    pub(crate) fn is_same_place(&self, other: &Self) -> bool {
        let place = |it: &Self| (it.endpoint(), it.bucket.clone(), it.prefix.clone());
        place(self) == place(other)
    }

    /// The last part of the prefix.
    pub(crate) fn name(&self) -> Option<&str> {
        self.prefix
            .rsplit('/')
            .next()
            .filter(|name| !name.is_empty())
    }

    /// Sets an option, by its name in a location.
    ///
    /// # Errors
    ///
    /// [`StorageError::InvalidLocation`] if there is no such option, or its value makes no sense.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let set = self.options.set(name, value);
        set.or_else(|reason| invalid(&self.to_string(), reason))
    }

    /// Whether the options go together.
    pub(crate) fn check(&self) -> Result<()> {
        let checked = self.options.check();
        checked.or_else(|reason| invalid(&self.to_string(), reason))
    }
}

fn invalid<T>(location: &str, reason: &'static str) -> Result<T> {
    let location = location.to_owned();
    Err(StorageError::InvalidLocation { location, reason })
}

impl FromStr for S3Location {
    type Err = StorageError;

    fn from_str(text: &str) -> Result<Self> {
        let Some(rest) = text.strip_prefix(SCHEME) else {
            return invalid("…", "it does not start with s3://");
        };
        let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let mut location = Self::new(bucket, prefix)?;
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let value = percent_decoded(value);
            let value = value.or_else(|reason| invalid(&location.to_string(), reason))?;
            location.set(name, &value)?;
        }
        Ok(location)
    }
}

fn percent_decoded(text: &str) -> Result<String, &'static str> {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    decoded
        .map(Into::into)
        .map_err(|_not_utf8| "the value of an option is not UTF-8")
}

impl fmt::Display for S3Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.bucket)?;
        match self.prefix.as_str() {
            "" => Ok(()),
            prefix => write!(f, "/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> S3Location {
        text.parse().unwrap()
    }

    #[test]
    fn a_bucket_and_a_prefix_with_and_without_a_slash() {
        for text in ["s3://bucket", "s3://bucket/"] {
            assert_eq!(parsed(text), S3Location::new("bucket", "").unwrap());
        }
        for text in ["s3://bucket/a b/%", "s3://bucket/a b/%/"] {
            let location = parsed(text);
            assert_eq!(location.prefix, "a b/%");
            assert_eq!(location.to_string(), "s3://bucket/a b/%");
            assert_eq!(location.key("db/c.bson"), "a b/%/db/c.bson");
            assert_eq!(location.path("a b/%/db/c.bson"), Some("db/c.bson"));
            assert_eq!(location.path("a b/%x"), None);
        }
    }

    #[test]
    fn options_come_after_a_question_mark() {
        let location = parsed(
            "s3://bucket/p?region=eu-north-1&endpoint=http%3A%2F%2F127.0.0.1:9000&path-style=true&profile=ops\
             &role-arn=arn:aws:iam::1:role/backup&external-id=a%26b&anonymous=false",
        );
        assert_eq!(location.options.region.as_deref(), Some("eu-north-1"));
        assert_eq!(
            location.options.endpoint.as_deref(),
            Some("http://127.0.0.1:9000")
        );
        assert_eq!(location.options.path_style, Some(true));
        assert_eq!(location.options.profile.as_deref(), Some("ops"));
        assert_eq!(
            location.options.role_arn.as_deref(),
            Some("arn:aws:iam::1:role/backup")
        );
        assert_eq!(location.options.external_id.as_deref(), Some("a&b"));
        assert!(!location.options.anonymous);
    }

    #[test]
    fn what_lies_above_and_what_it_is_called() {
        let location = parsed("s3://bucket/a/b?region=x");
        let (above, name) = location.split().unwrap();
        assert_eq!((above.prefix.as_str(), name.as_str()), ("a", "b"));
        assert_eq!(above.options.region.as_deref(), Some("x"));
        let (bucket, name) = above.split().unwrap();
        assert_eq!((bucket.prefix.as_str(), name.as_str()), ("", "a"));
        assert!(bucket.split().is_none() && bucket.name().is_none());
        assert_eq!(location.name(), Some("b"));
    }

    #[test]
    fn what_is_wrong_is_told_and_no_secret_is() {
        for (text, reason) in [
            ("s3://", "name of a bucket"),
            ("s3:///key", "name of a bucket"),
            ("s3://a", "name of a bucket"),
            ("s3://bu cket", "name of a bucket"),
            ("s3://bucket//a", "empty part"),
            ("s3://bucket/a//b", "empty part"),
            ("s3://bucket/../a", "`..`"),
            ("s3://bucket?zone=1", "its options are"),
            ("s3://bucket?region=", "no value"),
            ("s3://bucket?region=%ff", "UTF-8"),
            ("s3://bucket?path-style=yes", "true or false"),
            ("s3://bucket?endpoint=localhost", "is a URL"),
            ("s3://bucket?endpoint=http://", "no host"),
            ("s3://bucket?endpoint=http://h:80-zstd", "port"),
            ("s3://key:canary@bucket/p", "credentials have no place"),
            (
                "s3://bucket?endpoint=http://key:canary@host",
                "credentials have no place",
            ),
        ] {
            let error = text.parse::<S3Location>().unwrap_err();
            let message = format!("{error} {error:?}");
            assert!(message.contains(reason), "{text}: {message}");
            assert!(!message.contains("canary"), "{text}: {message}");
        }
    }
}
