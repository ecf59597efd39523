//! rrestore's options.

use rdump::{
    ConnectOptions, FolderReaderOptions, Identities, Namespace, OnConflict, OpTimeLimit, Pattern,
    RestoreOptions, RestorePoint, Selector,
};

use super::{
    Environment, Refusal,
    connect::Connection,
    filled, identities,
    medium::{Input, STANDARD},
    parallelism, patterns,
    positional::{self, Positional, is_like_uri},
    refused, write_concern,
};
use crate::{
    args::{PointArgs, RestoreArgs},
    prompt::Stdin,
};

/// Everything that a restore needs, checked as far as it can be without a server.
#[derive(Debug)]
pub(crate) struct RestoreRequest {
    pub(crate) connect: ConnectOptions,
    pub(crate) options: RestoreOptions,
    pub(crate) reader: FolderReaderOptions,
    pub(crate) input: Input,
    pub(crate) stdin: Stdin,
    /// The snapshot, if the dump is a repository.
    pub(crate) snapshot: Option<String>,
    /// The moment to go to, if not that of the snapshot.
    pub(crate) point: Option<RestorePoint>,
    /// What opens it.
    pub(crate) identities: Option<Identities>,
    /// What is done where there are documents, if that was said.
    pub(crate) on_conflict: Option<OnConflict>,
    pub(crate) dry_run: bool,
    /// What a person should read before it starts.
    pub(crate) warnings: Vec<String>,
}

impl RestoreRequest {
    /// Follows a command line. Where it makes no sense as one is found first.
    pub(crate) fn new(args: &RestoreArgs, environment: &Environment) -> Result<Self, Refusal> {
        let Positional { uri, others } = Positional::sort(&args.tool.positional)?;
        let given = target(args, others)?;
        let Connection {
            options: connect,
            plan,
            mut warnings,
        } = Connection::new((&args.tool, &args.own.flavor), uri, environment)?;
        let db = plan.database().map(str::to_owned);
        let collection = args.tool.namespace.collection().map(str::to_owned);
        let write_concern = match filled(args.target.write_concern.as_ref()) {
            Some(text) => write_concern::parse(text)?,
            None => plan.write_concern().unwrap_or_default(),
        };
        check(args, db.as_deref(), given.as_deref())?;
        refused::check(&args.tool.general, &args.tool.connection)?;

        let stdin = stdin(args, given.as_deref());
        let text = given.as_deref().unwrap_or("dump");
        warnings.extend(notices(args, db.is_some(), given.as_deref()));
        let input = match args.input.archive.place() {
            // As with mongorestore, a folder that is named beside it says nothing.
            Some(archive) => Input::archive(archive, args.input.gzip)?,
            None => match (text, &db, &collection) {
                (STANDARD, Some(db), Some(collection)) => {
                    Input::DocumentsFromStdin(Namespace::new(db, collection))
                }
                (STANDARD, ..) => Input::BundleFromStdin,
                _ => Input::Folder(
                    text.parse()
                        .map_err(|error| Refusal::Failed(anyhow::Error::new(error)))?,
                ),
            },
        };

        let input = input.with_options(&args.s3.given())?;

        let mut options = RestoreOptions::default();
        let mut reader = FolderReaderOptions::default();
        reader.db.clone_from(&db);
        reader.collection.clone_from(&collection);
        reader.gzip = args.input.gzip;
        options.db = db;
        options.collection = collection;
        options.users_and_roles = args.input.restore_db_users_and_roles;
        if let Some(name) = filled(args.target.temp_users_coll.as_ref()) {
            options.temporary_users_collection = name.to_owned();
        }
        if let Some(name) = filled(args.target.temp_roles_coll.as_ref()) {
            options.temporary_roles_collection = name.to_owned();
        }
        options.select = select(args)?;
        reader.select = options.select.clone();
        if options.db.is_some() {
            // What is named is selected too.
            reader.select.include.clear();
        }
        options.rename_from.clone_from(&args.rename.ns_from);
        options.rename_to.clone_from(&args.rename.ns_to);
        options.oplog_replay = args.input.oplog_replay;
        options.oplog_file = filled(args.input.oplog_file.as_ref()).map(Into::into);
        reader.may_be_empty = options.oplog_file.is_some();
        options.oplog_limit = oplog_limit(args)?;
        options.skip_unknown_oplog_entries = args.skip_unknown_oplog_entries;
        options.validate_documents = args.input.objcheck;
        options.write_concern = write_concern;
        let target = &args.target;
        options.drop = target.drop;
        options.on_conflict = args.on_conflict.unwrap_or_default();
        options.resume = args.resume;
        options.no_index_restore = target.no_index_restore;
        options.no_options_restore = target.no_options_restore;
        options.keep_index_version = target.keep_index_version;
        options.convert_legacy_indexes = target.convert_legacy_indexes;
        options.fix_dotted_hashed_indexes = target.fix_dotted_hash_index;
        options.preserve_uuid = target.preserve_uuid;
        options.bypass_document_validation = target.bypass_document_validation;
        options.maintain_insertion_order = target.maintain_insertion_order;
        options.stop_on_error = target.stop_on_error;
        // mongorestore takes 0 for one after the other.
        let collections = target.parallel.num_parallel_collections;
        let collections = collections.map(|number| if number == 0 { 1 } else { number });
        if let Some(collections) = parallelism("numParallelCollections", collections)? {
            options.parallel_collections = collections;
        }
        let workers = target.num_insertion_workers_per_collection;
        if let Some(workers) = parallelism("numInsertionWorkersPerCollection", workers)? {
            options.insertion_workers = workers;
        }
        if let Some(documents) = parallelism("batchSize", target.batch_size)? {
            options.batch_documents = documents;
        }
        options.batch_bytes = args.batch_bytes.unwrap_or(options.batch_bytes);
        options.max_problems = args.max_problems.unwrap_or(options.max_problems);
        options.max_retries = args.own.max_retries.unwrap_or(options.max_retries);
        Ok(Self {
            connect,
            options,
            reader,
            input,
            stdin,
            snapshot: filled(args.snapshot.as_ref()).map(str::to_owned),
            point: point(&args.point)?,
            identities: identities(&args.identity, environment)?,
            on_conflict: args.on_conflict,
            dry_run: target.dry_run,
            warnings,
        })
    }
}

