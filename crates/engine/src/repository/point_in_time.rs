//! Going back to a moment: a snapshot, and the slices that lead from it to there.

use futures::{StreamExt, stream, stream::BoxStream};
use rdump_format::{
    Namespace, Pattern, Selector,
    repository::{SnapshotId, SpanKind, SpanName, Timeline, Unseen},
};
use rdump_oplog::{Ahead, OpTime, RenamedCollection, is_of_transaction};

use super::{Repository, Snapshot, SnapshotReader, timeline::parse_slice};
use crate::{Error, ErrorKind, RestoreOptions, Result, media::Documents};
use base::{Base, Unfit};
use slice_reader::End;

mod base;
mod captured;
mod restorable;
mod slice_reader;

pub(super) use base::moment;
pub use captured::CapturedSpan;
pub use restorable::RestorableSpan;
pub(super) use restorable::{Lead, leads};
pub(super) use slice_reader::SliceReader;

/// A moment, or the end of a second.
fn shown(at: OpTime) -> String {
    match at.ordinal {
        u32::MAX => format!("the end of second {}", at.seconds),
        _ => at.to_string(),
    }
}

/// The moment that a restore goes to; what was written then is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestorePoint {
    /// The last one that can be reached.
    Latest,
    /// A moment of the oplog.
    At(OpTime),
    /// The end of a second, counted from 1970.
    EndOf(u32),
}

/// A snapshot, and what leads from it to a moment.
#[derive(Clone, Debug)]
pub struct PointInTime {
    repository: Repository,
    snapshot: Snapshot,
    /// The moment that the snapshot is of.
    base: OpTime,
    /// Whether the snapshot is of that moment only with its own oplog.
    has_oplog: bool,
    at: OpTime,
    /// Those that lead from the snapshot to the moment.
    way: Vec<SpanName>,
    /// Those of before, for transactions that were open at the moment of the snapshot.
    before: Vec<SpanName>,
    slices: SliceReader,
    /// Collections that get a name of what is restored later on, and the name that they have meanwhile.
    pub(crate) renamed: Vec<(Namespace, Namespace)>,
    /// What the slices after the snapshot are going to do.
    pub(crate) ahead: Ahead,
}

