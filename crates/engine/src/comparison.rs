//! Comparing what a deployment holds with a dump, or with another deployment.

mod content;
mod expiring;
mod replayed;
mod report;
mod side;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use futures::FutureExt;
use jiff::SignedDuration;
use rdump_format::{Namespace, OpTimeLimit, Selector, ext_json};
use tokio_util::sync::CancellationToken;

pub use report::{ComparedNamespace, ComparisonReport, Difference};
pub(crate) use side::Listed;

use content::{Closeness, Content, Gathered, Read, Rules, Seen};
use expiring::Expiring;
use replayed::{Between, Replayed};
use side::{Side, Wanted};

use crate::{
    Counters, Event, NamespaceKind, Observer, OpTime, PointInTime, RestoreOptions, Result, Source,
    Target,
    context::RunContext,
    media::DumpReader,
    restore::{OplogSource, index_differences, option_differences},
};

/// How long a comparison may take: documents that may go away by themselves within that time are not compared.
const LASTS: SignedDuration = SignedDuration::from_hours(6);
/// How many documents of a collection are looked at one by one, at most, to find those that differ.
const LOOKED_AT: u64 = 100_000;
/// How many `_id`s are told of a collection.
const EXAMPLES: usize = 10;

/// Compares what a deployment holds with what it should: namespaces, their options and indexes, and every document.
///
/// Documents are compared by a digest of each collection that does not depend on their order; where two differ, both are read again to find the documents.
/// Neither side may be written to meanwhile. Users and roles, `config` and `local` are not compared, nor UUIDs. Documents that a TTL index may
/// remove in the next six hours are left out, and counted.
///
/// # Examples
///
/// ```no_run
/// use rdump::{Comparison, ConnectOptions, Source};
///
/// # async fn example() -> rdump::Result<()> {
/// let one = Source::connect(&ConnectOptions::default().uri("mongodb://one.example.com")).await?;
/// let two = Source::connect(&ConnectOptions::default().uri("mongodb://two.example.com")).await?;
/// let report = Comparison::of_deployments(&one, &two).run().await?;
/// assert!(report.is_same(), "{report}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Comparison {
    expected: Side,
    actual: Side,
    select: Selector,
    cx: RunContext,
}

impl Comparison {
    /// Compares a deployment with another one, which has what it should.
    pub fn of_deployments(expected: &Source, actual: &Source) -> Self {
        Self {
            expected: Side::Deployment(expected.clone()),
            actual: Side::Deployment(actual.clone()),
            select: Selector::default(),
            cx: RunContext::default(),
        }
    }

    /// Compares a deployment with a dump that was restored to it; with one of a repository, at the moment that it goes to.
    ///
    /// What was written between the snapshot and that moment is taken from the entries of the oplog: a document of which they tell no more than that something
    /// of it changed is left out, and counted.
    pub fn of_dump(expected: Arc<dyn DumpReader>, actual: &Target) -> Self {
        Self {
            expected: Side::Dump(expected, actual.clone()),
            actual: Side::Deployment(Source(actual.0.clone())),
            select: Selector::default(),
            cx: RunContext::default(),
        }
    }

    /// Sets which namespaces are compared. Default: all.
    #[must_use]
    pub fn select(mut self, select: Selector) -> Self {
        self.select = select;
        self
    }

