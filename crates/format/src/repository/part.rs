//! The parts of a snapshot's manifest.

use bson::{Binary, spec::BinarySubtype};
use serde::{Deserialize, Serialize};

use super::manifest::{check_segments, is_numbered};
use super::{ENCRYPTED_EXTENSION, IdRange, RecordError, RecordFault};
use crate::digest::Digest;
use crate::framing::documents;
use crate::namespace::Namespace;
use crate::segment::{Segment, SegmentRecord};

/// What one segment takes in the first segment of a part, in bytes: its stored size and digest.
const STORED_BYTES: usize = 40;
/// What it takes in the second, in bytes: how many documents, and their size.
const COUNTED_BYTES: usize = 16;
/// The longest that what is left of a namespace is written, in bytes.
const MAX_LEFT_BYTES: usize = 64 << 10;
/// The most segments of one data object.
const MAX_SEGMENTS: usize = 1 << 18;

/// A data object: a run of segments of one namespace.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DataObject {
    /// Where it is, relative to the folder of the snapshot.
    pub path: String,
    /// The namespace that the documents are under.
    pub namespace: Namespace,
    /// How often the namespace was begun before: of its objects only those count that its end names by this number.
    pub take: u32,
    /// Its segments, contiguous from byte 0 to its end. The digest of each is that of its stored bytes alone.
    pub segments: Vec<SegmentRecord>,
}

impl DataObject {
    /// An object without segments, of the first take.
    pub fn new(path: impl Into<String>, namespace: Namespace) -> Self {
        Self {
            path: path.into(),
            namespace,
            take: 0,
            segments: Vec::new(),
        }
    }

    /// Its size as stored, in bytes.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        let bytes = self.segments.iter().map(|segment| segment.stored_bytes);
        bytes.fold(0, u64::saturating_add)
    }
}

/// A namespace of which all documents are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamespaceEnd {
    /// The namespace that the documents are under.
    pub namespace: Namespace,
    /// Which of its objects count.
    pub take: u32,
    /// How many of these there are.
    pub objects: u64,
    /// How many documents they hold.
    pub documents: u64,
    /// Their size before compression, in bytes.
    pub uncompressed_bytes: u64,
    /// Their size as stored, in bytes.
    pub stored_bytes: u64,
    /// The collection, if the server told which one it was.
    pub uuid: Option<[u8; 16]>,
}

impl NamespaceEnd {
    /// The end of a namespace without documents, in its first take.
    pub fn new(namespace: Namespace) -> Self {
        Self {
            namespace,
            take: 0,
            objects: 0,
            documents: 0,
            uncompressed_bytes: 0,
            stored_bytes: 0,
            uuid: None,
        }
    }

    /// Counts one more object of the namespace.
    pub fn add(&mut self, object: &DataObject) {
        self.objects = self.objects.saturating_add(1);
        for segment in &object.segments {
            self.documents = self.documents.saturating_add(segment.documents);
            self.uncompressed_bytes = self
                .uncompressed_bytes
                .saturating_add(segment.uncompressed_bytes);
            self.stored_bytes = self.stored_bytes.saturating_add(segment.stored_bytes);
        }
    }
}

/// A namespace that is read in the order of `_id`, of which some documents are stored.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NamespaceProgress {
    /// What all its objects of this take hold so far.
    pub stored: NamespaceEnd,
    /// Which documents they do not hold: at least one range.
    pub left: Vec<IdRange>,
}

impl NamespaceProgress {
    /// What is stored, and what is left.
    pub fn new(stored: NamespaceEnd, left: Vec<IdRange>) -> Self {
        Self { stored, left }
    }

    /// Whether it is short enough to be written, as it is unless `_id` is long.
    fn is_short(&self) -> bool {
        let bounds = self.left.iter().flat_map(|range| [&range.min, &range.max]);
        let bytes = bounds.flatten().map(|bound| bound.as_bytes().len());
        bytes.fold(0, usize::saturating_add) <= MAX_LEFT_BYTES
    }
}

/// What is stored of one data object: where, and the size and digest of each of its segments.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StoredSegments {
    /// Where it is, relative to the folder of the snapshot.
    pub path: String,
    /// Stored size in bytes, and digest, of each segment.
    pub segments: Vec<(u64, Digest)>,
}

/// The first segment of a part: what there is, without a word of what it is.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct PartIndex {
    /// The data objects.
    pub objects: Vec<StoredSegments>,
}

