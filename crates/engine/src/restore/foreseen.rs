//! What an oplog is going to do to the target, as far as that is found out before anything is written.

use std::collections::{BTreeMap, HashSet};

use futures::StreamExt;
use rdump_format::{Namespace, OpTimeLimit};
use rdump_oplog::{Ahead, Unknown};

use super::{
    OnConflict, conflict,
    oplog_source::{OplogNames, OplogSource},
    plan::PlannedNamespace,
    planner, replay,
    replay::OfTarget,
};
use crate::{
    Error, RestoreOptions, Result,
    connect::Deployment,
    context::RunContext,
    media::{Access, DumpReader},
};

/// Reads what a snapshot has of the oplog; what was captured after it was read already. `None` of others: nothing is known before it is replayed.
pub(super) async fn look_ahead(
    source: &OplogSource,
    reader: &dyn DumpReader,
    limit: OpTimeLimit,
) -> Result<Option<Ahead>> {
    let mut ahead = reader.until().map(|until| until.ahead.clone());
    let own = source.entry().filter(|_| reader.identity().is_some());
    if let Some(entry) = own.and_then(|own| reader.contents().entries.get(own))
        && let Access::Random(random) = reader.access()
    {
        let ahead = ahead.get_or_insert_default();
        let mut documents = random.documents(entry);
        while let Some(run) = documents.next().await {
            for entry in rdump_format::documents(&run?.body) {
                let entry = entry.map_err(|error| replay::unsound().caused_by(error))?;
                let pushed = ahead.push(entry);
                pushed.map_err(|error| replay::unsound().caused_by(error))?;
            }
        }
    }
    if let Some(ahead) = &mut ahead {
        ahead.retain(|at| limit.allows(at));
    }
    Ok(ahead)
}

/// The collections and views that the oplog makes which a snapshot is restored with.
pub(crate) async fn created_by_oplog(reader: &dyn DumpReader) -> Result<Vec<Namespace>> {
    let source = OplogSource::choose(reader, &RestoreOptions::default()).await?;
    let Some(source) = source else {
        return Ok(Vec::new());
    };
    let ahead = look_ahead(&source, reader, OpTimeLimit::default()).await?;
    let ahead = ahead.unwrap_or_default();
    let created = ahead.created.into_iter().map(|it| it.namespace);
    let renamed = ahead.renamed.into_iter().map(|it| it.to);
    Ok(created.chain(renamed).collect())
}

/// Refuses what is not known, unless that is to be left out.
pub(super) fn check_unknown(
    ahead: &Ahead,
    names: Option<&OplogNames>,
    options: &RestoreOptions,
) -> Result<()> {
    let is_replayed = |unknown: &&Unknown| match (unknown, names) {
        (Unknown::Command { namespace, .. }, Some(names)) => {
            let named = namespace.parse::<Namespace>().ok();
            named.is_none_or(|named| named.collection == "$cmd" || names.target(&named).is_some())
        }
        _ => true,
    };
    match ahead.unknown.iter().find(is_replayed) {
        Some(unknown) if !options.skip_unknown_oplog_entries => Err(replay::unknown(unknown)),
        _ => Ok(()),
    }
}

/// What is done about collections that the oplog makes and the target has already.
#[derive(Debug, Default)]
pub(super) struct InTheWay {
    /// What is left as it is, by its name in the dump.
    pub(super) skipped: Vec<Namespace>,
    /// What stays beside what the oplog makes under the same name.
    pub(super) kept: OfTarget,
    /// What is dropped before the replay.
    pub(super) dropped: Vec<Namespace>,
}

/// Looks for collections that the oplog makes, that are not in the dump, and that the target has already: what is replayed must not get mixed with those.
pub(super) async fn in_the_way(
    ahead: &Ahead,
    names: Option<&OplogNames>,
    namespaces: &[PlannedNamespace],
    (deployment, options, cx): (&Deployment, &RestoreOptions, &RunContext),
    notices: &mut Vec<String>,
) -> Result<InTheWay> {
    let mut found = InTheWay::default();
    let restored: HashSet<_> = namespaces.iter().map(|it| &it.namespace).collect();
    let is_minded = |target: &Namespace| {
        let of_server = ["system.views", "system.profile"].contains(&&*target.collection);
        !restored.contains(target) && !of_server && !conflict::is_of_server(target)
    };
    let made = ahead.created.iter().map(|created| &created.namespace);
    let made = made.chain(ahead.renamed.iter().map(|renamed| &renamed.to));
    let made = made.filter_map(|source| {
        let target = match names {
            Some(names) => names.target(source)?,
            None => source.clone(),
        };
        is_minded(&target).then(|| (target, source.clone()))
    });
    let made: BTreeMap<Namespace, Namespace> = made.collect();
    let dbs = made.keys().map(|target| target.db.as_str());
    let existing = planner::existing(deployment, dbs, options, cx).await?;
    let mut taken = Vec::new();
    for (target, source) in made {
        let can_be_dropped = options.drop && !target.collection.starts_with("system.");
        match options.on_conflict {
            _ if !existing.contains_key(&target) => {}
            _ if can_be_dropped => {
                notices.push(format!("{target} is to be dropped: the oplog makes it"));
                found.dropped.push(target);
            }
            OnConflict::Skip if !options.drop => {
                notices.push(format!(
                    "{target} is skipped: the oplog makes it, and it is there already"
                ));
                found.skipped.push(source);
            }
            OnConflict::Merge => {
                let uuid = existing.get(&target).and_then(|entry| entry.uuid);
                found.kept.extend(uuid.map(|uuid| (target, uuid)));
            }
            _ => taken.push(target.to_string()),
        }
    }
    match taken.is_empty() {
        true => Ok(found),
        false => Err(Error::conflict(format!(
            "the target has {}, which the oplog makes; nothing was changed",
            conflict::some(taken)
        ))
        .with_hint(conflict::WAYS)),
    }
}
