//! Copies that a store makes by itself.

use bytes::Bytes;
use rdump_storage::{
    Listing, Location, ObjectChecksum, ObjectInfo, Result, S3Credentials, S3Store, StorageError,
    Store,
};
use rdump_testkit::{
    SeaweedFs,
    s3::{
        Access, Gateway, Policy, SECRET_KEY,
        gateway::{Answer, Fault, S3Operation},
    },
};

use crate::conforming::s3;

const PAGE: &str = include_str!("../../../docs/s3.md");
/// More than two parts have, in bytes.
const LARGE_BYTES: usize = (17 << 20) + 123;

async fn upload(store: &S3Store, path: &str, bytes: &[u8]) {
    let mut upload = store.upload(path).await.unwrap();
    upload.write(Bytes::copy_from_slice(bytes)).await.unwrap();
    upload.finish().await.unwrap();
}

async fn told(store: &S3Store, path: &str) -> ObjectChecksum {
    store.checksum(path).await.unwrap().unwrap()
}

async fn copy(from: &S3Store, to: &S3Store, path: &str) -> Result<ObjectInfo> {
    let of = told(from, path).await;
    to.copy_from(&from.location(), &of, path).await
}

fn bytes_of(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| u8::try_from(at / 7 % 251).unwrap())
        .collect()
}

