//! One client's connection: a command is refused, answered here, or passed on and its reply changed.

use std::{io, sync::Arc};

use bson::{RawDocumentBuf, Timestamp, rawdoc};
use tokio::net::TcpStream;

use super::{
    check::check,
    message::{Command, Server, documents_of, first_key},
    refusal::Refusal,
    reply::{
        HIDDEN, batch, build_info, collection, cursor, databases, edited, handshake, index, is_ok,
        of_nothing, with_batch, without_internals,
    },
    state::{Cursor, Shared},
};

/// What a command comes to, unless the connection to the server is lost.
pub(super) type Answer = io::Result<Result<RawDocumentBuf, Refusal>>;

/// A connection with the one behind it.
pub(super) struct Connection {
    pub(super) server: Server,
    pub(super) shared: Arc<Shared>,
}

/// Serves a client until one side is gone.
pub(super) async fn serve(mut client: TcpStream, shared: Arc<Shared>) {
    let Ok(server) = Server::connect(&shared.target).await else {
        return;
    };
    // It fails when the client is gone, which reading tells too.
    drop(client.set_nodelay(true));
    let mut connection = Connection { server, shared };
    while let Ok(command) = Command::read(&mut client).await {
        let Ok(answer) = connection.answer(&command).await else {
            return;
        };
        let reply = answer.unwrap_or_else(|refusal| connection.refuse(&command, &refusal));
        if command.is_answered && command.answer(&mut client, &reply).await.is_err() {
            return;
        }
    }
}

impl Connection {
    async fn answer(&mut self, command: &Command) -> Answer {
        if let Err(refusal) = check(command) {
            return Ok(Err(refusal));
        }
        let (name, database) = (command.name(), command.database());
        if HIDDEN.contains(&database) {
            let namespace = command
                .collection()
                .map(|collection| format!("{database}.{collection}"));
            if let Some(answer) = of_nothing(name, namespace, database) {
                return Ok(answer);
            }
        }
        match name {
            "aggregate" => {
                let stages = documents_of(command.body.get("pipeline").ok().flatten());
                match stages.first().map(|stage| first_key(stage)) {
                    Some("$changeStream") => self.open_stream(command).await,
                    Some("$listChangeStreams") => self.list_streams(command).await,
                    _ => self.pass(command).await,
                }
            }
            "getMore" => self.get_more(command).await,
            "modifyChangeStreams" => self.switch_streams(command).await,
            _ => self.pass(command).await,
        }
    }

    /// Passes a command on as it is, and its reply as DocumentDB would have it.
    pub(super) async fn pass(&mut self, command: &Command) -> Answer {
        let body = for_server(command);
        let reply = self.server.pass(command, &body).await?;
        if !is_ok(&reply) {
            return Ok(Ok(without_internals(&reply)));
        }
        let (name, database, collection) =
            (command.name(), command.database(), command.collection());
        let mut state = self.shared.state();
        let reply = match name {
            "hello" | "isMaster" | "ismaster" => {
                let me = state.me.as_ref().unwrap_or(&state.address);
                handshake(&reply, &state.address, me)
            }
            "buildInfo" | "buildinfo" => build_info(&reply),
            "listDatabases" => databases(&reply),
            "listCollections" | "listIndexes" => {
                let kind = match collection {
                    Some(collection) => Cursor::Indexes(format!("{database}.{collection}")),
                    None => Cursor::Collections,
                };
                let changed = changed(&reply, &kind);
                if let Some((id, _)) = cursor(&reply).filter(|(id, _)| *id != 0) {
                    state.cursors.insert(id, kind);
                }
                changed
            }
            "drop" | "dropDatabase" => {
                if let Ok(time) = reply.get_timestamp("operationTime") {
                    state.enabled.dropped(database, collection, time);
                }
                reply
            }
            _ => reply,
        };
        Ok(Ok(without_internals(&reply)))
    }

    async fn get_more(&mut self, command: &Command) -> Answer {
        let id = command.body.get_i64("getMore").unwrap_or_default();
        if matches!(
            self.shared.state().cursors.get(&id),
            Some(Cursor::Events(_))
        ) {
            return self.more_events(command, id).await;
        }
        let reply = self.server.pass(command, &command.body).await?;
        let state = self.shared.state();
        let reply = match state.cursors.get(&id) {
            Some(kind) if is_ok(&reply) => changed(&reply, kind),
            _ => reply,
        };
        Ok(Ok(without_internals(&reply)))
    }

    /// The time of the last write, as any reply has it.
    pub(super) async fn operation_time(&mut self) -> io::Result<Timestamp> {
        let reply = self
            .server
            .run(&rawdoc! { "ping": 1, "$db": "admin" })
            .await?;
        let time = reply.get_timestamp("operationTime");
        time.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn refuse(&self, command: &Command, refusal: &Refusal) -> RawDocumentBuf {
        let refused = format!("{}: {}", command.name(), refusal.message);
        self.shared.state().refusals.push(refused);
        refusal.reply()
    }
}

/// The body of a command without what MongoDB does not know.
fn for_server(command: &Command) -> RawDocumentBuf {
    match command.name() {
        "create" => edited(&command.body, |name, value| {
            (!["autoIndexId", "capped", "storageEngine"].contains(&name)).then(|| value.into())
        }),
        "hello" | "isMaster" | "ismaster" => edited(&command.body, |name, value| {
            (name != "speculativeAuthenticate").then(|| value.into())
        }),
        _ => command.body.clone(),
    }
}

/// The reply of a cursor over collections or indexes.
fn changed(reply: &RawDocumentBuf, kind: &Cursor) -> RawDocumentBuf {
    let given = batch(reply).into_iter();
    let batch = match kind {
        Cursor::Collections => given.filter_map(collection).collect(),
        Cursor::Indexes(namespace) => given.map(|one| index(one, namespace)).collect(),
        Cursor::Events(_) => return reply.clone(),
    };
    let id = cursor(reply).map_or(0, |(id, _)| id);
    with_batch(reply, id, batch, None)
}
