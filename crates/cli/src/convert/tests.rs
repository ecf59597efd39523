use std::{collections::BTreeSet, ffi::OsString, fs, io::Write as _, time::Duration};

use rdump::{Acknowledgement, Compression, ConnectOptions, DumpOptions, ReadMode, RestoreOptions};
use serde_json::Value;

mod object_store;

use super::*;
use crate::{
    args::{DumpArgs, Parsed, RestoreArgs, parse},
    prompt::Stdin,
};

fn arguments(line: &str) -> Vec<OsString> {
    std::iter::once("x")
        .chain(line.split_whitespace())
        .map(OsString::from)
        .collect()
}

fn dump_args(line: &str) -> DumpArgs {
    match parse(arguments(line)) {
        Ok(Parsed::Run(args)) => args,
        other => panic!("{line}: {other:?}"),
    }
}

fn restore_args(line: &str) -> RestoreArgs {
    match parse(arguments(line)) {
        Ok(Parsed::Run(args)) => args,
        other => panic!("{line}: {other:?}"),
    }
}

fn dump(line: &str) -> DumpRequest {
    DumpRequest::new(&dump_args(line), &Environment::default())
        .unwrap_or_else(|refusal| panic!("{line}: {refusal:?}"))
}

fn restore(line: &str) -> RestoreRequest {
    let request = RestoreRequest::new(&restore_args(line), &Environment::default());
    request.unwrap_or_else(|refusal| panic!("{line}: {refusal:?}"))
}

fn message(refusal: Refusal) -> String {
    match refusal {
        Refusal::Usage(reason) | Refusal::BadOption(reason) => reason,
        Refusal::Failed(error) => crate::failure::chain(&error),
    }
}

fn dump_refusal(line: &str) -> String {
    message(DumpRequest::new(&dump_args(line), &Environment::default()).expect_err(line))
}

fn restore_refusal(line: &str) -> String {
    message(RestoreRequest::new(&restore_args(line), &Environment::default()).expect_err(line))
}

/// The fields in which two options differ.
fn changed(one: &impl serde::Serialize, other: &impl serde::Serialize) -> BTreeSet<String> {
    let (Value::Object(one), Value::Object(other)) = (
        serde_json::to_value(one).unwrap(),
        serde_json::to_value(other).unwrap(),
    ) else {
        panic!("options are maps");
    };
    one.into_iter()
        .filter(|(key, value)| other[key] != *value)
        .map(|(key, _)| key)
        .collect()
}

fn all(options: &impl serde::Serialize) -> BTreeSet<String> {
    let Value::Object(fields) = serde_json::to_value(options).unwrap() else {
        panic!("options are a map")
    };
    fields.into_iter().map(|(key, _)| key).collect()
}

#[test]
fn every_dump_option_is_reachable_from_a_flag() {
    let many = "-d shop -j 3 --dumpDbUsersAndRoles --excludeCollection a --excludeCollectionsWithPrefix b --nsInclude shop.* \
                --viewsAsCollections --readPreference nearest --compress zstd:3 --partitions 2 --limit-rate 1M \
                --max-retries 9";
    let mut reached = changed(&dump(many).options, &DumpOptions::default());
    reached.extend(changed(
        &dump("-d shop -c orders -q {}").options,
        &DumpOptions::default(),
    ));
    reached.extend(changed(&dump("--oplog").options, &DumpOptions::default()));
    // How documents are packed is nothing that an operator needs to know.
    reached.insert("segment-bytes".to_owned());
    assert_eq!(reached, all(&DumpOptions::default()));
}

