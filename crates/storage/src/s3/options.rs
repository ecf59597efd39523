use std::{path::PathBuf, time::Duration};

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};

use super::S3Credentials;

/// How a bucket is reached, and how objects are kept there.
///
/// Each field but the credentials is an option of a location after its question mark, and a flag of the binaries; both are
/// called as [`S3Options::NAMES`] has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct S3Options {
    /// Region of the bucket. Default: as the AWS tools find it, else `us-east-1`.
    pub region: Option<String>,
    /// URL of another store than Amazon's. Default: that of the region.
    pub endpoint: Option<String>,
    /// Whether the bucket is a part of the path, and not of the host. Default: with an endpoint.
    pub path_style: Option<bool>,
    /// Profile of the AWS configuration files. Default: as the AWS tools find it.
    pub profile: Option<String>,
    /// Role to assume, such as one of another account. Default: none.
    pub role_arn: Option<String>,
    /// External id that the role wants. Default: none.
    pub external_id: Option<String>,
    /// Whether requests are not signed, as for a public bucket. Default: false.
    pub anonymous: bool,
    /// Who asks, where a service knows; no option of a location. Default: looked for as the AWS tools do, in the
    /// environment, a profile, the container or the machine.
    pub credentials: Option<S3Credentials>,
    /// Whether who asks pays for it. Default: false.
    pub request_payer: bool,
    /// The account that the bucket has to be of. Default: any.
    pub expected_bucket_owner: Option<String>,
    /// What the store checks each part and object with. Default: [`S3Checksum::Auto`].
    pub checksum: S3Checksum,
    /// Storage class of what is uploaded. What is put at once, such as a manifest, is small and stays where it can be read.
    /// Default: that of the bucket.
    pub storage_class: Option<String>,
    /// How the store encrypts: `AES256`, `aws:kms` or `aws:kms:dsse`. Default: as the bucket does.
    pub sse: Option<String>,
    /// The key of `aws:kms`. Default: that of the account.
    pub sse_kms_key_id: Option<String>,
    /// A file with a key that the store encrypts with and does not keep: 32 bytes, or their base64. Default: none.
    pub sse_c_key_file: Option<PathBuf>,
    /// Tags of each object; at most 10. Default: none.
    pub tags: Vec<(String, String)>,
    /// How objects are locked: `GOVERNANCE` or `COMPLIANCE`; goes with a retention. Default: as the bucket says.
    pub object_lock_mode: Option<String>,
    /// Until when objects are locked, but those that replace others, as leases do.
    pub object_lock_retain_until: Option<S3Retention>,
    /// Whether objects are locked until someone lifts that. Default: false.
    pub object_lock_legal_hold: bool,
    /// The size of every part of an upload but the last, in bytes, from 5 MiB to 5 GiB, for stores that want all of them alike;
    /// an object has 10,000 parts at most. Default: 8 MiB, and from the 1,001st part on so much more that an object may
    /// have 5 TiB.
    pub part_bytes: Option<u64>,
    /// Whether uploads below the location are removed that were begun more than a day ago and never ended. Default: false.
    pub clean_uploads: bool,
}

/// What an object store checks each part and object with, beside our own SHA-256.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum S3Checksum {
    /// CRC32C, and nothing with a store that refuses it.
    #[default]
    Auto,
    /// SHA-256.
    Sha256,
    /// CRC32C.
    Crc32C,
    /// Nothing but where the protocol demands it.
    WhenRequired,
    /// Nothing; objects are deleted one by one, since the protocol demands it for several.
    None,
}

/// Until when an object is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum S3Retention {
    /// A moment, in seconds since 1970.
    Until(i64),
    /// So long from when the object is begun.
    For(Duration),
}

const MIB: u64 = 1 << 20;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The most tags that an object may have.
const MOST_TAGS: usize = 10;

impl S3Options {
    /// What options are called in a location. The binaries' flags have `--s3-` before that, but for `--role-arn`,
    /// `--external-id` and `--clean-uploads`.
    pub const NAMES: [&'static str; 20] = [
        "region",
        "endpoint",
        "path-style",
        "profile",
        "role-arn",
        "external-id",
        "anonymous",
        "request-payer",
        "expected-bucket-owner",
        "checksum",
        "storage-class",
        "sse",
        "sse-kms-key-id",
        "sse-c-key-file",
        "tag",
        "object-lock-mode",
        "object-lock-retain-until",
        "object-lock-legal-hold",
        "part-size",
        "clean-uploads",
    ];

