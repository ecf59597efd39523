//! Runs a standalone server: no oplog, no transactions, no snapshots in time.

use std::{ffi::OsString, ops::Deref};

use crate::{
    deployment::{Deployment, Setup},
    server_version::ServerVersion,
};

/// A single server that is no member of a replica set.
#[derive(Debug)]
pub struct Standalone {
    deployment: Deployment,
}

/// How a [`Standalone`] is started.
#[derive(Clone, Debug, Default)]
pub struct StandaloneBuilder {
    setup: Setup,
}

impl Standalone {
    /// Starts a server without authentication and TLS.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Chooses how the server is started.
    pub fn builder() -> StandaloneBuilder {
        StandaloneBuilder::default()
    }

    /// Kills the server with SIGKILL.
    pub fn kill(&self) {
        self.deployment.members()[0].kill();
    }

    /// Starts the server again on the same port and data; kills it first if it runs.
    pub async fn restart(&self) {
        self.deployment.members()[0].restart().await;
    }
}

impl StandaloneBuilder {
    /// Demands authentication, and creates the root user.
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

    /// Starts the server and waits until it answers.
    pub async fn start(self) -> Standalone {
        let mut deployment = Deployment::launch(&self.setup, None, 1).await;
        deployment.create_root(0).await;
        Standalone { deployment }
    }
}

impl Deref for Standalone {
    type Target = Deployment;

    fn deref(&self) -> &Deployment {
        &self.deployment
    }
}
