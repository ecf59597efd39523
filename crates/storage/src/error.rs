use std::{io, path::Path};

/// What a [`Store`](crate::Store) returns.
pub type Result<T, E = StorageError> = std::result::Result<T, E>;

/// Why a store could not do what it was asked. Paths are as the operating system or the store names them.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message is its documentation")]
#[non_exhaustive]
pub enum StorageError {
    #[error("{path} does not exist")]
    NotFound { path: String },
    #[error("no permission to {action} {path}")]
    Denied {
        action: &'static str,
        path: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("no space left while writing {path}")]
    NoSpace {
        path: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{path} is a symbolic link, and a dump is never written through one")]
    Symlink { path: String },
    #[error("another dump is being written to {path}")]
    Locked { path: String },
    #[error("{path} is not a folder")]
    NotAFolder { path: String },
    #[error("{path} is not the name of a file")]
    NotAFile { path: String },
    #[error("{path} is {what}, and neither a file nor a folder")]
    Special { path: String, what: &'static str },
    #[error("the name of {path} is not UTF-8")]
    NameNotUtf8 { path: String },
    #[error("{path} exists already")]
    Exists { path: String },
    #[error("{path} was changed or replaced meanwhile")]
    Changed { path: String },
    #[error("{path} has {actual_bytes} bytes, but byte {wanted_end} was asked for")]
    TooShort {
        path: String,
        wanted_end: u64,
        actual_bytes: u64,
    },
    #[error("object path {path:?} is not relative, plain and of five parts at most")]
    InvalidPath { path: String },
    #[error("location {location:?} is not supported: {reason}")]
    InvalidLocation {
        location: String,
        reason: &'static str,
    },
    #[error("there is no bucket {bucket}")]
    NoSuchBucket { bucket: String },
    #[error("the region of bucket {bucket} is {region}, and not the one that was asked")]
    WrongRegion { bucket: String, region: String },
    #[error("the credentials for {path} are missing or not accepted")]
    Credentials {
        path: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the clock of this machine is not that of the store of {path}")]
    ClockSkew {
        path: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the store does not take {action} on {path}")]
    Refused {
        action: &'static str,
        path: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{path} cannot be read: it is {}", frozen(.class.as_deref(), *.is_thawing))]
    Frozen {
        path: String,
        class: Option<String>,
        is_thawing: bool,
    },
    #[error("{path} is not what was sent: its checksum in the store is another")]
    Corrupted { path: String },
    #[error("could not {action} {path}")]
    Io {
        action: &'static str,
        path: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

fn frozen(class: Option<&str>, is_thawing: bool) -> String {
    let class = match class {
        Some(class) => format!("in storage class {class}"),
        None => "in a storage class that is not read from".to_owned(),
    };
    match is_thawing {
        true => format!("being thawed, and still {class}"),
        false => format!("frozen {class}"),
    }
}

impl StorageError {
    /// Sorts an error of the operating system by what a caller can do about it.
    pub(crate) fn from_io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.display().to_string();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { path },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::Denied {
                action,
                path,
                source: source.into(),
            },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace {
                path,
                source: source.into(),
            },
            io::ErrorKind::NotADirectory => Self::NotAFolder { path },
            _ => Self::Io {
                action,
                path,
                source: source.into(),
            },
        }
    }
}
