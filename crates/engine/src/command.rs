//! Commands to a server, and what their failures mean.

use bson::{Bson, Document, RawDocumentBuf, Timestamp, doc};
use mongodb::{
    Database,
    error::{Error as DriverError, ErrorKind as DriverErrorKind},
    options::SelectionCriteria,
};

use rdump_oplog::OpTime;

use crate::{Error, ErrorKind, Result};

/// Runs one command, once.
pub(crate) async fn run(database: &Database, command: Document) -> Result<Document> {
    database.run_command(command).await.map_err(error)
}

/// Runs one command, once, on a member that fits the read preference.
pub(crate) async fn read(
    database: &Database,
    command: Document,
    from: &SelectionCriteria,
) -> Result<Document> {
    database
        .run_command(command)
        .selection_criteria(from.clone())
        .await
        .map_err(error)
}

/// The field of a command that reads which has the server wait until it has everything up to a moment.
///
/// The newest entry of the oplog can be read while one of before it is still being written; and a member may be
/// behind. See [`afterClusterTime`](https://www.mongodb.com/docs/manual/reference/read-concern/#afterclustertime).
pub(crate) fn not_before(at: OpTime) -> (String, Bson) {
    let concern = doc! { "level": "local", "afterClusterTime": Timestamp::from(at) };
    ("readConcern".to_owned(), concern.into())
}

/// Runs one raw command, once.
pub(crate) async fn run_raw(
    database: &Database,
    command: RawDocumentBuf,
) -> Result<Document, DriverError> {
    database.run_raw_command(command).await
}

/// Server error codes that we act on, by the names of the
/// [manual's list](https://www.mongodb.com/docs/manual/reference/error-codes/).
pub(crate) mod code {
    pub(crate) const BAD_VALUE: i32 = 2;
    pub(crate) const UNAUTHORIZED: i32 = 13;
    pub(crate) const ILLEGAL_OPERATION: i32 = 20;
    pub(crate) const PATH_NOT_VIABLE: i32 = 28;
    pub(crate) const AUTHENTICATION_FAILED: i32 = 18;
    pub(crate) const NAMESPACE_NOT_FOUND: i32 = 26;
    pub(crate) const CURSOR_NOT_FOUND: i32 = 43;
    pub(crate) const NAMESPACE_EXISTS: i32 = 48;
    pub(crate) const MAX_TIME_EXPIRED: i32 = 50;
    pub(crate) const COMMAND_NOT_FOUND: i32 = 59;
    pub(crate) const CANNOT_CREATE_INDEX: i32 = 67;
    pub(crate) const DOCUMENT_VALIDATION_FAILURE: i32 = 121;
    pub(crate) const QUERY_PLAN_KILLED: i32 = 175;
    pub(crate) const SNAPSHOT_TOO_OLD: i32 = 239;
    pub(crate) const SNAPSHOT_UNAVAILABLE: i32 = 246;
    pub(crate) const INDEX_BUILD_ABORTED: i32 = 276;
    pub(crate) const MIXED_SCHEMA_BUCKET: i32 = 408;
    pub(crate) const COMMAND_NOT_SUPPORTED_ON_VIEW: i32 = 166;
    pub(crate) const DUPLICATE_KEY: i32 = 11000;
}

