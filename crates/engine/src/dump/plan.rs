//! What would be dumped.

use std::{fmt, sync::Arc};

use bson::{RawDocument, RawDocumentBuf, raw::CString};
use mongodb::options::SelectionCriteria;
use rdump_format::{Authorization, BUCKETS_PREFIX, CollectionMetadata, Namespace, ext_json};
use rdump_oplog::OpTime;
use serde::Serialize;

use super::{
    Consistency, DumpOptions, DumpedOplog, consistency::Aim, moment::Moment, oplog::PlannedOplog,
    planning::Planning,
};
use crate::{
    Error, Result, Source,
    catalog::Statistics,
    context::RunContext,
    media::{NamespaceHeader, Reading},
};

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

    /// What the catalog has of the namespaces that would be dumped.
    pub(crate) fn headers(&self) -> impl Iterator<Item = &NamespaceHeader> {
        self.namespaces.iter().map(|planned| &planned.header)
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
            assert_eq!(error.kind(), crate::ErrorKind::Invalid, "{filter:?}");
        }
    }
}
