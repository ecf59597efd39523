//! Runs the reference tools mongodump, mongorestore and bsondump.
//!
//! They come from `MONGODUMP`, `MONGORESTORE` and `BSONDUMP`, or from `PATH`; the project does not install them.
//! Tests that need them are a target of their own, so that nothing passes silently where they are missing.

use std::{
    ffi::OsStr,
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::binaries;

/// Runs mongodump to its end; panics unless it succeeds.
pub fn mongodump<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    run(&binaries::mongodump(), arguments)
}

/// Runs mongorestore to its end; panics unless it succeeds.
pub fn mongorestore<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    run(&binaries::mongorestore(), arguments)
}

/// Runs bsondump to its end; panics unless it succeeds.
pub fn bsondump<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    run(&binaries::bsondump(), arguments)
}

/// Runs a program to its end and gives its output, whether it succeeds or not.
pub fn attempt<S: AsRef<OsStr>>(program: &Path, arguments: impl IntoIterator<Item = S>) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    let output = command.output();
    output.unwrap_or_else(|error| panic!("running {}: {error}", program.display()))
}

fn run<S: AsRef<OsStr>>(program: &Path, arguments: impl IntoIterator<Item = S>) -> Output {
    let output = attempt(program, arguments);
    assert!(
        output.status.success(),
        "{} ended with {}:\n{}",
        program.display(),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
