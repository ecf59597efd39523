//! Making a plan: everything that can be found out before the first write.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bson::{RawBsonRef, RawDocument, RawDocumentBuf, doc};
use mongodb::options::{ReadPreference, SelectionCriteria};
use rdump_format::{CollectionMetadata, Namespace, RESTORES_DATABASE};
use rdump_oplog::{CollectionIndexes, DefaultCollation};

use super::{
    authorization::PlannedAuthorization,
    conflict,
    create_command::{self, AutoIndexId, CreateRules},
    foreseen,
    foreseen::InTheWay,
    index_spec::{self, IndexRules},
    oplog_source::{OplogNames, OplogSource, PlannedOplog},
    options::OnConflict,
    plan::{NamespaceKind, PlannedNamespace, RestorePlan, Steps},
    read_back,
    resume::{self, Resume},
    selection::{self, Selected},
};
use crate::{
    Error, ErrorKind, OpTime, PointInTime, RestoreOptions, Result, ServerInfo, Topology,
    capabilities::compare_releases,
    catalog::{Catalog, CollectionEntry, CollectionKind},
    command,
    connect::Deployment,
    context::RunContext,
    media::{DumpContents, DumpEntry, DumpReader},
    retry::patiently,
};

/// The collection of functions of a database.
pub(super) const SYSTEM_JS: &str = "system.js";
/// The smallest and largest batch, in bytes: what a command may be long at most, less its own fields.
const BATCH_BYTES: std::ops::RangeInclusive<u64> = (64 << 10)..=(12 << 20);

