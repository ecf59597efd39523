//! What a stream tells, moment by moment.

use std::time::Instant;

use bson::{RawDocument, RawDocumentBuf};
use mongodb::error::Error as DriverError;
use rdump_oplog::{ChangeEvent, EventEntries, OpTime};

use super::{
    Events, Start,
    definitions::{Definitions, Looked},
    is_too_long, join, malformed,
};
use crate::{Error, ErrorKind, Result, command};

/// How many bytes of entries of one moment wait for its end.
const MOST_WAITING: usize = 8 << 20;

/// Makes entries of events, and says until when everything was told.
pub(crate) struct Telling<'a> {
    events: Events,
    pub(crate) definitions: Definitions<'a>,
    /// The last moment that is over; what comes is of later ones.
    end: OpTime,
    /// The last moment that the server has told of; what was looked up may be of a later one.
    told_until: OpTime,
    /// What leads on from there.
    token: Option<RawDocumentBuf>,
    /// The moment of which more may come.
    group: Option<Group>,
    /// A moment that the server has come to, and when it said so.
    heard: Option<(Instant, OpTime)>,
    /// The parts of an event until now.
    parts: Vec<RawDocumentBuf>,
    /// What the stream did not tell of.
    untold: Option<String>,
    told: Vec<Told>,
}

/// Entries, and what is known by then.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) entries: Vec<RawDocumentBuf>,
    /// Where that is; `None` amid a moment.
    pub(crate) until: Option<ToldUntil>,
}

/// The moment until which everything was told.
#[derive(Clone, Debug)]
pub(crate) struct ToldUntil {
    pub(crate) end: OpTime,
    /// The last moment of that which the server has told of: what was looked up may be of a later one.
    pub(crate) told: OpTime,
    /// What leads on from there.
    pub(crate) token: Option<RawDocumentBuf>,
}

impl ToldUntil {
    pub(crate) fn start(self) -> Start {
        match self.token {
            Some(token) => Start::Token(token),
            None => Start::After(self.told),
        }
    }
}

/// What a look came to.
#[derive(Debug)]
pub(crate) enum Look {
    /// All that there was.
    Drained,
    /// Nothing comes any more: a stream of a database ends when that is dropped.
    Ended,
    /// The stream did not tell of something, and cannot be gone on with.
    Untold(String),
    /// An event is too long for a document: the stream has to be opened anew, so that such events come in parts.
    TooLong,
}

/// What happened at one moment.
struct Group {
    entries: EventEntries,
    /// The token of its last event.
    token: RawDocumentBuf,
    /// When that came.
    came: Instant,
    /// Whether nothing comes after it in this stream.
    is_end: bool,
}

impl<'a> Telling<'a> {
    /// Goes on after a moment.
    pub(crate) fn new(
        events: Events,
        (end, start): (OpTime, Start),
        definitions: Definitions<'a>,
    ) -> Self {
        Self {
            events,
            definitions,
            end,
            told_until: end,
            token: match start {
                Start::Token(token) => Some(token),
                Start::After(_) => None,
            },
            group: None,
            heard: None,
            parts: Vec::new(),
            untold: None,
            told: Vec::new(),
        }
    }

    /// Whether something was told that is not given out yet.
    pub(crate) fn waits_since(&self) -> Option<Instant> {
        self.group.as_ref().map(|group| group.came)
    }

    /// Takes what comes at once, perhaps nothing.
    ///
    /// Who drops the future takes nothing from it any more.
    pub(crate) async fn look(&mut self) -> Result<(Vec<Told>, Look)> {
        let sent = Instant::now();
        let reply = match self.events.next().await {
            Ok(reply) => reply,
            Err(error) => return Ok((Vec::new(), self.interrupted(error)?)),
        };
        let mut is_empty = true;
        for event in reply.events()? {
            is_empty = false;
            self.take_part(event?).await?;
            if self.untold.is_some() {
                return Ok(self.given());
            }
        }
        let settle = self.events.manner.settle;
        if is_empty {
            let is_settled = |since: Instant| since < sent && sent.duration_since(since) >= settle;
            if self
                .group
                .as_ref()
                .is_some_and(|group| is_settled(group.came))
            {
                self.close();
            }
            if let Some((since, at)) = self.heard
                && is_settled(since)
                && self.group.is_none()
            {
                self.heard = None;
                self.token = reply.token().or_else(|| self.token.take());
                self.settle_definitions(at.next());
                self.advance(at);
            }
        }
        if self.heard.is_none() {
            self.heard = reply.moment().map(|at| (Instant::now(), at));
        }
        if self.group.as_ref().is_some_and(|group| group.is_end) {
            self.close();
            return Ok((std::mem::take(&mut self.told), Look::Ended));
        }
        Ok(self.given())
    }

