//! `rdump verify`: compares a dump folder or snapshots with what their manifests say.

use std::sync::Arc;

use anyhow::bail;
use futures::FutureExt;
use rdump::{
    Counters, ErrorKind, Identities, Location, Repository, SnapshotId, SnapshotVerifyOptions,
    SnapshotVerifyReport, TimelineVerifyReport, VerifyReport, verify_folder,
};
use serde_json::json;

use crate::{
    console::Console,
    convert::Verified,
    exit::Exit,
    metrics,
    progress::{Progress, Verb},
    session::{Session, Stopped},
    units::{bytes, counted},
};

/// What is known of what is encrypted where nobody can open it.
const NO_KEY: &str = "without a key (--identity, --passphrase-file) stored bytes are compared with their digests, and not opened";

/// Verifies.
pub(crate) async fn run(
    session: &Session,
    what: Verified,
    identities: Option<Identities>,
    json: bool,
) -> anyhow::Result<Exit> {
    let verifying = Verifying {
        session,
        json,
        has_key: identities.is_some(),
    };
    let (Verified::Snapshot(location, ..) | Verified::Place(location, ..)) = &what;
    session.outcome.about(location);
    match what {
        Verified::Snapshot(location, snapshot, options) => {
            let repository = Repository::open(&location);
            let doing = "opening the repository";
            let repository = session.unless_cancelled(doing, repository).await?;
            let repository = repository.identities(identities);
            let repository = repository.actor(session.actor.clone());
            verifying
                .snapshots(&repository, snapshot, &options)
                .boxed()
                .await
        }
        Verified::Place(location, all, options) => {
            let is_repository = Repository::is_at(&location);
            let doing = format!("looking at {location}");
            match session.unless_cancelled(&doing, is_repository).await? {
                true => {
                    let repository = Repository::open(&location);
                    let repository = session.unless_cancelled(&doing, repository).await?;
                    let repository = repository.identities(identities);
                    let repository = repository.actor(session.actor.clone());
                    let snapshot = (!all).then(|| "latest".to_owned());
                    verifying
                        .snapshots(&repository, snapshot, &options)
                        .boxed()
                        .await
                }
                false if all || options.sample.is_some() => {
                    bail!("{location} is no repository: --all and --sample go with one")
                }
                false => verifying.folder(&location).await,
            }
        }
    }
}

struct Verifying<'a> {
    session: &'a Session,
    json: bool,
    has_key: bool,
}

