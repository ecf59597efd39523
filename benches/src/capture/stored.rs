//! What is in the slices that were stored.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use rdump::{SpanKind, SpanName};
use rdump_format::repository::{OplogSlice, TIMELINE};

use super::load::NAMESPACE;

/// Counts over all slices.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stored {
    pub(super) entries: u64,
    /// Writes to the collection that documents are inserted into, and nothing else is done with.
    pub(super) inserts: u64,
}

impl Stored {
    pub(super) fn read(repository: &Path) -> Result<Self> {
        let mut stored = Self::default();
        for file in fs::read_dir(repository.join(TIMELINE))? {
            let name = file?.file_name();
            let path = format!("{TIMELINE}{}", name.to_string_lossy());
            let span = SpanName::parse_path(&path);
            if span.is_some_and(|span| span.kind == SpanKind::Slice) {
                let bytes = fs::read(repository.join(&path))?;
                let slice = OplogSlice::read(&bytes).with_context(|| path.clone())?;
                let counts = slice.footer.namespaces;
                let counts = counts.with_context(|| format!("{path} counts nothing"))?;
                stored.entries += slice.footer.entries;
                stored.inserts += counts.get(NAMESPACE).copied().unwrap_or_default();
            }
        }
        Ok(stored)
    }
}
