//! Gathers slices of what a change stream tells.

use std::time::Duration;

use bson::{Timestamp, rawdoc};
use mongodb::options::SelectionCriteria;
use rdump_oplog::OpTime;
use tokio::sync::mpsc;

use super::{
    Capture,
    gathering::{Gathered, Gathering, give},
    session::Run,
};
use crate::{
    Error, ErrorKind, Result,
    change_stream::{Look, Telling, Told, ToldUntil, check_enabled, malformed},
};

/// How many bytes of one moment are kept until it is over: all of a moment is in one slice.
const MOST_OF_A_MOMENT: u64 = 512 << 20;

pub(super) struct StreamReader<'a> {
    capture: &'a Capture,
    run: &'a Run,
    from: &'a SelectionCriteria,
    telling: Telling<'a>,
    until: Option<OpTime>,
    gathering: Gathering<'a>,
    /// The last moment that is stored or in the builder.
    end: OpTime,
    /// What leads on from there.
    told: Option<ToldUntil>,
    /// Whether the builder ends amid a moment.
    is_amid: bool,
}

impl<'a> StreamReader<'a> {
    pub(super) fn new(
        (capture, run, from): (&'a Capture, &'a Run, &'a SelectionCriteria),
        (telling, end): (Telling<'a>, OpTime),
        until: Option<OpTime>,
    ) -> Self {
        Self {
            capture,
            run,
            from,
            telling,
            until,
            gathering: Gathering::new(capture),
            end,
            told: None,
            is_amid: false,
        }
    }

    /// Reads until it is stopped, has caught up, or the stream ends; what it has gathered until then is given over. Gives why another one has to be opened,
    /// once that is stored.
    pub(super) async fn run(mut self, gathered: &mpsc::Sender<Gathered>) -> Result<Option<Error>> {
        let cancel = self.capture.cx.cancel.clone();
        loop {
            let Some(looked) = cancel.run_until_cancelled(self.telling.look()).await else {
                self.seal(gathered).await?;
                return Ok(None);
            };
            let (told, look) = looked?;
            for told in told {
                self.take(told)?;
                if self.gathering.is_full() {
                    self.seal(gathered).await?;
                }
            }
            if self.is_amid && self.gathering.builder.bytes() >= MOST_OF_A_MOMENT {
                let why = format!(
                    "more than {} MiB happened at one moment",
                    MOST_OF_A_MOMENT >> 20
                );
                return Ok(Some(self.ended(why)));
            }
            let has_caught_up = self.has_caught_up().await?;
            let is_drained = matches!(look, Look::Drained);
            let is_due = self.gathering.is_due();
            if !is_drained || has_caught_up || is_due {
                self.seal(gathered).await?;
            }
            let why = match look {
                _ if has_caught_up => return Ok(None),
                Look::Drained => {
                    if is_due {
                        self.look_up().await?;
                    }
                    continue;
                }
                Look::Ended => "the database was dropped".to_owned(),
                Look::TooLong => {
                    self.run.split_events();
                    "an event is too long for a document".to_owned()
                }
                Look::Untold(what) => return Ok(Some(self.ended(what))),
            };
            return Ok(Some(interrupted(&why)));
        }
    }

    /// It does not go on from here.
    fn ended(&self, why: String) -> Error {
        let error = interrupted(&why);
        self.run.end_stream(why);
        error
    }

    /// Whether all is there that is waited for, and what was defined by then.
    async fn has_caught_up(&mut self) -> Result<bool> {
        let Some(until) = self.until.filter(|until| self.end >= *until) else {
            return Ok(false);
        };
        self.telling.definitions.are_there(until).await
    }

    /// Has a look at definitions now and then.
    async fn look_up(&mut self) -> Result<()> {
        let definitions = &mut self.telling.definitions;
        if !definitions.is_due() {
            return Ok(());
        }
        let cancel = self.capture.cx.cancel.clone();
        let looked = cancel.run_until_cancelled(definitions.look()).await;
        looked.unwrap_or(Ok(()))
    }

    fn take(&mut self, told: Told) -> Result<()> {
        for entry in &told.entries {
            self.gathering.take(entry.as_bytes(), true, malformed)?;
            self.is_amid = true;
        }
        let Some(until) = told.until else {
            return Ok(());
        };
        let at = until.end;
        (self.is_amid, self.told) = (false, Some(until));
        if at > self.end && self.gathering.builder.end() < Some(at) {
            let nothing = rawdoc! { "ts": Timestamp::from(at), "op": "n", "ns": "", "o": {} };
            let pushed = self.gathering.builder.push(nothing.as_bytes(), None);
            pushed.map_err(|error| Error::internal("a moment").caused_by(error))?;
        }
        self.end = self.end.max(at);
        Ok(())
    }

    /// Gives over what was gathered, unless that ends amid a moment.
    async fn seal(&mut self, gathered: &mpsc::Sender<Gathered>) -> Result<()> {
        if self.is_amid {
            return Ok(());
        }
        // Where streams were disabled meanwhile, nothing was told of what was written.
        let (source, select) = (&self.capture.source.0, &self.capture.options.select);
        check_enabled(source, self.from, select).await?;
        let waits_since = self.telling.waits_since();
        let Some((slice, waiting)) = self.gathering.seal(waits_since) else {
            return Ok(());
        };
        let gather = Gathered {
            slice,
            open_since: None,
            told: self.told.clone(),
            waiting,
        };
        give(gathered, gather).await;
        Ok(())
    }
}

fn interrupted(why: &str) -> Error {
    let message = format!("the change stream ended: {why}");
    Error::new(ErrorKind::Unavailable, message)
}

/// How long a server waits for something to tell of before it says that there is nothing.
pub(super) fn patience(capture: &Capture) -> Duration {
    let (shortest, longest) = (Duration::from_millis(50), Duration::from_secs(1));
    (capture.options.slice_age / 5).clamp(shortest, longest)
}
