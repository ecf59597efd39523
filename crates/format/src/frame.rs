//! The fixed bytes around a JSON value that protects itself, in one line:
//!
//! ```text
//! {"sha256":"<64 lower-case hexadecimal digits>","<name>":<value>}
//! ```

use crate::digest::Digest;

const BEFORE_DIGEST: &str = "{\"sha256\":\"";
const DIGEST_BYTES: usize = 64;
const AFTER_VALUE: &str = "}\n";

/// Where the digest ends, in bytes.
const AFTER_DIGEST: usize = BEFORE_DIGEST.len() + DIGEST_BYTES;

/// What a value is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Manifest,
    Repository,
    Begun,
    Verification,
    Keys,
    Lease,
    Slice,
    SliceEnd,
    Gap,
    Pruned,
    Audit,
}

/// Why bytes are not a value in its frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Something else is expected at this byte.
    Expected {
        offset: usize,
        expected: &'static str,
    },
    /// The digest of the value is not what was recorded.
    Digest { recorded: Digest },
}

impl Frame {
    const fn before_value(self) -> &'static str {
        match self {
            Self::Manifest => "\",\"manifest\":",
            Self::Repository => "\",\"repository\":",
            Self::Begun => "\",\"begun\":",
            Self::Verification => "\",\"verification\":",
            Self::Keys => "\",\"keys\":",
            Self::Lease => "\",\"lease\":",
            Self::Slice => "\",\"slice\":",
            Self::SliceEnd => "\",\"end\":",
            Self::Gap => "\",\"gap\":",
            Self::Pruned => "\",\"pruned\":",
            Self::Audit => "\",\"audit\":",
        }
    }

    /// Where the value starts, in bytes.
    pub(crate) const fn value_offset(self) -> usize {
        AFTER_DIGEST.saturating_add(self.before_value().len())
    }

    /// Puts the frame around `value`.
    pub(crate) fn wrap(self, value: &str) -> Vec<u8> {
        let digest = Digest::of(value.as_bytes());
        let before_value = self.before_value();
        format!("{BEFORE_DIGEST}{digest}{before_value}{value}{AFTER_VALUE}").into_bytes()
    }

    /// The value inside the frame, if every byte of the frame is right and the digest is that of the
    /// value.
    pub(crate) fn unwrap(self, bytes: &[u8]) -> Result<&[u8], Fault> {
        let expect = |offset, expected| Fault::Expected { offset, expected };
        let rest = bytes
            .strip_prefix(BEFORE_DIGEST.as_bytes())
            .ok_or(expect(0, BEFORE_DIGEST))?;

        let digits = rest
            .get(..DIGEST_BYTES)
            .and_then(|digits| str::from_utf8(digits).ok());
        let digest = digits.and_then(|digits| digits.parse().ok());
        let recorded: Digest = digest.ok_or(expect(
            BEFORE_DIGEST.len(),
            "64 lower-case hexadecimal digits",
        ))?;

        let before_value = self.before_value();
        let rest = rest
            .get(DIGEST_BYTES..)
            .and_then(|rest| rest.strip_prefix(before_value.as_bytes()));
        let rest = rest.ok_or(expect(AFTER_DIGEST, before_value))?;
        let value = rest.strip_suffix(AFTER_VALUE.as_bytes());
        let value = value.ok_or(expect(
            bytes.len().saturating_sub(AFTER_VALUE.len()),
            AFTER_VALUE,
        ))?;

        if Digest::of(value) == recorded {
            Ok(value)
        } else {
            Err(Fault::Digest { recorded })
        }
    }
}
