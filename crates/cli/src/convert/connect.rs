//! The options about the connection.

use std::time::Duration;

use rdump::{ConnectOptions, Secret};

use super::{Environment, Refusal};
use crate::args::ConnectionArgs;

/// Puts together how to connect, and what a person should be warned of.
pub(super) fn connect_options(
    args: &ConnectionArgs,
    db: Option<&str>,
    positional: Option<Secret>,
    environment: &Environment,
) -> Result<(ConnectOptions, Vec<String>), Refusal> {
    let ConnectionArgs {
        server,
        tls,
        auth,
        uri,
    } = args;
    if positional.is_some() && uri.uri.is_some() {
        return Err(Refusal::Usage(
            "illegal argument combination: cannot specify a URI in a positional argument and --uri"
                .to_owned(),
        ));
    }
    let mut options = ConnectOptions::default();
    let typed = uri.uri.clone().or(positional);
    let mut warnings = warnings(args, typed.as_ref());
    options.uri = match typed {
        None if server.host.is_none() && server.port.is_none() => environment.uri.clone(),
        typed => typed,
    };
    options.host.clone_from(&server.host);
    options.port = server.port;
    options.connect_timeout = server
        .dial_timeout
        .filter(|seconds| *seconds > 0)
        .map(Duration::from_secs);
    options.server_selection_timeout = server
        .server_selection_timeout
        .filter(|seconds| *seconds > 0)
        .map(Duration::from_secs);
    options.compressors = names(server.compressors.as_deref());
    options.tls = tls.ssl;
    options.tls_ca_file.clone_from(&tls.ssl_ca_file);
    options
        .tls_certificate_key_file
        .clone_from(&tls.ssl_pem_key_file);
    options
        .tls_certificate_key_file_password
        .clone_from(&tls.ssl_pem_key_password);
    options.tls_insecure =
        tls.tls_insecure || tls.ssl_allow_invalid_certificates || tls.ssl_allow_invalid_hostnames;
    options.username.clone_from(&auth.username);
    options.password.clone_from(&auth.password);
    options
        .aws_session_token
        .clone_from(&auth.aws_session_token);
    options
        .authentication_database
        .clone_from(&auth.authentication_database);
    options
        .authentication_mechanism
        .clone_from(&auth.authentication_mechanism);
    options
        .gssapi_service_name
        .clone_from(&auth.gssapi_service_name);
    options.gssapi_host_name.clone_from(&auth.gssapi_host_name);
    options.db = db.filter(|db| !db.is_empty()).map(str::to_owned);
    warnings.extend(
        options
            .plan()?
            .warnings()
            .iter()
            .map(|warning| format!("WARNING: {warning}")),
    );
    Ok((options, warnings))
}

fn names(list: Option<&str>) -> Vec<String> {
    let names = list.unwrap_or_default().split(',').map(str::trim);
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// What was typed so that others can see it, and what is unsafe or deprecated.
fn warnings(args: &ConnectionArgs, uri: Option<&Secret>) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut visible = |what: &str| {
        warnings.push(format!(
            "WARNING: a password in {what} can be seen by everyone who can list this machine's processes; leave it \
             out to be asked for it, or put a connection string into the environment variable RDUMP_URI"
        ));
    };
    if args
        .auth
        .password
        .as_ref()
        .is_some_and(|password| !password.is_empty())
    {
        visible("--password");
    }
    if args.tls.ssl_pem_key_password.is_some() {
        visible("--sslPEMKeyPassword");
    }
    if uri.is_some_and(|uri| has_password(uri.reveal())) {
        visible("a connection string on the command line");
    }
    if args.tls.ssl_allow_invalid_certificates || args.tls.ssl_allow_invalid_hostnames {
        warnings.push(
            "WARNING: --sslAllowInvalidCertificates and --sslAllowInvalidHostnames are deprecated, use --tlsInsecure \
             instead"
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
