//! Objects that are many, oddly named, gone, replaced or not to be deleted.

use std::sync::{Mutex, mpsc};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use rdump_storage::{Listing, PutIf, StorageError, Store};
use rdump_testkit::{
    s3::{
        Gateway,
        gateway::{Answer, Fault, S3Operation},
    },
    wait::{PATIENCE, wait_for},
};

use super::{Faulty, LARGE_BYTES, bytes, uploaded, whole};
use crate::conforming::s3;

/// Writes so many small objects.
async fn put_many(faulty: &Faulty, many: usize) -> Vec<String> {
    let paths = (0..many).map(|number| format!("db/c{number:05}.bson"));
    let paths: Vec<_> = paths.collect();
    let puts = stream::iter(&paths)
        .map(|path| faulty.direct.put(path, Bytes::new(), PutIf::Always))
        .buffer_unordered(16);
    puts.try_collect::<Vec<_>>().await.unwrap();
    paths
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_objects_are_listed_and_deleted_by_few_requests() {
    let faulty = Faulty::small().await;
    let paths = put_many(&faulty, 2_500).await;
    // The second page, and the second deletion, have to be asked for again.
    faulty
        .gateway
        .rule(|asked| (asked.before == 1).then_some(Fault::ResetBefore));
    let listed = Listing::of(&faulty.store, "").await.unwrap().objects;
    assert!(listed.iter().map(|object| &object.path).eq(&paths));
    assert_eq!(faulty.gateway.count(S3Operation::List), 4);
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    faulty.store.delete(&paths).await.unwrap();
    assert_eq!(faulty.gateway.count(S3Operation::Delete), 4);
    assert_eq!(faulty.left_objects().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_may_not_be_deleted_is_named_and_the_others_are_deleted() {
    let faulty = Faulty::small().await;
    let paths = put_many(&faulty, 1_500).await;
    let denied = "<DeleteResult><Error><Key>dump/db/c00007.bson</Key><Code>AccessDenied</Code>\
                  <Message>object is locked</Message></Error></DeleteResult>";
    let denied = Answer::new(200).body(denied);
    faulty
        .gateway
        .rule(move |asked| (asked.before == 0).then(|| denied.clone().into()));
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    let error = faulty.store.delete(&paths).await.unwrap_err();
    let StorageError::Denied {
        action,
        path,
        source,
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!(*action, "s3:DeleteObject");
    assert_eq!(path, "s3://tested/dump/db/c00007.bson");
    assert_eq!(source.to_string(), "AccessDenied: object is locked");
    // The first thousand were never asked of the store.
    let left = Listing::of(&faulty.direct, "").await.unwrap().objects;
    assert!(left.iter().map(|object| &object.path).eq(&paths[..1_000]));

    // Another store's word for it.
    let locked = "<DeleteResult><Error><Key>dump/db/c00007.bson</Key><Code>ObjectLocked</Code>\
                  <Message>until 2030</Message></Error></DeleteResult>";
    let locked = Answer::new(200).body(locked);
    faulty.gateway.rule(move |_| Some(locked.clone().into()));
    let error = faulty.store.delete(&paths[7..9]).await.unwrap_err();
    let StorageError::Denied { path, source, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(path, "s3://tested/dump/db/c00007.bson");
    assert_eq!(source.to_string(), "ObjectLocked: until 2030");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_could_not_be_deleted_just_then_is_deleted_a_little_later() {
    let faulty = Faulty::small().await;
    let paths = put_many(&faulty, 5).await;
    let failed = |key, code| {
        format!("<Error><Key>dump/{key}</Key><Code>{code}</Code><Message>later</Message></Error>")
    };
    let (internal, slow) = (
        failed(&paths[1], "InternalError"),
        failed(&paths[3], "SlowDown"),
    );
    let failed = Answer::new(200).body(format!("<DeleteResult>{internal}{slow}</DeleteResult>"));
    faulty
        .gateway
        .rule(move |asked| (asked.before < 2).then(|| failed.clone().into()));
    let asked: Vec<_> = paths.iter().map(String::as_str).collect();
    faulty.store.delete(&asked).await.unwrap();
    assert_eq!(faulty.gateway.count(S3Operation::Delete), 3);
    // The others are deleted for all that the store said.
    let left = Listing::of(&faulty.direct, "").await.unwrap().objects;
    let left: Vec<_> = left.iter().map(|object| object.path.as_str()).collect();
    assert_eq!(left, [asked[0], asked[2], asked[4]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_keep_every_character_and_a_slash_more_is_no_other_prefix() {
    let faulty = Faulty::seaweedfs().await;
    let names = [
        "a b",
        "100%",
        "%41",
        "a+b",
        "ä€𝄞",
        "a#b",
        "a?b=c&d",
        "~!$'()*,;:@[]",
        "a\"<>&",
    ];
    for prefix in ["odd/a b%+#ü", "odd/a b%+#ü/"] {
        let gateway = Gateway::start(&faulty.address).await;
        let location = gateway.location("").replace("/?", &format!("/{prefix}?"));
        let store = s3(&location);
        let (small, large) = (bytes(1, 1_000), bytes(2, LARGE_BYTES));
        for name in names {
            let path = format!("db {name}/{name}");
            let put = store
                .put(&path, small.clone(), PutIf::Always)
                .await
                .unwrap();
            assert!(whole(&store, &put).await.unwrap() == small, "{name}");
            let copy = store.copy(&path, &format!("{path}.copy")).await.unwrap();
            assert!(whole(&store, &copy).await.unwrap() == small, "{name}");
            let key = format!("odd/a b%+#ü/{path}");
            assert_eq!(gateway.keys(S3Operation::Put).last(), Some(&key));
        }
        for name in ["100% ä+b", "a?b#c"] {
            let info = uploaded(&store, name, &large).await.unwrap();
            assert!(whole(&store, &info).await.unwrap() == large, "{name}");
        }
        let listed = Listing::of(&store, "").await.unwrap().objects;
        let listed: Vec<_> = listed.iter().map(|object| object.path.as_str()).collect();
        assert_eq!(listed.len(), 2 * names.len() + 2, "{listed:?}");
        assert!(listed.is_sorted(), "{listed:?}");
        store.delete(&listed).await.unwrap();
        assert_eq!(Listing::of(&store, "").await.unwrap().objects, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_goes_or_changes_after_it_was_listed_is_not_mistaken_for_it() {
    let faulty = Faulty::seaweedfs().await;
    let [old, new] = [1, 2].map(|seed| bytes(seed, LARGE_BYTES));
    let mut listed = Vec::new();
    for path in ["gone", "replaced"] {
        uploaded(&faulty.direct, path, &old).await.unwrap();
    }
    listed.append(&mut Listing::of(&faulty.store, "").await.unwrap().objects);
    faulty.direct.delete(&["gone"]).await.unwrap();
    uploaded(&faulty.direct, "replaced", &new).await.unwrap();
    let [gone, replaced] = listed.as_slice() else {
        panic!("{listed:?}");
    };
    let error = whole(&faulty.store, gone).await.unwrap_err();
    assert!(matches!(error, StorageError::NotFound { .. }), "{error:?}");
    let error = whole(&faulty.store, replaced).await.unwrap_err();
    assert!(matches!(error, StorageError::Changed { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_halves_of_a_read_are_of_one_object() {
    let faulty = Faulty::small().await;
    let [old, new] = [1, 2].map(|seed| bytes(seed, LARGE_BYTES));
    for replace in [true, false] {
        uploaded(&faulty.direct, "large", &old).await.unwrap();
        let (go_on, wait) = mpsc::channel();
        let wait = Mutex::new(wait);
        faulty.gateway.rule(move |asked| match asked.before {
            0 => Some(Fault::Truncate { bytes: 1 << 20 }),
            _ => {
                // Passed on when the object is another one.
                wait.lock().unwrap().recv().unwrap();
                None
            }
        });
        let before = faulty.gateway.count(S3Operation::Get);
        let change = async {
            wait_for("the second half to be asked for", PATIENCE, async || {
                (faulty.gateway.count(S3Operation::Get) == before + 2).then_some(())
            })
            .await;
            match replace {
                true => drop(uploaded(&faulty.direct, "large", &new).await.unwrap()),
                false => faulty.direct.delete(&["large"]).await.unwrap(),
            }
            go_on.send(()).unwrap();
        };
        let read = faulty.store.read("large", 0..LARGE_BYTES as u64, None);
        let (read, ()) = tokio::join!(read, change);
        let error = read.unwrap_err();
        match replace {
            true => assert!(matches!(error, StorageError::Changed { .. }), "{error:?}"),
            false => assert!(matches!(error, StorageError::NotFound { .. }), "{error:?}"),
        }
    }
}
