//! Drills and comparisons.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::Context;
use rdump::{ConnectOptions, Identities, Location, RestorePoint, Secret, Selector};

use super::{
    Environment, Refusal, connect::Connection, identities, patterns, positional::Positional,
    refused, repository, restore::point,
};
use crate::args::{CompareArgs, DrillArgs, PatternArgs};

/// What is restored for practice, and where.
#[derive(Debug)]
pub(crate) struct DrillRequest {
    pub(crate) repository: Location,
    pub(crate) identities: Option<Identities>,
    pub(crate) scratch: Scratch,
    pub(crate) what: DrillChoice,
    pub(crate) select: Selector,
    pub(crate) keep: bool,
    /// Where the report goes, without an extension.
    pub(crate) report: Option<PathBuf>,
    pub(crate) max_rto: Option<Duration>,
    pub(crate) max_rpo: Option<Duration>,
    pub(crate) warnings: Vec<String>,
}

/// Where it is restored to.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of it")]
pub(crate) enum Scratch {
    Deployment(ConnectOptions),
    /// A server that is started, and the folder that it gets one in.
    Mongod(PathBuf, PathBuf),
}

/// What is restored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DrillChoice {
    Random,
    /// As it was named.
    Named(String),
    Moment(RestorePoint),
}

impl DrillRequest {
    /// Follows a command line.
    pub(crate) fn new(args: &DrillArgs, environment: &Environment) -> Result<Self, Refusal> {
        let Positional { uri, others } = Positional::sort(&args.tool.positional)?;
        let mut named = args.repository.clone();
        match (others.as_slice(), &named.repo) {
            ([], _) => {}
            ([location], None) => named.repo = Some(location.clone()),
            _ => {
                return Err(Refusal::Usage(
                    "name the repository once, as an argument or by --repo".to_owned(),
                ));
            }
        }
        let what = match (point(&args.point)?, args.snapshot.as_deref()) {
            (Some(_), Some(_)) => {
                return Err(Refusal::Usage(
                    "a drill restores a snapshot or a moment: --snapshot, or --to-time, --to-optime or --to"
                        .to_owned(),
                ));
            }
            (Some(point), None) => DrillChoice::Moment(point),
            (None, Some("random")) => DrillChoice::Random,
            (None, named) => DrillChoice::Named(named.unwrap_or("latest").to_owned()),
        };
        // That of the source is no scratch deployment.
        let without_uri = Environment {
            uri: environment.scratch_uri.clone(),
            ..environment.clone()
        };
        let is_named = uri.is_some()
            || args.tool.uri.uri.is_some()
            || args.tool.general.config.is_some()
            || args.tool.connection.server.host.is_some()
            || args.tool.connection.server.port.is_some();
        let mut warnings = Vec::new();
        let scratch = match &args.mongod {
            Some(_) if is_named => {
                return Err(Refusal::Usage(
                    "name a scratch deployment (--uri) or a server to start (--mongod), not both"
                        .to_owned(),
                ));
            }
            Some(mongod) => {
                let folder = args.mongod_folder.clone();
                Scratch::Mongod(mongod.clone(), folder.unwrap_or_else(std::env::temp_dir))
            }
            None if !is_named && without_uri.uri.is_none() => {
                return Err(Refusal::Usage(
                    "name a scratch deployment (--uri, RDUMP_SCRATCH_URI) or a server to start (--mongod)"
                        .to_owned(),
                ));
            }
            None => {
                let connection = Connection::new((&args.tool, &args.flavor), uri, &without_uri)?;
                refused::check(&args.tool.general, &args.tool.connection)?;
                warnings = connection.warnings;
                Scratch::Deployment(connection.options)
            }
        };
        if args.tool.namespace.db.is_some() || args.tool.namespace.collection.is_some() {
            return Err(Refusal::Usage(
                "say what of the backup is restored by --nsInclude".to_owned(),
            ));
        }
        Ok(Self {
            repository: repository(&named, environment)?,
            identities: identities(&args.identity, environment)?,
            scratch,
            what,
            select: select(&args.patterns)?,
            keep: args.keep,
            report: args.report.as_ref().map(|file| base(file.clone())),
            max_rto: args.max_rto,
            max_rpo: args.max_rpo,
            warnings,
        })
    }
}

/// A path without the extensions that are added to it.
fn base(mut file: PathBuf) -> PathBuf {
    let extension = file.extension();
    if extension.is_some_and(|it| it == "json" || it == "html") {
        file.set_extension("");
    }
    file
}

fn select(args: &PatternArgs) -> Result<Selector, Refusal> {
    Ok(Selector {
        include: patterns("nsInclude", &args.ns_include)?,
        exclude: patterns("nsExclude", &args.ns_exclude)?,
    })
}

/// What is compared.
#[derive(Debug)]
pub(crate) struct CompareRequest {
    pub(crate) expected: ConnectOptions,
    pub(crate) actual: ConnectOptions,
    pub(crate) select: Selector,
}

impl CompareRequest {
    /// Follows a command line.
    pub(crate) fn new(args: &CompareArgs) -> Result<Self, Refusal> {
        Ok(Self {
            expected: deployment(&args.expected)?,
            actual: deployment(&args.actual)?,
            select: select(&args.patterns)?,
        })
    }
}

/// A deployment by its connection string, or by the file that has it.
fn deployment(named: &Secret) -> Result<ConnectOptions, Refusal> {
    let uri = match named.reveal().strip_prefix('@') {
        Some(file) => {
            let read = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
            Secret::from(read.trim().to_owned())
        }
        None => named.clone(),
    };
    let mut options = ConnectOptions::default();
    options.uri = Some(uri);
    Ok(options)
}
