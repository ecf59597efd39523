//! A connection string, taken apart.
//!
//! The driver never sees the credentials as part of a text, so that no message of its own can quote them. For
//! the same reason no error here quotes anything of the string: where it is malformed, nobody knows which part
//! of it the password is.

use std::fmt;

use super::{
    Secret,
    hosts::{self, Host},
    percent,
};
use crate::{Error, Result};

/// The parts of a connection string, credentials decoded.
#[derive(Debug, Default)]
pub(super) struct ConnectionUri {
    pub(super) seeds: Seeds,
    pub(super) username: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) db: Option<String>,
    /// Names in lower case, values decoded, in order.
    pub(super) parameters: Vec<(String, Secret)>,
}

/// Where to ask for the deployment's members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seeds {
    /// These servers know.
    Hosts(Vec<Host>),
    /// The DNS knows.
    Srv(String),
}

impl Seeds {
    /// What is known of where the servers are.
    pub(super) fn names(&self) -> Vec<String> {
        match self {
            Self::Hosts(hosts) => hosts.iter().map(ToString::to_string).collect(),
            Self::Srv(name) => vec![name.clone()],
        }
    }
}

impl Default for Seeds {
    fn default() -> Self {
        Self::Hosts(Vec::new())
    }
}

impl fmt::Display for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Srv(name) => f.write_str(name),
            Self::Hosts(hosts) => {
                let hosts: Vec<String> = hosts.iter().map(Host::to_string).collect();
                f.write_str(&hosts.join(","))
            }
        }
    }
}

const NOT_ENCODED: &str = "malformed connection string: the characters : / ? # [ ] @ and % of a user name or password \
                           must be percent-encoded";

impl ConnectionUri {
    /// Takes a connection string apart, by the
    /// [specification](https://github.com/mongodb/specifications/blob/master/source/connection-string/connection-string-spec.md).
    pub(super) fn parse(uri: &Secret) -> Result<Self> {
        let uri = uri.reveal();
        let (srv, rest) = match (
            uri.strip_prefix("mongodb://"),
            uri.strip_prefix("mongodb+srv://"),
        ) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => {
                return Err(Error::invalid(
                    "a connection string starts with mongodb:// or mongodb+srv://",
                ));
            }
        };
        let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (user_info, hosts_and_db) = match before.rsplit_once('@') {
            Some((user_info, hosts)) => (Some(user_info), hosts),
            // A `?` in a password looks like this; whatever is before it would be taken for a host.
            None if query.split(['&', ';']).any(is_stray) => {
                return Err(Error::invalid(NOT_ENCODED));
            }
            None => (None, before),
        };
        let mut parsed = Self {
            parameters: parameters(query)?,
            ..Self::default()
        };
        if let Some(user_info) = user_info {
            let (username, password) = credentials(user_info)?;
            parsed.username = Some(username);
            parsed.password = password;
        }
        let (hosts, db) = hosts_and_db.split_once('/').unwrap_or((hosts_and_db, ""));
        parsed.db = database(db)?;
        parsed.seeds = seeds(srv, hosts)?;
        Ok(parsed)
    }

    /// Takes the last value of a parameter out of the list, and every earlier one with it.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.take_secret(name)
            .map(|value| value.reveal().to_owned())
    }

    /// As [`take`](Self::take), for what must not be seen.
    pub(super) fn take_secret(&mut self, name: &str) -> Option<Secret> {
        let mut last = None;
        self.parameters.retain(|(key, value)| {
            let other = key != name;
            if !other {
                last = Some(value.clone());
            }
            other
        });
        last
    }

    /// The first of several spellings of a parameter that is there.
    pub(super) fn take_any(&mut self, names: &[&str]) -> Option<String> {
        names
            .iter()
            .fold(None, |found, name| found.or(self.take(name)))
    }

    /// Takes a parameter that is `true` or `false`.
    pub(super) fn take_bool(&mut self, name: &str) -> Result<Option<bool>> {
        match self.take(name).as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(Error::invalid(format!(
                "{name} in the connection string must be true or false"
            ))),
        }
    }

    /// Takes a parameter that is a number of milliseconds.
    pub(super) fn take_milliseconds(&mut self, name: &str) -> Result<Option<std::time::Duration>> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        match value.parse() {
            Ok(milliseconds) => Ok(Some(std::time::Duration::from_millis(milliseconds))),
            Err(error) => {
                let message =
                    format!("{name} in the connection string must be a number of milliseconds");
                Err(Error::invalid(message).caused_by(error))
            }
        }
    }
}

/// Whether this looks like the rest of a password rather than a parameter. Azure has an `@` in application names.
fn is_stray(pair: &str) -> bool {
    pair.contains('@') && !pair.to_lowercase().starts_with("appname=")
}

fn credentials(user_info: &str) -> Result<(String, Option<Secret>)> {
    let not_encoded = || Error::invalid(NOT_ENCODED);
    let (username, password) = match user_info.split_once(':') {
        Some((username, password)) => (username, Some(password)),
        None => (user_info, None),
    };
    let decode = |text: &str| match text.contains([':', '/', '?', '#', '[', ']', '@']) {
        true => None,
        false => percent::decode(text),
    };
    let username = decode(username).ok_or_else(not_encoded)?;
    if username.is_empty() {
        return Err(Error::invalid(
            "malformed connection string: there is an @, but no user name before it",
        ));
    }
    let password = password
        .map(|password| decode(password).ok_or_else(not_encoded))
        .transpose()?;
    Ok((username, password.map(Secret::from)))
}

fn database(text: &str) -> Result<Option<String>> {
    let malformed =
        || Error::invalid("malformed connection string: its path is no name of a database");
    let name = percent::decode(text).ok_or_else(malformed)?;
    if name.contains(['/', '\\', '.', ' ', '"', '$', '\0']) {
        return Err(malformed());
    }
    Ok(Some(name).filter(|name| !name.is_empty()))
}

fn seeds(srv: bool, text: &str) -> Result<Seeds> {
    let hosts = hosts::parse_list(text)
        .map_err(|reason| Error::invalid(format!("malformed connection string: {reason}")))?;
    if !srv {
        return Ok(Seeds::Hosts(hosts));
    }
    match &hosts[..] {
        [Host { name, port: None }] => Ok(Seeds::Srv(name.clone())),
        [Host { port: Some(_), .. }] => Err(Error::invalid(
            "a mongodb+srv:// connection string takes no port",
        )),
        _ => Err(Error::invalid(
            "a mongodb+srv:// connection string takes one host name",
        )),
    }
}

fn parameters(query: &str) -> Result<Vec<(String, Secret)>> {
    let pairs = query.split(['&', ';']).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').ok_or_else(|| {
                Error::invalid("malformed connection string: an option has no value")
            })?;
            let value = percent::decode(value).ok_or_else(|| {
                Error::invalid("malformed connection string: an option has a stray %")
            })?;
            Ok((name.to_lowercase(), Secret::from(value)))
        })
        .collect()
}
