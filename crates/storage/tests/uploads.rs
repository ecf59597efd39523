//! Uploads to an object store: large ones, ones that are given up, ones that broke off.

use bytes::Bytes;
use rdump_storage::{Listing, Store};
use rdump_testkit::{
    Proxy, SeaweedFs,
    proxy::Ending,
    wait::{PATIENCE, wait_for},
};

use crate::conforming::s3;

/// More than one part, and less than may be on its way at once.
const PIECE_BYTES: usize = 12 << 20;

fn piece(number: u8) -> Bytes {
    vec![number; PIECE_BYTES].into()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_given_up_is_aborted_and_one_under_way_is_told_of() {
    let server = SeaweedFs::start().await;
    let store = s3(&server.location("dump"));
    let mut upload = store.upload("db/c.bson").await.unwrap();
    for number in 0..3 {
        upload.write(piece(number)).await.unwrap();
    }
    let other = s3(&server.location("dump"));
    let folders = ["db".to_owned()];
    let found = wait_for("the upload to be told of", PATIENCE, async || {
        let leftovers = other.remove_leftovers(&folders).await.unwrap();
        (!leftovers.is_empty()).then_some(leftovers)
    })
    .await;
    let [leftover] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(
        (leftover.path.as_str(), leftover.removed),
        ("db/c.bson", false)
    );
    drop(upload);
    store.settle().await;
    assert_eq!(other.remove_leftovers(&folders).await.unwrap(), []);
    assert_eq!(Listing::of(&other, "").await.unwrap().objects, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_break_off_cost_time_and_no_byte() {
    let server = SeaweedFs::start().await;
    let proxy = Proxy::start(server.address().to_owned()).await;
    let location = server
        .location("dump")
        .replace(server.address(), &proxy.addr());
    let store = s3(&location);
    for ending in [Ending::Reset, Ending::Finish] {
        proxy.end_by(ending);
        let mut upload = store.upload("large").await.unwrap();
        for number in 0..6 {
            upload.write(piece(number)).await.unwrap();
            proxy.cut_all_now();
        }
        let info = upload.finish().await.unwrap();
        assert_eq!(info.stored_bytes, 6 * PIECE_BYTES as u64);
        // Of each connection, so that no range comes at once.
        proxy.cut_after(3 << 20);
        for number in 0..6 {
            let start = u64::from(number) * PIECE_BYTES as u64;
            let range = start..start + PIECE_BYTES as u64;
            let read = store.read("large", range, info.version.as_ref()).await;
            assert!(read.unwrap() == piece(number), "{number}");
        }
        proxy.pass();
    }
    assert!(proxy.cut_connections() > 40, "{}", proxy.cut_connections());
    store.settle().await;
    let paths = ["large".to_owned()];
    assert_eq!(store.remove_leftovers(&paths).await.unwrap(), []);
}
