//! Ranges of `_id`.

use bson::{Binary, RawBsonRef, RawDocument, RawDocumentBuf, cstr, rawdoc, spec::BinarySubtype};
use serde::{Deserialize, Serialize};

/// A range of `_id`, from `min` (inclusive) to `max` (exclusive), of which some may have been read.
///
/// Bounds go by index order, which ranks values of all types, and not by `$gt`, which compares only values
/// of one type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct IdRange {
    /// `{ _id: … }`; `None` for the lowest.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "opaque")]
    pub min: Option<RawDocumentBuf>,
    /// Whether `min` has been read already.
    pub min_is_read: bool,
    /// `{ _id: … }`; `None` for the highest.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "opaque")]
    pub max: Option<RawDocumentBuf>,
}

impl IdRange {
    /// Every `_id` there can be.
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// Ranges between these bounds, below the first and from the last on.
    #[must_use]
    pub fn between(bounds: Vec<RawDocumentBuf>) -> Vec<Self> {
        let mins = std::iter::once(None).chain(bounds.iter().cloned().map(Some));
        let maxes = bounds.iter().cloned().map(Some).chain([None]);
        mins.zip(maxes)
            .map(|(min, max)| Self {
                min,
                min_is_read: false,
                max,
            })
            .collect()
    }

    /// `{ _id: … }` of a document.
    #[must_use]
    pub fn id_of(document: &RawDocument) -> Option<RawDocumentBuf> {
        let id: RawBsonRef<'_> = document.get("_id").ok().flatten()?;
        let mut only = RawDocumentBuf::new();
        only.append(cstr!("_id"), id);
        Some(only)
    }

    /// `{ _id: … }` of the last document that was read.
    #[must_use]
    pub fn last_id(&self) -> Option<&RawDocument> {
        self.min.as_deref().filter(|_| self.min_is_read)
    }

    /// Moves the beginning to `{ _id: … }` of a document that was read.
    pub fn advance(&mut self, id: RawDocumentBuf) {
        self.min = Some(id);
        self.min_is_read = true;
    }

    /// Whether there can be nothing left to read, since what was read last was the highest value there is.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.last_id() == Some(&*max_key())
    }

    /// A filter for what a `find` with `min` and `max` leaves out of a range without `max`, if it does.
    ///
    /// With a `min`, the server takes the highest value there is as an exclusive bound.
    #[must_use]
    pub fn left_out(&self) -> Option<RawDocumentBuf> {
        (self.min.is_some() && self.max.is_none() && !self.is_read()).then(max_key)
    }
}

fn max_key() -> RawDocumentBuf {
    rawdoc! { "_id": RawBsonRef::MaxKey }
}

/// A bound as its bytes: what a user's `_id` is nested in must not decide whether it can be read back.
mod opaque {
    use serde::{Deserializer, Serializer, de::Error};

    use super::{Binary, BinarySubtype, Deserialize, RawDocumentBuf, Serialize};

    pub(super) fn serialize<S: Serializer>(
        bound: &Option<RawDocumentBuf>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let binary = bound.as_ref().map(|bound| Binary {
            subtype: BinarySubtype::Generic,
            bytes: bound.as_bytes().to_vec(),
        });
        binary.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<RawDocumentBuf>, D::Error> {
        let Some(binary) = Option::<Binary>::deserialize(deserializer)? else {
            return Ok(None);
        };
        let bound = RawDocumentBuf::from_bytes(binary.bytes);
        bound.map(Some).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_meet_and_cover_everything() {
        let bounds = vec![rawdoc! { "_id": 1 }, rawdoc! { "_id": "a" }];
        let ranges = IdRange::between(bounds);
        let [below, middle, above] = ranges.as_slice() else {
            panic!("{ranges:?}");
        };
        assert_eq!((&below.min, &above.max), (&None, &None));
        assert_eq!((&below.max, &middle.max), (&middle.min, &above.min));
        assert_eq!(IdRange::between(vec![]), [IdRange::everything()]);
    }

    #[test]
    fn a_range_goes_on_from_the_last_document_read() {
        let mut range = IdRange::everything();
        assert_eq!(range.last_id(), None);
        let id = IdRange::id_of(&rawdoc! { "x": 1, "_id": { "a": 5 } }).unwrap();
        range.advance(id.clone());
        assert_eq!(range.last_id(), Some(&*id));
        assert_eq!(
            range.left_out(),
            Some(rawdoc! { "_id": RawBsonRef::MaxKey })
        );
        range.advance(rawdoc! { "_id": RawBsonRef::MaxKey });
        assert_eq!(range.left_out(), None);
    }
}
