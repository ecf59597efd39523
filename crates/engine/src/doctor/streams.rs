//! Whether change streams tell of everything, and for how long.

use std::time::Duration;

use rdump_format::{Selector, repository::SliceSource};
use rdump_oplog::OpTime;

use super::{
    Held,
    deployment::Asked,
    finding::{Check, Findings},
    held::End,
    oplog::Readable,
};
use crate::{
    Error, ErrorKind, Flavor, Result, Topology,
    change_stream::{Events, NotOpened, Scope, Start, check_enabled, now},
};

/// How long the server waits for events when a stream is opened.
const PATIENCE: Duration = Duration::from_millis(100);

/// Gives whether a stream of the deployment can be opened, if that was tried.
pub(super) async fn look(
    asked: &Asked,
    held: Option<&Held>,
    oplog: Readable,
    findings: &mut Findings,
) -> Option<bool> {
    let (check, server) = (Check::ChangeStreams, asked.server());
    let end = held.and_then(|held| held.end_of(&asked.source));
    let end = end.filter(|end| end.header.from == SliceSource::ChangeStream);
    let is_needed = end.is_some() || oplog != Readable::Yes;
    if server.topology == Topology::Standalone || !is_needed {
        return None;
    }
    let select = end.map_or_else(Selector::default, |end| end.header.select.clone());
    if let Err(error) = check_enabled(&asked.deployment, &asked.from, &select).await {
        if error.kind() != ErrorKind::Unsupported {
            findings.unknown(check, &error, "");
            return None;
        }
        let (seen, advice) = (error.to_string(), error.hint().unwrap_or_default());
        match end {
            Some(_) => findings.danger(check, seen, advice),
            None => findings.warning(
                check,
                format!("{seen}; nor is a backup of one moment"),
                advice,
            ),
        }
        return None;
    }
    match open(asked, end, &select).await {
        Ok(()) => {
            told(asked, end, findings);
            Some(true)
        }
        Err(NotOpened::Other(error)) => {
            let is_denied = error.kind() == ErrorKind::Denied;
            findings.unknown(check, &error, "");
            is_denied.then_some(false)
        }
        Err(NotOpened::Forgotten(detail) | NotOpened::Ended(detail)) => {
            match end {
                Some(end) => findings.danger(
                    check,
                    format!(
                        "no change stream leads on from where what is captured ends, {}: {detail}",
                        end.span.end
                    ),
                    "start `rdump capture`, and take a snapshot: what is captured from now on leads on from that; have the server keep events for longer",
                ),
                None => {
                    let error = Error::new(ErrorKind::Unsupported, detail);
                    findings.unknown(check, &error, "");
                }
            }
            None
        }
    }
}

fn told(asked: &Asked, end: Option<&End>, findings: &mut Findings) {
    let check = Check::ChangeStreams;
    let seen = match end {
        Some(end) => format!(
            "a change stream leads on from where what is captured ends, {}",
            end.span.end
        ),
        None => "change streams tell of everything from now on".to_owned(),
    };
    match asked.server().flavor {
        Flavor::DocumentDb => findings.note(
            check,
            format!("{seen}; for how long events are kept Amazon DocumentDB does not say"),
            "look at change_stream_log_retention_duration in the parameters of the cluster: three hours by default, seven days at most",
        ),
        Flavor::MongoDb => findings.good(check, seen),
    }
}

/// Opens a stream as a capture would that goes on, and drops it.
async fn open(asked: &Asked, end: Option<&End>, select: &Selector) -> Result<(), NotOpened> {
    let (deployment, from) = (&asked.deployment, &asked.from);
    let after: OpTime = match end {
        Some(end) => {
            let told = end.footer.told_until.unwrap_or(end.span.end);
            end.gap_until.unwrap_or(told)
        }
        None => now(deployment, from).await.map_err(NotOpened::Other)?,
    };
    let (scope, start) = (Scope::of(select), Start::After(after));
    let opened = Events::open(deployment, &scope, from, &start, (PATIENCE, false));
    opened.await.map(drop)
}
