//! The bytes of an archive that stand between documents.

use super::TERMINATOR;
use super::crc64::Crc64;
use super::error::ArchiveWriteError;
use super::header::BlockHeader;
use super::listing::{Listing, Progress};
use super::prelude::ArchivePrelude;
use crate::namespace::Namespace;

/// Says what to put before, between and after runs of documents, so that they become an archive.
///
/// Nothing is stored here but names and checksums: every method appends its bytes to `out`, and
/// whoever calls it puts them into the archive, in the order of the calls. The documents of a run
/// come right after the bytes of [`run`](Self::run) and may be looked at and compressed elsewhere,
/// before or after.
///
/// mongorestore needs an order: first users, roles and their version, of `admin` or of the database
/// that was dumped; then the collections, no more of them at a time than the prelude says; then the
/// oplog. It takes views, too, as namespaces without documents.
///
/// # Examples
///
/// ```
/// use rdump_format::{ArchiveMetadata, ArchivePrelude, ArchiveWriter, Crc64, Namespace};
///
/// let orders = Namespace::new("shop", "orders");
/// let prelude = ArchivePrelude {
///     concurrent_collections: 4,
///     server_version: Some("7.0.16".into()),
///     tool_version: "0.1.0".into(),
///     collections: vec![ArchiveMetadata {
///         namespace: orders.clone(),
///         metadata: String::new(),
///         kind: Some("collection".into()),
///     }],
/// };
///
/// let mut archive = Vec::new();
/// let mut writer = ArchiveWriter::new(&prelude, &mut archive)?;
/// for id in 0..3 {
///     let document = bson::rawdoc! { "_id": id };
///     writer.run(&orders, &Crc64::of(document.as_bytes()), &mut archive)?;
///     archive.extend_from_slice(document.as_bytes());
/// }
/// writer.end(&orders, &mut archive)?;
/// writer.finish()?;
/// # Ok::<(), rdump_format::ArchiveWriteError>(())
/// ```
#[derive(Debug)]
pub struct ArchiveWriter {
    listing: Listing,
    /// Whose block can take documents.
    block: Option<usize>,
}

impl ArchiveWriter {
    /// Starts an archive with the namespaces of `prelude`, from the first byte on.
    ///
    /// # Errors
    ///
    /// [`ArchiveWriteError`] for a collection without a name, one that is there twice, and metadata
    /// that is too long. `out` is then as it was before, as with every error here.
    pub fn new(prelude: &ArchivePrelude, out: &mut Vec<u8>) -> Result<Self, ArchiveWriteError> {
        let listing = Listing::of(prelude)
            .map_err(|namespace| ArchiveWriteError::ListedTwice { namespace })?;
        prelude.encode(out)?;
        Ok(Self {
            listing,
            block: None,
        })
    }

    /// Appends what stands before a run of documents of `namespace`: nothing if the run before was
    /// of the same.
    ///
    /// `documents` is the checksum of the run, which must consist of whole documents or of none.
    /// The namespace is that of the documents: for a time-series collection of a server before 8.3,
    /// that of its buckets.
    ///
    /// # Errors
    ///
    /// [`ArchiveWriteError::NoMetadata`] if the prelude does not list the namespace,
    /// [`ArchiveWriteError::Ended`] if it has ended.
    pub fn run(
        &mut self,
        namespace: &Namespace,
        documents: &Crc64,
        out: &mut Vec<u8>,
    ) -> Result<(), ArchiveWriteError> {
        let number = self.number(namespace)?;
        match &mut self.listing.get_mut(number).progress {
            Progress::Ended => return Err(ended(namespace)),
            Progress::Open(crc) => crc.append(documents),
            unseen @ Progress::Unseen => *unseen = Progress::Open(documents.clone()),
        }
        if self.block != Some(number) {
            self.end_block(out);
            BlockHeader::encode(namespace, None, out);
            self.block = Some(number);
        }
        Ok(())
    }

    /// Appends the end of `namespace`, with the checksum of all its documents; of one that had no
    /// run, also the start.
    ///
    /// # Errors
    ///
    /// [`ArchiveWriteError::NoMetadata`] if the prelude does not list the namespace,
    /// [`ArchiveWriteError::Ended`] if it has ended.
    pub fn end(
        &mut self,
        namespace: &Namespace,
        out: &mut Vec<u8>,
    ) -> Result<(), ArchiveWriteError> {
        let number = self.number(namespace)?;
        if let Progress::Unseen = self.listing.get_mut(number).progress {
            self.run(namespace, &Crc64::new(), out)?;
        }
        let progress = &mut self.listing.get_mut(number).progress;
        let Progress::Open(crc) = std::mem::replace(progress, Progress::Ended) else {
            return Err(ended(namespace));
        };
        self.end_block(out);
        BlockHeader::encode(namespace, Some(crc.value()), out);
        out.extend_from_slice(&TERMINATOR);
        Ok(())
    }

    /// Checks that the archive is whole. Nothing comes after its last namespace.
    ///
    /// # Errors
    ///
    /// [`ArchiveWriteError::Unended`] with the namespaces of the prelude that have not ended.
    pub fn finish(self) -> Result<(), ArchiveWriteError> {
        let namespaces = self
            .listing
            .select(|progress| !matches!(progress, Progress::Ended));
        match namespaces.is_empty() {
            true => Ok(()),
            false => Err(ArchiveWriteError::Unended { namespaces }),
        }
    }

    fn number(&mut self, namespace: &Namespace) -> Result<usize, ArchiveWriteError> {
        let number = self.listing.number(namespace);
        number.ok_or_else(|| ArchiveWriteError::NoMetadata {
            namespace: namespace.clone(),
        })
    }

    fn end_block(&mut self, out: &mut Vec<u8>) {
        if self.block.take().is_some() {
            out.extend_from_slice(&TERMINATOR);
        }
    }
}

fn ended(namespace: &Namespace) -> ArchiveWriteError {
    ArchiveWriteError::Ended {
        namespace: namespace.clone(),
    }
}
