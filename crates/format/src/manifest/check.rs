//! What must hold between the records of a manifest.

use std::collections::HashSet;

use super::error::ManifestError;
use super::record::{FileRecord, FileRole};
use super::{FolderManifest, MANIFEST_FILE};
use crate::codec::Codec;
use crate::digest::Digest;
use crate::metadata::MAX_METADATA_BYTES;
use crate::segment::{MAX_SEGMENT_BYTES, SegmentRecord};

/// Checks every record by itself and all of them together.
pub(super) fn invariants(manifest: &FolderManifest) -> Result<(), ManifestError> {
    let mut paths = HashSet::new();
    let mut all = Totals::default();
    for file in &manifest.files {
        let refuse = |problem| ManifestError::Path {
            path: file.path.clone(),
            problem,
        };
        path(&file.path).map_err(refuse)?;
        if !paths.insert(file.path.as_str()) {
            return Err(refuse("is listed twice"));
        }
        if usize::try_from(file.run).is_ok_and(|run| run >= manifest.runs.len()) {
            return Err(ManifestError::Run {
                path: file.path.clone(),
                run: file.run,
                runs: manifest.runs.len(),
            });
        }
        content(file)?;
        all = all.plus(&Totals::of_file(file), &file.path)?;
    }
    Ok(())
}

/// Refuses a path that could lead out of the folder, or could be written in two ways.
fn path(path: &str) -> Result<(), &'static str> {
    if path == MANIFEST_FILE {
        return Err("is the manifest itself");
    }
    if path.contains(['\\', '\0']) {
        return Err("contains a backslash or a NUL");
    }
    // An absolute path starts with an empty name.
    for name in path.split('/') {
        match name {
            "" => return Err("has an empty name in it"),
            "." | ".." => return Err("has a `.` or `..` in it"),
            _ => {}
        }
    }
    Ok(())
}

fn content(file: &FileRecord) -> Result<(), ManifestError> {
    let refuse = |problem| {
        Err(ManifestError::Path {
            path: file.path.clone(),
            problem,
        })
    };
    let named = file
        .namespace
        .as_ref()
        .map(|namespace| !namespace.db.is_empty() && !namespace.collection.is_empty());
    match (file.kind, named) {
        (FileRole::Data | FileRole::Metadata, Some(true))
        | (FileRole::Prelude | FileRole::Oplog, None) => {}
        (FileRole::Data | FileRole::Metadata, _) => return refuse("has no namespace"),
        (FileRole::Prelude | FileRole::Oplog, Some(_)) => {
            return refuse("has a namespace, but is of no collection");
        }
    }
    if file.codec == Codec::None && file.uncompressed_bytes != file.stored_bytes {
        return refuse("is not compressed, but has another length uncompressed");
    }
    if !file.kind.has_documents() {
        if file.uncompressed_bytes.max(file.stored_bytes) > MAX_METADATA_BYTES {
            return refuse("is too long for what it should hold");
        }
        let documents = file.documents != 0 || !file.segments.is_empty();
        return if documents {
            refuse("has documents, but is no data")
        } else {
            Ok(())
        };
    }
    let recorded = Totals::of_file(file);
    let mut segments = Totals::default();
    for segment in &file.segments {
        if segment.uncompressed_bytes.max(segment.stored_bytes) > MAX_SEGMENT_BYTES {
            return refuse("has a segment that is too long");
        }
        segments = segments.plus(&Totals::of_segment(segment), &file.path)?;
    }
    let last = file.segments.last();
    if last.map_or_else(|| Digest::of(&[]), |last| last.sha256) != file.sha256 {
        return refuse("has another digest than its last segment");
    }
    let differing = recorded
        .0
        .into_iter()
        .zip(segments.0)
        .zip(Totals::WHAT)
        .find(|((file, sum), _)| file != sum);
    match differing {
        Some(((recorded, segments), what)) => Err(ManifestError::Totals {
            path: file.path.clone(),
            what,
            recorded,
            segments,
        }),
        None => Ok(()),
    }
}

/// Documents, uncompressed bytes and stored bytes.
#[derive(Default)]
struct Totals([u64; 3]);

impl Totals {
    const WHAT: [&str; 3] = ["documents", "uncompressed bytes", "stored bytes"];

    fn of_file(file: &FileRecord) -> Self {
        Self([file.documents, file.uncompressed_bytes, file.stored_bytes])
    }

    fn of_segment(segment: &SegmentRecord) -> Self {
        Self([
            segment.documents,
            segment.uncompressed_bytes,
            segment.stored_bytes,
        ])
    }

    fn plus(mut self, other: &Self, path: &str) -> Result<Self, ManifestError> {
        for ((sum, addend), what) in self.0.iter_mut().zip(other.0).zip(Self::WHAT) {
            *sum = sum
                .checked_add(addend)
                .ok_or_else(|| ManifestError::Overflow {
                    path: path.to_owned(),
                    what,
                })?;
        }
        Ok(self)
    }
}
