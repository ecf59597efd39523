//! A server that lives as long as a drill.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{ConnectOptions, Error, ErrorKind, Result, Target};

/// How long a server may take to start.
const START: Duration = Duration::from_secs(60);
/// Runs what is named behind it, and ends that when whoever started it ends, however that was: its input ends then.
const GUARD: &str = r#"dir=$1; shift; "$@" </dev/null >"$dir/mongod.log" 2>&1 & pid=$!; (while kill -0 $pid 2>/dev/null; do sleep 0.2; done; kill -TERM $$ 2>/dev/null) & cat >/dev/null; kill -KILL $pid 2>/dev/null; wait $pid 2>/dev/null; rm -rf "$dir""#;

/// A standalone `mongod` for one drill, which nobody else can reach: it listens on a socket in a folder of its own.
///
/// It keeps at most 1 GiB in its cache, and lets no documents expire. Its folder is removed, and it ends, when this is dropped or the process ends.
#[derive(Debug)]
pub struct ScratchServer {
    // Dropped first: the guard removes the folder once the server is gone.
    guard: Child,
    folder: TempDir,
}

impl ScratchServer {
    /// Starts the program, with its data in a new folder below `within`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if it is no `mongod`, or the folder cannot be made; [`ErrorKind::Unavailable`] if it does not answer within a minute.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the server.
    pub async fn start(mongod: &Path, within: &Path) -> Result<Self> {
        let made = tempfile::Builder::new()
            .prefix("rdump-drill-")
            .tempdir_in(within);
        let folder = made.map_err(|error| {
            Error::invalid(format!("cannot make a folder in {}", within.display())).caused_by(error)
        })?;
        if !mongod.is_file() {
            return Err(Error::invalid(format!(
                "{} is no file: name a mongod (--mongod)",
                mongod.display()
            )));
        }
        let path = folder.path();
        let socket = path.join("mongod.sock");
        let mut server = Command::new("/bin/sh");
        server
            .args(["-c", GUARD, "rdump-drill"])
            .args([path, mongod])
            .arg("--dbpath")
            .arg(path)
            .arg("--bind_ip")
            .arg(&socket)
            .args(["--filePermissions", "0700", "--wiredTigerCacheSizeGB", "1"])
            .args(["--setParameter", "ttlMonitorEnabled=false"])
            .args(["--setParameter", "diagnosticDataCollectionEnabled=false"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let guard = server.spawn().map_err(|error| {
            Error::invalid("cannot start a server for the drill").caused_by(error)
        })?;
        let mut this = Self { guard, folder };
        this.await_start().await?;
        Ok(this)
    }

    async fn await_start(&mut self) -> Result<()> {
        let begun = Instant::now();
        loop {
            if Target::connect(&self.connect_options()).await.is_ok() {
                return Ok(());
            }
            let ended = self.guard.try_wait().ok().flatten().is_some();
            if ended || begun.elapsed() > START {
                let what = if ended { "ended" } else { "does not answer" };
                let error = Error::new(
                    ErrorKind::Unavailable,
                    format!("the server for the drill {what}: {}", self.last_words()),
                );
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The last line of its log.
    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        log.lines()
            .next_back()
            .unwrap_or("it said nothing")
            .to_owned()
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("mongod.log")
    }

    /// How to reach it.
    pub fn connect_options(&self) -> ConnectOptions {
        let socket = self.folder.path().join("mongod.sock");
        let host: String = socket
            .to_string_lossy()
            .bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => {
                    char::from(byte).to_string()
                }
                byte => format!("%{byte:02X}"),
            })
            .collect();
        ConnectOptions::default().uri(format!(
            "mongodb://{host}/?directConnection=true&serverSelectionTimeoutMS=1000"
        ))
    }
}
