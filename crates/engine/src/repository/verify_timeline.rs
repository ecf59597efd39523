//! Reading every slice and gap again.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use rdump_format::{
    Digest,
    repository::{AuditVerb, GapRecord, Previous, SpanKind, SpanName, TimelineId},
};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{
    Outcome, Repository, point_in_time::SliceReader, progress::TimelineProgress,
    timeline::parse_slice,
};
use crate::{Damage, DamageKind, Error, ErrorKind, Observer, Result, context::RunContext};

/// What was found of everything that was captured.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct TimelineVerifyReport {
    /// Slices that were read.
    pub slices: u64,
    /// Gaps that were read: what is missing and known to be.
    pub gaps: u64,
    /// Entries in the slices.
    pub entries: u64,
    /// Bytes of slices and gaps as they are stored.
    pub stored_bytes: u64,
    /// Slices that are encrypted and were not opened, since no key that was given opens them, or none was: what is stored is compared with its
    /// digests then.
    pub locked: u64,
    /// Slices that are not encrypted.
    pub plain: u64,
    /// What lies among the slices and is none, nor a gap: at most a thousand paths.
    pub unreferenced: Vec<String>,
    /// What is wrong.
    pub damage: Vec<Damage>,
}

impl TimelineVerifyReport {
    /// Whether everything is as it was written.
    pub fn is_whole(&self) -> bool {
        self.damage.is_empty()
    }
}

impl Repository {
    /// Reads all that was captured, and checks every byte against the digests in it, and that each slice follows what it says it follows.
    ///
    /// That slices are missing at the end of a timeline, and all of one, cannot be seen; [`timeline`](Self::timeline) says what there is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Cancelled`], and as the place has them. Damage is no error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn verify_timeline(
        &self,
        observer: Arc<dyn Observer>,
        cancel: CancellationToken,
    ) -> Result<TimelineVerifyReport> {
        let mut cx = RunContext::default();
        cx.set_observer(observer);
        cx.cancel = cancel;
        let act = self.act(AuditVerb::VerifyTimeline);
        let verified = self.look_at_timeline(&cx).await;
        let outcome = |report: &TimelineVerifyReport| {
            Outcome::new(report.damage.len())
                .figure("slices", report.slices)
                .figure("gaps", report.gaps)
                .figure("stored-bytes", report.stored_bytes)
        };
        if let Some(missing) = act.end(&verified, outcome).await {
            tracing::warn!("{missing}");
        }
        verified
    }

    async fn look_at_timeline(&self, cx: &RunContext) -> Result<TimelineVerifyReport> {
        let timeline = self.timeline().await?;
        let mut report = TimelineVerifyReport {
            unreferenced: self.strangers().await?,
            ..TimelineVerifyReport::default()
        };
        let slices = SliceReader::new(self);
        let is_encrypted = |span: &SpanName| span.kind == SpanKind::EncryptedSlice;
        let encrypted = timeline.slices().filter(is_encrypted);
        let encrypted: HashSet<_> = encrypted.map(|span| span.timeline).collect();
        let mut digests: HashMap<String, Digest> = HashMap::new();
        let mut links: Vec<(String, Previous)> = Vec::new();
        let gaps: Vec<SpanName> = timeline.gaps().copied().collect();
        let spans: Vec<SpanName> = timeline.slices().chain(gaps).collect();
        let mut progress = TimelineProgress::new(cx, spans.len());
        for span in spans {
            let (path, before) = (span.path(), report.stored_bytes);
            let looked = self.look_at((&slices, &encrypted), &span, &mut report);
            match cx.unless_cancelled(looked).await {
                Ok((digest, previous)) => {
                    digests.insert(path.clone(), digest);
                    links.extend(previous.map(|previous| (path, previous)));
                }
                Err(error) if error.kind() == ErrorKind::Data => {
                    let damage = Damage::new(&path, DamageKind::Digest, error.to_string());
                    report.damage.push(damage);
                }
                Err(error) => return Err(error),
            }
            progress.add(report.stored_bytes - before);
        }
        // Some may have been pruned meanwhile.
        let pruned_before = self.timeline().await?.pruned_before();
        let is_pruned = |path: &str| {
            let span = SpanName::parse_path(path);
            span.is_some_and(|span| Some(span.end) < pruned_before)
        };
        for damage in std::mem::take(&mut report.damage) {
            let may_be_gone = is_pruned(&damage.path);
            if !may_be_gone || self.store().head(&damage.path).await?.is_some() {
                report.damage.push(damage);
            }
        }
        for (path, previous) in links {
            let damage = match digests.get(&previous.path) {
                Some(digest) if *digest == previous.sha256 => continue,
                Some(_) => (
                    DamageKind::Digest,
                    format!("it follows another object than {}", previous.path),
                ),
                // That was named already, if it is damaged.
                None if report.damage.iter().any(|it| it.path == previous.path) => continue,
                None if is_pruned(&previous.path) => continue,
                None => (
                    DamageKind::Missing,
                    format!("{} is not there, which it follows", previous.path),
                ),
            };
            report.damage.push(Damage::new(&path, damage.0, damage.1));
        }
        report
            .damage
            .sort_by(|one, other| one.path.cmp(&other.path));
        Ok(report)
    }

    async fn look_at(
        &self,
        (slices, encrypted): (&SliceReader, &HashSet<TimelineId>),
        span: &SpanName,
        report: &mut TimelineVerifyReport,
    ) -> Result<(Digest, Option<Previous>)> {
        let bytes = self.read_span(span).await?;
        report.stored_bytes += bytes.len() as u64;
        let id = self.record().id;
        let (repository, previous) = match span.kind {
            SpanKind::Gap => {
                report.gaps += 1;
                let gap = GapRecord::from_bytes(&bytes)
                    .map_err(|error| Error::data(error.to_string()))?;
                if gap.name() != *span {
                    return Err(Error::data(format!("it is that of {}", gap.name().path())));
                }
                (gap.repository, Some(gap.previous))
            }
            _ => {
                report.slices += 1;
                let slice = parse_slice(span, &bytes)?;
                report.entries += slice.footer.entries;
                match span.kind {
                    SpanKind::EncryptedSlice => match slices.entries(span, bytes.clone()).await {
                        Err(error) if error.kind() == ErrorKind::Denied => report.locked += 1,
                        opened => drop(opened?),
                    },
                    _ if self.identities.is_some() && encrypted.contains(&span.timeline) => {
                        return Err(Error::data(
                            "it is not encrypted, and other slices of its timeline are",
                        ));
                    }
                    _ => report.plain += 1,
                }
                (slice.header.repository, slice.header.previous)
            }
        };
        match repository == id {
            true => Ok((Digest::of(&bytes), previous)),
            false => Err(Error::data("it is of another repository")),
        }
    }
}
