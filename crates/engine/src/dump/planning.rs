//! How what is planned comes to be of one moment.

use std::sync::Arc;

use mongodb::options::SelectionCriteria;
use rdump_oplog::OpTime;

use super::{
    DumpOptions,
    consistency::Aim,
    listing::read_catalog,
    moment::{Moment, Otherwise},
    oplog::{self, PlannedOplog},
    plan::DumpPlan,
    scope::Scope,
    steady_catalog::{self, Steady},
    stream_tail,
};
use crate::{
    ErrorKind, Flavor, Result, Source, catalog::Catalog, context::RunContext, media::Reading,
    retry::patiently,
};

/// What a plan is made from.
#[derive(Clone, Copy)]
pub(super) struct Planning<'a> {
    pub(super) source: &'a Source,
    pub(super) options: &'a DumpOptions,
    pub(super) from: &'a SelectionCriteria,
    pub(super) aim: Aim,
    pub(super) cx: &'a RunContext,
}

impl Planning<'_> {
    pub(super) async fn plan(self, earlier: Option<Reading>) -> Result<DumpPlan> {
        if let Some(earlier) = earlier {
            if let Some(plan) = self.go_on(earlier).await? {
                return Ok(plan);
            }
            let message = "what earlier attempts have stored cannot be brought to one moment with what is read now: all is read again";
            self.cx.notice(None, message);
        }
        match self.aim.moment {
            true => self.at_one_moment().await,
            false => self.over_time(None).await,
        }
    }

    /// Plans so that what was read before is of the same moment; `None` if that cannot be.
    async fn go_on(self, earlier: Reading) -> Result<Option<DumpPlan>> {
        let aim = self.aim;
        if aim.oplog && self.source.server().flavor == Flavor::DocumentDb {
            return Ok(None);
        }
        let plan = match (aim.moment, aim.oplog, earlier) {
            (false, false, _) => self.over_time(None).await?,
            (
                _,
                true,
                Reading {
                    captured_from: Some(start),
                    ..
                },
            ) => {
                let scope = Scope::of(self.options);
                let (deployment, max_retries) = (&self.source.0, self.options.max_retries);
                let what = "looking for what was captured before";
                let has_all = patiently(self.cx, max_retries, None, what, || {
                    oplog::reaches_back(deployment, &scope, start)
                });
                match has_all.await? {
                    true => self.over_time(Some(start)).await?,
                    false => return Ok(None),
                }
            }
            (
                true,
                false,
                Reading {
                    read_at: Some(at), ..
                },
            ) if !aim.is_lenient => match steady_catalog::find_at(self, at).await? {
                Some(namespaces) => DumpPlan {
                    namespaces,
                    oplog: None,
                    moment: Some(Arc::new(Moment::new(self.cx.clone(), at, Otherwise::Fail))),
                    keeps: true,
                    from: self.from.clone(),
                },
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        Ok(Some(DumpPlan {
            keeps: true,
            ..plan
        }))
    }

    /// Plans to read each collection at a time of its own, while the oplog is captured if that is what is aimed at: from `start` on, or from now on.
    async fn over_time(self, start: Option<OpTime>) -> Result<DumpPlan> {
        let (deployment, cx) = (&self.source.0, self.cx);
        let oplog = match self.aim.oplog {
            true if self.source.server().flavor == Flavor::DocumentDb => self.stream().await?,
            true => {
                let newest = oplog::moments(deployment, self.options.max_retries, cx).await;
                match newest {
                    Ok(newest) => {
                        let newest = newest.readable;
                        let planned = oplog::plan(deployment, self.options, newest, cx).await?;
                        Some(PlannedOplog {
                            start: start.unwrap_or(planned.start),
                            ..planned
                        })
                    }
                    // It calls itself a replica set, and has no oplog.
                    Err(error) if self.aim.is_lenient && error.kind() == ErrorKind::Data => {
                        let message = format!(
                            "each collection is read at a time of its own (consistency: none): {error}"
                        );
                        cx.notice(None, message);
                        None
                    }
                    Err(error) => return Err(error),
                }
            }
            false => None,
        };
        let catalog = Catalog {
            deployment,
            from: self.from,
            not_before: oplog.as_ref().filter(|it| !it.is_stream).map(|it| it.start),
        };
        Ok(DumpPlan {
            namespaces: read_catalog(&catalog, self.options, oplog.is_some(), cx).await?,
            moment: None,
            oplog,
            keeps: false,
            from: self.from.clone(),
        })
    }

    /// Plans to capture a change stream; `None` if there is none and that is no error.
    async fn stream(self) -> Result<Option<PlannedOplog>> {
        let (deployment, cx) = (&self.source.0, self.cx);
        match stream_tail::plan(deployment, self.options, self.from, cx).await {
            Ok(planned) => Ok(Some(planned)),
            Err(error) if self.aim.is_lenient && error.kind() == ErrorKind::Unsupported => {
                let hint = error.hint().map(|hint| format!(" ({hint})"));
                let message = format!(
                    "each collection is read at a time of its own (consistency: none): {error}{}",
                    hint.unwrap_or_default()
                );
                cx.notice(None, message);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Plans to read everything at a moment at which what exists, and how it is defined, is as it was found.
    async fn at_one_moment(self) -> Result<DumpPlan> {
        let (aim, cx) = (self.aim, self.cx);
        let found = match steady_catalog::find(self).await {
            Err(error) if aim.is_lenient && aim.oplog && error.kind() == ErrorKind::Conflict => {
                let message = format!(
                    "not everything can be read at one moment, and the oplog is taken: {error}"
                );
                cx.notice(None, message);
                return self.over_time(None).await;
            }
            found => found?,
        };
        let Steady {
            namespaces,
            at,
            oplog,
        } = found;
        let otherwise = match (&oplog, aim.is_lenient) {
            (_, false) => Otherwise::Fail,
            (Some(_), true) => Otherwise::Oplog,
            (None, true) => Otherwise::Nothing,
        };
        let moment = Moment::new(cx.clone(), at, otherwise);
        match steady_catalog::check(self, &namespaces, at).await {
            Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Conflict) => {
                moment.lose(error)?;
            }
            checked => checked?,
        }
        Ok(DumpPlan {
            namespaces,
            oplog,
            moment: Some(Arc::new(moment)),
            keeps: false,
            from: self.from.clone(),
        })
    }
}
