//! The rules by which a connection string and the other options become one plan.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use mongodb::options::{Compressor, ConnectionString};

use super::{
    ConnectOptions, ConnectPlan, Secret,
    hosts::{self, DEFAULT_PORT, Host},
    login, percent,
    plan::{KeyForm, Tls},
    uri::{ConnectionUri, Seeds},
};
use crate::{Error, ErrorKind, Result};

/// Parameters of a connection string that the driver reads by itself.
const FOR_THE_DRIVER: &[&str] = &[
    "appname",
    "directconnection",
    "heartbeatfrequencyms",
    "journal",
    "loadbalanced",
    "localthresholdms",
    "maxconnecting",
    "maxidletimems",
    "maxpoolsize",
    "maxstalenessseconds",
    "minpoolsize",
    "readconcernlevel",
    "readpreference",
    "readpreferencetags",
    "retryreads",
    "retrywrites",
    "servermonitoringmode",
    "srvmaxhosts",
    "srvservicename",
    "w",
    "waitqueuetimeoutms",
    "wtimeoutms",
];

/// Parameters that may be left out without a word: they change nothing about raw documents.
const WITHOUT_EFFECT: &[&str] = &["uuidrepresentation"];

/// Merges the connection string, if there is one, with the other options.
pub(super) fn merge(options: &ConnectOptions) -> Result<ConnectPlan> {
    let mut uri = match &options.uri {
        Some(uri) => Some(ConnectionUri::parse(uri)?),
        None => None,
    };
    let given = uri.is_some();
    let uri = uri.get_or_insert_default();
    let mut warnings = Vec::new();

    let (seeds, replica_set) = servers(options, uri, given)?;
    options.db.as_deref().map_or(Ok(()), check_database)?;
    let db = agreed("database", "--db", uri.db.take(), options.db.clone())?;
    let login = login::merge(options, uri, &mut warnings)?;
    let tls = tls(options, uri, matches!(seeds, Seeds::Srv(_)))?;
    let server_selection_timeout = agreed_time(
        "serverSelectionTimeout",
        "--serverSelectionTimeout",
        uri.take_milliseconds("serverselectiontimeoutms")?,
        options.server_selection_timeout,
    )?;
    let connect_timeout = agreed_time(
        "connectTimeout",
        "--dialTimeout",
        uri.take_milliseconds("connecttimeoutms")?,
        options.connect_timeout,
    )?;
    let compressors = compressors(options, uri, &mut warnings)?;
    let parameters = for_the_driver(uri, &seeds, login.as_ref(), db.as_deref(), &mut warnings)?;
    check_topology(&parameters, &seeds, replica_set.is_some())?;
    Ok(ConnectPlan {
        seeds,
        replica_set,
        login,
        db,
        tls,
        server_selection_timeout,
        connect_timeout,
        compressors,
        app_name: options.app_name.clone(),
        parameters,
        warnings,
    })
}

/// Refuses a name that no server takes, in mongorestore's words.
fn check_database(name: &str) -> Result<()> {
    const MOST_BYTES: usize = 63;
    if name.len() > MOST_BYTES {
        return Err(Error::invalid(format!(
            "invalid db name: db name `{name}` is longer than {MOST_BYTES} characters"
        )));
    }
    let illegal = |letter: &char| ['/', '\\', '.', ' ', '"', '\0', '$'].contains(letter);
    match name.chars().find(illegal) {
        Some(letter) => Err(Error::invalid(format!(
            "invalid db name: illegal character `{letter}` found in db name `{name}`"
        ))),
        None => Ok(()),
    }
}

/// What both ways of saying it agree on.
pub(super) fn agreed<T: PartialEq + fmt::Display>(
    what: &str,
    flag: &str,
    uri: Option<T>,
    option: Option<T>,
) -> Result<Option<T>> {
    match (uri, option) {
        (Some(uri), Some(option)) if uri != option => Err(conflict(what, flag, &uri, &option)),
        (uri, option) => Ok(uri.or(option)),
    }
}

/// As [`agreed`], without showing either.
pub(super) fn agreed_secret(
    what: &str,
    uri: Option<Secret>,
    option: Option<Secret>,
) -> Result<Option<Secret>> {
    let filled = |secret: Option<Secret>| secret.filter(|secret| !secret.is_empty());
    match (filled(uri), filled(option)) {
        (Some(uri), Some(option)) if uri != option => Err(Error::invalid(format!(
            "Invalid Options: Cannot specify different {what} in connection URI and command-line option"
        ))),
        (uri, option) => Ok(uri.or(option)),
    }
}

