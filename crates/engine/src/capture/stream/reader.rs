//! Reads the events of a change stream and gathers slices of them.

use std::time::{Duration, Instant};

use bson::{RawDocument, RawDocumentBuf, Timestamp, rawdoc};
use rdump_oplog::{ChangeEvent, EventEntries, OpTime, Remapped, SliceBuilder};
use tokio::sync::mpsc;

use super::{
    Events, Start, StreamPosition,
    definitions::{Definitions, Looked},
    is_too_long, join,
};
use crate::{
    Error, ErrorKind, Result,
    capture::{
        Capture, begin,
        reader::{Gathered, IDLE, SEGMENT_BYTES, selected},
        session::Run,
    },
    command,
};

/// How many bytes of entries of one moment wait for its end.
const MOST_WAITING: usize = 8 << 20;

pub(in crate::capture) struct StreamReader<'a> {
    capture: &'a Capture,
    run: &'a Run,
    events: Events,
    definitions: Option<Definitions<'a>>,
    until: Option<OpTime>,
    builder: SliceBuilder,
    /// The last moment that is stored or in the builder; what comes is of later ones.
    end: OpTime,
    /// What leads on from there.
    token: Option<RawDocumentBuf>,
    /// The moment of which more may come.
    group: Option<Group>,
    /// A moment that the server has come to, and when it said so.
    heard: Option<(Instant, OpTime)>,
    /// What the stream did not tell of.
    untold: Option<String>,
    /// The parts of an event until now.
    parts: Vec<RawDocumentBuf>,
    waits_since: Option<Instant>,
    sealed_at: Instant,
}

/// What happened at one moment.
struct Group {
    entries: EventEntries,
    /// The token of its last event.
    token: RawDocumentBuf,
    /// When that came.
    came: Instant,
    /// Whether the builder has a part of it.
    is_begun: bool,
    /// Whether nothing comes after it in this stream.
    is_end: bool,
}

/// What ends a look.
enum Look {
    Drained,
    /// Nothing comes any more: a stream of a database ends when that is dropped.
    Ended,
    Stopped,
}

impl<'a> StreamReader<'a> {
    pub(in crate::capture) fn new(
        capture: &'a Capture,
        run: &'a Run,
        position: StreamPosition<'a>,
        until: Option<OpTime>,
    ) -> Self {
        let StreamPosition {
            start,
            events,
            definitions,
        } = position;
        let token = match start {
            (_, Start::Token(token)) => Some(token),
            (_, Start::After(_)) => None,
        };
        Self {
            capture,
            run,
            events,
            definitions,
            until,
            builder: SliceBuilder::new(SEGMENT_BYTES),
            end: start.0,
            token,
            group: None,
            heard: None,
            untold: None,
            parts: Vec::new(),
            waits_since: None,
            sealed_at: Instant::now(),
        }
    }

    /// Reads until it is stopped, has caught up, or the stream ends; what it has gathered until then is given over. Gives why another one has to be opened,
    /// once that is stored.
    pub(in crate::capture) async fn run(
        mut self,
        gathered: &mpsc::Sender<Gathered>,
    ) -> Result<Option<Error>> {
        loop {
            let look = self.look(gathered).await?;
            let has_caught_up = self.has_caught_up().await?;
            let is_over = has_caught_up || !matches!(look, Look::Drained);
            if is_over || self.is_due() {
                self.seal(gathered).await?;
                self.look_up(&look).await?;
            }
            match look {
                Look::Stopped => return Ok(None),
                _ if has_caught_up => return Ok(None),
                Look::Drained => {}
                Look::Ended => {
                    let why = match self.untold.take() {
                        None => "the database was dropped".to_owned(),
                        Some(what) => {
                            self.run.end_stream(what.clone());
                            what
                        }
                    };
                    let message = format!("the change stream ended: {why}");
                    return Ok(Some(Error::new(ErrorKind::Unavailable, message)));
                }
            }
        }
    }

    /// Whether all is there that is waited for, and what was defined by then.
    async fn has_caught_up(&mut self) -> Result<bool> {
        let Some(until) = self.until.filter(|until| self.end >= *until) else {
            return Ok(false);
        };
        let Some(definitions) = &mut self.definitions else {
            return Ok(true);
        };
        if definitions.looked_at().is_none() && !definitions.has_settled(until) {
            definitions.look().await?;
        }
        Ok(definitions.has_settled(until))
    }