impl Repository {
    /// Finds the way to a moment: from the newest snapshot before it that leads there, or from this one.
    ///
    /// Names of objects are looked at, and not yet what is in them: [`PointInTime::reader`] does that.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OplogGap`] if no snapshot leads there; it names the nearest moments that can be reached.
    /// [`ErrorKind::Invalid`] if the moment is before the first snapshot, or this snapshot is no base; and as the place has them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn point_in_time(
        &self,
        to: RestorePoint,
        snapshot: Option<&SnapshotId>,
    ) -> Result<PointInTime> {
        let timeline = self.timeline().await?;
        let mut bases = Vec::new();
        let is_chosen = snapshot.is_some();
        let snapshots = match snapshot {
            Some(id) => vec![self.snapshot(id).await?],
            None => self.snapshots().await?.whole,
        };
        let mut unfit = None;
        // The newest that no key opens.
        let mut closed: Option<(OpTime, Error)> = None;
        for snapshot in snapshots {
            let at = moment(&snapshot);
            match Base::of(snapshot, is_chosen).await? {
                Ok(base) => bases.push(base),
                Err(Unfit::Closed(why)) => {
                    let newest = closed.as_ref().map(|(at, _)| *at);
                    if let Some(at) = at.filter(|at| newest.is_none_or(|newest| *at > newest)) {
                        closed = Some((at, why.clone()));
                    }
                    unfit = Some(why);
                }
                Err(Unfit::NoBase(why)) => unfit = Some(why),
            }
        }
        bases.sort_by_key(|base| base.at);
        if let (true, Some(why)) = (bases.is_empty(), unfit) {
            return Err(why);
        }
        let wanted = match to {
            RestorePoint::At(at) => Some(at),
            RestorePoint::EndOf(seconds) => Some(OpTime {
                seconds,
                ordinal: u32::MAX,
            }),
            RestorePoint::Latest => None,
        };
        let Some(oldest) = bases.first().map(|base| base.at) else {
            return Err(Error::invalid("the repository holds no snapshot"));
        };
        let usable = |base: &&Base| wanted.is_none_or(|wanted| base.at <= wanted);
        let (mut nearest, mut ambiguous) = (None, None);
        for base in bases.iter().rev().filter(usable) {
            match base.way(&timeline, wanted) {
                Ok(Ok((at, way))) => {
                    let is_older = |closed: &(OpTime, Error)| wanted.is_none() && closed.0 > at;
                    return match closed.filter(is_older) {
                        Some((_, why)) => Err(why),
                        None => self.found(base, at, way, &timeline),
                    };
                }
                Ok(Err(no_way)) => nearest = nearest.max(Some((no_way.reached, no_way.next))),
                Err(error) => ambiguous = ambiguous.or(Some(error)),
            }
        }
        let closed = closed.filter(|(at, _)| wanted.is_none_or(|wanted| *at <= wanted));
        if let Some(why) = ambiguous.or(closed.map(|(_, why)| why)) {
            return Err(why);
        }
        let Some((reached, next)) = nearest else {
            let which = match is_chosen {
                true => "the snapshot that was chosen",
                false => "the first snapshot",
            };
            return Err(Error::invalid(format!(
                "the moment that is asked for is before {which}{}: that is of {oldest}",
                wanted
                    .map(|at| format!(" ({})", shown(at)))
                    .unwrap_or_default()
            )));
        };
        let at = wanted.map_or_else(|| "what was captured last".to_owned(), shown);
        let gap = timeline.gaps().find(|gap| gap.start == reached);
        let why = match gap {
            Some(gap) => format!("there is a gap from {} to {}", gap.start, gap.end),
            None => format!("what is captured leads to {reached} without a hole, and not farther"),
        };
        let later = bases
            .iter()
            .find(|base| wanted.is_some_and(|at| base.at > at));
        let hint = match (later, next) {
            (Some(later), _) => format!(
                "the nearest moments that can be reached are {reached} before it and {} after it",
                later.at
            ),
            (None, _) => {
                format!("the last moment that can be reached is {reached} (--to-optime {reached})")
            }
        };
        Err(Error::new(
            ErrorKind::OplogGap,
            format!("{at} cannot be reached: {why}"),
        )
        .with_hint(hint))
    }

    fn found(
        &self,
        base: &Base,
        at: OpTime,
        way: Vec<SpanName>,
        timeline: &Timeline,
    ) -> Result<PointInTime> {
        let mut before = Vec::new();
        if let Some(first) = way.first() {
            // As far back as slices go without a gap; how far is needed is known when they are read.
            let mut start = first.start;
            let of_timeline: Vec<_> = timeline
                .slices()
                .filter(|slice| slice.timeline == first.timeline)
                .collect();
            for slice in of_timeline.iter().rev() {
                if slice.end == start {
                    before.push(*slice);
                    start = slice.start;
                }
            }
        }
        Ok(PointInTime {
            repository: self.clone(),
            snapshot: base.snapshot.clone(),
            base: base.at,
            has_oplog: base.has_oplog,
            at,
            way,
            before,
            slices: SliceReader::new(self),
            renamed: Vec::new(),
            ahead: Ahead::default(),
        })
    }
}

impl PointInTime {
    /// The snapshot that it starts from.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The moment that the snapshot is of.
    pub fn base(&self) -> OpTime {
        self.base
    }

    /// The moment that it leads to: what was written then is in it.
    pub fn at(&self) -> OpTime {
        self.at
    }

    /// How many slices lead there.
    pub fn slices(&self) -> usize {
        self.way.len()
    }

