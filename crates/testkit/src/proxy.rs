//! A TCP proxy on loopback that cuts, delays, throttles and refuses connections.
//!
//! It runs on a thread of its own, so a test may block while connections go through it. In front of a member of
//! a replica set the client has to connect directly: the other addresses of the set do not go through it. See
//! [`Deployment::direct_uri_at`](crate::Deployment::direct_uri_at).

mod behaviour;
mod forward;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use behaviour::Behaviour;
pub use behaviour::Ending;
use forward::Shared;

use crate::process::listening::Listening;

/// A running proxy; it ends, with all its connections, when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    listening: Listening,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Starts a proxy in front of `target` (`host:port`) that passes everything on.
    pub async fn start(target: impl Into<String>) -> Self {
        let shared = Arc::new(Shared::new(target.into()));
        let listening = Listening::start("proxy", {
            let shared = Arc::clone(&shared);
            move |client| forward::carry(client, &shared)
        });
        Self { listening, shared }
    }

    /// Address at which the proxy listens, as `127.0.0.1:PORT`.
    pub fn addr(&self) -> String {
        self.listening.address()
    }

    /// Passes everything on again; connections that were cut stay cut.
    pub fn pass(&self) {
        self.change(|behaviour| *behaviour = Behaviour::default());
    }

    /// Cuts each connection when the server has sent `bytes` through it, counted from its start.
    pub fn cut_after(&self, bytes: u64) {
        self.change(|behaviour| behaviour.cut_after = Some(bytes));
    }

    /// Cuts one connection: the one through which the server sends the last of the next `bytes`.
    pub fn cut_once_after(&self, bytes: u64) {
        self.change(|behaviour| behaviour.cut_once_after = Some(bytes));
    }

    /// Resets every new connection at once; those that are open stay.
    pub fn refuse(&self) {
        self.change(|behaviour| behaviour.refuse = true);
    }

    /// Holds back each piece of data, in both directions.
    pub fn delay(&self, delay: Duration) {
        self.change(|behaviour| behaviour.delay = delay);
    }

    /// Passes on at most this much a second, in each direction of each connection.
    pub fn throttle(&self, bytes_per_second: u64) {
        assert!(
            bytes_per_second > 0,
            "nothing ever gets through at 0 bytes per second"
        );
        self.change(|behaviour| behaviour.bytes_per_second = Some(bytes_per_second));
    }

    /// Sets how connections are cut from now on. Default: [`Ending::Reset`].
    pub fn end_by(&self, ending: Ending) {
        self.change(|behaviour| behaviour.ending = ending);
    }

    /// Cuts all open connections.
    pub fn cut_all_now(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Connections that were accepted so far, refused ones included.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Connections that the proxy cut so far, for whatever reason.
    pub fn cut_connections(&self) -> u64 {
        self.shared.cut_connections.load(Ordering::Relaxed)
    }

    /// Bytes that went from the server to clients so far.
    pub fn bytes_to_clients(&self) -> u64 {
        self.shared.bytes_to_clients.load(Ordering::Relaxed)
    }

    /// Bytes that went from clients to the server so far.
    pub fn bytes_to_server(&self) -> u64 {
        self.shared.bytes_to_server.load(Ordering::Relaxed)
    }

    fn change(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.shared.behaviour());
    }
}

/// Counts one more.
fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}
