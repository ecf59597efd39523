//! Carrying a plan out: definitions, data, indexes, and a look at what came of it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use bson::{Document, RawDocumentBuf};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use rdump_format::{Namespace, OpTime};
use rdump_oplog::{CollectionIndexes, IndexCatalog};
use tokio::task::JoinSet;

use super::{
    RestoredNamespace,
    authorization::PlannedAuthorization,
    ledger::{Ledger, Stage},
    loader::{self, Incoming},
    oplog_source::{OplogNames, PlannedOplog},
    plan::{NamespaceKind, PlannedNamespace, RestorePlan},
    read_back,
    replay::{OfTarget, ReplayedOplog, replay},
};
use crate::{
    Error, ErrorKind, Event, Problem, RestoreOptions, Result,
    connect::Deployment,
    context::RunContext,
    media::{Access, ArrivalStream, Documents, DumpEntry, DumpReader},
};

/// How large a collection may be, in bytes as far as they are known, to need no memory worth counting.
const SMALL_BYTES: u64 = 1 << 20;
/// How many small collections take the place of a large one: they only wait for the server.
const SMALL_FOR_LARGE: usize = 4;

/// What the tasks of a run share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) cx: RunContext,
    pub(super) deployment: Deployment,
    pub(super) reader: Arc<dyn DumpReader>,
    pub(super) options: RestoreOptions,
    /// As it goes into commands.
    pub(super) write_concern: Document,
    /// Buffers of insert commands that are done.
    pub(super) spare_buffers: Arc<Mutex<Vec<Vec<u8>>>>,
    /// What another run would go on with, if one could.
    pub(super) ledger: Option<Ledger>,
}

impl Shared {
    pub(super) fn new(
        cx: RunContext,
        deployment: Deployment,
        reader: Arc<dyn DumpReader>,
        options: RestoreOptions,
    ) -> Self {
        let mut write_concern = options.write_concern.to_document();
        // Without an acknowledgement nobody knows what was inserted; one member's costs next to nothing.
        if write_concern.get_i64("w").is_ok_and(|members| members == 0) {
            write_concern.insert("w", 1_i64);
        }
        Self {
            cx,
            deployment,
            reader,
            options,
            write_concern,
            spare_buffers: Arc::default(),
            ledger: None,
        }
    }

    /// What the dump has at this place.
    fn entry(&self, at: usize) -> Option<&DumpEntry> {
        self.reader.contents().entries.get(at)
    }

    /// Records a failure that does not end the run, unless there are too many.
    pub(super) fn problem(&self, namespace: &Namespace, message: impl Into<String>) -> Result<()> {
        self.cx.problem(Problem::new(Some(namespace), message));
        match self.cx.problems().len() as u64 >= self.options.max_problems {
            true => Err(Error::conflict(format!(
                "there are {} problems, as many as end the run",
                self.options.max_problems
            ))),
            false => Ok(()),
        }
    }

    /// What a look at the target found, or `None` with a notice if the user may not look: the built-in role
    /// `restore` may write, and not read.
    fn unless_denied<T>(
        &self,
        namespace: &Namespace,
        what: &str,
        found: Result<T>,
    ) -> Result<Option<T>> {
        match found {
            Err(error) if error.kind() == ErrorKind::Denied => {
                let message =
                    format!("{what} could not be compared with what was restored: {error}");
                self.cx.notice(Some(namespace), message);
                Ok(None)
            }
            found => found.map(Some),
        }
    }