    /// Reads every slice, and finds out what happens on the way.
    async fn check(&mut self, is_selected: &(dyn Fn(&Namespace) -> bool + Sync)) -> Result<()> {
        let mut ahead = Ahead::default();
        let mut before: Option<End> = None;
        let mut checked: Option<Selector> = None;
        let mut is_told = false;
        let set_name = self.snapshot.manifest().run.source.set_name.clone();
        for span in self.way.clone() {
            let bytes = self.repository.read_span(&span).await?;
            let slice = parse_slice(&span, &bytes)?;
            let header = &slice.header;
            self.slices.check_encrypted(&span)?;
            let fail =
                |what: String| Err(Error::data(format!("{} {what}", span.path())).at(span.path()));
            if header.repository != self.repository.record().id {
                return fail("is of another repository".to_owned());
            }
            if header.source.set_name != set_name {
                return fail("is of another deployment".to_owned());
            }
            if let Some(before) = &before
                && !self
                    .slices
                    .follows(header.previous.as_ref(), before)
                    .await?
            {
                return fail(format!("does not follow {}", before.span.path()));
            }
            before = Some(End::of(span, &bytes, &slice));
            if header.unseen.contains(&Unseen::TimeSeries) && !is_told {
                self.check_told(is_selected).await?;
                is_told = true;
            }
            if header.select != Selector::default() && checked.as_ref() != Some(&header.select) {
                self.check_selected(&header.select, is_selected).await?;
                checked = Some(header.select.clone());
            }
            let is_encrypted = span.kind == SpanKind::EncryptedSlice;
            if slice.footer.definitions || is_encrypted {
                let entries = self.slices.entries(&span, bytes).await?;
                for entry in rdump_format::documents(&entries) {
                    let entry =
                        entry.map_err(|error| Error::internal("an entry").caused_by(error))?;
                    ahead.push(entry).map_err(|error| {
                        Error::data(format!("{} has a malformed entry", span.path()))
                            .at(span.path())
                            .caused_by(error)
                    })?;
                }
            }
        }
        let (base, at) = (self.base, self.at);
        ahead.retain(|it| it > base && it <= at);
        self.renamed = renamed_in(&ahead.renamed, is_selected);
        self.ahead = ahead;
        self.needed_before().await
    }

    /// Refuses to restore what was not captured.
    async fn check_selected(
        &self,
        captured: &Selector,
        is_selected: &(dyn Fn(&Namespace) -> bool + Sync),
    ) -> Result<()> {
        let namespaces = self.snapshot.namespaces().await?;
        let names = namespaces
            .iter()
            .map(|namespace| &namespace.entry.namespace);
        let mut names = names.filter(|name| !name.is_oplog());
        let left_out = names.find(|name| is_selected(name) && !captured.selects(name));
        match left_out {
            Some(name) => Err(Error::invalid(
                "what was written to it was not captured, so that it cannot be brought to a later moment",
            )
            .for_namespace(name)
            .with_hint("restore only what was captured (--nsInclude)")),
            None => Ok(()),
        }
    }

    /// Refuses to restore what change streams do not tell of.
    async fn check_told(&self, is_selected: &(dyn Fn(&Namespace) -> bool + Sync)) -> Result<()> {
        let namespaces = self.snapshot.namespaces().await?;
        let mut untold = namespaces.iter().filter(|it| {
            let metadata = it.entry.metadata.as_ref();
            metadata.is_some_and(|it| it.kind.as_deref() == Some("timeseries"))
        });
        match untold.find(|it| is_selected(&it.entry.namespace)) {
            Some(it) => Err(Error::new(
                ErrorKind::Unsupported,
                "it is a time-series collection, of which change streams do not tell: it cannot be brought to a later moment",
            )
            .for_namespace(&it.entry.namespace)
            .with_hint("leave it out (--nsExclude), and restore it as of a snapshot")),
            None => Ok(()),
        }
    }

    /// Keeps of the slices of before those with parts of transactions that were open at the moment of the snapshot.
    async fn needed_before(&mut self) -> Result<()> {
        let mut needed = Vec::new();
        // A captured oplog has them itself.
        let mut before = std::mem::take(&mut self.before)
            .into_iter()
            .filter(|_| !self.has_oplog);
        if let Some(last) = before.next() {
            let bytes = self.repository.read_span(&last).await?;
            let open_since = parse_slice(&last, &bytes)?.footer.open_since;
            if let Some(since) = open_since {
                let all = std::iter::once(last).chain(before);
                needed.extend(all.take_while(|slice| slice.end >= since));
            }
        }
        for span in &needed {
            self.slices.check_encrypted(span)?;
        }
        needed.reverse();
        self.before = needed;
        Ok(())
    }