    /// Sets the option of this name.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        if value.is_empty() {
            return Err("an option has no value");
        }
        let text = || Some(value.to_owned());
        match name {
            "region" => self.region = text(),
            "endpoint" => {
                check_endpoint(value)?;
                self.endpoint = text();
            }
            "path-style" => self.path_style = Some(boolean(value)?),
            "profile" => self.profile = text(),
            "role-arn" => self.role_arn = text(),
            "external-id" => self.external_id = text(),
            "anonymous" => self.anonymous = boolean(value)?,
            "request-payer" => {
                self.request_payer = value == "requester" || boolean(value)?;
            }
            "expected-bucket-owner" => {
                if value.len() != 12 || !value.bytes().all(|digit| digit.is_ascii_digit()) {
                    return Err("expected-bucket-owner is an account, of 12 digits");
                }
                self.expected_bucket_owner = text();
            }
            "checksum" => self.checksum = checksum(value)?,
            "storage-class" => self.storage_class = Some(value.to_uppercase()),
            "sse" => self.sse = Some(encryption(value)?.to_owned()),
            "sse-kms-key-id" => self.sse_kms_key_id = text(),
            "sse-c-key-file" => self.sse_c_key_file = Some(value.into()),
            "tag" => self.tags.push(tag(value)?),
            "object-lock-mode" => self.object_lock_mode = Some(lock_mode(value)?.to_owned()),
            "object-lock-retain-until" => self.object_lock_retain_until = Some(retention(value)?),
            "object-lock-legal-hold" => self.object_lock_legal_hold = on_or_off(value)?,
            "part-size" => self.part_bytes = Some(part_bytes(value)?),
            "clean-uploads" => self.clean_uploads = boolean(value)?,
            _ => {
                return Err(
                    "its options are region, endpoint, path-style, profile, role-arn, external-id, anonymous, request-payer, \
                     expected-bucket-owner, checksum, storage-class, sse, sse-kms-key-id, sse-c-key-file, tag, \
                     object-lock-mode, object-lock-retain-until, object-lock-legal-hold, part-size and clean-uploads",
                );
            }
        }
        Ok(())
    }

    /// What goes together.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.object_lock_mode.is_some() != self.object_lock_retain_until.is_some() {
            return Err("object-lock-mode and object-lock-retain-until go together");
        }
        let is_locked = self.object_lock_mode.is_some() || self.object_lock_legal_hold;
        if is_locked && matches!(self.checksum, S3Checksum::WhenRequired | S3Checksum::None) {
            return Err(
                "a store locks no object without a checksum: checksum is auto, sha256 or crc32c",
            );
        }
        let has_kms = self.sse.as_deref().is_some_and(|sse| sse != AES256);
        if self.sse_kms_key_id.is_some() && !has_kms {
            return Err("sse-kms-key-id goes with sse aws:kms or aws:kms:dsse");
        }
        if self.sse_c_key_file.is_some() && self.sse.is_some() {
            return Err("sse and sse-c-key-file are two ways to encrypt: give one");
        }
        if self.tags.len() > MOST_TAGS {
            return Err("an object has 10 tags at most");
        }
        if self.anonymous && (self.profile.is_some() || self.role_arn.is_some()) {
            return Err("who is anonymous has neither profile nor role");
        }
        if self.external_id.is_some() && self.role_arn.is_none() {
            return Err("external-id goes with role-arn");
        }
        Ok(())
    }
}

const AES256: &str = "AES256";

fn boolean(text: &str) -> Result<bool, &'static str> {
    text.parse().map_err(
        |_not_boolean| "path-style, anonymous, request-payer and clean-uploads are true or false",
    )
}

fn on_or_off(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" => Ok(true),
        "off" | "false" => Ok(false),
        _ => Err("object-lock-legal-hold is on or off"),
    }
}

fn check_endpoint(url: &str) -> Result<(), &'static str> {
    let host = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"))
        .ok_or("the endpoint is a URL, http://… or https://…")?;
    if host.contains('@') {
        return Err("credentials have no place in it: use the environment, a profile or a role");
    }
    let authority = host.split('/').next().unwrap_or_default();
    // An address of version 6 has colons between its brackets.
    let (name, port) = match authority.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (authority, None),
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    match (name.is_empty(), port.is_none_or(is_port)) {
        (true, _) => Err("the endpoint names no host"),
        (_, false) => Err("the port of the endpoint is no number"),
        _ => Ok(()),
    }
}

fn checksum(text: &str) -> Result<S3Checksum, &'static str> {
    Ok(match text.to_ascii_lowercase().as_str() {
        "auto" => S3Checksum::Auto,
        "sha256" => S3Checksum::Sha256,
        "crc32c" => S3Checksum::Crc32C,
        "when-required" => S3Checksum::WhenRequired,
        "none" => S3Checksum::None,
        _ => return Err("checksum is auto, sha256, crc32c, when-required or none"),
    })
}

fn encryption(text: &str) -> Result<&'static str, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "aes256" => Ok(AES256),
        "aws:kms" => Ok("aws:kms"),
        "aws:kms:dsse" => Ok("aws:kms:dsse"),
        _ => Err("sse is AES256, aws:kms or aws:kms:dsse"),
    }
}

fn lock_mode(text: &str) -> Result<&'static str, &'static str> {
    match text.to_ascii_uppercase().as_str() {
        "GOVERNANCE" => Ok("GOVERNANCE"),
        "COMPLIANCE" => Ok("COMPLIANCE"),
        _ => Err("object-lock-mode is GOVERNANCE or COMPLIANCE"),
    }
}