    /// Creates one collection, restores its documents and counts them at the target.
    ///
    /// The documents are those that `arrived`, or are asked for.
    async fn load(
        &self,
        planned: &PlannedNamespace,
        arrived: Option<BoxStream<'static, Result<Documents>>>,
    ) -> Result<RestoredNamespace> {
        let namespace = &planned.namespace;
        self.cx.begin(namespace);
        self.prepare(planned).await?;
        let mut restored = RestoredNamespace::of(planned);
        let entry = self
            .reader
            .contents()
            .entries
            .get(planned.steps.entry)
            .filter(|_| planned.data);
        let Some(entry) = entry else {
            return Ok(restored);
        };
        self.cx.emit(Event::NamespaceStarted {
            namespace: namespace.clone(),
            estimated_documents: planned.documents,
            estimated_bytes: planned.uncompressed_bytes,
        });
        let noting = self.noting(planned).await?;
        let done = planned.steps.progress.as_ref().map(|it| &*it.segments);
        let done = done.unwrap_or_default();
        let incoming = match (arrived, self.reader.access()) {
            (Some(documents), _) => Incoming {
                documents,
                sequential: true,
            },
            (None, Access::Random(random)) => Incoming {
                documents: random.segments(entry, done),
                sequential: false,
            },
            (None, Access::Sequential(_)) => {
                return Err(Error::internal("documents that are to come were asked for"));
            }
        };
        let loaded = loader::load(self, planned, incoming, noting).await?;
        restored.documents = loaded.documents;
        restored.failed_documents = loaded.failed_documents;
        self.cx.counters.namespaces_finished.add(1);
        self.cx.emit(Event::NamespaceFinished {
            namespace: namespace.clone(),
            documents: loaded.documents,
            failed_documents: loaded.failed_documents,
        });
        if loaded.failed_documents > 0 {
            let mut some = loaded.messages.join("; ");
            // Noted is how many, and not why.
            if some.is_empty() {
                "all in runs that were interrupted".clone_into(&mut some);
            }
            self.problem(
                namespace,
                format!(
                    "the target refused {} documents: {some}",
                    loaded.failed_documents
                ),
            )?;
        }
        if loaded.repeated_documents > 0 {
            let message = format!(
                "{} documents of it are in the dump twice, since it changed while it was read; the oplog tells which of them stay",
                loaded.repeated_documents
            );
            self.cx.notice(Some(namespace), message);
        }
        // Before indexes are built, one of which may make documents expire.
        if planned.steps.was_empty && !planned.steps.expires {
            let once = loaded.documents - loaded.repeated_documents;
            let counted = self.count(planned, once).await;
            let counted = self.unless_denied(namespace, "its documents", counted)?;
            let counted = counted.unwrap_or(once);
            // How many came twice in runs before this one is not known.
            let may_repeat = planned.steps.may_repeat && planned.steps.progress.is_some();
            let at_least = if may_repeat { 0 } else { once };
            let message = format!(
                "{} documents were inserted, but the target has {counted}",
                loaded.documents
            );
            // A full capped collection makes room for the last documents by removing the first.
            let may_be_full = planned.create && planned.steps.capped;
            if may_be_full && (1..loaded.documents).contains(&counted) {
                self.cx.notice(Some(namespace), message);
            } else if !(at_least..=loaded.documents).contains(&counted) {
                self.problem(namespace, message)?;
            }
        }
        Ok(restored)
    }

    /// What the dump has of collections and their indexes, for the oplog to change, and what else the target has.
    async fn catalog(
        &self,
        namespaces: &[Arc<PlannedNamespace>],
        kept: Option<&OfTarget>,
    ) -> Result<(IndexCatalog, OfTarget)> {
        let mut catalog = IndexCatalog::new();
        for planned in namespaces {
            if let (Some(indexes), false) = (
                &planned.steps.for_replay,
                planned.kind == NamespaceKind::View,
            ) {
                catalog.insert(&planned.namespace, indexes.clone());
            }
        }
        let mut of_target = OfTarget::new();
        for (namespace, uuid) in self.all_listed().await? {
            if let (None, Some(uuid)) = (catalog.get(&namespace), uuid) {
                of_target.insert(namespace.clone(), uuid);
            }
            catalog.insert_existing(&namespace);
        }
        // What a run that is gone on with has made is not the target's own.
        let of_target = kept.cloned().unwrap_or(of_target);
        Ok((catalog, of_target))
    }

