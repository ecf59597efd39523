//! rdump's options.

use std::fs;

use anyhow::Context;
use rdump::{Compression, ConnectOptions, DumpOptions, Selector};

use super::{
    Environment, Refusal, connect, medium::Output, parallelism, patterns, positional::Positional,
    read_preference, refused,
};
use crate::args::DumpArgs;

/// Everything that a dump needs, checked as far as it can be without a server.
#[derive(Debug)]
pub(crate) struct DumpRequest {
    pub(crate) connect: ConnectOptions,
    pub(crate) options: DumpOptions,
    pub(crate) output: Output,
    pub(crate) dry_run: bool,
    /// What a person should read before it starts.
    pub(crate) warnings: Vec<String>,
}

impl DumpRequest {
    /// Follows a command line.
    pub(crate) fn new(args: &DumpArgs, environment: &Environment) -> Result<Self, Refusal> {
        refused::check_dump(args)?;
        let uri = Positional::sort(&args.positional)?.only_uri()?;
        let (connect, warnings) =
            connect::connect_options(&args.connection, args.db.as_deref(), uri, environment)?;
        let plan = connect.plan()?;
        let db = plan.database().map(str::to_owned);
        check(args, db.is_some())?;

        let mut options = DumpOptions::default();
        options.db = db;
        options.collection = args.collection.clone().filter(|name| !name.is_empty());
        options
            .exclude_collections
            .clone_from(&args.exclude_collection);
        options
            .exclude_collections_with_prefix
            .clone_from(&args.exclude_collections_with_prefix);
        options.select = select(args)?;
        options.views_as_collections = args.views_as_collections;
        options.users_and_roles = args.dump_db_users_and_roles;
        options.query = query(args)?;
        options.read_preference = match &args.read_preference {
            Some(text) => Some(read_preference::parse(text)?),
            None => plan.read_preference(),
        };
        options.compression = compression(args)?;
        if let Some(collections) =
            parallelism("numParallelCollections", args.num_parallel_collections)?
        {
            options.parallel_collections = collections;
        }
        options.partitions = args.partitions.unwrap_or(options.partitions);
        options.limit_bytes_per_second = args.limit_rate;
        options.max_retries = args.max_retries.unwrap_or(options.max_retries);

        let out = args.out.as_deref().filter(|out| !out.is_empty());
        let output =
            match &args.archive {
                Some(archive) => Output::archive(archive, options.compression.codec())?,
                None => Output::Folder(out.unwrap_or("dump").parse().map_err(|error| {
                    Refusal::Option(anyhow::Error::new(error).context("--out"))
                })?),
            };
        Ok(Self {
            connect,
            options,
            output,
            dry_run: args.dry_run,
            warnings,
        })
    }
}

/// What goes together, in mongodump's words.
fn check(args: &DumpArgs, has_db: bool) -> Result<(), Refusal> {
    let has_collection = args
        .collection
        .as_deref()
        .is_some_and(|name| !name.is_empty());
    let (query, query_file) = (is_query(args), args.query_file.is_some());
    let excludes = [
        ("excludeCollection", !args.exclude_collection.is_empty()),
        (
            "excludeCollectionsWithPrefix",
            !args.exclude_collections_with_prefix.is_empty(),
        ),
    ];
    let refuse = |message: &str| Err(Refusal::bad_option(message));
    let has_out = args.out.as_deref().is_some_and(|out| !out.is_empty());
    if has_out && args.archive.is_some() {
        return refuse("--out not allowed when --archive is specified");
    }
    let to_stdout = matches!(args.archive.as_deref(), Some("-" | ""));
    if to_stdout && args.report.json {
        return refuse("--json cannot be used when --archive writes to standard output");
    }
    if args.dump_db_users_and_roles && !has_db {
        return refuse("must specify a database when running with dumpDbUsersAndRoles");
    }
    if args.dump_db_users_and_roles && has_collection {
        return refuse("cannot specify a collection when running with dumpDbUsersAndRoles");
    }
    if has_collection && !has_db {
        return refuse("cannot dump a collection without a specified database");
    }
    if query && query_file {
        return refuse("either query or queryFile can be specified as a query option, not both");
    }
    if query && !has_collection {
        return refuse("cannot dump using a query without a specified collection");
    }
    if query_file && !has_collection {
        return refuse("cannot dump using a queryFile without a specified collection");
    }
    if query && args.force_table_scan {
        return refuse("cannot use --forceTableScan when specifying --query");
    }
    for (flag, _) in excludes.iter().filter(|(_, given)| *given) {
        if !has_db {
            return refuse(&format!("--db is required when --{flag} is specified"));
        }
        if has_collection {
            return refuse(&format!(
                "--collection is not allowed when --{flag} is specified"
            ));
        }
    }
    Ok(())
}

fn is_query(args: &DumpArgs) -> bool {
    args.query.as_deref().is_some_and(|query| !query.is_empty())
}

fn query(args: &DumpArgs) -> Result<Option<String>, Refusal> {
    if is_query(args) {
        return Ok(args.query.clone());
    }
    let Some(path) = &args.query_file else {
        return Ok(None);
    };
    let query = fs::read_to_string(path)
        .with_context(|| format!("cannot read --queryFile {}", path.display()));
    query.map(Some).map_err(Refusal::Option)
}

fn select(args: &DumpArgs) -> Result<Selector, Refusal> {
    Ok(Selector {
        include: patterns("nsInclude", &args.ns_include)?,
        exclude: patterns("nsExclude", &args.ns_exclude)?,
    })
}

fn compression(args: &DumpArgs) -> Result<Compression, Refusal> {
    match (args.gzip, args.compress) {
        (true, None) => Ok(Compression::GZIP),
        (true, Some(gzip @ Compression::Gzip { .. })) => Ok(gzip),
        (true, Some(other)) => Err(Refusal::bad_option(format_args!(
            "--gzip and --compress {other} contradict each other"
        ))),
        (false, given) => Ok(given.unwrap_or_default()),
    }
}
