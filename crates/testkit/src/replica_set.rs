//! Runs a replica set of one or more members, and lets its primary fall.

use std::{ffi::OsString, ops::Deref};

use bson::{Document, doc};
use futures::future::join_all;

use crate::{
    deployment::{Deployment, Setup, is_primary, is_secondary},
    server_version::ServerVersion,
    wait::{PATIENCE, wait_for},
};

/// Name of every replica set that is started here.
pub const NAME: &str = "rs0";

/// A replica set of servers of this process.
#[derive(Debug)]
pub struct ReplicaSet {
    deployment: Deployment,
}

/// How a [`ReplicaSet`] is started.
#[derive(Clone, Debug)]
pub struct ReplicaSetBuilder {
    members: usize,
    setup: Setup,
}

impl ReplicaSet {
    /// Starts a replica set of one member without authentication and TLS.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Chooses how the replica set is started.
    pub fn builder() -> ReplicaSetBuilder {
        ReplicaSetBuilder {
            members: 1,
            setup: Setup::default(),
        }
    }

    /// Waits until every running member is primary or secondary, one of them primary, and gives its index.
    pub async fn await_healthy(&self) -> usize {
        wait_for(
            "every member to be primary or secondary",
            PATIENCE,
            async || {
                let running =
                    (0..self.members().len()).filter(|member| self.members()[*member].is_running());
                let hellos = join_all(running.map(|member| self.hello(member))).await;
                let is_healthy = |hello: &Option<Document>| {
                    hello
                        .as_ref()
                        .is_some_and(|hello| is_primary(hello) || is_secondary(hello))
                };
                hellos.iter().all(is_healthy).then_some(())
            },
        )
        .await;
        self.await_primary().await
    }

    /// Makes the primary step down, waits until there is a primary again, and gives its index.
    ///
    /// A set of one member elects the same one again.
    pub async fn step_down(&self) -> usize {
        let primary = self.await_primary().await;
        let is_alone = self.members().len() == 1;
        let (seconds, catch_up_seconds) = if is_alone { (1, 0) } else { (10, 5) };
        let command = doc! {
            "replSetStepDown": seconds, "secondaryCatchUpPeriodSecs": catch_up_seconds, "force": true,
        };
        self.direct_client(primary)
            .database("admin")
            .run_command(command)
            .await
            .unwrap_or_else(|error| panic!("stepping down member {primary}: {error}"));
        self.await_primary().await
    }

    /// Kills the primary with SIGKILL and gives its index; does not wait for an election.
    pub async fn kill_primary(&self) -> usize {
        let primary = self.await_primary().await;
        self.kill(primary);
        primary
    }

    /// Kills one member with SIGKILL.
    pub fn kill(&self, member: usize) {
        self.members()[member].kill();
    }

    /// Starts a member again on the same port and data, and waits until it is primary or secondary.
    ///
    /// Its killed peers need not come back first unless they are needed for a majority.
    pub async fn restart(&self, member: usize) {
        self.members()[member].restart().await;
        wait_for("the restarted member to rejoin", PATIENCE, async || {
            let hello = self.hello(member).await?;
            (is_primary(&hello) || is_secondary(&hello)).then_some(())
        })
        .await;
    }

    async fn initiate(&mut self) {
        let members: Vec<Document> = self
            .hosts()
            .into_iter()
            .zip(0_i32..)
            .map(|(host, id)| doc! { "_id": id, "host": host })
            .collect();
        // Heartbeats as quick as the elections need them; the defaults are 10 s and 2 s.
        let settings = doc! { "electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 200 };
        let config = doc! { "_id": NAME, "members": members, "settings": settings };
        self.direct_client(0)
            .database("admin")
            .run_command(doc! { "replSetInitiate": config })
            .await
            .unwrap_or_else(|error| panic!("initiating the replica set: {error}"));
        let primary = self.await_healthy().await;
        self.deployment.create_root(primary).await;
    }
}

impl ReplicaSetBuilder {
    /// Sets the number of members. Default: 1.
    #[must_use]
    pub fn members(mut self, members: usize) -> Self {
        self.members = members;
        self
    }

    /// Demands authentication (members by key file), and creates the root user.
    #[must_use]
    pub fn auth(mut self) -> Self {
        self.setup.auth = true;
        self
    }

    /// Encrypts connections, with certificates of a CA of its own.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.setup.tls = true;
        self
    }

    /// Sets the size of the oplog, in MiB. Default: 64.
    #[must_use]
    pub fn oplog_mebibytes(mut self, mebibytes: u32) -> Self {
        self.setup.oplog_mebibytes = mebibytes;
        self
    }

    /// Sets the version of the server. Default: whatever [`binaries::mongod`](crate::binaries::mongod) finds.
    #[must_use]
    pub fn version(mut self, version: ServerVersion) -> Self {
        self.setup.mongod.version = Some(version);
        self
    }

    /// Sets the size of the WiredTiger cache, in MiB. Default: 256.
    #[must_use]
    pub fn cache_mebibytes(mut self, mebibytes: u32) -> Self {
        self.setup.mongod.cache_mebibytes = Some(mebibytes);
        self
    }

    /// Adds an argument of `mongod`.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.setup.mongod.arguments.push(argument.into());
        self
    }

    /// Starts the members and waits until each is primary or secondary.
    pub async fn start(self) -> ReplicaSet {
        let deployment = Deployment::launch(&self.setup, Some(NAME), self.members).await;
        let mut replica_set = ReplicaSet { deployment };
        replica_set.initiate().await;
        replica_set
    }
}

impl Deref for ReplicaSet {
    type Target = Deployment;

    fn deref(&self) -> &Deployment {
        &self.deployment
    }
}
