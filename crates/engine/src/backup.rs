//! Taking snapshots of a deployment.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use serde::Serialize;

use crate::{
    CancellationToken, Counters, Dump, DumpOptions, DumpPlan, DumpReport, Error, ErrorKind,
    Observer, Recipients, Repository, Result, SnapshotId, SnapshotWriter, Snapshots, Source,
    context::RunContext, repository::LEASE,
};

/// A snapshot that is taken of a deployment, or gone on with.
///
/// It is a [`Dump`] to a [`SnapshotWriter`], after a look at what is in the repository already.
///
/// # Examples
///
/// ```no_run
/// use rdump::{Backup, Compression, ConnectOptions, DumpOptions, Repository, Source};
///
/// # async fn example() -> rdump::Result<()> {
/// let source = Source::connect(&ConnectOptions::default().uri("mongodb://localhost:27017")).await?;
/// let repository = Repository::open_or_init(&"backups".parse()?).await?;
/// let options = DumpOptions::default().compression(Compression::ZSTD);
/// let backup = Backup::new(&source, &repository).options(options).resume(true);
/// let plan = backup.plan().await?; // reads only
/// println!("{plan}");
/// let report = backup.run(plan).await?;
/// println!("snapshot {}: {}", report.snapshot, report.report);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Backup {
    source: Source,
    repository: Repository,
    options: DumpOptions,
    tags: BTreeMap<String, String>,
    recipients: Option<Recipients>,
    lease: Option<Duration>,
    resume: bool,
    cx: RunContext,
}

impl Backup {
    /// A new snapshot of everything, not encrypted, that nobody watches.
    pub fn new(source: &Source, repository: &Repository) -> Self {
        Self {
            source: source.clone(),
            repository: repository.clone(),
            options: DumpOptions::default(),
            tags: BTreeMap::new(),
            recipients: None,
            lease: Some(LEASE),
            resume: false,
            cx: RunContext::default(),
        }
    }

    /// Sets what is read and how.
    #[must_use]
    pub fn options(mut self, options: DumpOptions) -> Self {
        self.options = options;
        self
    }

    /// Sets how the snapshot is marked; one that is gone on with keeps its own. Default: not at all.
    #[must_use]
    pub fn tags(mut self, tags: BTreeMap<String, String>) -> Self {
        self.tags = tags;
        self
    }

    /// Sets who will be able to read it, as [`SnapshotWriter::recipients`].
    #[must_use]
    pub fn recipients(mut self, recipients: Option<Recipients>) -> Self {
        self.recipients = recipients;
        self
    }

    /// Sets how long a lease lasts, as [`SnapshotWriter::lease`]; who takes none goes on with what others hold one for too.
    #[must_use]
    pub fn lease(mut self, lasts: Option<Duration>) -> Self {
        self.lease = lasts;
        self
    }

    /// Sets whether the newest snapshot that was begun and not finished is gone on with, if there is one that fits, as
    /// [`SnapshotWriter::resume`]. Default: false.
    #[must_use]
    pub fn resume(mut self, yes: bool) -> Self {
        self.resume = yes;
        self
    }

