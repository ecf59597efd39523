//! The records of a manifest: what was run, and which files it wrote.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::codec::Codec;
use crate::digest::Digest;
use crate::namespace::Namespace;
use crate::segment::SegmentRecord;

/// One run of a dump.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RunRecord {
    /// When the run started: RFC 3339, UTC.
    pub started_at: String,
    /// When the last file was complete: RFC 3339, UTC.
    pub finished_at: String,
    /// The version of the tool.
    pub tool_version: String,
    /// What was dumped.
    pub source: SourceRecord,
    /// The options of the run, as data.
    pub options: Value,
    /// How far the namespaces agree on a moment: `snapshot`, `oplog` or `none`.
    pub consistency: String,
    /// The moment that a restore which replays the oplog brings everything to, `seconds:ordinal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistent_at: Option<String>,
    /// Number of documents dumped.
    pub documents: u64,
    /// Their length, in bytes.
    pub uncompressed_bytes: u64,
    /// Length of all files written, in bytes.
    pub stored_bytes: u64,
    /// What went wrong without stopping the run, one line each.
    pub problems: Vec<String>,
}

impl RunRecord {
    /// A run of `tool_version` over `source`, from `started_at` to `finished_at`, that dumped
    /// nothing yet.
    pub fn new(
        source: SourceRecord,
        tool_version: impl Into<String>,
        started_at: impl Into<String>,
        finished_at: impl Into<String>,
    ) -> Self {
        Self {
            started_at: started_at.into(),
            finished_at: finished_at.into(),
            tool_version: tool_version.into(),
            source,
            options: Value::Null,
            consistency: "none".to_owned(),
            consistent_at: None,
            documents: 0,
            uncompressed_bytes: 0,
            stored_bytes: 0,
            problems: Vec::new(),
        }
    }

    /// Which part of a deployment was asked for, by the options that say so; `None` if all.
    #[must_use]
    pub fn part(&self) -> Option<String> {
        let parts = OF_PART.iter().filter_map(|name| {
            let value = self.options.get(name)?;
            let is_all = match value {
                Value::Null | Value::Bool(false) => true,
                Value::Array(names) => names.is_empty(),
                Value::Object(patterns) => {
                    patterns.values().all(|it| it == &Value::Array(Vec::new()))
                }
                _ => false,
            };
            (!is_all).then(|| format!("{name} {value}"))
        });
        let parts: Vec<_> = parts.collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

/// The options of a dump that say which part of a deployment it is of.
const OF_PART: [&str; 7] = [
    "db",
    "collection",
    "query",
    "select",
    "exclude-collections",
    "exclude-collections-with-prefix",
    "views-as-collections",
];

/// The deployment that was dumped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SourceRecord {
    /// The hosts connected to, `name:port`, without credentials.
    pub hosts: Vec<String>,
    /// The version of the server.
    pub server_version: String,
    /// What kind of deployment it is, such as `replica-set`.
    pub topology: String,
    /// The name of the replica set, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_name: Option<String>,
}

impl SourceRecord {
    /// A deployment without a set name.
    pub fn new(
        hosts: Vec<String>,
        server_version: impl Into<String>,
        topology: impl Into<String>,
    ) -> Self {
        Self {
            hosts,
            server_version: server_version.into(),
            topology: topology.into(),
            set_name: None,
        }
    }

    /// Whether both are of one deployment, as far as they tell: sets of different ones may have one name, and members come and go.
    #[must_use]
    pub fn is_of_same_deployment(&self, other: &Self) -> bool {
        let has_same_host = || self.hosts.iter().any(|host| other.hosts.contains(host));
        self.set_name == other.set_name && (self.hosts == other.hosts || has_same_host())
    }
}

/// What a file of the dump is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FileRole {
    /// The documents of a namespace.
    Data,
    /// The options and indexes of a namespace.
    Metadata,
    /// The versions of server and tool.
    Prelude,
    /// The entries of the oplog from before the first document was read to after the last.
    Oplog,
}

impl FileRole {
    /// Whether files for it are documents, in segments.
    #[must_use]
    pub fn has_documents(self) -> bool {
        matches!(self, Self::Data | Self::Oplog)
    }
}

/// One file of the dump.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FileRecord {
    /// Where the file is, relative to the folder, names separated by `/`.
    pub path: String,
    /// What it is for.
    pub kind: FileRole,
    /// Whose it is, for data and metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// The run that wrote it, counted from 0 in
    /// [`FolderManifest::runs`](super::FolderManifest::runs).
    pub run: u32,
    /// How it is compressed.
    pub codec: Codec,
    /// Number of documents, or of entries of the oplog; 0 for anything else.
    pub documents: u64,
    /// Length of the content before compression, in bytes.
    pub uncompressed_bytes: u64,
    /// Length of the file, in bytes.
    pub stored_bytes: u64,
    /// Digest of the whole file, as `sha256sum` prints it.
    pub sha256: Digest,
    /// The segments of data and oplog, in the order of the file, contiguous from byte 0 to its end; empty for
    /// anything else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<SegmentRecord>,
}

impl FileRecord {
    /// A plain file of run 0 with nothing in it.
    pub fn new(path: impl Into<String>, kind: FileRole, sha256: Digest) -> Self {
        Self {
            path: path.into(),
            kind,
            namespace: None,
            run: 0,
            codec: Codec::None,
            documents: 0,
            uncompressed_bytes: 0,
            stored_bytes: 0,
            sha256,
            segments: Vec::new(),
        }
    }
}
