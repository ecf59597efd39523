//! Users and roles: into collections of our own first, from where the server merges them into its.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bson::{Document, doc};
use futures::{StreamExt, stream::BoxStream};
use rdump_format::{Authorization, Namespace};
use tokio::{sync::Mutex, task::JoinSet};

use super::{
    plan::{NamespaceKind, PlannedNamespace, Steps},
    run::Shared,
    selection,
};
use crate::{
    Error, ErrorKind, Problem, RestoreOptions, Result,
    capabilities::Capabilities,
    command,
    media::{Documents, DumpContents},
    retry::patiently,
};

/// The database of users and roles.
pub(super) const ADMIN: &str = "admin";
/// The most that the documents about versions may have, in bytes; servers have a few hundred.
const MOST_VERSION_BYTES: usize = 1 << 20;
/// The version that users and roles have where servers do not say it any more.
const ONLY_VERSION: i64 = 5;
/// How long a failed or cancelled run waits for a merge to end, and then for our collections to be dropped.
const CLEAN_UP: Duration = Duration::from_secs(10);

/// Users and roles that are to be restored.
#[derive(Debug)]
pub(super) struct PlannedAuthorization {
    /// Each into the collection that the server is to merge it from.
    pub(super) users: Option<Arc<PlannedNamespace>>,
    pub(super) roles: Option<Arc<PlannedNamespace>>,
    /// The entry of the dump with the version they have.
    pub(super) version: Option<usize>,
    /// The one database whose users and roles these are; empty if they are of all.
    pub(super) db: String,
    /// What the dump says of the server it was taken from.
    server_version: Option<String>,
    /// What was found in the entry of the version.
    found: Mutex<Vec<Document>>,
    /// Whether there may be something of ours to drop.
    begun: AtomicBool,
    /// The merge, while it is under way: a server goes on with it when nobody waits any more.
    merging: Mutex<JoinSet<Result<Document>>>,
}

impl PlannedAuthorization {
    /// What is to be done about the users and roles in the dump, if anything.
    pub(super) fn plan(contents: &DumpContents, options: &RestoreOptions) -> Result<Option<Self>> {
        check_collection(options)?;
        let only = match (options.users_and_roles, options.db.as_deref()) {
            (true, None) => {
                return Err(Error::invalid(
                    "users and roles of a database (--restoreDbUsersAndRoles) need the database (--db)",
                ));
            }
            (true, Some(ADMIN)) => {
                return Err(Error::invalid(
                    "--restoreDbUsersAndRoles cannot be used with the database admin, whose users and roles are \
                     restored with it",
                ));
            }
            (true, Some(db)) => Some(db),
            (false, Some(db)) if db != ADMIN || options.collection.is_some() => return Ok(None),
            (false, _) => None,
        };
        let find = |what: Authorization| {
            let namespace = match only {
                Some(db) => what.dumped_with(db),
                None => Namespace::new(ADMIN, what.collection()),
            };
            let entries = contents.entries.iter();
            entries
                .clone()
                .position(|entry| entry.namespace == namespace)
        };
        let asked_for = |what: Authorization| {
            let at = find(what)?;
            let entry = contents.entries.get(at)?;
            selection::is_asked_for(&entry.namespace, options).then_some((at, entry))
        };
        let planned = |what, collection: &str| match asked_for(what) {
            None => Ok(None),
            Some((_, entry)) if entry.damage.is_some() => Err(entry
                .damage
                .clone()
                .unwrap_or_else(|| Error::internal("it is damaged"))),
            Some((at, entry)) => Ok(Some(Arc::new(temporary(at, &entry.namespace, collection)))),
        };
        let users = planned(Authorization::Users, &options.temporary_users_collection)?;
        let roles = planned(Authorization::Roles, &options.temporary_roles_collection)?;
        if users.is_none() && roles.is_none() {
            return match only {
                Some(_) => Err(Error::invalid(
                    "No users or roles found in restore target. Omit --restoreDbUsersAndRoles, or use a dump that has \
                     them (--dumpDbUsersAndRoles)",
                )),
                None => Ok(None),
            };
        }
        let prelude = contents.prelude.as_ref();
        Ok(Some(Self {
            users,
            roles,
            version: find(Authorization::Version),
            db: only.unwrap_or_default().to_owned(),
            server_version: prelude.and_then(|prelude| prelude.server_version.clone()),
            found: Mutex::default(),
            begun: AtomicBool::new(false),
            merging: Mutex::default(),
        }))
    }

