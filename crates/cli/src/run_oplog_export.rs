//! `rdump oplog-export`: what was captured, as mongorestore replays it.

use std::sync::Arc;

use rdump::{Counters, Repository};
use serde_json::json;

use crate::{
    convert::OplogExportRequest,
    exit::Exit,
    progress::{Progress, Verb},
    run_bundle::output,
    session::{Session, Stopped},
    time::text,
    units::bytes,
};

/// Writes a span.
pub(crate) async fn run(
    session: &Session,
    request: OplogExportRequest,
    json: bool,
) -> anyhow::Result<Exit> {
    let console = &session.console;
    let found = async {
        let repository = Repository::open(&request.repository).await?;
        let repository = repository.identities(request.identities);
        let repository = repository.actor(session.actor.clone());
        repository.captured(request.after, request.until).await
    };
    let captured = session
        .unless_cancelled("looking for what was captured", found)
        .await?;
    let (to, place) = output(request.file.as_ref(), "an oplog")?;
    let counters = Arc::new(Counters::default());
    let progress = Arc::new(Progress::new(console, Verb::Copy, counters));
    let observer = Arc::clone(&progress);
    let written = captured.write(to, observer, session.cancel.clone()).await;
    progress.finish();
    let stopped = format!("stopped, {place} holds not all that was captured");
    let written = written.map_err(|error| Stopped::or(error, stopped))?;
    let until = captured.until();
    console.log(format_args!(
        "exported what was written after {} and until {}: {}",
        text(request.after),
        text(until),
        bytes(written)
    ));
    if json {
        console.document(json!({ "after": request.after, "until": until, "bytes": written }));
    }
    Ok(Exit::Done)
}
