//! Dropping and creating collections, and building their indexes.

use bson::{Document, RawArrayBuf, RawDocumentBuf, cstr, doc, rawdoc};
use mongodb::options::{ReadPreference, SelectionCriteria};
use rdump_format::Namespace;
use rdump_oplog::{CollectionIndexes, DefaultCollation};

use super::{
    create_command, index_spec, insert_reply,
    plan::{NamespaceKind, PlannedNamespace},
    planner, read_back,
    run::Shared,
};
use crate::{
    Error, ErrorKind, Event, Result, Topology,
    catalog::{Catalog, CollectionEntry},
    command::{self, code},
    retry::{Retries, patiently},
};

/// Whom the target is asked what it has.
static PRIMARY: SelectionCriteria = SelectionCriteria::ReadPreference(ReadPreference::Primary);

/// What a command that changes the catalog came to.
enum Done {
    Yes,
    /// The server refused it with this code; `retried` says whether an earlier attempt may have worked.
    Refused {
        code: i32,
        retried: bool,
        error: Error,
    },
}

impl Shared {
    /// Drops and creates what the plan says.
    pub(super) async fn prepare(&self, planned: &PlannedNamespace) -> Result<()> {
        let namespace = &planned.namespace;
        if planned.steps.progress.is_some() {
            return Ok(());
        }
        if planned.drop {
            self.drop_collection(namespace).await?;
        }
        if !planned.create {
            return Ok(());
        }
        let mut retries = Retries::new(self.options.max_retries);
        loop {
            match self.create(planned).await {
                // An insert that an earlier restore left under way makes the collection that was dropped again.
                Err(error)
                    if (self.options.drop || planned.drop)
                        && !namespace.collection.starts_with("system.")
                        && error.kind() == ErrorKind::Conflict =>
                {
                    let what = "dropping it once more";
                    retries
                        .again_after(&self.cx, Some(namespace), what, error)
                        .await?;
                    self.drop_collection(namespace).await?;
                }
                created => return created,
            }
        }
    }

    pub(super) async fn drop_collection(&self, namespace: &Namespace) -> Result<()> {
        let command = match namespace.collection.as_str() {
            planner::SYSTEM_JS => {
                rawdoc! { "delete": planner::SYSTEM_JS, "deletes": [{ "q": {}, "limit": 0 }] }
            }
            name => rawdoc! { "drop": name },
        };
        match self
            .change(&namespace.db, namespace, "dropping it again", command)
            .await?
        {
            Done::Yes
            | Done::Refused {
                code: code::NAMESPACE_NOT_FOUND,
                ..
            } => Ok(()),
            Done::Refused { error, .. } => Err(error),
        }
    }

    async fn create(&self, planned: &PlannedNamespace) -> Result<()> {
        let (namespace, options) = (&planned.namespace, &planned.steps.options);
        let (db, command) = match planned.steps.uuid {
            Some(uuid) => (
                "admin",
                create_command::create_with_uuid(namespace, options, uuid),
            ),
            None => (
                namespace.db.as_str(),
                create_command::create(&namespace.collection, options),
            ),
        };
        let command =
            command.map_err(|error| Error::data("its options are not sound").caused_by(error))?;
        match self
            .change(db, namespace, "creating it again", command)
            .await?
        {
            Done::Yes => Ok(()),
            Done::Refused {
                code: code::NAMESPACE_EXISTS,
                retried,
                ..
            } if retried || self.options.resume => {
                // An attempt of ours whose reply got lost, or which an earlier run left under way, if it is what we asked for.
                let exists = self.listed(namespace).await?;
                let differences =
                    exists.map(|exists| read_back::option_differences(options, &exists.options));
                match differences.as_deref() {
                    Some([]) => Ok(()),
                    _ => Err(exists_meanwhile()),
                }
            }
            Done::Refused {
                code: code::NAMESPACE_EXISTS,
                ..
            } => Err(exists_meanwhile()),
            Done::Refused { error, .. } => Err(error),
        }
    }