    /// Why users and roles are left out that were asked for and are not among those `planned`.
    pub(super) fn skipped(
        planned: Option<&Self>,
        contents: &DumpContents,
        options: &RestoreOptions,
    ) -> Vec<String> {
        let planned: Vec<&Namespace> = planned
            .into_iter()
            .flat_map(Self::namespaces)
            .map(|planned| &planned.from)
            .collect();
        let entries = contents.entries.iter().map(|entry| &entry.namespace);
        let asked_for: Vec<(Authorization, &Namespace)> = entries
            .filter(|namespace| selection::is_asked_for(namespace, options))
            .filter_map(|namespace| Some((Authorization::of(namespace)?, namespace)))
            .collect();
        let only_version = asked_for
            .iter()
            .all(|(what, _)| *what == Authorization::Version);
        let reason = |what, namespace: &Namespace| match what {
            // Beside the others it is used, or left out with them.
            Authorization::Version if only_version => Some("each server has its own"),
            Authorization::Version => None,
            _ if planned.contains(&namespace) => None,
            _ if *namespace == what.dumped_with(&namespace.db) => Some(
                "users and roles of one database are restored only if that is asked for (--db and \
                 --restoreDbUsersAndRoles)",
            ),
            _ => Some(
                "users and roles of all databases are restored only with all of them, or with `admin` (--db admin)",
            ),
        };
        let asked_for = asked_for.into_iter();
        asked_for
            .filter_map(|(what, namespace)| {
                let reason = reason(what, namespace)?;
                Some(format!("{namespace} is skipped: {reason}"))
            })
            .collect()
    }

    /// What goes into collections of our own.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = &Arc<PlannedNamespace>> {
        self.users.iter().chain(&self.roles)
    }

    /// Waits for the merge.
    ///
    /// # Cancel safety
    ///
    /// When nobody waits here any more, [`settle`](Self::settle) does.
    async fn merged(
        &self,
        merge: impl Future<Output = Result<Document>> + Send + 'static,
    ) -> Result<()> {
        let mut merging = self.merging.lock().await;
        merging.spawn(merge);
        match merging.join_next().await {
            Some(merged) => merged
                .map_err(|error| Error::task("merge", error))?
                .map(drop),
            None => Ok(()),
        }
    }

    /// Waits for a merge that the run has not waited for; whether it ended well, if there is one.
    async fn settle(&self) -> Option<bool> {
        let mut merging = self.merging.lock().await;
        match tokio::time::timeout(CLEAN_UP, merging.join_next()).await {
            Ok(merged) => Some(matches!(merged?, Ok(Ok(_)))),
            Err(_) => Some(false),
        }
    }

    /// Says that our collections may be there from now on.
    pub(super) fn begin(&self) {
        self.begun.store(true, Ordering::Release);
    }

    /// Reads the documents about versions.
    pub(super) async fn read_version(
        &self,
        mut documents: BoxStream<'_, Result<Documents>>,
    ) -> Result<()> {
        let mut bytes = 0;
        while let Some(run) = documents.next().await {
            let run = run?;
            bytes += run.body.len();
            if bytes > MOST_VERSION_BYTES {
                return Err(Error::data(
                    "the dump's admin.system.version is too long to be one",
                ));
            }
            for document in rdump_format::documents(&run.body) {
                let unsound = |error: Box<dyn std::error::Error + Send + Sync>| {
                    Error::data("the dump's admin.system.version is not sound").caused_by(error)
                };
                let document = document.map_err(|error| unsound(error.into()))?;
                let document = bson::deserialize_from_slice(document);
                let document = document.map_err(|error| unsound(error.into()))?;
                self.found.lock().await.push(document);
            }
        }
        Ok(())
    }

    /// The version that users and roles have in the dump.
    async fn dumped_version(&self) -> Result<i64> {
        let source = self.server_version.as_deref();
        let source = source.and_then(Capabilities::of_text);
        if source.is_some_and(|source| !source.authorization_version) {
            return Ok(ONLY_VERSION);
        }
        if self.version.is_none() {
            return Ok(if self.db.is_empty() { 1 } else { 3 });
        }
        let found = self.found.lock().await;
        let schema = found
            .iter()
            .find(|document| document.get_str("_id").is_ok_and(|id| id == "authSchema"));
        let version = schema.and_then(|schema| integer(schema, "currentVersion"));
        version.ok_or_else(|| {
            Error::data("the dump's admin.system.version does not say which version its users and roles have")
        })
    }
}

