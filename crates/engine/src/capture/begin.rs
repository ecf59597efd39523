//! Where a capture goes on, or begins.

use rdump_format::{
    SourceRecord,
    repository::{
        AuditVerb, GapReason, GapRecord, Previous, SliceFooter, SliceHeader, SliceSource, SpanName,
        TimelineId,
    },
};

use super::{Capture, session::Run};
use crate::{
    Error, Event, OpTime, Repository, Result, Snapshot,
    repository::{Outcome, open_gaps as open, parse_slice},
};

/// How many timelines are looked at to find the one that is gone on with: those that reach farthest.
const MOST_TIMELINES: usize = 8;

/// What is stored of before, and where it ends.
#[derive(Debug)]
pub(super) struct Position {
    pub(super) timeline: TimelineId,
    /// The moment that comes before what is read.
    pub(super) start: OpTime,
    /// What is stored of before.
    pub(super) previous: Option<Previous>,
}

/// The last slice of a timeline.
#[derive(Debug)]
pub(super) struct End {
    pub(super) span: SpanName,
    /// The newest gap after it.
    gap: Option<SpanName>,
    /// All timelines that have slices.
    timelines: Vec<TimelineId>,
    previous: Previous,
    pub(super) header: SliceHeader,
    pub(super) footer: SliceFooter,
}

impl End {
    /// Those of the timelines of a repository, the one that was written last first; that alone, if it was learned in another way.
    ///
    /// Clocks of deployments may go back where they are set up anew.
    pub(super) async fn of_source(capture: &Capture, source: SliceSource) -> Result<Vec<Self>> {
        let repository = &capture.repository;
        let timeline = repository.timeline().await?;
        let (all, mut ends) = (timeline.ends(), Vec::new());
        let timelines: Vec<_> = all.iter().map(|span| span.timeline).collect();
        for span in all.into_iter().take(MOST_TIMELINES) {
            let bytes = repository.read_span(&span).await?;
            let slice = parse_slice(&span, &bytes)?;
            if slice.header.repository != repository.record().id {
                let path = span.path();
                return Err(Error::conflict(format!(
                    "{path} is of another repository: it was copied here"
                )));
            }
            let is_next = |gap: &&SpanName| (gap.start, gap.timeline) == (span.end, span.timeline);
            ends.push(Self {
                gap: timeline.gaps().filter(is_next).last().copied(),
                timelines: timelines.clone(),
                span,
                previous: Previous::new(span.path(), &bytes),
                header: slice.header,
                footer: slice.footer,
            });
        }
        ends.sort_by(|one, other| other.footer.written_at.cmp(&one.footer.written_at));
        if ends.first().is_some_and(|end| end.header.from != source) {
            ends.truncate(1);
        }
        // Who was started once in another way, and now as before, leaves nothing out.
        ends.sort_by_key(|end| end.difference(capture).is_some());
        Ok(ends)
    }

    /// After what the source has still.
    pub(super) fn go_on(self, capture: &Capture) -> Position {
        let Some(difference) = self.difference(capture) else {
            return Position {
                timeline: self.header.timeline,
                start: self.span.end,
                previous: Some(self.previous),
            };
        };
        let message = format!(
            "what was captured until {} {difference}: from there on it is another timeline, which needs a snapshot of its own",
            self.span.end
        );
        capture.cx.notice(None, message);
        Position {
            previous: Some(self.previous),
            ..Position::new(self.span.end)
        }
    }

