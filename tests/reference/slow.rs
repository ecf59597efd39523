//! A source that answers slowly, so that much can be written while it is dumped.

use std::{pin::pin, time::Duration};

use rdump_testkit::{Proxy, ReplicaSet, wait::PATIENCE, wait_for};

/// How long each question and each answer takes until the dump has begun.
const DELAY: Duration = Duration::from_millis(50);
/// How long they take while there is something to be written.
const LONG_DELAY: Duration = Duration::from_secs(2);
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
    pub(super) async fn write_during<T, W>(
        &self,
        dump: impl Future<Output = T>,
        writes: impl Future<Output = W>,
    ) -> (T, W) {
        let mut dump = pin!(dump);
        let writes = async {
            let has_begun = async || (self.proxy.bytes_to_clients() > BYTES_OF_START).then_some(());
            wait_for("the dump to begin", PATIENCE, has_begun).await;
            self.proxy.delay(LONG_DELAY);
            writes.await
        };
        let written = tokio::select! {
            _ = &mut dump => panic!("the dump was over before everything was written"),
            written = writes => written,
        };
        self.proxy.pass();
        (dump.await, written)
    }
}
