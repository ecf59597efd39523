//! The names of the files in a dump folder, as mongodump makes them.
//!
//! A collection's files are called by its escaped name and what they hold: `caf%C3%A9s.bson.gz`,
//! `caf%C3%A9s.metadata.json.gz`. An escaped name longer than 238 bytes is cut, and told apart from
//! others by a hash; the full name is then in the metadata. See `docs/format.md`, *Names*.

#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha1::{Digest as _, Sha1};

use crate::authorization;
use crate::codec::Codec;
use crate::namespace::{BUCKETS_PREFIX, Namespace};

/// The longest stem, in bytes: with `.metadata.json.gz` it makes 255, which is what file systems
/// allow.
const MAX_STEM_BYTES: usize = 238;
/// How much of the escaped name a shortened stem keeps, in bytes.
const KEPT_BYTES: usize = 208;
/// What stands between the kept part and the hash: an escaped `$`.
const HASH_MARK: &str = "%24";

const DATA_SUFFIX: &str = ".bson";
const METADATA_SUFFIX: &str = ".metadata.json";

/// Escapes a name as the query part of a URL is escaped.
///
/// ASCII letters, digits and `-_.~` stay, a space becomes `+`, every other byte `%` and two
/// upper-case hexadecimal digits.
pub fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
            }
            b' ' => escaped.push('+'),
            _ => {
                escaped.push('%');
                escaped.push_str(&hex::encode_upper([byte]));
            }
        }
    }
    escaped
}

/// Reverses [`escape`].
///
/// # Errors
///
/// [`FileNameError::Escape`] for a `%` without two hexadecimal digits, [`FileNameError::NotUtf8`]
/// when the bytes do not make text.
pub fn unescape(text: &str) -> Result<String, FileNameError> {
    let mut name = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'+' => name.push(b' '),
            b'%' => {
                let mut byte = [0];
                let decoded = tail
                    .split_at_checked(2)
                    .filter(|(digits, _)| hex::decode_to_slice(digits, &mut byte).is_ok());
                let Some((_, after)) = decoded else {
                    let offset = text.len().saturating_sub(tail.len()).saturating_sub(1);
                    return Err(FileNameError::Escape {
                        text: text.to_owned(),
                        offset,
                    });
                };
                name.extend(byte);
                rest = after;
            }
            other => name.push(*other),
        }
    }
    String::from_utf8(name).map_err(|source| FileNameError::NotUtf8 {
        text: text.to_owned(),
        offset: source.utf8_error().valid_up_to(),
    })
}

/// What the files of `collection` are called before their suffix: its escaped name, shortened if
/// need be, but `$admin.system.users` and the like as they are.
#[must_use]
pub fn stem(collection: &str) -> String {
    if authorization::is_dumped_with_database(collection) {
        return collection.to_owned();
    }
    let escaped = escape(collection);
    if escaped.len() <= MAX_STEM_BYTES {
        return escaped;
    }
    let kept = escaped.get(..KEPT_BYTES).unwrap_or(&escaped);
    let hash = URL_SAFE_NO_PAD.encode(Sha1::digest(collection.as_bytes()));
    format!("{kept}{HASH_MARK}{hash}")
}

/// The name of the file with the documents of `collection`.
#[must_use]
pub fn data_file(collection: &str, codec: Codec) -> String {
    format!("{}{DATA_SUFFIX}{}", stem(collection), codec.extension())
}

/// The name of the file with the oplog that was captured with a dump.
///
/// It does not say that it is compressed by gzip: mongorestore looks for this one name.
#[must_use]
pub fn oplog_file(codec: Codec) -> String {
    let oplog = Namespace::oplog().collection;
    match codec {
        Codec::Gzip => data_file(&oplog, Codec::None),
        codec => data_file(&oplog, codec),
    }
}