pub(super) async fn plan(
    deployment: &Deployment,
    reader: &dyn DumpReader,
    options: &RestoreOptions,
    cx: &RunContext,
) -> Result<RestorePlan> {
    let contents = reader.contents();
    check_options(options, &deployment.server)?;
    check_writable(deployment, cx, options).await?;
    let is_snapshot = reader.identity().is_some();
    let oplog = OplogSource::choose(reader, options).await?;
    if oplog.is_some() {
        check_replayable(&deployment.server)?;
    }
    let replayed = oplog.as_ref().and_then(OplogSource::entry);
    let mut entries = contents.entries.iter();
    let not_restored = match reader.until() {
        // Whatever of it is needed.
        Some(_) => entries.position(|entry| entry.namespace.is_oplog()),
        None => replayed,
    };
    let (mut selected, skipped) = selection::select(&contents.entries, options, not_restored)?;
    let renamed: HashMap<Namespace, Namespace> = match reader.until() {
        Some(until) => until.renamed.iter().cloned().collect(),
        None => HashMap::new(),
    };
    let for_a_while = contents.entries.iter().enumerate();
    selected.extend(for_a_while.filter_map(|(entry, found)| {
        let target = renamed.get(&found.namespace)?.clone();
        Some(Selected { entry, target })
    }));
    check_config(&selected, options, &deployment.server)?;
    let unmatched = selection::unmatched_rename(&contents.entries, &selected, options);
    let unmatched = unmatched.map(|pattern| {
        format!("nothing that is restored fits the pattern {pattern} to rename by (--nsFrom)")
    });
    // As mongorestore has it, but for a snapshot.
    if let (Some(message), Some(_)) = (&unmatched, reader.identity()) {
        return Err(Error::invalid(message.as_str()).with_hint("nothing was changed"));
    }
    let needed = selected.iter().map(|selected| selected.entry);
    let mut entries = needed
        .chain(replayed)
        .map(|entry| contents.entries.get(entry));
    if let Some(damage) = entries.find_map(|entry| entry?.damage.as_ref()) {
        return Err(damage.clone());
    }
    let dbs = selected.iter().map(|selected| selected.target.db.as_str());
    let existing = existing(deployment, dbs, options, cx).await?;
    let source = |entry: usize| contents.entries.get(entry).map(|it| it.namespace.clone());
    let mut left_out: HashSet<_> = selected.iter().filter_map(|it| source(it.entry)).collect();
    let mut notices = contents.notices.clone();
    let resume = Resume::plan(reader.identity(), deployment, options, cx, &mut notices).await?;
    let selected = match &resume {
        Some(resume) => {
            let settled = resume.settle(deployment, selected, &existing, options, cx, &mut notices);
            settled.await?
        }
        None => {
            conflict::settle(deployment, selected, &existing, options, cx, &mut notices).await?
        }
    };
    let minded = resume.as_ref().map(|resume| resume.minded(&existing));
    let planning = Planning {
        server: &deployment.server,
        options,
        is_snapshot,
        is_replayed: oplog.is_some(),
        is_overlapped: replayed.is_some(),
        existing: minded.as_ref().unwrap_or(&existing),
    };
    notices.extend(unmatched);
    notices.extend(other_release(contents, &deployment.server));
    notices.extend(skipped);
    let mut namespaces = Vec::new();
    for selected in selected {
        let Some(entry) = contents.entries.get(selected.entry) else {
            continue;
        };
        let target = selected.target.clone();
        let mut planned = match planning.namespace(entry, selected, &mut notices) {
            Err(error)
                if options.on_conflict == OnConflict::Skip
                    && error.kind() == ErrorKind::Conflict =>
            {
                notices.push(format!("{target} is skipped: {error}"));
                continue;
            }
            planned => planned.map_err(|error| error.for_namespace(&entry.namespace))?,
        };
        if let Some(resume) = &resume {
            let went_on = resume.go_on(deployment, &mut planned, &existing, options, cx);
            (went_on.await).map_err(|error| error.for_namespace(&planned.namespace))?;
        }
        left_out.remove(&entry.namespace);
        namespaces.push(planned);
    }
    let until = reader.until();
    let mut of_oplog = InTheWay::default();
    let oplog = match oplog {
        Some(source) => {
            let limit = until.map_or(options.oplog_limit, |until| until.at().next().into());
            let ahead = foreseen::look_ahead(&source, reader, limit).await?;
            let is_known = ahead.is_some();
            let ahead = ahead.unwrap_or_default();
            let names = OplogNames::new(options, left_out.clone(), renamed.clone())?;
            foreseen::check_unknown(&ahead, names.as_ref(), options)?;
            let replayed = resume.as_ref().and_then(Resume::replayed);
            let in_the_way = match (&resume, replayed) {
                // What the oplog has made is there by now.
                (Some(resume), Some(_)) => resume.skipped_of_oplog(),
                _ => {
                    let at = (deployment, options, cx);
                    foreseen::in_the_way(&ahead, names.as_ref(), &namespaces, at, &mut notices)
                        .await?
                }
            };
            left_out.extend(in_the_way.skipped.iter().cloned());
            of_oplog = in_the_way;
            Some(PlannedOplog {
                names: OplogNames::new(options, left_out, renamed)?,
                replayed,
                since: until
                    .filter(|it| !it.has_oplog())
                    .map(PointInTime::base)
                    .unwrap_or_default(),
                fuzzy_until: until.map_or(OpTime::MAX, PointInTime::base),
                limit,
                is_whole: until.is_some(),
                is_of_snapshot: is_snapshot,
                kept: is_known.then(|| of_oplog.kept.clone()),
                dropped: std::mem::take(&mut of_oplog.dropped),
                source,
            })
        }
        None => None,
    };
    let authorization = PlannedAuthorization::plan(contents, options)?;
    let skipped = PlannedAuthorization::skipped(authorization.as_ref(), contents, options);
    notices.extend(skipped);
    let unfinished = contents.unfinished.iter().filter(|problem| {
        let namespace = problem.namespace.as_ref();
        namespace.is_some_and(|namespace| selection::is_asked_for(namespace, options))
    });
    let others = match &resume {
        Some(resume) => resume.unfinished.clone(),
        // They would take what has the same UUIDs for theirs.
        None if options.preserve_uuid => {
            resume::unfinished(deployment, options, cx, &mut notices).await?
        }
        None => Vec::new(),
    };
    let outdated = resume::outdated(&others, &namespaces, &mut notices);
    let ledger = resume.map(|resume| {
        let now = cx.now().to_string();
        resume.into_ledger((&namespaces, of_oplog), &existing, now, &mut notices)
    });
    Ok(RestorePlan {
        ledger,
        outdated,
        unfinished: unfinished.cloned().collect(),
        authorization: authorization.map(Arc::new),
        oplog,
        namespaces,
        verified: contents.verified,
        notices,
    })
}