    /// Compares what the target lists with what was asked for.
    async fn compare(&self, planned: &PlannedNamespace) -> Result<()> {
        if !planned.create {
            return Ok(());
        }
        let namespace = &planned.namespace;
        let listed = self.listed(namespace).await;
        let Some(listed) = self.unless_denied(namespace, "its options", listed)? else {
            return Ok(());
        };
        let Some(listed) = listed else {
            return self.problem(namespace, "it is gone");
        };
        let mut differences =
            read_back::option_differences(&planned.steps.options, &listed.options);
        if planned
            .steps
            .uuid
            .is_some_and(|uuid| listed.uuid != Some(uuid))
        {
            differences.push("its UUID is not what was asked for".to_owned());
        }
        for difference in differences {
            self.problem(namespace, difference)?;
        }
        match planned.kind {
            NamespaceKind::View => Ok(()),
            kind => {
                let asked_for = &planned.steps.indexes;
                let is_ours = kind != NamespaceKind::TimeSeries;
                self.compare_indexes(namespace, asked_for, is_ours).await
            }
        }
    }

    /// Compares the indexes that the target lists with those asked for; there are no others if the collection is
    /// all ours.
    pub(super) async fn compare_indexes(
        &self,
        namespace: &Namespace,
        asked_for: &[RawDocumentBuf],
        is_ours: bool,
    ) -> Result<()> {
        let indexes = self.listed_indexes(namespace).await;
        let Some(indexes) = self.unless_denied(namespace, "its indexes", indexes)? else {
            return Ok(());
        };
        read_back::index_differences(asked_for, &indexes, is_ours)
            .into_iter()
            .try_for_each(|difference| self.problem(namespace, difference))
    }
}

/// What is restored beside namespaces.
struct Planned {
    authorization: Option<Arc<PlannedAuthorization>>,
    oplog: Option<PlannedOplog>,
}

/// What became of the namespaces that arrived, and the entries of the oplog that came after them.
type Loaded = (
    HashMap<Namespace, RestoredNamespace>,
    Option<BoxStream<'static, Result<Documents>>>,
);

