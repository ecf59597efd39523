//! The options of commands on repositories.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context;
use rdump::{
    CaptureOptions, Compression, ConnectOptions, Digest, Identities, Location, OpTime, Recipients,
    RetentionPolicy, SnapshotVerifyOptions,
};

use super::{
    DumpRequest, Environment, Refusal, identities, is_like_uri, medium::STANDARD, new_recipients,
    prune::policy, recipients,
};
use crate::args::{
    AuditArgs, BackupArgs, BundleArgs, CaptureArgs, ExportArgs, ImportArgs, OplogExportArgs,
    RekeyArgs, RepositoryArgs, S3WriteArgs, ShowArgs, StatusArgs, UnbundleArgs, VerifyArgs,
};

/// Everything that a backup needs, checked as far as it can be without a server.
#[derive(Debug)]
pub(crate) struct BackupRequest {
    pub(crate) dump: DumpRequest,
    pub(crate) location: Location,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) resume: bool,
    pub(crate) no_lock: bool,
    pub(crate) recipients: Option<Recipients>,
    pub(crate) identities: Option<Identities>,
}

impl BackupRequest {
    /// Follows a command line.
    pub(crate) fn new(args: &BackupArgs, environment: &Environment) -> Result<Self, Refusal> {
        let location = writable(&args.repository, &args.s3_write, environment)?;
        Ok(Self {
            location,
            dump: DumpRequest::new(&args.as_dump(), environment)?,
            tags: tags(&args.tags)?,
            resume: args.resume,
            no_lock: args.lease.no_lock,
            recipients: recipients(&args.recipients, &args.identity.passphrase, environment)?,
            identities: identities(&args.identity, environment)?,
        })
    }
}

/// What is captured, and where it goes.
#[derive(Debug)]
pub(crate) struct CaptureRequest {
    pub(crate) connect: ConnectOptions,
    pub(crate) location: Location,
    pub(crate) options: CaptureOptions,
    pub(crate) recipients: Option<Recipients>,
    pub(crate) no_lock: bool,
    /// Where who asks for metrics is answered.
    pub(crate) metrics_listen: Option<String>,
    pub(crate) warnings: Vec<String>,
}

impl CaptureRequest {
    /// Follows a command line.
    pub(crate) fn new(args: &CaptureArgs, environment: &Environment) -> Result<Self, Refusal> {
        let location = writable(&args.repository, &args.s3_write, environment)?;
        let dump = DumpRequest::new(&args.as_dump(), environment)?;
        if let Some(db) = &dump.options.db {
            return Err(Refusal::Usage(format!(
                "all databases are captured, or what --ns-include says: --ns-include '{db}.*'"
            )));
        }
        let mut options = CaptureOptions::default();
        options.slice_bytes = args.slice_bytes.unwrap_or(options.slice_bytes);
        options.slice_age = args.slice_age.unwrap_or(options.slice_age);
        options.source = args.source.unwrap_or_default();
        options.select = dump.options.select;
        options.until_caught_up = args.until_caught_up;
        options.read_preference = dump.options.read_preference;
        Ok(Self {
            connect: dump.connect,
            location,
            options,
            recipients: recipients(&args.recipients, &args.passphrase, environment)?,
            no_lock: args.lease.no_lock,
            metrics_listen: args.metrics_listen.clone(),
            warnings: dump.warnings,
        })
    }
}

/// What was captured, as a file.
#[derive(Debug)]
pub(crate) struct OplogExportRequest {
    pub(crate) repository: Location,
    pub(crate) identities: Option<Identities>,
    pub(crate) after: OpTime,
    pub(crate) until: Option<OpTime>,
    /// Standard output if there is none.
    pub(crate) file: Option<Location>,
}

impl OplogExportRequest {
    /// Follows a command line.
    pub(crate) fn new(args: &OplogExportArgs, environment: &Environment) -> Result<Self, Refusal> {
        let after = args.after.ok_or_else(|| {
            Refusal::Usage("say which moment the entries come after: --after S:I".to_owned())
        })?;
        let file = file(&args.file)?;
        if file.is_none() && args.local.repository.json {
            return Err(Refusal::Usage(
                "--json cannot be used when the entries go to standard output".to_owned(),
            ));
        }
        Ok(Self {
            repository: repository(&args.local.repository, environment)?,
            identities: identities(&args.identity, environment)?,
            after,
            until: args.until,
            file,
        })
    }
}

/// A repository whose state is told.
#[derive(Debug)]
pub(crate) struct StatusRequest {
    pub(crate) repository: Location,
    pub(crate) max_lag_seconds: Option<i64>,
    pub(crate) max_age_seconds: Option<i64>,
    /// What would be kept; it may say nothing.
    pub(crate) policy: RetentionPolicy,
}

impl StatusRequest {
    /// Follows a command line.
    pub(crate) fn new(args: &StatusArgs, environment: &Environment) -> Result<Self, Refusal> {
        let seconds = |most: Duration| i64::try_from(most.as_secs()).unwrap_or(i64::MAX);
        Ok(Self {
            repository: repository(&args.local.repository, environment)?,
            max_lag_seconds: args.max_lag.map(seconds),
            max_age_seconds: args.max_age.map(seconds),
            policy: policy(&args.policy),
        })
    }
}

