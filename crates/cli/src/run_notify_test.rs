//! `rdump notify-test`: whether notices come.

use std::path::Path;

use rdump::Secret;

use crate::{
    exit::Exit,
    monitor::tell_of_failures,
    notify::{Notice, Notifier},
    session::Session,
};

/// Tells all whom a file names that this is a test.
pub(crate) async fn run(
    session: &Session,
    file: &Path,
    variable: fn(&str) -> Option<Secret>,
) -> anyhow::Result<Exit> {
    let console = &session.console;
    let notifier = Notifier::open(file, variable)?;
    let sending = async { Ok::<_, anyhow::Error>(notifier.send(&Notice::test()).await) };
    let sent = session.unless_cancelled("sending", sending).await?;
    for one in sent.iter().filter(|one| one.sent.is_ok()) {
        console.stdout(&format!("{} was told\n", one.to));
    }
    Ok(match tell_of_failures(console, &sent) {
        0 => Exit::Done,
        _ => Exit::Failed,
    })
}