fn check_options(options: &RestoreOptions, server: &ServerInfo) -> Result<()> {
    if options.preserve_uuid && !options.drop {
        return Err(Error::invalid(
            "keeping UUIDs (--preserveUUID) needs collections to be dropped first (--drop)",
        ));
    }
    if options.preserve_uuid && server.topology == Topology::Sharded {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "a router of a sharded cluster cannot keep UUIDs (--preserveUUID)",
        ));
    }
    if options.oplog_replay && options.is_part() {
        return Err(Error::invalid(
            "an oplog is replayed over everything, under its own name (--oplogReplay)",
        ));
    }
    if options.collection.is_some() && options.db.is_none() {
        return Err(Error::invalid(
            "a collection (--collection) needs a database (--db)",
        ));
    }
    if !BATCH_BYTES.contains(&options.batch_bytes) {
        return Err(Error::invalid(format!(
            "batch-bytes is {}, and {} to {} are possible",
            options.batch_bytes,
            BATCH_BYTES.start(),
            BATCH_BYTES.end()
        )));
    }
    Ok(())
}

fn check_replayable(server: &ServerInfo) -> Result<()> {
    match server.topology {
        Topology::Sharded => Err(Error::new(
            ErrorKind::Unsupported,
            "a router of a sharded cluster cannot replay an oplog, without which this dump is of no moment (--oplogReplay)",
        )),
        Topology::ReplicaSet | Topology::Standalone => Ok(()),
    }
}

/// What to know if the dump is of another release of the server.
fn other_release(contents: &DumpContents, server: &ServerInfo) -> Option<String> {
    let dumped = contents.prelude.as_ref()?.server_version.as_deref()?;
    let what = match compare_releases(dumped, server.version_numbers)? {
        Ordering::Equal => return None,
        Ordering::Less => "",
        Ordering::Greater => ", which is older and may not take everything",
    };
    let version = &server.version;
    Some(format!(
        "the dump is of MongoDB {dumped}, and this server is {version}{what}"
    ))
}

/// Only a primary takes writes; a router and a standalone server say that they are one.
async fn check_writable(
    deployment: &Deployment,
    cx: &RunContext,
    options: &RestoreOptions,
) -> Result<()> {
    let admin = deployment.database("admin");
    let name = if deployment.server.capabilities().hello {
        "hello"
    } else {
        "isMaster"
    };
    let hello = patiently(
        cx,
        options.max_retries,
        None,
        "asking for the primary",
        || command::run(&admin, doc! { name: 1 }),
    )
    .await?;
    let is_primary = |field: &str| hello.get_bool(field).unwrap_or(false);
    if is_primary("isWritablePrimary") || is_primary("ismaster") {
        return Ok(());
    }
    let me = hello.get_str("me").unwrap_or("the server");
    let error = Error::invalid(format!(
        "{me} is not the primary, and only the primary takes writes"
    ));
    Err(match hello.get_str("primary") {
        Ok(primary) => error.with_hint(format!(
            "restore to {primary}, or name the replica set in the connection string"
        )),
        Err(_) => error.with_hint(
            "name the replica set in the connection string, so that its primary is found",
        ),
    })
}

fn check_config(
    selected: &[Selected],
    options: &RestoreOptions,
    server: &ServerInfo,
) -> Result<()> {
    let config = selected
        .iter()
        .find(|selected| selected.target.db == "config");
    match config {
        Some(selected) if server.topology == Topology::Sharded && options.db.is_none() => Err(Error::invalid(
            "a whole dump with `config` cannot be restored through a router of a sharded cluster",
        )
        .for_namespace(&selected.target)
        .with_hint("exclude it: --nsExclude 'config.*'")),
        _ => Ok(()),
    }
}

/// What databases of the target have.
pub(super) async fn existing(
    deployment: &Deployment,
    dbs: impl Iterator<Item = &str>,
    options: &RestoreOptions,
    cx: &RunContext,
) -> Result<HashMap<Namespace, CollectionEntry>> {
    let from = SelectionCriteria::ReadPreference(ReadPreference::Primary);
    let catalog = Catalog {
        deployment,
        from: &from,
        not_before: None,
    };
    let mut dbs: Vec<&str> = dbs.collect();
    dbs.sort_unstable();
    dbs.dedup();
    let mut existing = HashMap::new();
    for db in dbs {
        let entries = patiently(cx, options.max_retries, None, "listing collections", || {
            catalog.collections(db, doc! {})
        })
        .await?;
        existing.extend(
            entries
                .into_iter()
                .map(|entry| (Namespace::new(db, &entry.name), entry)),
        );
    }
    Ok(existing)
}

