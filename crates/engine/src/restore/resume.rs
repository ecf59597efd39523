//! Going on with a restore that did not finish: which one, and from where on.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use bson::{RawDocument, Uuid, oid::ObjectId};
use rdump_format::Namespace;

use super::{
    conflict,
    foreseen::InTheWay,
    index_spec,
    ledger::{
        self, Begun, Done, First, PlannedLedger, Progress, ReplayedUntil, Stage, Unfinished,
        VERSION,
    },
    options::OnConflict,
    plan::{NamespaceKind, PlannedNamespace},
    read_back,
    selection::Selected,
};
use crate::{
    Error, ErrorKind, RestoreOptions, Result,
    catalog::{CollectionEntry, CollectionKind},
    connect::Deployment,
    context::RunContext,
    same_options::different,
};

/// The options that do not change what is restored.
const OF_NO_MATTER: [&str; 9] = [
    "resume",
    "write-concern",
    "parallel-collections",
    "insertion-workers",
    "batch-documents",
    "batch-bytes",
    "max-problems",
    "max-retries",
    "validate-documents",
];

/// What the target has.
pub(super) type Existing = HashMap<Namespace, CollectionEntry>;

/// Restores in the target that did not finish, and what this one has to do with them.
#[derive(Debug)]
pub(super) struct Resume {
    /// The identity of the dump.
    dump: String,
    options: String,
    /// The other ones.
    pub(super) unfinished: Vec<Unfinished>,
    /// The one that is gone on with.
    resumed: Option<Unfinished>,
}

impl Resume {
    /// Looks at the target, and finds what is to be gone on with; `None` if no restore of this dump can be.
    pub(super) async fn plan(
        dump: Option<String>,
        deployment: &Deployment,
        options: &RestoreOptions,
        cx: &RunContext,
        notices: &mut Vec<String>,
    ) -> Result<Option<Self>> {
        let Some(dump) = dump else {
            return match options.resume {
                true => Err(Error::invalid(
                    "only the restore of a snapshot of a repository can be gone on with (--resume)",
                )),
                false => Ok(None),
            };
        };
        let unfinished = unfinished(deployment, options, cx, notices).await?;
        let text = serde_json::to_string(options);
        let text = text.map_err(|error| {
            Error::internal("the options cannot be written down").caused_by(error)
        })?;
        let mut resume = Self {
            dump,
            options: text,
            unfinished,
            resumed: None,
        };
        if options.resume {
            let found = resume.choose()?;
            let retries = options.max_retries;
            let with_done = ledger::unfinished(deployment, Some(found), retries, cx).await?;
            resume.resumed = with_done.into_iter().next();
            resume.unfinished.retain(|other| other.id != found);
            if resume.resumed.is_none() {
                return Err(nothing());
            }
        }
        Ok(Some(resume))
    }

