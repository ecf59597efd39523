//! Runs one `mongod` process in a folder of its own.
//!
//! The process dies with the test: dropping kills it, and when the test process itself is killed the kernel
//! kills the server too (`setpriv --pdeathsig` of util-linux asks for that). SIGKILL is the only way it is ever
//! stopped: it is quick, and what a crash leaves is what a dump has to live with.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    binaries::{self, LD_LIBRARY_PATH},
    process::{folder::Folder, port, spawner},
    server_version::ServerVersion,
    wait::{PATIENCE, wait_for},
};

/// Lines of the log that are shown when something went wrong.
const TAIL_LINES: usize = 25;
/// Starts on other ports before giving up.
const START_ATTEMPTS: usize = 10;

/// What one server is started with, beside what every server gets. Default: nothing.
#[derive(Clone, Debug, Default)]
pub struct MongodOptions {
    /// The version to run. Default: whatever [`binaries::mongod`] finds.
    pub version: Option<ServerVersion>,
    /// WiredTiger cache, in MiB. Default: 256, the least there is; 1024 for MongoDB 4.2.
    pub cache_mebibytes: Option<u32>,
    /// Arguments that are added as they are.
    pub arguments: Vec<OsString>,
}

/// A running (or killed) `mongod` with its own data folder and port on 127.0.0.1.
#[derive(Debug)]
pub struct Mongod {
    options: MongodOptions,
    folder: Folder,
    port: u16,
    process: Mutex<Process>,
}

#[derive(Debug, Default)]
struct Process {
    child: Option<Child>,
    /// How often the server was started; each start has its own log file.
    starts: u32,
}

/// How an attempt to start ended.
enum Started {
    Ready,
    AddressInUse,
    Failed(String),
}

impl Mongod {
    /// Starts a server on a free port and waits until it listens.
    pub async fn start(options: MongodOptions) -> Self {
        let mut mongod = Self {
            options,
            folder: Folder::create(),
            port: 0,
            process: Mutex::default(),
        };
        for _ in 0..START_ATTEMPTS {
            mongod.port = port::free();
            match mongod.launch().await {
                Started::Ready => return mongod,
                Started::AddressInUse => {}
                Started::Failed(why) => panic!("mongod did not start: {why}"),
            }
        }
        panic!("mongod found no free port in {START_ATTEMPTS} attempts");
    }

    /// Starts the server again on the same port and data, and waits until it listens; kills it first if it runs.
    pub async fn restart(&self) {
        self.kill();
        wait_for(
            "the port of the killed mongod",
            PATIENCE,
            async || match self.launch().await {
                Started::Ready => Some(()),
                Started::AddressInUse => None,
                Started::Failed(why) => panic!("mongod did not start again: {why}"),
            },
        )
        .await;
    }

    /// Kills the server with SIGKILL and waits until it is gone; nothing happens if it is not running.
    pub fn kill(&self) {
        if let Some(mut child) = self.process().child.take() {
            // Both fail only when the process is gone already.
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Whether the process runs.
    pub fn is_running(&self) -> bool {
        let mut process = self.process();
        match &mut process.child {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => false,
        }
    }

    /// Id of the process, if it was not killed.
    pub fn id(&self) -> Option<u32> {
        self.process().child.as_ref().map(Child::id)
    }

    /// Port on 127.0.0.1; the same after [`Mongod::restart`].
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Address as `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The data folder.
    pub fn db_path(&self) -> PathBuf {
        self.folder.path().join("db")
    }

    /// The log of the latest start.
    pub fn log(&self) -> String {
        let starts = self.process().starts;
        fs::read_to_string(self.log_path(starts)).unwrap_or_default()
    }

    /// The last lines of the log of the latest start.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    async fn launch(&self) -> Started {
        fs::create_dir_all(self.db_path()).expect("a data folder can be created");
        let log_path = {
            let mut process = self.process();
            process.starts += 1;
            let log_path = self.log_path(process.starts);
            process.child = Some(spawner::spawn(self.command(&log_path)));
            log_path
        };
        wait_for("mongod to listen", PATIENCE, async || {
            let log = fs::read_to_string(&log_path).unwrap_or_default();
            if is_listening(&log) {
                Some(Started::Ready)
            } else if self.is_running() {
                None
            } else {
                self.kill();
                Some(if log.contains("Address already in use") {
                    Started::AddressInUse
                } else {
                    Started::Failed(self.log_tail())
                })
            }
        })
        .await
    }

    fn command(&self, log_path: &Path) -> Command {
        let default = match self.options.version {
            // Its inserts wait for ever when those of the largest documents that are under way fill a fifth.
            Some(ServerVersion::V4_2_6) => 1024,
            _ => 256,
        };
        let cache = f64::from(self.options.cache_mebibytes.unwrap_or(default)) / 1024.0;
        let mut command = match self.options.version.map(binaries::server) {
            Some(server) => {
                let mut command = spawner::dying_with_us(&server.mongod);
                command.envs(server.libraries.map(|folder| (LD_LIBRARY_PATH, folder)));
                command
            }
            None => spawner::dying_with_us(&binaries::mongod()),
        };
        command
            .arg("--dbpath")
            .arg(self.db_path())
            .arg("--logpath")
            .arg(log_path)
            .args(["--bind_ip", "127.0.0.1", "--nounixsocket"])
            .args(["--port", &self.port.to_string()])
            .args(["--wiredTigerCacheSizeGB", &cache.to_string()])
            // Without preallocation and with small journal files a server is up sooner and takes 33 MB, not 300 MB.
            .args([
                "--wiredTigerEngineConfigString",
                "log=(prealloc=false,file_max=32MB)",
            ])
            .args(["--setParameter", "enableTestCommands=1"])
            .args(["--setParameter", "diagnosticDataCollectionEnabled=false"])
            .args(&self.options.arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn log_path(&self, start: u32) -> PathBuf {
        self.folder.path().join(format!("mongod-{start}.log"))
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a server that logs this takes connections; logs are JSON since 4.4.
fn is_listening(log: &str) -> bool {
    // 23016: "Waiting for connections".
    log.contains("\"id\":23016,") || log.contains(" waiting for connections on port ")
}

impl Drop for Mongod {
    #[expect(
        clippy::print_stderr,
        reason = "the test harness shows it with the failed test"
    )]
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!(
                "--- log of mongod {} ---\n{}",
                self.address(),
                self.log_tail()
            );
        }
    }
}
