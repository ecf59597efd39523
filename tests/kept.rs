//! Dumps that mongodump wrote, kept in `testdata/reference/data-sets` with what they hold.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use rdump::{RestoreOptions, RestoreReport};
use rdump_testkit::{Dataset, Deployment, Fingerprint, FingerprintOptions, ServerVersion, dataset};

use crate::{restore, restore_archive};

/// A folder or an archive. Users and roles are in each, and an oplog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "these are all that there are")]
pub enum Kept {
    /// A folder.
    Folder,
    /// A folder of gzip files, with odd names.
    FolderGzip,
    /// An archive.
    Archive,
    /// An archive in gzip, with odd names.
    ArchiveGzip,
}

impl Kept {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Folder,
        Self::FolderGzip,
        Self::Archive,
        Self::ArchiveGzip,
    ];

    /// The server that all were dumped from: what it holds looks different on others.
    pub const SERVER: ServerVersion = ServerVersion::V6_0_5;

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Folder => "folder",
            Self::FolderGzip => "folder-gzip",
            Self::Archive => "all.archive",
            Self::ArchiveGzip => "all.archive.gz",
        }
    }

    /// Whether it is a folder.
    pub fn is_folder(self) -> bool {
        matches!(self, Self::Folder | Self::FolderGzip)
    }

    /// Whether mongodump compressed it.
    pub fn is_gzip(self) -> bool {
        matches!(self, Self::FolderGzip | Self::ArchiveGzip)
    }

    /// What the source was filled with: of everything little.
    pub fn data_sets(self) -> Vec<Dataset> {
        let mut all = vec![
            dataset::orders(20),
            dataset::every_bson_type(),
            dataset::empty_collections(),
            dataset::views(),
            dataset::clustered(),
            dataset::time_series(),
            dataset::collations(),
            dataset::validators(),
            dataset::indexes(),
            dataset::options(),
            dataset::ids_of_every_type(60),
            dataset::users_and_roles(),
        ];
        if self.is_gzip() {
            all.extend([dataset::odd_names(), dataset::capped(), dataset::gridfs()]);
        }
        all
    }

    /// Where it is kept, below `folder`.
    pub fn path(self, folder: &Path) -> PathBuf {
        folder.join(self.name())
    }

    /// The file with what it holds once its oplog is replayed.
    pub fn print_path(self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.txt", self.name()))
    }

    /// Restores what is kept below `folder`, and replays its oplog.
    pub async fn restore(self, folder: &Path, to: &Deployment) -> RestoreReport {
        let path = self.path(folder);
        // Some data sets hold documents that violate their collection's validator.
        let options = RestoreOptions::default()
            .bypass_document_validation(true)
            .oplog_replay(true);
        match self.is_folder() {
            true => restore(&path, to, options).await,
            false => restore_archive(&path, to, options).await,
        }
    }
}

/// Where they are kept.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/reference/data-sets")
}

/// What a deployment holds, as text, with users and roles.
pub async fn print(of: &Deployment) -> String {
    let options = FingerprintOptions::new().ignore_index_version(true);
    let all = Fingerprint::of(&of.client(), &options).await;
    let admin = Fingerprint::of(&of.client(), &options.databases(["admin"])).await;
    let users = ["system.users", "system.roles"];
    let users = admin.retain(|_, collection| users.contains(&collection));
    format!("{users}{all}")
}

/// Panics with the lines that are not in both.
pub fn assert_same(kept: Kept, expected: &str, found: &str) {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (before, after) = (lines(expected), lines(found));
    let missing = before.difference(&after).map(|line| format!("- {line}\n"));
    let more = after.difference(&before).map(|line| format!("+ {line}\n"));
    let different: String = missing.chain(more).collect();
    assert!(expected == found, "{}:\n{different}", kept.name());
}

/// What is written down of what one of them holds.
pub fn expected(kept: Kept, folder: &Path) -> String {
    let path = kept.print_path(folder);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