#[test]
fn every_restore_option_is_reachable_from_a_flag() {
    let many = "-d shop -c orders --nsInclude shop.* --nsFrom a --nsTo b --drop --objcheck --writeConcern 1 \
                --noIndexRestore --noOptionsRestore --keepIndexVersion --convertLegacyIndexes --fixDottedHashIndex \
                --preserveUUID --bypassDocumentValidation --maintainInsertionOrder --stopOnError -j 7 \
                --numInsertionWorkersPerCollection 7 --batchSize 7 --batch-bytes 2MiB --max-problems 7 --max-retries 7 \
                --restoreDbUsersAndRoles --tempUsersColl u --tempRolesColl r --on-conflict fail --resume";
    let mut reached = changed(&restore(many).options, &RestoreOptions::default());
    let replay = "--oplogReplay --oplogFile f --oplogLimit 7:1 --skip-unknown-oplog-entries";
    reached.extend(changed(
        &restore(replay).options,
        &RestoreOptions::default(),
    ));
    assert_eq!(reached, all(&RestoreOptions::default()));
}

#[test]
fn every_connect_option_is_reachable_from_a_flag() {
    let line = "--host rs0/a --port 1 --dialTimeout 2 --serverSelectionTimeout 3 --compressors zstd,zlib --flavor documentdb --ssl \
                --sslCAFile ca --sslPEMKeyFile key --sslPEMKeyPassword secret --tlsInsecure -u user -p pass \
                --authenticationDatabase auth --authenticationMechanism PLAIN -d shop --uri mongodb://a:1";
    let options = dump(line).connect;
    // Without `..`, so that a new field must be looked at here. It is non-exhaustive: its Debug text it is.
    let text = format!("{options:?}");
    assert!(
        !text.contains("None") || text.matches("None").count() == 1,
        "{text}"
    );
    let expected = ConnectOptions::default()
        .uri("mongodb://a:1")
        .host("rs0/a")
        .port(1)
        .connect_timeout(Duration::from_secs(2))
        .server_selection_timeout(Duration::from_secs(3))
        .compressors(vec!["zstd".into(), "zlib".into()])
        .flavor(Some(rdump::Flavor::DocumentDb))
        .tls(true)
        .tls_ca_file("ca")
        .tls_certificate_key_file("key")
        .tls_certificate_key_file_password("secret")
        .tls_insecure(true)
        .username("user")
        .password("pass")
        .authentication_database("auth")
        .authentication_mechanism("PLAIN")
        .db("shop");
    assert_eq!(options, expected);
    // The replica set's name comes with the host, as in mongodump.
    assert_eq!(options.replica_set, None);
    assert_eq!(options.plan().unwrap().address(), "rs0/a:1");
}

#[test]
fn without_flags_options_are_the_defaults() {
    let request = dump("");
    assert_eq!(request.options, DumpOptions::default());
    assert_eq!(request.connect, ConnectOptions::default());
    assert_eq!(request.output.to_string(), "dump");
    assert_eq!(request.warnings, [] as [&str; 0]);
    let request = restore("");
    assert_eq!(request.options, RestoreOptions::default());
    assert_eq!(request.input.to_string(), "dump");
}

