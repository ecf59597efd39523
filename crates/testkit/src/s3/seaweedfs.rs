use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use super::{Access, BUCKET, location};
use crate::{
    binaries,
    process::{folder::Folder, port, spawner},
    wait::{PATIENCE, wait_for},
};

/// Starts on other ports before giving up.
const START_ATTEMPTS: usize = 10;
const LOG: &str = "log";

/// A running SeaweedFS with its own data folder on 127.0.0.1, which is killed when it is dropped.
#[derive(Debug)]
pub struct SeaweedFs {
    folder: Folder,
    address: String,
    child: Child,
}

impl SeaweedFs {
    /// Starts one, with a bucket, and waits until that can be written to.
    pub async fn start() -> Self {
        Self::with(&Access::default()).await
    }

    /// Starts one that others may ask too.
    pub async fn with(access: &Access) -> Self {
        Self::start_with(access, "").await
    }

    /// Starts one whose bucket locks objects that say so, by which it keeps versions too.
    pub async fn locking() -> Self {
        Self::start_with(&Access::default(), " -withLock").await
    }

    async fn start_with(access: &Access, options: &str) -> Self {
        for _ in 0..START_ATTEMPTS {
            if let Some(started) = Self::start_once(access, options).await {
                return started;
            }
        }
        panic!("SeaweedFS did not start in {START_ATTEMPTS} attempts");
    }

    async fn start_once(access: &Access, options: &str) -> Option<Self> {
        let folder = Folder::create();
        configure(folder.path(), access);
        let [master, volume, filer, s3] = [(); 4].map(|()| port::free());
        let [master_grpc, volume_grpc, filer_grpc, s3_grpc] = [(); 4].map(|()| port::free());
        let log = File::create(folder.path().join(LOG)).expect("a log can be created");
        let mut command = spawner::dying_with_us(&binaries::weed());
        command
            .args(["-logtostderr=true", "server", "-dir=data"])
            .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1"])
            .args(["-volume.max=50", "-master.volumeSizeLimitMB=256"])
            .args([
                format!("-master.port={master}"),
                format!("-master.port.grpc={master_grpc}"),
            ])
            .args([
                format!("-volume.port={volume}"),
                format!("-volume.port.grpc={volume_grpc}"),
            ])
            .args([
                format!("-filer.port={filer}"),
                format!("-filer.port.grpc={filer_grpc}"),
            ])
            .args([
                "-s3",
                "-s3.config=identities.json",
                "-s3.iam.config=roles.json",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
            ])
            .args([format!("-s3.port={s3}"), format!("-s3.port.grpc={s3_grpc}")])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let mut started = Self {
            folder,
            address: format!("127.0.0.1:{s3}"),
            child: spawner::spawn(command),
        };
        let master = format!("127.0.0.1:{master}.{master_grpc}");
        let ready = wait_for("SeaweedFS to make a bucket", PATIENCE, async || {
            if !matches!(started.child.try_wait(), Ok(None)) {
                return Some(false);
            }
            let listens = tokio::net::TcpStream::connect(&started.address)
                .await
                .is_ok();
            (listens && makes_bucket(&master, started.folder.path(), options)).then_some(true)
        });
        ready.await.then_some(started)
    }

    /// Address of the store as `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A prefix of the bucket, as a location.
    pub fn location(&self, prefix: &str) -> String {
        location(&self.address, prefix)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join(LOG)).unwrap_or_default()
    }
}

fn configure(folder: &Path, access: &Access) {
    let write = |name: &str, text: &str| {
        fs::write(folder.join(name), text).expect("a file can be written");
    };
    write("identities.json", &access.identities().to_string());
    write("roles.json", &access.roles().to_string());
    fs::create_dir(folder.join("data")).expect("a folder can be created");
}

/// Asks the store's own shell for a bucket.
fn makes_bucket(master: &str, folder: &Path, options: &str) -> bool {
    let shell = Command::new(binaries::weed())
        .args(["shell", &format!("-master={master}")])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut shell = shell.expect("weed can be run");
    if let Some(mut input) = shell.stdin.take() {
        // If it does not listen, it does not answer either.
        drop(writeln!(input, "s3.bucket.create -name {BUCKET}{options}"));
    }
    let output = shell.wait_with_output().expect("weed ends");
    String::from_utf8_lossy(&output.stdout).contains(&format!("created bucket {BUCKET}"))
}

impl Drop for SeaweedFs {
    fn drop(&mut self) {
        // Asked to end, it takes half a minute. Both fail only when the process is gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
