//! Who is authenticated, and how.

use mongodb::options::AuthMechanism;

use super::{ConnectOptions, Secret, merge, plan::Login, uri::ConnectionUri};
use crate::{Error, ErrorKind, Result};

/// Where users are that MongoDB does not keep itself.
const EXTERNAL: &str = "$external";

/// Merges what the connection string and the options say of the user.
pub(super) fn merge(
    options: &ConnectOptions,
    uri: &mut ConnectionUri,
    warnings: &mut Vec<String>,
) -> Result<Option<Login>> {
    let username = merge::agreed(
        "username",
        "--username",
        uri.username.take(),
        filled(options.username.as_ref()),
    )?;
    let password = merge::agreed_secret("password", uri.password.take(), options.password.clone())?;
    let source = merge::agreed(
        "authentication database",
        "--authenticationDatabase",
        uri.take("authsource"),
        filled(options.authentication_database.as_ref()),
    )?;
    let mechanism = merge::agreed(
        "authentication mechanism",
        "--authenticationMechanism",
        uri.take("authmechanism"),
        filled(options.authentication_mechanism.as_ref()),
    )?;
    let properties = properties(options, uri)?;
    let mechanism = mechanism.map(|name| parse_mechanism(&name)).transpose()?;
    if password.is_some() && username.is_none() {
        warnings.push("ignoring the password, since no user is given".to_owned());
    }
    if username.is_none()
        && !matches!(
            mechanism,
            Some(AuthMechanism::MongoDbX509 | AuthMechanism::MongoDbOidc)
        )
    {
        return match mechanism {
            Some(_) => Err(Error::invalid(
                "the authentication mechanism needs a user name (--username)",
            )),
            None => Ok(None),
        };
    }
    let external = matches!(
        mechanism,
        Some(AuthMechanism::MongoDbX509 | AuthMechanism::MongoDbOidc | AuthMechanism::Plain)
    );
    let source = source.or_else(|| external.then(|| EXTERNAL.to_owned()));
    Ok(Some(Login {
        username,
        password,
        source,
        mechanism,
        properties,
    }))
}

fn filled(text: Option<&String>) -> Option<String> {
    text.filter(|text| !text.is_empty()).cloned()
}

fn parse_mechanism(name: &str) -> Result<AuthMechanism> {
    match name {
        "SCRAM-SHA-1" => Ok(AuthMechanism::ScramSha1),
        "SCRAM-SHA-256" => Ok(AuthMechanism::ScramSha256),
        "MONGODB-X509" => Ok(AuthMechanism::MongoDbX509),
        "PLAIN" => Ok(AuthMechanism::Plain),
        "MONGODB-OIDC" => Ok(AuthMechanism::MongoDbOidc),
        "MONGODB-AWS" | "GSSAPI" | "MONGODB-CR" => Err(Error::new(
            ErrorKind::Unsupported,
            format!("--authenticationMechanism {name}: not supported by this version"),
        )
        .with_hint("use SCRAM-SHA-256, SCRAM-SHA-1, MONGODB-X509 or PLAIN")),
        other => Err(Error::invalid(format!(
            "--authenticationMechanism {other}: there is no such mechanism"
        ))),
    }
}

/// `authMechanismProperties`, with what the options say of them.
fn properties(options: &ConnectOptions, uri: &mut ConnectionUri) -> Result<Vec<(String, Secret)>> {
    let mut properties = Vec::new();
    if let Some(list) = uri.take_secret("authmechanismproperties") {
        for property in list.reveal().split(',') {
            let (name, value) = property.split_once(':').ok_or_else(|| {
                Error::invalid(
                    "authMechanismProperties in the connection string must be name:value pairs",
                )
            })?;
            properties.push((name.to_owned(), Secret::from(value)));
        }
    }
    let mut take = |name: &str| {
        let at = properties.iter().position(|(key, _)| key == name)?;
        Some(properties.remove(at).1)
    };
    let (token, service, host) = (
        take("AWS_SESSION_TOKEN"),
        take("SERVICE_NAME"),
        take("SERVICE_HOST"),
    );
    let plain = |secret: Option<Secret>| secret.map(|secret| secret.reveal().to_owned());
    // Conflicts are conflicts even while the mechanisms that these belong to are refused.
    merge::agreed_secret(
        "AWS session token",
        token,
        options.aws_session_token.clone(),
    )?;
    merge::agreed(
        "GSSAPI service name",
        "--gssapiServiceName",
        plain(service),
        filled(options.gssapi_service_name.as_ref()),
    )?;
    merge::agreed(
        "GSSAPI host name",
        "--gssapiHostName",
        plain(host),
        filled(options.gssapi_host_name.as_ref()),
    )?;
    Ok(properties)
}
