//! What exists of what is to be dumped, as the catalog has it.

use std::collections::HashSet;

use bson::{RawDocument, RawDocumentBuf, doc};
use futures::{StreamExt, TryStreamExt, stream};
use rdump_format::{
    BUCKETS_PREFIX, CollectionMetadata, INTERNAL_DATABASE_PREFIX, Namespace, RESTORES_DATABASE,
};
use rdump_oplog::RESHARDING_COLLECTIONS;

use super::{DumpOptions, authorization, plan::PlannedNamespace, scope::Scope};
use crate::{
    Error, Result,
    capabilities::Capabilities,
    catalog::{Catalog, CollectionEntry, CollectionKind, Statistics},
    context::RunContext,
    media::NamespaceHeader,
    retry::patiently,
};

/// Commands about single collections that are under way at once.
const CATALOG_COMMANDS: usize = 8;

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

#[cfg(test)]
mod tests {
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
}