    /// Takes what comes at once.
    async fn look(&mut self, gathered: &mpsc::Sender<Gathered>) -> Result<Look> {
        let sent = Instant::now();
        let cancel = self.capture.cx.cancel.clone();
        let Some(reply) = cancel.run_until_cancelled(self.events.next()).await else {
            return Ok(Look::Stopped);
        };
        let reply = reply.map_err(|error| self.interrupted(error))?;
        let mut is_empty = true;
        for event in reply.events()? {
            is_empty = false;
            self.take_part(event?, gathered).await?;
            if self.untold.is_some() {
                return Ok(Look::Ended);
            }
        }
        let settle = self.events.manner.settle;
        if is_empty {
            let is_settled = |since: Instant| sent.duration_since(since) >= settle;
            let is_whole = |group: &Group| group.came < sent && is_settled(group.came);
            if self.group.as_ref().is_some_and(is_whole) {
                self.close()?;
            }
            if let Some((since, at)) = self.heard
                && since < sent
                && is_settled(since)
                && self.group.is_none()
            {
                self.heard = None;
                self.advance(at)?;
                self.settle_definitions(begin::after(at))?;
                self.token = reply.token().or_else(|| self.token.take());
            }
        }
        if self.untold.is_some() {
            return Ok(Look::Ended);
        }
        if self.heard.is_none() {
            self.heard = reply.moment().map(|at| (Instant::now(), at));
        }
        if self.group.as_ref().is_some_and(|group| group.is_end) {
            self.close()?;
            return Ok(Look::Ended);
        }
        Ok(Look::Drained)
    }

    /// Takes an event, or a part of one.
    async fn take_part(
        &mut self,
        event: &RawDocument,
        gathered: &mpsc::Sender<Gathered>,
    ) -> Result<()> {
        let Ok(split) = event.get_document("splitEvent") else {
            return self.take(event, gathered).await;
        };
        let number = |name| split.get_i32(name).map_err(Error::from_bson);
        let (part, of) = (number("fragment")?, number("of")?);
        self.parts.push(event.to_owned());
        if part < of {
            return Ok(());
        }
        let event = join(&std::mem::take(&mut self.parts))?;
        self.take(&event, gathered).await
    }

    async fn take(&mut self, event: &RawDocument, gathered: &mpsc::Sender<Gathered>) -> Result<()> {
        let fail = |error: &dyn std::error::Error| super::malformed().caused_by(error.to_string());
        let event = ChangeEvent::parse(event.as_bytes()).map_err(|error| fail(&error))?;
        self.settle_definitions(event.at())?;
        if self.untold.is_some() {
            return Ok(());
        }
        // What comes late is of no moment that was said to be over.
        let at = event.at().max(begin::after(self.end));
        if self
            .group
            .as_ref()
            .is_some_and(|group| at > group.entries.at())
        {
            self.close()?;
            if self.builder.bytes() >= self.capture.options.slice_bytes || self.is_due() {
                self.seal(gathered).await?;
            }
        }
        let commands = match &mut self.definitions {
            None => Looked::Found(Vec::new()),
            Some(definitions) => definitions.before(&event).await?,
        };
        let commands = match commands {
            Looked::Found(commands) => commands,
            Looked::Untold(what) => {
                self.untold = Some(what);
                return Ok(());
            }
        };
        let token = RawDocumentBuf::from_bytes(event.token().to_vec()).map_err(Error::from_bson)?;
        let group = self.group.get_or_insert_with(|| Group {
            entries: EventEntries::new(at),
            token: RawDocumentBuf::new(),
            came: Instant::now(),
            is_begun: false,
            is_end: false,
        });
        for command in commands {
            let db = event.namespace().map(|it| it.db.as_str());
            group.entries.push_command(db.unwrap_or_default(), &command);
        }
        group.entries.push(&event).map_err(|error| fail(&error))?;
        (group.token, group.came, group.is_end) = (token, Instant::now(), event.is_end());
        self.waits_since.get_or_insert_with(Instant::now);
        if group.entries.bytes() > MOST_WAITING {
            let entries = group.entries.take_complete();
            group.is_begun |= !entries.is_empty();
            self.push(&entries)?;
        }
        Ok(())
    }

    /// Has a look at definitions now and then.
    async fn look_up(&mut self, look: &Look) -> Result<()> {
        let is_drained = matches!(look, Look::Drained);
        match &mut self.definitions {
            Some(definitions) if is_drained && definitions.is_due() => {
                let cancel = self.capture.cx.cancel.clone();
                let looked = cancel.run_until_cancelled(definitions.look()).await;
                looked.unwrap_or(Ok(()))
            }
            _ => Ok(()),
        }
    }

