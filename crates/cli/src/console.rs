//! Everything that is printed: data on stdout, all else on stderr.
//!
//! Nothing here fails: whoever closes our stdout or stderr does not want to hear of it. If stdout takes no data for
//! another reason, stderr says so, and the exit code is no longer that of success.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use indicatif::{MultiProgress, ProgressDrawTarget};
use jiff::Timestamp;
use serde::Serialize;

use crate::exit::Exit;

/// The version of the JSON lines; it changes when a line loses something or means something else.
const JSON_VERSION: u32 = 1;

/// Where a run tells what it does.
#[derive(Clone, Debug)]
pub(crate) struct Console {
    level: i8,
    json: bool,
    bars: Option<MultiProgress>,
    /// The job that log lines are of, if there are several.
    job: Option<Arc<str>>,
    /// Nothing more goes to stdout.
    stdout_closed: Arc<AtomicBool>,
    /// Something did not reach stdout though it was wanted there.
    stdout_failed: Arc<AtomicBool>,
}

/// One line of JSON on stdout.
#[derive(Serialize)]
struct JsonLine<'a, T> {
    version: u32,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(flatten)]
    content: T,
}

impl Console {
    /// A console that says as much as `level` (see [`VerbosityArgs::level`](crate::args::VerbosityArgs::level)),
    /// shows bars if stderr is a terminal, and prints JSON lines if `json`.
    pub(crate) fn new(level: i8, json: bool) -> Self {
        let bars = (level >= 0 && io::stderr().is_terminal()).then(|| {
            let bars = MultiProgress::new();
            bars.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
            bars
        });
        Self {
            level,
            json,
            bars,
            job: None,
            stdout_closed: Arc::default(),
            stdout_failed: Arc::default(),
        }
    }

    /// One for a job of this name: its log lines say so, and nobody reads what it prints.
    pub(crate) fn of_job(&self, name: &str) -> Self {
        Self {
            level: self.level,
            json: false,
            bars: None,
            job: Some(name.into()),
            stdout_closed: Arc::new(AtomicBool::new(true)),
            stdout_failed: Arc::default(),
        }
    }

    /// The level above which nothing is said.
    pub(crate) fn level(&self) -> i8 {
        self.level
    }

    /// The bars, if stderr is a terminal and wants any.
    pub(crate) fn bars(&self) -> Option<&MultiProgress> {
        self.bars.as_ref()
    }

    /// Writes a log line, unless `--quiet`.
    pub(crate) fn log(&self, message: impl Display) {
        if self.level >= 0 {
            self.always(message);
        }
    }

    /// Writes log lines with `-v`, one for each of the text.
    pub(crate) fn details(&self, text: impl Display) {
        if self.level >= 1 {
            text.to_string().lines().for_each(|line| self.always(line));
        }
    }

    /// Writes a log line in any case.
    pub(crate) fn always(&self, message: impl Display) {
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3f+0000");
        match &self.job {
            Some(job) => self.stderr(&format!("{now}\t{job}: {message}\n")),
            None => self.stderr(&format!("{now}\t{message}\n")),
        }
    }

    /// Writes to stderr as it is, above the bars.
    pub(crate) fn stderr(&self, text: &str) {
        let write = || io::stderr().lock().write_all(text.as_bytes());
        let _closed = match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        };
    }

    /// Writes data to stdout.
    pub(crate) fn stdout(&self, text: &str) {
        if self.stdout_closed.load(Ordering::Relaxed) {
            return;
        }
        let write = || {
            let mut stdout = io::stdout().lock();
            stdout
                .write_all(text.as_bytes())
                .and_then(|()| stdout.flush())
        };
        let written = match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        };
        let Err(error) = written else { return };
        self.stdout_closed.store(true, Ordering::Relaxed);
        if error.kind() != io::ErrorKind::BrokenPipe {
            self.stdout_failed.store(true, Ordering::Relaxed);
            self.always(format_args!("cannot write to standard output: {error}"));
        }
    }

    /// How a command ends that would have ended so, if stdout had taken everything.
    pub(crate) fn ended(&self, exit: Exit) -> Exit {
        match exit {
            Exit::Done | Exit::Problems if self.stdout_failed.load(Ordering::Relaxed) => {
                Exit::Failed
            }
            exit => exit,
        }
    }

    /// Writes one line of JSON to stdout, if `--json`.
    pub(crate) fn json(&self, kind: &str, content: impl Serialize) {
        if !self.json {
            return;
        }
        match serde_json::to_string(&JsonLine {
            version: JSON_VERSION,
            kind,
            content,
        }) {
            Ok(line) => self.stdout(&format!("{line}\n")),
            Err(error) => self.always(format_args!("cannot print a {kind} as JSON: {error}")),
        }
    }

    /// The same console, with JSON lines.
    pub(crate) fn with_json(&self) -> Self {
        let mut console = self.clone();
        console.json = true;
        console
    }

    /// Writes one JSON document to stdout, which has a version beside its content.
    pub(crate) fn document(&self, content: impl Serialize) {
        #[derive(Serialize)]
        struct Document<T> {
            version: u32,
            #[serde(flatten)]
            content: T,
        }
        match serde_json::to_string_pretty(&Document {
            version: JSON_VERSION,
            content,
        }) {
            Ok(document) => self.stdout(&format!("{document}\n")),
            Err(error) => self.always(format_args!("cannot print JSON: {error}")),
        }
    }

    /// Whether JSON lines are wanted.
    pub(crate) fn wants_json(&self) -> bool {
        self.json
    }
}
