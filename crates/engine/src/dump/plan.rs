//! What would be dumped.

use std::{collections::HashSet, fmt, sync::Arc};

use bson::{RawDocument, RawDocumentBuf, doc, raw::CString};
use futures::{StreamExt, TryStreamExt, stream};
use mongodb::options::SelectionCriteria;
use rdump_format::{
    Authorization, BUCKETS_PREFIX, CollectionMetadata, INTERNAL_DATABASE_PREFIX, Namespace,
    RESTORES_DATABASE, ext_json,
};
use rdump_oplog::{OpTime, RESHARDING_COLLECTIONS};
use serde::Serialize;

use super::{
    Consistency, DumpOptions, DumpedOplog, authorization,
    consistency::Aim,
    moment::{Moment, Otherwise},
    oplog::{self, PlannedOplog},
    scope::Scope,
    steady_catalog::{self, Steady},
    stream_tail,
};
use crate::{
    Error, ErrorKind, Flavor, Result, Source,
    capabilities::Capabilities,
    catalog::{Catalog, CollectionEntry, CollectionKind, Statistics},
    context::RunContext,
    media::{NamespaceHeader, Reading},
    retry::patiently,
};

/// Commands about single collections that are under way at once.
const CATALOG_COMMANDS: usize = 8;

/// What a dump would take: made by [`Dump::plan`](crate::Dump::plan), used up by
/// [`Dump::run`](crate::Dump::run).
#[derive(Debug)]
pub struct DumpPlan {
    /// Users and roles, then those with data by falling size, then those without.
    pub(super) namespaces: Vec<PlannedNamespace>,
    pub(super) oplog: Option<PlannedOplog>,
    /// What everything is read at, if at one moment.
    pub(super) moment: Option<Arc<Moment>>,
    /// Whether what earlier attempts have stored fits to that.
    pub(super) keeps: bool,
    pub(super) from: SelectionCriteria,
}

/// One namespace that would be dumped.
#[derive(Clone, Debug)]
pub(super) struct PlannedNamespace {
    pub(super) header: NamespaceHeader,
    /// The collection or view that the server has the documents in.
    pub(super) read_from: Namespace,
    /// Which of its documents are dumped; `None` for all.
    pub(super) filter: Option<RawDocumentBuf>,
    pub(super) statistics: Statistics,
    /// Whether the server has to be told that buckets are meant, and not measurements.
    pub(super) raw_data: bool,
    /// The collection that has the data, under the name that the catalog has for it, and its UUID.
    pub(super) identity: Option<(Namespace, [u8; 16])>,
    /// Whether its documents can be read in the order of `_id`.
    pub(super) ordered_by_id: bool,
}

impl PlannedNamespace {
    /// Whether its documents have an order, and the oldest go away.
    pub(super) fn is_capped(&self) -> bool {
        let metadata = self.header.metadata.as_ref();
        metadata.is_some_and(|it| it.options.get_bool("capped").unwrap_or(false))
    }

    /// What it has of users and roles, if anything: these come before all else, one after the other, since who reads a
    /// stream has to know them first.
    pub(super) fn authorization(&self) -> Option<Authorization> {
        Authorization::of(&self.header.namespace)
    }
}

impl DumpPlan {
    /// The namespaces that would be dumped.
    pub fn namespaces(&self) -> impl Iterator<Item = &Namespace> {
        self.namespaces
            .iter()
            .map(|planned| &planned.header.namespace)
    }

    /// Everything that is dumped, the oplog last.
    pub(super) fn all(&self) -> impl Iterator<Item = &PlannedNamespace> {
        let oplog = self.oplog.iter().map(|oplog| &oplog.planned);
        self.namespaces.iter().chain(oplog)
    }

    /// The moment that no read of the dump may be from before: that at which the captured oplog starts.
    pub(super) fn not_before(&self) -> Option<OpTime> {
        let oplog = self.oplog.as_ref().filter(|oplog| !oplog.is_stream);
        oplog.map(|oplog| oplog.start)
    }

    /// How consistent what was dumped is, and of which moment, if this was captured of the oplog.
    pub(super) fn reached(&self, oplog: Option<&DumpedOplog>) -> (Consistency, Option<OpTime>) {
        let moment = self.moment.as_ref().and_then(|moment| moment.current());
        match (moment, oplog) {
            (Some(at), _) => (Consistency::Snapshot, Some(at)),
            (None, Some(oplog)) => (Consistency::Oplog, Some(oplog.end)),
            (None, None) => (Consistency::None, None),
        }
    }

