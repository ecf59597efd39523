//! Going back to a moment: a snapshot, and the slices that lead from it to there.

use std::{collections::HashMap, fmt, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use rdump_format::{
    Digest, Namespace, Pattern, Selector,
    repository::{
        DataKeys, EntryMark, NoWay, OplogSlice, Previous, SliceHeader, SnapshotId, SpanKind,
        SpanName, Stretch, Timeline, TimelineId, Unseen,
    },
};
use rdump_oplog::{Ahead, OpTime, RenamedCollection, is_of_transaction};
use rdump_storage::Sink;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    Repository, Snapshot, SnapshotReader, Snapshots,
    timeline::{open_keys, parse_slice, unpack_slice},
};
use crate::{
    Error, ErrorKind, Observer, RestoreOptions, Result,
    context::RunContext,
    media::{Documents, single_object},
};

/// A moment, or the end of a second.
fn shown(at: OpTime) -> String {
    match at.ordinal {
        u32::MAX => format!("the end of second {}", at.seconds),
        _ => at.to_string(),
    }
}

/// How many slices are tried until one can be read.
const MOST_HEADERS: usize = 4;

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

/// Moments that a restore of everything can go to: each from one until another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RestorableSpan {
    /// The moment of the first snapshot.
    pub from: OpTime,
    /// The last moment that what is captured leads to from there without a hole: that of the snapshot, if nothing is.
    pub until: OpTime,
}

impl Repository {
    /// What of everything that was backed up can be restored, the oldest first: by these snapshots, and what is captured.
    ///
    /// A snapshot that is encrypted is taken for one of everything, since it does not say. One of no single moment is in no span.
    ///
    /// # Errors
    ///
    /// As the place has them. A slice that cannot be read leads nowhere.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn restorable(
        &self,
        snapshots: &Snapshots,
        timeline: &Timeline,
    ) -> Result<Vec<RestorableSpan>> {
        let mut whole = HashMap::new();
        for last in timeline.ends() {
            let header = self.header_of(timeline, last.timeline).await?;
            if let Some(header) = header.filter(|it| it.select == Selector::default()) {
                whole.insert(last.timeline, header);
            }
        }
        let mut stretches = timeline.stretches();
        stretches.retain(|stretch| whole.contains_key(&stretch.timeline));
        let mut spans: Vec<RestorableSpan> = Vec::new();
        for snapshot in &snapshots.whole {
            let run = &snapshot.manifest().run;
            let Some(from) = moment(snapshot).filter(|_| !is_part(&run.options)) else {
                continue;
            };
            let leads_on = |stretch: &&Stretch| {
                let header = whole.get(&stretch.timeline);
                let is_alike = header.is_some_and(|header| {
                    header.encrypted == snapshot.manifest().is_encrypted()
                        && header.source.set_name == run.source.set_name
                });
                is_alike && stretch.start <= from && from < stretch.end
            };
            let mut ends = stretches.iter().filter(leads_on);
            let until = match (ends.next(), ends.next()) {
                (Some(stretch), None) => stretch.end,
                // In several histories, or in none.
                _ => from,
            };
            spans.push(RestorableSpan { from, until });
        }
        spans.sort_unstable();
        let mut merged: Vec<RestorableSpan> = Vec::new();
        for span in spans {
            match merged.last_mut().filter(|last| span.from <= last.until) {
                Some(last) => last.until = last.until.max(span.until),
                None => merged.push(span),
            }
        }
        Ok(merged)
    }
}

impl Repository {
    /// What the slices of a history say of it: the last one that can be read, of a few.
    async fn header_of(
        &self,
        timeline: &Timeline,
        history: TimelineId,
    ) -> Result<Option<SliceHeader>> {
        let of_history = |span: &SpanName| span.timeline == history;
        let slices: Vec<_> = timeline.slices().filter(of_history).collect();
        for span in slices.iter().rev().take(MOST_HEADERS) {
            let bytes = match self.read_span(span).await {
                Err(error) if error.kind() == ErrorKind::Data => continue,
                read => read?,
            };
            if let Ok(slice) = parse_slice(span, &bytes) {
                return Ok(Some(slice.header));
            }
        }
        Ok(None)
    }
}

/// A snapshot that is of one moment.
#[derive(Debug)]
struct Base {
    snapshot: Snapshot,
    at: OpTime,
    has_oplog: bool,
}

/// Why nothing starts from a snapshot.
enum Unfit {
    /// It is encrypted and no key opens it, or it is not and a key was given.
    Closed(Error),
    /// It is of no moment, or of a part.
    NoBase(Error),
}

/// The moment that a snapshot says that it is of.
fn moment(snapshot: &Snapshot) -> Option<OpTime> {
    let at = snapshot.manifest().run.consistent_at.as_deref();
    at?.parse().ok()
}