    /// The newest restore of the same dump by the same options.
    fn choose(&self) -> Result<ObjectId> {
        let same_dump = |found: &&Unfinished| found.begun.dump == self.dump;
        let mut of_dump: Vec<_> = self.unfinished.iter().filter(same_dump).collect();
        of_dump.sort_by(|one, other| other.begun.started_at.cmp(&one.begun.started_at));
        let Some(newest) = of_dump.first() else {
            return Err(match self.unfinished.first() {
                None => nothing(),
                Some(other) => nothing().caused_by(format!(
                    "what did not finish is a restore of {}",
                    other.begun.dump
                )),
            });
        };
        let started_at = &newest.begun.started_at;
        if newest.begun.version != VERSION {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "the restore that was begun at {started_at} was begun by release {} of rdump, and this one cannot go on with it",
                    newest.begun.tool_version
                ),
            ));
        }
        let same = of_dump
            .iter()
            .find(|found| found.begun.version == VERSION && self.different_option(found).is_none());
        if let Some(found) = same {
            return Ok(found.id);
        }
        let option = self.different_option(newest).unwrap_or_default();
        Err(Error::conflict(format!(
            "the restore of {} that was begun at {started_at} was begun with another {option}",
            self.dump
        ))
        .with_hint(format!("it was begun with {}", newest.begun.options)))
    }

    fn different_option(&self, found: &Unfinished) -> Option<String> {
        let parse = |text: &str| serde_json::from_str(text).unwrap_or_default();
        different(
            &parse(&found.begun.options),
            &parse(&self.options),
            &OF_NO_MATTER,
        )
    }

    /// Of what is selected, what is restored where targets have documents already.
    pub(super) async fn settle(
        &self,
        deployment: &Deployment,
        selected: Vec<Selected>,
        existing: &Existing,
        options: &RestoreOptions,
        cx: &RunContext,
        notices: &mut Vec<String>,
    ) -> Result<Vec<Selected>> {
        let Some(resumed) = &self.resumed else {
            let names: Vec<_> = selected.iter().map(|it| it.target.clone()).collect();
            let settled = conflict::settle(deployment, selected, existing, options, cx, notices);
            let settled = settled.await.map_err(|error| self.hint(error))?;
            self.check_skipped(names, &settled)?;
            return Ok(settled);
        };
        let started_at = &resumed.begun.started_at;
        let (planned, left): (Vec<_>, Vec<_>) = selected
            .into_iter()
            .partition(|selected| resumed.planned.contains_key(&selected.target));
        // What the first run left as it was is left again.
        let new = left
            .first()
            .filter(|_| options.on_conflict != OnConflict::Skip);
        let names: HashSet<_> = planned.iter().map(|selected| &selected.target).collect();
        let mut gone = resumed.planned.keys().filter(|name| !names.contains(name));
        match new.map(|new| &new.target).or(gone.next()) {
            None => Ok(planned),
            Some(name) => Err(Error::conflict(format!(
                "the restore that was begun at {started_at} is not of the same namespaces"
            ))
            .for_namespace(name)),
        }
    }

    /// Refuses to leave as it is what another restore has begun and not finished.
    fn check_skipped(&self, selected: Vec<Namespace>, settled: &[Selected]) -> Result<()> {
        let left: HashSet<_> = settled.iter().map(|it| &it.target).collect();
        for name in selected.iter().filter(|name| !left.contains(name)) {
            let mut unfinished = self.unfinished.iter();
            if let Some(found) = unfinished.find(|found| found.planned.contains_key(name)) {
                return Err(Error::conflict(format!(
                    "{name} cannot be skipped: it is of a restore of {} that was begun at {} and did not finish",
                    found.begun.dump, found.begun.started_at
                ))
                .with_hint("go on with that (--resume), or drop what is there and begin anew (--drop)"));
            }
        }
        Ok(())
    }

    /// Names what could be gone on with beside what is there.
    fn hint(&self, error: Error) -> Error {
        let mut of_dump = self.unfinished.iter();
        let found = of_dump.find(|found| found.begun.dump == self.dump);
        match found.filter(|_| error.kind() == ErrorKind::Conflict) {
            None => error,
            Some(found) => error.with_hint(format!(
                "a restore of {} that was begun at {} did not finish here: go on with it (--resume), or drop what is there \
                 and begin anew (--drop)",
                self.dump, found.begun.started_at
            )),
        }
    }

    /// How far the run that is gone on with has replayed the oplog, if it had begun to: everything else was restored by then.
    pub(super) fn replayed(&self) -> Option<ReplayedUntil> {
        let resumed = self.resumed.as_ref()?;
        let has_begun = resumed.stages.contains(&Stage::Oplog);
        has_begun.then(|| resumed.replayed.unwrap_or_default())
    }

    /// What the run that is gone on with left as it was, although the oplog makes it.
    pub(super) fn skipped_of_oplog(&self) -> InTheWay {
        let Some(resumed) = &self.resumed else {
            return InTheWay::default();
        };
        let kept = resumed.begun.kept.iter();
        let kept = kept.filter_map(|it| Some((it.ns.clone(), it.uuid?.bytes())));
        InTheWay {
            skipped: resumed.begun.skipped.clone(),
            kept: kept.collect(),
            dropped: Vec::new(),
        }
    }

    /// What the target has and a plan has to mind: not what the run that is gone on with has made.
    pub(super) fn minded(&self, existing: &Existing) -> Existing {
        let is_made = |name: &Namespace| {
            let first = self.resumed.as_ref().and_then(|it| it.planned.get(name));
            first.is_some_and(|first| first.create)
        };
        let minded = existing.iter().filter(|(name, _)| !is_made(name));
        minded
            .map(|(name, entry)| (name.clone(), entry.clone()))
            .collect()
    }

    /// Plans where to go on with one namespace.
    pub(super) async fn go_on(
        &self,
        deployment: &Deployment,
        planned: &mut PlannedNamespace,
        existing: &Existing,
        options: &RestoreOptions,
        cx: &RunContext,
    ) -> Result<()> {
        let Some(resumed) = &self.resumed else {
            return Ok(());
        };
        let Some(first) = resumed.planned.get(&planned.namespace) else {
            return Err(Error::internal("it was not planned at first"));
        };
        let found = Found {
            entry: existing.get(&planned.namespace),
            uuid: uuid(planned, existing),
        };
        let noted = resumed.done.get(&planned.namespace);
        let noted = noted.map(Vec::as_slice).unwrap_or_default();
        if self.replayed().is_some() {
            // What became of it since then is for the oplog to say.
            let done = |of: fn(&Done) -> u64| noted.iter().map(of).sum();
            planned.drop = false;
            let progress = Progress {
                documents: done(|done| done.documents),
                failed: done(|done| done.failed),
                ..Progress::default()
            };
            begin_with(planned, progress, resumed);
            return Ok(());
        }
        match from_where(planned, first, found, noted, options) {
            From::Start { drop } => planned.drop = drop,
            From::Progress(progress) => begin_with(planned, progress, resumed),
            From::Empty => {
                let namespace = &planned.namespace;
                let looked = conflict::has_documents(deployment, namespace, options, cx);
                if looked.await? {
                    return Err(lost(match noted.is_empty() {
                        true => "it is not known whether this restore made it",
                        false => "another one was made after the restore began it",
                    }));
                }
                begin_with(planned, Progress::default(), resumed);
            }
            From::Nowhere(why) => return Err(lost(why)),
        }
        Ok(())
    }

    /// What the run notes.
    pub(super) fn into_ledger(
        self,
        (namespaces, of_oplog): (&[PlannedNamespace], InTheWay),
        existing: &Existing,
        started_at: String,
        notices: &mut Vec<String>,
    ) -> PlannedLedger {
        if let Some(resumed) = self.resumed {
            let before: u64 = namespaces.iter().filter_map(|it| it.restored_before).sum();
            notices.push(format!(
                "going on with the restore that was begun at {}: {before} documents are noted as restored",
                resumed.begun.started_at
            ));
            return PlannedLedger {
                id: resumed.id,
                beginning: None,
            };
        }
        let first = namespaces.iter().map(|planned| First {
            ns: planned.namespace.clone(),
            create: planned.create,
            uuid: uuid(planned, existing).filter(|_| !planned.create),
        });
        let kept = of_oplog.kept.into_iter().map(|(ns, uuid)| First {
            ns,
            create: false,
            uuid: Some(Uuid::from_bytes(uuid)),
        });
        let begun = Begun {
            version: VERSION,
            dump: self.dump,
            started_at,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            options: self.options,
            namespaces: namespaces.len() as u64,
            skipped: of_oplog.skipped,
            kept: kept.collect(),
        };
        PlannedLedger {
            id: ObjectId::new(),
            beginning: Some((begun, first.collect())),
        }
    }
}