/// A record that is shown and checked.
#[derive(Debug)]
pub(crate) struct AuditRequest {
    pub(crate) repository: Location,
    /// The second since 1970 from which on entries are shown.
    pub(crate) since: Option<i64>,
    pub(crate) expected: Option<Digest>,
}

impl AuditRequest {
    /// Follows a command line.
    pub(crate) fn new(args: &AuditArgs, environment: &Environment) -> Result<Self, Refusal> {
        Ok(Self {
            repository: repository(&args.local.repository, environment)?,
            since: args.since,
            expected: args.expect,
        })
    }
}

/// The repository that a command is about.
pub(crate) fn repository(
    args: &RepositoryArgs,
    environment: &Environment,
) -> Result<Location, Refusal> {
    place("--repo", &text(args, environment)?, args)
}

/// The repository that a command writes to.
fn writable(
    args: &RepositoryArgs,
    s3_write: &S3WriteArgs,
    environment: &Environment,
) -> Result<Location, Refusal> {
    let mut repository = repository(args, environment)?;
    for (flag, name, value) in s3_write.given() {
        let set = repository.set(name, &value);
        set.with_context(|| format!("--{flag}"))?;
    }
    Ok(repository)
}

/// A snapshot to be shown.
#[derive(Debug)]
pub(crate) struct ShowRequest {
    pub(crate) repository: Location,
    pub(crate) snapshot: String,
    pub(crate) identities: Option<Identities>,
}

impl ShowRequest {
    /// Follows a command line.
    pub(crate) fn new(args: &ShowArgs, environment: &Environment) -> Result<Self, Refusal> {
        Ok(Self {
            repository: repository(&args.local.repository, environment)?,
            snapshot: args.snapshot.clone(),
            identities: identities(&args.identity, environment)?,
        })
    }
}

/// Snapshots whose keys are wrapped anew.
#[derive(Debug)]
pub(crate) struct RekeyRequest {
    pub(crate) repository: Location,
    /// All that are encrypted, if none is named.
    pub(crate) snapshots: Vec<String>,
    pub(crate) identities: Identities,
    pub(crate) recipients: Recipients,
}

impl RekeyRequest {
    /// Follows a command line.
    pub(crate) fn new(args: &RekeyArgs, environment: &Environment) -> Result<Self, Refusal> {
        if args.all != args.snapshots.is_empty() {
            return Err(Refusal::Usage(
                "name the snapshots, or all of them by --all".to_owned(),
            ));
        }
        let repository = repository(&args.local.repository, environment)?;
        let identities = identities(&args.identity, environment)?;
        let identities = identities.ok_or_else(|| {
            Refusal::Usage(
                "say what opens the snapshots now, by --identity or --passphrase-file".to_owned(),
            )
        })?;
        Ok(Self {
            repository,
            snapshots: args.snapshots.clone(),
            identities,
            recipients: new_recipients(args, environment)?,
        })
    }
}

/// A snapshot that becomes a folder.
#[derive(Debug)]
pub(crate) struct ExportRequest {
    pub(crate) repository: Location,
    pub(crate) snapshot: String,
    pub(crate) folder: Location,
    pub(crate) compression: Compression,
    pub(crate) identities: Option<Identities>,
}

impl ExportRequest {
    /// Follows a command line.
    pub(crate) fn new(args: &ExportArgs, environment: &Environment) -> Result<Self, Refusal> {
        Ok(Self {
            repository: repository(&args.local.repository, environment)?,
            snapshot: args.snapshot.clone(),
            folder: args
                .folder
                .parse()
                .context("FOLDER")
                .map_err(Refusal::Failed)?,
            compression: args.compress.unwrap_or_default(),
            identities: identities(&args.identity, environment)?,
        })
    }
}

/// A folder or an archive that becomes a snapshot.
#[derive(Debug)]
pub(crate) struct ImportRequest {
    pub(crate) repository: Location,
    pub(crate) dump: Location,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) compression: Compression,
    pub(crate) no_lock: bool,
    pub(crate) recipients: Option<Recipients>,
}

impl ImportRequest {
    /// Follows a command line.
    pub(crate) fn new(args: &ImportArgs, environment: &Environment) -> Result<Self, Refusal> {
        Ok(Self {
            repository: writable(&args.local.repository, &args.s3_write, environment)?,
            dump: args
                .dump
                .parse()
                .context("FOLDER")
                .map_err(Refusal::Failed)?,
            tags: tags(&args.tags)?,
            compression: args.compress.unwrap_or(Compression::ZSTD),
            no_lock: args.lease.no_lock,
            recipients: recipients(&args.recipients, &args.passphrase, environment)?,
        })
    }
}

/// A snapshot that becomes one stream.
#[derive(Debug)]
pub(crate) struct BundleRequest {
    pub(crate) repository: Location,
    pub(crate) snapshot: String,
    /// Where it goes; `None` is standard output.
    pub(crate) file: Option<Location>,
}