/// Users or roles are no collection to be restored by itself: the server merges them, if it takes their version.
fn check_collection(options: &RestoreOptions) -> Result<()> {
    let (Some(db), Some(collection)) = (&options.db, &options.collection) else {
        return Ok(());
    };
    let namespace = Namespace::new(db, collection);
    match Authorization::of(&namespace) {
        None | Some(Authorization::Version) => Ok(()),
        Some(_) => Err(Error::invalid(
            "users and roles cannot be restored as a collection of their own (--collection)",
        )
        .for_namespace(&namespace)
        .with_hint("give the whole dump and select them by pattern: --nsInclude 'admin.system.*'")),
    }
}

/// The restore of an entry of the dump into a collection of ours.
fn temporary(entry: usize, from: &Namespace, collection: &str) -> PlannedNamespace {
    PlannedNamespace {
        namespace: Namespace::new(ADMIN, collection),
        from: from.clone(),
        kind: NamespaceKind::Collection,
        drop: true,
        create: true,
        data: true,
        documents: None,
        uncompressed_bytes: None,
        stored_bytes: 0,
        restored_before: None,
        indexes: Vec::new(),
        steps: Steps {
            entry,
            was_empty: true,
            ..Steps::default()
        },
    }
}

fn integer(document: &Document, field: &str) -> Option<i64> {
    let value = document.get(field)?;
    let number = value.as_f64().or_else(|| value.as_i32().map(f64::from));
    #[expect(
        clippy::cast_possible_truncation,
        reason = "versions are small, and others are refused"
    )]
    number.map(|number| number as i64).or(value.as_i64())
}

