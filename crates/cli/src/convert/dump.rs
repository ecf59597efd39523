//! rdump's options.

use std::{fs, path::PathBuf};

use anyhow::Context;
use rdump::{Compression, ConnectOptions, Consistency, DumpOptions, Selector};

use super::{
    Environment, Refusal,
    connect::Connection,
    filled, filled_path,
    medium::{Output, STANDARD},
    parallelism, patterns,
    positional::Positional,
    read_preference, refused,
};
use crate::args::{DumpArgs, PatternArgs};

/// Everything that a dump needs, checked as far as it can be without a server.
#[derive(Debug)]
pub(crate) struct DumpRequest {
    pub(crate) connect: ConnectOptions,
    pub(crate) options: DumpOptions,
    pub(crate) output: Output,
    /// Whether a dump that is there may be replaced.
    pub(crate) overwrite: bool,
    /// A file that has to exist before anything is read.
    pub(crate) barrier: Option<PathBuf>,
    pub(crate) dry_run: bool,
    /// What a person should read before it starts.
    pub(crate) warnings: Vec<String>,
}

impl DumpRequest {
    /// Follows a command line. Where it makes no sense as one is found first.
    pub(crate) fn new(args: &DumpArgs, environment: &Environment) -> Result<Self, Refusal> {
        let uri = Positional::sort(&args.tool.positional)?.only_uri()?;
        let Connection {
            options: connect,
            plan,
            warnings,
        } = Connection::new((&args.tool, &args.own.flavor), uri, environment)?;
        let db = plan.database().map(str::to_owned);
        let read_preference = match filled(args.query.read_preference.as_ref()) {
            Some(text) => Some(read_preference::parse(text)?),
            None => plan.read_preference(),
        };
        check(args, db.is_some())?;
        refused::check(&args.tool.general, &args.tool.connection)?;

        let mut options = DumpOptions::default();
        options.db = db;
        options.collection = args.tool.namespace.collection().map(str::to_owned);
        let exclude = &args.output.exclude;
        options
            .exclude_collections
            .clone_from(&exclude.exclude_collection);
        options
            .exclude_collections_with_prefix
            .clone_from(&exclude.exclude_collections_with_prefix);
        options.select = select(&args.patterns)?;
        options.views_as_collections = args.output.views_as_collections;
        options.users_and_roles = args.output.dump_db_users_and_roles;
        options.consistency = consistency(args)?;
        options.query = query(args)?;
        options.read_preference = read_preference;
        options.compression = compression(args)?;
        let parallel = args.output.parallel.num_parallel_collections;
        if let Some(collections) = parallelism("numParallelCollections", parallel)? {
            options.parallel_collections = collections;
        }
        options.partitions = args.partitions.unwrap_or(options.partitions);
        options.limit_bytes_per_second = args.limit_rate;
        options.max_retries = args.own.max_retries.unwrap_or(options.max_retries);

        let output = match args.output.archive.place() {
            Some(archive) => Output::archive(archive, options.compression.codec())?,
            None => Output::out(filled(args.output.out.as_ref()).unwrap_or("dump"))?,
        };
        let output = output.with_options(&args.s3.given())?;
        let output = output.with_options(&args.s3_write.given())?;
        let overwrite = args.overwrite || output.is_replaced_by_mongodump();
        let barrier = args.query.internal_only_source_writes_done_barrier.as_ref();
        Ok(Self {
            connect,
            options,
            output,
            overwrite,
            barrier: filled_path(barrier).cloned(),
            dry_run: args.dry_run,
            warnings,
        })
    }
}