    /// Builds the indexes that a collection is to have after an oplog was replayed, and looks at them.
    pub(super) async fn finish_replayed(
        &self,
        namespace: &Namespace,
        kind: NamespaceKind,
        indexes: &CollectionIndexes,
    ) -> Result<()> {
        let say_simple_collation = indexes.collation != DefaultCollation::Simple;
        let rules = planner::index_rules(&self.options, kind, say_simple_collation);
        let converted = index_spec::convert(&indexes.specs, rules)
            .map_err(|error| Error::data("its indexes cannot be built").caused_by(error))?;
        for notice in converted.notices {
            self.cx.notice(Some(namespace), notice);
        }
        self.build_indexes(namespace, &converted.specs).await?;
        // Others may have been there before.
        self.compare_indexes(namespace, &converted.specs, false)
            .await
    }

    /// Builds the indexes of one collection, all by one command, which reads the collection once.
    pub(super) async fn build_indexes(
        &self,
        namespace: &Namespace,
        specs: &[RawDocumentBuf],
    ) -> Result<()> {
        if specs.is_empty() {
            return Ok(());
        }
        self.cx.emit(Event::IndexesStarted {
            namespace: namespace.clone(),
            indexes: specs.len() as u64,
        });
        let mut indexes = RawArrayBuf::new();
        for spec in specs {
            indexes.push(spec.clone());
        }
        let mut command = rawdoc! {
            "createIndexes": namespace.collection.as_str(), "indexes": indexes,
        };
        let capabilities = self.deployment.server.capabilities();
        if !capabilities.documentdb {
            command.append(cstr!("ignoreUnknownIndexOptions"), true);
        }
        if self.deployment.server.topology != Topology::Standalone && capabilities.commit_quorum {
            // The default waits for every voting member, and so for ever while one is down.
            command.append(cstr!("commitQuorum"), "majority");
        }
        match self
            .change(&namespace.db, namespace, "building indexes again", command)
            .await?
        {
            Done::Yes => Ok(()),
            Done::Refused { error, code, .. } => {
                let cause = std::error::Error::source(&error)
                    .map(ToString::to_string)
                    .unwrap_or_default();
                let ours = Error::new(
                    error.kind(),
                    format!("its indexes could not be built: {error}"),
                )
                .caused_by(cause);
                let is_legacy = code == code::CANNOT_CREATE_INDEX
                    && !self.options.convert_legacy_indexes
                    && specs.iter().any(|spec| index_spec::has_legacy_key(spec));
                Err(match is_legacy {
                    true => ours.with_hint(
                        "key values of old servers are converted by --convertLegacyIndexes",
                    ),
                    false => ours.with_hint(
                        "its documents are restored; --noIndexRestore leaves indexes out",
                    ),
                })
            }
        }
    }

