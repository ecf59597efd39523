//! All files of a folder.

use std::{collections::BTreeMap, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream};
use rdump_format::{FileRecord, FileRole, FolderManifest, MANIFEST_FILE};
use rdump_storage::{Listing, StorageError, Store, Unreadable};

use super::{Damage, DamageKind, VerifyReport, file};
use crate::{Error, Event, Result, context::RunContext, media::manifest};

/// Compares everything with the manifest; `None` if there is none, and no dump was begun here.
pub(super) async fn verify(
    store: &Arc<dyn Store>,
    cx: &RunContext,
) -> Result<Option<VerifyReport>> {
    let Some((stored_bytes, parsed)) = manifest::read(store).await? else {
        manifest::refuse_unfinished(store).await?;
        return Ok(None);
    };
    let mut report = VerifyReport {
        stored_bytes,
        ..VerifyReport::default()
    };
    let manifest = match parsed {
        Ok(manifest) => manifest,
        Err(error) => {
            let message = format!(
                "it cannot be used, and without it nothing can be checked: {}",
                file::chain(&error)
            );
            report
                .damage
                .push(Damage::new(MANIFEST_FILE, DamageKind::Manifest, message));
            return Ok(Some(report));
        }
    };
    let Listing {
        objects,
        leftovers,
        unreadable,
        ..
    } = Listing::of(&**store, "").await?;
    let mut specials = Vec::new();
    for unreadable in unreadable {
        let mut listed = manifest.files.iter();
        let is_listed = listed.any(|file| unreadable.hides(&file.path));
        match unreadable.error {
            StorageError::Special { .. } if is_listed => specials.push(unreadable),
            error if is_listed => return Err(Error::from(error).at(unreadable.path)),
            _ => {
                let reason = unreadable.reason();
                cx.notice(None, format!("{} is skipped: {reason}", unreadable.path));
            }
        }
    }
    let present: BTreeMap<String, u64> = objects
        .into_iter()
        .map(|object| (object.path, object.stored_bytes))
        .collect();
    report.files = manifest.files.len() as u64;
    unexpected(&manifest, &present, &leftovers, &mut report);
    let at_once = crate::default_parallelism().get().max(2);
    let checks = manifest.files.into_iter().map(|record| {
        let present_bytes = present.get(&record.path).copied();
        let special = specials.iter().find(|special| special.hides(&record.path));
        let instead = || special.map_or("it is missing".to_owned(), Unreadable::reason);
        let present_bytes = present_bytes.ok_or_else(instead);
        async move { check(store, &record, present_bytes, cx).await }
    });
    let mut checks = stream::iter(checks).buffer_unordered(at_once);
    while let Some(checked) = checks.try_next().await? {
        report.documents += checked.documents;
        report.stored_bytes += checked.stored_bytes;
        report.damage.extend(checked.damage);
    }
    // The sort is stable: several faults of one file stay in the order of the file.
    report.damage.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Some(report))
}

/// Files that the manifest does not list, what killed writers left behind included.
fn unexpected(
    manifest: &FolderManifest,
    present: &BTreeMap<String, u64>,
    leftovers: &[String],
    report: &mut VerifyReport,
) {
    for path in manifest::unlisted(manifest, present.keys().map(String::as_str)) {
        report.damage.push(Damage::new(
            path,
            DamageKind::Unexpected,
            "the manifest does not list it",
        ));
    }
    for path in leftovers {
        let message = "a dump that was killed, or is still running, left it behind";
        report
            .damage
            .push(Damage::new(path, DamageKind::Unexpected, message));
    }
}

/// Checks a file that has `present_bytes`, or none for the reason given.
async fn check(
    store: &Arc<dyn Store>,
    record: &FileRecord,
    present_bytes: Result<u64, String>,
    cx: &RunContext,
) -> Result<file::Checked> {
    let present_bytes = match present_bytes {
        Ok(bytes) => bytes,
        Err(why) => return Ok(Damage::new(&record.path, DamageKind::Missing, why).into()),
    };
    let namespace = record
        .namespace
        .as_ref()
        .filter(|_| record.kind == FileRole::Data);
    if let Some(namespace) = namespace {
        cx.emit(Event::NamespaceStarted {
            namespace: namespace.clone(),
            estimated_documents: Some(record.documents),
            estimated_bytes: Some(record.uncompressed_bytes),
        });
    }
    let checked = match present_bytes == record.stored_bytes {
        true => file::check(store, record, cx).await?,
        false => Damage::new(
            &record.path,
            DamageKind::Size,
            format!(
                "it has {present_bytes} bytes, but the manifest recorded {}",
                record.stored_bytes
            ),
        )
        .into(),
    };
    if let Some(namespace) = namespace {
        cx.emit(Event::NamespaceFinished {
            namespace: namespace.clone(),
            documents: checked.documents,
            failed_documents: record.documents.saturating_sub(checked.documents),
        });
    }
    Ok(checked)
}
