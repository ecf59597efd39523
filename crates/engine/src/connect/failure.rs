//! Why no connection came about, in one line that names the server.

use mongodb::error::{Error as DriverError, ErrorKind as DriverErrorKind};

use super::{ConnectPlan, uri::Seeds};
use crate::{Error, ErrorKind, command};

/// Says what an error means that came while connecting.
pub(super) fn of(plan: &ConnectPlan, error: DriverError) -> Error {
    let address = plan.address();
    let failed = match &*error.kind {
        DriverErrorKind::ServerSelection { message, .. } if is_of_version(&error) => Error::new(
            ErrorKind::Unsupported,
            format!("the server at {address} has a version that cannot be talked to"),
        )
        .caused_by(message.clone()),
        DriverErrorKind::ServerSelection { message, .. } => {
            let seconds = plan.patience().as_secs_f64();
            let ours = Error::new(
                ErrorKind::Unavailable,
                format!("no server could be reached at {address} within {seconds} seconds"),
            );
            match command::selection_failure(message) {
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

/// Whether the driver does not talk to servers as old, or as new, as this one: no patience helps.
pub(super) fn is_of_version(error: &DriverError) -> bool {
    match &*error.kind {
        // Of why no server was selected the driver gives only a text: that of no other reason begins so.
        DriverErrorKind::ServerSelection { message, .. } => {
            message.starts_with("Server at ") && message.contains(" wire version ")
        }
        _ => false,
    }
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
