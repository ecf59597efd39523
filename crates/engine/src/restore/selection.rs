//! Which entries of a dump are restored, and under which names. Pure.

use std::collections::HashMap;

use rdump_format::{
    Authorization, Namespace, RESTORES_DATABASE, Remap, check_collection_name, check_database_name,
};

use crate::{Error, RestoreOptions, Result, media::DumpEntry};

/// An entry of a dump that is restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selected {
    /// Its place among the entries.
    pub(super) entry: usize,
    /// Where it goes.
    pub(super) target: Namespace,
}

/// The entries that the options select, renamed, and why others are left out. One may be an oplog, which is `not_restored`.
pub(super) fn select(
    entries: &[DumpEntry],
    options: &RestoreOptions,
    not_restored: Option<usize>,
) -> Result<(Vec<Selected>, Vec<String>)> {
    let remap = remap(options)?;
    let mut selected = Vec::new();
    let mut notices = Vec::new();
    for (number, entry) in entries.iter().enumerate() {
        let source = &entry.namespace;
        if not_restored == Some(number) || !is_asked_for(source, options) {
            continue;
        }
        if Authorization::of(source).is_some() {
            // The server merges them, if they are to be restored.
            continue;
        }
        if let Some(reason) = never_restored(source) {
            // Nothing else was asked for.
            if options.collection.is_some() && options.db.as_deref() == Some(&source.db) {
                return Err(
                    Error::invalid(format!("it is not restored: {reason}")).for_namespace(source)
                );
            }
            notices.push(format!("{source} is skipped: {reason}"));
            continue;
        }
        let target = remap.apply(source).map_err(|error| {
            Error::invalid("the patterns to rename by cannot be used")
                .for_namespace(source)
                .caused_by(error)
        })?;
        check_name(source, &target)?;
        selected.push(Selected {
            entry: number,
            target,
        });
    }
    check_conflicts(entries, &selected)?;
    Ok((selected, notices))
}

/// The patterns to rename by.
pub(super) fn remap(options: &RestoreOptions) -> Result<Remap> {
    Remap::parse(&options.rename_from, &options.rename_to).map_err(|error| {
        Error::invalid("the patterns to rename by (--nsFrom, --nsTo) cannot be used")
            .caused_by(error)
    })
}

/// The first pattern to rename by that fits nothing that is restored.
pub(super) fn unmatched_rename<'a>(
    entries: &[DumpEntry],
    selected: &[Selected],
    options: &'a RestoreOptions,
) -> Option<&'a str> {
    let remap = Remap::parse(&options.rename_from, &options.rename_to).ok()?;
    let selected = selected.iter().filter_map(|it| entries.get(it.entry));
    let rule = remap.unmatched(selected.map(|entry| &entry.namespace))?;
    options.rename_from.get(rule).map(String::as_str)
}

/// A database or collection that is named is one more pattern to include.
pub(super) fn is_asked_for(namespace: &Namespace, options: &RestoreOptions) -> bool {
    let select = &options.select;
    match &options.db {
        Some(db) if is_named(namespace, db, options.collection.as_deref()) => {
            !select.excludes(namespace)
        }
        Some(_) if select.include.is_empty() => false,
        _ => select.selects(namespace),
    }
}

fn is_named(namespace: &Namespace, db: &str, collection: Option<&str>) -> bool {
    namespace.db == db
        && collection.is_none_or(|collection| {
            // The file of a time-series collection's buckets may be asked for by either name.
            let asked = Namespace::new(db, collection).without_buckets_prefix();
            asked == *namespace || collection == namespace.collection
        })
}

/// Why a namespace is never restored as a collection, if so.
fn never_restored(namespace: &Namespace) -> Option<&'static str> {
    match (namespace.db.as_str(), namespace.collection.as_str()) {
        (RESTORES_DATABASE, _) => Some("restores note there what they have done"),
        ("", "oplog") => Some("an oplog is replayed only if it is asked for (--oplogReplay)"),
        ("admin", "system.keys") => Some("each cluster has its own"),
        (_, "system.profile") => Some("what a profiler recorded belongs to its server"),
        (_, "system.views") => Some("views are restored from their metadata"),
        (_, "system.namespaces" | "system.indexes") => Some("servers keep it themselves"),
        _ => None,
    }
}