#[test]
fn options_of_a_dump_that_do_not_go_together_are_refused_in_mongodumps_words() {
    for (line, expected) in [
        (
            "-c x",
            "cannot dump a collection without a specified database",
        ),
        (
            "-d x -q {}",
            "cannot dump using a query without a specified collection",
        ),
        (
            "-d x --queryFile f",
            "cannot dump using a queryFile without a specified collection",
        ),
        (
            "-d x -c y -q {} --queryFile f",
            "either query or queryFile can be specified as a query option, not both",
        ),
        (
            "-d x -c y -q {} --forceTableScan",
            "cannot use --forceTableScan when specifying --query",
        ),
        (
            "--excludeCollection y",
            "--db is required when --excludeCollection is specified",
        ),
        (
            "-d x -c y --excludeCollection y",
            "--collection is not allowed when --excludeCollection is specified",
        ),
        (
            "--excludeCollectionsWithPrefix y",
            "--db is required when --excludeCollectionsWithPrefix is specified",
        ),
        ("-j 0", "numParallelCollections must be positive"),
        ("-j -4", "numParallelCollections must be positive"),
        ("--out -", "can only dump a single collection to stdout"),
        (
            "-d x -c y --out - --gzip",
            "compression can't be used when dumping a single collection to standard output",
        ),
        (
            "-d x -c y --out - --gzip --compress gzip:9",
            "compression can't be used when dumping a single collection to standard output",
        ),
        (
            "--out x --archive",
            "--out not allowed when --archive is specified",
        ),
        (
            "--dumpDbUsersAndRoles",
            "must specify a database when running with dumpDbUsersAndRoles",
        ),
        (
            "mongodb://a/x -c y --dumpDbUsersAndRoles",
            "cannot specify a collection when running with dumpDbUsersAndRoles",
        ),
        (
            "-d x -c system.buckets.y",
            "cannot specify a system.buckets collection in --collection. Specifying the timeseries collection will dump \
             the system.buckets collection",
        ),
        (
            "--oplog mongodb://a/x",
            "--oplog mode only supported on full dumps",
        ),
        (
            "--oplog --nsExclude x.*",
            "--oplog mode only supported on full dumps",
        ),
        (
            "--gzip --compress zstd",
            "--gzip and --compress zstd contradict each other",
        ),
        (
            "--readPreference {}",
            "error parsing --readPreference: no 'mode' specified",
        ),
        (
            "folder",
            "error parsing positional arguments: provide only one MongoDB connection string. Connection strings must \
             begin with mongodb:// or mongodb+srv:// schemes",
        ),
        (
            "mongodb://a mongodb://b",
            "too many URIs found in positional arguments: only one URI can be set as a positional argument",
        ),
        (
            "mongodb://a --uri mongodb://a",
            "illegal argument combination: cannot specify a URI in a positional argument and --uri",
        ),
        (
            "--archive=s3://key:canary@bucket/x",
            "--archive: location \"s3://…\" is not supported: credentials have no place in it: use the environment, a profile \
             or a role",
        ),
        (
            "--out gs://bucket/x",
            "--out: location \"gs://…\" is not supported: a location is a path, file:///… or s3://bucket/prefix",
        ),
        (
            "--out s3://bucket?zone=1",
            "--out: location \"s3://bucket\" is not supported: its options are region, endpoint, path-style, profile, \
             role-arn, external-id, anonymous, request-payer, expected-bucket-owner, checksum, storage-class, sse, \
             sse-kms-key-id, sse-c-key-file, tag, object-lock-mode, object-lock-retain-until, \
             object-lock-legal-hold, part-size and clean-uploads",
        ),
    ] {
        let actual = dump_refusal(line);
        assert_eq!(actual, expected, "{line}");
    }
}