/// The restores in the target that did not finish, as far as this user may know.
pub(super) async fn unfinished(
    deployment: &Deployment,
    options: &RestoreOptions,
    cx: &RunContext,
    notices: &mut Vec<String>,
) -> Result<Vec<Unfinished>> {
    match ledger::unfinished(deployment, None, options.max_retries, cx).await {
        Err(error) if error.kind() == ErrorKind::Denied && options.resume => Err(error.with_hint(
            "to go on with a restore needs the built-in roles `restore` and `readAnyDatabase`",
        )),
        // What is there may be of others.
        Err(error) if error.kind() == ErrorKind::Denied => {
            notices.push(format!(
                "whether another restore did not finish here is not known: {error}"
            ));
            Ok(Vec::new())
        }
        unfinished => unfinished,
    }
}

/// The ledgers of restores whose collections are made anew, and so cannot be gone on with.
pub(super) fn outdated(
    unfinished: &[Unfinished],
    namespaces: &[PlannedNamespace],
    notices: &mut Vec<String>,
) -> Vec<ObjectId> {
    let anew: HashSet<_> = namespaces
        .iter()
        .filter(|planned| planned.drop || planned.create)
        .map(|planned| &planned.namespace)
        .collect();
    let outdated = unfinished
        .iter()
        .filter(|it| it.planned.keys().any(|name| anew.contains(name)));
    let outdated = outdated.inspect(|it| {
        notices.push(format!(
            "the restore of {} that was begun at {} cannot be gone on with any more: its collections are made anew",
            it.begun.dump, it.begun.started_at
        ));
    });
    outdated.map(|it| it.id).collect()
}

/// What is there now.
#[derive(Clone, Copy)]
struct Found<'a> {
    entry: Option<&'a CollectionEntry>,
    uuid: Option<Uuid>,
}

