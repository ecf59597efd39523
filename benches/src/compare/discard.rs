//! The library dumping to nowhere, as a process that can be measured by itself.

use std::{env, process::ExitCode, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use rdump::{ConnectOptions, Discard, Dump, DumpOptions, Source};

use super::servers::DB;
use crate::screen;

/// First argument of the process.
pub(super) const FLAG: &str = "__discard";

/// Dumps to nowhere if this process was started to do that.
pub(super) fn maybe_run() -> Option<ExitCode> {
    let mut arguments = env::args().skip(1);
    if arguments.next()? != FLAG {
        return None;
    }
    let outcome = arguments
        .next()
        .zip(
            arguments
                .next()
                .and_then(|documents| documents.parse().ok()),
        )
        .context("a connection string and a number of documents are needed")
        .and_then(|(uri, documents)| {
            let runtime = tokio::runtime::Runtime::new().context("could not start the runtime")?;
            runtime.block_on(Box::pin(dump(uri, documents)))
        });
    Some(match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => screen::failure(&error),
    })
}

async fn dump(uri: String, documents: u64) -> Result<()> {
    let source = Source::connect(&ConnectOptions::default().uri(uri)).await?;
    let dump = Dump::new(&source, Arc::new(Discard)).options(DumpOptions::default().db(DB));
    let report = dump.run(dump.plan().await?).await?;
    ensure!(
        report.documents == documents,
        "{} documents were dumped, and there are {documents}",
        report.documents
    );
    Ok(())
}