/// The name of the file with the metadata of `collection`.
///
/// Beside zstd data the metadata stays plain, so that every tool can read it: pass [`Codec::None`]
/// there.
#[must_use]
pub fn metadata_file(collection: &str, codec: Codec) -> String {
    format!("{}{METADATA_SUFFIX}{}", stem(collection), codec.extension())
}

/// What a file of a collection holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "these two are all that a collection has in a dump folder"
)]
pub enum FileKind {
    /// Documents.
    Data,
    /// Options and indexes.
    Metadata,
}

/// The name of a file of a collection, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName {
    /// What is left without the suffix: the escaped name of the collection, perhaps shortened.
    pub stem: String,
    /// What the file holds.
    pub kind: FileKind,
    /// How it is compressed.
    pub codec: Codec,
}

impl FileName {
    /// Takes `name` apart; `None` when it is no name of data or metadata.
    ///
    /// Known are `.bson` and `.metadata.json`, each also with `.gz` and `.zst`, and `.bin`, the
    /// name that plain data had long ago.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let (rest, codec) = [Codec::Gzip, Codec::Zstd]
            .into_iter()
            .find_map(|codec| Some((name.strip_suffix(codec.extension())?, codec)))
            .unwrap_or((name, Codec::None));
        let (stem, kind) = if let Some(stem) = rest.strip_suffix(METADATA_SUFFIX) {
            (stem, FileKind::Metadata)
        } else if let Some(stem) = rest.strip_suffix(DATA_SUFFIX) {
            (stem, FileKind::Data)
        } else {
            (name.strip_suffix(".bin")?, FileKind::Data)
        };
        (!stem.is_empty()).then(|| Self {
            stem: stem.to_owned(),
            kind,
            codec,
        })
    }

    /// Whether the stem was shortened, so that the collection's name must come from the metadata.
    #[must_use]
    pub fn is_shortened(&self) -> bool {
        let hash = self
            .stem
            .get(KEPT_BYTES..)
            .and_then(|tail| tail.strip_prefix(HASH_MARK));
        self.stem.len() == MAX_STEM_BYTES
            && hash.is_some_and(|hash| URL_SAFE_NO_PAD.decode(hash).is_ok())
    }

    /// The collection whose file this is.
    ///
    /// `recorded` is the `collectionName` of the metadata beside it, and only used when the stem is
    /// shortened. For the buckets of a time-series collection it is the name of the collection
    /// without prefix; the result has the prefix.
    ///
    /// # Errors
    ///
    /// [`FileNameError::NotRecorded`] when a shortened stem comes without a recorded name,
    /// [`FileNameError::OtherCollection`] when the recorded name belongs to another file, and those
    /// of [`unescape`].
    pub fn collection(&self, recorded: Option<&str>) -> Result<String, FileNameError> {
        if !self.is_shortened() {
            return unescape(&self.stem);
        }
        let recorded = recorded.ok_or_else(|| FileNameError::NotRecorded {
            stem: self.stem.clone(),
        })?;
        [recorded.to_owned(), format!("{BUCKETS_PREFIX}{recorded}")]
            .into_iter()
            .find(|candidate| stem(candidate) == self.stem)
            .ok_or_else(|| FileNameError::OtherCollection {
                stem: self.stem.clone(),
                recorded: recorded.to_owned(),
            })
    }
}

/// Why the name of a file names no collection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message is its documentation")]
#[non_exhaustive]
pub enum FileNameError {
    #[error("file name {text:?} has no two hexadecimal digits after the `%` at byte {offset}")]
    Escape { text: String, offset: usize },
    #[error("file name {text:?} does not unescape to UTF-8: byte {offset} of the name is wrong")]
    NotUtf8 { text: String, offset: usize },
    #[error("file name {stem:?} is shortened, and no metadata records the name of the collection")]
    NotRecorded { stem: String },
    #[error(
        "file name {stem:?} is shortened, and the metadata records {recorded:?}, whose files have another name"
    )]
    OtherCollection { stem: String, recorded: String },
}
