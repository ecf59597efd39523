//! What requests say beyond what they ask for.

use std::path::Path;

use aws_sdk_s3::{
    client::customize::CustomizableOperation,
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        http::HttpRequest,
        interceptors::{
            BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextMut,
        },
    },
    error::BoxError,
    primitives::{DateTime, DateTimeFormat},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use md5::{Digest, Md5};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{S3Options, S3Retention, since_1970};
use crate::{Result, StorageError};

/// The bytes of a key that the store does not keep.
const KEY_BYTES: usize = 32;
/// What of a tag is not escaped.
const IN_TAG: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A header by its name, in lower case.
pub(super) type Header = (&'static str, String);

/// The headers of each kind of request. `Debug` shows none: a key may be among them.
#[derive(Clone, Default)]
pub(super) struct Headers {
    /// Of all requests.
    always: Vec<Header>,
    /// Of those that read or write what an object holds.
    content: Vec<Header>,
    /// Of those that read it for a copy.
    copied: Vec<Header>,
    /// Of those that begin an object.
    object: Vec<Header>,
    /// Of those that begin one that is uploaded, and not put at once.
    uploaded: Vec<Header>,
    /// Of those that begin one that is not to be replaced.
    kept: Vec<Header>,
    /// For how long these are locked: counted from each one's own beginning, since who writes may do that for years.
    retention: Option<S3Retention>,
}

/// What is done with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum With {
    /// Its bytes are read, or are written to what was begun.
    Content,
    /// It is put at once.
    Put,
    /// It is put in the place of what was there, and will be replaced itself.
    Replaced,
    /// An upload of it is begun.
    Uploaded,
    /// It is made of another one by one request.
    Copy,
    /// Bytes of another one become a part of it.
    CopiedPart,
}

impl Headers {
    pub(super) fn new(options: &S3Options) -> Result<Self> {
        let mut headers = Self::default();
        if options.request_payer {
            headers
                .always
                .push(("x-amz-request-payer", "requester".to_owned()));
        }
        let set = |of: &mut Vec<Header>, name, value: &Option<String>| {
            of.extend(value.clone().map(|value| (name, value)));
        };
        let owner = &options.expected_bucket_owner;
        set(&mut headers.always, "x-amz-expected-bucket-owner", owner);
        let copied = &mut headers.copied;
        set(copied, "x-amz-source-expected-bucket-owner", owner);
        let object = &mut headers.object;
        set(object, "x-amz-server-side-encryption", &options.sse);
        let key = &options.sse_kms_key_id;
        set(object, "x-amz-server-side-encryption-aws-kms-key-id", key);
        let tags = (!options.tags.is_empty()).then(|| tagging(&options.tags));
        set(object, "x-amz-tagging", &tags);
        let (kept, mode) = (&mut headers.kept, &options.object_lock_mode);
        set(kept, "x-amz-object-lock-mode", mode);
        let hold = options.object_lock_legal_hold.then(|| "ON".to_owned());
        set(kept, "x-amz-object-lock-legal-hold", &hold);
        headers.retention = options.object_lock_retain_until;
        set(
            &mut headers.uploaded,
            "x-amz-storage-class",
            &options.storage_class,
        );
        if let Some(path) = &options.sse_c_key_file {
            let key = read_key(path)?;
            let values = || {
                let md5 = BASE64_STANDARD.encode(Md5::digest(&key));
                ["AES256".to_owned(), BASE64_STANDARD.encode(&key), md5]
            };
            let names = [
                "x-amz-server-side-encryption-customer-algorithm",
                "x-amz-server-side-encryption-customer-key",
                "x-amz-server-side-encryption-customer-key-md5",
            ];
            headers.content.extend(names.into_iter().zip(values()));
            let names = [
                "x-amz-copy-source-server-side-encryption-customer-algorithm",
                "x-amz-copy-source-server-side-encryption-customer-key",
                "x-amz-copy-source-server-side-encryption-customer-key-md5",
            ];
            headers.copied.extend(names.into_iter().zip(values()));
        }
        Ok(headers)
    }

    /// Those of copies of what is kept at a location with these options.
    pub(super) fn copying(mut self, from: &S3Options) -> Result<Self> {
        self.copied = Self::new(from)?.copied;
        Ok(self)
    }