impl BundleRequest {
    /// Follows a command line.
    pub(crate) fn new(args: &BundleArgs, environment: &Environment) -> Result<Self, Refusal> {
        let file = file(&args.file)?;
        if file.is_none() && args.local.repository.json {
            return Err(Refusal::Usage(
                "--json prints where the bundle goes: name a FILE".to_owned(),
            ));
        }
        Ok(Self {
            repository: repository(&args.local.repository, environment)?,
            snapshot: args.snapshot.clone(),
            file,
        })
    }
}

/// A stream that becomes a snapshot.
#[derive(Debug)]
pub(crate) struct UnbundleRequest {
    pub(crate) repository: Location,
    /// Where it comes from; `None` is standard input.
    pub(crate) file: Option<Location>,
}

impl UnbundleRequest {
    /// Follows a command line.
    pub(crate) fn new(args: &UnbundleArgs, environment: &Environment) -> Result<Self, Refusal> {
        Ok(Self {
            repository: writable(&args.local.repository, &args.s3_write, environment)?,
            file: file(&args.file)?,
        })
    }
}

/// The file of a bundle; `None` if it is standard input or output.
fn file(text: &str) -> Result<Option<Location>, Refusal> {
    match text {
        STANDARD => Ok(None),
        text if is_like_uri(text) => Err(Refusal::Usage(
            "FILE is a file or s3://bucket/key, not a connection string".to_owned(),
        )),
        text => text
            .parse()
            .context("FILE")
            .map_err(Refusal::Failed)
            .map(Some),
    }
}

/// What `rdump verify` is about.
#[derive(Debug)]
pub(crate) enum Verified {
    /// A folder, or a repository if it turns out to be one, all of it or the newest snapshot.
    Place(Location, bool, SnapshotVerifyOptions),
    /// A snapshot of a repository; all if none is named.
    Snapshot(Location, Option<String>, SnapshotVerifyOptions),
}

/// What `rdump verify` is about, after its command line.
pub(crate) fn verified(args: &VerifyArgs, environment: &Environment) -> Result<Verified, Refusal> {
    let options = SnapshotVerifyOptions::default()
        .sample(args.sample)
        .deep(args.deep);
    let repository_args = &args.local.repository;
    let what = args.what.as_deref().filter(|what| !what.is_empty());
    // Where only the environment names a repository, what looks like no snapshot is a folder.
    let is_snapshot = |what: &str| what == "latest" || what.parse::<rdump::SnapshotId>().is_ok();
    if args.all && what.is_some_and(|what| repository_args.repo.is_some() || is_snapshot(what)) {
        return Err(Refusal::Usage(
            "--all and a snapshot contradict each other".to_owned(),
        ));
    }
    match what {
        Some(what) if repository_args.repo.is_none() && !is_snapshot(what) => {
            let place = place("FOLDER", what, repository_args)?;
            Ok(Verified::Place(place, args.all, options))
        }
        what => {
            if repository_args.repo.is_none() && environment.repository.is_none() {
                return Err(Refusal::Usage(
                    "name the folder of a dump, or a repository by --repo or RDUMP_REPO".to_owned(),
                ));
            }
            let repository = repository(repository_args, environment)?;
            let snapshot = match args.all {
                true => None,
                false => Some(what.unwrap_or("latest").to_owned()),
            };
            Ok(Verified::Snapshot(repository, snapshot, options))
        }
    }
}

fn text(args: &RepositoryArgs, environment: &Environment) -> Result<String, Refusal> {
    let text = args.repo.clone().or(environment.repository.clone());
    match text {
        Some(text) if text == STANDARD => Err(Refusal::Usage(
            "a repository is a folder or s3://bucket/prefix".to_owned(),
        )),
        Some(text) if is_like_uri(&text) => Err(Refusal::Usage(
            "--repo is a folder or s3://bucket/prefix, not a connection string".to_owned(),
        )),
        Some(text) => Ok(text),
        None => Err(Refusal::Usage(
            "name the repository by --repo or RDUMP_REPO".to_owned(),
        )),
    }
}

fn place(name: &'static str, text: &str, args: &RepositoryArgs) -> Result<Location, Refusal> {
    if is_like_uri(text) {
        return Err(Refusal::Usage(format!(
            "{name} is the place of a dump, not a connection string"
        )));
    }
    let mut location: Location = text.parse().context(name).map_err(Refusal::Failed)?;
    for (flag, name, value) in args.s3.given() {
        let set = location.set(name, &value);
        set.with_context(|| format!("--{flag}"))?;
    }
    Ok(location)
}

fn tags(texts: &[String]) -> Result<BTreeMap<String, String>, Refusal> {
    let mut tags = BTreeMap::new();
    for text in texts {
        let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
        let Some((key, value)) = pair else {
            return Err(Refusal::Usage(format!("--tag {text}: a tag is KEY=VALUE")));
        };
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(Refusal::Usage(format!("--tag {key} is given twice")));
        }
    }
    Ok(tags)
}