fn agreed_time(
    what: &str,
    flag: &str,
    uri: Option<Duration>,
    option: Option<Duration>,
) -> Result<Option<Duration>> {
    match (uri, option) {
        (Some(uri), Some(option)) if uri != option => Err(conflict(
            what,
            flag,
            &format!("{uri:?}"),
            &format!("{option:?}"),
        )),
        (uri, option) => Ok(uri.or(option)),
    }
}

fn agreed_path(
    what: &str,
    flag: &str,
    uri: Option<String>,
    option: Option<&PathBuf>,
) -> Result<Option<PathBuf>> {
    match (uri.map(PathBuf::from), option) {
        (Some(uri), Some(option)) if uri != *option => {
            Err(conflict(what, flag, &uri.display(), &option.display()))
        }
        (uri, option) => Ok(uri.or_else(|| option.cloned())),
    }
}

/// The message of mongodump, word for word.
fn conflict(what: &str, flag: &str, uri: &dyn fmt::Display, option: &dyn fmt::Display) -> Error {
    Error::invalid(format!(
        "Invalid Options: Cannot specify different {what} in connection URI and command-line option `{uri}` was \
         specified in the URI and `{option}` was specified in the {flag} option"
    ))
}

fn servers(
    options: &ConnectOptions,
    uri: &mut ConnectionUri,
    given: bool,
) -> Result<(Seeds, Option<String>)> {
    let text = options.host.as_deref().unwrap_or_default();
    // It may hold a password.
    if text.contains('@') || text.contains("://") {
        return Err(
            Error::invalid("--host takes names of servers, not a connection string")
                .with_hint("give the connection string by --uri"),
        );
    }
    let (set_of_host, option_hosts) = match text {
        "" => Default::default(),
        _ => hosts::parse_option(text)
            .map_err(|reason| Error::invalid(format!("--host {text}: {reason}")))?,
    };
    let option_set = match (&options.replica_set, set_of_host) {
        (Some(set), Some(other)) if *set != other => {
            return Err(Error::invalid(format!(
                "the replica set is given as {set} and, in --host, as {other}"
            )));
        }
        (set, other) => set.clone().or(other),
    };
    // An empty name is none, as for mongodump.
    let in_uri = uri.take("replicaset").filter(|set| !set.is_empty());
    let replica_set = match (in_uri, option_set) {
        (Some(in_uri), Some(set)) if in_uri != set => {
            let option = if text.is_empty() { &set } else { text };
            return Err(conflict("replica set name", "--host", &in_uri, &option));
        }
        (in_uri, option_set) => in_uri.or(option_set),
    };
    let mut seeds = match given {
        true => std::mem::take(&mut uri.seeds),
        false if option_hosts.is_empty() => Seeds::Hosts(vec![Host {
            name: "localhost".into(),
            port: None,
        }]),
        false => Seeds::Hosts(option_hosts.clone()),
    };
    let in_uri = seeds.to_string();
    match (&mut seeds, options.port) {
        (_, None) => {}
        (Seeds::Srv(_), Some(_)) => {
            return Err(Error::invalid(
                "--port cannot be used with a mongodb+srv:// connection string",
            ));
        }
        (Seeds::Hosts(hosts), Some(port)) => {
            for host in hosts {
                let has = *host.port.get_or_insert(port);
                if has != port && given {
                    return Err(conflict("port", "--port", &in_uri, &port));
                }
                if has != port {
                    return Err(Error::invalid(format!(
                        "--host says port {has} and --port says {port}"
                    )));
                }
            }
        }
    }
    if given && !option_hosts.is_empty() && !is_same_deployment(&seeds, &option_hosts, options.port)
    {
        return Err(conflict("host", "--host", &in_uri, &text));
    }
    Ok((seeds, replica_set))
}

