//! The one moment that everything is read at, for as long as the server knows it.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use bson::{RawDocument, RawDocumentBuf, Timestamp, rawdoc};
use rdump_oplog::OpTime;

use crate::{Error, ErrorKind, Problem, Result, command::code, context::RunContext};

/// The moment that the reads of a dump share.
///
/// Cursors are kept alive by their use: each carries the session of the driver, which the server knows for half an hour after the last `getMore`.
#[derive(Debug)]
pub(super) struct Moment {
    cx: RunContext,
    at: OpTime,
    /// What is left without it.
    otherwise: Otherwise,
    is_lost: AtomicBool,
    /// Why the oplog cannot take its place.
    no_oplog: Mutex<Option<Error>>,
}

/// What a dump does that loses its moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Otherwise {
    /// It fails.
    Fail,
    /// A captured oplog brings everything to one moment.
    Oplog,
    /// Each collection is of a time of its own, and the report says so.
    Nothing,
}

impl Moment {
    pub(super) fn new(cx: RunContext, at: OpTime, otherwise: Otherwise) -> Self {
        Self {
            cx,
            at,
            otherwise,
            is_lost: AtomicBool::new(false),
            no_oplog: Mutex::default(),
        }
    }

    /// The moment, unless it is lost.
    pub(super) fn current(&self) -> Option<OpTime> {
        (!self.is_lost.load(Ordering::Acquire)).then_some(self.at)
    }

    /// Whether a dump that ends has it still.
    pub(super) fn is_kept(&self) -> bool {
        self.otherwise == Otherwise::Fail
    }

    /// Takes note that the oplog cannot be captured; an error if it is needed.
    pub(super) fn lose_oplog(&self, error: Error) -> Result<()> {
        // Under the lock: either who loses the moment sees this, or this sees that it is lost.
        let mut no_oplog = self.lock();
        if self.current().is_none() {
            return Err(error);
        }
        let message =
            format!("the oplog is not captured any more, and not needed as it seems: {error}");
        self.cx.notice(None, message);
        *no_oplog = Some(error);
        Ok(())
    }

    /// Gives the moment up; an error if nothing can take its place.
    pub(super) fn lose(&self, error: Error) -> Result<()> {
        let mut no_oplog = self.lock();
        if self.otherwise == Otherwise::Fail {
            return Err(error);
        }
        if let Some(no_oplog) = no_oplog.take() {
            return Err(no_oplog);
        }
        if self.is_lost.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let lost = format!("the dump cannot be read as of {} any more", self.at);
        match self.otherwise {
            Otherwise::Oplog => {
                let message = format!("{lost}, and goes on with the oplog: {error}");
                self.cx.notice(None, message);
            }
            Otherwise::Fail | Otherwise::Nothing => {
                let message = format!("{lost}, and what follows is of later times: {error}");
                self.cx.problem(Problem::new(None, message));
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Error>> {
        self.no_oplog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The read concern that reads at a moment.
pub(super) fn read_concern(at: OpTime) -> RawDocumentBuf {
    rawdoc! { "level": "snapshot", "atClusterTime": Timestamp::from(at) }
}

/// Whether a reply to `find` or `getMore` is of that moment, as it has to say by itself: there are servers that take the read
/// concern and do not mind it, and one that does not know the collection any more gives nothing.
pub(super) fn is_of(reply: &RawDocument, at: OpTime) -> bool {
    let cursor = reply.get_document("cursor").ok();
    let echo = cursor.and_then(|cursor| cursor.get_timestamp("atClusterTime").ok());
    echo.is_some_and(|echo| OpTime::from(echo) == at)
}

/// That a server did not say so.
pub(super) fn not_of(at: OpTime) -> Error {
    Error::conflict(format!(
        "the server does not give what was there at {at}: the collection was dropped or renamed since then, or this server ignores \
         the moment that is asked for"
    ))
    .with_hint("start the dump again, or take the oplog instead (--consistency auto or oplog)")
}

/// What an error of the server means for a read at this moment; `None` if nothing.
pub(super) fn forgotten(code: i32, at: OpTime) -> Option<Error> {
    let error = match code {
        code::QUERY_PLAN_KILLED => {
            Error::conflict("it was dropped, renamed or converted while it was dumped")
                .with_hint("start the dump again")
        }
        code::SNAPSHOT_UNAVAILABLE => Error::conflict(format!(
            "the server does not give what was there at {at}: the collection was made anew, dropped or renamed since then"
        ))
        .with_hint("start the dump again, or let the oplog be captured (--consistency auto)"),
        code::SNAPSHOT_TOO_OLD => Error::new(
            ErrorKind::Unavailable,
            format!("the server does not know any more what was there at {at}"),
        )
        .with_hint(
            "set the server's parameter minSnapshotHistoryWindowInSeconds to more than the dump takes, or let the oplog be captured \
             (--consistency auto)",
        ),
        _ => return None,
    };
    Some(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ordinal: u32) -> OpTime {
        OpTime {
            seconds: 100,
            ordinal,
        }
    }

    fn moment(otherwise: Otherwise) -> Moment {
        Moment::new(RunContext::default(), at(1), otherwise)
    }

    #[test]
    fn a_moment_is_lost_once_and_the_oplog_takes_its_place_if_it_is_there() {
        let strict = moment(Otherwise::Fail);
        strict.lose(Error::internal("x")).unwrap_err();
        assert_eq!(strict.current(), Some(at(1)));

        let lenient = moment(Otherwise::Oplog);
        lenient.lose(Error::internal("x")).unwrap();
        lenient.lose(Error::internal("y")).unwrap();
        assert_eq!(lenient.current(), None);
        let error = lenient.lose_oplog(Error::internal("gone")).unwrap_err();
        assert_eq!(error.to_string(), "gone");

        let both = moment(Otherwise::Oplog);
        both.lose_oplog(Error::internal("gone")).unwrap();
        let error = both.lose(Error::internal("x")).unwrap_err();
        assert_eq!(error.to_string(), "gone");
    }

    #[test]
    fn a_reply_has_to_say_that_it_is_of_the_moment() {
        let reply = |cursor: RawDocumentBuf| rawdoc! { "cursor": cursor, "ok": 1 };
        let echo = |ordinal| rawdoc! { "atClusterTime": Timestamp::from(at(ordinal)) };
        assert!(is_of(&reply(echo(1)), at(1)));
        assert!(!is_of(&reply(echo(2)), at(1)));
        assert!(!is_of(&reply(rawdoc! { "firstBatch": [] }), at(1)));
        assert!(!is_of(&rawdoc! { "ok": 1 }, at(1)));
    }

    #[test]
    fn what_a_server_forgot_says_how_to_have_it_remember() {
        let error = forgotten(239, at(1)).unwrap();
        assert!(error.hint().unwrap().contains("minSnapshotHistoryWindow"));
        assert_eq!(forgotten(175, at(1)).unwrap().kind(), ErrorKind::Conflict);
        assert!(forgotten(11600, at(1)).is_none());
    }
}