    /// Sets who is told of events: each namespace is started and finished twice, once for each side.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.cx.set_observer(observer);
        self
    }

    /// Sets the counters that the run adds to.
    #[must_use]
    pub fn counters(mut self, counters: Arc<Counters>) -> Self {
        self.cx.counters = counters;
        self
    }

    /// Sets the token that stops it.
    #[must_use]
    pub fn cancel(mut self, cancel: CancellationToken) -> Self {
        self.cx.cancel = cancel;
        self
    }

    /// Makes it a part of another run.
    pub(crate) fn context(mut self, cx: RunContext) -> Self {
        self.cx = cx;
        self
    }

    /// Compares. Only reads.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for a dump that is read from front to end;
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) if it is damaged; [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled), and as both have
    /// them. What differs is in the report.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn run(&self) -> Result<ComparisonReport> {
        let compared = self.cx.unless_cancelled(self.compare().boxed());
        compared.await
    }

    async fn compare(&self) -> Result<ComparisonReport> {
        let clock = Instant::now();
        let (select, cx) = (&self.select, &self.cx);
        let expected = self.expected.list(select, cx).await?;
        let actual = self.actual.list(select, cx).await?;
        let until = cx
            .now()
            .saturating_add(LASTS)
            .unwrap_or(jiff::Timestamp::MAX);
        let expiring = |listed: &Listed| {
            Arc::new(Expiring::new(
                &listed.options,
                &listed.indexes,
                until.as_millisecond(),
            ))
        };
        let expiring: HashMap<Namespace, Arc<Expiring>> = expected
            .iter()
            .map(|(name, listed)| (name.clone(), expiring(listed)))
            .collect();
        let replayed = self.replayed(&expiring).await?;
        let known = Known { expiring, replayed };
        let mut compared = known.definitions(&expected, &actual);
        let both = compared.values().filter(|(_, has_data)| *has_data);
        let both: Vec<Namespace> = both.map(|(it, _)| it.namespace.clone()).collect();
        let wanted = |is_before: bool| -> Wanted {
            let names = both.iter();
            names
                .map(|name| (name.clone(), known.rules(name, is_before)))
                .collect()
        };
        let closeness = Closeness::Whole;
        let (mut before, mut after) = tokio::try_join!(
            Box::pin(self.expected.read(select, wanted(true), &closeness, cx)),
            Box::pin(self.actual.read(select, wanted(false), &closeness, cx)),
        )?;
        let mut report = ComparisonReport::default();
        for (name, (mut namespace, _)) in std::mem::take(&mut compared) {
            if let (Some(before), Some(after)) = (before.remove(&name), after.remove(&name)) {
                self.documents(&mut namespace, before, after, &known)
                    .await?;
            }
            report.documents += namespace.documents.unwrap_or_default();
            report.different += u64::from(!namespace.differences.is_empty());
            report.partial += u64::from(!namespace.not_compared.is_empty());
            report.namespaces.push(namespace);
        }
        report.duration_seconds = clock.elapsed().as_secs_f64();
        Ok(report)
    }

    /// What a replay does, if the dump is restored with one.
    async fn replayed(
        &self,
        expiring: &HashMap<Namespace, Arc<Expiring>>,
    ) -> Result<Option<Replayed>> {
        let Side::Dump(reader, _) = &self.expected else {
            return Ok(None);
        };
        let source = OplogSource::choose(&**reader, &RestoreOptions::default()).await?;
        let Some(source) = source else {
            return Ok(None);
        };
        let until = reader.until();
        let between = Between {
            after: until
                .filter(|it| !it.has_oplog())
                .map_or(OpTime::default(), PointInTime::base),
            limit: until.map_or(OpTimeLimit::default(), |until| until.at().next().into()),
        };
        let entries = source.documents(&**reader)?;
        Replayed::read(entries, between, expiring).await.map(Some)
    }

    /// Compares what was read of a namespace, and finds out in what it differs.
    async fn documents(
        &self,
        namespace: &mut ComparedNamespace,
        before: Read,
        after: Read,
        known: &Known,
    ) -> Result<()> {
        namespace.expiring_documents = before.expiring.max(after.expiring);
        namespace.changed_documents = before.changed.max(after.changed);
        let (Gathered::Whole(before), Gathered::Whole(after)) = (before.gathered, after.gathered)
        else {
            return Ok(());
        };
        namespace.expected_documents = Some(before.documents);
        namespace.documents = Some(after.documents);
        namespace.expected_digest = Some(before.digest().to_string());
        namespace.digest = Some(after.digest().to_string());
        if before != after {
            let difference = self.look_closer(&namespace.namespace, known).await?;
            namespace.differences.push(difference);
        }
        self.cx.emit(Event::NamespaceAdvanced {
            namespace: namespace.namespace.clone(),
            documents: after.documents,
            uncompressed_bytes: 0,
        });
        Ok(())
    }

    /// Finds the documents that differ.
    async fn look_closer(&self, name: &Namespace, known: &Known) -> Result<Difference> {
        let [before, after] = self.read_both(name, known, &Closeness::Buckets).await?;
        let (Gathered::Buckets(before), Gathered::Buckets(after)) = (before, after) else {
            return Ok(unlike());
        };
        let differing = before.iter().zip(&after).enumerate();
        let differing = differing.filter(|(_, (before, after))| before != after);
        let (mut buckets, mut documents, mut all) = (HashSet::new(), 0, true);
        let count = |content: &Content| content.documents;
        for (bucket, (before, after)) in differing {
            documents += count(before) + count(after);
            if !buckets.is_empty() && documents > LOOKED_AT {
                all = false;
                break;
            }
            buckets.insert(bucket);
        }
        let closeness = Closeness::Documents(Arc::new(buckets));
        let [before, after] = self.read_both(name, known, &closeness).await?;
        let (Gathered::Documents(before), Gathered::Documents(after)) = (before, after) else {
            return Ok(unlike());
        };
        Ok(difference(before, after, all))
    }

    async fn read_both(
        &self,
        name: &Namespace,
        known: &Known,
        closeness: &Closeness,
    ) -> Result<[Gathered; 2]> {
        let cx = &self.cx;
        let (before, after) = tokio::try_join!(
            Box::pin(
                self.expected
                    .read_one(name, known.rules(name, true), closeness, cx)
            ),
            Box::pin(
                self.actual
                    .read_one(name, known.rules(name, false), closeness, cx)
            ),
        )?;
        let empty = |read: Option<Read>| {
            read.map_or_else(
                || Gathered::Documents(BTreeMap::new()),
                |read| read.gathered,
            )
        };
        Ok([empty(before), empty(after)])
    }
}