/// What a connection string says of the deployment must be possible; the words are those of mongodump's driver.
fn check_topology(parameters: &ConnectionString, seeds: &Seeds, is_set: bool) -> Result<()> {
    let is_direct = parameters.direct_connection == Some(true);
    let is_balanced = parameters.load_balanced == Some(true);
    let are_several = matches!(seeds, Seeds::Hosts(hosts) if hosts.len() > 1);
    let contradictions = [
        (
            is_balanced && are_several,
            "loadBalanced cannot be set to true if multiple hosts are specified",
        ),
        (
            is_balanced && is_direct,
            "loadBalanced cannot be set to true if the direct connection option is specified",
        ),
        (
            is_balanced && is_set,
            "loadBalanced cannot be set to true if a replica set name is specified",
        ),
        (
            is_direct && are_several,
            "a direct connection cannot be made if multiple hosts are specified",
        ),
    ];
    match contradictions.iter().find(|(is_there, _)| *is_there) {
        Some((_, message)) => Err(Error::invalid(*message)),
        None => Ok(()),
    }
}

fn is_same_deployment(seeds: &Seeds, others: &[Host], port: Option<u16>) -> bool {
    let others: Vec<Host> = others
        .iter()
        .map(|host| Host {
            port: host.port.or(port).or(Some(DEFAULT_PORT)),
            ..host.clone()
        })
        .collect();
    match seeds {
        Seeds::Srv(name) => matches!(&others[..], [other] if other.name == *name),
        Seeds::Hosts(hosts) => {
            let within = |some: &[Host], all: &[Host]| {
                some.iter()
                    .all(|host| all.iter().any(|other| other.is_same(host)))
            };
            within(hosts, &others) && within(&others, hosts)
        }
    }
}

fn tls(options: &ConnectOptions, uri: &mut ConnectionUri, srv: bool) -> Result<Option<Tls>> {
    let in_uri = match (uri.take_bool("tls")?, uri.take_bool("ssl")?) {
        (Some(tls), Some(ssl)) if tls != ssl => {
            return Err(Error::invalid(
                "the connection string says both tls and ssl, and not the same",
            ));
        }
        (tls, ssl) => tls.or(ssl),
    };
    if in_uri == Some(false) && options.tls {
        return Err(conflict("ssl", "--ssl", &false, &true));
    }
    let ca_file = agreed_path(
        "sslCAFile",
        "--sslCAFile",
        uri.take_any(&["tlscafile", "sslcertificateauthorityfile"]),
        options.tls_ca_file.as_ref(),
    )?;
    let certificate_key_file = agreed_path(
        "sslClientCertificateKeyFile",
        "--sslPEMKeyFile",
        uri.take_any(&["tlscertificatekeyfile", "sslclientcertificatekeyfile"]),
        options.tls_certificate_key_file.as_ref(),
    )?;
    let password = uri.take_secret("tlscertificatekeyfilepassword");
    let password = password.or(uri.take_secret("sslclientcertificatekeypassword"));
    let certificate_key_file_password = agreed_secret(
        "sslPEMKeyFilePassword",
        password,
        options.tls_certificate_key_file_password.clone(),
    )?;
    let insecure = insecure(uri)?;
    if insecure == Some(false) && options.tls_insecure {
        return Err(conflict(
            "sslInsecure or tlsInsecure",
            "--tlsInsecure",
            &false,
            &true,
        ));
    }
    let insecure = insecure.unwrap_or(options.tls_insecure);
    uri.take("tlsdisableocspendpointcheck");

    let implied = ca_file.is_some() || certificate_key_file.is_some() || srv || options.tls;
    let enabled = in_uri.unwrap_or(implied);
    if !enabled && in_uri.is_none() {
        return Ok(None);
    }
    certificate_key_file.as_deref().map_or(Ok(()), check_key)?;
    Ok(Some(Tls {
        enabled,
        ca_file,
        certificate_key_file,
        certificate_key_file_password,
        insecure,
    }))
}

/// Refuses a key that would only fail once its password was asked for.
fn check_key(path: &Path) -> Result<()> {
    if KeyForm::of(path) != KeyForm::Traditional {
        return Ok(());
    }
    let path = path.display();
    let message = format!(
        "the key in {path} (--sslPEMKeyFile) is encrypted in the traditional format of OpenSSL (Proc-Type: 4,ENCRYPTED), \
         which is not supported"
    );
    Err(Error::new(ErrorKind::Unsupported, message).with_hint(format!(
        "convert it with `openssl pkcs8 -topk8 -in {path} -out KEY`, and put the certificate and KEY into one file"
    )))
}