    /// How what is read comes to be of one moment. A moment that may be lost on the way is none.
    pub(super) fn reading(&self) -> Reading {
        let moment = self.moment.as_ref().filter(|moment| moment.is_kept());
        Reading {
            captured_from: self.oplog.as_ref().map(|oplog| oplog.start),
            read_at: moment.and_then(|moment| moment.current()),
        }
    }

    /// Whether there is nothing to dump.
    pub fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    /// Refuses a plan that has nothing of what was asked for.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if a pattern to include fits nothing that is dumped, or what the options
    /// name does not exist.
    pub fn check_selection(&self, options: &DumpOptions) -> Result<()> {
        if let Some(pattern) = options.select.unmatched(self.namespaces()).first() {
            return Err(Error::invalid(format!(
                "no namespace fits the pattern {}, or all that do are excluded",
                pattern.as_str()
            )));
        }
        match self.namespaces.is_empty() && options.db.is_some() {
            true => Err(Error::invalid(
                "there is nothing to back up: what is selected does not exist",
            )),
            false => Ok(()),
        }
    }

    /// How many documents there may be.
    pub fn estimated_documents(&self) -> u64 {
        self.namespaces
            .iter()
            .map(|planned| planned.statistics.documents)
            .sum()
    }

    /// How many bytes they may have before compression.
    pub fn estimated_bytes(&self) -> u64 {
        self.namespaces
            .iter()
            .map(|planned| planned.statistics.bytes)
            .sum()
    }
}

impl fmt::Display for DumpPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for planned in &self.namespaces {
            let (namespace, statistics) = (&planned.header.namespace, planned.statistics);
            match &planned.header.data_namespace {
                Some(_) => writeln!(
                    f,
                    "dump {namespace}: about {} documents, {} bytes",
                    statistics.documents, statistics.bytes
                )?,
                None => writeln!(f, "dump {namespace}: the definition only")?,
            }
        }
        if let Some(at) = self.moment.as_ref().and_then(|moment| moment.current()) {
            writeln!(f, "read everything as of {at}")?;
        }
        if let Some(oplog) = &self.oplog {
            writeln!(f, "dump the oplog from {} on", oplog.start)?;
        }
        Ok(())
    }
}

impl Serialize for DumpPlan {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "kebab-case")]
        struct Row<'a> {
            namespace: &'a Namespace,
            data: bool,
            estimated_documents: u64,
            estimated_bytes: u64,
        }
        serializer.collect_seq(self.namespaces.iter().map(|planned| Row {
            namespace: &planned.header.namespace,
            data: planned.header.data_namespace.is_some(),
            estimated_documents: planned.statistics.documents,
            estimated_bytes: planned.statistics.bytes,
        }))
    }
}

/// Checks the options against each other and the source, and reads the source's catalog.
pub(super) async fn plan(
    source: &Source,
    options: &DumpOptions,
    earlier: Option<Reading>,
    cx: &RunContext,
) -> Result<DumpPlan> {
    check_options(options)?;
    let filter = options
        .query
        .as_deref()
        .map(parse_query)
        .transpose()?
        .filter(|filter| !filter.is_empty());
    let from = match &options.read_preference {
        Some(preference) => preference.criteria()?,
        None => source
            .0
            .client
            .selection_criteria()
            .cloned()
            .unwrap_or_else(|| {
                SelectionCriteria::ReadPreference(mongodb::options::ReadPreference::Primary)
            }),
    };
    let aim = Aim::of(options, source, cx)?;
    let planning = Planning {
        source,
        options,
        from: &from,
        aim,
        cx,
    };
    let plan = Box::pin(planning.plan(earlier)).await?;
    let mut namespaces = plan.namespaces;
    if let Some(filter) = filter {
        for planned in &mut namespaces {
            let metadata = planned.header.metadata.as_ref();
            let kind = metadata.and_then(|metadata| metadata.kind.as_deref());
            planned.filter = Some(match (kind, metadata) {
                (Some("timeseries"), Some(metadata)) => {
                    let namespace = &planned.header.namespace;
                    time_series_filter(metadata, &filter)
                        .map_err(|error| error.for_namespace(namespace))?
                }
                _ => filter.clone(),
            });
        }
    }
    namespaces.sort_by_key(|planned| {
        let data = planned.header.data_namespace.is_some();
        let bytes = std::cmp::Reverse(planned.statistics.bytes);
        let authorization = planned.authorization();
        (authorization.is_none(), authorization, !data, bytes)
    });
    Ok(DumpPlan { namespaces, ..plan })
}

