//! A source that answers slowly, so that much can be written while it is dumped.

use std::{pin::pin, time::Duration};

use rdump_testkit::{Proxy, ReplicaSet, wait::PATIENCE, wait_for};

/// How long each answer takes.
const DELAY: Duration = Duration::from_millis(50);
/// More than the server says before a dump knows where its oplog begins.
const BYTES_OF_START: u64 = 32 << 10;

/// The way to a source through a proxy.
pub(super) struct Slow {
    proxy: Proxy,
    uri: String,
}

impl Slow {
    pub(super) async fn before(source: &ReplicaSet) -> Self {
        let proxy = Proxy::start(source.members()[0].address()).await;
        proxy.delay(DELAY);
        let uri = source.direct_uri_at(&proxy.addr());
        Self { proxy, uri }
    }

    /// The connection string to dump from.
    pub(super) fn uri(&self) -> &str {
        &self.uri
    }

    /// Writes after the dump has begun; panics if it ends before everything is written.
    pub(super) async fn write_during<T>(
        &self,
        dump: impl Future<Output = T>,
        writes: impl Future<Output = ()>,
    ) -> T {
        let mut dump = pin!(dump);
        let writes = async {
            let has_begun = async || (self.proxy.bytes_to_clients() > BYTES_OF_START).then_some(());
            wait_for("the dump to begin", PATIENCE, has_begun).await;
            writes.await;
        };
        tokio::select! {
            _ = &mut dump => panic!("the dump was over before everything was written"),
            () = writes => self.proxy.pass(),
        }
        dump.await
    }
}