/// Does what the plan says, and returns what became of each namespace, in the order of the plan, and of the oplog.
///
/// # Cancel safety
///
/// Dropping the future ends all tasks; what was written stays.
pub(super) async fn restore_all(
    shared: &Arc<Shared>,
    plan: RestorePlan,
) -> Result<(Vec<RestoredNamespace>, Option<ReplayedOplog>)> {
    let namespaces: Vec<Arc<PlannedNamespace>> =
        plan.namespaces.into_iter().map(Arc::new).collect();
    let replayed = plan.oplog.as_ref().and_then(|oplog| oplog.replayed);
    if let (Some(authorization), true) = (&plan.authorization, replayed.is_some()) {
        // The run that is gone on with may have left its collections behind.
        authorization.begin();
    }
    let plan = Planned {
        authorization: plan.authorization.filter(|_| replayed.is_none()),
        oplog: plan.oplog,
    };
    // One at once is one after the other, whatever their size.
    let (places, large) = match shared.options.parallel_collections.get() {
        1 => (1, 1),
        at_once => (at_once.saturating_mul(SMALL_FOR_LARGE), SMALL_FOR_LARGE),
    };
    let left = namespaces.iter().filter(|_| replayed.is_none());
    let (views, others) =
        left.partition::<Vec<_>, _>(|planned| planned.kind == NamespaceKind::View);
    let mut arriving = None;
    let mut restored = match shared.reader.access() {
        Access::Random(random) => {
            if let Some(planned) = &plan.authorization
                && let Some(version) = planned.version.and_then(|at| shared.entry(at))
            {
                planned.read_version(random.documents(version)).await?;
                shared.check_authorization(planned).await?;
            }
            let mut tasks = JoinSet::new();
            let loaded = load_all(shared, others, places, large, &mut tasks).await;
            // None outlives the run, whatever came of it.
            tasks.shutdown().await;
            loaded?
        }
        Access::Sequential(mut arrivals) => {
            let mut tasks = JoinSet::new();
            let loaded = load_arriving(shared, others, &plan, &mut arrivals, &mut tasks).await;
            tasks.shutdown().await;
            let (restored, oplog) = loaded?;
            arriving = oplog.map(|oplog| (oplog, arrivals));
            restored
        }
    };
    for view in sources_first(views) {
        let loaded = shared.load(view, None).await;
        let loaded = loaded.map_err(|error| error.for_namespace(&view.namespace))?;
        restored.insert(loaded.namespace.clone(), loaded);
    }

    if let Some(planned) = &plan.authorization {
        planned.begin();
        if let Access::Random(_) = shared.reader.access() {
            for part in planned.namespaces() {
                let loaded = shared.load(part, None).await;
                let loaded = loaded.map_err(|error| error.for_namespace(&part.from))?;
                restored.insert(loaded.namespace.clone(), loaded);
            }
        }
        let empty = |part: &Namespace| restored.get(part).is_none_or(|part| part.documents == 0);
        shared.merge_authorization(planned, empty).await?;
        // A run that is killed while it replays is to leave no passwords behind.
        shared.clean_up_authorization(planned).await;
    }

    let mut oplog = None;
    if let Some(planned) = &plan.oplog {
        match replayed {
            None => {
                for namespace in &planned.dropped {
                    shared.drop_collection(namespace).await?;
                }
                shared.begin_stage(Stage::Oplog).await?;
            }
            Some(_) => {
                let before = namespaces.iter().map(|planned| {
                    let before = RestoredNamespace::before(planned);
                    (before.namespace.clone(), before)
                });
                restored.extend(before);
            }
        }
        let (documents, rest) = match arriving {
            Some((documents, rest)) => (documents, Some(rest)),
            None => (planned.source.documents(&*shared.reader)?, None),
        };
        let (catalog, of_target) = shared.catalog(&namespaces, planned.kept.as_ref()).await?;
        // A dump that is of one moment has nothing of what comes after it.
        let is_exact = planned.since > OpTime::default();
        let overlapping = namespaces.iter().filter(|_| !is_exact);
        let capped = shared.capped(overlapping, replayed.is_some()).await?;
        let replay = Box::pin(replay(
            shared, planned, documents, catalog, of_target, capped,
        ));
        let (done, collections) = replay.await?;
        oplog = Some(done);
        if let Some(mut rest) = rest {
            // Behind the oplog is only what tells whether it is sound.
            while let Some(arrival) = rest.next().await {
                drop(arrival?);
            }
        }
        let names = planned.names.iter();
        let meanwhile: Vec<&Namespace> = names.flat_map(OplogNames::meanwhile).collect();
        let collections = collections
            .into_iter()
            .filter(|(namespace, _)| !meanwhile.contains(&namespace));
        finish_replayed(shared, &namespaces, collections.collect(), places).await?;
        for namespace in &meanwhile {
            shared.drop_collection(namespace).await?;
        }
    } else {
        shared.begin_stage(Stage::Indexes).await?;
        finish_all(shared, &namespaces, places).await?;
    }
    let restored = namespaces
        .iter()
        .filter_map(|planned| restored.remove(&planned.namespace));
    Ok((restored.collect(), oplog))
}

/// Builds the indexes of all namespaces, so many at once, and looks at what came of each.
async fn finish_all(
    shared: &Arc<Shared>,
    namespaces: &[Arc<PlannedNamespace>],
    places: usize,
) -> Result<()> {
    let finish = |planned: &Arc<PlannedNamespace>| {
        let (shared, planned) = (Arc::clone(shared), Arc::clone(planned));
        async move {
            let namespace = &planned.namespace;
            let done = async {
                let indexes = &planned.steps.indexes;
                shared.build_indexes(namespace, indexes).await?;
                shared.compare(&planned).await
            };
            done.await.map_err(|error| error.for_namespace(namespace))?;
            shared.cx.complete(namespace);
            Ok::<_, Error>(())
        }
    };
    stream::iter(namespaces.iter().map(finish))
        .buffer_unordered(places)
        .try_collect()
        .await
}