    /// Why what comes next is of another timeline, if it is.
    fn difference(&self, capture: &Capture) -> Option<&'static str> {
        let is_encrypted = capture.recipients.is_some();
        match (self.header.encrypted, is_encrypted) {
            (true, false) => Some("is encrypted"),
            (false, true) => Some("is not encrypted"),
            _ if self.header.select != capture.options.select => Some("has other namespaces"),
            _ => None,
        }
    }

    pub(super) fn has_gap(&self) -> bool {
        self.gap.is_some()
    }

    /// Where a gap leads to that was stored after it: nothing follows yet.
    pub(super) async fn after_gap(&self, capture: &Capture) -> Result<Option<Position>> {
        let Some(gap) = &self.gap else {
            return Ok(None);
        };
        let (path, bytes) = (gap.path(), capture.repository.read_span(gap).await?);
        let record = GapRecord::from_bytes(&bytes).map_err(|error| {
            let damaged = Error::data(format!("{path} is damaged"));
            damaged.at(&path).caused_by(error)
        })?;
        let previous = Some(Previous::new(path, &bytes));
        let mut position = Position {
            previous,
            ..Position::new(gap.end)
        };
        // That of what comes next was chosen by who stored the gap, and may have been gone on with in another way since.
        let is_ours = match record.next == self.header.timeline {
            true => self.difference(capture).is_none(),
            false => !self.timelines.contains(&record.next),
        };
        if is_ours {
            position.timeline = record.next;
        }
        Ok(Some(position))
    }

    /// Stores that nothing is known from here to a moment from which on a capture goes on.
    pub(super) async fn leave_gap(
        self,
        capture: &Capture,
        source: &SourceRecord,
        start: OpTime,
        (reason, detail): (GapReason, String),
    ) -> Result<Position> {
        refuse_other_deployment(&self.header.source, source, &self.span)?;
        let mut position = Position::new(start);
        let end = start.max(self.span.end.next());
        let (repository, timeline) = (&capture.repository, self.header.timeline);
        if reason == GapReason::RolledOver && self.difference(capture).is_none() {
            position.timeline = timeline;
        }
        let mut gap = GapRecord::new(
            repository.record().id,
            timeline,
            (self.span.end, end),
            reason,
            self.previous,
            capture.cx.now().to_string(),
        );
        // Servers name documents and collections in it.
        if capture.recipients.is_none() {
            gap.detail.clone_from(&detail);
        }
        gap.next = position.timeline;
        position.previous = Some(repository.put_gap(&gap).await?);
        let act = repository.act(AuditVerb::Gap).after(Some(gap.start));
        let act = act.until(Some(gap.end)).from(source.hosts.join(","));
        let missing = act.end(&Ok(()), |()| Outcome::new(1)).await;
        capture.cx.unrecorded(missing, None);
        let message = format!(
            "nothing is known of what was written from {} to {}, since {reason} ({detail}): take a snapshot",
            gap.start, gap.end
        );
        capture.cx.emit(Event::Gap {
            start: gap.start,
            end: gap.end,
            message,
        });
        Ok(position)
    }
}

/// A repository holds what one deployment wrote.
pub(super) fn refuse_other_deployment(
    before: &SourceRecord,
    now: &SourceRecord,
    newest: &SpanName,
) -> Result<()> {
    match before.is_of_same_deployment(now) {
        true => Ok(()),
        false => Err(Error::conflict(format!(
            "what is captured here until {} is of another deployment: {}",
            newest.end,
            before.hosts.join(",")
        ))
        .with_hint("capture each deployment into a repository of its own")),
    }
}

impl Position {
    /// Where what is stored ends, if it leads here.
    pub(super) fn stored_until(&self) -> Option<OpTime> {
        let span = SpanName::parse_path(&self.previous.as_ref()?.path)?;
        span.is_slice().then_some(span.end)
    }

    /// A new timeline that begins after a moment.
    pub(super) fn new(start: OpTime) -> Self {
        let [id @ .., _, _, _, _, _, _, _, _] = bson::Uuid::new().bytes();
        Self {
            timeline: TimelineId(id),
            start,
            previous: None,
        }
    }

    /// The header of a slice that comes after it.
    pub(super) fn header(&self, capture: &Capture, run: &Run, from: SliceSource) -> SliceHeader {
        let mut header = SliceHeader::new(
            capture.repository.record().id,
            self.timeline,
            run.id.clone(),
            run.source.clone(),
            self.start,
        );
        header.from = from;
        header.previous.clone_from(&self.previous);
        header.select = capture.options.select.clone();
        header
    }
}

/// How many gaps there are that nothing that can be restored is after.
pub(super) async fn open_gaps(repository: &Repository) -> Result<u64> {
    let timeline = repository.timeline().await?;
    if timeline.gaps().next().is_none() {
        return Ok(0);
    }
    let snapshots = repository.snapshots().await?;
    let restorable = repository.restorable(&snapshots, &timeline).await?;
    Ok(open(&timeline, &restorable))
}

/// The moments that snapshots of the deployment are of, the oldest first.
pub(super) async fn moments(capture: &Capture) -> Result<Vec<OpTime>> {
    let snapshots = capture.repository.snapshots().await?;
    let set_name = capture.source.server().set_name.as_deref();
    let moments = snapshots.whole.iter().filter_map(|snapshot: &Snapshot| {
        let run = &snapshot.manifest().run;
        let is_of_this = run.source.set_name.as_deref() == set_name;
        let at = run.consistent_at.as_ref().filter(|_| is_of_this)?;
        at.parse::<OpTime>().ok()
    });
    let mut moments: Vec<OpTime> = moments.collect();
    moments.sort_unstable();
    Ok(moments)
}
