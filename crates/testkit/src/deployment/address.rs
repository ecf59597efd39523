//! Connection strings.

use std::path::PathBuf;

/// Where a deployment is and what it takes to reach it.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    pub(super) hosts: Vec<String>,
    pub(super) replica_set: Option<String>,
    pub(super) ca_file: Option<PathBuf>,
}

/// User and password.
pub(super) type Credentials<'a> = Option<(&'a str, &'a str)>;

impl Addresses {
    /// The connection string for the whole deployment.
    pub(super) fn uri(&self, credentials: Credentials<'_>) -> String {
        let hosts = self.hosts.join(",");
        match &self.replica_set {
            Some(name) => self.build(&hosts, &format!("replicaSet={name}"), credentials),
            None => self.direct_uri(&hosts, credentials),
        }
    }

    /// The connection string for one address alone.
    pub(super) fn direct_uri(&self, address: &str, credentials: Credentials<'_>) -> String {
        self.build(address, "directConnection=true", credentials)
    }

    fn build(&self, hosts: &str, topology: &str, credentials: Credentials<'_>) -> String {
        let (login, source) = match credentials {
            Some((user, password)) => (
                format!("{}:{}@", escape(user), escape(password)),
                "&authSource=admin",
            ),
            None => (String::new(), ""),
        };
        let tls = match &self.ca_file {
            Some(path) => format!("&tls=true&tlsCAFile={}", escape(&path.to_string_lossy())),
            None => String::new(),
        };
        format!("mongodb://{login}{hosts}/?{topology}{source}{tls}")
    }
}

/// Percent-encodes all but letters, digits and `-._~`.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}