impl Shared {
    /// Refuses users and roles of a version that the server does not take.
    pub(super) async fn check_authorization(&self, planned: &PlannedAuthorization) -> Result<()> {
        let dumped = planned.dumped_version().await?;
        let admin = self.deployment.database(ADMIN);
        let ask = || command::run(&admin, doc! { "getParameter": 1, "authSchemaVersion": 1 });
        let (cx, retries) = (&self.cx, self.options.max_retries);
        let what = "asking for the version of users and roles";
        let server = match patiently(cx, retries, None, what, ask).await {
            Ok(reply) => integer(&reply, "authSchemaVersion").unwrap_or(1),
            Err(error) if error.kind() == ErrorKind::Invalid => 1,
            Err(error) => return Err(error),
        };
        match (dumped, server) {
            (1 | 3, 3) | (3 | 5, 5) | (1, 1) => Ok(()),
            _ => Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "the users and roles of the dump have version {dumped}, and this server has version {server} and \
                     does not take them"
                ),
            )
            .with_hint("leave them out: --nsExclude 'admin.system.*'")),
        }
    }

    /// Lets the server merge what is in our collections, those of them that are not `empty`.
    pub(super) async fn merge_authorization(
        &self,
        planned: &PlannedAuthorization,
        empty: impl Fn(&Namespace) -> bool,
    ) -> Result<()> {
        self.check_authorization(planned).await?;
        let mut merge = doc! { "_mergeAuthzCollections": 1 };
        let parts = [
            ("tempUsersCollection", &planned.users),
            ("tempRolesCollection", &planned.roles),
        ];
        let mut merged = Vec::new();
        for (field, part) in parts {
            let Some(part) = part else { continue };
            // To merge nothing and drop what is not in it would be to drop everything.
            if empty(&part.namespace) {
                continue;
            }
            if self.is_gone(part).await? {
                continue;
            }
            let of_database = doc! { "db": &planned.db };
            if planned.db.is_empty() || self.finds_any(part, of_database).await? {
                merge.insert(field, part.namespace.to_string());
                merged.push(part);
            } else {
                let message = format!(
                    "none is of the database {:?}, and none is restored: give the database that they were dumped with (--db)",
                    planned.db
                );
                self.problem(&part.from, message)?;
            }
        }
        if merge.len() == 1 {
            return Ok(());
        }
        if self.options.drop {
            self.keep_own_user(planned, &empty).await?;
        }
        merge.insert("drop", self.options.drop);
        merge.insert("db", &planned.db);
        merge.insert("writeConcern", self.write_concern.clone());
        let admin = self.deployment.database(ADMIN);
        let (cx, retries) = (&self.cx, self.options.max_retries);
        let (cx, what) = (cx.clone(), "merging users and roles");
        let merge = async move {
            let merge = || command::run(&admin, merge.clone());
            patiently(&cx, retries, None, what, merge).await
        };
        planned.merged(merge).await?;
        for part in merged {
            self.is_gone(part).await?;
        }
        Ok(())
    }

    /// Whether somebody else has dropped our collection, which is then a problem.
    async fn is_gone(&self, part: &PlannedNamespace) -> Result<bool> {
        let is_gone = !self.finds_any(part, doc! {}).await?;
        if is_gone {
            let message = format!(
                "not restored, or not wholly: {} was dropped meanwhile, as by another restore of users and roles; restore \
                 them one after the other, or by collections of their own (--tempUsersColl, --tempRolesColl)",
                part.namespace
            );
            self.problem(&part.from, message)?;
        }
        Ok(is_gone)
    }

    /// Whether our collection has any document like this; also if the user may restore users, but not look at them.
    async fn finds_any(&self, part: &PlannedNamespace, filter: Document) -> Result<bool> {
        let find = doc! {
            "find": &part.namespace.collection, "filter": filter, "limit": 1, "singleBatch": true,
        };
        let admin = self.deployment.database(ADMIN);
        let (cx, retries) = (&self.cx, self.options.max_retries);
        let what = "looking for users and roles";
        match patiently(cx, retries, None, what, || {
            command::run(&admin, find.clone())
        })
        .await
        {
            Ok(reply) => {
                let cursor = reply.get_document("cursor").ok();
                let batch = cursor.and_then(|cursor| cursor.get_array("firstBatch").ok());
                Ok(batch.is_some_and(|batch| !batch.is_empty()))
            }
            Err(error) if error.kind() == ErrorKind::Denied => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Drops our collections, however the run ended.
    pub(super) async fn clean_up_authorization(&self, planned: &PlannedAuthorization) {
        if !planned.begun.swap(false, Ordering::AcqRel) {
            return;
        }
        // The server would end a merge in the middle of it.
        if planned.settle().await == Some(false) {
            let message =
                "the run ended while the server merged users and roles: some may not be restored";
            self.cx.notice(None, message);
        }
        let admin = self.deployment.database(ADMIN);
        for part in planned.namespaces() {
            let drop = command::run(&admin, doc! { "drop": &part.namespace.collection });
            let dropped = tokio::time::timeout(CLEAN_UP, drop).await;
            let failed = match dropped {
                Ok(Ok(_)) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "the server did not answer".to_owned(),
            };
            // On some servers it is an error that it is not there.
            if !failed.contains("ns not found") {
                let message = format!(
                    "it has users or roles of the dump, and could not be dropped: {failed}"
                );
                self.cx
                    .problem(Problem::new(Some(&part.namespace), message));
            }
        }
    }
}
