//! Tells those who watch how a run ended.

use std::{path::PathBuf, sync::Arc};

use rdump::Secret;

use crate::{
    args::MonitorArgs,
    console::Console,
    exit::Exit,
    failure,
    metrics::{self, Registry},
    notify::{Notice, Notifier, Sent},
    session::Session,
};

/// Those who watch a run.
#[derive(Debug)]
pub(crate) struct Monitor {
    /// What the run does.
    pub(crate) operation: String,
    /// The job of a plan that it is.
    pub(crate) job: Option<String>,
    pub(crate) notifier: Option<Arc<Notifier>>,
    /// What is served while the process goes on.
    pub(crate) registry: Option<Arc<Registry>>,
    metrics_file: Option<PathBuf>,
}

impl Monitor {
    /// Those whom a command line names; `variable` looks into the environment.
    ///
    /// # Errors
    ///
    /// If the file that says who is told cannot be read or makes no sense.
    pub(crate) fn new(
        operation: &str,
        args: &MonitorArgs,
        variable: fn(&str) -> Option<Secret>,
    ) -> anyhow::Result<Self> {
        let notify = args.notify.as_deref();
        let notifier = notify.map(|file| Notifier::open(file, variable));
        Ok(Self {
            operation: operation.to_owned(),
            job: None,
            notifier: notifier.transpose()?.map(Arc::new),
            registry: None,
            metrics_file: args.metrics_file.clone(),
        })
    }

    /// Those who watch a job of a process that goes on, beside those whom the job's own command line names.
    pub(crate) fn of_job(
        operation: &str,
        job: &str,
        notifier: Option<Arc<Notifier>>,
        registry: Arc<Registry>,
    ) -> Self {
        Self {
            operation: operation.to_owned(),
            job: Some(job.to_owned()),
            notifier,
            registry: Some(registry),
            metrics_file: None,
        }
    }

    /// Tells them, and gives how the run ends after that: what cannot be told is a problem, and changes nothing of what was done.
    pub(crate) fn end(&self, session: &Session, exit: Exit) -> Exit {
        let told = session.block_on(None, async { Ok(self.tell(session, exit).await) });
        told.unwrap_or_else(|error| {
            session.console.always(format_args!("WARNING: {error}"));
            exit.with_problem(session.strict)
        })
    }

    /// Has it in what is served.
    pub(crate) fn record(&self, session: &Session, exit: Exit) {
        if let Some(registry) = &self.registry {
            metrics::record(registry, &self.operation, exit, &session.outcome.so_far());
        }
    }

    /// Tells people; gives how many could not be told.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the sending; some may have been told.
    pub(crate) async fn notify(&self, session: &Session, exit: Exit) -> u64 {
        let Some(notifier) = &self.notifier else {
            return 0;
        };
        let notice = Notice::of_run(&self.operation, exit, session.outcome.so_far());
        let notice = notice.of_job(self.job.as_deref());
        tell_of_failures(&session.console, &notifier.send(&notice).await)
    }

    /// As [`end`](Self::end).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the sending; some may have been told.
    pub(crate) async fn tell(&self, session: &Session, exit: Exit) -> Exit {
        self.record(session, exit);
        let mut told = session.outcome.so_far();
        let untold = session.outcome.untold();
        let mut untold = untold + self.notify(session, exit).await;
        // Of what was refused before it was known what it is about there is nothing to say that anybody could find again.
        if let (Some(file), Some(_)) = (&self.metrics_file, &told.repository) {
            told.problem(untold);
            let change = |registry: &_| metrics::record(registry, &self.operation, exit, &told);
            if let Err(error) = metrics::update(file, change) {
                let why = failure::chain(&error);
                let console = &session.console;
                console.always(format_args!("WARNING: metrics were not written: {why}"));
                untold += 1;
            }
        }
        match untold {
            0 => exit,
            _ => exit.with_problem(session.strict),
        }
    }
}

/// Says whom a notice did not reach, and why; gives how many.
pub(crate) fn tell_of_failures(console: &Console, sent: &[Sent]) -> u64 {
    let mut failed = 0;
    for one in sent {
        if let Err(why) = &one.sent {
            let why = failure::one_line(why);
            console.always(format_args!("WARNING: {} was not told: {why}", one.to));
            failed += 1;
        }
    }
    failed
}