    /// Those of an object that stays as it is, but for what `kept` says: its class among it.
    pub(super) fn keeping(mut self, kept: Vec<Header>) -> Self {
        (self.object, self.uploaded, self.kept) = (kept, Vec::new(), Vec::new());
        self.retention = None;
        self
    }

    /// Adds those of a request that is about an object.
    pub(super) fn on<T, E, B>(
        &self,
        operation: CustomizableOperation<T, E, B>,
        with: With,
    ) -> CustomizableOperation<T, E, B> {
        let is_kept = matches!(with, With::Put | With::Uploaded | With::Copy);
        let begins = is_kept || with == With::Replaced;
        let copies = matches!(with, With::Copy | With::CopiedPart);
        let groups = [
            (true, &self.content),
            (begins, &self.object),
            (is_kept, &self.kept),
            (matches!(with, With::Uploaded | With::Copy), &self.uploaded),
            (copies, &self.copied),
        ];
        let applying = groups.into_iter().filter(|(applies, _)| *applies);
        let mut headers: Vec<Header> = applying.flat_map(|(_, headers)| headers.clone()).collect();
        let until = self.retention.filter(|_| is_kept).map(until);
        headers.extend(until.map(|until| ("x-amz-object-lock-retain-until-date", until)));
        match headers.is_empty() {
            true => operation,
            false => operation.mutate_request(move |request| insert(request, &headers)),
        }
    }
}

fn insert(request: &mut HttpRequest, headers: &[Header]) {
    for (name, value) in headers {
        // One that is no text was refused with the option.
        drop(request.headers_mut().try_insert(*name, value.clone()));
    }
}

impl Intercept for Headers {
    fn name(&self) -> &'static str {
        "Headers"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        insert(context.request_mut(), &self.always);
        Ok(())
    }

    /// Drops what nobody asks for and some stores say twice, which the SDK does not take.
    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.response_mut().headers_mut();
        for (name, _) in &self.content {
            headers.remove(*name);
        }
        Ok(())
    }
}

impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Headers").finish_non_exhaustive()
    }
}

/// The end of a retention that begins now, as a header has it.
fn until(retention: S3Retention) -> String {
    let seconds = match retention {
        S3Retention::Until(seconds) => seconds,
        S3Retention::For(duration) => {
            let end = since_1970() + duration;
            i64::try_from(end.as_secs()).unwrap_or(i64::MAX)
        }
    };
    let moment = DateTime::from_secs(seconds);
    moment.fmt(DateTimeFormat::DateTime).unwrap_or_default()
}

pub(super) fn tagging(tags: &[(String, String)]) -> String {
    let escaped = |text| utf8_percent_encode(text, IN_TAG).to_string();
    let tags = tags.iter();
    let tags = tags.map(|(key, value)| format!("{}={}", escaped(key), escaped(value)));
    tags.collect::<Vec<_>>().join("&")
}

/// A key as it is or as base64.
fn read_key(path: &Path) -> Result<Vec<u8>> {
    let read = std::fs::read(path);
    let read = read.map_err(|error| StorageError::from_io("read the key in", path, error))?;
    if read.len() == KEY_BYTES {
        return Ok(read);
    }
    let decoded = BASE64_STANDARD
        .decode(read.trim_ascii())
        .unwrap_or_default();
    match decoded.len() {
        KEY_BYTES => Ok(decoded),
        _ => Err(StorageError::InvalidLocation {
            location: path.display().to_string(),
            reason: "a key of sse-c-key-file has 32 bytes, as they are or as base64",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_taken_as_it_is_and_as_base64_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let key = [7; KEY_BYTES];
        for text in [
            key.to_vec(),
            format!("{}\n", BASE64_STANDARD.encode(key)).into_bytes(),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read_key(&path).unwrap(), key);
        }
        std::fs::write(&path, "canary").unwrap();
        let error = read_key(&path).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
        assert!(read_key(&folder.path().join("none")).is_err());
    }

    #[test]
    fn tags_are_escaped() {
        let tags = [
            ("a b".to_owned(), "c&d=é".to_owned()),
            ("k".to_owned(), String::new()),
        ];
        assert_eq!(tagging(&tags), "a%20b=c%26d%3D%C3%A9&k=");
    }

    #[test]
    fn a_retention_is_a_moment() {
        assert_eq!(
            until(S3Retention::Until(1_896_048_000)),
            "2030-01-31T00:00:00Z"
        );
    }
}
