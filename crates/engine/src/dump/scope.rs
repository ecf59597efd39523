//! Which namespaces a dump takes, by their names alone.

use rdump_format::{BUCKETS_PREFIX, CONFIG_COLLECTIONS, Namespace, Selector};

use super::DumpOptions;

/// What the options say of names.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    options: DumpOptions,
}

impl Scope {
    pub(super) fn of(options: &DumpOptions) -> Self {
        Self {
            options: options.clone(),
        }
    }

    /// Whether it is all that there is.
    pub(super) fn is_everything(&self) -> bool {
        self.options.db.is_none() && self.options.select == Selector::default()
    }

    /// Whether a collection or view is dumped if it exists; a time-series collection goes by its own name.
    pub(super) fn has(&self, namespace: &Namespace) -> bool {
        let Namespace { db, collection, .. } = namespace;
        let options = &self.options;
        if options.db.as_ref().is_some_and(|asked| asked != db) {
            return false;
        }
        let named = match &options.collection {
            Some(asked) => asked == collection,
            None => {
                !is_internal(db, collection, options.db.is_some()) && !self.excludes(collection)
            }
        };
        named && options.select.selects(namespace)
    }

    /// The collection under the name that an entry of the oplog has for it, if it is dumped; that of views is where all of a database is.
    pub(super) fn in_oplog(&self, namespace: &Namespace) -> Option<Namespace> {
        let Namespace { db, collection, .. } = namespace;
        let is_views = collection == "system.views" && self.options.collection.is_none();
        let is_wanted = match is_views && db != "admin" {
            true => {
                let asked = self.options.db.as_ref();
                asked.is_none_or(|asked| asked == db) && self.options.select.selects(namespace)
            }
            false => self.has(namespace),
        };
        is_wanted.then(|| namespace.clone())
    }

    fn excludes(&self, collection: &str) -> bool {
        let options = &self.options;
        let mut prefixes = options.exclude_collections_with_prefix.iter();
        options
            .exclude_collections
            .iter()
            .any(|excluded| excluded == collection)
            || prefixes.any(|prefix| collection.starts_with(prefix.as_str()))
    }
}

/// Whether a collection is the server's own and not for dumping.
fn is_internal(db: &str, name: &str, asked_for_db: bool) -> bool {
    match db {
        "admin" => {
            name == "system.keys" || name == "system.views" || name.starts_with(BUCKETS_PREFIX)
        }
        "config" => !asked_for_db && !CONFIG_COLLECTIONS.contains(&name),
        _ => name.starts_with("system.") && name != "system.js",
    }
}
