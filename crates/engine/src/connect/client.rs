//! From a plan to the driver's client.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use bson::{Bson, Document};
use mongodb::{
    Client,
    options::{ClientOptions, Credential, Tls as DriverTls, TlsOptions},
};

use super::{
    ConnectPlan, failure,
    plan::{KeyForm, Tls},
    uri::Seeds,
};
use crate::{Error, ErrorKind, Result};

/// Connections to one server at most. The driver's own default of 10 would hold back parallel inserts.
const MAX_CONNECTIONS: u32 = 100;
/// How long a server is looked for when connecting, unless options or connection string say so.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a server is looked for at once, unless they say so.
///
/// A cursor belongs to one server, and is given up only after this time if that server is gone.
const SELECTION_TIMEOUT: Duration = Duration::from_secs(5);

impl ConnectPlan {
    /// Makes a client. Looks names up for `mongodb+srv`, but connects to nothing yet.
    pub(crate) async fn client(&self) -> Result<Client> {
        let options = self.client_options().await?;
        Client::with_options(options).map_err(|error| failure::of(self, error))
    }

    pub(super) async fn client_options(&self) -> Result<ClientOptions> {
        let mut parameters = self.parameters.clone();
        parameters.replica_set.clone_from(&self.replica_set);
        parameters.server_selection_timeout =
            Some(self.server_selection_timeout.unwrap_or(SELECTION_TIMEOUT));
        parameters.connect_timeout = self.connect_timeout;
        parameters.compressors = (!self.compressors.is_empty()).then(|| self.compressors.clone());
        parameters
            .app_name
            .get_or_insert_with(|| self.app_name.clone());
        parameters.max_pool_size.get_or_insert(MAX_CONNECTIONS);
        parameters.tls = self.tls.as_ref().map(driver_tls).transpose()?;
        if self.is_direct() {
            parameters.direct_connection = Some(true);
        }
        let mut options = ClientOptions::parse(parameters)
            .await
            .map_err(|error| failure::of(self, error))?;
        if let Some(login) = &self.login {
            // The driver may have found the authentication database in the DNS.
            let mut credential = options
                .credential
                .take()
                .unwrap_or_else(|| Credential::builder().build());
            credential.username.clone_from(&login.username);
            credential.password = login
                .password
                .as_ref()
                .map(|password| password.reveal().to_owned());
            credential.mechanism.clone_from(&login.mechanism);
            credential.source = login.source.clone().or(credential.source);
            let properties = login.properties.iter();
            let properties: Document = properties
                .map(|(name, value)| (name.clone(), Bson::from(value.reveal())))
                .collect();
            credential.mechanism_properties = (!properties.is_empty()).then_some(properties);
            if let Some(mechanism) = &credential.mechanism {
                mechanism
                    .validate_credential(&credential)
                    .map_err(|error| failure::of(self, error))?;
            }
            options.credential = Some(credential);
        }
        Ok(options)
    }

    /// How long a server is looked for before it is called unreachable.
    pub(super) fn patience(&self) -> Duration {
        self.server_selection_timeout.unwrap_or(PATIENCE)
    }

    /// Whether only the one server that is named is talked to, whatever it is a member of.
    ///
    /// As mongodump does, so that `--host` of a secondary dumps that secondary.
    fn is_direct(&self) -> bool {
        let single = matches!(&self.seeds, Seeds::Hosts(hosts) if hosts.len() == 1);
        let parameters = &self.parameters;
        single
            && self.replica_set.is_none()
            && parameters.direct_connection.is_none()
            && parameters.load_balanced != Some(true)
    }
}

fn driver_tls(tls: &Tls) -> Result<DriverTls> {
    if !tls.enabled {
        return Ok(DriverTls::Disabled);
    }
    let mut options = TlsOptions::default();
    for (file, flag) in [
        (&tls.ca_file, "--sslCAFile"),
        (&tls.certificate_key_file, "--sslPEMKeyFile"),
    ] {
        if let Some(path) = file {
            check_readable(path, flag)?;
        }
    }
    options.ca_file_path.clone_from(&tls.ca_file);
    options
        .cert_key_file_path
        .clone_from(&tls.certificate_key_file);
    // The driver would take a password for the word that the key is encrypted.
    let is_encrypted = |path: &PathBuf| KeyForm::of(path) == KeyForm::Encrypted;
    options.tls_certificate_key_file_password = tls
        .certificate_key_file_password
        .as_ref()
        .filter(|_| tls.certificate_key_file.as_ref().is_some_and(is_encrypted))
        .map(|password| password.reveal().as_bytes().to_vec());
    // Without certificates there are no host names to check either.
    options.allow_invalid_certificates = tls.insecure.then_some(true);
    Ok(DriverTls::Enabled(options))
}

/// The driver's own message would not say which file it is.
fn check_readable(path: &Path, flag: &str) -> Result<()> {
    match std::fs::File::open(path) {
        Ok(_) => Ok(()),
        Err(error) => {
            let message = format!("cannot read {} ({flag})", path.display());
            Err(Error::new(ErrorKind::Invalid, message).caused_by(error))
        }
    }
}
