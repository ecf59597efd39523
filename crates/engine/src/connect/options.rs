use std::{path::PathBuf, time::Duration};

use super::{ConnectPlan, Flavor, Secret, merge};
use crate::Result;

/// How to reach a deployment: a connection string, its parts one by one, or both.
///
/// What both say must agree, else [`plan`](Self::plan) refuses; what only one says counts. Plain data, but
/// never serialized: it holds secrets.
///
/// ```
/// use rdump::ConnectOptions;
///
/// # fn main() -> rdump::Result<()> {
/// let options = ConnectOptions::default()
///     .uri("mongodb://db1.example:27018,db2.example/shop?replicaSet=rs0")
///     .username("backup")
///     .password("s3cret");
/// let plan = options.plan()?;
/// assert_eq!(plan.database(), Some("shop"));
/// assert_eq!(plan.address(), "rs0/db1.example:27018,db2.example:27017");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ConnectOptions {
    /// A [connection string](https://www.mongodb.com/docs/manual/reference/connection-string/). Default: none.
    ///
    /// A parameter that is not known is ignored, with a warning in [`ConnectPlan::warnings`].
    pub uri: Option<Secret>,
    /// Hosts as `host[:port]`, several with commas between them, after `set/` if they are a replica set.
    /// Default: `localhost`.
    ///
    /// A single host without the name of a replica set is connected to directly, whatever it is a member of.
    pub host: Option<String>,
    /// Port of each host that names none. Default: 27017.
    pub port: Option<u16>,
    /// Name of the replica set. Default: what [`host`](Self::host) or the connection string says.
    pub replica_set: Option<String>,
    /// Who to authenticate as. Default: nobody, the connection is not authenticated.
    pub username: Option<String>,
    /// The password of [`username`](Self::username). An empty one is none.
    pub password: Option<Secret>,
    /// The database that knows the user. Default: `$external` for mechanisms outside of MongoDB, else
    /// [`db`](Self::db), else `admin`.
    pub authentication_database: Option<String>,
    /// The [mechanism](https://www.mongodb.com/docs/manual/core/authentication/): `SCRAM-SHA-256`, `SCRAM-SHA-1`,
    /// `MONGODB-X509`, `PLAIN` or `MONGODB-OIDC`. Default: SCRAM as the server offers it.
    pub authentication_mechanism: Option<String>,
    /// Encrypt connections by TLS 1.2 or 1.3. Default: only if the connection string says so, or one of the
    /// files below is given.
    pub tls: bool,
    /// PEM file of the authorities that the servers' certificates must come from. Default: Mozilla's list.
    pub tls_ca_file: Option<PathBuf>,
    /// PEM file with the client's certificate and key. Default: none.
    pub tls_certificate_key_file: Option<PathBuf>,
    /// The password of the key in [`tls_certificate_key_file`](Self::tls_certificate_key_file).
    pub tls_certificate_key_file_password: Option<Secret>,
    /// Accept any server certificate, for any host name. Default: false.
    ///
    /// Whoever is between the client and the server can then read and change everything.
    pub tls_insecure: bool,
    /// How long to look for a server that fits. Default: 30 seconds.
    pub server_selection_timeout: Option<Duration>,
    /// How long one attempt to open a connection may take. Default: 10 seconds.
    pub connect_timeout: Option<Duration>,
    /// How messages may be compressed on the network, best first: `snappy`, `zlib`, `zstd`. Default: not at all.
    ///
    /// Worth its processor time only on slow networks.
    pub compressors: Vec<String>,
    /// Whose server it is. Default: found out by asking it.
    pub flavor: Option<Flavor>,
    /// The database that the connection is used for; it is where users are looked for by default.
    pub db: Option<String>,
    /// What the servers' logs call this client. Default: `rdump`.
    pub app_name: String,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            uri: None,
            host: None,
            port: None,
            replica_set: None,
            username: None,
            password: None,
            authentication_database: None,
            authentication_mechanism: None,
            tls: false,
            tls_ca_file: None,
            tls_certificate_key_file: None,
            tls_certificate_key_file_password: None,
            tls_insecure: false,
            server_selection_timeout: None,
            connect_timeout: None,
            compressors: Vec::new(),
            flavor: None,
            db: None,
            app_name: "rdump".to_owned(),
        }
    }
}

impl ConnectOptions {
    /// Merges the connection string with the other options, and checks the result.
    ///
    /// Nothing is connected to and no name is looked up.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if the connection string is malformed or contradicts
    /// another option, [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if an option needs what this
    /// version cannot do. No message quotes a credential, nor any part of a malformed connection string.
    pub fn plan(&self) -> Result<ConnectPlan> {
        merge::merge(self)
    }

    /// Sets whose server it is.
    #[must_use]
    pub fn flavor(mut self, flavor: Option<Flavor>) -> Self {
        self.flavor = flavor;
        self
    }

    /// Sets the connection string.
    #[must_use]
    pub fn uri(mut self, uri: impl Into<Secret>) -> Self {
        self.uri = Some(uri.into());
        self
    }

    /// Sets the hosts.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Sets the port of each host that names none.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Sets the name of the replica set.
    #[must_use]
    pub fn replica_set(mut self, name: impl Into<String>) -> Self {
        self.replica_set = Some(name.into());
        self
    }

    /// Sets who to authenticate as.
    #[must_use]
    pub fn username(mut self, username: impl Into<String>) -> Self {
        self.username = Some(username.into());
        self
    }

    /// Sets the password of the user.
    #[must_use]
    pub fn password(mut self, password: impl Into<Secret>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Sets the database that knows the user.
    #[must_use]
    pub fn authentication_database(mut self, db: impl Into<String>) -> Self {
        self.authentication_database = Some(db.into());
        self
    }

    /// Sets the mechanism of authentication.
    #[must_use]
    pub fn authentication_mechanism(mut self, mechanism: impl Into<String>) -> Self {
        self.authentication_mechanism = Some(mechanism.into());
        self
    }

    /// Sets whether connections are encrypted.
    #[must_use]
    pub fn tls(mut self, yes: bool) -> Self {
        self.tls = yes;
        self
    }

    /// Sets the PEM file of the authorities that are trusted.
    #[must_use]
    pub fn tls_ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.tls_ca_file = Some(path.into());
        self
    }

    /// Sets the PEM file with the client's certificate and key.
    #[must_use]
    pub fn tls_certificate_key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.tls_certificate_key_file = Some(path.into());
        self
    }

    /// Sets the password of the client's key.
    #[must_use]
    pub fn tls_certificate_key_file_password(mut self, password: impl Into<Secret>) -> Self {
        self.tls_certificate_key_file_password = Some(password.into());
        self
    }

    /// Sets whether any server certificate is accepted.
    #[must_use]
    pub fn tls_insecure(mut self, yes: bool) -> Self {
        self.tls_insecure = yes;
        self
    }

    /// Sets how long to look for a server.
    #[must_use]
    pub fn server_selection_timeout(mut self, timeout: Duration) -> Self {
        self.server_selection_timeout = Some(timeout);
        self
    }

    /// Sets how long one attempt to open a connection may take.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// Sets how messages may be compressed on the network.
    #[must_use]
    pub fn compressors(mut self, names: Vec<String>) -> Self {
        self.compressors = names;
        self
    }

    /// Sets the database that the connection is used for.
    #[must_use]
    pub fn db(mut self, db: impl Into<String>) -> Self {
        self.db = Some(db.into());
        self
    }

    /// Sets what the servers' logs call this client.
    #[must_use]
    pub fn app_name(mut self, name: impl Into<String>) -> Self {
        self.app_name = name.into();
        self
    }
}
