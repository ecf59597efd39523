//! rrestore's options.

use rdump::{ConnectOptions, FolderReaderOptions, Pattern, RestoreOptions, Selector};

use super::{
    Environment, Refusal, connect, medium::Input, parallelism, patterns, positional::Positional,
    refused, write_concern,
};
use crate::args::RestoreArgs;

/// Everything that a restore needs, checked as far as it can be without a server.
#[derive(Debug)]
pub(crate) struct RestoreRequest {
    pub(crate) connect: ConnectOptions,
    pub(crate) options: RestoreOptions,
    pub(crate) reader: FolderReaderOptions,
    pub(crate) input: Input,
    pub(crate) dry_run: bool,
    /// What a person should read before it starts.
    pub(crate) warnings: Vec<String>,
}

impl RestoreRequest {
    /// Follows a command line.
    pub(crate) fn new(args: &RestoreArgs, environment: &Environment) -> Result<Self, Refusal> {
        refused::check_restore(args)?;
        let Positional { uri, others } = Positional::sort(&args.positional)?;
        let input = input(args, others)?;
        let (connect, mut warnings) =
            connect::connect_options(&args.connection, args.db.as_deref(), uri, environment)?;
        let plan = connect.plan()?;
        let db = plan.database().map(str::to_owned);
        let collection = args.collection.clone();
        check(args, db.is_some())?;
        if (db.is_some() || collection.is_some()) && !input.is_one_file() {
            warnings.push(
                "The --db and --collection flags are deprecated for this use-case. Please use --nsInclude instead, \
                 i.e. with --nsInclude=\"${DATABASE}.${COLLECTION}\""
                    .to_owned(),
            );
        }

        let mut options = RestoreOptions::default();
        let mut reader = FolderReaderOptions::default();
        reader.db.clone_from(&db);
        reader.collection.clone_from(&collection);
        reader.gzip = args.gzip;
        options.db = db;
        options.collection = collection;
        options.users_and_roles = args.restore_db_users_and_roles;
        if let Some(name) = &args.temp_users_coll {
            options.temporary_users_collection.clone_from(name);
        }
        if let Some(name) = &args.temp_roles_coll {
            options.temporary_roles_collection.clone_from(name);
        }
        options.select = select(args)?;
        options.rename_from.clone_from(&args.ns_from);
        options.rename_to.clone_from(&args.ns_to);
        options.drop = args.drop;
        options.validate_documents = args.objcheck;
        options.write_concern = match &args.write_concern {
            Some(text) => write_concern::parse(text)?,
            None => plan.write_concern().unwrap_or_default(),
        };
        options.no_index_restore = args.no_index_restore;
        options.no_options_restore = args.no_options_restore;
        options.keep_index_version = args.keep_index_version;
        options.convert_legacy_indexes = args.convert_legacy_indexes;
        options.fix_dotted_hashed_indexes = args.fix_dotted_hash_index;
        options.preserve_uuid = args.preserve_uuid;
        options.bypass_document_validation = args.bypass_document_validation;
        options.maintain_insertion_order = args.maintain_insertion_order;
        options.stop_on_error = args.stop_on_error;
        // mongorestore takes 0 for one after the other.
        let collections = args
            .num_parallel_collections
            .map(|number| if number == 0 { 1 } else { number });
        if let Some(collections) = parallelism("numParallelCollections", collections)? {
            options.parallel_collections = collections;
        }
        let workers = args.num_insertion_workers_per_collection;
        if let Some(workers) = parallelism("numInsertionWorkersPerCollection", workers)? {
            options.insertion_workers = workers;
        }
        if let Some(documents) = parallelism("batchSize", args.batch_size)? {
            options.batch_documents = documents;
        }
        options.batch_bytes = args.batch_bytes.unwrap_or(options.batch_bytes);
        options.max_problems = args.max_problems.unwrap_or(options.max_problems);
        options.max_retries = args.max_retries.unwrap_or(options.max_retries);
        Ok(Self {
            connect,
            options,
            reader,
            input,
            dry_run: args.dry_run,
            warnings,
        })
    }
}

/// The dump: `--archive`, a positional argument, `--dir`, or `dump`.
fn input(args: &RestoreArgs, positional: Vec<String>) -> Result<Input, Refusal> {
    let usage = |message: &str| {
        Err(Refusal::Usage(format!(
            "error parsing positional arguments: {message}"
        )))
    };
    let text = match (&positional[..], &args.dir) {
        ([], None) => "dump",
        ([], Some(dir)) => dir,
        ([one], None) => one,
        ([_], Some(_)) => return usage("the dump is named twice, by --dir and by itself"),
        _ => return usage("too many of them: name one dump, and at most one connection string"),
    };
    if let Some(archive) = &args.archive {
        // As with mongorestore, a folder that is named beside it says nothing.
        return match text {
            "-" => Err(Refusal::Option(anyhow::anyhow!(
                "cannot restore from \"-\" when --archive is specified"
            ))),
            _ => Ok(Input::archive(archive, args.gzip)),
        };
    }
    let text = if text.is_empty() { "dump" } else { text };
    let location = text.parse();
    let location = location.map_err(|error| Refusal::Option(anyhow::Error::new(error)))?;
    Ok(Input::Folder(location))
}

/// What goes together, in mongorestore's words.
fn check(args: &RestoreArgs, has_db: bool) -> Result<(), Refusal> {
    let refuse = |message: &str| Err(Refusal::bad_option(message));
    if args.collection.is_some() && !has_db {
        return refuse("cannot restore a collection without a specified database");
    }
    let excludes =
        !args.exclude_collection.is_empty() || !args.exclude_collections_with_prefix.is_empty();
    if args.collection.is_some() && excludes {
        return refuse(
            "--collection is not allowed when --excludeCollection or --excludeCollectionsWithPrefix is specified",
        );
    }
    if args.ns_from.len() != args.ns_to.len() {
        return refuse("--nsFrom and --nsTo arguments must be specified an equal number of times");
    }
    if args.restore_db_users_and_roles && !has_db {
        return refuse("cannot use --restoreDbUsersAndRoles without a specified database");
    }
    if args.restore_db_users_and_roles && args.db.as_deref() == Some("admin") {
        return refuse("cannot use --restoreDbUsersAndRoles with the admin database");
    }
    if args.preserve_uuid && !args.drop {
        return refuse("cannot specify --preserveUUID without --drop");
    }
    if args
        .num_insertion_workers_per_collection
        .is_some_and(|workers| workers < 0)
    {
        return refuse("cannot specify a negative number of insertion workers per collection");
    }
    Ok(())
}

/// `--excludeCollection x` is `--nsExclude '*.x'`.
fn select(args: &RestoreArgs) -> Result<Selector, Refusal> {
    let names = args
        .exclude_collection
        .iter()
        .map(|name| format!("*.{}", Pattern::escape(name)));
    let prefixes = args.exclude_collections_with_prefix.iter();
    let prefixes = prefixes.map(|prefix| format!("*.{}*", Pattern::escape(prefix)));
    let excludes: Vec<String> = args
        .ns_exclude
        .iter()
        .cloned()
        .chain(names)
        .chain(prefixes)
        .collect();
    Ok(Selector {
        include: patterns("nsInclude", &args.ns_include)?,
        exclude: patterns("nsExclude", &excludes)?,
    })
}
