//! Reading a collection by ranges of `_id`.

use bson::{Document, RawDocument, RawDocumentBuf, raw::cstr, rawdoc};
use futures::TryStreamExt;
use rdump_format::repository::IdRange;

use super::cursor::Query;
use crate::{Result, command};

/// Sampled documents for each partition: enough to make the largest about a third larger than the mean.
const SAMPLES_PER_PARTITION: usize = 32;

/// The command that reads what is left of the range.
pub(super) fn find(
    range: &IdRange,
    collection: &str,
    filter: Option<&RawDocument>,
) -> RawDocumentBuf {
    let mut find = rawdoc! { "find": collection };
    if let Some(filter) = filter {
        find.append(cstr!("filter"), filter.to_owned());
    }
    find.append(cstr!("hint"), rawdoc! { "_id": 1 });
    find.append(cstr!("sort"), rawdoc! { "_id": 1 });
    if let Some(min) = &range.min {
        find.append(cstr!("min"), min.clone());
    }
    if let Some(max) = &range.max {
        find.append(cstr!("max"), max.clone());
    }
    find
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