fn tag(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("a tag is key=value")?;
    match key.is_empty() {
        true => Err("a tag is key=value, and the key is not empty"),
        false => Ok((key.to_owned(), value.to_owned())),
    }
}

fn retention(text: &str) -> Result<S3Retention, &'static str> {
    const NEITHER: &str = "object-lock-retain-until is a time such as 2030-01-31T00:00:00Z, or days from now such as 30d";
    if let Some(days) = text.strip_suffix('d') {
        let days: u32 = days.parse().map_err(|_no_number| NEITHER)?;
        return match days {
            0 => Err(NEITHER),
            days => Ok(S3Retention::For(DAY * days)),
        };
    }
    let moment = DateTime::from_str(text, DateTimeFormat::DateTimeWithOffset);
    let moment = moment.map_err(|_no_time| NEITHER)?;
    Ok(S3Retention::Until(moment.secs()))
}

fn part_bytes(text: &str) -> Result<u64, &'static str> {
    const WRONG: &str = "part-size is from 5MiB to 5GiB, such as 64MiB";
    let units = [("MiB", MIB), ("GiB", 1024 * MIB), ("", 1)];
    let found = units
        .iter()
        .find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, bytes)));
    let (number, unit) = found.ok_or(WRONG)?;
    let number: u64 = number.parse().map_err(|_no_number| WRONG)?;
    let bytes = number.checked_mul(*unit).ok_or(WRONG)?;
    match (5 * MIB..=5 * 1024 * MIB).contains(&bytes) {
        true => Ok(bytes),
        false => Err(WRONG),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(options: &[(&str, &str)]) -> Result<S3Options, &'static str> {
        let mut all = S3Options::default();
        for (name, value) in options {
            all.set(name, value)?;
        }
        all.check()?;
        Ok(all)
    }

    #[test]
    fn every_name_is_an_option_and_a_misspelt_one_lists_all() {
        let misspelt = set(&[("regoin", "x")]).unwrap_err();
        for name in S3Options::NAMES {
            assert!(misspelt.contains(name), "{name}");
            let reason = set(&[(name, "")]).unwrap_err();
            assert_eq!(reason, "an option has no value", "{name}");
            assert_ne!(set(&[(name, "?")]).err(), Some(misspelt), "{name}");
        }
    }

    #[test]
    fn values_are_understood_in_any_case_and_in_units() {
        let options = set(&[
            ("checksum", "SHA256"),
            ("storage-class", "standard_ia"),
            ("sse", "aes256"),
            ("object-lock-mode", "compliance"),
            ("object-lock-retain-until", "2030-01-31T01:00:00+01:00"),
            ("object-lock-legal-hold", "ON"),
            ("part-size", "64MiB"),
            ("tag", "team=a=b"),
            ("request-payer", "requester"),
        ]);
        let options = options.unwrap();
        assert_eq!(options.checksum, S3Checksum::Sha256);
        assert_eq!(options.storage_class.as_deref(), Some("STANDARD_IA"));
        assert_eq!(options.sse.as_deref(), Some("AES256"));
        let retention = options.object_lock_retain_until;
        assert_eq!(retention, Some(S3Retention::Until(1_896_048_000)));
        assert_eq!(options.part_bytes, Some(64 << 20));
        assert_eq!(options.tags, [("team".to_owned(), "a=b".to_owned())]);
        assert!(options.object_lock_legal_hold && options.request_payer);
    }

    #[test]
    fn what_does_not_go_together_or_makes_no_sense_is_told() {
        for (options, reason) in [
            (&[("object-lock-mode", "GOVERNANCE")][..], "go together"),
            (&[("object-lock-retain-until", "30d")], "go together"),
            (&[("object-lock-retain-until", "0d")], "days from now"),
            (&[("object-lock-retain-until", "tomorrow")], "days from now"),
            (
                &[("object-lock-legal-hold", "on"), ("checksum", "none")],
                "without a checksum",
            ),
            (&[("sse-kms-key-id", "k")], "goes with sse aws:kms"),
            (
                &[("sse-kms-key-id", "k"), ("sse", "AES256")],
                "goes with sse aws:kms",
            ),
            (&[("sse-c-key-file", "k"), ("sse", "AES256")], "two ways"),
            (&[("tag", "x")], "key=value"),
            (&[("part-size", "4MiB")], "5MiB"),
            (&[("part-size", "99999999999GiB")], "5MiB"),
            (&[("expected-bucket-owner", "me")], "12 digits"),
            (&[("external-id", "x")], "goes with role-arn"),
            (&[("anonymous", "true"), ("profile", "x")], "neither"),
        ] {
            let refused = set(options).unwrap_err();
            assert!(refused.contains(reason), "{options:?}: {refused}");
        }
        let tags = vec![("tag", "k=v"); 11];
        assert!(set(&tags).unwrap_err().contains("10 tags"));
    }
}
