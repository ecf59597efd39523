//! A slice of the oplog: what was written in a span of time, in one object.
//!
//! ```text
//! 52 2a 4d 18  <length>  {"sha256":"…","slice":{…}}\n      what it is of, and what it follows: a SliceHeader
//! <segments>                                              the entries, as in a data object
//! 52 2a 4d 18  <length>  {"sha256":"…","end":{…}}\n        where it ends, and what is in it: a SliceFooter
//! ```
//!
//! Both records are [skippable frames](https://github.com/facebook/zstd/blob/dev/doc/zstd_compression_format.md#skippable-frames) of zstd, so that `zstd -d` of a slice
//! that is not encrypted gives the entries. See `docs/format.md`, *Timeline*.

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a panic in a test is a failed test"
)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    READ_BY, RecordError, RecordFault, RepositoryId, SnapshotId, SpanKind, SpanName, TimelineId,
    from_bytes, to_bytes,
};
use crate::frame::Frame;
use crate::manifest::{FormatVersion, SourceRecord};
use crate::select::Selector;
use crate::{Digest, Digester, OpTime, SegmentRecord};

/// What a skippable frame begins with.
const SKIPPABLE: [u8; 4] = 0x184d_2a52_u32.to_le_bytes();

/// Where entries come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SliceSource {
    /// The oplog: entries as the server has them.
    Oplog,
    /// A change stream: entries as an oplog would have them, made of its events.
    ChangeStream,
}

/// What a change stream does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Unseen {
    /// What is written to time-series collections.
    TimeSeries,
    /// Users, roles, functions and what else is in `admin` and `system.*`.
    System,
    /// What is created and how it is defined: that was looked up, and entries about it are of the end of a slice after it was done.
    Definitions,
    /// What an update changed: the document was looked up, and may have been that of a later moment already.
    Updates,
}

/// What tells an entry of the oplog from any other, of the same moment in another history too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct EntryMark {
    /// When it was written.
    pub at: OpTime,
    /// The term of the primary that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<i64>,
    /// The digest of the whole entry.
    pub sha256: Digest,
}

impl EntryMark {
    /// The mark of an entry.
    #[must_use]
    pub fn new(at: OpTime, term: Option<i64>, sha256: Digest) -> Self {
        Self { at, term, sha256 }
    }
}

/// What a slice or a gap follows: an object of the same timeline, or a gap that ended another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Previous {
    /// Where it is.
    pub path: String,
    /// The digest of all its bytes.
    pub sha256: Digest,
}

impl Previous {
    /// The object at a path, which is these bytes.
    #[must_use]
    pub fn new(path: impl Into<String>, bytes: &[u8]) -> Self {
        Self {
            path: path.into(),
            sha256: Digest::of(bytes),
        }
    }
}

/// What a slice is of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SliceHeader {
    /// The version of this format.
    pub version: FormatVersion,
    /// The oldest release that reads it.
    pub read_by: String,
    /// The repository that it is in.
    pub repository: RepositoryId,
    /// The history that it is of.
    pub timeline: TimelineId,
    /// The run of the capture that wrote it; the name of its key if the slice is encrypted.
    pub capture: SnapshotId,
    /// Where its entries come from.
    pub from: SliceSource,
    /// What they do not tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<Unseen>,
    /// The deployment.
    pub source: SourceRecord,
    /// Of a change stream, the term of the primary when it was opened, as far as it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<i64>,
    /// The moment that it comes after.
    pub start: OpTime,
    /// What ends there, unless this is the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
    /// Which namespaces are captured.
    pub select: Selector,
    /// Whether its segments are encrypted.
    pub encrypted: bool,
    /// How long its segments are, in bytes.
    pub stored_bytes: u64,
}

impl SliceHeader {
    /// The header of a slice without entries of everything, that follows nothing.
    pub fn new(
        repository: RepositoryId,
        timeline: TimelineId,
        capture: SnapshotId,
        source: SourceRecord,
        start: OpTime,
    ) -> Self {
        Self {
            version: FormatVersion::CURRENT,
            read_by: READ_BY.to_owned(),
            repository,
            timeline,
            capture,
            from: SliceSource::Oplog,
            unseen: Vec::new(),
            term: None,
            source,
            start,
            previous: None,
            select: Selector::default(),
            encrypted: false,
            stored_bytes: 0,
        }
    }
}

/// Where a slice ends, and what is in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SliceFooter {
    /// Its last moment.
    pub end: OpTime,
    /// What the source has of that moment: an entry of the oplog, whether it is stored or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<EntryMark>,
    /// From where a change stream goes on: the text of the resume token as canonical Extended JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<String>,
    /// Of a change stream, the last moment that it had told of, where the end is a later one: that of definitions that were looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_until: Option<OpTime>,
    /// When it was written, by the clock of whoever did: RFC 3339, UTC.
    pub written_at: String,
    /// How many entries are stored.
    pub entries: u64,
    /// Their length, in bytes.
    pub uncompressed_bytes: u64,
    /// Whether there is one that changes what exists or how it is defined.
    pub definitions: bool,
    /// When the oldest transaction began that is neither committed nor aborted at the end, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_since: Option<OpTime>,
    /// The namespaces that were written to, and how often, unless they are too many or the slice is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<BTreeMap<String, u64>>,
    /// The segments.
    pub segments: Vec<SegmentRecord>,
    /// Of an encrypted slice: a code that only who has its key can make, over [`OplogSlice::to_authenticate`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<String>,
}

