use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    thread::{self, JoinHandle},
};

use tokio::{net::TcpStream, runtime, sync::watch, task::JoinSet};

/// What listens on loopback, on a thread of its own, so that a test may block while connections go through it. It ends, with all
/// its connections, when it is dropped.
#[derive(Debug)]
pub(crate) struct Listening {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Listening {
    /// Listens, and lets `carry` have each connection from when it is accepted.
    pub(crate) fn start<C>(name: &str, carry: impl FnMut(TcpStream) -> C + Send + 'static) -> Self
    where
        C: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        listener
            .set_nonblocking(true)
            .expect("a listener can be non-blocking");
        let address = listener.local_addr().expect("a listener has an address");
        let (stop, stopped) = watch::channel(false);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime can be built");
            runtime.block_on(accept(listener, carry, stopped));
        });
        Self {
            address,
            stop,
            thread: Some(thread.expect("a thread can be started")),
        }
    }

    /// The address, as `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A panic there has shown itself as broken connections.
            drop(thread.join());
        }
    }
}

/// Accepts connections until it is told to stop.
async fn accept<C: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    mut carry: impl FnMut(TcpStream) -> C,
    mut stopped: watch::Receiver<bool>,
) {
    let listener =
        tokio::net::TcpListener::from_std(listener).expect("the listener is non-blocking");
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            // Ends the connections with the set.
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        if let Ok((client, _)) = accepted {
            connections.spawn(carry(client));
        }
    }
}
