//! The options about the connection.

use std::time::Duration;

use rdump::{ConnectOptions, ConnectPlan, ErrorKind, Secret};

use super::{
    Environment, Refusal,
    config::{self, Config},
    filled, filled_path,
};
use crate::{
    args::{ConnectionArgs, FlavorArgs, ToolArgs},
    failure,
};

/// How to connect, checked.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) options: ConnectOptions,
    pub(super) plan: ConnectPlan,
    /// What a person should read before it starts.
    pub(super) warnings: Vec<String>,
}

impl Connection {
    /// Puts together what the command line, the file of `--config` and the environment say, in this order.
    pub(super) fn new(
        (args, flavor): (&ToolArgs, &FlavorArgs),
        positional: Option<Secret>,
        environment: &Environment,
    ) -> Result<Self, Refusal> {
        let typed = filled_secret(args.uri.uri.clone()).or_else(|| positional.clone());
        let mut warnings = warnings(&args.connection, typed.as_ref());
        let config = match filled_path(args.general.config.as_ref()) {
            Some(path) => config::read(path)?,
            None => Config::default(),
        };
        let uri = filled_secret(args.uri.uri.clone().or(config.uri));
        if positional.is_some() && uri.is_some() {
            return Err(Refusal::Usage(
                "illegal argument combination: cannot specify a URI in a positional argument and --uri"
                    .to_owned(),
            ));
        }
        let ConnectionArgs {
            server, tls, auth, ..
        } = &args.connection;
        let mut options = ConnectOptions::default();
        options.host = filled(server.host.as_ref()).map(str::to_owned);
        options.port = port(filled(server.port.as_ref()))?;
        options.uri = match uri.or(positional) {
            None if options.host.is_none() && options.port.is_none() => environment.uri.clone(),
            uri => uri,
        };
        options.connect_timeout = seconds(server.dial_timeout);
        options.server_selection_timeout = seconds(server.server_selection_timeout);
        options.compressors = names(server.compressors.as_deref());
        options.flavor = flavor.flavor;
        options.tls = tls.ssl;
        options.tls_ca_file = filled_path(tls.ssl_ca_file.as_ref()).cloned();
        options.tls_certificate_key_file = filled_path(tls.ssl_pem_key_file.as_ref()).cloned();
        let key_password = tls.ssl_pem_key_password.clone();
        options.tls_certificate_key_file_password =
            filled_secret(key_password.or(config.ssl_pem_key_password));
        options.tls_insecure = tls.tls_insecure
            || tls.ssl_allow_invalid_certificates
            || tls.ssl_allow_invalid_hostnames;
        options.username.clone_from(&auth.username);
        options.password = filled_secret(auth.password.clone().or(config.password));
        options
            .authentication_database
            .clone_from(&auth.authentication_database);
        options
            .authentication_mechanism
            .clone_from(&auth.authentication_mechanism);
        options.db = filled(args.namespace.db.as_ref()).map(str::to_owned);
        let plan = options.plan().map_err(refusal)?;
        let ignored = plan.warnings().iter();
        warnings.extend(ignored.map(|warning| format!("WARNING: {warning}")));
        Ok(Self {
            options,
            plan,
            warnings,
        })
    }
}

/// What contradicts itself is a wrong command line; what is not supported is none.
fn refusal(error: rdump::Error) -> Refusal {
    if error.kind() != ErrorKind::Invalid {
        return error.into();
    }
    let hint = error.hint().map(|hint| format!(" ({hint})"));
    let message = failure::chain(&error.into());
    Refusal::Usage(message + &hint.unwrap_or_default())
}

/// As [`filled`].
fn filled_secret(secret: Option<Secret>) -> Option<Secret> {
    secret.filter(|secret| !secret.is_empty())
}

fn port(text: Option<&str>) -> Result<Option<u16>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    match text.parse() {
        Ok(port) if port > 0 => Ok(Some(port)),
        _ => Err(Refusal::Usage(format!(
            "--port {text:?} is no number from 1 to 65535"
        ))),
    }
}

/// A time, unless it is none: 0 is the default, and so is what is below.
fn seconds(given: Option<i64>) -> Option<Duration> {
    let seconds = u64::try_from(given?).ok()?;
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

fn names(list: Option<&str>) -> Vec<String> {
    let names = list.unwrap_or_default().split(',').map(str::trim);
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// What was typed so that others can see it, and what is deprecated, in mongodump's words: scripts filter them.
fn warnings(args: &ConnectionArgs, uri: Option<&Secret>) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut visible = |how: &str, instead: &str| {
        warnings.push(format!(
            "WARNING: On some systems, a password provided directly {how} may be visible to system status programs such \
             as `ps` that may be invoked by other users. Consider {instead}using the --config option to specify a \
             configuration file with the password."
        ));
    };
    let is_there = |secret: &Option<Secret>| filled_secret(secret.clone()).is_some();
    let omit = "omitting the password to provide it via stdin, or ";
    if is_there(&args.auth.password) {
        visible("using --password", omit);
    }
    if uri.is_some_and(|uri| has_password(uri.reveal())) {
        visible("in a connection string or using --uri", omit);
    }
    if is_there(&args.tls.ssl_pem_key_password) {
        visible("using --sslPEMKeyPassword", "");
    }
    if args.tls.ssl_allow_invalid_certificates || args.tls.ssl_allow_invalid_hostnames {
        warnings.push(
            "WARNING: --sslAllowInvalidCertificates and --sslAllowInvalidHostnames are deprecated, please use \
             --tlsInsecure instead"
                .to_owned(),
        );
    }
    warnings
}

fn has_password(uri: &str) -> bool {
    let after_scheme = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    after_scheme
        .rsplit_once('@')
        .is_some_and(|(user_info, _)| user_info.contains(':'))
}