    /// Sets who is told of events.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.cx.set_observer(observer);
        self
    }

    /// Sets the token that stops the run.
    #[must_use]
    pub fn cancel(mut self, cancel: CancellationToken) -> Self {
        self.cx.cancel = cancel;
        self
    }

    /// Sets the counters that the run adds to.
    #[must_use]
    pub fn counters(mut self, counters: Arc<Counters>) -> Self {
        self.cx.counters = counters;
        self
    }

    /// Finds out what would be stored, and which snapshot is gone on with. Only reads.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if what is selected does not exist, [`ErrorKind::Denied`] if what would be gone on with is encrypted,
    /// no key that was given opens it, and the snapshot would not be; as [`Dump::plan`], and as the place has them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn plan(&self) -> Result<BackupPlan> {
        self.cx.unless_cancelled(Box::pin(self.make_plan())).await
    }

    async fn make_plan(&self) -> Result<BackupPlan> {
        let before = self.repository.snapshots().await?;
        let (mut warnings, mut notices) = (Vec::new(), Vec::new());
        let newest = before.whole.last();
        if self.recipients.is_none() && newest.is_some_and(|it| it.manifest().is_encrypted()) {
            warnings.push("the newest snapshot is encrypted, and this one will not be".to_owned());
        }
        let (resumed, writer) = match self.resume {
            true => self.choose(&before, &mut warnings).await?.unzip(),
            false => (None, None),
        };
        if self.resume && resumed.is_none() {
            notices.push(
                "there is no unfinished snapshot to go on with: this is a new one".to_owned(),
            );
        }
        let others = before
            .unfinished
            .iter()
            .filter(|id| resumed.as_ref() != Some(id));
        notices.extend(others.map(|id| match before.running.contains(id) {
            true => format!(
                "snapshot {id} is being written by another backup, as its lease says: leases/{id}.json"
            ),
            false => format!("snapshot {id} was begun and is not finished: what is stored of it stays"),
        }));
        let new = || SnapshotWriter::new(&self.repository, self.tags.clone());
        let writer = writer
            .unwrap_or_else(new)
            .recipients(self.recipients.clone());
        let writer = Arc::new(writer.lease(self.lease));
        let run = Dump::new(&self.source, Arc::clone(&writer) as _)
            .options(self.options.clone())
            .context(self.cx.clone());
        let dump = run.plan().await?;
        dump.check_selection(&self.options)?;
        Ok(BackupPlan {
            resumed,
            damaged: before.damaged.into_iter().map(|(_, error)| error).collect(),
            warnings,
            notices,
            dump,
            run,
            writer,
        })
    }

    /// The newest snapshot that can be gone on with.
    async fn choose(
        &self,
        before: &Snapshots,
        warnings: &mut Vec<String>,
    ) -> Result<Option<(SnapshotId, SnapshotWriter)>> {
        let newest = before.whole.last();
        // What is older than the newest snapshot would be filed before it, with what was read then.
        let is_newer = |id: &SnapshotId| newest.is_none_or(|newest| id > newest.id());
        let is_free = |id: &SnapshotId| self.lease.is_none() || !before.running.contains(id);
        let unfinished = before.unfinished.iter().rev();
        for id in unfinished.filter(|id| is_newer(id) && is_free(id)) {
            let found = async {
                let writer = SnapshotWriter::resume(&self.repository, id).await?;
                let writer = writer.recipients(self.recipients.clone());
                writer.check(&self.source, &self.options)?;
                Ok::<_, Error>(writer)
            };
            match found.await {
                Ok(writer) => {
                    if !self.tags.is_empty() && *writer.tags() != self.tags {
                        let message = "the snapshot keeps the tags that it was begun with";
                        warnings.push(message.to_owned());
                    }
                    return Ok(Some((id.clone(), writer)));
                }
                // What goes on with a secret is not written for everybody instead.
                Err(error) if self.recipients.is_none() && error.kind() == ErrorKind::Denied => {
                    let message = format!("snapshot {id} is not gone on with: {error}");
                    let hint = error.hint().map(str::to_owned);
                    let error = Error::new(ErrorKind::Denied, message);
                    return Err(hint.into_iter().fold(error, Error::with_hint));
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::Conflict | ErrorKind::Denied | ErrorKind::Data
                    ) =>
                {
                    warnings.push(format!("{error}: it is not gone on with"));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Stores what the plan says.
    ///
    /// # Errors
    ///
    /// As [`Dump::run`]: there is no new snapshot then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the run as cancelling does. What was stored can be gone on with.
    pub async fn run(&self, plan: BackupPlan) -> Result<BackupReport> {
        let report = plan.run.run(plan.dump).await?;
        let snapshot = plan.writer.id().cloned();
        let snapshot = snapshot.ok_or_else(|| Error::internal("the snapshot has no name"))?;
        Ok(BackupReport { snapshot, report })
    }
}

/// What a backup would do: made by [`Backup::plan`], used up by [`Backup::run`].
#[derive(Debug)]
#[non_exhaustive]
pub struct BackupPlan {
    /// The snapshot that is gone on with, if one is.
    pub resumed: Option<SnapshotId>,
    /// What is wrong with other snapshots of the repository.
    pub damaged: Vec<Error>,
    /// What a person should look at.
    pub warnings: Vec<String>,
    /// What a person may want to know.
    pub notices: Vec<String>,
    /// What would be read.
    pub dump: DumpPlan,
    run: Dump,
    writer: Arc<SnapshotWriter>,
}

impl fmt::Display for BackupPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(id) = &self.resumed {
            writeln!(f, "go on with snapshot {id}")?;
        }
        self.dump.fmt(f)
    }
}

/// What a backup did.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct BackupReport {
    /// The snapshot that there is now.
    pub snapshot: SnapshotId,
    /// What is in it.
    pub report: DumpReport,
}