/// Builds the indexes that collections are to have after the oplog was replayed, and looks at them. What else became of
/// them is what the oplog says, which nobody can compare it with.
async fn finish_replayed(
    shared: &Arc<Shared>,
    namespaces: &[Arc<PlannedNamespace>],
    collections: Vec<(Namespace, CollectionIndexes)>,
    places: usize,
) -> Result<()> {
    let kinds: HashMap<Namespace, NamespaceKind> = namespaces
        .iter()
        .map(|planned| (planned.namespace.clone(), planned.kind))
        .collect();
    let finish = |(namespace, indexes): (Namespace, CollectionIndexes)| {
        let kind = kinds.get(&namespace).copied();
        let kind = kind.unwrap_or(NamespaceKind::Collection);
        let shared = Arc::clone(shared);
        async move {
            let done = shared.finish_replayed(&namespace, kind, &indexes).await;
            done.map_err(|error| error.for_namespace(&namespace))
        }
    };
    let wanted = collections
        .into_iter()
        .filter(|(_, indexes)| !shared.options.no_index_restore && !indexes.specs.is_empty());
    stream::iter(wanted.map(finish))
        .buffer_unordered(places)
        .try_collect::<()>()
        .await?;
    for planned in namespaces {
        shared.cx.complete(&planned.namespace);
    }
    Ok(())
}

/// Loads the data of all namespaces, the largest first, each by a task of its own.
///
/// There are so many `places`, of which a collection that is not small takes `large`.
async fn load_all(
    shared: &Arc<Shared>,
    mut waiting: Vec<&Arc<PlannedNamespace>>,
    mut places: usize,
    large: usize,
    tasks: &mut JoinSet<Result<(usize, RestoredNamespace)>>,
) -> Result<HashMap<Namespace, RestoredNamespace>> {
    let bytes =
        |planned: &PlannedNamespace| planned.uncompressed_bytes.unwrap_or(planned.stored_bytes);
    if places > 1 {
        // The sort is stable: those of the same size keep their order.
        waiting.sort_by_key(|planned| std::cmp::Reverse(bytes(planned)));
    }
    let needed = |planned: &PlannedNamespace| match bytes(planned) <= SMALL_BYTES {
        true => 1,
        false => large,
    };
    let mut waiting = waiting.into_iter().peekable();
    let mut restored = HashMap::new();
    loop {
        while let Some(planned) = waiting.next_if(|planned| needed(planned) <= places) {
            let taken = needed(planned);
            places -= taken;
            let (shared, planned) = (Arc::clone(shared), Arc::clone(planned));
            tasks.spawn(async move {
                let loaded = shared.load(&planned, None).await;
                let loaded = loaded.map_err(|error| error.for_namespace(&planned.namespace));
                loaded.map(|loaded| (taken, loaded))
            });
        }
        match tasks.join_next().await {
            Some(loaded) => {
                let loaded = loaded.map_err(|error| Error::task("restore namespace", error));
                let (taken, loaded) = loaded??;
                places += taken;
                restored.insert(loaded.namespace.clone(), loaded);
            }
            None => return Ok(restored),
        }
    }
}

