//! What whoever watches a repository is told.

use super::{
    all_objects,
    years::{Of, Years},
};

const DAY: i64 = 86_400;

#[tokio::test]
async fn what_was_not_found_whole_is_not_counted_as_good() {
    let mut years = Years::new().await;
    let nothing = years.repository.status().await.unwrap();
    assert!(nothing.newest.is_none() && nothing.last_good.is_none());
    // What says which repository it is, and that it was made.
    assert_eq!((nothing.objects, nothing.added_bytes), (2, 0));

    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(years.snapshot(Of::All, &[]).await);
        years.now += DAY;
    }
    years.begin(1).await;
    years.sample(&ids[0], 1).await;
    years.look(&ids[1], 1, 0).await;
    years.look(&ids[2], 1, 3).await;
    let told = years.repository.status().await.unwrap();
    let newest = told.newest.unwrap();
    assert_eq!((&newest.id, newest.verified_at), (&ids[3], None));
    let good = told.last_good.unwrap();
    assert_eq!((&good.id, good.at_seconds), (&ids[1], years.now - 3 * DAY));
    assert_eq!(told.last_verified_at, good.verified_at);
    assert_eq!(told.damaged, ids[2..3]);
    assert_eq!((told.snapshots, told.unfinished, told.running), (4, 1, 0));
    let all = all_objects(&*years.store).await;
    assert_eq!(told.objects, all.len() as u64);
    let bytes: usize = all.values().map(|bytes| bytes.len()).sum();
    // All is of years ago.
    assert_eq!((told.stored_bytes, told.added_bytes), (bytes as u64, 0));

    // A sample says nothing of what was damaged; all of it does.
    years.sample(&ids[2], 2).await;
    assert_eq!(years.repository.status().await.unwrap().damaged, ids[2..3]);
    years.look(&ids[2], 3, 0).await;
    let told = years.repository.status().await.unwrap();
    assert_eq!(
        (told.last_good.unwrap().id, told.damaged),
        (ids[2].clone(), vec![])
    );
}
