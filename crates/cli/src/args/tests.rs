use std::ffi::OsString;

use rdump::Secret;

use super::*;

fn line(binary: &str, arguments: &[&str]) -> Vec<OsString> {
    std::iter::once(binary)
        .chain(arguments.iter().copied())
        .map(OsString::from)
        .collect()
}

fn dump(arguments: &[&str]) -> Result<DumpArgs, String> {
    parsed("rdump", arguments)
}

fn restore(arguments: &[&str]) -> Result<RestoreArgs, String> {
    parsed("rrestore", arguments)
}

fn parsed<A: Parser + CommandFactory>(binary: &str, arguments: &[&str]) -> Result<A, String> {
    match parse(line(binary, arguments))? {
        Parsed::Run(args) => Ok(args),
        Parsed::Print(text) => Err(text),
    }
}

#[test]
fn definitions_are_sound() {
    DumpArgs::command().debug_assert();
    RestoreArgs::command().debug_assert();
}

#[test]
fn h_is_the_host_and_help_is_only_long() {
    assert_eq!(
        dump(&["-h", "db1"])
            .unwrap()
            .tool
            .connection
            .server
            .host
            .as_deref(),
        Some("db1")
    );
    assert_eq!(
        dump(&["-hdb1"])
            .unwrap()
            .tool
            .connection
            .server
            .host
            .as_deref(),
        Some("db1")
    );
    let printed = dump(&["--help"])
        .unwrap()
        .tool
        .general
        .to_print::<DumpArgs>();
    assert!(printed.unwrap().contains("--readPreference"));
}

#[test]
fn the_version_is_printed_as_mongodump_does() {
    let printed = |general: GeneralArgs| general.to_print::<DumpArgs>();
    let text = printed(dump(&["--version"]).unwrap().tool.general).unwrap();
    let first = format!("rdump version: {}", env!("CARGO_PKG_VERSION"));
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], first);
    let names = lines[1..]
        .iter()
        .map(|line| line.split_once(": ").unwrap().0);
    assert_eq!(
        names.collect::<Vec<_>>(),
        ["   os", "   arch", "   compiler"]
    );
    assert_eq!(printed(dump(&[]).unwrap().tool.general), None);
    let both = dump(&["--version", "--help"]).unwrap().tool.general;
    assert!(printed(both).unwrap().contains("Usage:"));
}

#[test]
fn the_last_of_a_repeated_option_counts_and_lists_grow() {
    let args = dump(&[
        "-d",
        "a",
        "--db=b",
        "--gzip",
        "--gzip",
        "--excludeCollection",
        "x",
        "--excludeCollection=y",
    ]);
    let args = args.unwrap();
    assert_eq!(args.tool.namespace.db.as_deref(), Some("b"));
    assert!(args.output.gzip);
    assert_eq!(args.output.exclude.exclude_collection, ["x", "y"]);
}

