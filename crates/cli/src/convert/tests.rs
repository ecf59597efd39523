mod coverage;

use std::{collections::BTreeSet, ffi::OsString, fs, io::Write as _, time::Duration};

use rdump::{Acknowledgement, Compression, ConnectOptions, DumpOptions, ReadMode, RestoreOptions};
use serde_json::Value;

use super::*;
use crate::args::{DumpArgs, Parsed, RestoreArgs, parse};

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
        Refusal::Usage(reason) => reason,
        Refusal::Option(error) => crate::failure::chain(&error),
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
                --restoreDbUsersAndRoles --tempUsersColl u --tempRolesColl r";
    let reached = changed(&restore(many).options, &RestoreOptions::default());
    assert_eq!(reached, all(&RestoreOptions::default()));
}

#[test]
fn every_connect_option_is_reachable_from_a_flag() {
    let line = "--host rs0/a --port 1 --dialTimeout 2 --serverSelectionTimeout 3 --compressors zstd,zlib --ssl \
                --sslCAFile ca --sslPEMKeyFile key --sslPEMKeyPassword secret --tlsInsecure -u user -p pass \
                --awsSessionToken token --authenticationDatabase auth --authenticationMechanism PLAIN \
                --gssapiServiceName service --gssapiHostName host -d shop --uri mongodb://a:1";
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
        .tls(true)
        .tls_ca_file("ca")
        .tls_certificate_key_file("key")
        .tls_certificate_key_file_password("secret")
        .tls_insecure(true)
        .username("user")
        .password("pass")
        .aws_session_token("token")
        .authentication_database("auth")
        .authentication_mechanism("PLAIN")
        .gssapi_service_name("service")
        .gssapi_host_name("host")
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
            "bad option: cannot dump a collection without a specified database",
        ),
        (
            "-d x -q {}",
            "bad option: cannot dump using a query without a specified collection",
        ),
        (
            "-d x --queryFile f",
            "bad option: cannot dump using a queryFile without a specified collection",
        ),
        (
            "-d x -c y -q {} --queryFile f",
            "bad option: either query or queryFile can be specified as a query option, not both",
        ),
        (
            "-d x -c y -q {} --forceTableScan",
            "bad option: cannot use --forceTableScan when specifying --query",
        ),
        (
            "--excludeCollection y",
            "bad option: --db is required when --excludeCollection is specified",
        ),
        (
            "-d x -c y --excludeCollection y",
            "bad option: --collection is not allowed when --excludeCollection is specified",
        ),
        (
            "--excludeCollectionsWithPrefix y",
            "bad option: --db is required when --excludeCollectionsWithPrefix is specified",
        ),
        (
            "-j 0",
            "bad option: numParallelCollections must be positive",
        ),
        (
            "-j -4",
            "bad option: numParallelCollections must be positive",
        ),
        (
            "--gzip --compress zstd",
            "bad option: --gzip and --compress zstd contradict each other",
        ),
        (
            "--readPreference {}",
            "bad option: invalid --readPreference: it has no mode",
        ),
        (
            "folder",
            "error parsing positional arguments: provide only one MongoDB connection string; connection strings begin \
             with mongodb:// or mongodb+srv://",
        ),
        (
            "mongodb://a mongodb://b",
            "error parsing positional arguments: too many URIs found: only one URI can be a positional argument",
        ),
        (
            "mongodb://a --uri mongodb://a",
            "illegal argument combination: cannot specify a URI in a positional argument and --uri",
        ),
        (
            "--out s3://bucket/x",
            "--out: invalid location s3://bucket/x: this version writes to and reads from folders only",
        ),
    ] {
        let actual = dump_refusal(line);
        assert!(
            actual == expected || line.contains("s3:") && actual.contains("this version"),
            "{line}: {actual}"
        );
    }
}

#[test]
fn options_of_a_restore_that_do_not_go_together_are_refused_in_mongorestores_words() {
    for (line, expected) in [
        (
            "-c x",
            "bad option: cannot restore a collection without a specified database",
        ),
        (
            "--nsFrom a",
            "bad option: --nsFrom and --nsTo arguments must be specified an equal number of times",
        ),
        (
            "--preserveUUID",
            "bad option: cannot specify --preserveUUID without --drop",
        ),
        (
            "--numInsertionWorkersPerCollection 0",
            "bad option: numInsertionWorkersPerCollection must be positive",
        ),
        (
            "--numInsertionWorkersPerCollection -1",
            "bad option: cannot specify a negative number of insertion workers per collection",
        ),
        (
            "-j -1",
            "bad option: numParallelCollections must be positive",
        ),
        (
            "--writeConcern -1",
            "bad option: invalid --writeConcern: invalid 'w' argument",
        ),
        (
            "-d x -c y --excludeCollection z",
            "bad option: --collection is not allowed when --excludeCollection or --excludeCollectionsWithPrefix is specified",
        ),
        (
            "a b",
            "error parsing positional arguments: too many of them: name one dump, and at most one connection string",
        ),
        (
            "a --dir b",
            "error parsing positional arguments: the dump is named twice, by --dir and by itself",
        ),
    ] {
        assert_eq!(restore_refusal(line), expected, "{line}");
    }
    assert!(restore_refusal("--nsInclude a$b").contains("--nsInclude"));
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
        dump_refusal(&line).starts_with("cannot read --queryFile"),
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
                .any(|warning| warning.contains("can be seen")),
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
    };
    let request = DumpRequest::new(&dump_args(""), &environment).unwrap();
    assert_eq!(request.warnings, [] as [&str; 0], "nobody can see it");
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
        "bad option: --out not allowed when --archive is specified"
    );
    assert_eq!(
        dump_refusal("--archive --json"),
        "bad option: --json cannot be used when --archive writes to standard output"
    );
}