impl SliceFooter {
    /// The footer of a slice without entries.
    pub fn new(end: OpTime, written_at: impl Into<String>) -> Self {
        Self {
            end,
            last: None,
            resume: None,
            told_until: None,
            written_at: written_at.into(),
            entries: 0,
            uncompressed_bytes: 0,
            definitions: false,
            open_since: None,
            namespaces: None,
            segments: Vec::new(),
            authentication: None,
        }
    }
}

/// A slice that is read.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OplogSlice<'a> {
    /// What it is of.
    pub header: SliceHeader,
    /// What is in it.
    pub footer: SliceFooter,
    stored: &'a [u8],
}

impl<'a> OplogSlice<'a> {
    /// The bytes of the object; `stored` are its segments, which the footer describes.
    ///
    /// # Errors
    ///
    /// [`RecordError`] when [`read`](Self::read) would refuse them.
    pub fn write(
        header: &SliceHeader,
        footer: &SliceFooter,
        stored: &[u8],
    ) -> Result<Vec<u8>, RecordError> {
        let mut bytes = Vec::new();
        let record = to_bytes(Frame::Slice, header.version, header)?;
        push_skippable(Frame::Slice, &record, &mut bytes)?;
        bytes.extend_from_slice(stored);
        let record = to_bytes(Frame::SliceEnd, header.version, footer)?;
        push_skippable(Frame::SliceEnd, &record, &mut bytes)?;
        OplogSlice::read(&bytes)?;
        Ok(bytes)
    }

    /// Reads the bytes of the object, and compares the length and the digest of every segment.
    ///
    /// # Errors
    ///
    /// [`RecordError`]: it was changed, is of a newer version, or is something else.
    pub fn read(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let (record, rest) = skippable(Frame::Slice, bytes)?;
        let header: SliceHeader = from_bytes(Frame::Slice, record)?;
        let length = usize::try_from(header.stored_bytes).unwrap_or(usize::MAX);
        let cut = || contradiction("it is cut short", format!("{length} bytes of segments"));
        let (stored, rest) = rest.split_at_checked(length).ok_or_else(cut)?;
        let (record, rest) = skippable(Frame::SliceEnd, rest)?;
        if !rest.is_empty() {
            let about = format!("{} bytes", rest.len());
            return Err(contradiction("there is more after its end", about));
        }
        let footer: SliceFooter = end_from_bytes(record)?;
        let slice = Self {
            header,
            footer,
            stored,
        };
        slice.check()?;
        Ok(slice)
    }

    fn check(&self) -> Result<(), RecordError> {
        let (header, footer) = (&self.header, &self.footer);
        if footer.end <= header.start {
            let about = format!("{} after {}", footer.end, header.start);
            return Err(contradiction("it ends before it begins", about));
        }
        if let Some(last) = &footer.last
            && last.at != footer.end
        {
            let about = format!("{} and {}", last.at, footer.end);
            return Err(contradiction("its last entry is of another moment", about));
        }
        let (mut entries, mut bytes, mut rest) = (0_u64, 0_u64, self.stored);
        for (number, segment) in footer.segments.iter().enumerate() {
            let length = usize::try_from(segment.stored_bytes).unwrap_or(usize::MAX);
            let about = || format!("segment {number}");
            let (stored, after) = rest
                .split_at_checked(length)
                .ok_or_else(|| contradiction("it is cut short", about()))?;
            let checked = segment.check_stored(stored, &mut Digester::new());
            checked.map_err(|fault| {
                contradiction("it was changed", format!("{}: {fault}", about()))
            })?;
            entries = entries.saturating_add(segment.documents);
            bytes = bytes.saturating_add(segment.uncompressed_bytes);
            rest = after;
        }
        let counted = (entries, bytes, rest.len());
        match counted == (footer.entries, footer.uncompressed_bytes, 0) {
            true => Ok(()),
            false => Err(contradiction(
                "its segments are not what it counts",
                format!("{entries} entries of {bytes} bytes"),
            )),
        }
    }

    /// What the code of an encrypted slice is over: all that both records say but the code itself.
    ///
    /// # Errors
    ///
    /// [`RecordError`] when the slice cannot be written.
    pub fn to_authenticate(
        header: &SliceHeader,
        footer: &SliceFooter,
    ) -> Result<Vec<u8>, RecordError> {
        let footer = SliceFooter {
            authentication: None,
            ..footer.clone()
        };
        let header = to_bytes(Frame::Slice, header.version, header)?;
        Ok([
            header,
            to_bytes(Frame::SliceEnd, FormatVersion::CURRENT, &footer)?,
        ]
        .concat())
    }

