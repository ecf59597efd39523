//! `rdump oplog-export`: what was captured, as mongorestore replays it.

use std::{
    fs,
    io::{self, Write},
};

use anyhow::Context;
use futures::TryStreamExt;
use rdump::Repository;
use serde_json::json;

use crate::{convert::OplogExportRequest, exit::Exit, session::Session, time::text};

/// Writes a span.
pub(crate) async fn run(
    session: &Session,
    request: OplogExportRequest,
    json: bool,
) -> anyhow::Result<Exit> {
    let console = &session.console;
    let written = async {
        let repository = Repository::open(&request.repository).await?;
        let repository = repository.identities(request.identities);
        let captured = repository.captured(request.after, request.until).await?;
        let (mut output, name): (Box<dyn Write + Send>, _) = match &request.file {
            Some(path) => {
                let file = fs::File::create_new(path);
                let file = file.with_context(|| path.display().to_string())?;
                (Box::new(file), path.display().to_string())
            }
            None => (Box::new(io::stdout()), "standard output".to_owned()),
        };
        let mut bytes = 0_u64;
        let mut entries = captured.entries();
        while let Some(some) = entries.try_next().await? {
            output.write_all(&some).with_context(|| name.clone())?;
            bytes += some.len() as u64;
        }
        output.flush().with_context(|| name.clone())?;
        anyhow::Ok((captured.until(), bytes))
    };
    let done = session
        .unless_cancelled("exporting the oplog", written)
        .await;
    if let (Err(_), Some(path)) = (&done, &request.file) {
        console.log(format_args!("what {} has is not all of it", path.display()));
    }
    let (until, bytes) = done?;
    console.log(format_args!(
        "exported what was written after {} and until {}: {bytes} bytes",
        text(request.after),
        text(until)
    ));
    if json {
        console.document(json!({ "after": request.after, "until": until, "bytes": bytes }));
    }
    Ok(Exit::Done)
}
