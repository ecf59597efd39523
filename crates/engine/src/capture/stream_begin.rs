//! Where a capture of change streams goes on, or begins.

use bson::RawDocumentBuf;
use mongodb::options::SelectionCriteria;
use rdump_format::{
    ext_json,
    repository::{GapReason, SliceFooter, SliceSource, Unseen},
};

use super::{
    Capture,
    begin::{End, Position, moments},
    session::Run,
    stream_reader::patience,
};
use crate::{
    Error, ErrorKind, OpTime, Result,
    change_stream::{
        Definitions, Events, NotOpened, Scope, Start, Telling, ToldUntil, check_enabled, now, term,
    },
};

/// How many snapshots are tried as the beginning of what is captured: the newest.
const MOST_BEGINNINGS: usize = 8;

/// A stream that goes on where what is stored ends.
pub(super) struct StreamPosition<'a> {
    /// The moment that comes before what is read.
    pub(super) start: OpTime,
    pub(super) telling: Telling<'a>,
    /// What is not told.
    pub(super) unseen: Vec<Unseen>,
    /// That of the primary.
    pub(super) term: Option<i64>,
}

/// Finds out where to read on, and stores a gap if something is missing until there; `gaps` counts them.
pub(super) async fn position<'a>(
    capture: &'a Capture,
    run: &Run,
    from: &'a SelectionCriteria,
    gaps: &mut u64,
) -> Result<(Position, StreamPosition<'a>)> {
    let deployment = &capture.source.0;
    check_enabled(deployment, from, &capture.options.select).await?;
    let term = term(deployment).await?;
    let stream = Stream {
        capture,
        run,
        from,
        term,
    };
    let mut newest: Option<(End, (GapReason, String))> = None;
    for end in End::of_source(capture, SliceSource::ChangeStream).await? {
        let why_not = match stream.go_on(&end).await? {
            Ok((position, start, events)) => {
                run.goes_on();
                let position = position.unwrap_or_else(|| end.go_on(capture));
                return Ok((position, stream.at(start, events)));
            }
            Err(why_not) => why_not,
        };
        newest.get_or_insert((end, why_not));
    }
    let after = newest.as_ref().map(|(end, _)| end.span.end);
    let (moment, events) = stream.begin(after.unwrap_or_default()).await?;
    let position = match newest {
        None => Position::new(moment),
        Some((end, why_not)) => {
            let gap = end.leave_gap(capture, &run.source, moment, why_not).await?;
            run.goes_on();
            *gaps += 1;
            gap
        }
    };
    let start = (moment, Start::After(moment));
    Ok((position, stream.at(start, events)))
}

/// What a stream is opened with.
#[derive(Clone, Copy)]
struct Stream<'a, 'r> {
    capture: &'a Capture,
    run: &'r Run,
    from: &'a SelectionCriteria,
    term: Option<i64>,
}

/// Where a stream goes on, after a gap or after the slice that was looked at.
type GoneOn = (Option<Position>, (OpTime, Start), Events);

impl<'a> Stream<'a, '_> {
    /// Goes on after a slice, or after the gap that follows it; else says why not.
    async fn go_on(&self, end: &End) -> Result<std::result::Result<GoneOn, (GapReason, String)>> {
        if let Some(why) = self.run.ended() {
            return Ok(Err((GapReason::StreamEnded, why)));
        }
        if end.header.from != SliceSource::ChangeStream && !end.has_gap() {
            let why = "the oplog before, a change stream then".to_owned();
            return Ok(Err((GapReason::OtherSource, why)));
        }
        if let (Some(before), Some(now)) = (end.header.term, self.term)
            && now < before
        {
            let why = format!("the primary is of term {now}, and was of term {before}");
            return Ok(Err((GapReason::OtherHistory, why)));
        }
        let position = end.after_gap(self.capture).await?;
        let start = match &position {
            Some(position) => (position.start, Start::After(position.start)),
            None => (end.span.end, self.after(end)?),
        };
        Ok(match self.open(&start.1).await {
            Ok(events) => Ok((position, start, events)),
            Err(NotOpened::Other(error)) => return Err(error),
            Err(NotOpened::Forgotten(detail)) => Err((GapReason::RolledOver, detail)),
            Err(NotOpened::Ended(detail)) => Err((GapReason::StreamEnded, detail)),
        })
    }

    /// What leads on from the end of a slice.
    fn after(&self, end: &End) -> Result<Start> {
        let is_of_this = Scope::of(&end.header.select) == Scope::of(&self.capture.options.select);
        let token = end.footer.resume.as_ref().filter(|_| is_of_this);
        Ok(match token {
            Some(token) => Start::Token(parse_token(token)?),
            None => Start::After(end.footer.told_until.unwrap_or(end.span.end)),
        })
    }

    async fn open(&self, start: &Start) -> std::result::Result<Events, NotOpened> {
        let scope = Scope::of(&self.capture.options.select);
        let how = (patience(self.capture), self.run.splits_events());
        Events::open(&self.capture.source.0, &scope, self.from, start, how).await
    }

    /// Begins after the oldest snapshot that the stream still leads on from, else now.
    async fn begin(&self, after: OpTime) -> Result<(OpTime, Events)> {
        let now = now(&self.capture.source.0, self.from).await?;
        let mut usable = moments(self.capture).await?;
        usable.retain(|at| *at > after && *at <= now);
        let newest = usable.split_off(usable.len().saturating_sub(MOST_BEGINNINGS));
        for moment in newest.into_iter().chain([now]) {
            match self.open(&Start::After(moment)).await {
                Ok(events) => return Ok((moment, events)),
                Err(NotOpened::Other(error)) => return Err(error),
                Err(NotOpened::Forgotten(_)) if moment != now => {}
                Err(NotOpened::Forgotten(detail) | NotOpened::Ended(detail)) => {
                    return Err(Error::new(
                        ErrorKind::Unsupported,
                        "the server opens no change stream",
                    )
                    .caused_by(detail));
                }
            }
        }
        Err(Error::internal("a stream that begins nowhere"))
    }

    fn at(&self, start: (OpTime, Start), events: Events) -> StreamPosition<'a> {
        let (capture, manner) = (self.capture, events.manner);
        let is_wanted = |namespace: &_| capture.options.select.selects(namespace);
        let of = &capture.source.0;
        let definitions = Definitions::new(of, manner.expanded, Box::new(is_wanted));
        StreamPosition {
            start: start.0,
            telling: Telling::new(events, start, definitions),
            unseen: manner.unseen(),
            term: self.term,
        }
    }
}

fn parse_token(token: &str) -> Result<RawDocumentBuf> {
    ext_json::parse(token)
        .map_err(|error| Error::data("a slice has a resume token that is none").caused_by(error))
}

/// Notes in a footer what leads on from there.
pub(super) fn set_start(
    footer: &mut SliceFooter,
    told: &ToldUntil,
    keeps_tokens: bool,
) -> Result<()> {
    footer.told_until = Some(told.told).filter(|told| *told < footer.end);
    if let Some(token) = told.token.as_ref().filter(|_| keeps_tokens) {
        let text = ext_json::to_canonical(token);
        footer.resume = Some(text.map_err(|error| {
            Error::data("the server sent a malformed resume token").caused_by(error)
        })?);
    }
    Ok(())
}