impl Base {
    async fn of(snapshot: Snapshot, is_chosen: bool) -> Result<std::result::Result<Self, Unfit>> {
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
        if !is_chosen && is_part(&run.options) {
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
    fn way(
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
fn histories(timeline: &Timeline, from: OpTime, encrypted: bool) -> Vec<TimelineId> {
    let all = timeline.histories_of(from);
    let is_alike = |history: &&TimelineId| timeline.is_encrypted(**history) == encrypted;
    let alike: Vec<_> = all.iter().filter(is_alike).copied().collect();
    match alike.is_empty() {
        true => all,
        false => alike,
    }
}

/// Whether something was captured after that moment, or is known to be missing: then it is not the latest.
fn is_left(timeline: &Timeline, reached: OpTime) -> bool {
    let mut spans = timeline.slices().chain(timeline.gaps().copied());
    spans.any(|span| span.end > reached)
}

fn no_base(why: String) -> Error {
    Error::invalid(format!("there is nothing to go to a moment from: {why}"))
}

/// Whether a run was asked for a part of a deployment alone.
fn is_part(options: &serde_json::Value) -> bool {
    let is_given = |name: &str| {
        options.get(name).is_some_and(|value| match value {
            serde_json::Value::Null | serde_json::Value::Bool(false) => false,
            serde_json::Value::Array(values) => !values.is_empty(),
            _ => true,
        })
    };
    let of_select = |name: &str| {
        let patterns = options.get("select").and_then(|select| select.get(name));
        patterns
            .and_then(serde_json::Value::as_array)
            .is_some_and(|it| !it.is_empty())
    };
    let names = [
        "db",
        "collection",
        "exclude-collections",
        "exclude-collections-with-prefix",
        "views-as-collections",
        "query",
    ];
    names.into_iter().any(is_given) || of_select("include") || of_select("exclude")
}

impl From<NoWay> for Error {
    fn from(no_way: NoWay) -> Self {
        Self::new(
            ErrorKind::OplogGap,
            format!("what is captured leads to {} only", no_way.reached),
        )
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

/// Reads slices, with the keys of those that are encrypted.
#[derive(Clone, Debug)]
pub(super) struct SliceReader {
    repository: Repository,
    /// Those that were looked for, of each capture.
    keys: Arc<Mutex<HashMap<SnapshotId, Result<Arc<DataKeys>>>>>,
}

impl SliceReader {
    pub(super) fn new(repository: &Repository) -> Self {
        Self {
            repository: repository.clone(),
            keys: Arc::default(),
        }
    }

    /// Refuses a slice that is not encrypted where keys were given: who could write to the repository could have put it there.
    pub(super) fn check_encrypted(&self, span: &SpanName) -> Result<()> {
        match self.repository.identities.is_some() && span.kind == SpanKind::Slice {
            true => Err(Error::invalid(format!(
                "{} is not encrypted, although a key was given to open it",
                span.path()
            ))
            .with_hint(
                "if that is right: `rdump oplog-export` without the key, and `rrestore --oplogReplay --oplogFile` of what it writes after the snapshot is restored",
            )),
            false => Ok(()),
        }
    }

    /// The entries of a slice that was read.
    pub(super) async fn entries(&self, span: &SpanName, bytes: Bytes) -> Result<Vec<u8>> {
        self.check_encrypted(span)?;
        let keys = match span.kind {
            SpanKind::EncryptedSlice => {
                let capture = parse_slice(span, &bytes)?.header.capture;
                let mut known = self.keys.lock().await;
                let opened = match known.get(&capture) {
                    Some(opened) => opened.clone(),
                    None => {
                        let opened = open_keys(&self.repository, &capture).await.map(Arc::new);
                        known.insert(capture, opened.clone());
                        opened
                    }
                };
                Some(opened?)
            }
            _ => None,
        };
        let span = *span;
        let read =
            tokio::task::spawn_blocking(move || unpack_slice(&span, &bytes, keys.as_deref()));
        read.await
            .map_err(|error| Error::task("unpack a slice", error))?
    }
}

/// What a slice ends with.
struct End {
    span: SpanName,
    digest: Digest,
    last: Option<EntryMark>,
}

impl End {
    fn of(span: SpanName, bytes: &[u8], slice: &OplogSlice<'_>) -> Self {
        Self {
            span,
            digest: Digest::of(bytes),
            last: slice.footer.last.clone(),
        }
    }
}

impl SliceReader {
    /// Whether what a slice says it follows is what comes before it, or ends with the same entry: two may have captured at once.
    async fn follows(&self, previous: Option<&Previous>, before: &End) -> Result<bool> {
        let Some(previous) = previous else {
            return Ok(false);
        };
        let span = SpanName::parse_path(&previous.path).filter(SpanName::is_slice);
        match span {
            _ if previous.sha256 == before.digest => Ok(true),
            Some(span) if span != before.span && before.last.is_some() => {
                let bytes = self.repository.read_span(&span).await?;
                let other = End::of(span, &bytes, &parse_slice(&span, &bytes)?);
                Ok(other.digest == previous.sha256 && other.last == before.last)
            }
            _ => Ok(false),
        }
    }
}

/// What was captured after a moment and until another one.
#[derive(Clone, Debug)]
pub struct CapturedSpan {
    slices: SliceReader,
    after: OpTime,
    until: OpTime,
    way: Vec<SpanName>,
}

impl Repository {
    /// Finds what was captured after a moment and until another one, or as far as slices go.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OplogGap`] if a part of it is not captured, [`ErrorKind::Invalid`] if the span is none; and as the place has them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn captured(&self, after: OpTime, until: Option<OpTime>) -> Result<CapturedSpan> {
        if until.is_some_and(|until| until <= after) {
            return Err(Error::invalid("the span ends before it begins"));
        }
        let timeline = self.timeline().await?;
        let histories = histories(&timeline, after, self.identities.is_some());
        let [history] = histories.as_slice() else {
            let message = match histories.len() {
                0 => format!("what was written after {after} is not captured"),
                several => format!("{after} is in {several} histories of the deployment"),
            };
            return Err(Error::new(ErrorKind::OplogGap, message)
                .with_hint("`rdump status` shows what is captured"));
        };
        let (until, way) = match timeline.way(*history, after, until.unwrap_or(OpTime::MAX)) {
            Ok(way) => (until.unwrap_or(OpTime::MAX), way),
            Err(no_way) if until.is_none() && !is_left(&timeline, no_way.reached) => (
                no_way.reached,
                timeline.way(*history, after, no_way.reached)?,
            ),
            Err(no_way) => {
                let hint = format!("the last moment that can be reached is {}", no_way.reached);
                return Err(Error::from(no_way).with_hint(hint));
            }
        };
        Ok(CapturedSpan {
            slices: SliceReader::new(self),
            after,
            until,
            way,
        })
    }
}

impl CapturedSpan {
    /// Its last moment.
    pub fn until(&self) -> OpTime {
        self.until
    }

    /// Writes its entries to a place where nothing is yet, as an `oplog.bson` that mongorestore replays; gives how many bytes that are.
    ///
    /// # Errors
    ///
    /// As [`entries`](Self::entries), [`ErrorKind::Conflict`] if something is there, [`ErrorKind::Cancelled`], and as both places have them. Nothing is
    /// there then, unless it is a stream.
    ///
    /// # Cancel safety
    ///
    /// Cancel it by the token; dropping the future may leave what the next one removes who writes there.
    pub async fn write(
        &self,
        to: Sink,
        observer: Arc<dyn Observer>,
        cancel: CancellationToken,
    ) -> Result<u64> {
        let mut cx = RunContext::default();
        cx.set_observer(observer);
        cx.cancel = cancel;
        single_object::write(to, &cx, async |mut object| {
            let (mut entries, mut written) = (self.entries(), 0);
            while let Some(some) = entries.try_next().await? {
                written += some.len() as u64;
                object.write(some.into()).await?;
            }
            object.finish().await?;
            Ok(written)
        })
        .await
    }

    /// Its entries, one after the other as in an `oplog.bson` of mongodump; slice by slice, each of which is checked, and that it follows the one before
    /// it. The stream ends after its first error.
    pub fn entries(&self) -> BoxStream<'_, Result<Vec<u8>>> {
        let start = (self.way.iter(), None::<End>);
        let read = stream::try_unfold(start, move |(mut spans, before)| async move {
            let Some(span) = spans.next() else {
                return Ok(None);
            };
            let bytes = self.slices.repository.read_span(span).await?;
            let slice = parse_slice(span, &bytes)?;
            let path = || span.path();
            if let Some(before) = &before
                && !self
                    .slices
                    .follows(slice.header.previous.as_ref(), before)
                    .await?
            {
                let message = format!("{} does not follow the one before it", path());
                return Err(Error::data(message).at(path()));
            }
            let end = End::of(*span, &bytes, &slice);
            let entries = self.slices.entries(span, bytes).await?;
            let kept = within(&entries, self.after, self.until);
            let kept = kept.map_err(|error| error.at(path()))?;
            Ok(Some((kept, (spans, Some(end)))))
        });
        read.boxed()
    }
}

/// The entries after a moment and until another one.
fn within(entries: &[u8], after: OpTime, until: OpTime) -> Result<Vec<u8>> {
    let malformed =
        |error: &dyn fmt::Display| Error::data(format!("a slice has a malformed entry: {error}"));
    let mut kept = Vec::new();
    for entry in rdump_format::documents(entries) {
        let entry = entry.map_err(|error| malformed(&error))?;
        let at = rdump_oplog::Entry::parse(entry)
            .map_err(|error| malformed(&error))?
            .at();
        if at > after && at <= until {
            kept.extend_from_slice(entry);
        }
    }
    Ok(kept)
}

/// What is wanted of the entries of a slice: all after the snapshot, and of before, perhaps, what belongs to transactions.
fn after(entries: Vec<u8>, base: OpTime, with_transactions: bool) -> Result<Documents> {
    let malformed =
        |error: &dyn fmt::Display| Error::data(format!("a slice has a malformed entry: {error}"));
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
