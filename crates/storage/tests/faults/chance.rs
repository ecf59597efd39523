//! Whatever fails at random, what is stored is what was written.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use rdump_storage::Listing;
use rdump_testkit::s3::gateway::Odds;

use super::{Faulty, bytes, uploaded, whole};

const SEED: u64 = 20_250_722;
const ODDS: Odds = Odds {
    errors: 0.05,
    resets: 0.01,
    lost_answers: 0.01,
};

#[tokio::test(flavor = "multi_thread")]
async fn uploads_of_every_size_come_through_random_faults_and_leave_nothing_behind() {
    let faulty = Faulty::seaweedfs().await;
    faulty.gateway.misbehave(SEED, ODDS);
    // Some 60 MB, in parts and at once.
    let large = [8 << 20, 9_000_000, 17_000_000, 24_000_000];
    let sizes = (0..60).map(|number| number * 300).chain(large);
    let uploads = stream::iter((0..).zip(sizes)).map(async |(number, size)| {
        let path = format!("db/{number:03}");
        let bytes = bytes(number, size);
        uploaded(&faulty.store, &path, &bytes)
            .await
            .map(|info| (info, bytes))
    });
    let written = uploads.buffer_unordered(8).try_collect::<Vec<_>>().await;
    let written = written.unwrap();
    for (info, bytes) in &written {
        assert!(
            whole(&faulty.store, info).await.unwrap() == *bytes,
            "{}",
            info.path
        );
    }
    assert_eq!(
        Listing::of(&faulty.store, "").await.unwrap().objects.len(),
        written.len()
    );
    assert_eq!(faulty.left().await.1, Vec::<String>::new());
}
