use std::fmt;

use aws_sdk_s3::config::Credentials;

/// Who asks an object store, where that is known and not to be looked for.
///
/// `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Credentials {
    access_key: String,
    secret_key: String,
    session_token: Option<String>,
}

impl S3Credentials {
    /// An access key and its secret.
    pub fn new(access_key: impl Into<String>, secret_key: impl Into<String>) -> Self {
        Self {
            access_key: access_key.into(),
            secret_key: secret_key.into(),
            session_token: None,
        }
    }

    /// Adds the token that goes with keys that are for a while only.
    #[must_use]
    pub fn session_token(mut self, token: impl Into<String>) -> Self {
        self.session_token = Some(token.into());
        self
    }

    pub(super) fn for_client(&self) -> Credentials {
        let (access_key, secret_key) = (&self.access_key, &self.secret_key);
        let token = self.session_token.clone();
        Credentials::new(access_key, secret_key, token, None, "rdump")
    }
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Credentials").finish_non_exhaustive()
    }
}
