//! A moment at which the catalog is known.
//!
//! Servers list what exists now, and not what existed at some moment. So the catalog is listed first; of a moment right after that it is
//! known that nothing of it changed in between, or it is listed again.

use std::time::Duration;

use bson::{Document, doc};
use mongodb::options::SelectionCriteria;
use rdump_oplog::OpTime;

use super::{
    DumpOptions,
    listing::read_catalog,
    moment,
    oplog::{self, Moments, PlannedOplog},
    plan::PlannedNamespace,
    planning::Planning,
    scope::Scope,
};
use crate::{
    Error, ErrorKind, Result, Topology,
    catalog::Catalog,
    command::{self, code},
    connect::Deployment,
    context::RunContext,
    retry::{Retries, patiently},
};

/// How often the catalog is listed while it keeps changing.
const MOST_LISTINGS: u32 = 10;
/// How long a majority of the members may take to have what was written until the moment.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What exists at a moment.
pub(super) struct Steady {
    pub(super) namespaces: Vec<PlannedNamespace>,
    pub(super) at: OpTime,
    /// What is captured besides, from before that moment on.
    pub(super) oplog: Option<PlannedOplog>,
}

/// A moment, and what exists then.
pub(super) async fn find(planning: Planning<'_>) -> Result<Steady> {
    let Planning {
        source,
        options,
        aim,
        cx,
        ..
    } = planning;
    let finding = Finding::of(&planning);
    let mut changed_at = None;
    let mut oplog_is_readable = source.server().topology == Topology::ReplicaSet;
    for _ in 0..MOST_LISTINGS {
        let before = finding.now(&mut oplog_is_readable).await?.readable;
        let oplog = match aim.oplog && oplog_is_readable {
            true => Some(oplog::plan(&source.0, options, before, cx).await?),
            false => None,
        };
        let namespaces = finding.list(before, oplog.is_some()).await?;
        let at = finding.now(&mut oplog_is_readable).await?.seen;
        let changed = match oplog_is_readable {
            true => finding.changed(before, at).await?,
            false => {
                let again = finding.list(at, false).await?;
                (!are_same(&namespaces, &again)).then_some(at)
            }
        };
        match changed {
            None => {
                return Ok(Steady {
                    namespaces,
                    at,
                    oplog,
                });
            }
            Some(at) => changed_at = Some(at),
        }
    }
    let last = changed_at.map(|at| at.to_string()).unwrap_or_default();
    Err(Error::conflict(format!(
        "collections, their options or indexes, or views changed each of the {MOST_LISTINGS} times that they were listed, at last at {last}"
    ))
    .with_hint("start the dump again when there is a moment without that, or leave out what changes so often"))
}

/// What existed at a moment, if that is what exists now, and the server still knows what was in it.
pub(super) async fn find_at(
    planning: Planning<'_>,
    at: OpTime,
) -> Result<Option<Vec<PlannedNamespace>>> {
    let finding = Finding::of(&planning);
    let mut oplog_is_readable = planning.source.server().topology == Topology::ReplicaSet;
    let before = finding.now(&mut oplog_is_readable).await?.readable;
    let namespaces = finding.list(before, false).await?;
    let until = finding.now(&mut oplog_is_readable).await?.seen;
    if !oplog_is_readable || finding.changed(at, until).await?.is_some() {
        return Ok(None);
    }
    match check(planning, &namespaces, at).await {
        Ok(()) => Ok(Some(namespaces)),
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(None),
        Err(error) => Err(error),
    }
}

struct Finding<'a> {
    deployment: &'a Deployment,
    options: &'a DumpOptions,
    from: &'a SelectionCriteria,
    cx: &'a RunContext,
}

impl<'a> Finding<'a> {
    fn of(planning: &Planning<'a>) -> Self {
        Self {
            deployment: &planning.source.0,
            options: planning.options,
            from: planning.from,
            cx: planning.cx,
        }
    }