#[test]
fn values_come_in_every_spelling() {
    for arguments in [
        &["-d", "x"][..],
        &["-dx"],
        &["-d=x"],
        &["--db", "x"],
        &["--db=x"],
    ] {
        assert_eq!(
            dump(arguments).unwrap().tool.namespace.db.as_deref(),
            Some("x"),
            "{arguments:?}"
        );
    }
    for (arguments, parallel) in [
        (&["--numParallelCollections", "3"][..], 3),
        (&["--num-parallel-collections=3"], 3),
        (&["-j", "-1"], -1),
        (&["-j4"], 4),
        (&["-j", "\"4\""], 4),
    ] {
        let args = dump(arguments).unwrap();
        assert_eq!(
            args.output.parallel.num_parallel_collections,
            Some(parallel),
            "{arguments:?}"
        );
    }
    let args = dump(&["-q", r#""{\"a\": 1}""#, "-p", "\"a b\"", "--limitRate=5"]).unwrap();
    assert_eq!(args.query.query.as_deref(), Some(r#"{"a": 1}"#));
    assert_eq!(
        args.tool.connection.auth.password,
        Some(Secret::from("a b"))
    );
    assert_eq!(args.limit_rate, Some(5));
}

#[test]
fn an_empty_value_is_a_value() {
    for arguments in [
        &["--db", "", "--archive=", "--sslCAFile", "", "--port="][..],
        &["-d=", "--archive=", "--sslCAFile=", "--port", ""],
    ] {
        let args = dump(arguments).unwrap();
        assert_eq!(args.tool.namespace.db.as_deref(), Some(""));
        assert_eq!(args.output.archive.place(), None);
        assert_eq!(args.tool.connection.server.port.as_deref(), Some(""));
    }
}

#[test]
fn what_looks_like_an_option_is_no_value() {
    for (arguments, reason) in [
        (
            &["--db", "--gzip"][..],
            "expected argument for flag `-d, --db', but got an option; a value that starts with - is written \
             --db=VALUE",
        ),
        (
            &["-p", "-canary7"],
            "expected argument for flag `-p, --password', but got an option; a value that starts with - is written \
             --password=VALUE",
        ),
        (&["--out"], "expected argument for flag `-o, --out'"),
        (
            &["-q", "\"canary7"],
            "invalid argument for flag `-q, --query': it starts with a double quote, but is no quoted string",
        ),
    ] {
        assert_eq!(dump(arguments).unwrap_err(), reason, "{arguments:?}");
    }
    assert_eq!(
        dump(&["--out", "-"]).unwrap().output.out.as_deref(),
        Some("-")
    );
    let args = dump(&["--password=-canary7", "-d-x"]).unwrap();
    assert_eq!(args.tool.namespace.db.as_deref(), Some("-x"));
}

#[test]
fn dashes_alone_are_arguments() {
    let args = restore(&["-", "--", "---x", "-d", "y"]).unwrap();
    let others: Vec<&str> = args.tool.positional.iter().map(Secret::reveal).collect();
    assert_eq!(others, ["-", "--", "---x"]);
    assert_eq!(args.tool.namespace.db.as_deref(), Some("y"));
}

#[test]
fn flags_take_no_value() {
    for argument in ["--drop=true", "--drop="] {
        let reason = restore(&[argument]).unwrap_err();
        assert_eq!(reason, "bool flag `--drop' cannot have an argument");
    }
    // As in go-flags, what follows is an argument of its own.
    let args = restore(&["--drop", "true"]).unwrap();
    assert_eq!(args.tool.positional.len(), 1);
}

#[test]
fn optional_values_follow_only_an_equals_sign() {
    for (arguments, level) in [
        (&[][..], 0),
        (&["-v"], 1),
        (&["-vvv"], 3),
        (&["-v", "-v"], 2),
        (&["--verbose"], 1),
        (&["--verbose=3"], 3),
        (&["-v=2"], 2),
        (&["--verbose=vv"], 3),
        (&["-v", "--quiet"], -1),
        (&["-vvvvv"], 5),
        (&["-v3"], 3),
        (&["-vv=2"], 2),
        (&["-v", "-vvv=3"], 3),
        (&["-v=3", "-v"], 4),
        (&["--verbose="], 1),
        (&["--verbose=-3"], -3),
        (&["--verbose=1000"], 127),
    ] {
        let verbosity = dump(arguments).unwrap().tool.verbosity;
        assert_eq!(verbosity.level(), Some(level), "{arguments:?}");
    }
    for argument in ["--verbose=loud", "-vx", "-v=3v", "-vv=33", "-v==3"] {
        let verbosity = dump(&[argument]).unwrap().tool.verbosity;
        assert_eq!(verbosity.level(), None, "{argument}");
    }
    let tool = dump(&["-v", "mongodb://a"]).unwrap().tool;
    assert_eq!(
        (tool.verbosity.level(), tool.positional.len()),
        (Some(1), 1)
    );

    let args = restore(&["--archive", "x"]).unwrap();
    assert_eq!(
        (args.input.archive.place(), args.tool.positional.len()),
        (Some("-"), 1)
    );
    assert_eq!(
        restore(&["--archive=x"]).unwrap().input.archive.place(),
        Some("x")
    );
    assert_eq!(restore(&[]).unwrap().input.archive.place(), None);
}

#[test]
fn a_connection_string_may_stand_anywhere() {
    for arguments in [
        &["mongodb://a", "-d", "x"][..],
        &["-d", "x", "mongodb://a"],
        &["--gzip", "mongodb://a", "-dx"],
    ] {
        assert_eq!(
            dump(arguments).unwrap().tool.positional[0].reveal(),
            "mongodb://a",
            "{arguments:?}"
        );
    }
    let args = restore(&["folder", "--drop", "mongodb://a"]).unwrap();
    let positional: Vec<&str> = args
        .tool
        .positional
        .iter()
        .map(|argument| argument.reveal())
        .collect();
    assert_eq!(positional, ["folder", "mongodb://a"]);
}

#[test]
fn unknown_options_are_named() {
    for (argument, name) in [
        ("--nonsense", "nonsense"),
        ("--nonsense=1", "nonsense"),
        ("--noobjcheck", "noobjcheck"),
        ("--DB", "DB"),
        ("--h", "h"),
        ("-z", "z"),
        ("-z=1", "z"),
        ("-gzip", "gzip"),
        ("--=x", ""),
    ] {
        assert_eq!(
            dump(&[argument]).unwrap_err(),
            format!("unknown option `{name}`")
        );
    }
    for name in ["dbpath", "directoryperdb", "journal"] {
        assert!(
            dump(&[&format!("--{name}"), "/data"])
                .unwrap_err()
                .starts_with("--dbpath and related flags are not supported"),
            "{name}"
        );
    }
}

#[test]
fn no_reason_quotes_a_secret() {
    for arguments in [
        &["--passwrod=canary7"][..],
        &["--password=canary7", "--nonsense"],
        &["-pcanary7", "-d"],
        &[
            "--uri",
            "mongodb://u:canary7@a",
            "--gzip=canary7x",
            "-j",
            "x",
        ],
        &["--uri=mongodb://u:canary7@a", "-j", "x"],
        &["mongodb://u:canary7@a", "--partitions", "x"],
        &["-xpassword=canary7"],
        &["--password", "-canary7"],
        &["--sslPEMKeyPassword", "canary7", "--partitions", "0"],
        &["-p", "\"canary7", "--nope"],
    ] {
        let reason = dump(arguments).unwrap_err();
        assert!(
            !reason.contains("canary7\"")
                && !reason.contains(":canary7")
                && !reason.contains("canary7@"),
            "{arguments:?}: {reason}"
        );
        assert!(!reason.contains('\n'), "{reason}");
    }
    assert!(
        !dump(&["--passwrod=canary7"])
            .unwrap_err()
            .contains("canary7")
    );
    let args = dump(&[
        "-p",
        "canary7",
        "--uri",
        "mongodb://u:canary7@a",
        "mongodb://canary7",
        "--awsSessionToken=canary7",
    ]);
    assert!(args.is_ok());
    assert!(!format!("{args:?}").contains("canary7"));
}

#[test]
fn verify_is_a_command_of_its_own() {
    let args = dump(&["verify", "folder", "--json"]).unwrap();
    let Some(DumpCommand::Verify(verify)) = args.command else {
        panic!("{args:?}")
    };
    let json = verify.local.repository.json;
    assert_eq!((verify.what.as_deref(), json), (Some("folder"), true));
    assert!(dump(&["verify", "a", "b"]).is_err());
    // After an option it is an argument like any other, and is refused as such.
    let args = dump(&["-d", "x", "verify", "folder"]).unwrap();
    assert_eq!((args.command, args.tool.positional.len()), (None, 2));
    assert_eq!(
        dump(&["-o", "verify"]).unwrap().output.out.as_deref(),
        Some("verify")
    );
    assert!(
        dump(&["verify", "--help"])
            .unwrap_err()
            .contains("rdump verify")
    );
    assert_eq!(
        restore(&["verify"]).unwrap().tool.positional[0].reveal(),
        "verify"
    );
}

#[test]
fn every_option_is_known_in_kebab_case() {
    for (long, kebab) in [
        ("numParallelCollections", "num-parallel-collections"),
        ("sslPEMKeyFile", "ssl-pem-key-file"),
        ("sslCAFile", "ssl-ca-file"),
        ("TCPKeepAliveSeconds", "tcp-keep-alive-seconds"),
        ("sslFIPSMode", "ssl-fips-mode"),
        ("db", "db"),
    ] {
        let value = if long.ends_with("Mode") { "" } else { "=1" };
        let named = |name: &str| dump(&[&format!("--{name}{value}")]).unwrap();
        assert_eq!(named(long), named(kebab), "{kebab}");
    }
    assert!(restore(&["--preserve-uuid", "--restore-db-users-and-roles"]).is_ok());
}
