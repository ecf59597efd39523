//! Of how much of a deployment events are asked for.

use std::collections::BTreeSet;

use bson::doc;
use mongodb::options::SelectionCriteria;
use rdump_format::{Pattern, Selector};

use crate::{Error, ErrorKind, Flavor, Result, command, connect::Deployment};

/// Whose events a stream has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Cluster,
    Database(String),
}

impl Scope {
    /// The least that has everything that is selected.
    pub(crate) fn of(select: &Selector) -> Self {
        let mut databases = databases(select).unwrap_or_default().into_iter();
        match (databases.next(), databases.next()) {
            (Some(database), None) => Self::Database(database),
            _ => Self::Cluster,
        }
    }

    pub(super) fn database(&self) -> &str {
        match self {
            Self::Cluster => "admin",
            Self::Database(name) => name,
        }
    }
}

/// The databases that a selector names, if it names all of them.
fn databases(select: &Selector) -> Option<BTreeSet<String>> {
    let named: Option<BTreeSet<String>> = select.include.iter().map(database).collect();
    named.filter(|named| !named.is_empty())
}

/// The database that a pattern is about, if it is about one.
fn database(pattern: &Pattern) -> Option<String> {
    let mut name = String::new();
    let mut characters = pattern.as_str().chars();
    loop {
        match characters.next()? {
            '*' => return None,
            '.' => return Some(name),
            '\\' => name.push(characters.next()?),
            other => name.push(other),
        }
    }
}

/// Makes sure that the server tells of all that is selected: of a namespace for which streams are not enabled Amazon DocumentDB tells nothing, and does
/// not say so.
pub(crate) async fn check_enabled(
    deployment: &Deployment,
    from: &SelectionCriteria,
    select: &Selector,
) -> Result<()> {
    if deployment.server.flavor != Flavor::DocumentDb {
        return Ok(());
    }
    let list = doc! { "aggregate": 1, "pipeline": [{ "$listChangeStreams": 1 }], "cursor": {} };
    let admin = deployment.database("admin");
    let reply = command::read(&admin, list, from).await?;
    let cursor = reply.get_document("cursor").ok();
    let enabled = cursor.and_then(|cursor| cursor.get_array("firstBatch").ok());
    let enabled = enabled
        .ok_or_else(|| Error::data("the server's answer to $listChangeStreams is malformed"))?;
    let is_enabled = |database: &str| {
        enabled
            .iter()
            .filter_map(bson::Bson::as_document)
            .any(|it| {
                it.get_str("database").is_ok_and(|name| name == database)
                    && it.get_str("collection").is_ok_and(str::is_empty)
            })
    };
    if is_enabled("") {
        return Ok(());
    }
    let missing = match databases(select) {
        None => Some(String::new()),
        Some(named) => named.into_iter().find(|name| !is_enabled(name)),
    };
    let Some(missing) = missing else {
        return Ok(());
    };
    let of = match missing.as_str() {
        "" => "all databases".to_owned(),
        name => format!("the database {name}"),
    };
    Err(Error::new(
        ErrorKind::Unsupported,
        format!("change streams are not enabled for {of}: what is written would not be told of"),
    )
    .with_hint(format!(
        "enable them: db.adminCommand({{modifyChangeStreams: 1, database: \"{missing}\", collection: \"\", enable: true}})"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_of_one_database_needs_the_events_of_that_alone() {
        let select = |patterns: &[&str]| Selector {
            include: patterns.iter().map(|it| it.parse().unwrap()).collect(),
            exclude: Vec::new(),
        };
        let of = |patterns: &[&str]| Scope::of(&select(patterns));
        let shop = Scope::Database("shop".to_owned());
        assert_eq!(of(&["shop.orders", "shop.a*"]), shop);
        assert_eq!(of(&[r"a\*b.c"]), Scope::Database("a*b".to_owned()));
        for wide in [&[][..], &["*"], &["shop*.x"], &["shop"], &["a.x", "b.x"]] {
            assert_eq!(of(wide), Scope::Cluster, "{wide:?}");
        }
    }
}
