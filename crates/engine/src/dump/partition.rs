//! Ranges of `_id` that cover a collection.

use bson::{Document, RawBsonRef, RawDocument, RawDocumentBuf, raw::cstr, rawdoc};
use futures::TryStreamExt;

use super::cursor::Query;
use crate::{Result, command};

/// Sampled documents for each partition: enough to make the largest about a third larger than the mean.
const SAMPLES_PER_PARTITION: usize = 32;

/// A range of `_id`, from `min` (inclusive) to `max` (exclusive), of which some may have been read.
///
/// Bounds go by index order, which ranks values of all types, and not by `$gt`, which compares only values
/// of one type.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct IdRange {
    /// `{ _id: … }`; `None` for the lowest.
    min: Option<RawDocumentBuf>,
    /// `{ _id: … }`; `None` for the highest.
    max: Option<RawDocumentBuf>,
    /// Whether `min` has been read already.
    read_min: bool,
}

impl IdRange {
    /// Every `_id` there can be.
    pub(super) fn everything() -> Self {
        Self::default()
    }

    /// Ranges between these bounds, below the first and from the last on.
    fn between(bounds: Vec<RawDocumentBuf>) -> Vec<Self> {
        let mins = std::iter::once(None).chain(bounds.iter().cloned().map(Some));
        let maxes = bounds.iter().cloned().map(Some).chain([None]);
        mins.zip(maxes)
            .map(|(min, max)| Self {
                min,
                max,
                read_min: false,
            })
            .collect()
    }

    /// `{ _id: … }` of a document.
    pub(super) fn id_of(document: &RawDocument) -> Option<RawDocumentBuf> {
        let id: RawBsonRef<'_> = document.get("_id").ok().flatten()?;
        let mut only = RawDocumentBuf::new();
        only.append(cstr!("_id"), id);
        Some(only)
    }

    /// `{ _id: … }` of the last document that was read.
    pub(super) fn last_id(&self) -> Option<&RawDocument> {
        self.min.as_deref().filter(|_| self.read_min)
    }

    /// Moves the beginning to a document that was read.
    pub(super) fn advance(&mut self, document: &RawDocument) {
        if let Some(id) = Self::id_of(document) {
            self.min = Some(id);
            self.read_min = true;
        }
    }

    /// A filter for what [`find`](Self::find) leaves out of a range without `max`, if it does.
    ///
    /// With a `min`, the server takes the highest value there is as an exclusive bound.
    pub(super) fn left_out(&self) -> Option<RawDocumentBuf> {
        let max_key = rawdoc! { "_id": RawBsonRef::MaxKey };
        let read = self.last_id() == Some(&*max_key);
        (self.min.is_some() && self.max.is_none() && !read).then_some(max_key)
    }

    /// The command that reads what is left of the range.
    pub(super) fn find(&self, collection: &str, filter: Option<&RawDocument>) -> RawDocumentBuf {
        let mut find = rawdoc! { "find": collection };
        if let Some(filter) = filter {
            find.append(cstr!("filter"), filter.to_owned());
        }
        find.append(cstr!("hint"), rawdoc! { "_id": 1 });
        find.append(cstr!("sort"), rawdoc! { "_id": 1 });
        if let Some(min) = &self.min {
            find.append(cstr!("min"), min.clone());
        }
        if let Some(max) = &self.max {
            find.append(cstr!("max"), max.clone());
        }
        find
    }
}

/// Splits a collection into at most `partitions` ranges of about the same number of documents.
pub(super) async fn split(query: &Query, partitions: usize) -> Result<Vec<IdRange>> {
    let size = i64::try_from(partitions.saturating_mul(SAMPLES_PER_PARTITION)).unwrap_or(i64::MAX);
    let mut command = rawdoc! {
        "aggregate": query.collection.as_str(),
        // The server sorts, since only it knows the order of all types, and the collection's collation.
        "pipeline": [ { "$sample": { "size": size } }, { "$project": { "_id": 1 } }, { "$sort": { "_id": 1 } } ],
        "cursor": {},
    };
    query.fields.append_to(&mut command);
    let cursor = query
        .database
        .run_raw_cursor_command(command)
        .selection_criteria(query.from.clone());
    let cursor: mongodb::Cursor<Document> = cursor.await.map_err(command::error)?;
    let samples: Vec<RawDocumentBuf> = cursor
        .with_type::<RawDocumentBuf>()
        .try_collect()
        .await
        .map_err(command::error)?;
    let mut bounds: Vec<RawDocumentBuf> = (1..partitions)
        .filter_map(|number| samples.get(samples.len() * number / partitions))
        .filter_map(|sample| IdRange::id_of(sample))
        .collect();
    bounds.dedup();
    Ok(IdRange::between(bounds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_meet_and_cover_everything() {
        let bounds = vec![rawdoc! { "_id": 1 }, rawdoc! { "_id": "a" }];
        let ranges = IdRange::between(bounds.clone());
        assert_eq!(ranges.len(), 3);
        assert_eq!((&ranges[0].min, &ranges[2].max), (&None, &None));
        for (before, after) in ranges.iter().zip(&ranges[1..]) {
            assert_eq!(before.max, after.min);
        }
        assert_eq!(IdRange::between(vec![]), [IdRange::everything()]);
    }

    #[test]
    fn a_range_goes_on_from_the_last_document_read() {
        let mut range = IdRange::everything();
        assert_eq!(range.last_id(), None);
        range.advance(&rawdoc! { "x": 1, "_id": { "a": 5 } });
        assert_eq!(range.last_id(), Some(&*rawdoc! { "_id": { "a": 5 } }));
        let find = range.find("c", None);
        assert_eq!(
            find.get_document("min").unwrap(),
            &*rawdoc! { "_id": { "a": 5 } }
        );
    }
}