async fn paths(store: &S3Store) -> Vec<String> {
    let listing = Listing::of(store, "").await.unwrap();
    let mut paths: Vec<_> = listing.objects.into_iter().map(|it| it.path).collect();
    let left = store.remove_leftovers(&["data".to_owned()]).await.unwrap();
    paths.extend(left.into_iter().map(|it| format!("leftover {}", it.path)));
    paths
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_the_store_makes_is_the_same_and_no_byte_of_it_comes_here() {
    let server = SeaweedFs::start().await;
    let gateway = Gateway::start(server.address()).await;
    let first = s3(&gateway.location("first & one"));
    let second = s3(&format!(
        "{}&storage-class=STANDARD_IA&tag=a%3Db",
        gateway.location("second")
    ));
    let third = s3(&gateway.location("third"));
    for (path, length) in [("data/small", 1), ("data/large", LARGE_BYTES)] {
        let bytes = bytes_of(length);
        upload(&first, path, &bytes).await;
        gateway.pass();
        let asked = gateway.asked().len();
        let copied = copy(&first, &second, path).await.unwrap();
        assert_eq!(copied.stored_bytes, length as u64);
        // One of a copy is as good.
        copy(&second, &third, path).await.unwrap();
        for asked in &gateway.asked()[asked..] {
            let moves = [S3Operation::Get, S3Operation::Part, S3Operation::Put];
            assert!(!moves.contains(&asked.operation), "{asked:?}");
        }
        for store in [&second, &third] {
            let read = store.read(path, 0..length as u64, None).await.unwrap();
            assert!(read == bytes, "{path}");
        }
        let class = second.class(path).await.unwrap().unwrap();
        assert_eq!(class.name, "STANDARD_IA");
    }
    let asked = gateway.asked();
    let tagged = asked
        .iter()
        .filter(|it| it.header("x-amz-tagging").is_some());
    assert_eq!(tagged.count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_whose_checksum_is_another_is_never_seen() {
    let server = SeaweedFs::start().await;
    let gateway = Gateway::start(server.address()).await;
    let (first, second) = (
        s3(&gateway.location("first")),
        s3(&gateway.location("second")),
    );
    for (path, length) in [("data/small", 5), ("data/large", LARGE_BYTES)] {
        upload(&first, path, &bytes_of(length)).await;
        let of_another = "<CopyPartResult><ETag>\"0\"</ETag><ChecksumCRC32C>4waSgw==</ChecksumCRC32C></CopyPartResult>";
        let unsaid = "<CopyPartResult><ETag>\"0\"</ETag></CopyPartResult>";
        for (told, is_corrupted) in [(of_another, true), (unsaid, false)] {
            gateway.rule(move |asked| match asked.operation {
                S3Operation::Copy if asked.before == 0 => Some(Answer::new(200).body(told).into()),
                _ => None,
            });
            let error = copy(&first, &second, path).await.unwrap_err();
            match is_corrupted {
                true => assert!(matches!(error, StorageError::Corrupted { .. }), "{error}"),
                false => assert!(matches!(error, StorageError::Refused { .. }), "{error}"),
            }
            second.settle().await;
            assert_eq!(paths(&second).await, Vec::<String>::new());
        }
    }
    // What is there stays as it is.
    gateway.pass();
    upload(&second, "data/small", b"older").await;
    gateway.rule(|asked| match asked.operation {
        S3Operation::Copy => Some(Fault::error(501, "NotImplemented")),
        _ => None,
    });
    let error = copy(&first, &second, "data/small").await.unwrap_err();
    assert!(matches!(error, StorageError::Refused { .. }), "{error}");
    second.settle().await;
    assert_eq!(paths(&second).await, ["data/small"]);
    let read = second.read("data/small", 0..5, None).await.unwrap();
    assert_eq!(read, "older");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_replaced_since_is_not_copied_and_who_gives_up_leaves_nothing() {
    let server = SeaweedFs::start().await;
    let gateway = Gateway::start(server.address()).await;
    let (first, second) = (
        s3(&gateway.location("first")),
        s3(&gateway.location("second")),
    );
    upload(&first, "data/a", b"before").await;
    let of = told(&first, "data/a").await;
    upload(&first, "data/a", b"since!").await;
    let copied = second.copy_from(&first.location(), &of, "data/a").await;
    let error = copied.unwrap_err();
    assert!(matches!(error, StorageError::Changed { .. }), "{error}");

    let of = told(&first, "data/a").await;
    gateway.rule(|asked| (asked.operation == S3Operation::Copy).then_some(Fault::Hold));
    let from = first.location();
    {
        let copying = second.copy_from(&from, &of, "data/a");
        tokio::pin!(copying);
        while gateway.count(S3Operation::Copy) < 2 {
            tokio::select! {
                _ = &mut copying => panic!("it was held"),
                () = tokio::task::yield_now() => {}
            }
        }
    }
    gateway.pass();
    second.settle().await;
    assert_eq!(paths(&second).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_elsewhere_or_may_not_read_there_says_so() {
    let access = Access::default().user("writer", Policy::in_page(PAGE, "backup", "second"));
    let server = SeaweedFs::with(&access).await;
    let first = s3(&server.location("first"));
    upload(&first, "data/a", b"abc").await;
    let of = told(&first, "data/a").await;
    let second = s3(&server.location("second"));
    let beside = Gateway::start(server.address()).await.location("first");
    for from in [s3(&beside).location(), Location::Named("memory".to_owned())] {
        let error = second.copy_from(&from, &of, "data/a").await.unwrap_err();
        assert!(matches!(error, StorageError::Refused { .. }), "{error}");
    }
    let writer = S3Credentials::new("writer", SECRET_KEY);
    let writer = S3Store::new(server.location("second").parse().unwrap()).credentials(writer);
    let copied = writer.copy_from(&first.location(), &of, "data/a").await;
    let error = copied.unwrap_err();
    assert!(matches!(error, StorageError::Denied { .. }), "{error}");
    assert_eq!(paths(&second).await, Vec::<String>::new());
    // What was stored without a checksum has none to compare with, and nothing is no object.
    let plain = s3(&format!("{}&checksum=none", server.location("plain")));
    upload(&plain, "data/a", b"abc").await;
    assert_eq!(plain.checksum("data/a").await.unwrap(), None);
    let none = plain.checksum("data/b").await.unwrap_err();
    assert!(matches!(none, StorageError::NotFound { .. }), "{none}");
}
