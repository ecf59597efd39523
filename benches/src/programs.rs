//! The programs that are run: ours, built for release, and the reference tools.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use rdump_testkit::binaries::{cargo, find_tool};
use serde::Deserialize;

/// Our two programs.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) rdump: PathBuf,
    pub(crate) rrestore: PathBuf,
}

/// The tools that they are compared with.
#[derive(Clone, Debug)]
pub(crate) struct ReferenceTools {
    pub(crate) mongodump: PathBuf,
    pub(crate) mongorestore: PathBuf,
}

/// A message of cargo about something that it built.
#[derive(Debug, Deserialize)]
struct Message {
    target: Option<BuiltTarget>,
    executable: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct BuiltTarget {
    name: String,
}

impl Programs {
    /// Builds both for release, with the cargo that runs us, and finds them where it put them.
    pub(crate) fn build() -> Result<Self> {
        let output = cargo()
            .args(["build", "--release", "--quiet"])
            // Together with our own package dependencies have the features that they were just built with.
            .args(["--package", "rdump-cli", "--package", "rdump-benches"])
            .args(["--bin", "rdump", "--bin", "rrestore"])
            .arg("--message-format=json-render-diagnostics")
            .current_dir(workspace())
            .stderr(Stdio::inherit())
            .output()
            .context("could not start cargo")?;
        if !output.status.success() {
            bail!("rdump and rrestore could not be built");
        }
        let messages = String::from_utf8_lossy(&output.stdout);
        let find =
            |name| executable(&messages, name).with_context(|| format!("cargo built no {name}"));
        Ok(Self {
            rdump: find("rdump")?,
            rrestore: find("rrestore")?,
        })
    }
}

impl ReferenceTools {
    /// Finds both: by environment variable or on `PATH`.
    pub(crate) fn find() -> Result<Self> {
        Ok(Self {
            mongodump: find_tool("mongodump", "MONGODUMP")?,
            mongorestore: find_tool("mongorestore", "MONGORESTORE")?,
        })
    }
}

/// The folder of the workspace.
pub(crate) fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// The first line that a program prints, if it can be started.
pub(crate) fn first_line(command: &mut Command) -> Option<String> {
    let output = command
        .stderr(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().next().map(str::to_owned)
}

fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok());
    messages
        .filter(|message| {
            message
                .target
                .as_ref()
                .is_some_and(|target| target.name == name)
        })
        .find_map(|message| message.executable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_found_among_the_messages_of_cargo() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"rdump"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"rdump"},"executable":"/t/release/rdump"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(
            executable(messages, "rdump"),
            Some(PathBuf::from("/t/release/rdump"))
        );
        assert_eq!(executable(messages, "rrestore"), None);
    }
}
