//! Carries bytes between clients and the server.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
};

use super::{Ending, behaviour::Behaviour, count};

/// Most bytes that are carried at once.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces a second when throttled, so that the flow is even.
const PIECES_PER_SECOND: u64 = 50;

/// What the connections and the test's handle share.
#[derive(Debug)]
pub(super) struct Shared {
    target: String,
    behaviour: Mutex<Behaviour>,
    /// Goes up when all connections are to be cut.
    pub(super) cuts: watch::Sender<u64>,
    pub(super) connections: AtomicU64,
    pub(super) cut_connections: AtomicU64,
    pub(super) bytes_to_clients: AtomicU64,
    pub(super) bytes_to_server: AtomicU64,
}

/// Why a connection is over.
enum Over {
    /// One side closed it, or it broke.
    Closed,
    /// The proxy cut it.
    Cut,
}

impl Shared {
    pub(super) fn new(target: String) -> Self {
        Self {
            target,
            behaviour: Mutex::default(),
            cuts: watch::Sender::new(0),
            connections: AtomicU64::new(0),
            cut_connections: AtomicU64::new(0),
            bytes_to_clients: AtomicU64::new(0),
            bytes_to_server: AtomicU64::new(0),
        }
    }

    pub(super) fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        self.behaviour
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Carries a connection, of which no cut is missed from now on.
pub(super) fn carry(
    client: TcpStream,
    shared: &Arc<Shared>,
) -> impl Future<Output = ()> + Send + use<> {
    count(&shared.connections, 1);
    passed(client, Arc::clone(shared), shared.cuts.subscribe())
}

/// Carries one connection from its start to its end.
async fn passed(mut client: TcpStream, shared: Arc<Shared>, mut cuts: watch::Receiver<u64>) {
    let refuse = shared.behaviour().refuse;
    let server = if refuse {
        None
    } else {
        TcpStream::connect(&shared.target).await.ok()
    };
    let Some(mut server) = server else {
        end(client, Ending::Reset);
        return;
    };
    // Delays are ours to choose, not the kernel's.
    drop(client.set_nodelay(true));
    drop(server.set_nodelay(true));
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let over = tokio::select! {
        over = downstream(from_server, to_client, &shared) => over,
        over = upstream(from_client, to_server, &shared) => over,
        _ = cuts.changed() => Over::Cut,
    };
    if matches!(over, Over::Cut) {
        count(&shared.cut_connections, 1);
        let ending = shared.behaviour().ending;
        end(client, ending);
    }
}

/// Closes a client's connection as it was asked for.
fn end(client: TcpStream, ending: Ending) {
    if ending == Ending::Reset {
        // Without it the connection ends by FIN, which is as good an end.
        drop(client.set_zero_linger());
    }
}

/// Carries what the server sends; this is where connections are cut.
async fn downstream(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, shared: &Shared) -> Over {
    let mut carried = 0;
    let mut buffer = vec![0; PIECE_BYTES];
    while let Ok(piece @ 1..) = read(&mut from, &mut buffer, shared).await {
        let (admitted, cut) = shared.behaviour().admit(carried, piece as u64);
        let admitted_bytes = usize::try_from(admitted).unwrap_or(piece);
        if to.write_all(&buffer[..admitted_bytes]).await.is_err() {
            return Over::Closed;
        }
        carried += admitted;
        count(&shared.bytes_to_clients, admitted);
        if cut {
            return Over::Cut;
        }
    }
    Over::Closed
}

/// Carries what the client sends.
async fn upstream(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, shared: &Shared) -> Over {
    let mut buffer = vec![0; PIECE_BYTES];
    while let Ok(piece @ 1..) = read(&mut from, &mut buffer, shared).await {
        if to.write_all(&buffer[..piece]).await.is_err() {
            break;
        }
        count(&shared.bytes_to_server, piece as u64);
    }
    Over::Closed
}

/// Reads a piece and holds it back as long as delay and throttle say.
async fn read(from: &mut ReadHalf<'_>, buffer: &mut [u8], shared: &Shared) -> io::Result<usize> {
    let bytes_per_second = shared.behaviour().bytes_per_second;
    let most = match bytes_per_second {
        Some(rate) => usize::try_from(rate / PIECES_PER_SECOND).unwrap_or(PIECE_BYTES),
        None => PIECE_BYTES,
    };
    let piece = from.read(&mut buffer[..most.clamp(1, PIECE_BYTES)]).await?;
    let delay = shared.behaviour().delay;
    let flow = match bytes_per_second {
        Some(rate) => Duration::from_nanos(piece as u64 * 1_000_000_000 / rate),
        None => Duration::ZERO,
    };
    if !(delay + flow).is_zero() {
        tokio::time::sleep(delay + flow).await;
    }
    Ok(piece)
}