    /// What was looked up counts before what is of a later moment.
    fn settle_definitions(&mut self, next: OpTime) -> Result<()> {
        let Some(definitions) = &mut self.definitions else {
            return Ok(());
        };
        let Some(looked_at) = definitions.looked_at().filter(|it| *it < next) else {
            return Ok(());
        };
        self.close()?;
        self.advance(looked_at)?;
        if self.builder.end().is_none() {
            // What ended there is stored.
            self.advance(begin::after(self.end))?;
        }
        let Some(definitions) = &mut self.definitions else {
            return Ok(());
        };
        match definitions.settle(self.end) {
            Looked::Found(entries) => self.push(&entries)?,
            Looked::Untold(what) => self.untold = Some(what),
        }
        Ok(())
    }

    /// Nothing more comes of the moment at hand.
    fn close(&mut self) -> Result<()> {
        let Some(group) = self.group.take() else {
            return Ok(());
        };
        let (at, is_end) = (group.entries.at(), group.is_end);
        self.push(&group.entries.build())?;
        self.advance(at)?;
        // Of one that ended there is nothing to go on with.
        self.token = Some(group.token).filter(|_| !is_end);
        Ok(())
    }

    /// Everything until a moment was told.
    fn advance(&mut self, at: OpTime) -> Result<()> {
        if at <= self.end {
            return Ok(());
        }
        let nothing = rawdoc! { "ts": Timestamp::from(at), "op": "n", "ns": "", "o": {} };
        let pushed = self.builder.push(nothing.as_bytes(), None);
        pushed.map_err(|error| Error::internal("a moment").caused_by(error))?;
        self.end = at;
        Ok(())
    }

    /// Takes entries, as far as they are selected.
    fn push(&mut self, entries: &[RawDocumentBuf]) -> Result<()> {
        for entry in entries {
            let bytes = entry.as_bytes();
            let changed;
            let stored = match selected(&self.capture.options.select, bytes) {
                Ok(Remapped::Same) => Some(bytes),
                Ok(Remapped::Nothing) => None,
                Ok(Remapped::Changed(entry)) => {
                    changed = entry;
                    Some(changed.as_bytes())
                }
                Err(error) => return Err(super::malformed().caused_by(error)),
            };
            let pushed = self.builder.push(bytes, stored);
            pushed.map_err(|error| super::malformed().caused_by(error))?;
        }
        Ok(())
    }

    /// Whether what was gathered has to be given over.
    fn is_due(&self) -> bool {
        let age = self.capture.options.slice_age;
        match self.waits_since {
            Some(since) => since.elapsed() >= age,
            None => self.builder.end().is_some() && self.sealed_at.elapsed() >= IDLE.max(age),
        }
    }

    /// Gives over what was gathered, unless that ends amid a moment.
    async fn seal(&mut self, gathered: &mpsc::Sender<Gathered>) -> Result<()> {
        if self.builder.end().is_none() || self.group.as_ref().is_some_and(|it| it.is_begun) {
            return Ok(());
        }
        let builder = std::mem::replace(&mut self.builder, SliceBuilder::new(SEGMENT_BYTES));
        self.waits_since = self.group.as_ref().map(|group| group.came);
        self.sealed_at = Instant::now();
        let Some(slice) = builder.build() else {
            return Ok(());
        };
        // A token has the id of a document in it.
        let token = self.token.clone().filter(|_| self.run.keys.is_none());
        // Who receives has failed, and says why.
        let _ = gathered
            .send(Gathered {
                slice,
                open_since: None,
                token,
            })
            .await;
        Ok(())
    }

    fn interrupted(&self, error: mongodb::error::Error) -> Error {
        if is_too_long(&error) && !self.events.manner.split {
            self.run.split_events();
            return Error::new(
                ErrorKind::Unavailable,
                "an event is too long for a document",
            );
        }
        if error.contains_label("NonResumableChangeStreamError") || is_too_long(&error) {
            let error = command::error(error);
            self.run.end_stream(error.to_string());
            return Error::new(ErrorKind::Unavailable, error.to_string());
        }
        let code = command::server_code(&error);
        let error = command::error(error);
        match code {
            // It is opened anew where it was, and that says whether it can be.
            Some(_) if error.kind() != ErrorKind::Denied => {
                Error::new(ErrorKind::Unavailable, error.to_string())
            }
            _ => error,
        }
    }
}

/// How long a server waits for something to tell of before it says that there is nothing.
pub(super) fn patience(capture: &Capture) -> Duration {
    let (shortest, longest) = (Duration::from_millis(50), Duration::from_secs(1));
    (capture.options.slice_age / 5).clamp(shortest, longest)
}
