//! What older servers have and newer ones do not.

use bson::{Document, doc};
use rdump_testkit::{ReplicaSet, ServerVersion, fingerprint};
use rdump_tests::programs::{self, rdump, rrestore};

use super::{folder, print};

/// 5.0 has no geoHaystack indexes: nothing is written, unless indexes are left out.
pub(super) async fn geo_haystack_is_refused() {
    let old = ServerVersion::V4_4_2;
    let source = ReplicaSet::builder().version(old).start().await;
    let places = source.client().database("geo").collection("places");
    let place = doc! { "at": [3.5, 4.5], "kind": "inn" };
    places.insert_one(place).await.unwrap();
    let index =
        doc! { "key": { "at": "geoHaystack", "kind": 1 }, "name": "hay", "bucketSize": 1.5 };
    create_index(&source, index.clone()).await;
    let (_folder, dumped) = folder();
    rdump(format!("--uri {} --quiet --out {dumped}", source.uri()).split(' ')).await;
    let again = format!("--uri {} --quiet --drop --strict {dumped}", source.uri());
    rrestore(again.split(' ')).await;
    drop(source);

    let new = ServerVersion::V5_0_4;
    let target = ReplicaSet::builder().version(new).start().await;
    let flags = format!("--uri {} --quiet {dumped}", target.uri());
    let (code, said) = programs::end("rrestore", flags.split(' ')).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("geoHaystack"), "{said}");
    let databases = target.client().list_database_names().await.unwrap();
    assert!(!databases.contains(&"geo".to_owned()), "{databases:?}");
    rrestore(format!("{flags} --noIndexRestore --strict").split(' ')).await;
    let places = target.client().database("geo");
    let places = places.collection::<Document>("places");
    assert_eq!(places.count_documents(doc! {}).await.unwrap(), 1);
}

async fn create_index(of: &ReplicaSet, index: Document) {
    let command = doc! { "createIndexes": "places", "indexes": [index] };
    let database = of.client().database("geo");
    database.run_command(command).await.unwrap();
}

/// 6.0 has another option for images of documents in change streams, and takes the older one still.
pub(super) async fn older_images_stay() {
    let old = ServerVersion::V4_4_2;
    let source = ReplicaSet::builder().version(old).start().await;
    let create = doc! { "create": "before", "recordPreImages": true };
    let database = source.client().database("images");
    database.run_command(create).await.unwrap();
    let (_folder, dumped) = folder();
    rdump(format!("--uri {} --quiet --out {dumped}", source.uri()).split(' ')).await;
    let expected = print(&source).await;
    drop(source);
    for new in [ServerVersion::V5_0_4, ServerVersion::V6_0_27] {
        let target = ReplicaSet::builder().version(new).start().await;
        let flags = format!("--uri {} --quiet --strict {dumped}", target.uri());
        rrestore(flags.split(' ')).await;
        fingerprint::assert_same(&expected, &print(&target).await);
    }
}
