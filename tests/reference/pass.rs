//! A dump and its restore, by the programs themselves.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use bson::{RawDocumentBuf, Timestamp};
use rdump_format::{ArchiveDecoder, ArchiveEvent, Codec, decoder, documents};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{ChildStdin, ChildStdout, Command},
};

use super::cell::{Cell, Medium};

/// A dump from one connection string and its restore to another.
pub(super) struct Pass {
    cell: Cell,
    dumps: PathBuf,
    restores: PathBuf,
    from: String,
    to: String,
    dump_flags: Vec<String>,
    restore_flags: Vec<String>,
    db: Option<String>,
}

/// What a pass has left.
pub(super) struct Dumped {
    medium: Medium,
    /// The folder or the archive, but of a pipe.
    path: PathBuf,
    /// What went through the pipe.
    piped: Vec<u8>,
    _folder: TempDir,
}

impl Cell {
    /// Prepares a pass; nothing is done yet but that the programs are built.
    pub(super) async fn pass(self, from: impl Into<String>, to: impl Into<String>) -> Pass {
        Pass {
            cell: self,
            dumps: self.way.dumps().await,
            restores: self.way.restores().await,
            from: from.into(),
            to: to.into(),
            dump_flags: Vec::new(),
            restore_flags: Vec::new(),
            db: None,
        }
    }
}

impl Pass {
    /// Adds a flag of the dump.
    pub(super) fn dump(mut self, flag: &str) -> Self {
        self.dump_flags.push(flag.to_owned());
        self
    }

    /// Adds a flag of the restore.
    pub(super) fn restore(mut self, flag: &str) -> Self {
        self.restore_flags.push(flag.to_owned());
        self
    }

    /// Dumps and restores one database only.
    pub(super) fn db(mut self, db: &str) -> Self {
        self.db = Some(db.to_owned());
        self
    }

    /// Dumps and restores; panics, with what the tool said, unless both succeed and every document is restored.
    pub(super) async fn run(self) -> Dumped {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("dump");
        let (dump, restore) = (self.command_to_dump(&path), self.command_to_restore(&path));
        let (dumped, restored, piped) = if self.cell.medium == Medium::Pipe {
            piped(dump, restore).await
        } else {
            let dumped = output(dump).await;
            self.assert_success("the dump", &dumped);
            (dumped, output(restore).await, Vec::new())
        };
        // If the restore stops early the dump cannot but fail.
        self.assert_success("the restore", &restored);
        self.assert_success("the dump", &dumped);
        let said = String::from_utf8_lossy(&restored.stderr);
        assert!(
            said.contains(" 0 document(s) failed to restore."),
            "{}: {said}",
            self.cell
        );
        Dumped {
            medium: self.cell.medium,
            path,
            piped,
            _folder: folder,
        }
    }

    fn command_to_dump(&self, path: &Path) -> Command {
        let mut command = command(&self.dumps);
        command.args(["--uri", &self.from]).args(&self.dump_flags);
        if let Some(db) = &self.db {
            command.args(["--db", db]);
        }
        self.add_place(&mut command, "--out", path);
        command
    }

    fn command_to_restore(&self, path: &Path) -> Command {
        let mut command = command(&self.restores);
        command.args(["--uri", &self.to]).args(&self.restore_flags);
        if !self.cell.way.is_to_mongorestore() {
            command.arg("--strict");
        }
        if let Some(db) = &self.db {
            command.args(["--db", db]);
        }
        match &self.db {
            Some(db) if self.cell.medium.is_folder() => {
                self.add_place(&mut command, "--dir", &path.join(db));
            }
            _ => self.add_place(&mut command, "--dir", path),
        }
        command
    }

