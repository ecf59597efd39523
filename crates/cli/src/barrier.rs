//! Waiting for a file, as MongoDB's own tests ask for.

use std::{io::ErrorKind, path::Path, time::Duration};

use anyhow::Context;
use tokio::fs::File;

use crate::console::Console;

/// How often it is looked for, as mongodump does.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Waits until the file can be opened. What is written to the source before that will be in the dump.
pub(crate) async fn wait_for(path: &Path, console: &Console) -> anyhow::Result<()> {
    console.log(format_args!(
        "waiting until {} exists before anything is dumped",
        path.display()
    ));
    loop {
        match File::open(path).await {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Err(error) => {
                let what = || format!("failed to open barrier file {}", path.display());
                return Err(error).with_context(what);
            }
        }
    }
}
