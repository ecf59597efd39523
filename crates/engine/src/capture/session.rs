//! A capture from when it connects until something interrupts it.

use std::sync::Arc;

use futures::{
    FutureExt,
    future::{self, BoxFuture},
};
use mongodb::options::{ReadPreference, SelectionCriteria};
use rdump_format::{
    SourceRecord,
    repository::{DataKeys, SnapshotId},
};
use tokio::sync::mpsc;

use super::{
    Capture, CaptureReport,
    begin::{self, Oplog},
    reader::Reader,
    writer::Writer,
};
use crate::{
    Error, Result,
    dump::source_record,
    repository::{CaptureLease, make_keys},
};

/// How many slices wait to be stored while another one is gathered.
const WAITING: usize = 2;

/// What all slices of a run have in common.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) id: SnapshotId,
    pub(super) source: SourceRecord,
    pub(super) keys: Option<Arc<DataKeys>>,
}

impl Run {
    async fn new(capture: &Capture) -> Result<Self> {
        let [a, b, ..] = bson::Uuid::new().bytes();
        let id = SnapshotId::new(&capture.cx.now().to_string(), [a, b])
            .map_err(|error| Error::internal("could not name the capture").caused_by(error))?;
        let keys = match &capture.recipients {
            Some(recipients) => Some(make_keys(&capture.repository, &id, recipients).await?),
            None => None,
        };
        Ok(Self {
            id,
            source: source_record(&capture.source),
            keys,
        })
    }
}

/// Captures until it is stopped or has caught up.
pub(super) fn run<'a>(
    capture: &'a Capture,
    run: &'a mut Option<Run>,
    report: &'a mut CaptureReport,
) -> BoxFuture<'a, Result<()>> {
    take_lease(capture, run, report).boxed()
}

async fn take_lease(
    capture: &Capture,
    run: &mut Option<Run>,
    report: &mut CaptureReport,
) -> Result<()> {
    let lease = match capture.lease {
        None => None,
        Some(lasts) => {
            let taken = capture.repository.take_capture_lease(lasts);
            match capture.cx.cancel.run_until_cancelled(taken).await {
                Some(taken) => Some(taken?),
                None => return Ok(()),
            }
        }
    };
    let captured = Box::pin(under_lease(capture, run, report, lease.as_ref())).await;
    if let Some(lease) = lease {
        lease.release().await;
    }
    captured
}

async fn under_lease(
    capture: &Capture,
    run: &mut Option<Run>,
    report: &mut CaptureReport,
    lease: Option<&CaptureLease>,
) -> Result<()> {
    let from = match &capture.options.read_preference {
        Some(preference) => preference.criteria()?,
        None => {
            let asked = capture.source.0.client.selection_criteria().cloned();
            asked.unwrap_or(SelectionCriteria::ReadPreference(
                ReadPreference::PrimaryPreferred { options: None },
            ))
        }
    };
    let found = async {
        let run = match run {
            Some(run) => run,
            None => run.insert(Run::new(capture).await?),
        };
        let position = begin::position(capture, &from, &run.source, &mut report.gaps)
            .boxed()
            .await?;
        let oplog = Oplog {
            deployment: &capture.source.0,
            from: &from,
        };
        let until = match capture.options.until_caught_up {
            true => Some(oplog.newest().await?.at),
            false => None,
        };
        Ok::<_, Error>((&*run, position, until))
    };
    let Some(found) = capture.cx.cancel.run_until_cancelled(found).await else {
        return Ok(());
    };
    let (run, position, until) = found?;
    let (gathered, waiting) = mpsc::channel(WAITING);
    let writer = Writer::new(capture, run, &position, lease);
    let reader = Reader::new(capture, &from, position, until);
    let read = async {
        let read = reader.run(&gathered).boxed().await;
        // The writer ends with what was gathered.
        drop(gathered);
        read
    };
    future::try_join(read.boxed(), writer.run(waiting, report).boxed())
        .await
        .map(drop)
}
