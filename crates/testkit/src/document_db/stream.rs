//! Change streams: opened with the server's tokens, and delivered with our own.

use std::{mem, time::Duration};

use bson::{Bson, Document, RawDocument, RawDocumentBuf, Timestamp, doc};
use tokio::time::timeout;

use super::{
    connection::{Answer, Connection},
    enabled::Enabled,
    message::{Command, encoded},
    refusal::Refusal,
    reply::{batch, cursor, edited, is_ok, with_batch, without_internals},
    state::{Cursor, State},
    token,
};

/// How long a server waits for events when the client does not say so, in milliseconds.
const WAIT_MILLISECONDS: i64 = 1000;
/// What a stream of all collections of a database, or of all databases, is called behind the database.
const ALL_COLLECTIONS: &str = "$cmd.aggregate";
/// Fields of events that are not delivered.
const NOT_DELIVERED: &[&str] = &[
    "collectionUUID",
    "lsid",
    "operationDescription",
    "txnNumber",
    "updateDescription",
    "wallTime",
];

/// An open change stream.
#[derive(Debug)]
pub(super) struct Stream {
    /// The namespace of its cursor.
    namespace: String,
    /// Events that the server has given already, while they were held back.
    kept: Vec<RawDocumentBuf>,
    /// Whether the server has ended it since.
    is_exhausted: bool,
    /// Why it fails next time.
    pub(super) failure: Option<Refusal>,
}

impl Connection {
    /// Answers `modifyChangeStreams`.
    pub(super) async fn switch_streams(&mut self, command: &Command) -> Answer {
        let now = self.operation_time().await?;
        let scope = ["database", "collection"].map(|name| command.body.get_str(name).ok());
        let ([Some(database), Some(collection)], Ok(enable)) =
            (scope, command.body.get_bool("enable"))
        else {
            return Ok(Err(Refusal::new(
                9,
                "modifyChangeStreams needs database, collection and enable",
            )));
        };
        self.shared
            .state()
            .enabled
            .switch(database, collection, enable, now);
        Ok(Ok(encoded(doc! { "ok": 1.0, "operationTime": now })))
    }

    /// Answers `$listChangeStreams`, and lets the server do the stages after it.
    pub(super) async fn list_streams(&mut self, command: &Command) -> Answer {
        let mut body = document(&command.body);
        // The one stage without a collection that every version has and that gives at least one document.
        let enabled = self.shared.state().enabled.list();
        let mut pipeline = vec![
            doc! { "$currentOp": { "localOps": true } },
            doc! { "$limit": 1 },
            doc! { "$project": { "enabled": { "$literal": enabled } } },
            doc! { "$unwind": "$enabled" },
            doc! { "$replaceRoot": { "newRoot": "$enabled" } },
        ];
        let stages = body.get_array("pipeline").into_iter().flatten().skip(1);
        pipeline.extend(stages.filter_map(Bson::as_document).cloned());
        body.insert("aggregate", 1);
        body.insert("$db", "admin");
        body.insert("pipeline", pipeline);
        let reply = self.server.pass(command, &encoded(body)).await?;
        Ok(Ok(without_internals(&reply)))
    }

    /// Answers `$changeStream`.
    pub(super) async fn open_stream(&mut self, command: &Command) -> Answer {
        let now = self.operation_time().await?;
        let opening = self.shared.state().opening(command, now);
        let body = match opening {
            Ok(body) => encoded(body),
            Err(refusal) => return Ok(Err(refusal)),
        };
        let reply = self.server.pass(command, &body).await?;
        let Some((id, namespace)) = cursor(&reply).filter(|_| is_ok(&reply)) else {
            return Ok(Ok(without_internals(&reply)));
        };
        let stream = Cursor::Events(Stream::new(namespace));
        self.shared.state().cursors.insert(id, stream);
        Ok(self.deliver(id, &reply))
    }

    /// Answers `getMore` of a change stream.
    pub(super) async fn more_events(&mut self, command: &Command, id: i64) -> Answer {
        let mut held = self.shared.held.subscribe();
        let released = held.wait_for(|held| !held);
        let released = timeout(wait_of(&command.body), released).await.is_ok();
        let now = self.operation_time().await?;
        if let Some(answer) = self.shared.state().without_server(id, !released, now) {
            return Ok(answer);
        }
        let reply = self.server.pass(command, &command.body).await?;
        if is_ok(&reply) {
            Ok(self.deliver(id, &reply))
        } else {
            Ok(Ok(without_internals(&reply)))
        }
    }

    /// What of the server's batch a client gets, now or later.
    fn deliver(&self, id: i64, reply: &RawDocument) -> Result<RawDocumentBuf, Refusal> {
        let mut state = self.shared.state();
        let State {
            enabled,
            cursors,
            batch_tokens,
            ..
        } = &mut *state;
        let Some(Cursor::Events(stream)) = cursors.get_mut(&id) else {
            return Err(Refusal::no_cursor(id));
        };
        let events = batch(reply).into_iter();
        let events = events.filter_map(|event| stream.delivered(event, enabled).transpose());
        let events = events.collect::<Result<Vec<_>, _>>()?;
        let id_now = cursor(reply).map_or(0, |(id, _)| id);
        if *self.shared.held.borrow() && id != 0 {
            stream.kept.extend(events);
            stream.is_exhausted = id_now == 0;
            return Ok(without_internals(&with_batch(reply, id, Vec::new(), None)));
        }
        let cursor = reply.get_document("cursor").ok();
        let token = cursor.and_then(|cursor| cursor.get_document("postBatchResumeToken").ok());
        let token = token.filter(|_| *batch_tokens).map(token::wrap);
        Ok(without_internals(&with_batch(reply, id_now, events, token)))
    }
}