/// What a plan is made from.
#[derive(Clone, Copy)]
pub(super) struct Planning<'a> {
    pub(super) source: &'a Source,
    pub(super) options: &'a DumpOptions,
    pub(super) from: &'a SelectionCriteria,
    pub(super) aim: Aim,
    pub(super) cx: &'a RunContext,
}

impl Planning<'_> {
    async fn plan(self, earlier: Option<Reading>) -> Result<DumpPlan> {
        if let Some(earlier) = earlier {
            if let Some(plan) = self.go_on(earlier).await? {
                return Ok(plan);
            }
            let message = "what earlier attempts have stored cannot be brought to one moment with what is read now: all is read again";
            self.cx.notice(None, message);
        }
        match self.aim.moment {
            true => self.at_one_moment().await,
            false => self.over_time(None).await,
        }
    }

    /// Plans so that what was read before is of the same moment; `None` if that cannot be.
    async fn go_on(self, earlier: Reading) -> Result<Option<DumpPlan>> {
        let aim = self.aim;
        if aim.oplog && self.source.server().flavor == Flavor::DocumentDb {
            return Ok(None);
        }
        let plan = match (aim.moment, aim.oplog, earlier) {
            (false, false, _) => self.over_time(None).await?,
            (
                _,
                true,
                Reading {
                    captured_from: Some(start),
                    ..
                },
            ) => {
                let scope = Scope::of(self.options);
                let (deployment, max_retries) = (&self.source.0, self.options.max_retries);
                let what = "looking for what was captured before";
                let has_all = patiently(self.cx, max_retries, None, what, || {
                    oplog::reaches_back(deployment, &scope, start)
                });
                match has_all.await? {
                    true => self.over_time(Some(start)).await?,
                    false => return Ok(None),
                }
            }
            (
                true,
                false,
                Reading {
                    read_at: Some(at), ..
                },
            ) if !aim.is_lenient => match steady_catalog::find_at(self, at).await? {
                Some(namespaces) => DumpPlan {
                    namespaces,
                    oplog: None,
                    moment: Some(Arc::new(Moment::new(self.cx.clone(), at, Otherwise::Fail))),
                    keeps: true,
                    from: self.from.clone(),
                },
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        Ok(Some(DumpPlan {
            keeps: true,
            ..plan
        }))
    }

    /// Plans to read each collection at a time of its own, while the oplog is captured if that is what is aimed at: from `start` on, or from now on.
    async fn over_time(self, start: Option<OpTime>) -> Result<DumpPlan> {
        let (deployment, cx) = (&self.source.0, self.cx);
        let oplog = match self.aim.oplog {
            true if self.source.server().flavor == Flavor::DocumentDb => self.stream().await?,
            true => {
                let newest = oplog::moments(deployment, self.options.max_retries, cx).await;
                match newest {
                    Ok(newest) => {
                        let newest = newest.readable;
                        let planned = oplog::plan(deployment, self.options, newest, cx).await?;
                        Some(PlannedOplog {
                            start: start.unwrap_or(planned.start),
                            ..planned
                        })
                    }
                    // It calls itself a replica set, and has no oplog.
                    Err(error) if self.aim.is_lenient && error.kind() == ErrorKind::Data => {
                        let message = format!(
                            "each collection is read at a time of its own (consistency: none): {error}"
                        );
                        cx.notice(None, message);
                        None
                    }
                    Err(error) => return Err(error),
                }
            }
            false => None,
        };
        let catalog = Catalog {
            deployment,
            from: self.from,
            not_before: oplog.as_ref().filter(|it| !it.is_stream).map(|it| it.start),
        };
        Ok(DumpPlan {
            namespaces: read_catalog(&catalog, self.options, oplog.is_some(), cx).await?,
            moment: None,
            oplog,
            keeps: false,
            from: self.from.clone(),
        })
    }

    /// Plans to capture a change stream; `None` if there is none and that is no error.
    async fn stream(self) -> Result<Option<PlannedOplog>> {
        let (deployment, cx) = (&self.source.0, self.cx);
        match stream_tail::plan(deployment, self.options, self.from, cx).await {
            Ok(planned) => Ok(Some(planned)),
            Err(error) if self.aim.is_lenient && error.kind() == ErrorKind::Unsupported => {
                let hint = error.hint().map(|hint| format!(" ({hint})"));
                let message = format!(
                    "each collection is read at a time of its own (consistency: none): {error}{}",
                    hint.unwrap_or_default()
                );
                cx.notice(None, message);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Plans to read everything at a moment at which what exists, and how it is defined, is as it was found.
    async fn at_one_moment(self) -> Result<DumpPlan> {
        let (aim, cx) = (self.aim, self.cx);
        let found = match steady_catalog::find(self).await {
            Err(error) if aim.is_lenient && aim.oplog && error.kind() == ErrorKind::Conflict => {
                let message = format!(
                    "not everything can be read at one moment, and the oplog is taken: {error}"
                );
                cx.notice(None, message);
                return self.over_time(None).await;
            }
            found => found?,
        };
        let Steady {
            namespaces,
            at,
            oplog,
        } = found;
        let otherwise = match (&oplog, aim.is_lenient) {
            (_, false) => Otherwise::Fail,
            (Some(_), true) => Otherwise::Oplog,
            (None, true) => Otherwise::Nothing,
        };
        let moment = Moment::new(cx.clone(), at, otherwise);
        match steady_catalog::check(self, &namespaces, at).await {
            Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Conflict) => {
                moment.lose(error)?;
            }
            checked => checked?,
        }
        Ok(DumpPlan {
            namespaces,
            oplog,
            moment: Some(Arc::new(moment)),
            keeps: false,
            from: self.from.clone(),
        })
    }
}

/// Everything that is to be dumped, as the catalog has it.
pub(super) async fn read_catalog(
    catalog: &Catalog<'_>,
    options: &DumpOptions,
    is_captured: bool,
    cx: &RunContext,
) -> Result<Vec<PlannedNamespace>> {
    let mut found = Vec::new();
    for db in databases(catalog, options, cx).await? {
        let mut wanted = doc! {};
        if let Some(collection) = &options.collection {
            // A time-series collection's buckets are listed beside it.
            wanted.insert(
                "name",
                doc! { "$in": [collection, format!("{BUCKETS_PREFIX}{collection}")] },
            );
        }
        let entries = patiently(cx, options.max_retries, None, "listing collections", || {
            catalog.collections(&db, wanted.clone())
        })
        .await?;
        if is_captured {
            check_not_resharding(&db, &entries)?;
        }
        found.extend(choose(&db, entries, options));
    }
    let planned = stream::iter(found)
        .map(|found| describe(catalog, found, options, cx))
        .buffered(CATALOG_COMMANDS);
    let mut namespaces: Vec<PlannedNamespace> = planned.try_collect().await?;
    if options.users_and_roles
        && let Some(db) = &options.db
    {
        let (codec, retries) = (options.compression.codec(), options.max_retries);
        namespaces.extend(authorization::plan(catalog, db, codec, retries, cx).await?);
    }
    Ok(namespaces)
}

fn check_options(options: &DumpOptions) -> Result<()> {
    let excludes = !options.exclude_collections.is_empty()
        || !options.exclude_collections_with_prefix.is_empty();
    let refuse = |message: &str| Err(Error::invalid(message));
    match (&options.db, &options.collection) {
        (None, Some(_)) => {
            return refuse("cannot dump a collection without a specified database (--db)");
        }
        (None, None) if excludes => {
            return refuse("--db is required when --excludeCollection is specified");
        }
        (Some(_), Some(_)) if excludes => {
            return refuse("--collection is not allowed when --excludeCollection is specified");
        }
        (Some(_), Some(collection)) if collection.starts_with(BUCKETS_PREFIX) => {
            return refuse(
                "cannot dump a collection of buckets by itself: name the time-series collection",
            );
        }
        (None, _) | (_, Some(_)) if options.users_and_roles => {
            return refuse(
                "users and roles are dumped with one database: --dumpDbUsersAndRoles needs --db and no --collection",
            );
        }
        (_, None) if options.query.is_some() => {
            return refuse("cannot dump using a query without --collection");
        }
        _ => {}
    }
    if options.consistency == Consistency::Oplog
        && (options.query.is_some() || options.views_as_collections)
    {
        return refuse(
            "the oplog has neither the documents that a query leaves out nor those of views (--oplog, --consistency oplog): \
             it cannot bring them to one moment",
        );
    }
    if let Some(db) = &options.db {
        rdump_format::check_database_name(db)
            .map_err(|error| Error::invalid("bad value of --db").caused_by(error))?;
    }
    if options.segment_bytes < 64 << 10 || options.segment_bytes > 1 << 30 {
        return refuse("segment-bytes must be at least 65536 and at most 1 GiB");
    }
    if options.limit_bytes_per_second == Some(0) {
        return refuse("--limit-rate must be positive");
    }
    if options.partitions.get() > 256 {
        return refuse("--partitions must be at most 256");
    }
    Ok(())
}

fn parse_query(text: &str) -> Result<RawDocumentBuf> {
    ext_json::parse(text).map_err(|error| {
        Error::invalid("query is not an Extended JSON document (--query)").caused_by(error)
    })
}

async fn databases(
    catalog: &Catalog<'_>,
    options: &DumpOptions,
    cx: &RunContext,
) -> Result<Vec<String>> {
    if let Some(db) = &options.db {
        return Ok(vec![db.clone()]);
    }
    let max_retries = options.max_retries;
    let (mut names, complete) = patiently(cx, max_retries, None, "listing databases", || {
        catalog.databases()
    })
    .await?;
    if !complete {
        let message = "this user may not list all databases: those it may not read are left out of the dump \
            (the built-in role `backup` may)";
        cx.notice(None, message);
    }
    names.retain(|name| {
        let internal = name.starts_with(INTERNAL_DATABASE_PREFIX);
        if internal {
            cx.notice(
                None,
                format!("skipping the server's internal database {name}"),
            );
        }
        let is_ledgers = name == RESTORES_DATABASE;
        if is_ledgers {
            let message = format!("skipping {name}: what restores have noted that did not finish");
            cx.notice(None, message);
        }
        name != "local" && !internal && !is_ledgers
    });
    Ok(names)
}

/// What began before the oplog does is not in it.
fn check_not_resharding(db: &str, entries: &[CollectionEntry]) -> Result<()> {
    let is_resharding = |entry: &CollectionEntry| {
        db == "config" && RESHARDING_COLLECTIONS.contains(&entry.name.as_str())
    };
    match entries.iter().any(is_resharding) {
        true => Err(Error::conflict(
            "detected resharding in progress: cannot dump with --oplog while resharding",
        )
        .with_hint("start the dump again when it is over")),
        false => Ok(()),
    }
}

/// A collection that is to be dumped.
struct Found {
    namespace: Namespace,
    entry: CollectionEntry,
    as_data: bool,
    /// The buckets of a time-series collection.
    buckets: Option<CollectionEntry>,
}

/// Applies the options and the rules for system collections to one database's collections.
fn choose(db: &str, entries: Vec<CollectionEntry>, options: &DumpOptions) -> Vec<Found> {
    let time_series: HashSet<String> = entries
        .iter()
        .filter(|entry| entry.kind == CollectionKind::TimeSeries)
        .map(|entry| format!("{BUCKETS_PREFIX}{}", entry.name))
        .collect();
    let (mut buckets, logical): (Vec<_>, Vec<_>) = entries
        .into_iter()
        .partition(|entry| time_series.contains(&entry.name));
    let scope = Scope::of(options);
    let chosen = logical.into_iter().filter(|entry| {
        // As mongodump has it: what is asked for by name is dumped, whatever it is.
        let kind = !options.views_as_collections
            || options.collection.is_some()
            || entry.kind == CollectionKind::View;
        kind && scope.has(&Namespace::new(db, &entry.name))
    });
    let found = chosen.map(|entry| {
        let namespace = Namespace::new(db, &entry.name);
        let at = match entry.kind {
            CollectionKind::TimeSeries => buckets
                .iter()
                .position(|buckets| buckets.name == namespace.buckets().collection),
            _ => None,
        };
        let as_data = entry.kind != CollectionKind::View || options.views_as_collections;
        Found {
            namespace,
            buckets: at.map(|at| buckets.swap_remove(at)),
            entry,
            as_data,
        }
    });
    found.collect()
}

/// Reads what the server says of one collection.
async fn describe(
    catalog: &Catalog<'_>,
    found: Found,
    options: &DumpOptions,
    cx: &RunContext,
) -> Result<PlannedNamespace> {
    let (codec, max_retries) = (options.compression.codec(), options.max_retries);
    let Found {
        namespace,
        entry,
        as_data,
        buckets,
    } = found;
    let view = entry.kind == CollectionKind::View;
    let (data_namespace, raw_data) = data(
        &namespace,
        entry.kind,
        catalog.deployment.server.capabilities(),
    );
    let indexes = if view {
        Vec::new()
    } else {
        patiently(cx, max_retries, Some(&namespace), "listing indexes", || {
            catalog.indexes(&namespace)
        })
        .await?
    };
    let statistics = if view {
        Statistics::default()
    } else {
        patiently(
            cx,
            max_retries,
            Some(&namespace),
            "asking for its size",
            || catalog.statistics(&data_namespace, raw_data),
        )
        .await?
    };
    let options = if view && as_data {
        without_view(&entry.options)?
    } else {
        entry.options
    };
    let flag = |name: &str| options.get(name).ok().flatten().is_some();
    let capped = options.get_bool("capped").unwrap_or(false);
    let ordered_by_id = entry.kind == CollectionKind::Collection
        && !catalog.deployment.server.capabilities().documentdb
        && !capped
        && (flag("clusteredIndex")
            || indexes
                .iter()
                .any(|index| index.get_str("name").is_ok_and(|name| name == "_id_")));
    let metadata = CollectionMetadata {
        options,
        indexes,
        uuid: entry.uuid,
        collection: Some(namespace.collection.clone()),
        kind: Some(entry.kind.as_str().to_owned()),
    };
    let (identified, uuid) = match buckets {
        Some(buckets) => (namespace.buckets(), buckets.uuid),
        None => (namespace.clone(), entry.uuid),
    };
    let header = NamespaceHeader {
        namespace,
        data_namespace: as_data.then(|| data_namespace.clone()),
        metadata: Some(metadata),
        codec,
    };
    Ok(PlannedNamespace {
        header,
        read_from: data_namespace,
        filter: None,
        statistics,
        raw_data,
        identity: uuid.map(|uuid| (identified, uuid)),
        ordered_by_id,
    })
}

/// The namespace that has the documents, and whether the server has to be told that buckets are meant.
fn data(namespace: &Namespace, kind: CollectionKind, source: Capabilities) -> (Namespace, bool) {
    match kind {
        CollectionKind::TimeSeries => (source.buckets(namespace), source.raw_data),
        CollectionKind::Collection | CollectionKind::View => (namespace.clone(), false),
    }
}

/// A view's options without what makes it a view.
fn without_view(options: &RawDocument) -> Result<RawDocumentBuf> {
    let mut kept = RawDocumentBuf::new();
    for option in options {
        let (name, value) = option.map_err(Error::from_bson)?;
        if !matches!(name.as_str(), "viewOn" | "pipeline") {
            kept.append(name, value);
        }
    }
    Ok(kept)
}

/// Turns a filter on measurements into one on their buckets, which know only the meta field.
fn time_series_filter(
    metadata: &CollectionMetadata,
    filter: &RawDocument,
) -> Result<RawDocumentBuf> {
    let options = metadata
        .options
        .get_document("timeseries")
        .map_err(Error::from_bson)?;
    let meta = options
        .get("metaField")
        .ok()
        .flatten()
        .and_then(|meta| meta.as_str());
    let mut rewritten = RawDocumentBuf::new();
    for condition in filter {
        let (field, value) = condition.map_err(Error::from_bson)?;
        let rest = meta.and_then(|meta| field.as_str().strip_prefix(meta));
        match rest {
            Some(rest) if rest.is_empty() || rest.starts_with('.') => {
                let name = CString::try_from(format!("meta{rest}")).map_err(Error::from_bson)?;
                rewritten.append(name, value);
            }
            _ => {
                return Err(Error::invalid(format!(
                    "cannot query {:?} of a time-series collection: only its metaField can be queried",
                    field.as_str()
                )));
            }
        }
    }
    Ok(rewritten)
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn buckets_are_read_under_the_name_that_the_server_gives_them_under() {
        let namespace = Namespace::new("weather", "t");
        let buckets = Namespace::new("weather", "system.buckets.t");
        for (version, kind, expected) in [
            ([8, 2, 9], CollectionKind::TimeSeries, (&buckets, false)),
            ([8, 3, 0], CollectionKind::TimeSeries, (&namespace, true)),
            ([8, 3, 0], CollectionKind::Collection, (&namespace, false)),
            ([8, 3, 0], CollectionKind::View, (&namespace, false)),
        ] {
            let (read, raw_data) = data(&namespace, kind, Capabilities::of(version));
            assert_eq!((&read, raw_data), expected, "{version:?} {kind:?}");
        }
    }

    /// The collections of one database that are dumped.
    fn chosen<'a>(db: &str, names: &[&'a str], options: &DumpOptions) -> Vec<&'a str> {
        let entry = |name: &&str| CollectionEntry {
            name: (*name).to_owned(),
            kind: match *name {
                "series" => CollectionKind::TimeSeries,
                _ => CollectionKind::Collection,
            },
            options: RawDocumentBuf::new(),
            uuid: None,
        };
        let found = choose(db, names.iter().map(entry).collect(), options);
        let mut names = names.to_vec();
        names.retain(|name| found.iter().any(|found| found.entry.name == *name));
        names
    }

    #[test]
    fn of_what_servers_keep_for_themselves_only_some_is_dumped() {
        // mongodump/prepare_test.go, TOOLS-2030, TOOLS-3324.
        let system = [
            "system.js",
            "system.profile",
            "system.keys",
            "system.users",
            "system.roles",
            "system.version",
            "system.views",
            "system.buckets.x",
            "x",
        ];
        let all = DumpOptions::default();
        for db in ["shop", "testadmin", "admins"] {
            assert_eq!(chosen(db, &system, &all), ["system.js", "x"], "{db}");
        }
        let of_admin = [
            "system.js",
            "system.profile",
            "system.users",
            "system.roles",
            "system.version",
            "x",
        ];
        assert_eq!(chosen("admin", &system, &all), of_admin);

        let config = [
            "chunks",
            "collections",
            "databases",
            "settings",
            "shards",
            "tags",
            "version",
            "transactions",
            "system.sessions",
            "cache.chunks.shop.orders",
            "mongos",
        ];
        assert_eq!(chosen("config", &config, &all), config[..7]);
        let alone = DumpOptions::default().db("config");
        assert_eq!(chosen("config", &config, &alone), config);
        let one = alone.collection("mongos");
        assert_eq!(chosen("config", &config, &one), ["mongos"]);
    }

    #[test]
    fn a_time_series_collection_is_excluded_by_its_own_name_and_not_by_that_of_its_buckets() {
        // mongodump/mongodump_test.go.
        let names = ["series", "system.buckets.series", "x"];
        let excluding = |name: &str| {
            let all = DumpOptions::default().db("shop");
            all.exclude_collections(vec![name.to_owned()])
        };
        let buckets = excluding("system.buckets.series");
        assert_eq!(chosen("shop", &names, &buckets), ["series", "x"]);
        assert_eq!(chosen("shop", &names, &excluding("series")), ["x"]);
        let prefix = DumpOptions::default().db("shop");
        let prefix = prefix.exclude_collections_with_prefix(vec!["system.".to_owned()]);
        assert_eq!(chosen("shop", &names, &prefix), ["series", "x"]);
    }

    #[test]
    fn a_filter_on_buckets_names_only_their_meta() {
        // mongodump/mongodump_test.go.
        let metadata = CollectionMetadata {
            options: rawdoc! { "timeseries": { "timeField": "t", "metaField": "m" } },
            ..CollectionMetadata::default()
        };
        let of = |filter: RawDocumentBuf| time_series_filter(&metadata, &filter);
        let filter = of(rawdoc! { "m.b": { "y": 1, "x": 2 }, "m": 5 }).unwrap();
        assert_eq!(filter, rawdoc! { "meta.b": { "y": 1, "x": 2 }, "meta": 5 });
        for filter in [
            rawdoc! { "t": 1 },
            rawdoc! { "mm": 1 },
            rawdoc! { "m": 1, "v": 1 },
            rawdoc! { "$and": [{ "m": 1 }] },
            rawdoc! { "$or": [{ "m": 1 }] },
        ] {
            let error = of(filter.clone()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{filter:?}");
        }
    }
}
