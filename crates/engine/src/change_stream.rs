//! Change streams: what a server without an oplog that may be read tells of what is written.

mod definitions;
mod scope;
mod telling;

use std::{pin::Pin, time::Duration};

use bson::{RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf, Timestamp, cstr, doc, rawdoc};
use futures::StreamExt;
use mongodb::{
    error::Error as DriverError,
    options::{CursorType, SelectionCriteria},
    raw_batch_cursor::RawBatch,
};
use rdump_format::repository::Unseen;
use rdump_oplog::OpTime;

use crate::{Error, ErrorKind, Flavor, Result, ServerInfo, Topology, command, connect::Deployment};

use definitions::PRIMARY;
pub(crate) use definitions::{Definition, Definitions};
pub(crate) use scope::{Scope, check_enabled};
pub(crate) use telling::{Look, Telling, Told, ToldUntil};

/// How long a reply may take beyond the time that the server is told to wait.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Longer runs of hexadecimal digits are of a token.
const TOKEN_DIGITS: usize = 16;
/// How long nothing has to come of Amazon DocumentDB, or of a router, before it is believed that nothing is on its way: the one is known to hold events
/// back and deliver them all at once, the other waits for shards that write nothing.
const SETTLE: Duration = Duration::from_secs(15);

/// Where a stream begins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Start {
    /// After what this token is of.
    Token(RawDocumentBuf),
    /// After this moment.
    After(OpTime),
}

/// Why a stream cannot be opened.
#[derive(Debug)]
pub(crate) enum NotOpened {
    /// It does not go on from there any more.
    Forgotten(String),
    /// It cannot go on from there, and nothing says that it ever could.
    Ended(String),
    Other(Error),
}

/// How events are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Manner {
    /// Events about definitions are told, too.
    pub(crate) expanded: bool,
    /// Documents come as they were after an update, where the server keeps them.
    pub(crate) images: bool,
    /// Documents are looked up after they were updated, since what was changed is not told.
    pub(crate) looked_up: bool,
    /// Events that are too long for a document come in parts.
    pub(crate) split: bool,
    /// How long nothing has to come before nothing is on its way.
    pub(crate) settle: Duration,
}

impl Manner {
    /// What to try first with a server of a kind.
    fn of(server: &ServerInfo) -> Self {
        let is_mongodb = server.flavor == Flavor::MongoDb;
        let is_router = server.topology == Topology::Sharded;
        Self {
            expanded: is_mongodb,
            images: is_mongodb,
            looked_up: !is_mongodb,
            split: false,
            settle: match is_mongodb && !is_router {
                true => Duration::ZERO,
                false => SETTLE,
            },
        }
    }

    /// What is not told so.
    pub(crate) fn unseen(self) -> Vec<Unseen> {
        let mut unseen = vec![Unseen::TimeSeries, Unseen::System];
        if !self.expanded {
            unseen.push(Unseen::Definitions);
        }
        if self.looked_up {
            unseen.push(Unseen::Updates);
        }
        unseen
    }
}

/// A stream that is open.
pub(crate) struct Events {
    replies: Replies,
    pub(crate) manner: Manner,
}

type Replies =
    Pin<Box<dyn futures::Stream<Item = std::result::Result<RawBatch, DriverError>> + Send>>;

/// What came at once.
#[derive(Debug)]
pub(crate) struct Reply(RawBatch);

impl Reply {
    pub(crate) fn events(&self) -> Result<impl Iterator<Item = Result<&RawDocument>>> {
        let events = self.0.doc_slices().map_err(command::error)?;
        Ok(events.into_iter().map(|event| {
            let event = event.map_err(Error::from_bson)?;
            event.as_document().ok_or_else(malformed)
        }))
    }

    /// The moment that the server has come to.
    pub(crate) fn moment(&self) -> Option<OpTime> {
        let reply = self.0.as_raw_document();
        reply.get_timestamp("operationTime").ok().map(OpTime::from)
    }

