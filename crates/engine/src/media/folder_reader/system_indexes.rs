//! Indexes in the dumps of servers before 3.0: the documents of `system.indexes`, for a whole database.

use std::collections::BTreeMap;

use bson::{RawDocument, RawDocumentBuf};
use futures::TryStreamExt;

use super::Documents;
use crate::{Error, Result};

/// The indexes by collection. The database in each index's `ns` is not looked at: the dump may be of another one.
pub(super) async fn read(
    path: &str,
    mut runs: impl futures::Stream<Item = Result<Documents>> + Unpin,
) -> Result<BTreeMap<String, Vec<RawDocumentBuf>>> {
    let mut indexes: BTreeMap<String, Vec<RawDocumentBuf>> = BTreeMap::new();
    while let Some(run) = runs.try_next().await? {
        for document in rdump_format::documents(&run.body) {
            let damaged = || Error::data(format!("{path} does not hold indexes")).at(path);
            let document = document.map_err(|error| damaged().caused_by(error))?;
            let index =
                RawDocument::from_bytes(document).map_err(|error| damaged().caused_by(error))?;
            let namespace = index
                .get_str("ns")
                .map_err(|error| damaged().caused_by(error))?;
            let (_, collection) = namespace.split_once('.').ok_or_else(damaged)?;
            indexes
                .entry(collection.to_owned())
                .or_default()
                .push(index.to_owned());
        }
    }
    Ok(indexes)
}