    fn target_catalog(&self) -> Catalog<'_> {
        Catalog {
            deployment: &self.deployment,
            from: &PRIMARY,
            not_before: None,
        }
    }

    /// The collection as the target lists it now.
    pub(super) async fn listed(&self, namespace: &Namespace) -> Result<Option<CollectionEntry>> {
        let catalog = self.target_catalog();
        patiently(
            &self.cx,
            self.options.max_retries,
            None,
            "reading options",
            || catalog.collection(namespace),
        )
        .await
    }

    /// Everything that the target lists now, with its UUID, but for what is the server's own.
    pub(super) async fn all_listed(&self) -> Result<Vec<(Namespace, Option<[u8; 16]>)>> {
        let catalog = self.target_catalog();
        let retries = self.options.max_retries;
        let (dbs, _) = patiently(&self.cx, retries, None, "listing databases", || {
            catalog.databases()
        })
        .await?;
        let mut listed = Vec::new();
        for db in dbs
            .iter()
            .filter(|db| !["config", "local"].contains(&db.as_str()))
        {
            let entries = patiently(&self.cx, retries, None, "listing collections", || {
                catalog.collections(db, doc! {})
            })
            .await?;
            let entries = entries.iter();
            listed.extend(entries.map(|entry| (Namespace::new(db, &entry.name), entry.uuid)));
        }
        Ok(listed)
    }

    /// The indexes of the collection as the target lists them now.
    pub(super) async fn listed_indexes(
        &self,
        namespace: &Namespace,
    ) -> Result<Vec<RawDocumentBuf>> {
        let catalog = self.target_catalog();
        patiently(
            &self.cx,
            self.options.max_retries,
            None,
            "reading indexes",
            || catalog.indexes(namespace),
        )
        .await
    }

    /// Runs a command that changes the catalog, with the write concern, until it is done or refused for good.
    async fn change(
        &self,
        db: &str,
        namespace: &Namespace,
        what: &str,
        mut command: RawDocumentBuf,
    ) -> Result<Done> {
        let internal = |error: bson::error::Error| {
            Error::internal("a command cannot be built").caused_by(error)
        };
        let concern = RawDocumentBuf::try_from(&self.write_concern).map_err(internal)?;
        command.append(cstr!("writeConcern"), concern);
        let database = self.deployment.database(db);
        let mut retries = Retries::new(self.options.max_retries);
        let mut retried = false;
        loop {
            let error = match command::run_raw(&database, command.clone()).await {
                Ok(reply) => match insert_reply::concern_error(&reply) {
                    None => return Ok(Done::Yes),
                    Some(error) => {
                        let unsure = Error::new(
                            ErrorKind::Unavailable,
                            format!("a change was made, but not acknowledged as asked: {error}"),
                        );
                        if !command::is_transient_code(error.code) {
                            return Err(unsure);
                        }
                        unsure
                    }
                },
                Err(error) => {
                    let passes = command::is_transient(&error)
                        || match command::server_code(&error) {
                            Some(code::INDEX_BUILD_ABORTED) => true,
                            // What an earlier run left under way counts towards the most indexes that there may be.
                            Some(code::CANNOT_CREATE_INDEX) => self.options.resume,
                            _ => false,
                        };
                    match command::server_code(&error) {
                        Some(code) if !passes => {
                            return Ok(Done::Refused {
                                code,
                                retried,
                                error: command::error(error),
                            });
                        }
                        _ if !passes => return Err(command::error(error)),
                        _ => command::error(error),
                    }
                }
            };
            retries
                .again_after(&self.cx, Some(namespace), what, error)
                .await?;
            retried = true;
        }
    }

    /// How many documents the target has: quickly, and if `expected` is something else, exactly.
    pub(super) async fn count(&self, planned: &PlannedNamespace, expected: u64) -> Result<u64> {
        let into = planned.inserted_into();
        let database = self.deployment.database(&into.db);
        let raw_data =
            planned.steps.insert_into.is_some() && self.deployment.server.capabilities().raw_data;
        let with_raw_data = |mut command: Document| {
            if raw_data {
                command.insert("rawData", true);
            }
            command
        };
        let fast = with_raw_data(doc! { "count": &into.collection });
        let reply = patiently(&self.cx, self.options.max_retries, None, "counting", || {
            command::run(&database, fast.clone())
        })
        .await?;
        let counted = whole(reply.get("n"));
        if counted == expected {
            return Ok(counted);
        }
        // Quick counts may be off after a server was killed, and on sharded clusters.
        let exact = with_raw_data(doc! {
            "aggregate": &into.collection, "cursor": {}, "hint": { "$natural": 1 },
            "pipeline": [{ "$group": { "_id": bson::Bson::Null, "n": { "$sum": 1_i64 } } }],
        });
        let reply = patiently(&self.cx, self.options.max_retries, None, "counting", || {
            command::run(&database, exact.clone())
        })
        .await?;
        let cursor = reply.get_document("cursor").ok();
        let batch = cursor.and_then(|cursor| cursor.get_array("firstBatch").ok());
        let first = batch
            .and_then(|batch| batch.first())
            .and_then(bson::Bson::as_document);
        Ok(whole(first.and_then(|first| first.get("n"))))
    }
}

fn whole(number: Option<&bson::Bson>) -> u64 {
    number
        .and_then(crate::connect::whole_number)
        .and_then(|number| u64::try_from(number).ok())
        .unwrap_or(0)
}

fn exists_meanwhile() -> Error {
    Error::conflict("something else created it after the plan was made")
        .with_hint("plan and restore again")
}
