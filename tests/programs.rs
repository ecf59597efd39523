//! The binaries rdump and rrestore, built as the tests are.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::OnceLock,
};

use rdump_testkit::binaries::cargo;

/// Runs rdump to its end and gives what it said on stderr; panics unless it succeeds.
pub async fn rdump<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> String {
    run("rdump", arguments).await
}

/// Runs rrestore to its end and gives what it said on stderr; panics unless it succeeds.
pub async fn rrestore<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> String {
    run("rrestore", arguments).await
}

/// Path of one of the binaries.
pub async fn path(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = tokio::task::spawn_blocking(|| FOLDER.get_or_init(build));
    folder.await.expect("cargo builds the binaries").join(name)
}

/// Runs one of the binaries to its end and gives its exit code, unless a signal ended it, and what it said on stderr.
pub async fn end<S: AsRef<OsStr>>(
    name: &str,
    arguments: impl IntoIterator<Item = S>,
) -> (Option<i32>, String) {
    let output = tokio::process::Command::new(path(name).await)
        .args(arguments)
        .env_remove("RDUMP_URI")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap_or_else(|error| panic!("running {name}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

async fn run<S: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = S>) -> String {
    let (code, said) = end(name, arguments).await;
    assert_eq!(code, Some(0), "{name} said:\n{said}");
    said
}

/// Builds the binaries with the profile of the test that runs, and gives their folder.
///
/// Cargo tells only tests of the package itself where its binaries are.
fn build() -> PathBuf {
    let test = env::current_exe().expect("a process knows its program");
    // target/PROFILE/deps/TEST
    let folder = test.ancestors().nth(2).expect("cargo puts tests into deps");
    let profile = match folder.file_name().and_then(OsStr::to_str) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let status = cargo()
        .args(["build", "--quiet", "--bins", "--profile", profile])
        // Together with our own package dependencies have the features that they were just built with.
        .args([
            "--package",
            "rdump-cli",
            "--package",
            env!("CARGO_PKG_NAME"),
        ])
        .arg("--target-dir")
        .arg(folder.parent().expect("a profile has a folder"))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .status()
        .unwrap_or_else(|error| panic!("running cargo: {error}"));
    assert!(status.success(), "rdump and rrestore could not be built");
    folder.to_owned()
}
