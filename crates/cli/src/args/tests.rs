use std::ffi::OsString;

use super::*;

fn line(binary: &str, arguments: &[&str]) -> Vec<OsString> {
    std::iter::once(binary)
        .chain(arguments.iter().copied())
        .map(OsString::from)
        .collect()
}

fn dump(arguments: &[&str]) -> Result<DumpArgs, String> {
    match parse(line("rdump", arguments))? {
        Parsed::Run(args) => Ok(args),
        Parsed::Print(text) => Err(text),
    }
}

fn restore(arguments: &[&str]) -> Result<RestoreArgs, String> {
    match parse(line("rrestore", arguments))? {
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
            .connection
            .server
            .host
            .as_deref(),
        Some("db1")
    );
    assert_eq!(
        dump(&["-hdb1"]).unwrap().connection.server.host.as_deref(),
        Some("db1")
    );
    assert!(dump(&["--help"]).unwrap_err().contains("--readPreference"));
}

#[test]
fn the_version_is_printed_as_mongodump_does() {
    assert_eq!(
        dump(&["--version"]).unwrap_err(),
        format!("rdump version: {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert!(
        restore(&["--version"])
            .unwrap_err()
            .starts_with("rrestore version: ")
    );
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
    assert_eq!(args.db.as_deref(), Some("b"));
    assert!(args.gzip);
    assert_eq!(args.exclude_collection, ["x", "y"]);
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
            dump(arguments).unwrap().db.as_deref(),
            Some("x"),
            "{arguments:?}"
        );
    }
    assert_eq!(
        dump(&["--numParallelCollections", "3"])
            .unwrap()
            .num_parallel_collections,
        Some(3)
    );
    assert_eq!(
        dump(&["--num-parallel-collections=3"])
            .unwrap()
            .num_parallel_collections,
        Some(3)
    );
    assert_eq!(
        dump(&["-j", "-1"]).unwrap().num_parallel_collections,
        Some(-1)
    );
    assert_eq!(
        dump(&["-q", r#""{\"a\": 1}""#]).unwrap().query.as_deref(),
        Some(r#"{"a": 1}"#)
    );
}

#[test]
fn flags_take_no_value() {
    let reason = restore(&["--drop=true"]).unwrap_err();
    assert!(reason.contains("--drop"), "{reason}");
    // As in go-flags, what follows is an argument of its own.
    let args = restore(&["--drop", "true"]).unwrap();
    assert_eq!(args.positional.len(), 1);
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
    ] {
        assert_eq!(
            dump(arguments).unwrap().verbosity.level(),
            Ok(level),
            "{arguments:?}"
        );
    }
    let args = dump(&["-v", "mongodb://a"]).unwrap();
    assert_eq!((args.verbosity.level(), args.positional.len()), (Ok(1), 1));
    assert_eq!(
        dump(&["--verbose=loud"]).unwrap().verbosity.level(),
        Err("loud")
    );

    let args = restore(&["--archive", "x"]).unwrap();
    assert_eq!(
        (args.archive.as_deref(), args.positional.len()),
        (Some("-"), 1)
    );
    assert_eq!(
        restore(&["--archive=x"]).unwrap().archive.as_deref(),
        Some("x")
    );
}

#[test]
fn a_connection_string_may_stand_anywhere() {
    for arguments in [
        &["mongodb://a", "-d", "x"][..],
        &["-d", "x", "mongodb://a"],
        &["--gzip", "mongodb://a", "-dx"],
    ] {
        assert_eq!(
            dump(arguments).unwrap().positional[0].reveal(),
            "mongodb://a",
            "{arguments:?}"
        );
    }
    let args = restore(&["folder", "--drop", "mongodb://a"]).unwrap();
    let positional: Vec<&str> = args
        .positional
        .iter()
        .map(|argument| argument.reveal())
        .collect();
    assert_eq!(positional, ["folder", "mongodb://a"]);
}

#[test]
fn unknown_options_are_named() {
    assert_eq!(
        dump(&["--nonsense"]).unwrap_err(),
        "unknown option \"nonsense\""
    );
    assert_eq!(
        dump(&["--noobjcheck"]).unwrap_err(),
        "unknown option \"noobjcheck\""
    );
    assert_eq!(dump(&["-z"]).unwrap_err(), "unknown option \"z\"");
    for name in ["dbpath", "directoryperdb", "journal"] {
        assert!(
            dump(&[&format!("--{name}"), "/data"])
                .unwrap_err()
                .contains("no longer supported"),
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
        &["--uri=mongodb://u:canary7@a", "--port", "x"],
        &["mongodb://u:canary7@a", "--port", "x"],
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
    assert!(!format!("{args:?}").contains("canary7"));
}

#[test]
fn verify_is_a_command_of_its_own() {
    let args = dump(&["verify", "folder", "--json"]).unwrap();
    let Some(DumpCommand::Verify(verify)) = args.command else {
        panic!("{args:?}")
    };
    assert_eq!((verify.folder.as_str(), verify.json), ("folder", true));
    assert!(dump(&["verify"]).is_err());
    assert!(dump(&["verify", "a", "b"]).is_err());
    // After an option it is an argument like any other, and is refused as such.
    let args = dump(&["-d", "x", "verify", "folder"]).unwrap();
    assert_eq!((args.command, args.positional.len()), (None, 2));
    assert_eq!(
        dump(&["-o", "verify"]).unwrap().out.as_deref(),
        Some("verify")
    );
    assert_eq!(
        restore(&["verify"]).unwrap().positional[0].reveal(),
        "verify"
    );
}

/// Every long option has a kebab-case spelling too.
#[test]
fn every_option_is_known_in_kebab_case() {
    for command in [DumpArgs::command(), RestoreArgs::command()] {
        for argument in command.get_arguments() {
            let Some(long) = argument.get_long() else {
                continue;
            };
            let mut names: Vec<&str> = argument.get_all_aliases().unwrap_or_default();
            names.push(long);
            let kebab = |name: &&str| {
                name.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
            };
            assert!(names.iter().any(kebab), "{names:?}");
        }
    }
}