pub(super) fn point(args: &PointArgs) -> Result<Option<RestorePoint>, Refusal> {
    let points = [
        args.to_time.map(RestorePoint::EndOf),
        args.to_optime.map(RestorePoint::At),
        args.to.as_ref().map(|_| RestorePoint::Latest),
    ];
    let mut points = points.into_iter().flatten();
    match (points.next(), points.next()) {
        (point, None) => Ok(point),
        (_, Some(_)) => Err(Refusal::Usage(
            "a restore goes to one moment: --to-time, --to-optime or --to".to_owned(),
        )),
    }
}

/// The dump that is named, by a positional argument or `--dir`.
fn target(args: &RestoreArgs, positional: Vec<String>) -> Result<Option<String>, Refusal> {
    let dir = filled(args.input.dir.as_ref()).map(str::to_owned);
    if dir.as_deref().is_some_and(is_like_uri) {
        return Err(Refusal::bad_option(
            "--dir is the folder of a dump, not a connection string",
        ));
    }
    match (&positional[..], dir) {
        ([], dir) => Ok(dir),
        ([one], None) => Ok(Some(one.clone())),
        ([_], Some(_)) => Err(positional::invalid(
            "cannot use both --dir and a positional argument to set the target directory",
        )),
        _ => Err(positional::invalid(
            "provide only one MongoDB connection string and only one dump. Connection strings must begin with mongodb:// \
             or mongodb+srv:// schemes",
        )),
    }
}

/// What standard input is for.
pub(super) fn stdin(args: &RestoreArgs, given: Option<&str>) -> Stdin {
    match (given, args.input.archive.place()) {
        (Some(STANDARD), _) | (_, Some(STANDARD)) => Stdin::Dump,
        _ => Stdin::Free,
    }
}

