//! Whole passes from a deployment to a folder and back, for the tests of this package.
#![expect(clippy::missing_panics_doc, reason = "a test fails by panicking")]

pub mod kept;
pub mod programs;

use std::{
    io::{Read, Write},
    path::Path,
    sync::Arc,
};

use rdump::{
    ArchiveReader, ArchiveWriter, ConnectOptions, DocumentStreamReader, DocumentStreamWriter, Dump,
    DumpOptions, DumpReport, FolderReader, FolderReaderOptions, FolderWriter, Location, Namespace,
    Restore, RestoreOptions, RestoreReport, Source, Target,
};
use rdump_testkit::Deployment;

/// Dumps a deployment to a folder of this machine.
pub async fn dump(from: &Deployment, folder: &Path, options: DumpOptions) -> DumpReport {
    dump_to(from, &folder.into(), options).await
}

/// Dumps a deployment to a folder anywhere.
pub async fn dump_to(from: &Deployment, folder: &Location, options: DumpOptions) -> DumpReport {
    let pass = async {
        let source = Source::connect(&ConnectOptions::default().uri(from.uri())).await?;
        let writer = FolderWriter::create(folder)?;
        let dump = Dump::new(&source, Arc::new(writer)).options(options);
        let plan = dump.plan().await?;
        dump.run(plan).await
    };
    pass.await
        .unwrap_or_else(|error| panic!("dumping to {folder}: {error:?}"))
}

/// Dumps a deployment to an archive file of this machine.
pub async fn dump_archive(from: &Deployment, archive: &Path, options: DumpOptions) -> DumpReport {
    dump_archive_to(from, &archive.into(), options).await
}

/// Dumps a deployment to an archive anywhere.
pub async fn dump_archive_to(
    from: &Deployment,
    archive: &Location,
    options: DumpOptions,
) -> DumpReport {
    let pass = async {
        let source = Source::connect(&ConnectOptions::default().uri(from.uri())).await?;
        let writer = ArchiveWriter::create(archive)?;
        let dump = Dump::new(&source, Arc::new(writer)).options(options);
        let plan = dump.plan().await?;
        dump.run(plan).await
    };
    pass.await
        .unwrap_or_else(|error| panic!("dumping to {archive}: {error:?}"))
}

/// Restores an archive file of this machine into a deployment.
pub async fn restore_archive(
    archive: &Path,
    to: &Deployment,
    options: RestoreOptions,
) -> RestoreReport {
    restore_archive_of(&archive.into(), to, options).await
}

/// Restores an archive from anywhere into a deployment.
pub async fn restore_archive_of(
    archive: &Location,
    to: &Deployment,
    options: RestoreOptions,
) -> RestoreReport {
    let pass = async {
        let target = Target::connect(&ConnectOptions::default().uri(to.uri())).await?;
        let reader = ArchiveReader::open(archive).await?;
        let restore = Restore::new(&target, Arc::new(reader)).options(options);
        let plan = restore.plan().await?;
        restore.run(plan).await
    };
    pass.await
        .unwrap_or_else(|error| panic!("restoring {archive}: {error:?}"))
}

/// Dumps one collection to a stream of documents.
pub async fn dump_documents(
    from: &Deployment,
    namespace: &Namespace,
    output: impl Write + Send + 'static,
) -> DumpReport {
    let options = DumpOptions::default()
        .db(&namespace.db)
        .collection(&namespace.collection);
    let pass = async {
        let source = Source::connect(&ConnectOptions::default().uri(from.uri())).await?;
        let writer = DocumentStreamWriter::new("the stream", output);
        let dump = Dump::new(&source, Arc::new(writer)).options(options);
        let plan = dump.plan().await?;
        dump.run(plan).await
    };
    pass.await
        .unwrap_or_else(|error| panic!("dumping {namespace} to a stream: {error:?}"))
}

/// Restores a stream of documents into one collection.
pub async fn restore_documents(
    input: impl Read + Send + 'static,
    namespace: &Namespace,
    to: &Deployment,
) -> RestoreReport {
    let pass = async {
        let target = Target::connect(&ConnectOptions::default().uri(to.uri())).await?;
        let reader = DocumentStreamReader::new("the stream", namespace.clone(), input);
        let restore = Restore::new(&target, Arc::new(reader));
        let plan = restore.plan().await?;
        restore.run(plan).await
    };
    pass.await
        .unwrap_or_else(|error| panic!("restoring {namespace} from a stream: {error:?}"))
}

/// Restores a folder of this machine into a deployment.
pub async fn restore(folder: &Path, to: &Deployment, options: RestoreOptions) -> RestoreReport {
    restore_of(&folder.into(), to, options).await
}

/// Restores a folder from anywhere into a deployment.
pub async fn restore_of(
    folder: &Location,
    to: &Deployment,
    options: RestoreOptions,
) -> RestoreReport {
    let pass = async {
        let target = Target::connect(&ConnectOptions::default().uri(to.uri())).await?;
        let reader = FolderReader::open(folder, FolderReaderOptions::default()).await?;
        let restore = Restore::new(&target, Arc::new(reader)).options(options);
        let plan = restore.plan().await?;
        restore.run(plan).await
    };
    pass.await
        .unwrap_or_else(|error| panic!("restoring {folder}: {error:?}"))
}
