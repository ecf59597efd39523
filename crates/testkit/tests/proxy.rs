//! The proxy does to connections what it is told.

use std::time::{Duration, Instant};

use bson::doc;
use mongodb::Client;
use rdump_testkit::{
    Proxy, ReplicaSet, dataset,
    deployment::connect,
    proxy::Ending,
    wait::{PATIENCE, wait_for},
};

struct Setup {
    proxy: Proxy,
    client: Client,
    _replica_set: ReplicaSet,
}

async fn setup() -> Setup {
    let replica_set = ReplicaSet::start().await;
    dataset::orders(2_000).seed(&replica_set.client()).await;
    let proxy = Proxy::start(replica_set.hosts()[0].clone()).await;
    let uri = replica_set.direct_uri_at(&proxy.addr());
    let client = connect(&format!(
        "{uri}&serverSelectionTimeoutMS=2000&retryReads=false"
    ))
    .await;
    Setup {
        proxy,
        client,
        _replica_set: replica_set,
    }
}

impl Setup {
    /// Reads everything, some 360 KB.
    async fn read(&self) -> mongodb::error::Result<usize> {
        use futures::TryStreamExt as _;
        let orders = self
            .client
            .database("shop")
            .collection::<bson::RawDocumentBuf>("orders");
        let all: Vec<_> = orders
            .find(doc! {})
            .batch_size(500)
            .await?
            .try_collect()
            .await?;
        Ok(all.len())
    }

    async fn recover(&self) {
        self.proxy.pass();
        let all = wait_for("the client to recover", PATIENCE, async || {
            self.read().await.ok()
        });
        assert_eq!(all.await, 2_000);
    }
}

#[tokio::test]
async fn a_proxy_passes_cuts_and_refuses() {
    let setup = setup().await;
    let proxy = &setup.proxy;
    assert_eq!(setup.read().await.unwrap(), 2_000);
    assert!(proxy.connections() >= 1);
    assert!(
        proxy.bytes_to_clients() > 300_000,
        "{}",
        proxy.bytes_to_clients()
    );
    assert!(proxy.bytes_to_server() > 100);

    for ending in [Ending::Reset, Ending::Finish] {
        proxy.end_by(ending);
        let (cuts, bytes) = (proxy.cut_connections(), proxy.bytes_to_clients());
        proxy.cut_once_after(150_000);
        assert!(setup.read().await.is_err());
        assert_eq!(proxy.cut_connections(), cuts + 1);
        assert!(proxy.bytes_to_clients() - bytes >= 150_000);
        setup.recover().await;
    }

    // New connections live long enough for a handshake, but not for the data.
    proxy.cut_after(50_000);
    proxy.cut_all_now();
    assert!(setup.read().await.is_err());
    assert!(setup.read().await.is_err());
    setup.recover().await;

    proxy.refuse();
    proxy.cut_all_now();
    assert!(setup.read().await.is_err());
    setup.recover().await;
}

#[tokio::test]
async fn a_proxy_delays_and_throttles() {
    let setup = setup().await;
    setup.read().await.unwrap();
    let timed = async || {
        let started = Instant::now();
        setup.read().await.unwrap();
        started.elapsed()
    };
    setup.proxy.delay(Duration::from_millis(50));
    assert!(timed().await >= Duration::from_millis(400));
    setup.proxy.pass();
    setup.proxy.throttle(1_000_000);
    assert!(timed().await >= Duration::from_millis(300));
}