/// The server's code for an error, if a server sent it.
pub(crate) fn server_code(error: &DriverError) -> Option<i32> {
    match &*error.kind {
        DriverErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}

/// Whether the network or a change of primary is to blame, so that the same command may succeed later.
pub(crate) fn is_transient(error: &DriverError) -> bool {
    match &*error.kind {
        DriverErrorKind::Io(_) | DriverErrorKind::ConnectionPoolCleared { .. } => true,
        DriverErrorKind::ServerSelection { .. } => true,
        DriverErrorKind::Command(command) => is_transient_code(command.code),
        _ => error.contains_label("RetryableWriteError"),
    }
}

/// Codes that end when a failover, a restart, or a cut network does, or that another read may not meet.
pub(crate) fn is_transient_code(code: i32) -> bool {
    matches!(
        code,
        6       // HostUnreachable
        | 7     // HostNotFound
        | 89    // NetworkTimeout
        | 91    // ShutdownInProgress
        | 112   // WriteConflict
        | 134   // ReadConcernMajorityNotAvailableYet
        | 136   // CappedPositionLost
        | 189   // PrimarySteppedDown
        | 237   // CursorKilled
        | 262   // ExceededTimeLimit
        | 317   // ConnectionPoolExpired
        | 9001  // SocketException
        | 10107 // NotWritablePrimary
        | 11600 // InterruptedAtShutdown
        | 11602 // InterruptedDueToReplStateChange
        | 13435 // NotPrimaryNoSecondaryOk
        | 13436 // NotPrimaryOrSecondary
    )
}

/// Says what a driver's error means for the caller.
///
/// The driver's own `Display` holds the whole server reply, which may hold documents: only the server's
/// message is kept.
pub(crate) fn error(error: DriverError) -> Error {
    match &*error.kind {
        DriverErrorKind::Command(command) => {
            let kind = match command.code {
                code::UNAUTHORIZED | code::AUTHENTICATION_FAILED => ErrorKind::Denied,
                code::COMMAND_NOT_FOUND => ErrorKind::Unsupported,
                code if is_transient_code(code) => ErrorKind::Unavailable,
                _ => ErrorKind::Invalid,
            };
            let cause = format!("{} (code {})", command.code_name, command.code);
            let ours = match command.code {
                code::UNAUTHORIZED => Error::new(kind, without_command(&command.message))
                    .with_hint(
                        "dumping needs the built-in role `backup`, restoring the role `restore`",
                    ),
                _ => Error::new(kind, format!("the server refused: {}", command.message)),
            };
            ours.caused_by(cause)
        }
        DriverErrorKind::Authentication { message, .. } => Error::new(
            ErrorKind::Denied,
            format!("authentication failed: {message}"),
        ),
        DriverErrorKind::InvalidArgument { message, .. } => Error::invalid(message.clone()),
        DriverErrorKind::InvalidTlsConfig { message, .. } => {
            Error::invalid(format!("TLS: {message}"))
        }
        DriverErrorKind::DnsResolve { message, .. } => {
            Error::new(ErrorKind::Unavailable, message.clone())
        }
        DriverErrorKind::ServerSelection { message, .. } => {
            let ours = Error::new(ErrorKind::Unavailable, "no server could be reached");
            match selection_failure(message) {
                Some(reason) => ours.caused_by(reason),
                None => ours,
            }
        }
        DriverErrorKind::Io(io) => {
            Error::new(ErrorKind::Unavailable, "the connection to the server broke")
                .caused_by(io.to_string())
        }
        DriverErrorKind::ConnectionPoolCleared { message, .. } => Error::new(
            ErrorKind::Unavailable,
            "the connections to the server broke",
        )
        .caused_by(message.clone()),
        other => Error::internal("the driver failed").caused_by(other.to_string()),
    }
}

/// The first server's own error out of the driver's description of everything that it knows.
pub(crate) fn selection_failure(description: &str) -> Option<String> {
    let (_, rest) = description.split_once(", Error: ")?;
    let rest = rest.strip_prefix("Kind: ").unwrap_or(rest);
    let end = [", labels: ", ", source: ", ", backtrace: ", " }"]
        .iter()
        .filter_map(|mark| rest.find(mark))
        .min();
    Some(rest.get(..end.unwrap_or(rest.len()))?.to_owned())
}

/// What may not be done to what, out of a message that goes on to quote the whole command, documents and all:
/// `not authorized on shop to execute command { insert: "orders", …`.
fn without_command(message: &str) -> String {
    match message.split_once(" to execute command { ") {
        Some((who, command)) => {
            let action = command.split([',', '}']).next().unwrap_or_default();
            format!("{who} to execute {}", action.trim_end())
        }
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{selection_failure, without_command};

    #[test]
    fn why_no_server_is_there_is_the_error_of_the_first_one() {
        let description = "Server selection timeout: No available servers. Topology: { Type: Unknown, Servers: [ { \
                           Address: 127.0.0.1:1, Type: Unknown, Error: Kind: I/O error: Connection refused (os error \
                           111), labels: {\"RetryableError\"} } ] }";
        assert_eq!(
            selection_failure(description).as_deref(),
            Some("I/O error: Connection refused (os error 111)")
        );
        assert_eq!(selection_failure("Topology: { Type: Unknown }"), None);
    }

    #[test]
    fn a_refused_command_is_named_without_its_documents() {
        let message = r#"not authorized on shop to execute command { insert: "orders", documents: [ { secret: 1 } ] }"#;
        let named = r#"not authorized on shop to execute insert: "orders""#;
        assert_eq!(without_command(message), named);
        let message = "not authorized on admin to execute command { getLog: 1 }";
        assert_eq!(
            without_command(message),
            "not authorized on admin to execute getLog: 1"
        );
        assert_eq!(without_command("no command"), "no command");
    }
}
