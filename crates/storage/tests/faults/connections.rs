//! Connections break at every moment, or nothing comes through them.

use std::time::{Duration, Instant};

use rdump_storage::{PutIf, StorageError, Store};
use rdump_testkit::{
    s3::gateway::{Fault, S3Operation},
    wait::{PATIENCE, wait_for},
};

use super::{Faulty, LARGE_BYTES, UPLOADING, bytes, uploaded, whole};

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_when_all_is_done_does_not_undo_it() {
    for faulty in [Faulty::seaweedfs().await, Faulty::small().await] {
        faulty.gateway.rule(|asked| match asked.operation {
            S3Operation::Complete | S3Operation::Put if asked.before < 1 => Some(Fault::LoseAnswer),
            _ => None,
        });
        let large = bytes(1, LARGE_BYTES);
        let info = uploaded(&faulty.store, "large", &large).await.unwrap();
        assert_eq!(info.stored_bytes, LARGE_BYTES as u64);
        assert!(whole(&faulty.store, &info).await.unwrap() == large);
        assert!(faulty.gateway.count(S3Operation::Complete) > 1);
        assert_eq!(faulty.gateway.count(S3Operation::Abort), 0);

        let small = bytes(2, 1_000);
        let put = faulty.store.put("small", small.clone(), PutIf::Always);
        let put = put.await.unwrap();
        assert!(whole(&faulty.store, &put).await.unwrap() == small);
        assert_eq!(faulty.gateway.faults(), 2);
        assert_eq!(faulty.left_objects().await, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_under_a_condition_is_ours_even_if_no_answer_told_so() {
    let faulty = Faulty::seaweedfs().await;
    let lose_first = || {
        faulty.gateway.rule(|asked| match asked.operation {
            S3Operation::Put if asked.before < 1 => Some(Fault::LoseAnswer),
            _ => None,
        });
    };
    let [first, second] = [1, 2].map(|seed| bytes(seed, 1_000));
    lose_first();
    let put = faulty.store.put("manifest", first.clone(), PutIf::Absent);
    let put = put.await.unwrap();
    assert!(whole(&faulty.store, &put).await.unwrap() == first);
    lose_first();
    let condition = PutIf::Unchanged(put.version.unwrap());
    let put = faulty
        .store
        .put("manifest", second.clone(), condition.clone());
    let put = put.await.unwrap();
    assert!(whole(&faulty.store, &put).await.unwrap() == second);

    // What somebody else has put is not ours.
    lose_first();
    let error = faulty.store.put("manifest", first.clone(), PutIf::Absent);
    let error = error.await.unwrap_err();
    assert!(matches!(error, StorageError::Exists { .. }), "{error:?}");
    lose_first();
    let error = faulty
        .store
        .put("manifest", first, condition)
        .await
        .unwrap_err();
    assert!(matches!(error, StorageError::Changed { .. }), "{error:?}");
    assert!(whole(&faulty.store, &put).await.unwrap() == second);
    assert_eq!(faulty.gateway.faults(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_or_hardly_comes_is_read_to_its_end() {
    let faulty = Faulty::small().await;
    let large = bytes(1, LARGE_BYTES);
    let info = uploaded(&faulty.direct, "large", &large).await.unwrap();
    let reads = async |fault: Fault, faults: usize| {
        faulty.gateway.rule(move |asked| {
            (asked.before < faults && asked.operation == S3Operation::Get).then(|| fault.clone())
        });
        let before = faulty.gateway.faults();
        assert!(whole(&faulty.store, &info).await.unwrap() == large);
        assert_eq!(faulty.gateway.faults() - before, faults);
    };
    // A byte of a mebibyte, a whole one, none at all.
    reads(Fault::Truncate { bytes: 1 }, 5).await;
    reads(Fault::Truncate { bytes: 1 << 20 }, 10).await;
    reads(Fault::Truncate { bytes: 0 }, 3).await;
    let every = Duration::from_millis(5);
    reads(
        Fault::Trickle {
            bytes: 100_000,
            every,
        },
        1,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_which_nothing_ever_comes_is_given_up() {
    let faulty = Faulty::small().await;
    let info = faulty.direct.put("small", bytes(1, 1_000), PutIf::Always);
    let info = info.await.unwrap();
    faulty.gateway.rule(|_| Some(Fault::Truncate { bytes: 0 }));
    let started = Instant::now();
    let error = whole(&faulty.store, &info).await.unwrap_err();
    assert!(matches!(error, StorageError::Io { .. }), "{error:?}");
    assert_eq!(faulty.gateway.faults(), 8);
    // A store that is started anew has the time for it.
    assert!(started.elapsed() > Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_wait_for_an_answer_leaves_nothing_behind() {
    let faulty = Faulty::seaweedfs().await;
    for held in UPLOADING {
        let before = faulty.gateway.faults();
        faulty
            .gateway
            .rule(move |asked| (asked.operation == held).then_some(Fault::Hold));
        let large = bytes(1, LARGE_BYTES);
        let is_held = wait_for("it to be held", PATIENCE, async || {
            (faulty.gateway.faults() > before).then_some(())
        });
        tokio::select! {
            done = uploaded(&faulty.store, "large", &large) => panic!("{done:?}"),
            () = is_held => {}
        }
        assert_eq!(faulty.left().await, (vec![], vec![]), "{held:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_beginning_nobody_waits_for_is_taken_back_when_the_store_tells_of_it() {
    let faulty = Faulty::seaweedfs().await;
    let every = Duration::from_millis(20);
    let slowly = Fault::Trickle { bytes: 40, every };
    faulty
        .gateway
        .rule(move |asked| (asked.operation == S3Operation::Create).then(|| slowly.clone()));
    let large = bytes(1, LARGE_BYTES);
    let is_begun = wait_for("the store to begin an upload", PATIENCE, async || {
        let begun = faulty.direct.remove_leftovers(&["large".to_owned()]).await;
        (!begun.unwrap().is_empty()).then_some(())
    });
    tokio::select! {
        done = uploaded(&faulty.store, "large", &large) => panic!("{done:?}"),
        () = is_begun => {}
    }
    assert_eq!(faulty.left().await, (vec![], vec![]));
}