#[test]
fn options_of_a_restore_that_do_not_go_together_are_refused_in_mongorestores_words() {
    for (line, expected) in [
        (
            "-c x",
            "cannot restore a collection without a specified database",
        ),
        (
            "--nsFrom a",
            "--nsFrom and --nsTo arguments must be specified an equal number of times",
        ),
        (
            "--preserveUUID",
            "cannot specify --preserveUUID without --drop",
        ),
        (
            "--restoreDbUsersAndRoles",
            "cannot use --restoreDbUsersAndRoles without a specified database",
        ),
        (
            "-d admin --restoreDbUsersAndRoles",
            "cannot use --restoreDbUsersAndRoles with the admin database",
        ),
        (
            "--oplogLimit 1:2",
            "cannot use --oplogLimit without --oplogReplay enabled",
        ),
        (
            "--oplogReplay --oplogLimit 1:2:3",
            "error parsing timestamp argument to --oplogLimit: \"1:2:3\" is not a moment of the form SECONDS or \
             SECONDS:ORDINAL",
        ),
        (
            "--oplogFile f",
            "cannot use --oplogFile without --oplogReplay enabled",
        ),
        (
            "--oplogReplay --oplogFile f --archive",
            "cannot use --oplogFile with --archive specified",
        ),
        (
            "--oplogReplay mongodb://a/x",
            "cannot use --oplogReplay with includes specified",
        ),
        (
            "--oplogReplay --nsInclude x.*",
            "cannot use --oplogReplay with includes specified",
        ),
        (
            "--oplogReplay --excludeCollectionsWithPrefix y",
            "cannot use --oplogReplay with excludes specified",
        ),
        (
            "--oplogReplay --nsFrom a --nsTo b",
            "cannot use --oplogReplay with namespace renames specified",
        ),
        (
            "-d x -c y --archive -",
            "cannot restore from \"-\" when --archive is specified",
        ),
        (
            "-d x/y",
            "invalid db name: illegal character `/` found in db name `x/y`",
        ),
        (
            "-d x -c y$z",
            "invalid collection name: illegal character `$` found in `y$z`",
        ),
        (
            "--numInsertionWorkersPerCollection 0",
            "numInsertionWorkersPerCollection must be positive",
        ),
        (
            "--numInsertionWorkersPerCollection -1",
            "cannot specify a negative number of insertion workers per collection",
        ),
        ("-j -1", "numParallelCollections must be positive"),
        (
            "--writeConcern=-1",
            "error parsing write concern: invalid 'w' argument: -1",
        ),
        (
            "-d x -c y --excludeCollection z",
            "--collection is not allowed when --excludeCollection is specified",
        ),
        (
            "a b",
            "error parsing positional arguments: provide only one MongoDB connection string and only one dump. Connection \
             strings must begin with mongodb:// or mongodb+srv:// schemes",
        ),
        (
            "a --dir b",
            "error parsing positional arguments: cannot use both --dir and a positional argument to set the target \
             directory",
        ),
    ] {
        assert_eq!(restore_refusal(line), expected, "{line}");
    }
    assert!(restore_refusal("--nsInclude a$b").contains("--nsInclude"));
    let archive = restore_refusal("--archive=s3://bucket/../x");
    assert!(archive.starts_with("--archive: location"), "{archive}");
}

#[test]
fn the_database_of_a_connection_string_becomes_db() {
    assert_eq!(dump("mongodb://a/shop").options.db.as_deref(), Some("shop"));
    assert_eq!(
        dump("mongodb://a/shop -c orders")
            .options
            .collection
            .as_deref(),
        Some("orders")
    );
    let request = restore("mongodb://a/shop folder");
    assert_eq!(request.options.db.as_deref(), Some("shop"));
    assert_eq!(request.reader.db.as_deref(), Some("shop"));
    assert_eq!(request.input.to_string(), "folder");
    assert!(
        dump_refusal("mongodb://a/shop -d other").contains("Cannot specify different database")
    );
}

#[test]
fn flags_beat_what_the_connection_string_says_of_reads_and_writes() {
    let uri = "mongodb://a/?readPreference=secondary&w=2";
    let read = |line: &str| {
        dump(line)
            .options
            .read_preference
            .map(|preference| preference.mode)
    };
    assert_eq!(read(uri), Some(ReadMode::Secondary));
    assert_eq!(
        read(&format!("{uri} --readPreference nearest")),
        Some(ReadMode::Nearest)
    );
    let write = |line: &str| restore(line).options.write_concern.w;
    assert_eq!(write(uri), Acknowledgement::Members(2));
    assert_eq!(
        write(&format!("{uri} --writeConcern 3")),
        Acknowledgement::Members(3)
    );
    assert_eq!(write("mongodb://a"), Acknowledgement::Majority);
}

#[test]
fn compression_is_gzips_or_what_is_asked_for() {
    for (line, compression) in [
        ("", Compression::None),
        ("--gzip", Compression::Gzip { level: 6 }),
        ("--gzip --compress gzip:9", Compression::Gzip { level: 9 }),
        ("--compress zstd", Compression::Zstd { level: 1 }),
        ("--compress none", Compression::None),
    ] {
        assert_eq!(dump(line).options.compression, compression, "{line}");
    }
}

