//! The fixed bytes around the value of a manifest, and the digest that protects it.

use super::error::ManifestError;
use crate::digest::Digest;

const BEFORE_DIGEST: &str = "{\"sha256\":\"";
const DIGEST_BYTES: usize = 64;
const BEFORE_VALUE: &str = "\",\"manifest\":";
const AFTER_VALUE: &str = "}\n";

/// Where the digest ends, in bytes.
const AFTER_DIGEST: usize = BEFORE_DIGEST.len() + DIGEST_BYTES;
/// Where the value starts, in bytes.
pub(super) const VALUE_OFFSET: usize = AFTER_DIGEST + BEFORE_VALUE.len();

/// Puts the frame around `value`.
pub(super) fn wrap(value: &str) -> Vec<u8> {
    let digest = Digest::of(value.as_bytes());
    format!("{BEFORE_DIGEST}{digest}{BEFORE_VALUE}{value}{AFTER_VALUE}").into_bytes()
}

/// The value inside the frame, if every byte of the frame is right and the digest is that of the
/// value.
pub(super) fn unwrap(bytes: &[u8]) -> Result<&[u8], ManifestError> {
    let expect = |offset, expected| ManifestError::Frame { offset, expected };
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

    let rest = rest
        .get(DIGEST_BYTES..)
        .and_then(|rest| rest.strip_prefix(BEFORE_VALUE.as_bytes()));
    let rest = rest.ok_or(expect(AFTER_DIGEST, BEFORE_VALUE))?;
    let value = rest.strip_suffix(AFTER_VALUE.as_bytes());
    let value = value.ok_or(expect(
        bytes.len().saturating_sub(AFTER_VALUE.len()),
        AFTER_VALUE,
    ))?;

    if Digest::of(value) == recorded {
        Ok(value)
    } else {
        Err(ManifestError::Digest { recorded })
    }
}
