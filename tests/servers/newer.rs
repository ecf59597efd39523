//! From each server to itself and to every newer one.

use std::time::Instant;

use bson::{Document, doc};
use futures::TryStreamExt as _;
use rdump_testkit::{ReplicaSet, ServerVersion, dataset, fingerprint};
use rdump_tests::programs::{rdump, rrestore};

use super::{
    exceptions,
    medium::{Dumped, Medium},
    print, seeded,
};

/// Dumps everything that one server has to each medium once, and restores each dump to each server that is not
/// older.
pub(super) async fn everything_comes_back(from: ServerVersion) {
    let source = seeded(from).await;
    dataset::users_and_roles()
        .on(from)
        .unwrap()
        .seed(&source.client())
        .await;
    let mut dumps = Vec::new();
    for medium in Medium::ALL {
        dumps.push(dump(&source, medium).await);
    }
    let (expected, logins) = (print(&source).await, logins(&source).await);
    drop(source);
    for to in ServerVersion::ALL.into_iter().filter(|to| *to >= from) {
        for dumped in &dumps {
            let clock = Instant::now();
            let target = restored(dumped, to).await;
            exceptions::assert_same(&expected, &print(&target).await, from, to);
            assert_eq!(self::logins(&target).await, logins);
            let seconds = clock.elapsed().as_secs();
            println!("from {from} to {to} by {dumped}: {seconds} s");
        }
    }
}

/// What 5.0.4 stores is noted by 6.0.27 as having mixed schemas, and goes on with this note.
pub(super) async fn mixed_schemas_are_noted_and_go_on() {
    let (old, new) = (ServerVersion::V5_0_4, ServerVersion::V6_0_27);
    let source = ReplicaSet::builder().version(old).start().await;
    let series = dataset::time_series().on(old).unwrap();
    series.seed(&source.client()).await;
    let dumped = dump(&source, Medium::Folder).await;
    drop(source);
    let first = restored(&dumped, new).await;
    let dumped = dump(&first, Medium::Folder).await;
    let second = restored(&dumped, new).await;
    let (first, second) = (print(&first).await, print(&second).await);
    let readings = &first.collections()[&("series".to_owned(), "readings".to_owned())];
    let options = format!("{:?}", Document::try_from(&readings.options));
    assert!(
        options.contains("timeseriesBucketsMayHaveMixedSchemaData=true"),
        "{options}"
    );
    fingerprint::assert_same(&first, &second);
}

/// The users and roles, which prints leave out.
async fn logins(of: &ReplicaSet) -> Vec<Document> {
    let admin = of.client().database("admin");
    let mut found = Vec::new();
    for name in ["system.users", "system.roles"] {
        let documents = admin.collection::<Document>(name);
        let sorted = documents.find(doc! {}).sort(doc! { "_id": 1 }).await;
        found.extend(sorted.unwrap().try_collect::<Vec<_>>().await.unwrap());
    }
    found
}

async fn dump(source: &ReplicaSet, medium: Medium) -> Dumped {
    let dumped = Dumped::new(medium);
    let to = dumped.dump_flags();
    rdump(format!("--uri {} --quiet {to}", source.uri()).split(' ')).await;
    dumped
}

/// A new server with what was dumped, and nothing remarked.
async fn restored(dumped: &Dumped, version: ServerVersion) -> ReplicaSet {
    let target = ReplicaSet::builder().version(version).start().await;
    // Some data sets hold documents that violate their collection's validator.
    let flags = "--quiet --strict --bypassDocumentValidation";
    let from = dumped.restore_flags();
    rrestore(format!("--uri {} {flags} {from}", target.uri()).split(' ')).await;
    target
}