#[test]
fn a_query_may_come_from_a_file() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"{\"a\": 1}").unwrap();
    let line = format!(
        "-d x -c y --queryFile {} --forceTableScan",
        file.path().display()
    );
    assert_eq!(dump(&line).options.query.as_deref(), Some("{\"a\": 1}"));
    fs::remove_file(file.path()).unwrap();
    assert!(
        dump_refusal(&line).starts_with("error reading queryFile"),
        "{}",
        dump_refusal(&line)
    );
}

#[test]
fn excluded_collections_are_patterns_that_match_only_them() {
    let select =
        restore("--excludeCollection a*b --excludeCollectionsWithPrefix p --nsExclude q.*")
            .options
            .select;
    let patterns: Vec<&str> = select
        .exclude
        .iter()
        .map(|pattern| pattern.as_str())
        .collect();
    assert_eq!(patterns, ["q.*", r"*.a\*b", "*.p*"]);
}

#[test]
fn standard_input_gives_no_password_where_the_dump_comes_from_it() {
    let stdin = |line: &str, given| restore::stdin(&restore_args(line), given);
    assert_eq!(stdin("", None), Stdin::Free);
    assert_eq!(stdin("--archive=x", None), Stdin::Free);
    assert_eq!(stdin("--archive", None), Stdin::Dump);
    assert_eq!(stdin("--archive=-", None), Stdin::Dump);
    assert_eq!(stdin("", Some("-")), Stdin::Dump);
}

#[test]
fn empty_values_are_none() {
    let empty = "--host= --port= --uri= -u= -p= -d= -c= --sslCAFile= --sslPEMKeyFile= --sslPEMKeyPassword= --config= \
                 --authenticationDatabase= --authenticationMechanism= --archive=";
    let more = "-q= --queryFile= --readPreference= -o= --internalOnlySourceWritesDoneBarrier=";
    let request = dump(&format!("{empty} {more}"));
    assert_eq!(request.options, DumpOptions::default());
    assert_eq!(request.connect.plan().unwrap().address(), "localhost:27017");
    assert_eq!(request.warnings, [] as [&str; 0]);
    let more =
        "--dir= --writeConcern= --oplogLimit= --oplogFile= --tempUsersColl= --tempRolesColl=";
    let request = restore(&format!("{empty} {more}"));
    assert_eq!(request.options, RestoreOptions::default());
    assert_eq!(request.input.to_string(), "dump");
}

#[test]
fn the_line_overrides_the_config_and_the_config_the_environment() {
    let environment = Environment {
        uri: Some("mongodb://env".into()),
        ..Environment::default()
    };
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"uri: mongodb://config\npassword: p\nsslPEMKeyPassword: k\n")
        .unwrap();
    let path = file.path().display();
    let connect = |line: &str| {
        let line = format!("--config {path} {line}");
        let request = DumpRequest::new(&dump_args(&line), &environment).unwrap();
        assert_eq!(request.warnings.len(), line.matches("-p ").count());
        request.connect
    };
    let from_config = connect("-u u");
    assert_eq!(from_config.uri, Some("mongodb://config".into()));
    assert_eq!(from_config.password, Some("p".into()));
    assert_eq!(
        from_config.tls_certificate_key_file_password,
        Some("k".into())
    );
    assert_eq!(
        connect("-u u --uri mongodb://line").uri,
        Some("mongodb://line".into())
    );
    assert_eq!(connect("-u u -p q").password, Some("q".into()));
    assert_eq!(connect("-u u --password=").password, None);
    let both = format!("--config {path} mongodb://a");
    assert!(dump_refusal(&both).starts_with("illegal argument combination"));
}

#[test]
fn a_restore_takes_its_dump_from_the_line_or_from_dir() {
    assert_eq!(restore("backup/today").input.to_string(), "backup/today");
    assert_eq!(restore("--dir backup").input.to_string(), "backup");
    assert_eq!(
        restore("--dir backup mongodb://a").input.to_string(),
        "backup"
    );
    assert_eq!(restore("-j 0").options.parallel_collections.get(), 1);
}

