//! What to do where there are documents already.

use std::collections::HashMap;

use bson::doc;
use futures::{StreamExt, TryStreamExt, stream};
use mongodb::options::{ReadPreference, SelectionCriteria};
use rdump_format::Namespace;

use super::{options::OnConflict, selection::Selected};
use crate::{
    Error, RestoreOptions, Result, catalog::CollectionEntry, command, connect::Deployment,
    context::RunContext, retry::patiently,
};

/// How many collections are looked into at once.
const PARALLEL_LOOKS: usize = 8;
/// How many of those that have documents are named.
const MOST_NAMES: usize = 10;
/// What can be done about what is there.
pub(super) const WAYS: &str = "restore under another name (--nsFrom, --nsTo), drop what is there (--drop), leave it as it is (--on-conflict skip), \
     or add to it (--on-conflict merge)";

/// What is restored of what was selected, where targets have documents already.
pub(super) async fn settle(
    deployment: &Deployment,
    selected: Vec<Selected>,
    existing: &HashMap<Namespace, CollectionEntry>,
    options: &RestoreOptions,
    cx: &RunContext,
    notices: &mut Vec<String>,
) -> Result<Vec<Selected>> {
    if options.on_conflict == OnConflict::Merge || options.drop {
        return Ok(selected);
    }
    let looks = stream::iter(selected).map(|selected| async move {
        let target = &selected.target;
        let is_there = existing.contains_key(target) && !is_of_server(target);
        let taken = is_there && has_documents(deployment, target, options, cx).await?;
        Ok::<_, Error>((selected, taken))
    });
    let looked: Vec<(Selected, bool)> = looks.buffered(PARALLEL_LOOKS).try_collect().await?;
    let (taken, free): (Vec<_>, Vec<_>) = looked.into_iter().partition(|(_, taken)| *taken);
    let names: Vec<String> = taken
        .iter()
        .map(|(selected, _)| selected.target.to_string())
        .collect();
    if !names.is_empty() && options.on_conflict == OnConflict::Fail {
        return Err(Error::conflict(format!(
            "the target has documents in {}; nothing was changed",
            some(names)
        ))
        .with_hint(WAYS));
    }
    notices.extend(
        names
            .iter()
            .map(|name| format!("{name} is skipped: it has documents already")),
    );
    Ok(free.into_iter().map(|(selected, _)| selected).collect())
}

/// The first of these names, and how many more there are.
pub(super) fn some(mut names: Vec<String>) -> String {
    let more = names.len().saturating_sub(MOST_NAMES);
    names.truncate(MOST_NAMES);
    match more {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// Whether the server itself keeps documents there.
pub(super) fn is_of_server(namespace: &Namespace) -> bool {
    matches!(namespace.db.as_str(), "admin" | "config")
        && namespace.collection.starts_with("system.")
}

pub(super) async fn has_documents(
    deployment: &Deployment,
    namespace: &Namespace,
    options: &RestoreOptions,
    cx: &RunContext,
) -> Result<bool> {
    let database = deployment.database(&namespace.db);
    let primary = SelectionCriteria::ReadPreference(ReadPreference::Primary);
    let what = "looking for documents";
    let reply = patiently(cx, options.max_retries, Some(namespace), what, || {
        let find = doc! {
            "find": &namespace.collection, "limit": 1, "singleBatch": true, "projection": { "_id": 1 },
        };
        command::read(&database, find, &primary)
    });
    let reply = reply.await?;
    let cursor = reply.get_document("cursor").ok();
    let batch = cursor.and_then(|cursor| cursor.get_array("firstBatch").ok());
    let batch = batch.ok_or_else(|| Error::internal("the server's answer to find has no batch"))?;
    Ok(!batch.is_empty())
}
