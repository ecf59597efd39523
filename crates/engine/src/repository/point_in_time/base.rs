//! Snapshots that a way to a moment starts from.

use rdump_format::repository::{NoWay, SpanName, Timeline, TimelineId};
use rdump_oplog::OpTime;

use crate::{Error, ErrorKind, Result, repository::Snapshot};

/// A snapshot that is of one moment.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) snapshot: Snapshot,
    pub(super) at: OpTime,
    pub(super) has_oplog: bool,
}

/// Why nothing starts from a snapshot.
pub(super) enum Unfit {
    /// It is encrypted and no key opens it, or it is not and a key was given.
    Closed(Error),
    /// It is of no moment, or of a part.
    NoBase(Error),
}

/// The moment that a snapshot says that it is of.
pub(in crate::repository) fn moment(snapshot: &Snapshot) -> Option<OpTime> {
    let at = snapshot.manifest().run.consistent_at.as_deref();
    at?.parse().ok()
}

impl Base {
    pub(super) async fn of(
        snapshot: Snapshot,
        is_chosen: bool,
    ) -> Result<std::result::Result<Self, Unfit>> {
        let id = snapshot.id().clone();
        if let (Err(error), false) = (snapshot.check_encrypted(), is_chosen) {
            return Ok(Err(Unfit::Closed(error)));
        }
        // Without a key nothing is known of what it has.
        let run = match snapshot.run().await {
            Err(error) if error.kind() == ErrorKind::Denied && !is_chosen => {
                return Ok(Err(Unfit::Closed(error)));
            }
            run => run?,
        };
        if !is_chosen && run.part().is_some() {
            let why = no_base(format!("snapshot {id} is of a part of the deployment"));
            let hint = "choose it, if that part is to be restored (--snapshot)";
            return Ok(Err(Unfit::NoBase(why.with_hint(hint))));
        }
        let no_base = |why: String| Ok(Err(Unfit::NoBase(no_base(why))));
        match run.consistent_at.as_deref().map(str::parse::<OpTime>) {
            None => no_base(format!("snapshot {id} is of no single moment")),
            Some(Err(_)) => no_base(format!("snapshot {id} says a moment that is none")),
            Some(Ok(at)) => Ok(Ok(Self {
                snapshot,
                at,
                has_oplog: run.consistency == "oplog",
            })),
        }
    }

    /// The slices that lead to a moment, or as far as they go.
    pub(super) fn way(
        &self,
        timeline: &Timeline,
        to: Option<OpTime>,
    ) -> Result<std::result::Result<(OpTime, Vec<SpanName>), NoWay>> {
        if let Some(to) = to.filter(|to| *to == self.at) {
            return Ok(Ok((to, Vec::new())));
        }
        let histories = histories(timeline, self.at, self.snapshot.manifest().is_encrypted());
        let [history] = histories.as_slice() else {
            return match (histories.as_slice(), to) {
                ([], None) if !is_left(timeline, self.at) => Ok(Ok((self.at, Vec::new()))),
                ([], _) => {
                    let mut later = timeline.slices().map(|slice| slice.start);
                    Ok(Err(NoWay::new(
                        self.at,
                        later.find(|start| *start > self.at),
                    )))
                }
                (several, _) => Err(Error::conflict(format!(
                    "the moment {} of snapshot {} is in {} histories of the deployment",
                    self.at,
                    self.snapshot.id(),
                    several.len()
                ))
                .with_hint("choose another snapshot (--snapshot)")),
            };
        };
        Ok(
            match timeline.way(*history, self.at, to.unwrap_or(OpTime::MAX)) {
                Ok(way) => Ok((to.unwrap_or(OpTime::MAX), way)),
                Err(no_way) if to.is_none() && !is_left(timeline, no_way.reached) => {
                    let way = timeline.way(*history, self.at, no_way.reached)?;
                    Ok((no_way.reached, way))
                }
                Err(no_way) => Err(no_way),
            },
        )
    }
}

/// The histories that lead on from a moment. Of several those that are encrypted, or not: who captured once in the other way by mistake goes on with the one of
/// before.
pub(super) fn histories(timeline: &Timeline, from: OpTime, encrypted: bool) -> Vec<TimelineId> {
    let all = timeline.histories_of(from);
    let is_alike = |history: &&TimelineId| timeline.is_encrypted(**history) == encrypted;
    let alike: Vec<_> = all.iter().filter(is_alike).copied().collect();
    match alike.is_empty() {
        true => all,
        false => alike,
    }
}

/// Whether something was captured after that moment, or is known to be missing: then it is not the latest.
pub(super) fn is_left(timeline: &Timeline, reached: OpTime) -> bool {
    let mut spans = timeline.slices().chain(timeline.gaps().copied());
    spans.any(|span| span.end > reached)
}

fn no_base(why: String) -> Error {
    Error::invalid(format!("there is nothing to go to a moment from: {why}"))
}

impl From<NoWay> for Error {
    fn from(no_way: NoWay) -> Self {
        Self::new(
            ErrorKind::OplogGap,
            format!("what is captured leads to {} only", no_way.reached),
        )
    }
}