    fn given(&mut self) -> (Vec<Told>, Look) {
        let look = self.untold.take().map_or(Look::Drained, Look::Untold);
        (std::mem::take(&mut self.told), look)
    }

    /// Takes an event, or a part of one.
    async fn take_part(&mut self, event: &RawDocument) -> Result<()> {
        let Ok(split) = event.get_document("splitEvent") else {
            return self.take(event).await;
        };
        let number = |name| split.get_i32(name).map_err(Error::from_bson);
        let (part, of) = (number("fragment")?, number("of")?);
        self.parts.push(event.to_owned());
        if part < of {
            return Ok(());
        }
        let event = join(&std::mem::take(&mut self.parts))?;
        self.take(&event).await
    }

    async fn take(&mut self, event: &RawDocument) -> Result<()> {
        let fail = |error: &dyn std::error::Error| malformed().caused_by(error.to_string());
        let event = ChangeEvent::parse(event.as_bytes()).map_err(|error| fail(&error))?;
        self.settle_definitions(event.at());
        // What comes late is of no moment that was said to be over.
        let at = event.at().max(self.end.next());
        if self
            .group
            .as_ref()
            .is_some_and(|group| at > group.entries.at())
        {
            self.close();
        }
        let commands = match self.definitions.before(&event).await? {
            Looked::Found(commands) => commands,
            Looked::Untold(what) => {
                self.untold.get_or_insert(what);
                return Ok(());
            }
        };
        let token = RawDocumentBuf::from_bytes(event.token().to_vec()).map_err(Error::from_bson)?;
        let group = self.group.get_or_insert_with(|| Group {
            entries: EventEntries::new(at),
            token: RawDocumentBuf::new(),
            came: Instant::now(),
            is_end: false,
        });
        for command in commands {
            let db = event.namespace().map(|it| it.db.as_str());
            group.entries.push_command(db.unwrap_or_default(), &command);
        }
        group.entries.push(&event).map_err(|error| fail(&error))?;
        (group.token, group.came, group.is_end) = (token, Instant::now(), event.is_end());
        if group.entries.bytes() > MOST_WAITING {
            let entries = group.entries.take_complete();
            self.told.push(Told {
                entries,
                until: None,
            });
        }
        Ok(())
    }

    /// What was looked up counts before what is of a later moment.
    fn settle_definitions(&mut self, next: OpTime) {
        let looked_at = self.definitions.looked_at();
        let Some(looked_at) = looked_at.filter(|it| *it < next) else {
            return;
        };
        self.close();
        let at = looked_at.max(self.end.next());
        match self.definitions.settle(at) {
            Looked::Found(entries) => {
                if !entries.is_empty() {
                    self.told.push(Told {
                        entries,
                        until: None,
                    });
                    self.end = at;
                }
                self.advance(looked_at);
            }
            Looked::Untold(what) => drop(self.untold.get_or_insert(what)),
        }
    }

    /// Nothing more comes of the moment at hand.
    fn close(&mut self) {
        let Some(group) = self.group.take() else {
            return;
        };
        let at = group.entries.at();
        // Of one that ended there is nothing to go on with.
        self.token = Some(group.token).filter(|_| !group.is_end);
        let entries = group.entries.build();
        self.told.push(Told {
            entries,
            until: None,
        });
        self.advance(at);
    }

    /// Everything until a moment was told.
    fn advance(&mut self, at: OpTime) {
        self.end = self.end.max(at);
        self.told_until = self.told_until.max(at);
        self.told.push(Told {
            entries: Vec::new(),
            until: Some(ToldUntil {
                end: self.end,
                told: self.told_until,
                token: self.token.clone(),
            }),
        });
    }

    /// What an error means, if it does not pass by itself.
    fn interrupted(&self, error: DriverError) -> Result<Look> {
        let is_too_long = is_too_long(&error);
        // There is another manner to try.
        if is_too_long && self.events.manner.images && !self.events.manner.split {
            return Ok(Look::TooLong);
        }
        if is_too_long || error.contains_label("NonResumableChangeStreamError") {
            return Ok(Look::Untold(command::error(error).to_string()));
        }
        let code = command::server_code(&error);
        let error = command::error(error);
        match code {
            // It is opened anew where it was, and that says whether it can be.
            Some(_) if error.kind() != ErrorKind::Denied => {
                Err(Error::new(ErrorKind::Unavailable, error.to_string()))
            }
            _ => Err(error),
        }
    }
}