struct Planning<'a> {
    server: &'a ServerInfo,
    options: &'a RestoreOptions,
    /// Whether a snapshot is restored, and not a dump as mongorestore would.
    is_snapshot: bool,
    /// Whether an oplog is replayed over it.
    is_replayed: bool,
    /// Whether the oplog has what changed while the dump was read.
    is_overlapped: bool,
    existing: &'a HashMap<Namespace, CollectionEntry>,
}

impl Planning<'_> {
    fn namespace(
        &self,
        entry: &DumpEntry,
        selected: Selected,
        notices: &mut Vec<String>,
    ) -> Result<PlannedNamespace> {
        let Selected {
            entry: number,
            target,
        } = selected;
        let (options, metadata) = (self.options, entry.metadata.as_ref());
        let kind = NamespaceKind::of(metadata);
        let existing = self.existing.get(&target);
        let is_system = target.collection.starts_with("system.");
        // No server drops it, and what it has is in the way of what the dump has.
        let is_emptied = options.drop && target.collection == SYSTEM_JS && existing.is_some();
        if options.drop && is_system && existing.is_some() && !is_emptied {
            notices.push(format!(
                "{target} is not dropped: it is a system collection"
            ));
        }
        let drop = options.drop && existing.is_some() && (!is_system || is_emptied);
        let kept = existing.filter(|_| !drop || is_emptied);
        if target.db == RESTORES_DATABASE {
            return Err(Error::invalid(format!(
                "nothing can be restored to {RESTORES_DATABASE}: restores keep there how far they are"
            )));
        }
        if kind == NamespaceKind::TimeSeries && !self.server.capabilities().time_series {
            let version = &self.server.version;
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("the target has no time-series collections: it is MongoDB {version}"),
            )
            .with_hint("leave them out (--nsExclude)"));
        }
        if kind == NamespaceKind::View
            && entry
                .data
                .as_ref()
                .is_some_and(|data| data.stored_bytes > 0)
        {
            return Err(Error::data(
                "the dump has documents for it, although it is a view",
            ));
        }
        if kind == NamespaceKind::TimeSeries && options.no_options_restore {
            return Err(Error::invalid(
                "a time-series collection cannot be restored without its options (--noOptionsRestore)",
            ));
        }
        let uuid = self.uuid(&target, kind, metadata, kept, notices);
        let create_options = self.create_options(&target, metadata)?;
        if let Some(kept) = kept {
            self.check_kept(&target, kept, kind, &create_options)?;
        }
        let indexes = self.indexes(&target, metadata, kept, notices)?;
        let for_replay = self
            .is_replayed
            .then(|| for_replay(metadata, kept, options));
        let buckets = entry.data.as_ref().is_some_and(|data| data.buckets);
        let effective = kept.map_or(&create_options, |kept| &kept.options);
        let capped = effective.get("capped").ok().flatten().is_some_and(is_set);
        let is_repeatable = resume::is_repeatable(kind, capped, effective);
        // Where documents are a conflict, there were none, but for those of the server itself.
        let fails = options.on_conflict == OnConflict::Fail;
        let was_empty = kept.is_none() || fails && !conflict::is_of_server(&target);
        let steps = Steps {
            is_noted: true,
            is_repeatable,
            was_empty,
            may_repeat: self.is_overlapped && was_empty,
            progress: None,
            entry: number,
            uuid,
            view_on: metadata
                .and_then(|metadata| metadata.options.get_str("viewOn").ok().map(str::to_owned)),
            capped,
            expires: effective.get("expireAfterSeconds").ok().flatten().is_some(),
            insert_into: buckets.then(|| self.server.capabilities().buckets(&target)),
            options: create_options,
            indexes,
            for_replay,
        };
        let data = entry.data.as_ref().filter(|_| kind != NamespaceKind::View);
        Ok(PlannedNamespace {
            from: entry.namespace.clone(),
            namespace: target,
            kind,
            drop,
            create: kept.is_none(),
            data: data.is_some(),
            documents: data.and_then(|data| data.documents),
            uncompressed_bytes: data.and_then(|data| data.uncompressed_bytes),
            stored_bytes: data.map_or(0, |data| data.stored_bytes),
            restored_before: None,
            indexes: steps
                .indexes
                .iter()
                .filter_map(|spec| spec.get_str("name").ok().map(str::to_owned))
                .collect(),
            steps,
        })
    }

    /// What exists and stays must be able to take what is restored, and where nothing may be there, it must be the same.
    fn check_kept(
        &self,
        target: &Namespace,
        kept: &CollectionEntry,
        kind: NamespaceKind,
        asked: &RawDocument,
    ) -> Result<()> {
        let is = match kept.kind {
            CollectionKind::Collection => NamespaceKind::Collection,
            CollectionKind::View => NamespaceKind::View,
            CollectionKind::TimeSeries => NamespaceKind::TimeSeries,
        };
        let merges = self.options.on_conflict == OnConflict::Merge;
        let is_capped = kept
            .options
            .get("capped")
            .ok()
            .flatten()
            .is_some_and(is_set);
        let differences = || read_back::option_differences(asked, &kept.options);
        let problem = if is != kind {
            format!("{target} exists and is a {is}, and the dump has a {kind}")
        } else if merges && kind == NamespaceKind::TimeSeries {
            format!("{target} exists, and the buckets of two time-series collections do not mix")
        } else if merges && is_capped && self.is_snapshot {
            format!("{target} exists and is capped: what is added to it would push out what it has")
        } else if let Some(difference) = (!merges && !self.options.no_options_restore)
            .then(differences)
            .and_then(|differences| differences.into_iter().next())
        {
            format!("{target} exists, and is not as it was dumped: {difference}")
        } else {
            return Ok(());
        };
        Err(Error::conflict(problem)
            .with_hint("drop it first (--drop), or restore under another name"))
    }

    fn uuid(
        &self,
        target: &Namespace,
        kind: NamespaceKind,
        metadata: Option<&CollectionMetadata>,
        kept: Option<&CollectionEntry>,
        notices: &mut Vec<String>,
    ) -> Option<[u8; 16]> {
        // A view has none; that of a time-series collection is its buckets'.
        if !self.options.preserve_uuid || kind != NamespaceKind::Collection || kept.is_some() {
            return None;
        }
        let uuid = metadata.and_then(|metadata| metadata.uuid);
        if uuid.is_none() {
            notices.push(format!(
                "{target} gets a new UUID: the dump has none for it"
            ));
        }
        uuid
    }

    fn create_options(
        &self,
        target: &Namespace,
        metadata: Option<&CollectionMetadata>,
    ) -> Result<RawDocumentBuf> {
        let rules = CreateRules {
            without_options: self.options.no_options_restore,
            keep_index_version: self.options.keep_index_version || self.options.preserve_uuid,
            auto_index_id: AutoIndexId::of(self.server.capabilities(), &target.db),
            documentdb: self.server.capabilities().documentdb,
        };
        create_command::options(metadata, rules)
            .map_err(|error| Error::data("its options are not sound").caused_by(error))
    }

    fn indexes(
        &self,
        target: &Namespace,
        metadata: Option<&CollectionMetadata>,
        kept: Option<&CollectionEntry>,
        notices: &mut Vec<String>,
    ) -> Result<Vec<RawDocumentBuf>> {
        let Some(metadata) = metadata.filter(|_| !self.options.no_index_restore) else {
            return Ok(Vec::new());
        };
        if !self.server.capabilities().geo_haystack
            && let Some(index) = metadata
                .indexes
                .iter()
                .find(|index| index_spec::is_geo_haystack(index))
        {
            let name = index.get_str("name").unwrap_or("without a name");
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("index {name:?} is a geoHaystack index, which servers since 5.0 do not have (this one is {})", self.server.version),
            )
            .with_hint("exclude the collection, or restore without indexes (--noIndexRestore)"));
        }
        let say_simple_collation = has_collation(&metadata.options)
            || kept.is_some_and(|kept| has_collation(&kept.options));
        let kind = NamespaceKind::of(Some(metadata));
        let rules = index_rules(self.options, kind, say_simple_collation);
        let converted = index_spec::convert(&metadata.indexes, rules)
            .map_err(|error| Error::data("its indexes cannot be built").caused_by(error))?;
        notices.extend(
            converted
                .notices
                .into_iter()
                .map(|notice| format!("{target}: {notice}")),
        );
        Ok(converted.specs)
    }
}