    /// The moments that the deployment has come to; takes note if the oplog cannot be read.
    async fn now(&self, oplog_is_readable: &mut bool) -> Result<Moments> {
        let (cx, max_retries) = (self.cx, self.options.max_retries);
        if *oplog_is_readable {
            match oplog::moments(self.deployment, max_retries, cx).await {
                Ok(moments) => return Ok(moments),
                Err(error) if matches!(error.kind(), ErrorKind::Denied | ErrorKind::Data) => {
                    let message = format!("the oplog cannot be read, and is not captured: {error}");
                    cx.notice(None, message);
                    *oplog_is_readable = false;
                }
                Err(error) => return Err(error),
            }
        }
        let admin = self.deployment.database("admin");
        let reply = patiently(cx, max_retries, None, "asking for the time", || {
            command::read(&admin, doc! { "ping": 1 }, self.from)
        })
        .await?;
        let moments = time(&reply).map(|at| Moments {
            readable: at,
            seen: at,
        });
        moments.ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                "the server does not say which moment it has come to, so that it cannot be read at one",
            )
            .with_hint("read each collection at a time of its own: --consistency none")
        })
    }

    async fn list(&self, not_before: OpTime, is_captured: bool) -> Result<Vec<PlannedNamespace>> {
        let catalog = Catalog {
            deployment: self.deployment,
            from: self.from,
            not_before: Some(not_before),
        };
        read_catalog(&catalog, self.options, is_captured, self.cx).await
    }

    async fn changed(&self, after: OpTime, until: OpTime) -> Result<Option<OpTime>> {
        let (cx, max_retries) = (self.cx, self.options.max_retries);
        let scope = Scope::of(self.options);
        let what = "looking for changes of the catalog";
        patiently(cx, max_retries, None, what, || {
            oplog::first_catalog_change(self.deployment, &scope, (after, until))
        })
        .await
    }
}

/// The time that a reply gives: what its operation has seen, or the newest that the server has heard of.
fn time(reply: &Document) -> Option<OpTime> {
    let operation = reply.get_timestamp("operationTime").ok();
    let heard = reply.get_document("$clusterTime").ok();
    let heard = heard.and_then(|time| time.get_timestamp("clusterTime").ok());
    operation.or(heard).map(OpTime::from)
}

fn are_same(some: &[PlannedNamespace], others: &[PlannedNamespace]) -> bool {
    let is_same = |(one, other): (&PlannedNamespace, &PlannedNamespace)| {
        (&one.header.namespace, &one.header.metadata, &one.identity)
            == (
                &other.header.namespace,
                &other.header.metadata,
                &other.identity,
            )
    };
    some.len() == others.len() && some.iter().zip(others).all(is_same)
}

/// Makes sure that the server reads at this moment, that a majority of the members has come to it, and that it can be asked for in all that is dumped.
pub(super) async fn check(
    planning: Planning<'_>,
    namespaces: &[PlannedNamespace],
    at: OpTime,
) -> Result<()> {
    let Planning {
        source, from, cx, ..
    } = planning;
    let deployment = &source.0;
    let capabilities = deployment.server.capabilities();
    let with_data = || {
        let with_data = namespaces.iter();
        with_data.filter(|planned| planned.header.data_namespace.is_some())
    };
    if let Some(capped) = with_data().find(|planned| planned.is_capped())
        && !capabilities.snapshot_reads_of_capped
    {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "MongoDB {} does not read capped collections at one moment: that is new in 8.0",
                deployment.server.version
            ),
        )
        .for_namespace(&capped.header.namespace)
        .with_hint(
            "leave it out, or let the oplog bring everything to one moment (--consistency oplog)",
        ));
    }
    let Some(planned) = with_data().next() else {
        return Ok(());
    };
    let wait = i64::try_from(LONGEST_WAIT.as_millis()).unwrap_or(i64::MAX);
    let mut find = doc! {
        "find": &planned.read_from.collection, "limit": 1, "singleBatch": true, "projection": { "_id": 1 }, "maxTimeMS": wait,
    };
    let concern = Document::try_from(moment::read_concern(at)).map_err(Error::from_bson)?;
    find.insert("readConcern", concern);
    let database = deployment.database(&planned.read_from.db);
    let mut retries = Retries::new(planning.options.max_retries);
    loop {
        let reply = database.run_command(find.clone());
        let reply = reply.selection_criteria(from.clone()).await;
        let error = match reply {
            Ok(reply) => {
                let cursor = reply.get_document("cursor").ok();
                let echo = cursor.and_then(|cursor| cursor.get_timestamp("atClusterTime").ok());
                return match echo.is_some_and(|echo| OpTime::from(echo) == at) {
                    true => Ok(()),
                    false => Err(moment::not_of(at).for_namespace(&planned.header.namespace)),
                };
            }
            Err(error) => error,
        };
        let code = command::server_code(&error);
        if code == Some(code::MAX_TIME_EXPIRED) {
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!(
                    "no majority of the members has come to {at} within {} s",
                    LONGEST_WAIT.as_secs()
                ),
            )
            .with_hint("look whether all members replicate (rs.status())"));
        }
        if let Some(lost) = code.and_then(|code| moment::forgotten(code, at)) {
            return Err(Error::conflict(lost.to_string())
                .caused_by(command::error(error).to_string())
                .for_namespace(&planned.header.namespace));
        }
        if !command::is_transient(&error) {
            let refused = command::error(error);
            return Err(match refused.kind() {
                ErrorKind::Invalid => Error::new(
                    ErrorKind::Unsupported,
                    "the server does not read at one moment",
                )
                .caused_by(refused.to_string()),
                _ => refused,
            });
        }
        retries
            .again(cx, None, "reading at one moment", error)
            .await?;
    }
}
