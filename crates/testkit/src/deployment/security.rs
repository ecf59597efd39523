//! Key file, certificates and passwords of a deployment.

use std::{
    collections::HashMap,
    fs::OpenOptions,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::{ROOT_PASSWORD, ROOT_USER, Setup, address::Credentials, certificates::Certificates};

/// How a deployment tells friends from strangers.
#[derive(Debug)]
pub(super) struct Security {
    key_file: Option<PathBuf>,
    certificates: Option<Certificates>,
    passwords: Mutex<HashMap<String, String>>,
}

impl Security {
    /// Writes the files that `setup` asks for into `folder`.
    pub(super) fn prepare(setup: &Setup, folder: &Path) -> Self {
        Self {
            key_file: setup.auth.then(|| write_key_file(folder)),
            certificates: setup.tls.then(|| Certificates::create(folder)),
            passwords: Mutex::default(),
        }
    }

    /// The arguments that make a server use it; `replica_set` says whether it is a member of one.
    pub(super) fn arguments(&self, replica_set: bool) -> Vec<PathBuf> {
        let mut arguments: Vec<PathBuf> = Vec::new();
        match &self.key_file {
            Some(key_file) if replica_set => {
                arguments.extend(["--keyFile".into(), key_file.clone()]);
            }
            Some(_) => arguments.push("--auth".into()),
            None => {}
        }
        if let Some(certificates) = &self.certificates {
            arguments.extend(["--tlsMode".into(), "requireTLS".into()]);
            arguments.extend([
                "--tlsCertificateKeyFile".into(),
                certificates.server_pem.clone(),
            ]);
            arguments.extend(["--tlsCAFile".into(), certificates.ca_file.clone()]);
            arguments.push("--tlsAllowConnectionsWithoutCertificates".into());
        }
        arguments
    }

    /// Credentials of the root user, if there is authentication.
    pub(super) fn root(&self) -> Credentials<'static> {
        self.key_file
            .is_some()
            .then_some((ROOT_USER, ROOT_PASSWORD))
    }

    pub(super) fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    pub(super) fn remember(&self, user: &str, password: &str) {
        let mut passwords = self
            .passwords
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        passwords.insert(user.to_owned(), password.to_owned());
    }

    pub(super) fn password(&self, user: &str) -> String {
        if user == ROOT_USER {
            return ROOT_PASSWORD.to_owned();
        }
        let passwords = self
            .passwords
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let password = passwords.get(user).cloned();
        password.unwrap_or_else(|| panic!("user {user} was not made by create_user"))
    }
}

/// Writes what the members prove to each other that they belong together by.
fn write_key_file(folder: &Path) -> PathBuf {
    let path = folder.join("key");
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .expect("a file in a new folder can be created");
    let key = hex::encode(rand::random::<[u8; 32]>());
    file.write_all(key.as_bytes())
        .expect("a key can be written");
    path
}
