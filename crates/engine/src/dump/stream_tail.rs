//! Capturing a change stream while everything else is dumped, where there is no oplog.
//!
//! What it tells is kept as the entries that an oplog would have: a restore replays them as it does an oplog.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use mongodb::options::SelectionCriteria;
use rdump_format::{Namespace, Pattern, Selector};
use rdump_oplog::OpTime;
use tokio::sync::{mpsc, watch};

use super::{
    DumpOptions,
    cursor::Batch,
    oplog::{self, PlannedOplog, not_brought, take},
    plan::PlannedNamespace,
    scope::Scope,
};
use crate::{
    Error, ErrorKind, Result,
    catalog::CollectionKind,
    change_stream::{
        self, Definition, Definitions, Events, Look, NotOpened, Start, Telling, check_enabled, now,
    },
    connect::Deployment,
    context::RunContext,
    retry::{Retries, patiently},
};

/// How long the server waits for something to tell of before it says that there is nothing.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long it may take until everything is told, once the dump waits for it.
const LONGEST_STANDSTILL: Duration = Duration::from_secs(300);

/// Finds out from where a stream has to tell, and whether it does.
pub(super) async fn plan(
    deployment: &Deployment,
    options: &DumpOptions,
    from: &SelectionCriteria,
    cx: &RunContext,
) -> Result<PlannedOplog> {
    let select = selected(options)?;
    let what = "looking whether change streams are enabled";
    let start = patiently(cx, options.max_retries, None, what, || async {
        check_enabled(deployment, from, &select).await?;
        now(deployment, from).await
    })
    .await?;
    Ok(PlannedOplog {
        is_stream: true,
        ..oplog::planned(options, start)
    })
}

/// Of what events are asked for.
fn selected(options: &DumpOptions) -> Result<Selector> {
    let Some(db) = &options.db else {
        return Ok(options.select.clone());
    };
    let pattern = Pattern::parse(&format!("{}.*", Pattern::escape(db)));
    Ok(Selector {
        include: vec![pattern.map_err(|error| Error::internal("a pattern").caused_by(error))?],
        exclude: Vec::new(),
    })
}

/// Tells all that is written until it is told where to end.
pub(super) struct StreamTail {
    cx: RunContext,
    deployment: Deployment,
    from: SelectionCriteria,
    select: Selector,
    scope: Scope,
    start: OpTime,
    /// How what is dumped was defined when it was listed.
    known: BTreeMap<Namespace, Definition>,
    end: watch::Receiver<Option<OpTime>>,
    retries: Retries,
    /// Its last moment, once it has ended.
    ended: Arc<OnceLock<OpTime>>,
}

impl StreamTail {
    pub(super) fn new(
        (cx, deployment, from): (RunContext, Deployment, SelectionCriteria),
        options: &DumpOptions,
        start: OpTime,
        namespaces: &[PlannedNamespace],
        end: watch::Receiver<Option<OpTime>>,
    ) -> Result<Self> {
        let known = namespaces.iter().filter_map(|planned| {
            let metadata = planned.header.metadata.as_ref()?;
            let definition = Definition {
                options: metadata.options.clone(),
                indexes: metadata.indexes.clone(),
                kind: CollectionKind::named(metadata.kind.as_deref()),
            };
            Some((planned.header.namespace.clone(), definition))
        });
        Ok(Self {
            known: known.collect(),
            select: selected(options)?,
            scope: Scope::of(options),
            retries: Retries::new(options.max_retries),
            ended: Arc::default(),
            cx,
            deployment,
            from,
            start,
            end,
        })
    }

    /// Where it will have ended.
    pub(super) fn ended(&self) -> Arc<OnceLock<OpTime>> {
        Arc::clone(&self.ended)
    }

    /// Sends every entry from the start to the end, once it is known.
    pub(super) async fn run(mut self, batches: &mpsc::Sender<Batch>) -> Result<()> {
        let (mut at, mut splits_events) = ((self.start, Start::After(self.start)), false);
        loop {
            let error = match self.tell(&mut at, &mut splits_events, batches).await {
                Ok(true) => return Ok(()),
                Ok(false) => continue,
                Err(error) if error.is_retryable() => error,
                Err(error) => return Err(error),
            };
            let oplog = Namespace::oplog();
            let what = "reading on in the change stream";
            self.retries
                .again_after(&self.cx, Some(&oplog), what, error)
                .await?;
        }
    }

    /// Sends what one stream tells; whether that is all.
    async fn tell(
        &mut self,
        at: &mut (OpTime, Start),
        splits_events: &mut bool,
        batches: &mpsc::Sender<Batch>,
    ) -> Result<bool> {
        let (deployment, from, scope) = (
            self.deployment.clone(),
            self.from.clone(),
            self.scope.clone(),
        );
        let of = change_stream::Scope::of(&self.select);
        let how = (PATIENCE, *splits_events);
        let events = Events::open(&deployment, &of, &from, &at.1, how).await;
        let events = events.map_err(|not_opened| match not_opened {
            NotOpened::Other(error) => error,
            NotOpened::Forgotten(detail) | NotOpened::Ended(detail) => lost(&detail),
        })?;
        let is_wanted = |namespace: &Namespace| scope.has(namespace);
        let is_told = events.manner.expanded;
        let definitions = Definitions::new(&deployment, is_told, Box::new(is_wanted));
        let definitions = definitions.starting_with(self.known.clone());
        let mut telling = Telling::new(events, at.clone(), definitions);
        let mut waits_since = None;
        loop {
            let (told, look) = telling.look().await?;
            let mut kept = Vec::new();
            for told in told {
                for entry in &told.entries {
                    take(entry.as_bytes(), Some(&self.scope), &mut kept)?;
                }
                if let Some(until) = told.until {
                    *at = (until.end, until.start());
                    self.retries.progressed();
                }
            }
            if !kept.is_empty() && batches.send(Batch::of(kept)).await.is_err() {
                return Err(Error::internal("the packer stopped before the reader"));
            }
            match look {
                Look::Drained => {}
                // What was dropped is made anew.
                Look::Ended => return Ok(false),
                Look::TooLong => {
                    *splits_events = true;
                    return Ok(false);
                }
                Look::Untold(what) => return Err(lost(&what)),
            }
            let Some(end) = *self.end.borrow() else {
                continue;
            };
            let waited = waits_since.get_or_insert_with(Instant::now).elapsed();
            if at.0 >= end && telling.definitions.are_there(end).await? {
                self.ended.get_or_init(|| at.0);
                return Ok(true);
            }
            if waited > LONGEST_STANDSTILL {
                let message = format!(
                    "the change stream has told until {} only, and the dump needs it up to {end}",
                    at.0
                );
                return Err(Error::new(ErrorKind::Unavailable, message));
            }
        }
    }
}

fn lost(detail: &str) -> Error {
    not_brought(std::io::Error::other(detail.to_owned()))
}
