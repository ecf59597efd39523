//! The library's log on stderr, for `-v`.

use std::{fmt, io};

use jiff::Timestamp;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt::{format::Writer, time::FormatTime},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::console::Console;

/// Shows as much of the library's log as the console's level asks for. Only the first call counts.
pub(crate) fn install(console: &Console) {
    let level = match console.level() {
        ..=-1 => LevelFilter::ERROR,
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        3.. => LevelFilter::TRACE,
    };
    let console = console.clone();
    let lines = tracing_subscriber::fmt::layer()
        .compact()
        .with_ansi(false)
        .with_target(false)
        .with_timer(Now)
        .with_writer(move || Lines(console.clone()));
    let registry = tracing_subscriber::registry()
        .with(Targets::new().with_target("rdump", level))
        .with(lines);
    // There may be one already where several commands run in one process: in tests.
    let _already = registry.try_init();
}

/// Each event comes as one write.
struct Lines(Console);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.stderr(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Now;

impl FormatTime for Now {
    fn format_time(&self, to: &mut Writer<'_>) -> fmt::Result {
        write!(
            to,
            "{}",
            Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3f+0000")
        )
    }
}
