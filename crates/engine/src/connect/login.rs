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
        "authSource",
        "--authenticationDatabase",
        uri.take("authsource"),
        filled(options.authentication_database.as_ref()),
    )?;
    let mechanism = merge::agreed(
        "authMechanism",
        "--authenticationMechanism",
        uri.take("authmechanism"),
        filled(options.authentication_mechanism.as_ref()),
    )?;
    let properties = properties(uri)?;
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

/// `authMechanismProperties` of the connection string.
fn properties(uri: &mut ConnectionUri) -> Result<Vec<(String, Secret)>> {
    let Some(list) = uri.take_secret("authmechanismproperties") else {
        return Ok(Vec::new());
    };
    let properties = list.reveal().split(',').map(|property| {
        let (name, value) = property.split_once(':').ok_or_else(|| {
            Error::invalid(
                "authMechanismProperties in the connection string must be name:value pairs",
            )
        })?;
        Ok((name.to_owned(), Secret::from(value)))
    });
    properties.collect()
}