/// What documents of a collection that changes while it is looked at differ in is not known.
fn unlike() -> Difference {
    Difference::Documents {
        missing: 0,
        unexpected: 0,
        changed: 0,
        all: false,
        examples: Vec::new(),
    }
}

fn difference(
    before: BTreeMap<content::Key, Seen>,
    mut after: BTreeMap<content::Key, Seen>,
    all: bool,
) -> Difference {
    let (mut missing, mut changed, mut found) = (0, 0, Vec::new());
    for (key, seen) in before {
        match after.remove(&key) {
            None => {
                missing += 1;
                found.extend(seen.id.map(|id| ("missing", id)));
            }
            Some(other) if other.digest != seen.digest => {
                changed += 1;
                found.extend(other.id.map(|id| ("changed", id)));
            }
            Some(_) => {}
        }
    }
    let unexpected = after.len() as u64;
    let more = after.into_values().filter_map(|seen| seen.id);
    found.extend(more.map(|id| ("unexpected", id)));
    found.truncate(EXAMPLES);
    let examples = found.into_iter().map(|(what, id)| {
        let text = ext_json::to_canonical(&id).unwrap_or_default();
        format!("{what} {text}")
    });
    Difference::Documents {
        missing,
        unexpected,
        changed,
        all,
        examples: examples.collect(),
    }
}

/// What is known of namespaces before documents are read.
struct Known {
    expiring: HashMap<Namespace, Arc<Expiring>>,
    replayed: Option<Replayed>,
}

impl Known {
    fn rules(&self, name: &Namespace, is_before: bool) -> Rules {
        Rules {
            replayed: self.replayed.as_ref().and_then(|it| it.documents(name)),
            is_before,
            expiring: self.expiring.get(name).cloned().unwrap_or_default(),
        }
    }

    /// Compares what is listed; also says of which namespaces documents are to be compared.
    fn definitions(
        &self,
        expected: &BTreeMap<Namespace, Listed>,
        actual: &BTreeMap<Namespace, Listed>,
    ) -> BTreeMap<Namespace, (ComparedNamespace, bool)> {
        let mut compared = BTreeMap::new();
        for name in expected.keys().chain(actual.keys()) {
            let mut namespace = ComparedNamespace::new(name);
            let mut has_data = false;
            let why = self.replayed.as_ref().and_then(|it| it.why_unknown(name));
            match (expected.get(name), actual.get(name), why) {
                (_, _, Some(why)) => namespace.not_compared.push(why.to_owned()),
                (Some(expected), Some(actual), None) => {
                    has_data = self.compare(&mut namespace, expected, actual);
                }
                (None, _, None) => namespace.differences.push(Difference::Unexpected),
                (_, None, None) => namespace.differences.push(Difference::Missing),
            }
            compared.insert(name.clone(), (namespace, has_data));
        }
        compared
    }

    fn compare(
        &self,
        namespace: &mut ComparedNamespace,
        expected: &Listed,
        actual: &Listed,
    ) -> bool {
        if expected.kind != actual.kind {
            let message = format!("it is a {}, and should be a {}", actual.kind, expected.kind);
            namespace.differences.push(Difference::Kind { message });
            return false;
        }
        let replayed = self.replayed.as_ref();
        if replayed.is_some_and(|it| it.redefines(&namespace.namespace)) {
            let why = "its options and indexes changed on the way to the moment";
            namespace.not_compared.push(why.to_owned());
        } else {
            let options = option_differences(&expected.options, &actual.options);
            let options = options.into_iter();
            let found = options.map(|message| Difference::Option { message });
            namespace.differences.extend(found);
            if expected.kind != NamespaceKind::View {
                // Servers add to those of a time-series.
                let is_all = expected.kind != NamespaceKind::TimeSeries;
                let indexes = index_differences(&expected.indexes, &actual.indexes, is_all);
                let indexes = indexes.into_iter();
                let found = indexes.map(|message| Difference::Index { message });
                namespace.differences.extend(found);
            }
        }
        expected.has_data && actual.has_data
    }
}