/// Whether the connection string wants no certificate to be checked.
///
/// `tlsAllowInvalidHostnames` is none of these: certificates cannot be checked without the names in them here, so it is
/// ignored with a warning, as by mongodump.
fn insecure(uri: &mut ConnectionUri) -> Result<Option<bool>> {
    let mut found: Option<(&str, bool)> = None;
    for name in ["tlsInsecure", "sslInsecure", "tlsAllowInvalidCertificates"] {
        let Some(value) = uri.take_bool(&name.to_lowercase())? else {
            continue;
        };
        match found {
            Some((other, before)) if before != value => {
                return Err(Error::invalid(format!(
                    "the connection string says {other}={before} and {name}={value}, which contradict each other"
                )));
            }
            _ => found = Some((name, value)),
        }
    }
    Ok(found.map(|(_, value)| value))
}

fn compressors(
    options: &ConnectOptions,
    uri: &mut ConnectionUri,
    warnings: &mut Vec<String>,
) -> Result<Vec<Compressor>> {
    let option =
        Some(options.compressors.join(",")).filter(|names| !names.is_empty() && names != "none");
    let names = agreed(
        "compressors",
        "--compressors",
        uri.take("compressors"),
        option,
    )?;
    let level = uri.take("zlibcompressionlevel");
    let level = level
        .and_then(|level| level.parse::<u32>().ok())
        .filter(|level| *level <= 9);
    let mut compressors = Vec::new();
    for name in names
        .as_deref()
        .unwrap_or_default()
        .split(',')
        .filter(|name| !name.is_empty())
    {
        match name {
            "snappy" => compressors.push(Compressor::Snappy),
            "zlib" => compressors.push(Compressor::Zlib { level }),
            "zstd" => compressors.push(Compressor::Zstd { level: None }),
            other => warnings.push(format!(
                "ignoring unknown compressor {other:?}; known are snappy, zlib and zstd"
            )),
        }
    }
    Ok(compressors)
}

/// Has the driver read what is left, without credentials.
fn for_the_driver(
    uri: &mut ConnectionUri,
    seeds: &Seeds,
    login: Option<&super::plan::Login>,
    db: Option<&str>,
    warnings: &mut Vec<String>,
) -> Result<ConnectionString> {
    match uri.take("connect").as_deref() {
        Some("direct") => uri
            .parameters
            .push(("directconnection".into(), "true".into())),
        Some("automatic") | None => {}
        Some(_) => {
            return Err(Error::invalid(
                "connect in the connection string must be direct or automatic",
            ));
        }
    }
    let mut query: Vec<String> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    // From the back, since the last of several counts; only tag sets may be several.
    for (name, value) in uri.parameters.iter().rev() {
        if FOR_THE_DRIVER.contains(&name.as_str()) {
            if seen.insert(name.as_str()) || name == "readpreferencetags" {
                query.push(format!("{name}={}", percent::encode(value.reveal())));
            }
        } else if name.contains('@') || value.reveal().contains('@') {
            // Rather the rest of a password with a `?` in it than a parameter.
            return Err(Error::invalid(
                "malformed connection string: it has an unknown option with an @ in it; if that is part of a \
                 password, percent-encode the password",
            ));
        } else if !WITHOUT_EFFECT.contains(&name.as_str()) {
            warnings.push(format!("ignoring unsupported URI parameter `{name}`"));
        }
    }
    query.reverse();
    if let Some(source) = login.and_then(|login| login.source.as_deref()) {
        query.push(format!("authsource={}", percent::encode(source)));
    }
    // The user's name makes the driver look for the authentication database in the DNS.
    let user = login.and_then(|login| login.username.as_deref());
    let user = user
        .map(|user| format!("{}@", percent::encode(user)))
        .unwrap_or_default();
    let (scheme, hosts) = match seeds {
        Seeds::Srv(name) => ("mongodb+srv", name.clone()),
        Seeds::Hosts(hosts) => (
            "mongodb",
            hosts.iter().map(Host::in_uri).collect::<Vec<_>>().join(","),
        ),
    };
    let db = db.map(percent::encode).unwrap_or_default();
    ConnectionString::parse(format!("{scheme}://{user}{hosts}/{db}?{}", query.join("&")))
        .map_err(crate::command::error)
}