/// A part of a manifest: data objects, and namespaces of which all documents are stored.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Part {
    /// The data objects.
    pub objects: Vec<DataObject>,
    /// The namespaces that end.
    pub ends: Vec<NamespaceEnd>,
    /// The namespaces that can be gone on with: of no meaning once the snapshot has finished.
    pub progress: Vec<NamespaceProgress>,
}

/// Gathers a part, as the documents of its two segments.
#[derive(Debug, Default)]
pub struct PartBuilder {
    index: Segment,
    details: Segment,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IndexDocument {
    object: String,
    stored: Binary,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ObjectDocument {
    ns: Namespace,
    take: u32,
    counts: Binary,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndDocument {
    ns: Namespace,
    take: u32,
    objects: u64,
    documents: u64,
    uncompressed: u64,
    stored: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uuid: Option<bson::Uuid>,
    /// What is left to read, if it is no end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    left: Vec<IdRange>,
}

/// One document of the second segment.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Detail {
    Object(ObjectDocument),
    End(EndDocument),
}

impl PartBuilder {
    /// Adds a data object.
    ///
    /// # Errors
    ///
    /// [`RecordError`] if [`Part::read`] would refuse it.
    pub fn push_object(&mut self, object: &DataObject) -> Result<(), RecordError> {
        let refuse =
            |problem| RecordError::part(RecordFault::contradiction(problem, object.path.clone()));
        check_path(&object.path).map_err(refuse)?;
        if object.segments.is_empty() || object.segments.len() > MAX_SEGMENTS {
            return Err(refuse("a data object has no segments, or too many"));
        }
        check_segments(&object.segments).map_err(refuse)?;
        let (mut stored, mut counts) = (Vec::new(), Vec::new());
        for segment in &object.segments {
            stored.extend_from_slice(&segment.stored_bytes.to_le_bytes());
            stored.extend_from_slice(&segment.sha256.0);
            counts.extend_from_slice(&segment.documents.to_le_bytes());
            counts.extend_from_slice(&segment.uncompressed_bytes.to_le_bytes());
        }
        push(
            &mut self.index,
            &IndexDocument {
                object: object.path.clone(),
                stored: generic(stored),
            },
        )?;
        push(
            &mut self.details,
            &Detail::Object(ObjectDocument {
                ns: object.namespace.clone(),
                take: object.take,
                counts: generic(counts),
            }),
        )
    }

    /// Adds a namespace of which all documents are stored.
    ///
    /// # Errors
    ///
    /// [`RecordError`] if there are more than can be counted.
    pub fn push_end(&mut self, end: &NamespaceEnd) -> Result<(), RecordError> {
        push(&mut self.details, &Detail::End(end_document(end, &[])))
    }

    /// Adds how far a namespace is read, unless its `_id` are too long for that.
    ///
    /// # Errors
    ///
    /// [`RecordError`] if there is more than can be counted.
    pub fn push_progress(&mut self, progress: &NamespaceProgress) -> Result<(), RecordError> {
        if !progress.is_short() {
            return Ok(());
        }
        let document = end_document(&progress.stored, &progress.left);
        push(&mut self.details, &Detail::End(document))
    }

    /// How long both segments are, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let bytes = self.index.body.len();
        bytes.saturating_add(self.details.body.len())
    }

    /// The two segments.
    #[must_use]
    pub fn finish(self) -> [Segment; 2] {
        [self.index, self.details]
    }
}

impl PartIndex {
    /// Reads the first segment of a part.
    ///
    /// # Errors
    ///
    /// [`RecordError`] for anything that a [`PartBuilder`] does not write.
    pub fn read(index: &[u8]) -> Result<Self, RecordError> {
        let mut objects = Vec::new();
        each(index, |document: IndexDocument| {
            check_path(&document.object)?;
            let stored = chunks::<STORED_BYTES>(&document.stored)?;
            let segments = stored.iter().map(|chunk| {
                let digest = chunk.last_chunk().copied().unwrap_or_default();
                (number(chunk.first_chunk()), Digest(digest))
            });
            objects.push(StoredSegments {
                path: document.object,
                segments: segments.collect(),
            });
            Ok(())
        })?;
        Ok(Self { objects })
    }
}

impl Part {
    /// Reads the two segments of a part.
    ///
    /// # Errors
    ///
    /// [`RecordError`] for anything that a [`PartBuilder`] does not write.
    pub fn read(index: &[u8], details: &[u8]) -> Result<Self, RecordError> {
        let mut stored = PartIndex::read(index)?.objects.into_iter();
        let mut part = Self::default();
        each(details, |document: Detail| {
            match document {
                Detail::Object(document) => {
                    let stored = stored.next().ok_or("there are more objects than stored")?;
                    part.objects.push(object(stored, document)?);
                }
                Detail::End(document) => {
                    let (end, left) = end(document);
                    let progress = NamespaceProgress::new(end, left);
                    if !progress.is_short() {
                        return Err("what is left of a namespace is longer than it may be".into());
                    }
                    match progress.left.is_empty() {
                        true => part.ends.push(progress.stored),
                        false => part.progress.push(progress),
                    }
                }
            }
            Ok(())
        })?;
        match stored.next() {
            None => Ok(part),
            Some(unnamed) => Err(RecordError::part(RecordFault::contradiction(
                "a data object is of no namespace",
                unnamed.path,
            ))),
        }
    }
}

fn object(stored: StoredSegments, document: ObjectDocument) -> Result<DataObject, Failure> {
    let counts = chunks::<COUNTED_BYTES>(&document.counts)?;
    if counts.len() != stored.segments.len() {
        return Err("an object has other segments than are stored".into());
    }
    let segments = counts.iter().zip(stored.segments);
    let segments = segments.map(|(counts, (stored_bytes, sha256))| SegmentRecord {
        documents: number(counts.first_chunk()),
        uncompressed_bytes: number(counts.last_chunk()),
        stored_bytes,
        sha256,
    });
    let segments: Vec<_> = segments.collect();
    check_segments(&segments)?;
    Ok(DataObject {
        path: stored.path,
        namespace: document.ns,
        take: document.take,
        segments,
    })
}

fn end_document(end: &NamespaceEnd, left: &[IdRange]) -> EndDocument {
    EndDocument {
        ns: end.namespace.clone(),
        take: end.take,
        objects: end.objects,
        documents: end.documents,
        uncompressed: end.uncompressed_bytes,
        stored: end.stored_bytes,
        uuid: end.uuid.map(bson::Uuid::from_bytes),
        left: left.to_vec(),
    }
}

fn end(document: EndDocument) -> (NamespaceEnd, Vec<IdRange>) {
    let end = NamespaceEnd {
        namespace: document.ns,
        take: document.take,
        objects: document.objects,
        documents: document.documents,
        uncompressed_bytes: document.uncompressed,
        stored_bytes: document.stored,
        uuid: document.uuid.map(|uuid| uuid.bytes()),
    };
    (end, document.left)
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn check_path(path: &str) -> Result<(), &'static str> {
    let plain = path.strip_suffix(ENCRYPTED_EXTENSION).unwrap_or(path);
    match is_numbered(plain, "data/", &["bson", "bson.gz", "bson.zst"]) {
        true => Ok(()),
        false => Err("a path is not as the format says"),
    }
}

fn generic(bytes: Vec<u8>) -> Binary {
    Binary {
        subtype: BinarySubtype::Generic,
        bytes,
    }
}

/// The pieces of equal length that a binary value is made of.
fn chunks<const N: usize>(binary: &Binary) -> Result<&[[u8; N]], Failure> {
    match binary.bytes.as_chunks() {
        (chunks, []) if !chunks.is_empty() && chunks.len() <= MAX_SEGMENTS => Ok(chunks),
        _ => Err("the list of its segments has an impossible length".into()),
    }
}

fn number(bytes: Option<&[u8; 8]>) -> u64 {
    u64::from_le_bytes(bytes.copied().unwrap_or_default())
}

/// Adds a document to a segment.
fn push(segment: &mut Segment, document: &impl Serialize) -> Result<(), RecordError> {
    let number = segment.documents;
    let document = bson::serialize_to_vec(document).map_err(|source| {
        let source = source.into();
        RecordError::part(RecordFault::Document { number, source })
    })?;
    segment.body.extend_from_slice(&document);
    segment.documents = segment.documents.saturating_add(1);
    Ok(())
}

/// Reads the documents of a segment.
fn each<T: serde::de::DeserializeOwned>(
    body: &[u8],
    mut take: impl FnMut(T) -> Result<(), Failure>,
) -> Result<(), RecordError> {
    for (number, document) in (0..).zip(documents(body)) {
        let read = document.map_err(Failure::from).and_then(|document| {
            crate::validate::validate(document)?;
            take(bson::deserialize_from_slice(document)?)
        });
        read.map_err(|source| RecordError::part(RecordFault::Document { number, source }))?;
    }
    Ok(())
}
