//! What standalone servers and replica sets have in common: addresses, clients, users, certificates.

mod address;
mod certificates;
mod client;
mod security;
mod setup;
mod slot;

use std::{path::Path, time::Duration};

use bson::{Bson, Document, doc};
use futures::future::join_all;
use mongodb::Client;
use tempfile::TempDir;

use crate::{
    mongod::Mongod,
    wait::{PATIENCE, wait_for},
};
use address::{Addresses, escape};
pub(crate) use certificates::Certificates;
use client::Clients;
use security::Security;
pub use setup::Setup;
use slot::Slot;

pub use client::connect;

/// Name of the user that may do everything in a deployment with authentication.
pub const ROOT_USER: &str = "root";
/// Password of [`ROOT_USER`]; it needs escaping in a URI, as real ones do.
pub const ROOT_PASSWORD: &str = "s3cret/@:%";

/// The servers of a deployment and how to reach them.
///
/// [`ReplicaSet`](crate::ReplicaSet) and [`Standalone`](crate::Standalone) dereference to it.
#[derive(Debug)]
pub struct Deployment {
    clients: Clients,
    members: Vec<Mongod>,
    addresses: Addresses,
    security: Security,
    _folder: TempDir,
    _slot: Slot,
}

impl Deployment {
    /// Starts the members, each by itself; without the name of a replica set it is a standalone server.
    pub(crate) async fn launch(setup: &Setup, replica_set: Option<&str>, members: usize) -> Self {
        let slot = Slot::acquire().await;
        let folder = tempfile::tempdir().expect("a temporary folder can be created");
        let security = Security::prepare(setup, folder.path());
        let options = setup.mongod_options(replica_set, &security);
        let members = join_all((0..members).map(|_| Mongod::start(options.clone()))).await;
        let addresses = Addresses {
            hosts: members.iter().map(Mongod::address).collect(),
            replica_set: replica_set.map(str::to_owned),
            ca_file: security.certificates().map(|files| files.ca_file.clone()),
        };
        Self {
            clients: Clients::open(&addresses, None).await,
            members,
            addresses,
            security,
            _folder: folder,
            _slot: slot,
        }
    }

    /// A client for the whole deployment, authenticated as root if there is authentication.
    pub fn client(&self) -> Client {
        self.clients.whole.clone()
    }

    /// A client that talks to one member alone, whatever state it is in; it gives up after a second.
    pub fn direct_client(&self, member: usize) -> Client {
        self.clients.direct[member].clone()
    }

    /// The connection string, without credentials; with certificates it names the CA's file.
    pub fn uri(&self) -> String {
        self.addresses.uri(None)
    }

    /// The connection string with the credentials of [`ROOT_USER`], if there is authentication.
    pub fn root_uri(&self) -> String {
        self.addresses.uri(self.security.root())
    }

    /// The connection string for a user made by [`Deployment::create_user`].
    pub fn uri_for(&self, user: &str) -> String {
        let password = self.security.password(user);
        self.addresses.uri(Some((user, &password)))
    }

    /// The connection string (as root) for one member alone.
    pub fn direct_uri(&self, member: usize) -> String {
        self.direct_uri_at(&self.members[member].address())
    }

    /// The connection string (as root) for a member that is reached at another address, such as a proxy's.
    pub fn direct_uri_at(&self, address: &str) -> String {
        self.addresses.direct_uri(address, self.security.root())
    }

    /// The connection string (as root) for a set that is found at another address.
    pub(crate) fn set_uri_at(&self, address: &str) -> String {
        let addresses = Addresses {
            hosts: vec![address.to_owned()],
            ..self.addresses.clone()
        };
        addresses.uri(self.security.root())
    }

    /// Like [`Deployment::direct_uri`], for clients that give up after a second.
    pub(crate) fn impatient_uri(&self, member: usize) -> String {
        self.direct_uri(member) + client::IMPATIENT
    }

    /// The addresses of the members as `127.0.0.1:PORT`.
    pub fn hosts(&self) -> Vec<String> {
        self.addresses.hosts.clone()
    }

    /// The members' processes.
    pub fn members(&self) -> &[Mongod] {
        &self.members
    }

