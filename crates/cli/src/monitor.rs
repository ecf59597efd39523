//! Tells those who watch how a run ended.

use crate::{args::MonitorArgs, exit::Exit, failure, metrics, session::Session};

/// Tells them, and gives how the run ends after that: what cannot be told is a problem, and changes nothing of what was done.
pub(crate) fn end(session: &Session, operation: &str, monitor: &MonitorArgs, exit: Exit) -> Exit {
    let told = session.outcome.so_far();
    // Of what was refused before it was known what it is about there is nothing to say that anybody could find again.
    let (Some(file), Some(_)) = (&monitor.metrics_file, &told.repository) else {
        return exit;
    };
    let change = |registry: &_| metrics::record(registry, operation, exit, &told);
    match metrics::update(file, change) {
        Ok(()) => exit,
        Err(error) => {
            let why = failure::chain(&error);
            let console = &session.console;
            console.always(format_args!("WARNING: metrics were not written: {why}"));
            exit.with_problem(session.strict)
        }
    }
}
