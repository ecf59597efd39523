use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use mongodb::options::{
    Acknowledgment, AuthMechanism, Compressor, ConnectionString,
    ReadPreference as DriverReadPreference,
};

use super::{Secret, uri::Seeds};
use crate::{Acknowledgement, ReadMode, ReadPreference, WriteConcern};

/// [`ConnectOptions`](super::ConnectOptions) that agree with each other: what a connection would be made of.
///
/// `Display` is the [`address`](Self::address). Neither it nor `Debug` shows a secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectPlan {
    pub(super) seeds: Seeds,
    pub(super) replica_set: Option<String>,
    pub(super) login: Option<Login>,
    pub(super) db: Option<String>,
    pub(super) tls: Option<Tls>,
    pub(super) server_selection_timeout: Option<Duration>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) compressors: Vec<Compressor>,
    pub(super) app_name: String,
    /// What the driver reads of a connection string by itself. Holds no secret.
    pub(super) parameters: ConnectionString,
    pub(super) warnings: Vec<String>,
}

/// Who to authenticate as, and how.
#[derive(Clone, Debug)]
pub(super) struct Login {
    pub(super) username: Option<String>,
    pub(super) password: Option<Secret>,
    /// The authentication database, if it is said: else it is one found in the DNS, the database that the
    /// connection string or the option names, or `admin`, in this order.
    pub(super) source: Option<String>,
    pub(super) mechanism: Option<AuthMechanism>,
    pub(super) properties: Vec<(String, Secret)>,
}

/// How connections are encrypted, or that they must not be.
#[derive(Clone, Debug, Default)]
pub(super) struct Tls {
    pub(super) enabled: bool,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) certificate_key_file: Option<PathBuf>,
    pub(super) certificate_key_file_password: Option<Secret>,
    pub(super) insecure: bool,
}

/// What a file of a client's key says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyForm {
    /// Not encrypted, or not to be read: that is reported when it is needed.
    Plain,
    /// Encrypted as PKCS #8 has it.
    Encrypted,
    /// Encrypted as OpenSSL did before PKCS #8.
    Traditional,
}

impl KeyForm {
    pub(super) fn of(path: &Path) -> Self {
        let pem = std::fs::read(path).unwrap_or_default();
        let pem = String::from_utf8_lossy(&pem);
        match pem.contains("Proc-Type: 4,ENCRYPTED") {
            true => Self::Traditional,
            false if pem.contains("BEGIN ENCRYPTED PRIVATE KEY") => Self::Encrypted,
            false => Self::Plain,
        }
    }
}

impl ConnectPlan {
    /// The servers that are asked first: `host:port`, several with commas, after `set/` if they are a replica set.
    pub fn address(&self) -> String {
        match &self.replica_set {
            Some(set) => format!("{set}/{}", self.seeds),
            None => self.seeds.to_string(),
        }
    }

    /// The database that the connection string or [`ConnectOptions::db`](super::ConnectOptions::db) names.
    pub fn database(&self) -> Option<&str> {
        self.db.as_deref()
    }

    /// Who will be authenticated as.
    pub fn username(&self) -> Option<&str> {
        self.login.as_ref()?.username.as_deref()
    }

    /// Whether there is a user whose password is missing, and whose mechanism needs one.
    pub fn needs_password(&self) -> bool {
        let Some(login) = &self.login else {
            return false;
        };
        let passwordless = matches!(
            login.mechanism,
            Some(AuthMechanism::MongoDbX509 | AuthMechanism::MongoDbOidc)
        );
        login.username.is_some() && login.password.is_none() && !passwordless
    }

    /// The file of the client's key, if the key is encrypted and its password is missing.
    pub fn needs_key_password(&self) -> Option<&Path> {
        let tls = self
            .tls
            .as_ref()
            .filter(|tls| tls.certificate_key_file_password.is_none())?;
        let path = tls.certificate_key_file.as_deref()?;
        (KeyForm::of(path) == KeyForm::Encrypted).then_some(path)
    }

    /// The read preference that the connection string asks for.
    pub fn read_preference(&self) -> Option<ReadPreference> {
        let found = self.parameters.read_preference.as_ref()?;
        let (mode, options) = match found {
            DriverReadPreference::PrimaryPreferred { options } => {
                (ReadMode::PrimaryPreferred, options.as_ref())
            }
            DriverReadPreference::Secondary { options } => (ReadMode::Secondary, options.as_ref()),
            DriverReadPreference::SecondaryPreferred { options } => {
                (ReadMode::SecondaryPreferred, options.as_ref())
            }
            DriverReadPreference::Nearest { options } => (ReadMode::Nearest, options.as_ref()),
            // The specification names five modes.
            _ => (ReadMode::Primary, None),
        };
        let mut preference = ReadPreference::new(mode);
        if let Some(options) = options {
            let tag_sets = options.tag_sets.iter().flatten();
            preference = preference.tag_sets(
                tag_sets
                    .map(|tags| tags.clone().into_iter().collect::<BTreeMap<_, _>>())
                    .collect(),
            );
            if let Some(staleness) = options.max_staleness {
                preference = preference.max_staleness_seconds(staleness.as_secs());
            }
        }
        Some(preference)
    }

    /// The write concern that the connection string asks for.
    pub fn write_concern(&self) -> Option<WriteConcern> {
        let found = self.parameters.write_concern.as_ref()?;
        let w = match &found.w {
            Some(Acknowledgment::Nodes(members)) => Acknowledgement::Members(*members),
            Some(Acknowledgment::Custom(tag)) => Acknowledgement::Tag(tag.clone()),
            _ => Acknowledgement::Majority,
        };
        let mut concern = WriteConcern::new(w);
        if let Some(journal) = found.journal {
            concern = concern.journal(journal);
        }
        if let Some(timeout) = found.w_timeout {
            concern = concern.timeout(timeout);
        }
        Some(concern)
    }

    /// What was ignored of the connection string, and what is unsafe, as sentences for a person.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

impl fmt::Display for ConnectPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address())
    }
}