fn has_collation(options: &RawDocumentBuf) -> bool {
    let collation = options.get("collation").ok().flatten();
    collation.is_some_and(|collation| !index_spec::is_simple(collation))
}

/// How the options want indexes to be built.
pub(super) fn index_rules(
    options: &RestoreOptions,
    kind: NamespaceKind,
    say_simple_collation: bool,
) -> IndexRules {
    IndexRules {
        keep_version: options.keep_index_version,
        convert_legacy: options.convert_legacy_indexes,
        fix_dotted_hashed: options.fix_dotted_hashed_indexes,
        is_time_series: kind == NamespaceKind::TimeSeries,
        say_simple_collation,
    }
}

/// What the replay of an oplog has to know of a collection that is restored.
fn for_replay(
    metadata: Option<&CollectionMetadata>,
    kept: Option<&CollectionEntry>,
    options: &RestoreOptions,
) -> CollectionIndexes {
    let is_capped =
        |options: &RawDocumentBuf| options.get("capped").ok().flatten().is_some_and(is_set);
    let all = metadata
        .map(|metadata| &metadata.options)
        .into_iter()
        .chain(kept.map(|kept| &kept.options));
    let collation = match metadata {
        _ if all.clone().any(has_collation) => DefaultCollation::Other,
        None if kept.is_none() => DefaultCollation::Unknown,
        _ => DefaultCollation::Simple,
    };
    let specs = metadata.filter(|_| !options.no_index_restore);
    CollectionIndexes::new(collation)
        .specs(specs.map_or_else(Vec::new, |metadata| metadata.indexes.clone()))
        // What is there already may have unique indexes.
        .ordered(kept.is_some() || all.clone().any(is_capped))
}