/// What goes together, in mongodump's words and order.
fn check(args: &DumpArgs, has_db: bool) -> Result<(), Refusal> {
    let collection = args.tool.namespace.collection();
    let has_collection = collection.is_some();
    let is_bucket = collection.is_some_and(|name| name.starts_with("system.buckets."));
    let output = &args.output;
    let out = filled(output.out.as_ref());
    let to_stdout = out == Some(STANDARD);
    let query = filled(args.query.query.as_ref()).is_some();
    let query_file = filled_path(args.query.query_file.as_ref()).is_some();
    let exclude = !output.exclude.exclude_collection.is_empty();
    let exclude_prefix = !output.exclude.exclude_collections_with_prefix.is_empty();
    let patterns = !args.patterns.ns_include.is_empty() || !args.patterns.ns_exclude.is_empty();
    let contradictions = [
        (
            to_stdout && !has_collection,
            "can only dump a single collection to stdout",
        ),
        (
            !has_db && has_collection,
            "cannot dump a collection without a specified database",
        ),
        (
            query && !has_collection,
            "cannot dump using a query without a specified collection",
        ),
        (
            query_file && !has_collection,
            "cannot dump using a queryFile without a specified collection",
        ),
        (
            query && query_file,
            "either query or queryFile can be specified as a query option, not both",
        ),
        (
            query && args.query.force_table_scan,
            "cannot use --forceTableScan when specifying --query",
        ),
        (
            output.dump_db_users_and_roles && !has_db,
            "must specify a database when running with dumpDbUsersAndRoles",
        ),
        (
            output.dump_db_users_and_roles && has_collection,
            "cannot specify a collection when running with dumpDbUsersAndRoles",
        ),
        (
            is_bucket,
            "cannot specify a system.buckets collection in --collection. Specifying the timeseries collection will dump \
             the system.buckets collection",
        ),
        (
            output.oplog && (has_db || patterns),
            "--oplog mode only supported on full dumps",
        ),
        (
            exclude && has_collection,
            "--collection is not allowed when --excludeCollection is specified",
        ),
        (
            exclude_prefix && has_collection,
            "--collection is not allowed when --excludeCollectionsWithPrefix is specified",
        ),
        (
            exclude && !has_db,
            "--db is required when --excludeCollection is specified",
        ),
        (
            exclude_prefix && !has_db,
            "--db is required when --excludeCollectionsWithPrefix is specified",
        ),
        (
            out.is_some() && output.archive.place().is_some(),
            "--out not allowed when --archive is specified",
        ),
        (
            output.archive.place() == Some(STANDARD) && args.own.json,
            "--json cannot be used when --archive writes to standard output",
        ),
        (
            to_stdout && args.own.json,
            "--json cannot be used when --out writes to standard output",
        ),
        (
            to_stdout && output.gzip,
            "compression can't be used when dumping a single collection to standard output",
        ),
    ];
    Refusal::unless_none(&contradictions)
}

fn query(args: &DumpArgs) -> Result<Option<String>, Refusal> {
    if let Some(query) = filled(args.query.query.as_ref()) {
        return Ok(Some(query.to_owned()));
    }
    let Some(path) = filled_path(args.query.query_file.as_ref()) else {
        return Ok(None);
    };
    let query = fs::read_to_string(path)
        .with_context(|| format!("error reading queryFile {}", path.display()));
    query.map(Some).map_err(Refusal::Failed)
}

fn select(args: &PatternArgs) -> Result<Selector, Refusal> {
    Ok(Selector {
        include: patterns("nsInclude", &args.ns_include)?,
        exclude: patterns("nsExclude", &args.ns_exclude)?,
    })
}

fn consistency(args: &DumpArgs) -> Result<Consistency, Refusal> {
    match (args.output.oplog, args.consistency) {
        (true, None | Some(Consistency::Oplog)) => Ok(Consistency::Oplog),
        (true, Some(other)) => Err(Refusal::bad_option(format_args!(
            "--oplog and --consistency {other} contradict each other"
        ))),
        (false, given) => Ok(given.unwrap_or_default()),
    }
}

fn compression(args: &DumpArgs) -> Result<Compression, Refusal> {
    match (args.output.gzip, args.compress) {
        (true, None) => Ok(Compression::GZIP),
        (true, Some(gzip @ Compression::Gzip { .. })) => Ok(gzip),
        (true, Some(other)) => Err(Refusal::bad_option(format_args!(
            "--gzip and --compress {other} contradict each other"
        ))),
        (false, given) => Ok(given.unwrap_or_default()),
    }
}
