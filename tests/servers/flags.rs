//! What data sets do not reach: flags, roles and failures, on one server each.

use bson::{Binary, Document, doc};
use futures::TryStreamExt as _;
use rdump_testkit::{
    FailPoint, Fingerprint, FingerprintOptions, ReplicaSet, ServerVersion,
    dataset::{self, Shape, seed_bulk},
};
use rdump_tests::programs::{rdump, rrestore};

use super::{exceptions, folder, print};

/// Collections in ranges of `_id`, kept UUIDs and versions of indexes, documents of views, those of a query.
pub(super) async fn come_back(version: ServerVersion) {
    let source = ReplicaSet::builder().version(version).start().await;
    let (client, uri) = (source.client(), source.uri());
    for data in [
        dataset::ids_of_every_type(3_000),
        dataset::collations(),
        dataset::indexes(),
        dataset::views(),
    ] {
        data.on(version).unwrap().seed(&client).await;
    }
    let all = FingerprintOptions::new();
    let (expected, uuids) = (Fingerprint::of(&client, &all).await, uuids(&source).await);
    let (_folder, dumped) = folder();
    rdump(format!("--uri {uri} --quiet --partitions 4 --gzip --out {dumped}").split(' ')).await;
    let flags = "--drop --preserveUUID --keepIndexVersion --strict --quiet";
    rrestore(format!("--uri {uri} {flags} {dumped}").split(' ')).await;
    let found = Fingerprint::of(&client, &all).await;
    exceptions::assert_same(&expected, &found, version, version);
    assert_eq!(uuids, self::uuids(&source).await);

    let (_folder, dumped) = folder();
    let flags = "-d views --viewsAsCollections --quiet";
    rdump(format!("--uri {uri} {flags} --out {dumped}").split(' ')).await;
    let flags = "--nsFrom views.* --nsTo seen.* --strict --quiet";
    rrestore(format!("--uri {uri} {flags} {dumped}").split(' ')).await;
    for view in ["sorted", "joined", "collated", "aa"] {
        let count = async |db: &str| {
            let documents = client.database(db).collection::<Document>(view);
            documents.count_documents(doc! {}).await.unwrap()
        };
        assert_eq!(count("views").await, count("seen").await, "{view}");
    }

    let (_folder, dumped) = folder();
    let flags = r#"-d ids -c mixed -q {"number":{"$lt":100},"padding":{"$exists":true}}"#;
    let said = rdump(format!("--uri {uri} {flags} --out {dumped}").split(' ')).await;
    let expected = "done dumping ids.mixed (100 documents)";
    assert!(said.contains(expected), "{said}");
}

/// The UUIDs of some collections, by name.
async fn uuids(of: &ReplicaSet) -> Vec<(String, Option<Binary>)> {
    let listed = of.client().database("ids").list_collections().await;
    let listed: Vec<_> = listed.unwrap().try_collect().await.unwrap();
    let uuids = listed.into_iter();
    let mut uuids: Vec<_> = uuids
        .map(|listed| (listed.name, listed.info.uuid))
        .collect();
    uuids.sort_by(|one, other| one.0.cmp(&other.0));
    uuids
}

/// `backup` dumps and `restore` restores.
pub(super) async fn roles_are_enough(version: ServerVersion) {
    let source = ReplicaSet::builder().version(version).auth().start().await;
    // `--drop` leaves `system.js` alone, and the role may not put zero timestamps back.
    let beyond = ["odd-names", "options", "every-bson-type"];
    let data = dataset::all_on(version).into_iter();
    for data in data.filter(|data| !beyond.contains(&data.name())) {
        data.seed(&source.client()).await;
    }
    source.create_user("out", "o", &[("backup", "admin")]).await;
    source
        .create_user("back", "b", &[("restore", "admin")])
        .await;
    let expected = print(&source).await;
    let (_folder, dumped) = folder();
    let uri = source.uri_for("out");
    rdump(format!("--uri {uri} --quiet --out {dumped}").split(' ')).await;
    let (uri, flags) = (
        source.uri_for("back"),
        "--drop --bypassDocumentValidation --quiet",
    );
    rrestore(format!("--uri {uri} {flags} {dumped}").split(' ')).await;
    exceptions::assert_same(&expected, &print(&source).await, version, version);
}

/// A cursor that dies, a primary that steps down, a connection that breaks: once each, and nothing is missing.
pub(super) async fn failures_are_made_up_for(version: ServerVersion) {
    let source = ReplicaSet::builder().version(version).start().await;
    let (client, uri) = (source.client(), source.uri());
    seed_bulk(&client, "bulk.small", Shape::Small, 100_000, 1).await;
    let index = doc! { "key": { "sku": 1 }, "name": "sku_1" };
    let index = doc! { "createIndexes": "small", "indexes": [index] };
    client.database("bulk").run_command(index).await.unwrap();
    let expected = print(&source).await;
    let (_folder, dumped) = folder();
    let failures = [
        ("getMore", doc! { "errorCode": 43 }),
        ("getMore", doc! { "errorCode": 11_602 }),
        ("getMore", doc! { "closeConnection": true }),
        ("insert", doc! { "errorCode": 10_107 }),
        ("insert", doc! { "closeConnection": true }),
        ("createIndexes", doc! { "closeConnection": true }),
    ];
    for (command, failure) in failures {
        let once = doc! { "times": 1 };
        let fail = FailPoint::fail_command(&source, &[command], once, failure).await;
        let flags = format!("--uri {uri} --quiet");
        match command {
            "getMore" => rdump(format!("{flags} -d bulk --out {dumped}").split(' ')).await,
            _ => rrestore(format!("{flags} --drop --strict {dumped}").split(' ')).await,
        };
        assert!(fail.disable().await > 0, "no {command} failed");
        exceptions::assert_same(&expected, &print(&source).await, version, version);
    }
}
