use anyhow::Context;
use rdump::Location;

use super::{Environment, Refusal, is_like_uri};
use crate::args::CopyArgs;

/// What is copied from where to where.
#[derive(Debug)]
pub(crate) struct CopyRequest {
    pub(crate) from: Location,
    pub(crate) to: Location,
    pub(crate) chosen: Chosen,
    pub(crate) timeline: bool,
    pub(crate) server_side: bool,
    pub(crate) no_lock: bool,
}

/// The snapshots that are copied.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Chosen {
    All,
    /// In seconds since 1970.
    Since(i64),
    /// As they were named.
    Named(Vec<String>),
}

impl CopyRequest {
    /// Follows a command line.
    pub(crate) fn new(args: &CopyArgs, environment: &Environment) -> Result<Self, Refusal> {
        let from = args.from.clone().or(environment.repository.clone());
        let from = place("--from", from)?;
        let mut to = place("--to", args.to.clone())?;
        if let Some(class) = &args.storage_class {
            let set = to.set("storage-class", class);
            set.context("--storage-class")?;
        }
        let chosen = match (args.all, args.since) {
            (true, _) => Chosen::All,
            (false, Some(since)) => Chosen::Since(since),
            (false, None) if args.snapshots.is_empty() => Chosen::Named(vec!["latest".to_owned()]),
            (false, None) => Chosen::Named(args.snapshots.clone()),
        };
        Ok(Self {
            from,
            to,
            chosen,
            timeline: args.timeline,
            server_side: args.server_side,
            no_lock: args.lease.no_lock,
        })
    }
}

fn place(name: &'static str, text: Option<String>) -> Result<Location, Refusal> {
    let Some(text) = text else {
        return Err(Refusal::Usage(format!(
            "name the repository by {name}, a folder or s3://bucket/prefix"
        )));
    };
    if is_like_uri(&text) {
        return Err(Refusal::Usage(format!(
            "{name} is a folder or s3://bucket/prefix, not a connection string"
        )));
    }
    text.parse().context(name).map_err(Refusal::Failed)
}
