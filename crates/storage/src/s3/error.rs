//! What the errors of an object store mean.

use std::{error::Error, time::Instant};

use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

use super::client::ATTEMPTS;
use crate::StorageError;

/// What was asked of the store, for an error about it.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// As a policy calls it.
    pub(super) action: &'static str,
    /// The bucket or object, as a URL.
    pub(super) path: String,
    pub(super) bucket: String,
    /// The region that it is asked in.
    pub(super) region: Option<String>,
    /// Since when.
    pub(super) since: Instant,
}

impl Request {
    /// Sorts an error by what a caller can do about it.
    pub(super) fn failed<E>(&self, error: SdkError<E, HttpResponse>) -> StorageError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let response = error.raw_response();
        let status = response.map(|response| response.status().as_u16());
        let header = |name| response.and_then(|response| response.headers().get(name));
        let told = header("x-amz-bucket-region").or_else(|| expected_region(error.message()?));
        let region = told.map(str::to_owned);
        let is_elsewhere = region.is_some() && region != self.region;
        let code = error.code().map(str::to_owned);
        let path = || self.path.clone();
        match (code.as_deref(), status) {
            (Some("NoSuchBucket"), _) => StorageError::NoSuchBucket {
                bucket: self.bucket.clone(),
            },
            (Some("NoSuchKey" | "NotFound" | "NoSuchUpload"), _) => {
                StorageError::NotFound { path: path() }
            }
            (Some("PreconditionFailed" | "ConditionalRequestConflict"), _) | (_, Some(412)) => {
                StorageError::Changed { path: path() }
            }
            (Some("RequestTimeTooSkewed" | "RequestExpired"), _) => StorageError::ClockSkew {
                path: path(),
                source: source(error),
            },
            (
                Some(
                    "InvalidAccessKeyId"
                    | "SignatureDoesNotMatch"
                    | "ExpiredToken"
                    | "InvalidToken"
                    | "TokenRefreshRequired",
                ),
                _,
            ) => StorageError::Credentials {
                path: path(),
                source: source(error),
            },
            (
                Some(
                    "PermanentRedirect"
                    | "AuthorizationHeaderMalformed"
                    | "IllegalLocationConstraintException",
                ),
                _,
            )
            | (_, Some(301 | 307)) => self.wrong_region(region),
            // The answer to HEAD has no code.
            (None, Some(400)) if is_elsewhere => self.wrong_region(region),
            (Some("InvalidObjectState"), _) => StorageError::Frozen {
                path: path(),
                class: None,
                is_thawing: false,
            },
            (
                Some(
                    "NotImplemented"
                    | "InvalidArgument"
                    | "InvalidRequest"
                    | "MissingContentMD5"
                    | "UnsupportedOperation"
                    | "MethodNotAllowed"
                    | "InvalidStorageClass",
                ),
                _,
            )
            | (_, Some(405 | 501)) => StorageError::Refused {
                action: self.action,
                path: path(),
                source: source(error),
            },
            (Some("BadDigest" | "XAmzContentChecksumMismatch"), _) => {
                StorageError::Corrupted { path: path() }
            }
            (Some("AccessDenied" | "AllAccessDisabled" | "AccountProblem"), _)
            | (_, Some(401 | 403)) => StorageError::Denied {
                action: self.action,
                path: path(),
                source: source(error),
            },
            (_, Some(404)) => StorageError::NotFound { path: path() },
            _ if is_about_credentials(&error) => StorageError::Credentials {
                path: path(),
                source: source(error),
            },
            _ => {
                // Whatever may pass the SDK has tried as often as it may.
                let is_lost = match &error {
                    SdkError::DispatchFailure(failure) => failure.is_io() || failure.is_timeout(),
                    SdkError::TimeoutError(_) | SdkError::ResponseError(_) => true,
                    _ => false,
                };
                let may_pass = is_lost || matches!(status, Some(429 | 500 | 502 | 503 | 504));
                let source = match may_pass {
                    true => {
                        let seconds = self.since.elapsed().as_secs_f64();
                        let source = source(error);
                        format!("{source} (tried {ATTEMPTS} times in {seconds:.1} seconds)").into()
                    }
                    false => source(error),
                };
                StorageError::Io {
                    action: self.action,
                    path: path(),
                    source,
                }
            }
        }
    }

    fn wrong_region(&self, region: Option<String>) -> StorageError {
        StorageError::WrongRegion {
            bucket: self.bucket.clone(),
            region: region.unwrap_or_else(|| "another".to_owned()),
        }
    }
}

/// The region that the message about a signature for another one names last.
fn expected_region(message: &str) -> Option<&str> {
    let (_, expected) = message.split_once("expecting '")?;
    Some(expected.split_once('\'')?.0)
}

/// Whether no request was made, since there is nothing to sign it with.
fn is_about_credentials<E: Error + 'static>(error: &SdkError<E, HttpResponse>) -> bool {
    let text = aws_sdk_s3::error::DisplayErrorContext(error).to_string();
    matches!(error, SdkError::DispatchFailure(_)) && text.contains("credential")
}

/// Code and message of the server, or what went wrong on the way there, as one line.
fn source<E>(error: SdkError<E, HttpResponse>) -> Box<dyn Error + Send + Sync>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let status = error
        .raw_response()
        .map(|response| response.status().as_u16());
    match (error.code(), error.message(), status) {
        (Some(code), Some(message), _) => format!("{code}: {message}").into(),
        (Some(code), None, _) => code.to_owned().into(),
        (None, _, Some(status)) if status >= 300 => {
            format!("the store answered with status {status}").into()
        }
        _ => chain(&error).into(),
    }
}

/// An error and its causes as one line, each said once.
fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let causes = std::iter::successors(error.source(), |&error| error.source());
    for cause in causes.map(ToString::to_string) {
        if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}