    /// The last lines of each member's log.
    pub fn log_tail(&self) -> String {
        let tails = self
            .members
            .iter()
            .map(|member| format!("--- {} ---\n{}", member.address(), member.log_tail()));
        tails.collect::<Vec<_>>().join("\n")
    }

    /// Creates a user in `admin` with `roles` as pairs of role and database.
    pub async fn create_user(&self, name: &str, password: &str, roles: &[(&str, &str)]) {
        let command = doc! { "createUser": name, "pwd": password, "roles": roles_as_bson(roles) };
        self.admin_command(command)
            .await
            .unwrap_or_else(|error| panic!("creating user {name}: {error}"));
        self.security.remember(name, password);
    }

    /// Creates the user that the certificate of [`Deployment::client_pem`] stands for.
    pub async fn create_certificate_user(&self, roles: &[(&str, &str)]) {
        let subject = certificates::CLIENT_SUBJECT;
        self.client()
            .database("$external")
            .run_command(doc! { "createUser": subject, "roles": roles_as_bson(roles) })
            .await
            .unwrap_or_else(|error| panic!("creating user {subject}: {error}"));
    }

    /// The connection string that authenticates by the certificate of [`Deployment::client_pem`].
    pub fn certificate_uri(&self) -> String {
        format!(
            "{}&tlsCertificateKeyFile={}&authSource=%24external&authMechanism=MONGODB-X509",
            self.uri(),
            escape(&self.client_pem().to_string_lossy())
        )
    }

    /// The CA's certificate, as PEM, of a deployment built with TLS.
    pub fn ca_file(&self) -> &Path {
        &self.certificates().ca_file
    }

    /// A client's certificate and key in one PEM file, signed by the same CA.
    pub fn client_pem(&self) -> &Path {
        &self.certificates().client_pem
    }

    /// Runs a command on `admin` and gives its reply.
    ///
    /// # Errors
    ///
    /// As the driver's `run_command`.
    pub async fn admin_command(&self, command: Document) -> mongodb::error::Result<Document> {
        self.client().database("admin").run_command(command).await
    }

    /// What one member says it is, by the command that every version knows, if it does within a second.
    pub async fn hello(&self, member: usize) -> Option<Document> {
        if !self.members[member].is_running() {
            return None;
        }
        let admin = self.direct_client(member).database("admin");
        let reply = async { admin.run_command(doc! { "isMaster": 1 }).await };
        tokio::time::timeout(Duration::from_secs(1), reply)
            .await
            .ok()?
            .ok()
    }

    /// Index of the member that takes writes now, if there is one; a standalone server does.
    pub async fn primary_index(&self) -> Option<usize> {
        let hellos = (0..self.members.len()).map(|member| self.hello(member));
        let hellos = join_all(hellos).await;
        hellos
            .iter()
            .position(|hello| hello.as_ref().is_some_and(is_primary))
    }

    /// Waits until there is a primary and gives its index.
    pub async fn await_primary(&self) -> usize {
        wait_for("a primary", PATIENCE, async || self.primary_index().await).await
    }

    /// Creates the root user through the localhost exception of `primary`, then reconnects as this user.
    pub(crate) async fn create_root(&mut self, primary: usize) {
        let Some((user, password)) = self.security.root() else {
            return;
        };
        let command = doc! {
            "createUser": user, "pwd": password, "roles": ["root"],
            "writeConcern": { "w": "majority", "wtimeout": 30_000 },
        };
        self.direct_client(primary)
            .database("admin")
            .run_command(command)
            .await
            .unwrap_or_else(|error| panic!("creating the root user: {error}"));
        self.clients = Clients::open(&self.addresses, self.security.root()).await;
    }

    fn certificates(&self) -> &Certificates {
        let certificates = self.security.certificates();
        certificates.expect("the deployment was built with tls()")
    }
}

fn roles_as_bson(roles: &[(&str, &str)]) -> Bson {
    let roles = roles
        .iter()
        .map(|(role, db)| Bson::Document(doc! { "role": *role, "db": *db }));
    Bson::Array(roles.collect())
}

pub(crate) fn is_primary(hello: &Document) -> bool {
    hello.get_bool("ismaster").unwrap_or(false)
}

pub(crate) fn is_secondary(hello: &Document) -> bool {
    hello.get_bool("secondary").unwrap_or(false)
}
