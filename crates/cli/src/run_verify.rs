//! `rdump verify`: compares a dump folder with its manifest.

use std::sync::Arc;

use anyhow::{Context, bail};
use rdump::{Counters, Location, verify_folder};

use crate::{
    args::VerifyArgs,
    convert::is_like_uri,
    exit::Exit,
    progress::{Progress, Verb},
    session::{Session, Stopped},
    units::{bytes, counted},
};

/// Verifies.
pub(crate) async fn run(session: &Session, args: &VerifyArgs) -> anyhow::Result<Exit> {
    let console = &session.console;
    if is_like_uri(&args.folder) {
        bail!("FOLDER is the folder of a dump, not a connection string");
    }
    let mut location: Location = args.folder.parse().context("FOLDER")?;
    for (flag, name, value) in args.s3.given() {
        location
            .set(name, &value)
            .with_context(|| format!("--{flag}"))?;
    }
    let progress = Arc::new(Progress::new(
        console,
        Verb::Verify,
        Arc::new(Counters::default()),
    ));
    let observer = Arc::clone(&progress);
    let result = verify_folder(&location, observer, session.cancel.clone()).await;
    progress.finish();
    let report = match result {
        Ok(report) => report,
        Err(error) => {
            let stopped = "verification stopped before its end, nothing is known of the dump";
            return Err(Stopped::or(error, stopped));
        }
    };
    for damage in &report.damage {
        console.always(format_args!("DAMAGED {}: {}", damage.path, damage.message));
    }
    let read = format!(
        "{}, {}, {}",
        counted(report.files, "file"),
        bytes(report.stored_bytes),
        counted(report.documents, "document")
    );
    console.json("report", &report);
    match report.damage.len() {
        0 => {
            console.log(format_args!("{location} is whole ({read})"));
            Ok(Exit::Done)
        }
        places => {
            console.always(format_args!(
                "{location} is damaged in {} ({read})",
                counted(places as u64, "place")
            ));
            Ok(Exit::Damaged)
        }
    }
}
