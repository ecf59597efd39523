//! The users and roles of one database, dumped with it.

use bson::{RawDocumentBuf, doc, rawdoc};
use rdump_format::{Authorization, Codec, Namespace};

use super::plan::PlannedNamespace;
use crate::{
    Error, ErrorKind, Result,
    catalog::{Catalog, Statistics},
    command,
    context::RunContext,
    media::NamespaceHeader,
    retry::patiently,
};

/// The database of users and roles.
const ADMIN: &str = "admin";
/// The oldest version of users and roles that can be dumped with a database.
const OLDEST_VERSION: i64 = 3;

/// What is read to dump the users and roles of `db`, beyond its collections.
pub(super) async fn plan(
    catalog: &Catalog<'_>,
    db: &str,
    codec: Codec,
    max_retries: u32,
    cx: &RunContext,
) -> Result<Vec<PlannedNamespace>> {
    let admin = catalog.deployment.database(ADMIN);
    let read = |command: bson::Document, what: &'static str| {
        let admin = &admin;
        patiently(cx, max_retries, None, what, move || {
            command::read(admin, command.clone(), catalog.from)
        })
    };
    let parameter = doc! { "getParameter": 1, "authSchemaVersion": 1 };
    let reply = read(parameter, "asking for the version of users and roles").await?;
    let version = reply.get("authSchemaVersion");
    let version = version.and_then(|version| version.as_i64().or(version.as_i32().map(i64::from)));
    if version.is_none_or(|version| version < OLDEST_VERSION) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "users and roles (--dumpDbUsersAndRoles) can be dumped from version {OLDEST_VERSION} of them on, and \
                 this server has {}",
                version.map_or("none".to_owned(), |version| version.to_string())
            ),
        ));
    }
    let count = |what: Authorization, query: bson::Document| {
        let command = doc! { "count": what.collection(), "query": query };
        let counted = read(command, "counting users and roles");
        async move { counted.await.map(|reply| reply.get_i32("n").unwrap_or(0)) }
    };
    let found = if catalog
        .deployment
        .server
        .capabilities()
        .authorization_version
    {
        count(Authorization::Version, doc! { "_id": "authSchema" }).await?
    } else {
        count(Authorization::Users, doc! {}).await? + count(Authorization::Roles, doc! {}).await?
    };
    if found == 0 {
        return Err(Error::invalid(
            "there are no users and roles to dump (--dumpDbUsersAndRoles): this deployment has none",
        ));
    }
    if db == ADMIN {
        // They are among its collections, with those of all databases.
        return Ok(Vec::new());
    }
    let of_database = rawdoc! { "db": db };
    let parts = [
        (Authorization::Users, Some(of_database.clone())),
        (Authorization::Roles, Some(of_database)),
        (Authorization::Version, None),
    ];
    Ok(parts
        .into_iter()
        .map(|(what, filter)| planned(what, db, codec, filter))
        .collect())
}

fn planned(
    what: Authorization,
    db: &str,
    codec: Codec,
    filter: Option<RawDocumentBuf>,
) -> PlannedNamespace {
    let namespace = what.dumped_with(db);
    PlannedNamespace {
        header: NamespaceHeader {
            data_namespace: Some(namespace.clone()),
            namespace,
            metadata: None,
            codec,
        },
        read_from: Namespace::new(ADMIN, what.collection()),
        filter,
        statistics: Statistics::default(),
        raw_data: false,
        identity: None,
        ordered_by_id: false,
    }
}