    /// The entries after the snapshot, slice by slice; and before it those of transactions, which may be committed later, unless the snapshot's own oplog has
    /// them.
    pub(crate) fn documents(&self) -> BoxStream<'_, Result<Documents>> {
        let spans = self.before.iter().chain(&self.way);
        let read = stream::iter(spans).map(move |span| async move {
            let bytes = self.repository.read_span(span).await?;
            let entries = self.slices.entries(span, bytes).await?;
            let (base, with_transactions) = (self.base, !self.has_oplog);
            let kept = tokio::task::spawn_blocking(move || after(entries, base, with_transactions));
            kept.await
                .map_err(|error| Error::task("read a slice", error))?
                .map_err(|error| error.at(span.path()))
        });
        // The next one is read while this one is replayed.
        read.buffered(2).boxed()
    }

    /// Opens it for a restore with these options, after every slice was read: that each is whole, follows the one before it, and has
    /// what is to be restored.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`] for a slice that is missing, damaged, or follows another one; [`ErrorKind::Invalid`] if not all of what is selected was
    /// captured, [`ErrorKind::Denied`] if no key opens a slice, and as [`SnapshotReader::open`] and the place have them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn reader(mut self, options: &RestoreOptions) -> Result<SnapshotReader> {
        self.check(&|namespace| options.selects(namespace)).await?;
        let mut select = options.select.clone();
        if !select.include.is_empty() {
            let namespaces = self.snapshot.namespaces().await?;
            let is_there = |name: &&Namespace| {
                let mut namespaces = namespaces.iter();
                namespaces.any(|namespace| namespace.entry.namespace == **name)
            };
            let more = self.renamed.iter().map(|(from, _)| from).filter(is_there);
            let more = more.map(|name| Pattern::literal(&name.to_string()));
            select.include.extend(more);
        }
        let made: Vec<_> = self.made().collect();
        let reader = SnapshotReader::open_and(&self.snapshot, &select, &made).await?;
        Ok(reader.until(self))
    }

    /// Collections and views that are made or get their name after the snapshot; known once a [`reader`](Self::reader) was opened.
    pub fn made(&self) -> impl Iterator<Item = &Namespace> {
        let created = self.ahead.created.iter().map(|created| &created.namespace);
        created.chain(self.ahead.renamed.iter().map(|renamed| &renamed.to))
    }

    /// Whether it starts from what the snapshot's own oplog leads to.
    pub(crate) fn has_oplog(&self) -> bool {
        self.has_oplog
    }
}

/// What is wanted of the entries of a slice: all after the snapshot, and of before, perhaps, what belongs to transactions.
fn after(entries: Vec<u8>, base: OpTime, with_transactions: bool) -> Result<Documents> {
    let malformed = |error: &dyn std::fmt::Display| {
        Error::data(format!("a slice has a malformed entry: {error}"))
    };
    let (mut kept, mut documents, mut place) = (Vec::new(), 0, 0);
    for entry in rdump_format::documents(&entries) {
        let entry = entry.map_err(|error| malformed(&error))?;
        let parsed = rdump_oplog::Entry::parse(entry).map_err(|error| malformed(&error))?;
        if parsed.at() > base {
            break;
        }
        if with_transactions && is_of_transaction(entry).map_err(|error| malformed(&error))? {
            kept.extend_from_slice(entry);
            documents += 1;
        }
        place += entry.len();
    }
    let rest = entries.get(place..).unwrap_or_default();
    documents += rdump_format::documents(rest).count() as u64;
    if kept.is_empty() && place == 0 {
        return Ok(Documents::new(entries, documents));
    }
    kept.extend_from_slice(rest);
    Ok(Documents::new(kept, documents))
}

/// Collections that are not selected, and get a name that is: later ones first, since these may get it from others.
fn renamed_in(
    renames: &[RenamedCollection],
    is_selected: &(dyn Fn(&Namespace) -> bool + Sync),
) -> Vec<(Namespace, Namespace)> {
    let mut found: Vec<(Namespace, Namespace)> = Vec::new();
    for rename in renames.iter().rev() {
        let is_wanted =
            |name: &Namespace| is_selected(name) || found.iter().any(|(known, _)| known == name);
        if is_wanted(&rename.to) && !is_wanted(&rename.from) {
            let meanwhile = format!("rdump.renamed.{}", found.len());
            let meanwhile = Namespace::new(&rename.to.db, meanwhile);
            found.push((rename.from.clone(), meanwhile));
        }
    }
    found
}