fn is_set(value: RawBsonRef<'_>) -> bool {
    value
        .as_bool()
        .unwrap_or_else(|| index_spec::as_number(value).is_some_and(|number| number != 0.0))
}

#[cfg(test)]
mod tests {
    use rdump_format::Prelude;

    use super::*;

    fn server(topology: Topology) -> ServerInfo {
        ServerInfo {
            flavor: crate::Flavor::MongoDb,
            version: "6.0.5".to_owned(),
            version_numbers: [6, 0, 5],
            topology,
            set_name: None,
            hosts: Vec::new(),
            max_document_bytes: 16 << 20,
            max_batch_documents: 100_000,
        }
    }

    #[test]
    fn a_whole_dump_with_config_is_refused_by_a_router_and_one_database_is_not() {
        // sharded_fullrestore.js.
        let selected = ["config.chunks", "shop.orders"].map(|name| Selected {
            entry: 0,
            target: name.parse().unwrap(),
        });
        let check = |selected: &[Selected], options: &RestoreOptions, topology| {
            check_config(selected, options, &server(topology))
        };
        let whole = RestoreOptions::default();
        let error = check(&selected, &whole, Topology::Sharded).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(error.hint(), Some("exclude it: --nsExclude 'config.*'"));
        check(&selected[1..], &whole, Topology::Sharded).unwrap();
        check(&selected, &whole, Topology::ReplicaSet).unwrap();
        let one = RestoreOptions::default().db("config");
        check(&selected, &one, Topology::Sharded).unwrap();
    }

    #[test]
    fn what_a_router_cannot_do_is_refused() {
        let uuids = RestoreOptions::default().drop(true).preserve_uuid(true);
        let error = check_options(&uuids, &server(Topology::Sharded)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        check_options(&uuids, &server(Topology::ReplicaSet)).unwrap();
        let error = check_replayable(&server(Topology::Sharded)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        check_replayable(&server(Topology::ReplicaSet)).unwrap();
    }

    #[test]
    fn a_dump_of_another_release_is_told_of() {
        // TOOLS-3983.
        let told = |version: Option<&str>| {
            let prelude = Prelude {
                server_version: version.map(str::to_owned),
                tool_version: "test".to_owned(),
            };
            let contents = DumpContents {
                prelude: Some(prelude),
                ..DumpContents::default()
            };
            other_release(&contents, &server(Topology::Standalone))
        };
        assert_eq!(told(None), None);
        assert_eq!(told(Some("6.0.27")), None);
        let older = "the dump is of MongoDB 5.0.4, and this server is 6.0.5";
        assert_eq!(told(Some("5.0.4")).as_deref(), Some(older));
        assert!(
            told(Some("7.0.1"))
                .unwrap()
                .ends_with("may not take everything")
        );
    }
}
