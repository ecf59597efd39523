//! Names and ports of servers.

use std::fmt;

/// A server by name or address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    /// A host name, an address without brackets, or the path of a socket.
    pub(super) name: String,
    pub(super) port: Option<u16>,
}

/// The port of a server that does not say another.
pub(super) const DEFAULT_PORT: u16 = 27017;

impl Host {
    fn is_socket(&self) -> bool {
        self.name.ends_with(".sock")
    }

    /// Whether both are the same server.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let port = |host: &Self| host.port.unwrap_or(DEFAULT_PORT);
        self.name == other.name && port(self) == port(other)
    }

    /// As a connection string has it.
    pub(super) fn in_uri(&self) -> String {
        match self.is_socket() {
            true => super::percent::encode(&self.name),
            false => self.to_string(),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_socket() {
            return f.write_str(&self.name);
        }
        let port = self.port.unwrap_or(DEFAULT_PORT);
        match self.name.contains(':') {
            true => write!(f, "[{}]:{port}", self.name),
            false => write!(f, "{}:{port}", self.name),
        }
    }
}

/// Reads `[set/]host[:port][,host[:port]]…`, as `--host` takes it.
pub(super) fn parse_option(text: &str) -> Result<(Option<String>, Vec<Host>), &'static str> {
    match text.split_once('/') {
        // The path of a socket is no name of a set.
        Some((set, hosts)) if !text.ends_with(".sock") => {
            let set = Some(set).filter(|set| !set.is_empty());
            Ok((set.map(str::to_owned), parse_list(hosts)?))
        }
        _ => Ok((None, parse_list(text)?)),
    }
}

/// Reads `host[:port][,host[:port]]…`. The reason why it cannot quotes nothing.
pub(super) fn parse_list(text: &str) -> Result<Vec<Host>, &'static str> {
    text.split(',').map(parse).collect()
}

fn parse(text: &str) -> Result<Host, &'static str> {
    if text.ends_with(".sock") {
        let name = super::percent::decode(text).ok_or("the path of a socket has a stray %")?;
        return Ok(Host { name, port: None });
    }
    let (name, port) = match text.strip_prefix('[') {
        Some(literal) => {
            let (name, rest) = literal.split_once(']').ok_or("an address in [ has no ]")?;
            name.parse::<std::net::Ipv6Addr>()
                .map_err(|_error| "what is in [ ] is no IPv6 address")?;
            match rest.strip_prefix(':') {
                Some(port) => (name, Some(port)),
                None if rest.is_empty() => (name, None),
                None => return Err("after ] comes only a port"),
            }
        }
        // More than one colon: an IPv6 address that forgot its brackets, as mongodump takes it.
        None if text.parse::<std::net::Ipv6Addr>().is_ok() => (text, None),
        None => match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        },
    };
    if name.is_empty() {
        return Err("the name of a host is empty");
    }
    let port = match port.map(str::parse::<u16>) {
        None => None,
        Some(Ok(port)) if port > 0 => Some(port),
        Some(_) => return Err("the port of a host is no number from 1 to 65535"),
    };
    Ok(Host {
        name: name.to_lowercase(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_print_as_they_are_reached() {
        for (text, shown) in [
            ("localhost", "localhost:27017"),
            ("DB1:27018", "db1:27018"),
            ("[::1]:1", "[::1]:1"),
            ("[::1]", "[::1]:27017"),
            ("::1", "[::1]:27017"),
            ("%2Ftmp%2Fmongodb-27017.sock", "/tmp/mongodb-27017.sock"),
        ] {
            let hosts = parse_list(text).unwrap();
            assert_eq!(
                hosts.iter().map(Host::to_string).collect::<Vec<_>>(),
                [shown],
                "{text}"
            );
        }
    }

    #[test]
    fn a_replica_set_may_come_first() {
        let (set, hosts) = parse_option("rs0/a,b:2").unwrap();
        assert_eq!(set.as_deref(), Some("rs0"));
        assert_eq!(hosts.len(), 2);
        assert_eq!(parse_option("/tmp/x.sock").unwrap().0, None);
        // As of a variable that is not set.
        let (set, hosts) = parse_option("/a:1").unwrap();
        assert_eq!((set, hosts[0].to_string()), (None, "a:1".to_owned()));
    }

    #[test]
    fn what_is_no_host_is_refused_without_quoting_it() {
        for text in [
            "", ":1", "a:0", "a:65536", "a:canary", "[::1", "[canary]", "[::1]x", "a,,b", "a:1:2",
        ] {
            let reason = parse_list(text).unwrap_err();
            assert!(!reason.contains("canary"), "{text}: {reason}");
        }
    }
}