/// From where on a namespace is restored.
#[derive(Debug, PartialEq)]
enum From {
    /// Nothing of it is kept; `drop` if something is there.
    Start { drop: bool },
    /// It is there, with so much in it.
    Progress(Progress),
    /// It is there, and may be gone on with if there is nothing in it.
    Empty,
    /// It cannot be gone on with.
    Nowhere(&'static str),
}

fn from_where(
    planned: &PlannedNamespace,
    first: &First,
    found: Found<'_>,
    noted: &[Done],
    options: &RestoreOptions,
) -> From {
    let progress = found.uuid.and_then(|uuid| Progress::of(noted, uuid));
    let is_done = |progress: &Progress| {
        planned.documents == Some(progress.documents.saturating_add(progress.failed))
    };
    let is_repeatable = planned.steps.is_repeatable;
    if !first.create {
        // What no server drops had to be emptied first.
        if planned.drop && noted.is_empty() {
            return From::Start { drop: true };
        }
        let progress = progress.unwrap_or_default();
        return if planned.create || found.uuid != first.uuid {
            From::Nowhere("it was there when the restore began, and is not any more")
        } else if is_repeatable || is_done(&progress) {
            From::Progress(progress)
        } else {
            From::Nowhere("it was there before, and what is inserted into it twice cannot be told")
        };
    }
    let Some(entry) = found.entry else {
        // Another one would have the same UUID, and nothing of what is noted.
        return match options.preserve_uuid && is_repeatable && !noted.is_empty() {
            true => From::Nowhere("it was dropped after the restore began it"),
            false => From::Start { drop: false },
        };
    };
    match progress {
        Some(progress) if is_repeatable || is_done(&progress) => From::Progress(progress),
        Some(_) => From::Start { drop: true },
        None if options.drop => From::Start { drop: true },
        None if !is_ours(planned, entry) => From::Nowhere("something else created it"),
        // A run that was interrupted right after it had made it anew has not noted that.
        None if found.uuid.is_some() && !noted.is_empty() => From::Empty,
        None if is_repeatable => From::Progress(Progress::default()),
        None => From::Empty,
    }
}

/// Whether something that the first run did not find is what it would have made.
fn is_ours(planned: &PlannedNamespace, entry: &CollectionEntry) -> bool {
    let kind = match entry.kind {
        CollectionKind::Collection => NamespaceKind::Collection,
        CollectionKind::View => NamespaceKind::View,
        CollectionKind::TimeSeries => NamespaceKind::TimeSeries,
    };
    kind == planned.kind
        && read_back::option_differences(&planned.steps.options, &entry.options).is_empty()
}

fn begin_with(planned: &mut PlannedNamespace, progress: Progress, resumed: &Unfinished) {
    planned.restored_before = Some(progress.documents);
    planned.steps.progress = Some(progress);
    // The index may be there by now.
    let mut indexes = planned.steps.indexes.iter();
    planned.steps.expires |= resumed.stages.contains(&Stage::Indexes)
        && indexes.any(|index| matches!(index.get("expireAfterSeconds"), Ok(Some(_))));
}

/// The UUID of the collection that the documents go into.
fn uuid(planned: &PlannedNamespace, existing: &Existing) -> Option<Uuid> {
    let entry = existing.get(planned.inserted_into())?;
    entry.uuid.map(Uuid::from_bytes)
}

/// Whether a document that is inserted again shows as a duplicate, wherever it is: not where there need be no index on `_id`,
/// where old documents make room for new ones, or where a server may change what is inserted.
pub(super) fn is_repeatable(kind: NamespaceKind, capped: bool, options: &RawDocument) -> bool {
    let auto_index_id = options.get("autoIndexId").ok().flatten();
    let has_index = auto_index_id.is_none_or(|value| {
        let number = || index_spec::as_number(value).is_some_and(|number| number != 0.0);
        value.as_bool().unwrap_or_else(number)
    });
    kind != NamespaceKind::TimeSeries && !capped && has_index
}

const AGAIN: &str = "drop what is there and begin anew (--drop, without --resume)";

fn lost(why: &'static str) -> Error {
    Error::conflict(format!("it cannot be gone on with: {why}")).with_hint(AGAIN)
}

fn nothing() -> Error {
    Error::invalid(
        "there is nothing to go on with (--resume): no restore of this dump to this target was begun and did not finish",
    )
    .with_hint("restore without --resume; what is there already was perhaps restored wholly")
}