#[test]
fn deprecated_uses_are_warned_of() {
    let warned = |line: &str| {
        restore(line)
            .warnings
            .iter()
            .any(|warning| warning.contains("--nsInclude"))
    };
    assert!(warned("-d shop folder"));
    assert!(!warned("-d shop -c orders folder/orders.bson"));
    assert!(!warned("folder"));
    let notices = restore("--excludeCollection x").warnings;
    assert_eq!(
        notices,
        [
            "the --excludeCollections and --excludeCollectionPrefixes options are deprecated and will not exist in the \
             future; use --nsExclude instead",
            "using default 'dump' directory",
        ]
    );
    assert_eq!(restore("folder").warnings, [] as [&str; 0]);
    assert!(dump("--sslAllowInvalidHostnames").connect.tls_insecure);
    assert!(dump("--sslAllowInvalidHostnames").warnings[0].contains("deprecated"));
}

#[test]
fn visible_passwords_are_warned_of_without_showing_them() {
    for line in [
        "-u u -p canary7",
        "mongodb://u:canary7@a",
        "--uri mongodb://u:canary7@a",
        "--sslPEMKeyPassword canary7",
    ] {
        let request = dump(line);
        assert!(
            request
                .warnings
                .iter()
                .any(|warning| warning.contains("may be visible")),
            "{line}"
        );
        assert!(!format!("{request:?}").contains("canary7"), "{line}");
    }
    assert_eq!(dump("mongodb://u@a").warnings, [] as [&str; 0]);
    assert!(
        dump("mongodb://a/?nonsense=1").warnings[0].contains("ignoring unsupported URI parameter")
    );
}

#[test]
fn the_environments_connection_string_counts_where_no_server_is_named() {
    let environment = Environment {
        uri: Some("mongodb://env/shop".into()),
        ..Environment::default()
    };
    let address = |line: &str| {
        let request = DumpRequest::new(&dump_args(line), &environment).unwrap();
        request.connect.plan().unwrap().address()
    };
    assert_eq!(address(""), "env:27017");
    assert_eq!(address("-u me -p it"), "env:27017");
    assert_eq!(address("--host other"), "other:27017");
    assert_eq!(address("--port 5"), "localhost:5");
    assert_eq!(address("mongodb://typed"), "typed:27017");
    let environment = Environment {
        uri: Some("mongodb://u:canary7@env".into()),
        ..Environment::default()
    };
    let request = DumpRequest::new(&dump_args(""), &environment).unwrap();
    assert_eq!(request.warnings, [] as [&str; 0], "nobody can see it");
}

