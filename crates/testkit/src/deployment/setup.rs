//! What a deployment is started with.

use std::ffi::OsString;

use super::security::Security;
use crate::mongod::MongodOptions;

/// Settings that standalone servers and replica sets share.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Whether users have to authenticate. Default: no.
    pub auth: bool,
    /// Whether connections are encrypted, with certificates of a CA of the deployment's own. Default: no.
    pub tls: bool,
    /// Size of the oplog in MiB; a standalone server has none. Default: 64.
    pub oplog_mebibytes: u32,
    /// How the servers themselves are started.
    pub mongod: MongodOptions,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            auth: false,
            tls: false,
            oplog_mebibytes: 64,
            mongod: MongodOptions::default(),
        }
    }
}

impl Setup {
    pub(super) fn mongod_options(
        &self,
        replica_set: Option<&str>,
        security: &Security,
    ) -> MongodOptions {
        let mut options = self.mongod.clone();
        let mut arguments: Vec<OsString> = Vec::new();
        if let Some(name) = replica_set {
            arguments.extend(["--replSet".into(), name.into()]);
            arguments.extend([
                "--oplogSize".into(),
                self.oplog_mebibytes.to_string().into(),
            ]);
        }
        let security = security.arguments(replica_set.is_some());
        arguments.extend(security.into_iter().map(OsString::from));
        // What the caller asks for comes last, so that it overrides.
        arguments.append(&mut options.arguments);
        options.arguments = arguments;
        options
    }
}