    /// What leads on from after everything that came until now.
    pub(crate) fn token(&self) -> Option<RawDocumentBuf> {
        let cursor = self.0.as_raw_document().get_document("cursor").ok()?;
        let token = cursor.get_document("postBatchResumeToken").ok()?;
        Some(token.to_owned())
    }
}

impl Events {
    /// Opens a stream, in the best manner that the server knows.
    pub(crate) async fn open(
        deployment: &Deployment,
        scope: &Scope,
        from: &SelectionCriteria,
        start: &Start,
        (patience, split): (Duration, bool),
    ) -> std::result::Result<Self, NotOpened> {
        let mut manner = Manner::of(&deployment.server);
        manner.split = split;
        loop {
            let opened = open(deployment, scope, from, (start, manner, patience)).await;
            let error = match opened {
                Ok(replies) => return Ok(Self { replies, manner }),
                Err(error) => error,
            };
            // A server that does not know the word refuses the whole stage.
            if manner.expanded && is_refused(&error) {
                (manner.expanded, manner.images) = (false, false);
                continue;
            }
            // What cannot come in parts is shorter without the document.
            if manner.split && is_unknown_stage(&error) {
                (manner.split, manner.images) = (false, false);
                continue;
            }
            return Err(NotOpened::of(error));
        }
    }

    /// What came since the last time, perhaps nothing.
    pub(crate) async fn next(&mut self) -> Result<Reply, DriverError> {
        let next = tokio::time::timeout(LONGEST_WAIT, self.replies.next()).await;
        match next {
            Ok(Some(reply)) => reply.map(Reply),
            Ok(None) => Err(std::io::Error::other("the change stream was closed").into()),
            Err(_elapsed) => {
                let message = format!(
                    "the server has not answered within {} s",
                    LONGEST_WAIT.as_secs()
                );
                Err(std::io::Error::new(std::io::ErrorKind::TimedOut, message).into())
            }
        }
    }
}

async fn open(
    deployment: &Deployment,
    scope: &Scope,
    from: &SelectionCriteria,
    (start, manner, patience): (&Start, Manner, Duration),
) -> std::result::Result<Replies, DriverError> {
    let mut stage = rawdoc! {};
    if *scope == Scope::Cluster {
        stage.append(cstr!("allChangesForCluster"), true);
    }
    match start {
        Start::Token(token) => stage.append(cstr!("resumeAfter"), token.clone()),
        Start::After(at) => {
            let first = Timestamp::from(at.next());
            stage.append(cstr!("startAtOperationTime"), first);
        }
    }
    if manner.expanded {
        stage.append(cstr!("showExpandedEvents"), true);
    }
    if manner.images {
        stage.append(cstr!("fullDocument"), "whenAvailable");
    }
    if manner.looked_up {
        stage.append(cstr!("fullDocument"), "updateLookup");
    }
    let mut pipeline = RawArrayBuf::new();
    pipeline.push(rawdoc! { "$changeStream": stage });
    if manner.split {
        pipeline.push(rawdoc! { "$changeStreamSplitLargeEvent": {} });
    }
    let aggregate = rawdoc! { "aggregate": 1, "pipeline": pipeline, "cursor": {} };
    let database = deployment.database(scope.database());
    let cursor = database
        .run_raw_cursor_command(aggregate)
        .selection_criteria(from.clone())
        .cursor_type(CursorType::TailableAwait)
        .max_time(patience)
        .batch();
    match tokio::time::timeout(LONGEST_WAIT, cursor).await {
        Ok(cursor) => Ok(Box::pin(cursor?)),
        Err(_elapsed) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
    }
}

impl NotOpened {
    fn of(error: DriverError) -> Self {
        let Some(code) = command::server_code(&error) else {
            return Self::Other(command::error(error));
        };
        let detail = without_tokens(&command::error(error.clone()).to_string());
        match code {
            // CappedPositionLost, ChangeStreamHistoryLost
            136 | 286 => Self::Forgotten(detail),
            13 => Self::Other(command::error(error).with_hint(
                "a change stream of a deployment needs the built-in role `readAnyDatabase`, that of one database the role `read` on it",
            )),
            // What only replica sets have.
            40573 => Self::Other(
                Error::new(ErrorKind::Unsupported, detail)
                    .with_hint("change streams are there on replica sets and sharded clusters"),
            ),
            code if command::is_transient_code(code) => Self::Other(command::error(error)),
            _ => Self::Ended(detail),
        }
    }
}