/// What goes together, in mongorestore's words.
fn check(args: &RestoreArgs, db: Option<&str>, given: Option<&str>) -> Result<(), Refusal> {
    let has_collection = args.tool.namespace.collection().is_some();
    let exclude = !args.exclude.exclude_collection.is_empty();
    let exclude_prefix = !args.exclude.exclude_collections_with_prefix.is_empty();
    let input = &args.input;
    let replay = input.oplog_replay;
    let limit = filled(input.oplog_limit.as_ref()).is_some();
    let oplog_file = filled(input.oplog_file.as_ref()).is_some();
    let archive = input.archive.place().is_some();
    let workers = args.target.num_insertion_workers_per_collection;
    let contradictions = [
        (
            args.on_conflict == Some(OnConflict::Skip) && args.target.drop,
            "cannot use --drop with --on-conflict skip: what is there is dropped or left, not both",
        ),
        (
            has_collection && db.is_none(),
            "cannot restore a collection without a specified database",
        ),
        (
            input.restore_db_users_and_roles && db.is_none(),
            "cannot use --restoreDbUsersAndRoles without a specified database",
        ),
        (
            input.restore_db_users_and_roles && db == Some("admin"),
            "cannot use --restoreDbUsersAndRoles with the admin database",
        ),
        (
            limit && !replay,
            "cannot use --oplogLimit without --oplogReplay enabled",
        ),
        (
            oplog_file && !replay,
            "cannot use --oplogFile without --oplogReplay enabled",
        ),
        (
            oplog_file && archive,
            "cannot use --oplogFile with --archive specified",
        ),
        (
            replay && (!args.patterns.ns_include.is_empty() || db.is_some()),
            "cannot use --oplogReplay with includes specified",
        ),
        (
            replay && (!args.patterns.ns_exclude.is_empty() || exclude || exclude_prefix),
            "cannot use --oplogReplay with excludes specified",
        ),
        (
            replay && !args.rename.ns_from.is_empty(),
            "cannot use --oplogReplay with namespace renames specified",
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
            args.rename.ns_from.len() != args.rename.ns_to.len(),
            "--nsFrom and --nsTo arguments must be specified an equal number of times",
        ),
        (
            workers.is_some_and(|workers| workers < 0),
            "cannot specify a negative number of insertion workers per collection",
        ),
        (
            args.target.preserve_uuid && !args.target.drop,
            "cannot specify --preserveUUID without --drop",
        ),
        (
            given == Some(STANDARD) && archive,
            "cannot restore from \"-\" when --archive is specified",
        ),
    ];
    Refusal::unless_none(&contradictions)?;
    let collection = args.tool.namespace.collection().unwrap_or_default();
    if let Some(illegal) = collection
        .chars()
        .find(|letter| ['$', '\0'].contains(letter))
    {
        return Err(Refusal::bad_option(format_args!(
            "invalid collection name: illegal character `{illegal}` found in `{collection}`"
        )));
    }
    Ok(())
}

/// The time before which entries are replayed.
fn oplog_limit(args: &RestoreArgs) -> Result<OpTimeLimit, Refusal> {
    let Some(text) = filled(args.input.oplog_limit.as_ref()) else {
        return Ok(OpTimeLimit::default());
    };
    text.parse().map_err(|error| {
        Refusal::bad_option(format_args!(
            "error parsing timestamp argument to --oplogLimit: {error}"
        ))
    })
}

/// What mongorestore says in any case before it starts.
fn notices(args: &RestoreArgs, has_db: bool, given: Option<&str>) -> Vec<String> {
    let mut notices = Vec::new();
    if has_db && !given.is_some_and(|given| given.ends_with(".bson")) {
        notices.push(
            "The --db and --collection flags are deprecated for this use-case. Please use --nsInclude instead, i.e. with \
             --nsInclude=\"${DATABASE}.${COLLECTION}\""
                .to_owned(),
        );
    }
    let exclude = &args.exclude;
    if !exclude.exclude_collection.is_empty() || !exclude.exclude_collections_with_prefix.is_empty()
    {
        notices.push(
            "the --excludeCollections and --excludeCollectionPrefixes options are deprecated and will not exist in the \
             future; use --nsExclude instead"
                .to_owned(),
        );
    }
    if given.is_none() && args.input.archive.place().is_none() {
        notices.push("using default 'dump' directory".to_owned());
    }
    notices
}

/// `--excludeCollection x` is `--nsExclude '*.x'`.
fn select(args: &RestoreArgs) -> Result<Selector, Refusal> {
    let exclude = &args.exclude;
    let names = exclude
        .exclude_collection
        .iter()
        .map(|name| format!("*.{}", Pattern::escape(name)));
    let prefixes = exclude.exclude_collections_with_prefix.iter();
    let prefixes = prefixes.map(|prefix| format!("*.{}*", Pattern::escape(prefix)));
    let excludes: Vec<String> = args
        .patterns
        .ns_exclude
        .iter()
        .cloned()
        .chain(names)
        .chain(prefixes)
        .collect();
    Ok(Selector {
        include: patterns("nsInclude", &args.patterns.ns_include)?,
        exclude: patterns("nsExclude", &excludes)?,
    })
}