fn check_name(source: &Namespace, target: &Namespace) -> Result<()> {
    let checked =
        check_database_name(&target.db).and_then(|()| check_collection_name(&target.collection));
    checked.map_err(|error| {
        Error::invalid(format!("cannot be restored as {target}"))
            .for_namespace(source)
            .caused_by(error)
    })
}

/// Two sources must not become one collection.
fn check_conflicts(entries: &[DumpEntry], selected: &[Selected]) -> Result<()> {
    let mut seen: HashMap<&Namespace, usize> = HashMap::new();
    for Selected { entry, target } in selected {
        let Some(earlier) = seen.insert(target, *entry) else {
            continue;
        };
        let name = |entry: usize| {
            entries
                .get(entry)
                .map(|entry| entry.namespace.to_string())
                .unwrap_or_default()
        };
        return Err(Error::conflict(format!(
            "{} and {} would both be restored into it",
            name(earlier),
            name(*entry)
        ))
        .for_namespace(target)
        .with_hint("rename or exclude one of them; nothing was changed"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rdump_format::{Pattern, Selector};

    use super::*;
    use crate::ErrorKind;

    fn entries(names: &[&str]) -> Vec<DumpEntry> {
        let entry = |name: &&str| DumpEntry {
            namespace: name.parse().unwrap(),
            metadata: None,
            data: None,
            damage: None,
            unlisted: false,
        };
        names.iter().map(entry).collect()
    }

    fn targets(names: &[&str], options: &RestoreOptions) -> Vec<String> {
        let (selected, _) = select(&entries(names), options, None).unwrap();
        selected
            .into_iter()
            .map(|selected| selected.target.to_string())
            .collect()
    }

    #[test]
    fn databases_can_be_swapped_and_what_is_left_out_is_not_renamed() {
        let exclude = vec![Pattern::parse("*.tmp").unwrap()];
        let options = RestoreOptions::default()
            .rename("a.*", "b.*")
            .rename("b.*", "a.*")
            .select(Selector {
                include: Vec::new(),
                exclude,
            });
        assert_eq!(
            targets(&["a.x", "a.tmp", "b.x", "c.x"], &options),
            ["b.x", "a.x", "c.x"]
        );
    }

    #[test]
    fn two_sources_for_one_destination_are_a_conflict_that_names_both() {
        let options = RestoreOptions::default().rename("a.*", "b.*");
        let error = select(&entries(&["a.x", "b.x"]), &options, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(
            error.to_string(),
            "b.x: a.x and b.x would both be restored into it"
        );
    }

    #[test]
    fn what_belongs_to_a_server_is_left_out_with_a_notice() {
        // TOOLS-717.
        let names = [
            "admin.system.users",
            "admin.system.version",
            "db.system.profile",
            "db.system.js",
            "db.system.views",
            "__rdump_restores.x",
        ];
        let (selected, notices) =
            select(&entries(&names), &RestoreOptions::default(), None).unwrap();
        assert_eq!(selected.len(), 1);
        assert_eq!(selected[0].target.to_string(), "db.system.js");
        assert_eq!(notices.len(), 3);
    }

    #[test]
    fn one_database_or_collection_can_be_asked_for() {
        let names = ["a.x", "a.y", "b.x"];
        assert_eq!(
            targets(&names, &RestoreOptions::default().db("a")),
            ["a.x", "a.y"]
        );
        let one = |collection: &str| RestoreOptions::default().db("a").collection(collection);
        assert_eq!(targets(&names, &one("y")), ["a.y"]);
        // A name, and no pattern.
        assert_eq!(targets(&names, &one("*")), [] as [&str; 0]);
    }

    #[test]
    fn patterns_add_to_a_database_that_is_named_and_take_away_from_it() {
        let pattern = |text: &str| vec![Pattern::parse(text).unwrap()];
        let options = RestoreOptions::default().db("a").select(Selector {
            include: pattern("*.x"),
            exclude: pattern("a.y"),
        });
        assert_eq!(
            targets(&["a.w", "a.x", "a.y", "b.x", "b.y"], &options),
            ["a.w", "a.x", "b.x"]
        );
    }

    #[test]
    fn a_name_that_no_server_takes_is_refused() {
        let options = RestoreOptions::default().rename("a.*", "a b.*");
        assert_eq!(
            select(&entries(&["a.x"]), &options, None)
                .unwrap_err()
                .kind(),
            ErrorKind::Invalid
        );
    }
}