#[test]
fn the_archive_in_a_folder_is_found_whatever_it_is_compressed_with() {
    for (there, more, expected) in [
        (&["archive"][..], "", "archive"),
        (&["archive.gz"], "", "archive.gz"),
        (&["archive.zst"], "", "archive.zst"),
        (&["archive"], "--gzip", "archive"),
        (&["archive.zst"], "--gzip", "archive.zst"),
        (&["archive", "archive.gz"], "--gzip", "archive.gz"),
        (&["archive", "archive.gz"], "", "archive|archive.gz"),
        (&["archive", "archive.zst"], "--gzip", "archive|archive.zst"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        for name in there {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let line = format!("--archive={path}/ {more}");
        match expected.split_once('|') {
            None => {
                let input = restore(&line).input.to_string();
                assert_eq!(input, format!("archive {path}/{expected}"), "{line}");
            }
            Some((one, other)) => {
                let expected = format!(
                    "{path}/ holds more than one archive: name one of {path}/{one}, {path}/{other}"
                );
                assert_eq!(restore_refusal(&line), expected);
            }
        }
    }
}

#[test]
fn an_archive_is_a_file_or_the_one_in_a_folder_or_a_standard_stream() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    for (line, expected) in [
        ("--archive".to_owned(), "archive on stdout".to_owned()),
        ("--archive=-".to_owned(), "archive on stdout".to_owned()),
        ("--archive=a.b".to_owned(), "archive a.b".to_owned()),
        (
            format!("--archive={path}"),
            format!("archive {path}/archive"),
        ),
        (
            format!("--archive={path}/ --gzip"),
            format!("archive {path}/archive.gz"),
        ),
        (
            format!("--archive={path} --compress zstd"),
            format!("archive {path}/archive.zst"),
        ),
    ] {
        assert_eq!(dump(&line).output.to_string(), expected, "{line}");
    }
    for (line, expected) in [
        ("--archive".to_owned(), "archive on stdin".to_owned()),
        (
            "--archive ignored".to_owned(),
            "archive on stdin".to_owned(),
        ),
        ("--archive=a.b --gzip".to_owned(), "archive a.b".to_owned()),
        (
            format!("--archive={path} --gzip"),
            format!("archive {path}/archive.gz"),
        ),
    ] {
        assert_eq!(restore(&line).input.to_string(), expected, "{line}");
    }
    for line in ["--archive -", "--archive --dir -"] {
        assert_eq!(
            restore_refusal(line),
            "cannot restore from \"-\" when --archive is specified"
        );
    }
    assert_eq!(
        dump_refusal("--archive=x --out y"),
        "--out not allowed when --archive is specified"
    );
    assert_eq!(
        dump_refusal("--archive --json"),
        "--json cannot be used when --archive writes to standard output"
    );
}

#[test]
fn one_collection_goes_through_a_standard_stream() {
    for line in ["-o -", "-o- --compress none", "--out=- --compress zstd"] {
        let request = dump(&format!("-d x -c y {line}"));
        assert_eq!(request.output, Output::DocumentsToStdout, "{line}");
        assert_eq!(request.output.to_string(), "stdout");
    }
    for line in ["-", "--dir -", "--dir=- --gzip", "- mongodb://a"] {
        let request = restore(&format!("-d x -c y {line}"));
        let expected = Input::DocumentsFromStdin("x.y".parse().unwrap());
        assert_eq!(request.input, expected, "{line}");
        assert_eq!(request.input.to_string(), "stdin");
        assert_eq!(request.stdin, Stdin::Dump, "{line}");
    }
    // Without a collection it can only be a bundle.
    for line in ["-", "-d x --dir -", "--drop - mongodb://a"] {
        let request = restore(line);
        assert_eq!(request.input, Input::BundleFromStdin, "{line}");
        assert_eq!(request.input.to_string(), "stdin");
        assert_eq!(request.stdin, Stdin::Dump, "{line}");
    }
    assert_eq!(
        dump_refusal("-d x -c y --out - --json"),
        "--json cannot be used when --out writes to standard output"
    );
    for (line, expected) in [
        (
            "-d x --dumpDbUsersAndRoles --out -",
            "can only dump a single collection to stdout",
        ),
        (
            "-d x -c y --dumpDbUsersAndRoles --out -",
            "cannot specify a collection when running with dumpDbUsersAndRoles",
        ),
        (
            "-d x -c y --oplog --out -",
            "--oplog mode only supported on full dumps",
        ),
        (
            "-d x -c y --archive --out -",
            "--out not allowed when --archive is specified",
        ),
    ] {
        assert_eq!(dump_refusal(line), expected, "{line}");
    }
    for (line, expected) in [
        (
            "-c y -",
            "cannot restore a collection without a specified database",
        ),
        (
            "-d x -c y --archive -",
            "cannot restore from \"-\" when --archive is specified",
        ),
    ] {
        assert_eq!(restore_refusal(line), expected, "{line}");
    }
}

#[test]
fn the_file_that_a_dump_waits_for_is_known() {
    let barrier = |line: &str| dump(line).barrier;
    assert_eq!(barrier(""), None);
    assert_eq!(
        barrier("--internalOnlySourceWritesDoneBarrier a/b"),
        Some("a/b".into())
    );
}
