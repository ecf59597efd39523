//! Object stores that fail, through a gateway that lets them.

mod answers;
mod bursts;
mod chance;
mod connections;
mod objects;
mod refusals;

use std::fmt;

use bytes::Bytes;
use rdump_storage::{Listing, ObjectInfo, Result, S3Store, Store};
use rdump_testkit::{
    S3Server, SeaweedFs,
    s3::{Gateway, gateway::S3Operation},
};

use crate::conforming::s3;

/// What one part has at first, in bytes.
const PART_BYTES: usize = 8 << 20;
/// More than two parts have, in bytes.
const LARGE_BYTES: usize = 2 * PART_BYTES + 12_345;
/// Where the tests upload to: a folder and objects beside it.
const UPLOADED: [&str; 3] = ["db", "large", "small"];
/// Operations that uploads in parts are made of.
const UPLOADING: [S3Operation; 3] = [
    S3Operation::Create,
    S3Operation::Part,
    S3Operation::Complete,
];

/// A store behind a gateway, and the same one without.
#[derive(Debug)]
struct Faulty {
    gateway: Gateway,
    store: S3Store,
    direct: S3Store,
    address: String,
    /// Ended when it is dropped.
    _server: Option<Box<dyn fmt::Debug>>,
}

impl Faulty {
    /// Before a real one.
    async fn seaweedfs() -> Self {
        let server = SeaweedFs::start().await;
        let address = server.address().to_owned();
        let direct = s3(&server.location("dump"));
        Self::before(address, direct, "dump", Some(Box::new(server))).await
    }

    /// Before a small one, which knows no leftovers.
    async fn small() -> Self {
        let server = S3Server::start().await;
        let address = server.address().to_owned();
        let direct = s3(&server.location("dump"));
        Self::before(address, direct, "dump", Some(Box::new(server))).await
    }

    /// Another gateway before the same one, and another prefix behind it.
    async fn beside(&self, prefix: &str) -> Self {
        let location = format!("s3://tested/{prefix}?endpoint=http://{}", self.address);
        Self::before(self.address.clone(), s3(&location), prefix, None).await
    }

    async fn before(
        address: String,
        direct: S3Store,
        prefix: &str,
        server: Option<Box<dyn fmt::Debug>>,
    ) -> Self {
        let gateway = Gateway::start(&address).await;
        Self {
            store: s3(&gateway.location(prefix)),
            gateway,
            direct,
            address,
            _server: server,
        }
    }

    /// What is there after all, past the gateway: paths of objects, and of uploads that were never ended.
    async fn left(&self) -> (Vec<String>, Vec<String>) {
        self.store.settle().await;
        let listing = Listing::of(&self.direct, "").await.unwrap();
        let leftovers = self
            .direct
            .remove_leftovers(&UPLOADED.map(str::to_owned))
            .await;
        let leftovers = leftovers.unwrap();
        (
            listing
                .objects
                .into_iter()
                .map(|object| object.path)
                .collect(),
            leftovers
                .into_iter()
                .map(|leftover| leftover.path)
                .collect(),
        )
    }

    /// How many objects are there after all, past the gateway.
    async fn left_objects(&self) -> usize {
        Listing::of(&self.direct, "").await.unwrap().objects.len()
    }
}

/// Bytes that differ wherever they are cut or put together wrongly.
fn bytes(seed: u8, length: usize) -> Bytes {
    // A prime number of them, which no part or range is a multiple of.
    let period = (0..251).map(|byte| byte ^ seed);
    period.cycle().take(length).collect()
}

/// Writes an object through an upload, in pieces.
async fn uploaded(store: &S3Store, path: &str, bytes: &Bytes) -> Result<ObjectInfo> {
    let mut upload = store.upload(path).await?;
    let mut rest = bytes.clone();
    while !rest.is_empty() {
        let piece = rest.split_to(rest.len().min(5_000_000));
        upload.write(piece).await?;
    }
    upload.finish().await
}

/// All of an object.
async fn whole(store: &S3Store, info: &ObjectInfo) -> Result<Bytes> {
    let range = 0..info.stored_bytes;
    store.read(&info.path, range, info.version.as_ref()).await
}