impl Verifying<'_> {
    async fn folder(&self, location: &Location) -> anyhow::Result<Exit> {
        let console = match self.json {
            true => self.session.console.with_json(),
            false => self.session.console.clone(),
        };
        let progress = progress(&console);
        let observer = Arc::clone(&progress);
        let result = verify_folder(location, observer, self.session.cancel.clone()).await;
        progress.finish();
        let report = result.map_err(stopped)?;
        self.session.outcome.figures([
            (&metrics::OBJECTS, report.files),
            (&metrics::DOCUMENTS, report.documents),
            (&metrics::STORED_BYTES, report.stored_bytes),
            (&metrics::DAMAGE, report.damage.len() as u64),
        ]);
        Ok(tell_of_folder(&console, location, &report))
    }

    /// One snapshot, or all.
    async fn snapshots(
        &self,
        repository: &Repository,
        snapshot: Option<String>,
        options: &SnapshotVerifyOptions,
    ) -> anyhow::Result<Exit> {
        let (session, console) = (self.session, &self.session.console);
        let listed = repository.snapshots();
        let listed = session
            .unless_cancelled("listing snapshots", listed)
            .await?;
        let ids: Vec<SnapshotId> = match snapshot.as_deref() {
            None => {
                let mut ids: Vec<_> = listed.damaged.iter().map(|(id, _)| id.clone()).collect();
                ids.extend(listed.whole.iter().map(|snapshot| snapshot.id().clone()));
                ids.sort_unstable();
                ids
            }
            Some(text) => vec![repository.find_id(text).await?],
        };
        let is_captured = match snapshot {
            None => !repository.timeline().await?.is_empty(),
            Some(_) => false,
        };
        if ids.is_empty() && !is_captured {
            bail!("there is nothing to verify: the repository holds no snapshot");
        }
        let (mut reports, mut not_verified) = (Vec::new(), Vec::new());
        for id in &ids {
            let progress = progress(console);
            let observer = Arc::clone(&progress);
            let result = repository
                .verify(id, options, observer, session.cancel.clone())
                .await;
            progress.finish();
            let report = match result {
                // The others can be looked at all the same.
                Err(error) if snapshot.is_none() && error.kind() != ErrorKind::Cancelled => {
                    console.always(format_args!("NOT VERIFIED {id}: {error}"));
                    not_verified.push(id);
                    continue;
                }
                result => result.map_err(stopped)?,
            };
            self.tell_of_snapshot(&report);
            reports.push(report);
        }
        for id in &listed.unfinished {
            console.log(format_args!("{id} was begun and is not finished"));
        }
        let timeline = match snapshot {
            None => Some(self.timeline(repository).await?),
            Some(_) => None,
        };
        let of_slices = timeline.iter().map(|it| it.damage.len());
        let damage = reports.iter().map(|it| it.damage.len()).chain(of_slices);
        let verified = reports.iter().map(|it| it.verified_bytes);
        let verified = verified.chain(timeline.iter().map(|it| it.stored_bytes));
        session.outcome.figures([
            (&metrics::SNAPSHOTS_DONE, reports.len() as u64),
            (&metrics::OBJECTS, reports.iter().map(|it| it.objects).sum()),
            (&metrics::STORED_BYTES, verified.sum()),
            (&metrics::DAMAGE, damage.sum::<usize>() as u64),
            (&metrics::PROBLEMS, not_verified.len() as u64),
        ]);
        let slices = timeline.as_ref().map(|it| it.slices + it.gaps);
        session
            .outcome
            .figures(slices.map(|it| (&metrics::SLICES, it)));
        if self.json {
            console.document(json!({
                "repository": repository.record().id,
                "timeline": timeline,
                "snapshots": reports,
                "not-verified": not_verified,
                "unfinished": listed.unfinished,
            }));
        }
        let is_opened = !self.has_key || timeline.as_ref().is_none_or(|it| it.locked == 0);
        let is_whole = timeline.is_none_or(|timeline| timeline.is_whole());
        Ok(
            match is_whole && reports.iter().all(SnapshotVerifyReport::is_whole) {
                true if not_verified.is_empty() && is_opened => Exit::Done,
                true => Exit::Failed,
                false => Exit::Damaged,
            },
        )
    }

    /// All that was captured.
    async fn timeline(&self, repository: &Repository) -> anyhow::Result<TimelineVerifyReport> {
        let console = &self.session.console;
        let progress = progress(console);
        let observer = Arc::clone(&progress);
        let cancel = self.session.cancel.clone();
        let report = repository.verify_timeline(observer, cancel).await;
        progress.finish();
        let report = report.map_err(stopped)?;
        for damage in &report.damage {
            console.always(format_args!("DAMAGED {}: {}", damage.path, damage.message));
        }
        for path in &report.unreferenced {
            console.log(format_args!("{path} is no slice and no gap"));
        }
        let locked = counted(report.locked, "slice");
        match (report.locked, self.has_key) {
            (0, _) => {}
            (_, false) => console.log(format_args!("{locked} not opened: {NO_KEY}")),
            (_, true) => console.always(format_args!(
                "NOT VERIFIED {locked}: no key that was given opens them"
            )),
        }
        if self.has_key && report.plain > 0 {
            let plain = counted(report.plain, "slice");
            console.log(format_args!(
                "{plain} not encrypted: no restore with the key takes them"
            ));
        }
        if report.slices + report.gaps > 0 {
            console.log(format_args!(
                "{} slices and {} gaps read, {}: {}",
                report.slices,
                report.gaps,
                bytes(report.stored_bytes),
                match report.is_whole() {
                    true => "whole",
                    false => "damaged",
                }
            ));
        }
        Ok(report)
    }

    fn tell_of_snapshot(&self, report: &SnapshotVerifyReport) {
        let console = &self.session.console;
        for damage in &report.damage {
            console.always(format_args!("DAMAGED {}: {}", damage.path, damage.message));
        }
        for path in &report.unreferenced {
            console.log(format_args!("{path} is of no use to any snapshot"));
        }
        if report.locked {
            console.log(format_args!(
                "snapshot {} was not opened: {NO_KEY}",
                report.id
            ));
        }
        let read = format!(
            "{} of {} in {} read",
            bytes(report.verified_bytes),
            bytes(report.stored_bytes),
            counted(report.objects, "object")
        );
        match report.damage.len() {
            0 if report.verified_bytes < report.stored_bytes => console.log(format_args!(
                "nothing is wrong with this sample of snapshot {} ({read})",
                report.id
            )),
            0 => console.log(format_args!("snapshot {} is whole ({read})", report.id)),
            places => console.always(format_args!(
                "snapshot {} is damaged in {} ({read})",
                report.id,
                counted(places as u64, "place")
            )),
        }
    }
}

fn progress(console: &Console) -> Arc<Progress> {
    let counters = Arc::new(Counters::default());
    Arc::new(Progress::new(console, Verb::Verify, counters))
}

fn tell_of_folder(console: &Console, location: &Location, report: &VerifyReport) -> Exit {
    for damage in &report.damage {
        console.always(format_args!("DAMAGED {}: {}", damage.path, damage.message));
    }
    let read = format!(
        "{}, {}, {}",
        counted(report.files, "file"),
        bytes(report.stored_bytes),
        counted(report.documents, "document")
    );
    console.json("report", report);
    match report.damage.len() {
        0 => {
            console.log(format_args!("{location} is whole ({read})"));
            Exit::Done
        }
        places => {
            console.always(format_args!(
                "{location} is damaged in {} ({read})",
                counted(places as u64, "place")
            ));
            Exit::Damaged
        }
    }
}

fn stopped(error: rdump::Error) -> anyhow::Error {
    let stopped = "verification stopped before its end, nothing is known of the dump";
    Stopped::or(error, stopped)
}
