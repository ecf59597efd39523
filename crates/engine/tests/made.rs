//! Dump folders made by hand, as mongodump makes them, with or without our manifest.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bson::{Document, RawDocumentBuf};
use rdump::{Codec, Compression, Location, Namespace};
use rdump_format::{
    CollectionMetadata, Compressor, Digest, Digester, FileKind, FileName, FileRecord, FileRole,
    FolderManifest, MANIFEST_FILE, RunRecord, Segment, SegmentRecord, SourceRecord, data_file,
    metadata_file,
};
use tempfile::TempDir;

/// A dump folder that grows file by file.
pub(crate) struct Made {
    folder: TempDir,
    records: Vec<FileRecord>,
}

pub(crate) fn raw(document: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).unwrap()
}

pub(crate) fn compression(codec: Codec) -> Compression {
    match codec {
        Codec::None => Compression::None,
        Codec::Gzip => Compression::GZIP,
        Codec::Zstd => Compression::ZSTD,
    }
}

impl Made {
    pub(crate) fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            records: Vec::new(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn location(&self) -> Location {
        Location::from(self.path())
    }

    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.path().join(path)
    }

    /// Writes a file of any name and content, which no manifest will list.
    pub(crate) fn stray(&self, path: &str, content: impl AsRef<[u8]>) {
        let file = self.file(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }

    /// Writes documents, a hundred to a segment; returns the path.
    pub(crate) fn raw_data<'a>(
        &mut self,
        namespace: &str,
        codec: Codec,
        documents: impl IntoIterator<Item = &'a RawDocumentBuf>,
    ) -> String {
        let namespace: Namespace = namespace.parse().unwrap();
        let path = format!(
            "{}/{}",
            namespace.db,
            data_file(&namespace.collection, codec)
        );
        let documents: Vec<_> = documents.into_iter().collect();
        let mut stored = Vec::new();
        let mut segments: Vec<SegmentRecord> = Vec::new();
        let mut digester = Digester::new();
        let mut compressor = Compressor::new(compression(codec)).unwrap();
        let mut chunks: Vec<_> = documents.chunks(100).collect();
        if chunks.is_empty() && codec != Codec::None {
            chunks.push(&[]);
        }
        for chunk in chunks {
            let mut segment = Segment::default();
            for document in chunk {
                segment.body.extend_from_slice(document.as_bytes());
                segment.documents += 1;
            }
            let sealed = segment.seal(&mut compressor, Vec::new()).unwrap();
            let bytes = segment.body.len() as u64;
            segments.push(SegmentRecord::of(
                segment.documents,
                bytes,
                &sealed,
                &mut digester,
            ));
            stored.extend_from_slice(&sealed);
        }
        let mut record = FileRecord::new(&path, FileRole::Data, Digest::of(&stored));
        record.namespace = Some(namespace);
        record.codec = codec;
        record.documents = segments.iter().map(|segment| segment.documents).sum();
        record.uncompressed_bytes = segments
            .iter()
            .map(|segment| segment.uncompressed_bytes)
            .sum();
        record.stored_bytes = stored.len() as u64;
        record.segments = segments;
        self.records.push(record);
        self.stray(&path, stored);
        path
    }

    pub(crate) fn data(
        &mut self,
        namespace: &str,
        codec: Codec,
        documents: impl IntoIterator<Item = Document>,
    ) -> String {
        let documents: Vec<_> = documents
            .into_iter()
            .map(|document| raw(&document))
            .collect();
        self.raw_data(namespace, codec, &documents)
    }

    /// Writes metadata with these options and indexes, plain; returns the path.
    pub(crate) fn metadata(
        &mut self,
        namespace: &str,
        options: Document,
        indexes: &[Document],
    ) -> String {
        let parsed: Namespace = namespace.parse().unwrap();
        let metadata = CollectionMetadata {
            options: raw(&options),
            indexes: indexes.iter().map(raw).collect(),
            collection: Some(parsed.collection),
            ..CollectionMetadata::default()
        };
        self.metadata_text(namespace, Codec::None, &metadata.to_json().unwrap())
    }

    pub(crate) fn metadata_text(&mut self, namespace: &str, codec: Codec, text: &str) -> String {
        let namespace: Namespace = namespace.parse().unwrap();
        let path = format!(
            "{}/{}",
            namespace.db,
            metadata_file(&namespace.collection, codec)
        );
        let mut stored = Vec::new();
        Compressor::new(compression(codec))
            .unwrap()
            .compress(text.as_bytes(), &mut stored)
            .unwrap();
        let mut record = FileRecord::new(&path, FileRole::Metadata, Digest::of(&stored));
        record.namespace = Some(namespace);
        record.codec = codec;
        record.uncompressed_bytes = text.len() as u64;
        record.stored_bytes = stored.len() as u64;
        self.records.push(record);
        self.stray(&path, stored);
        path
    }

    /// Writes the manifest of everything that is no stray.
    pub(crate) fn manifest(&self) {
        let mut manifest = FolderManifest::new();
        let source = SourceRecord::new(vec!["localhost:27017".into()], "6.0.5", "standalone");
        manifest.runs.push(RunRecord::new(
            source,
            "0.0.0",
            "2026-01-01T00:00:00Z",
            "2026-01-01T00:00:01Z",
        ));
        manifest.files = self.records.clone();
        manifest.files.sort_by(|a, b| a.path.cmp(&b.path));
        self.stray(MANIFEST_FILE, manifest.to_bytes().unwrap());
    }

    /// The length in bytes of each segment of a data file, as stored.
    pub(crate) fn segments(&self, path: &str) -> Vec<u64> {
        assert_eq!(
            FileName::parse(path.rsplit('/').next().unwrap())
                .unwrap()
                .kind,
            FileKind::Data
        );
        let record = self
            .records
            .iter()
            .find(|record| record.path == path)
            .unwrap();
        record
            .segments
            .iter()
            .map(|segment| segment.stored_bytes)
            .collect()
    }
}