    /// The segments as they are stored, each with what is known of it.
    pub fn segments(&self) -> impl Iterator<Item = (&SegmentRecord, &'a [u8])> {
        let mut rest = self.stored;
        self.footer.segments.iter().map(move |segment| {
            let length = usize::try_from(segment.stored_bytes).unwrap_or(usize::MAX);
            let (stored, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            rest = after;
            (segment, stored)
        })
    }

    /// The name that the object has to have.
    #[must_use]
    pub fn name(&self) -> SpanName {
        let kind = match self.header.encrypted {
            true => SpanKind::EncryptedSlice,
            false => SpanKind::Slice,
        };
        SpanName::new(
            self.header.start,
            self.footer.end,
            self.header.timeline,
            kind,
        )
    }
}

/// The footer has no version of its own: it is of that of the header.
fn end_from_bytes(record: &[u8]) -> Result<SliceFooter, RecordError> {
    let fail = |fault| RecordError::new(Frame::SliceEnd, fault);
    let value = Frame::SliceEnd.unwrap(record);
    let value = value.map_err(|fault| fail(fault.into()))?;
    let offset = Frame::SliceEnd.value_offset();
    serde_json::from_slice(value).map_err(|source| fail(RecordFault::json(source, offset)))
}

fn push_skippable(frame: Frame, record: &[u8], bytes: &mut Vec<u8>) -> Result<(), RecordError> {
    let too_long = || {
        let bytes = record.len() as u64;
        RecordError::new(frame, RecordFault::TooLong { bytes })
    };
    let length = u32::try_from(record.len()).map_err(|_too_long| too_long())?;
    bytes.extend_from_slice(&SKIPPABLE);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(record);
    Ok(())
}

/// What is in the skippable frame that comes first, and what comes after it.
fn skippable(frame: Frame, bytes: &[u8]) -> Result<(&[u8], &[u8]), RecordError> {
    let expected = |offset| {
        let expected = "a record in a skippable frame of zstd";
        RecordError::new(frame, RecordFault::Frame { offset, expected })
    };
    let rest = bytes.strip_prefix(&SKIPPABLE).ok_or_else(|| expected(0))?;
    let (length, rest) = rest.split_first_chunk().ok_or_else(|| expected(4))?;
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    rest.split_at_checked(length).ok_or_else(|| expected(8))
}

fn contradiction(problem: &'static str, about: impl Into<String>) -> RecordError {
    RecordError::new(Frame::Slice, RecordFault::contradiction(problem, about))
}

/// Why nothing is known of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum GapReason {
    /// The source had forgotten it before it was captured.
    RolledOver,
    /// The source has another history now: it was rolled back, restored or set up anew.
    OtherHistory,
    /// It is learned in another way: from the oplog or from a change stream.
    OtherSource,
    /// The change stream came to an end that nothing leads beyond.
    StreamEnded,
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RolledOver => "the source had forgotten it before it was captured",
            Self::OtherHistory => {
                "the source has another history since then: it was rolled back, restored or set up anew"
            }
            Self::OtherSource => "it was learned in another way from then on",
            Self::StreamEnded => "the change stream ended, and another one could not go on there",
        })
    }
}

/// That nothing is known of a span of a timeline, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct GapRecord {
    /// The version of this format.
    pub version: FormatVersion,
    /// The oldest release that reads it.
    pub read_by: String,
    /// The repository that it is in.
    pub repository: RepositoryId,
    /// The history that it is of.
    pub timeline: TimelineId,
    /// The moment that it comes after.
    pub start: OpTime,
    /// The moment from which on something is known again.
    pub end: OpTime,
    /// Why nothing is known.
    pub reason: GapReason,
    /// More about that, for people.
    pub detail: String,
    /// The history that begins at its end; the same if it goes on.
    pub next: TimelineId,
    /// What ends where it begins.
    pub previous: Previous,
    /// When it was found: RFC 3339, UTC.
    pub found_at: String,
}

impl GapRecord {
    /// A gap after what was captured of a timeline, which goes on after it.
    pub fn new(
        repository: RepositoryId,
        timeline: TimelineId,
        (start, end): (OpTime, OpTime),
        reason: GapReason,
        previous: Previous,
        found_at: impl Into<String>,
    ) -> Self {
        Self {
            version: FormatVersion::CURRENT,
            read_by: READ_BY.to_owned(),
            repository,
            timeline,
            start,
            end,
            reason,
            detail: String::new(),
            next: timeline,
            previous,
            found_at: found_at.into(),
        }
    }

    /// The name that the object has to have.
    #[must_use]
    pub fn name(&self) -> SpanName {
        SpanName::new(self.start, self.end, self.timeline, SpanKind::Gap)
    }

    /// The bytes of the object.
    ///
    /// # Errors
    ///
    /// [`RecordError`] when [`from_bytes`](Self::from_bytes) would refuse them.
    pub fn to_bytes(&self) -> Result<Vec<u8>, RecordError> {
        to_bytes(Frame::Gap, self.version, self)
    }

    /// Reads the bytes of the object.
    ///
    /// # Errors
    ///
    /// [`RecordError`]: it was changed, is of a newer version, or is something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        from_bytes(Frame::Gap, bytes)
    }
}
