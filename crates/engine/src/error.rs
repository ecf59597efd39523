//! What can go wrong, sorted by what the caller should do about it.

use std::{error::Error as StdError, fmt, sync::Arc};

use rdump_format::Namespace;
use rdump_storage::StorageError;

/// What the engine returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller should do about an [`Error`]. New kinds are rare: match with a `_` arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An option or argument is wrong. Fix it; a retry cannot help.
    Invalid,
    /// A server or store could not be reached, and our retries ran out. Try again later.
    Unavailable,
    /// The user may not do this. Grant the privilege that the message names.
    Denied,
    /// This server or dump cannot do what was asked. Use another version, topology or feature.
    Unsupported,
    /// Something else is where this would go, or changed meanwhile. Pick another target or start again.
    Conflict,
    /// What was written in between is not captured. Take a new snapshot; the message gives both ends of the gap.
    OplogGap,
    /// Stored bytes are missing, damaged, or of an unsupported version. Run `verify`.
    Data,
    /// What is stored is in a storage class that is not read from. Thaw it, and try again then.
    Frozen,
    /// The run stopped as asked.
    Cancelled,
    /// A bug of ours. Report it.
    Internal,
}

/// Why a run failed. `Display` is one line and leaves the cause to [`source`](StdError::source).
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    namespace: Option<Namespace>,
    location: Option<String>,
    hint: Option<String>,
    retryable: bool,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl ErrorKind {
    /// Its name, for machines.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Unavailable => "unavailable",
            Self::Denied => "denied",
            Self::Unsupported => "unsupported",
            Self::Conflict => "conflict",
            Self::OplogGap => "oplog-gap",
            Self::Data => "data",
            Self::Frozen => "frozen",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
        }
    }
}

impl Error {
    /// What the caller should do.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The namespace that the failure is about, if it is about one.
    pub fn namespace(&self) -> Option<&Namespace> {
        self.0.namespace.as_ref()
    }

    /// The file, object or server that the failure is about, without secrets.
    pub fn location(&self) -> Option<&str> {
        self.0.location.as_deref()
    }

    /// What to do next, as a sentence for a person.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Whether the same call may succeed later without any change.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let retryable = kind == ErrorKind::Unavailable;
        let message = message.into();
        Self(Box::new(Inner {
            kind,
            message,
            namespace: None,
            location: None,
            hint: None,
            retryable,
            source: None,
        }))
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    pub(crate) fn data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Data, message)
    }

    pub(crate) fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "stopped as asked")
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Bytes of our own making that the BSON library refused.
    pub(crate) fn from_bson(error: bson::error::Error) -> Self {
        Self::internal("could not build a command").caused_by(error)
    }

    /// A task that panicked or was torn down by its runtime.
    pub(crate) fn task(name: &'static str, error: tokio::task::JoinError) -> Self {
        Self::internal(format!("task {name} did not end by itself")).caused_by(error)
    }

    #[must_use]
    pub(crate) fn for_namespace(mut self, namespace: &Namespace) -> Self {
        self.0.namespace.get_or_insert_with(|| namespace.clone());
        self
    }

    #[must_use]
    pub(crate) fn at(mut self, location: impl Into<String>) -> Self {
        self.0.location.get_or_insert_with(|| location.into());
        self
    }

    #[must_use]
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into().into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.0.namespace {
            write!(f, "{namespace}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("namespace", &self.0.namespace)
            .field("location", &self.0.location)
            .field("hint", &self.0.hint)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        let (kind, hint) = match &error {
            StorageError::NotFound { .. }
            | StorageError::TooShort { .. }
            | StorageError::Special { .. }
            | StorageError::NameNotUtf8 { .. } => (ErrorKind::Data, None),
            StorageError::Denied { .. } => (ErrorKind::Denied, None),
            StorageError::Frozen { .. } => (
                ErrorKind::Frozen,
                Some("`rdump thaw` asks the store to thaw the data of a snapshot"),
            ),
            StorageError::Credentials { .. } => (
                ErrorKind::Denied,
                Some(
                    "they are looked for as the AWS tools do: environment, profile, container or instance",
                ),
            ),
            StorageError::ClockSkew { .. } => (ErrorKind::Denied, Some("set the clock")),
            StorageError::Exists { .. } => (ErrorKind::Conflict, None),
            StorageError::Changed { .. } => (ErrorKind::Data, None),
            StorageError::WrongRegion { .. } => (
                ErrorKind::Invalid,
                Some("give the region: s3://bucket/prefix?region=…"),
            ),
            StorageError::NoSuchBucket { .. } => (ErrorKind::Invalid, None),
            StorageError::NoSpace { .. } => (
                ErrorKind::Unavailable,
                Some(
                    "free some space and run it again; what was written so far is no complete dump",
                ),
            ),
            StorageError::Symlink { .. } => (
                ErrorKind::Conflict,
                Some("remove the link or choose another folder"),
            ),
            StorageError::Locked { .. } => (
                ErrorKind::Conflict,
                Some("wait for its end or choose another folder"),
            ),
            StorageError::NotAFolder { .. }
            | StorageError::NotAFile { .. }
            | StorageError::InvalidPath { .. }
            | StorageError::InvalidLocation { .. } => (ErrorKind::Invalid, None),
            // A later release of the storage crate may tell more apart.
            _ => (ErrorKind::Unavailable, None),
        };
        let message = error.to_string();
        let mut ours = Self::new(kind, message);
        if let Some(hint) = hint {
            ours = ours.with_hint(hint);
        }
        match StdError::source(&error) {
            Some(source) => ours.caused_by(source.to_string()),
            None => ours,
        }
    }
}