/// Loads the data of all namespaces as they come, each by a task of its own.
///
/// If the oplog is to be replayed, it is what comes last, and its entries are given back.
///
/// How many there are at once is for the medium to say, and so is how much they have in memory altogether.
async fn load_arriving(
    shared: &Arc<Shared>,
    planned: Vec<&Arc<PlannedNamespace>>,
    plan: &Planned,
    arrivals: &mut ArrivalStream<'_>,
    tasks: &mut JoinSet<Result<RestoredNamespace>>,
) -> Result<Loaded> {
    let authorization = plan.authorization.as_ref();
    let oplog = plan.oplog.as_ref();
    let replayed = oplog.and_then(|oplog| oplog.source.entry());
    let merged = authorization
        .into_iter()
        .flat_map(|planned| planned.namespaces());
    let mut waiting: HashMap<usize, &Arc<PlannedNamespace>> = planned
        .into_iter()
        .chain(merged)
        .map(|planned| (planned.steps.entry, planned))
        .collect();
    let mut restored = HashMap::new();
    let (mut ended, mut failed, mut oplog) = (false, None, None);
    loop {
        tokio::select! {
            arrival = arrivals.next(), if !ended => match arrival {
                Some(Ok(arrival)) if replayed == Some(arrival.entry) => {
                    if let Some(later) = waiting.values().map(|planned| &planned.from).min() {
                        return Err(Error::data(
                            "it comes after the oplog of the archive, which can be replayed over nothing but the whole dump",
                        )
                        .for_namespace(later));
                    }
                    (ended, oplog) = (true, Some(arrival.documents));
                }
                Some(Ok(arrival)) => {
                    if let Some(planned) = authorization {
                        planned.begin();
                        if planned.version == Some(arrival.entry) {
                            planned.read_version(arrival.documents).await?;
                            continue;
                        }
                    }
                    // What is not wanted is dropped.
                    let Some(planned) = waiting.remove(&arrival.entry) else { continue };
                    let (shared, planned) = (Arc::clone(shared), Arc::clone(planned));
                    tasks.spawn(async move {
                        let loaded = shared.load(&planned, Some(arrival.documents)).await;
                        loaded.map_err(|error| error.for_namespace(&planned.namespace))
                    });
                }
                Some(Err(error)) => (ended, failed) = (true, Some(error)),
                None => ended = true,
            },
            Some(loaded) = tasks.join_next(), if !tasks.is_empty() => {
                match loaded.map_err(|error| Error::task("restore namespace", error))? {
                    Ok(loaded) => {
                        restored.insert(loaded.namespace.clone(), loaded);
                    }
                    // What came of the others until then is whole, and is inserted.
                    Err(_) if failed.is_some() => {}
                    Err(error) => return Err(error),
                }
            }
            else => break,
        }
    }
    match failed {
        Some(error) => Err(error),
        None => Ok((restored, oplog)),
    }
}

/// Puts each view after the view that it reads.
fn sources_first(mut views: Vec<&Arc<PlannedNamespace>>) -> Vec<&Arc<PlannedNamespace>> {
    let mut ordered = Vec::with_capacity(views.len());
    while !views.is_empty() {
        let reads_another = |view: &PlannedNamespace| {
            views.iter().any(|other| {
                other.namespace != view.namespace
                    && other.namespace.db == view.namespace.db
                    && Some(&other.namespace.collection) == view.steps.view_on.as_ref()
            })
        };
        let (later, now): (Vec<_>, Vec<_>) =
            views.iter().copied().partition(|view| reads_another(view));
        if now.is_empty() {
            // A circle, which the server will refuse by name.
            ordered.extend(later);
            break;
        }
        ordered.extend(now);
        views = later;
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::plan::Steps;

    fn view(name: &str, on: &str) -> Arc<PlannedNamespace> {
        Arc::new(PlannedNamespace {
            namespace: Namespace::new("db", name),
            from: Namespace::new("db", name),
            kind: NamespaceKind::View,
            drop: false,
            create: true,
            data: false,
            documents: None,
            uncompressed_bytes: None,
            stored_bytes: 0,
            restored_before: None,
            indexes: Vec::new(),
            steps: Steps {
                view_on: Some(on.to_owned()),
                ..Steps::default()
            },
        })
    }

    #[test]
    fn a_view_comes_after_the_view_that_it_reads() {
        let views = [
            view("a", "b"),
            view("b", "c"),
            view("c", "orders"),
            view("d", "d"),
        ];
        let ordered = sources_first(views.iter().collect());
        let names: Vec<_> = ordered
            .iter()
            .map(|view| view.namespace.collection.as_str())
            .collect();
        assert_eq!(names, ["c", "d", "b", "a"]);
    }

    #[test]
    fn a_circle_of_views_is_left_to_the_server() {
        let views = [view("a", "b"), view("b", "a")];
        assert_eq!(sources_first(views.iter().collect()).len(), 2);
    }
}