    /// Says where the dump is, `folder_flag` being that of a folder, and how it is compressed.
    fn add_place(&self, command: &mut Command, folder_flag: &str, path: &Path) {
        match self.cell.medium {
            Medium::Folder | Medium::FolderGzip => command.arg(folder_flag).arg(path),
            Medium::Archive | Medium::ArchiveGzip => {
                command.arg(format!("--archive={}", path.display()))
            }
            Medium::Pipe => command.arg("--archive"),
        };
        if self.cell.medium.is_gzip() {
            command.arg("--gzip");
        }
    }

    fn assert_success(&self, what: &str, output: &Output) {
        assert!(
            output.status.success(),
            "{}: {what} ended with {}:\n{}",
            self.cell,
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_remove("RDUMP_URI")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn output(mut command: Command) -> Output {
    let child = command.spawn().unwrap();
    child.wait_with_output().await.unwrap()
}

/// Runs both at once, with what the one writes for the other to read.
async fn piped(mut dump: Command, mut restore: Command) -> (Output, Output, Vec<u8>) {
    let mut dump = dump.stdout(Stdio::piped()).spawn().unwrap();
    let mut restore = restore.stdin(Stdio::piped()).spawn().unwrap();
    let (read, write) = (dump.stdout.take().unwrap(), restore.stdin.take().unwrap());
    let (piped, dumped, restored) = tokio::join!(
        carry(read, write),
        dump.wait_with_output(),
        restore.wait_with_output()
    );
    (dumped.unwrap(), restored.unwrap(), piped)
}

/// Passes everything on, until one end is closed, and keeps it.
async fn carry(mut read: ChildStdout, mut write: ChildStdin) -> Vec<u8> {
    let (mut kept, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let bytes = read.read(&mut buffer).await.unwrap();
        if bytes == 0 || write.write_all(&buffer[..bytes]).await.is_err() {
            return kept;
        }
        kept.extend_from_slice(&buffer[..bytes]);
    }
}

impl Dumped {
    /// The entries of its oplog.
    pub(super) fn oplog(&self) -> Vec<RawDocumentBuf> {
        if !self.medium.is_folder() {
            return oplog_of_archive(&self.archive());
        }
        let names = ["oplog.bson", "oplog.bson.gz"].map(|name| self.path.join(name));
        let name = names.iter().find(|name| name.exists()).unwrap();
        let bytes = self.uncompressed(fs::read(name).unwrap());
        entries(&bytes).collect()
    }

    fn archive(&self) -> Vec<u8> {
        match self.medium {
            Medium::Pipe => self.piped.clone(),
            _ => self.uncompressed(fs::read(&self.path).unwrap()),
        }
    }

    fn uncompressed(&self, stored: Vec<u8>) -> Vec<u8> {
        let codec = match self.medium.is_gzip() {
            true => Codec::Gzip,
            false => Codec::None,
        };
        let mut bytes = Vec::new();
        let mut reader = decoder(codec, stored.as_slice()).unwrap();
        reader.read_to_end(&mut bytes).unwrap();
        bytes
    }
}

fn oplog_of_archive(archive: &[u8]) -> Vec<RawDocumentBuf> {
    let (mut decoder, mut piece) = (ArchiveDecoder::new(), archive);
    let (mut is_oplog, mut oplog) = (false, Vec::new());
    while let Some(event) = decoder.decode(&mut piece).unwrap() {
        match event {
            ArchiveEvent::Block { namespace, .. } => is_oplog = namespace.is_oplog(),
            ArchiveEvent::Documents { bytes, .. } if is_oplog => oplog.extend(entries(bytes)),
            _ => {}
        }
    }
    decoder.finish().unwrap();
    oplog
}

fn entries(bytes: &[u8]) -> impl Iterator<Item = RawDocumentBuf> {
    documents(bytes).map(|entry| RawDocumentBuf::from_bytes(entry.unwrap().to_vec()).unwrap())
}

/// The moment of an entry.
pub(super) fn moment(entry: &RawDocumentBuf) -> Timestamp {
    entry.get_timestamp("ts").unwrap()
}
