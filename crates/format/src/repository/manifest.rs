//! The root of a snapshot's manifest.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use super::keys::attempt_of;
use super::{READ_BY, RecordError, RecordFault, RepositoryId, SnapshotId, from_bytes, to_bytes};
use crate::codec::Codec;
use crate::frame::Frame;
use crate::manifest::{FormatVersion, RunRecord};
use crate::segment::{MAX_SEGMENT_BYTES, SegmentRecord};

/// The longest segment of a catalog or a part before compression, in bytes: several times what is written.
const MAX_DESCRIPTION_BYTES: u64 = 64 << 20;

/// What stands between the text that is authenticated and the code.
const BEFORE_CODE: &[u8] = b",\"authentication\":\"";

/// What a snapshot is made of, and how it came to be. What is in each data object, its parts say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SnapshotManifest {
    /// The version of this format.
    pub version: FormatVersion,
    /// The oldest release that reads it.
    pub read_by: String,
    /// The repository where it was made; it may have been carried to another one.
    pub repository: RepositoryId,
    /// The snapshot.
    pub id: SnapshotId,
    /// The run that finished it. Its bytes stored are those of the data objects.
    pub run: RunRecord,
    /// When each of the attempts before that began that did not finish: RFC 3339, UTC.
    pub earlier_attempts: Vec<String>,
    /// What it is marked with.
    pub tags: BTreeMap<String, String>,
    /// How the data objects are compressed.
    pub codec: Codec,
    /// How many namespaces the catalog has.
    pub namespaces: u64,
    /// How many data objects the snapshot is made of.
    pub objects: u64,
    /// Every namespace, as the server gave it: documents that are each a [`CatalogEntry`](super::CatalogEntry).
    pub catalog: StoredObject,
    /// The parts of the manifest, of two segments each: see [`Part`](super::Part).
    pub parts: Vec<StoredObject>,
    /// If the snapshot is encrypted: whether a part of the deployment was asked for; `private` has which one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_part: bool,
    /// If the snapshot is encrypted: what of the run is, a [`PrivateRun`](super::PrivateRun).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private: Option<String>,
    /// If the snapshot is encrypted: what proves that the text before it was written by who had the keys; see
    /// [`DataKeys::authenticate`](super::DataKeys::authenticate).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<String>,
}

/// An object of segments that can be checked each by itself. What is stored are zstd frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StoredObject {
    /// Where it is, relative to the folder of the snapshot.
    pub path: String,
    /// Its segments, contiguous from byte 0 to its end. The digest of each is that of its stored bytes alone.
    pub segments: Vec<SegmentRecord>,
}

impl StoredObject {
    /// An object of these segments.
    pub fn new(path: impl Into<String>, segments: Vec<SegmentRecord>) -> Self {
        let path = path.into();
        Self { path, segments }
    }

    /// Its size as stored, in bytes.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        let bytes = self.segments.iter().map(|segment| segment.stored_bytes);
        bytes.fold(0, u64::saturating_add)
    }

    /// Refuses a path that is not one of this kind, and segments that cannot be.
    fn check(&self, is_of_kind: impl Fn(&str) -> bool) -> Result<(), RecordFault> {
        let refuse = |problem| Err(RecordFault::contradiction(problem, &self.path));
        if !is_of_kind(&self.path) {
            return refuse("a path is not as the format says");
        }
        let mut segments = self.segments.iter();
        if segments.any(|segment| segment.uncompressed_bytes > MAX_DESCRIPTION_BYTES) {
            return refuse("a segment is longer than the format allows");
        }
        check_segments(&self.segments)
            .map_err(|problem| RecordFault::contradiction(problem, &self.path))
    }
}

/// What is wrong with segments, if anything is.
pub(super) fn check_segments(segments: &[SegmentRecord]) -> Result<(), &'static str> {
    let mut totals = [0_u64; 3];
    for segment in segments {
        if segment.stored_bytes.max(segment.uncompressed_bytes) > MAX_SEGMENT_BYTES {
            return Err("a segment is longer than the format allows");
        }
        let counts = [
            segment.documents,
            segment.uncompressed_bytes,
            segment.stored_bytes,
        ];
        for (total, count) in totals.iter_mut().zip(counts) {
            *total = total
                .checked_add(count)
                .ok_or("its segments have more than can be counted")?;
        }
    }
    Ok(())
}

