//! Why no connection came about, in one line that names the server.

use mongodb::error::{Error as DriverError, ErrorKind as DriverErrorKind};

use super::{ConnectPlan, uri::Seeds};
use crate::{Error, ErrorKind, command};

/// How long the driver looks for a server if it is not told.
const DEFAULT_SELECTION_SECONDS: f64 = 30.0;

/// Says what an error means that came while connecting.
pub(super) fn of(plan: &ConnectPlan, error: DriverError) -> Error {
    let address = plan.address();
    let failed = match &*error.kind {
        DriverErrorKind::ServerSelection { message, .. } => {
            let seconds = plan
                .server_selection_timeout
                .map_or(DEFAULT_SELECTION_SECONDS, |time| time.as_secs_f64());
            let ours = Error::new(
                ErrorKind::Unavailable,
                format!("no server could be reached at {address} within {seconds} seconds"),
            );
            match reason(message) {
                Some(reason) => ours.caused_by(reason),
                None => ours,
            }
        }
        DriverErrorKind::Io(io) => Error::new(
            ErrorKind::Unavailable,
            format!("cannot connect to {address}"),
        )
        .caused_by(io.to_string()),
        DriverErrorKind::Authentication { message, .. } => refused(plan, message.clone()),
        DriverErrorKind::Command(reply) if reply.code == command::code::AUTHENTICATION_FAILED => {
            refused(plan, reply.message.clone())
        }
        DriverErrorKind::ConnectionPoolCleared { message, .. } => Error::new(
            ErrorKind::Unavailable,
            format!("cannot connect to {address}"),
        )
        .caused_by(message.clone()),
        _ => command::error(error),
    };
    failed.at(address)
}

fn refused(plan: &ConnectPlan, message: String) -> Error {
    let login = plan.login.as_ref();
    let user = login
        .and_then(|login| login.username.as_deref())
        .unwrap_or("the client's certificate");
    let source = login.and_then(|login| login.source.as_deref());
    let of_database = match (source, &plan.seeds) {
        // What the DNS says of it is known to the driver alone.
        (None, Seeds::Srv(_)) => String::new(),
        (source, _) => {
            let source = source.or(plan.database()).unwrap_or("admin");
            format!(" of database {source:?}")
        }
    };
    Error::new(
        ErrorKind::Denied,
        format!(
            "authentication failed for user {user:?}{of_database} at {}",
            plan.address()
        ),
    )
    .with_hint("check --username, --password and --authenticationDatabase")
    .caused_by(message)
}

/// The first server's own error out of the driver's description of everything that it knows.
fn reason(description: &str) -> Option<String> {
    let (_, rest) = description.split_once(", Error: ")?;
    let rest = rest.strip_prefix("Kind: ").unwrap_or(rest);
    let end = [", labels: ", ", source: ", ", backtrace: ", " }"]
        .iter()
        .filter_map(|mark| rest.find(mark))
        .min();
    Some(rest.get(..end.unwrap_or(rest.len()))?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn the_reason_is_the_error_of_the_first_server() {
        let description = "Server selection timeout: No available servers. Topology: { Type: Unknown, Servers: [ { \
                           Address: 127.0.0.1:1, Type: Unknown, Error: Kind: I/O error: Connection refused (os error \
                           111), labels: {\"RetryableError\"} } ] }";
        assert_eq!(
            reason(description).as_deref(),
            Some("I/O error: Connection refused (os error 111)")
        );
        assert_eq!(reason("Topology: { Type: Unknown }"), None);
    }
}