impl State {
    /// The command that opens a stream, as the server takes it.
    fn opening(&self, command: &Command, now: Timestamp) -> Result<Document, Refusal> {
        let mut body = document(&command.body);
        let stages = body.get_array_mut("pipeline").ok();
        let stage = stages.and_then(|stages| stages.first_mut()?.as_document_mut());
        let options = stage.and_then(|stage| stage.get_document_mut("$changeStream").ok());
        let Some(options) = options else {
            return Err(Refusal::new(9, "$changeStream must be an object"));
        };
        if let Ok(time) = options.get_timestamp("startAtOperationTime") {
            // It begins with the event of that moment, if there is one.
            if Some(time) < self.forgotten(now) {
                return Err(self.lost.refusal());
            }
        }
        if let Some(after) = options.get("resumeAfter") {
            let after = after.as_document().ok_or_else(Refusal::invalid_token)?;
            let (after, time) = token::unwrap(&encoded(after.clone()))?;
            if Some(time) <= self.forgotten(now) {
                return Err(self.lost.refusal());
            }
            options.insert("resumeAfter", document(&after));
        }
        Ok(body)
    }

    /// The last moment whose events are gone.
    fn forgotten(&self, now: Timestamp) -> Option<Timestamp> {
        let retained = self.retention.map(|retention| {
            let seconds = u32::try_from(retention.as_secs()).unwrap_or(u32::MAX);
            Timestamp {
                time: now.time.saturating_sub(seconds),
                increment: 0,
            }
        });
        self.forgotten.max(retained)
    }

    /// The answer to who wants more events, where it takes no look at the server.
    fn without_server(
        &mut self,
        id: i64,
        is_held: bool,
        now: Timestamp,
    ) -> Option<Result<RawDocumentBuf, Refusal>> {
        let Some(Cursor::Events(stream)) = self.cursors.get_mut(&id) else {
            return Some(Err(Refusal::no_cursor(id)));
        };
        if let Some(failure) = stream.failure.take() {
            self.cursors.remove(&id);
            return Some(Err(failure));
        }
        if is_held {
            return Some(Ok(stream.reply(id, Vec::new(), now)));
        }
        if stream.kept.is_empty() && !stream.is_exhausted {
            return None;
        }
        let id = if stream.is_exhausted { 0 } else { id };
        let kept = mem::take(&mut stream.kept);
        Some(Ok(stream.reply(id, kept, now)))
    }
}

impl Stream {
    fn new(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            kept: Vec::new(),
            is_exhausted: false,
            failure: None,
        }
    }

    /// An event as it is delivered, if it is.
    fn delivered(
        &self,
        event: &RawDocument,
        enabled: &Enabled,
    ) -> Result<Option<RawDocumentBuf>, Refusal> {
        let changed_too_much =
            |_| Refusal::beyond_this_kit("events without _id, operationType, clusterTime or ns");
        let token = event.get_document("_id").map_err(changed_too_much)?;
        let time = event
            .get_timestamp("clusterTime")
            .map_err(changed_too_much)?;
        let (database, collection) =
            match event.get_str("operationType").map_err(changed_too_much)? {
                "insert" | "update" | "replace" | "delete" | "drop" => {
                    let namespace = event.get_document("ns").map_err(changed_too_much)?;
                    let name = |of| namespace.get_str(of).map_err(changed_too_much);
                    (name("db")?, name("coll")?)
                }
                "invalidate" => match self.namespace.split_once('.') {
                    Some((database, collection)) if collection != ALL_COLLECTIONS => {
                        (database, collection)
                    }
                    _ => return Ok(None),
                },
                _ => return Ok(None),
            };
        let is_delivered = enabled.has(database, collection, time);
        Ok(is_delivered.then(|| {
            edited(event, |name, value| match name {
                "_id" => Some(token::wrap(token).into()),
                name => (!NOT_DELIVERED.contains(&name)).then(|| value.into()),
            })
        }))
    }

    /// The reply to who wants more.
    fn reply(&self, id: i64, batch: Vec<RawDocumentBuf>, now: Timestamp) -> RawDocumentBuf {
        let cursor = doc! { "nextBatch": [], "id": id, "ns": &self.namespace };
        let empty = encoded(doc! { "cursor": cursor, "ok": 1.0, "operationTime": now });
        with_batch(&empty, id, batch, None)
    }
}

/// How long a client wants to wait for events.
fn wait_of(body: &RawDocument) -> Duration {
    let wait = body.get("maxTimeMS").ok().flatten();
    let wait = wait.and_then(|wait| wait.as_i64().or(wait.as_i32().map(i64::from)));
    Duration::from_millis(wait.unwrap_or(WAIT_MILLISECONDS).unsigned_abs())
}

fn document(raw: &RawDocument) -> Document {
    Document::try_from(raw).expect("the types of a command are those of today")
}