/// Whether it is `<folder><attempt>-<number>.<extension>`, without a sign or a zero in front.
pub(super) fn is_numbered(path: &str, folder: &str, extensions: &[&str]) -> bool {
    let is_number = |text: &str| text.parse::<u32>().is_ok_and(|n| n.to_string() == text);
    let numbers = path.strip_prefix(folder).and_then(|file| {
        let (numbers, extension) = file.split_once('.')?;
        extensions.contains(&extension).then_some(numbers)
    });
    let numbers = numbers.and_then(|numbers| numbers.split_once('-'));
    numbers.is_some_and(|(attempt, number)| is_number(attempt) && is_number(number))
}

impl SnapshotManifest {
    /// A snapshot of nothing, written by one attempt.
    pub fn new(
        repository: RepositoryId,
        id: SnapshotId,
        run: RunRecord,
        catalog: StoredObject,
    ) -> Self {
        Self {
            version: FormatVersion::CURRENT,
            read_by: READ_BY.to_owned(),
            repository,
            id,
            run,
            earlier_attempts: Vec::new(),
            tags: BTreeMap::new(),
            codec: Codec::None,
            namespaces: 0,
            objects: 0,
            catalog,
            parts: Vec::new(),
            of_part: false,
            private: None,
            authentication: None,
        }
    }

    /// Whether the documents and all that says what they are is encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.authentication.is_some()
    }

    /// Whether a part of the deployment was asked for, and not all.
    #[must_use]
    pub fn is_of_part(&self) -> bool {
        self.of_part || self.run.part().is_some()
    }

    /// The attempt that wrote it.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        attempt_of(&self.catalog.path).unwrap_or_default()
    }

    /// What is to be authenticated: the text up to `authentication`.
    ///
    /// # Errors
    ///
    /// [`RecordError`] if it cannot be written.
    pub fn to_authenticate(&self) -> Result<Vec<u8>, RecordError> {
        let mut manifest = self.clone();
        manifest.authentication = None;
        let bytes = to_bytes(Frame::Manifest, self.version, &manifest)?;
        let value = bytes.get(Frame::Manifest.value_offset()..);
        let text = value.and_then(|value| value.strip_suffix(b"}}\n"));
        Ok(text.unwrap_or_default().to_vec())
    }

    /// What was authenticated of the bytes of an object, if it says so.
    #[must_use]
    pub fn authenticated(bytes: &[u8]) -> Option<&[u8]> {
        let value = Frame::Manifest.unwrap(bytes).ok()?;
        let mut lengths = 0..value.len();
        let is_end = |length: &usize| {
            value
                .get(*length..)
                .is_some_and(|rest| rest.starts_with(BEFORE_CODE))
        };
        value.get(..lengths.rfind(is_end)?)
    }

    /// The bytes of the object.
    ///
    /// # Errors
    ///
    /// [`RecordError`] when [`from_bytes`](Self::from_bytes) would refuse them.
    pub fn to_bytes(&self) -> Result<Vec<u8>, RecordError> {
        self.check()?;
        to_bytes(Frame::Manifest, self.version, self)
    }

    /// Reads the bytes of the object.
    ///
    /// # Errors
    ///
    /// [`RecordError`]: it was changed, is of a newer version, is something else, or contradicts itself.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let manifest: Self = from_bytes(Frame::Manifest, bytes)?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), RecordError> {
        let fail = |fault| RecordError::new(Frame::Manifest, fault);
        if self.private.is_some() != self.is_encrypted() {
            let problem = "only one half of it is encrypted";
            return Err(fail(RecordFault::contradiction(problem, self.id.as_str())));
        }
        let extension = match self.is_encrypted() {
            true => "bson.zst.enc",
            false => "bson.zst",
        };
        let is_catalog = |path: &str| is_numbered(path, "catalog/", &[extension]);
        let is_part = |path: &str| is_numbered(path, "parts/", &[extension]);
        self.catalog.check(is_catalog).map_err(fail)?;
        let mut paths = HashSet::new();
        for part in &self.parts {
            part.check(is_part).map_err(fail)?;
            let refuse = |problem| fail(RecordFault::contradiction(problem, &part.path));
            if !paths.insert(part.path.as_str()) {
                return Err(refuse("a part is listed twice"));
            }
            if part.segments.len() != 2 {
                return Err(refuse("a part has not two segments"));
            }
        }
        Ok(())
    }
}
