//! How a deployment is reached, and what it says it is.

use std::{fmt, time::Instant};

use bson::{Document, doc};
use mongodb::{Client, Database, error::ErrorKind as DriverErrorKind};

use crate::{Result, capabilities::Capabilities, command};

mod client;
mod failure;
mod flavor;
mod hosts;
mod login;
mod merge;
mod options;
mod percent;
mod plan;
mod secret;
#[cfg(test)]
mod tests;
mod uri;

pub use flavor::Flavor;
pub use options::ConnectOptions;
pub use plan::ConnectPlan;
pub use secret::Secret;

/// The deployment that a dump reads.
#[derive(Clone, Debug)]
pub struct Source(pub(crate) Deployment);

/// The deployment that a restore writes to.
#[derive(Clone, Debug)]
pub struct Target(pub(crate) Deployment);

impl Source {
    /// Connects, authenticates, and asks the server what it is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if options contradict each other, [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) if no server
    /// answers in time, [`ErrorKind::Denied`](crate::ErrorKind::Denied) if the server refuses the credentials.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connections it opened.
    pub async fn connect(options: &ConnectOptions) -> Result<Self> {
        Deployment::connect(options).await.map(Self)
    }

    /// What the server said of itself.
    pub fn server(&self) -> &ServerInfo {
        &self.0.server
    }
}

impl Target {
    /// Connects, authenticates, and asks the server what it is.
    ///
    /// # Errors
    ///
    /// As [`Source::connect`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connections it opened.
    pub async fn connect(options: &ConnectOptions) -> Result<Self> {
        Deployment::connect(options).await.map(Self)
    }

    /// What the server said of itself.
    pub fn server(&self) -> &ServerInfo {
        &self.0.server
    }
}

/// A client and what is known of the servers behind it.
#[derive(Clone)]
pub(crate) struct Deployment {
    pub(crate) client: Client,
    pub(crate) server: ServerInfo,
}

impl fmt::Debug for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deployment")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl Deployment {
    async fn connect(options: &ConnectOptions) -> Result<Self> {
        let plan = options.plan()?;
        let client = plan.client().await?;
        let admin = client.database("admin");
        let failed = |error| failure::of(&plan, error);
        let clock = Instant::now();
        let hello = loop {
            match admin.run_command(doc! { "hello": 1 }).await {
                Err(error)
                    if matches!(*error.kind, DriverErrorKind::ServerSelection { .. })
                        && !failure::is_of_version(&error)
                        && clock.elapsed() < plan.patience() => {}
                answered => break answered,
            }
        };
        let hello = match hello {
            // Servers before 4.4.2 know only the older word.
            Err(error)
                if command::server_code(&error) == Some(command::code::COMMAND_NOT_FOUND) =>
            {
                admin
                    .run_command(doc! { "isMaster": 1 })
                    .await
                    .map_err(failed)?
            }
            other => other.map_err(failed)?,
        };
        let build = admin
            .run_command(doc! { "buildInfo": 1 })
            .await
            .map_err(failed)?;
        let flavor = match options.flavor {
            Some(flavor) => flavor,
            None => Flavor::probe(&client, &hello).await,
        };
        let mut server = ServerInfo::from_replies(&hello, &build, flavor);
        if server.hosts.is_empty() {
            server.hosts = plan.seeds.names();
        }
        Ok(Self { client, server })
    }

    pub(crate) fn database(&self, name: &str) -> Database {
        self.client.database(name)
    }
}

/// What a server says it is, by [`hello`](https://www.mongodb.com/docs/manual/reference/command/hello/) and
/// [`buildInfo`](https://www.mongodb.com/docs/manual/reference/command/buildInfo/).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ServerInfo {
    /// Its version as text, `6.0.5` for instance.
    pub version: String,
    /// Its version as numbers, missing ones as 0.
    pub version_numbers: [u32; 3],
    /// Whose it is.
    pub flavor: Flavor,
    /// Standalone, member of a replica set, or router.
    pub topology: Topology,
    /// The replica set's name.
    pub set_name: Option<String>,
    /// The members it names, `name:port`; of what names none, a standalone server or a router, where it was looked for.
    pub hosts: Vec<String>,
    /// The largest document that a client may insert, in bytes.
    pub max_document_bytes: usize,
    /// The most documents that one insert command may have.
    pub max_batch_documents: usize,
}

/// What kind of deployment a server is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Topology {
    /// One server on its own.
    Standalone,
    /// A member of a replica set.
    ReplicaSet,
    /// A router of a sharded cluster.
    Sharded,
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Standalone => "standalone",
            Self::ReplicaSet => "replica set",
            Self::Sharded => "sharded cluster",
        })
    }
}

impl ServerInfo {
    fn from_replies(hello: &Document, build: &Document, flavor: Flavor) -> Self {
        let version = build.get_str("version").unwrap_or("unknown").to_owned();
        let numbers = build
            .get_array("versionArray")
            .map(Vec::as_slice)
            .unwrap_or_default();
        let number = |at: usize| {
            numbers
                .get(at)
                .and_then(whole_number)
                .and_then(|n| u32::try_from(n).ok())
                .unwrap_or(0)
        };
        let set_name = hello.get_str("setName").ok().map(str::to_owned);
        let topology = match (hello.get_str("msg"), &set_name) {
            (Ok("isdbgrid"), _) => Topology::Sharded,
            (_, Some(_)) => Topology::ReplicaSet,
            _ => Topology::Standalone,
        };
        let hosts = hello
            .get_array("hosts")
            .map(Vec::as_slice)
            .unwrap_or_default();
        let hosts = hosts
            .iter()
            .filter_map(|host| host.as_str().map(str::to_owned))
            .collect();
        let size = |name: &str, default| {
            hello
                .get(name)
                .and_then(whole_number)
                .and_then(|n| usize::try_from(n).ok())
                .unwrap_or(default)
        };
        Self {
            version_numbers: [number(0), number(1), number(2)],
            version,
            flavor,
            topology,
            set_name,
            hosts,
            max_document_bytes: size("maxBsonObjectSize", 16 << 20),
            max_batch_documents: size("maxWriteBatchSize", 100_000),
        }
    }

    /// What servers of its version can do.
    pub(crate) fn capabilities(&self) -> Capabilities {
        let of_version = Capabilities::of(self.version_numbers);
        match self.flavor {
            Flavor::MongoDb => of_version,
            Flavor::DocumentDb => of_version.of_documentdb(),
        }
    }
}

/// A number of any BSON type that has no fraction.
pub(crate) fn whole_number(value: &bson::Bson) -> Option<i64> {
    match value {
        bson::Bson::Int32(number) => Some(i64::from(*number)),
        bson::Bson::Int64(number) => Some(*number),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "saturates, and servers send small whole numbers"
        )]
        bson::Bson::Double(number) => Some(*number as i64),
        _ => None,
    }
}
