//! Picks ports for servers.

use std::{
    net::{Ipv4Addr, TcpListener},
    ops::Range,
};

/// Below the range the kernel takes ports of outgoing connections from, so that the port of a killed server is
/// still free when it is started again.
const PORTS: Range<u16> = 20_000..32_000;

/// A port on which nothing listens right now; someone may still be quicker than the server.
pub(crate) fn free() -> u16 {
    (0..1_000)
        .map(|_| rand::random_range(PORTS))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("one of a thousand random ports is free")
}