/// What a server says, but for tokens that it quotes: ids of documents are in them.
fn without_tokens(text: &str) -> String {
    let mut short = String::new();
    let mut digits = 0;
    for letter in text.chars() {
        digits = match letter.is_ascii_hexdigit() {
            true => digits + 1,
            false => 0,
        };
        match digits {
            0..=TOKEN_DIGITS => short.push(letter),
            // It is a part of one.
            _ if digits == TOKEN_DIGITS + 1 => {
                short.truncate(short.len() - TOKEN_DIGITS);
                short.push('…');
            }
            _ => {}
        }
    }
    short
}

/// Whether the server does not know what it is asked for: FailedToParse, InvalidOptions, a field or a feature that it does not have.
fn is_refused(error: &DriverError) -> bool {
    matches!(
        command::server_code(error),
        Some(2 | 9 | 72 | 115 | 303 | 40415)
    )
}

/// Whether there is a stage that the server does not know.
fn is_unknown_stage(error: &DriverError) -> bool {
    command::server_code(error) == Some(40324)
}

/// Whether an event is too long for a document: BSONObjectTooLarge.
fn is_too_long(error: &DriverError) -> bool {
    command::server_code(error) == Some(10334)
}

/// An event that came in parts, each of which has some of its fields.
fn join(parts: &[RawDocumentBuf]) -> Result<RawDocumentBuf> {
    let mut event = RawDocumentBuf::new();
    for part in parts {
        for field in part {
            let (name, value): (_, RawBsonRef<'_>) = field.map_err(Error::from_bson)?;
            // Of the tokens the last one counts.
            if name.as_str() != "splitEvent" && name.as_str() != "_id" {
                event.append(name, value);
            }
        }
    }
    let token = parts.last().and_then(|part| part.get_document("_id").ok());
    event.append(cstr!("_id"), token.ok_or_else(malformed)?.to_owned());
    Ok(event)
}

/// The moment that the server has come to.
pub(crate) async fn now(deployment: &Deployment, from: &SelectionCriteria) -> Result<OpTime> {
    let admin = deployment.database("admin");
    let reply = command::read(&admin, doc! { "ping": 1 }, from).await?;
    let at = reply.get_timestamp("operationTime");
    at.map(OpTime::from).map_err(|_missing| {
        Error::new(
            ErrorKind::Unsupported,
            "the server does not say at which moment it is (operationTime): there are no change streams to capture",
        )
    })
}

/// The term of the primary: it grows, unless the deployment is set up anew. Not all servers say it.
pub(crate) async fn term(deployment: &Deployment) -> Result<Option<i64>> {
    let name = match deployment.server.capabilities().hello {
        true => "hello",
        false => "isMaster",
    };
    let hello = command::read(&deployment.database("admin"), doc! { name: 1 }, &PRIMARY).await?;
    let last = hello.get_document("lastWrite").ok();
    let last = last.and_then(|last| last.get_document("opTime").ok());
    Ok(last.and_then(|last| last.get_i64("t").ok()))
}

pub(crate) fn malformed() -> Error {
    Error::data("the server sent a malformed change event")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_kept_without_tokens() {
        let said = r#"the resume token was not found. {_data: "8265F2A1B300000001", at: "ab12"}"#;
        let kept = r#"the resume token was not found. {_data: "…", at: "ab12"}"#;
        assert_eq!(without_tokens(said), kept);
        assert_eq!(
            without_tokens("it failed: 0123456789abcdefF"),
            "it failed: …"
        );
        let short = "error 280 of 0123456789abcdef";
        assert_eq!(without_tokens(short), short);
    }
}
