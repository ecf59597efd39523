//! What streams do not tell, and what comes of it.

use rdump::Store;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_older_servers_do_not_tell_of_definitions_is_looked_up() {
    check_definitions(ServerVersion::V5_0_4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_servers_tell_of_definitions_is_taken_from_the_stream() {
    check_definitions(ServerVersion::V6_0_5).await;
}

async fn check_definitions(version: ServerVersion) {
    let from = ReplicaSet::builder().version(version).start().await;
    let to = ReplicaSet::start().await;
    let (_, repository) = in_memory().await;
    let shop = from.client().database("shop");
    let orders = shop.collection::<Document>("orders");
    for id in 0..10 {
        let order = doc! { "_id": id, "a": [1, { "b": 1 }], "c": { "d": 1 } };
        orders.insert_one(order).await.unwrap();
    }
    let index = |keys: Document| mongodb::IndexModel::builder().keys(keys).build();
    orders.create_index(index(doc! { "a": 1 })).await.unwrap();
    backup(&from, &repository, auto()).await;
    catch_up(&from, &repository, streams()).await;

    orders.create_index(index(doc! { "c": 1 })).await.unwrap();
    orders.drop_index("a_1").await.unwrap();
    orders
        .update_many(
            doc! { "_id": { "$lt": 5 } },
            doc! { "$set": { "a.1.b": 2, "z": 1, "e": 2 }, "$unset": { "c.d": 1 } },
        )
        .await
        .unwrap();
    catch_up(&from, &repository, streams()).await;
    for command in [
        doc! { "create": "rules", "validator": { "a": { "$gt": 1 } } },
        doc! { "create": "seen", "viewOn": "orders", "pipeline": [] },
        doc! { "createIndexes": "rules", "indexes": [{ "key": { "a": 1 }, "name": "a", "unique": true }] },
        doc! { "insert": "rules", "documents": [{ "_id": 1, "a": 2 }] },
        doc! { "insert": "gone", "documents": [{ "_id": 1 }] },
    ] {
        shop.run_command(command).await.unwrap();
    }
    catch_up(&from, &repository, streams()).await;
    for command in [
        doc! { "collMod": "rules", "validator": { "a": { "$gt": 0 } } },
        doc! { "collMod": "seen", "viewOn": "rules", "pipeline": [] },
        doc! { "drop": "gone" },
        doc! { "insert": "rules", "documents": [{ "_id": 2, "a": 1 }] },
    ] {
        shop.run_command(command).await.unwrap();
    }
    let admin = from.client().database("admin");
    let rename = doc! { "renameCollection": "shop.orders", "to": "shop.old" };
    admin.run_command(rename).await.unwrap();
    catch_up(&from, &repository, streams()).await;

    restore_latest(&repository, &to).await;
    check_same(&from, &to, &["shop"]).await;

    // What comes from another database is not told of by older servers.
    let rename = doc! { "renameCollection": "shop.old", "to": "other.old" };
    admin.run_command(rename).await.unwrap();
    let capture = Capture::new(&source(&from).await, &repository);
    let capture = capture.options(streams().until_caught_up(true));
    let gaps = capture.run().await.unwrap().gaps;
    if version < ServerVersion::V6_0_5 {
        return assert_eq!(gaps, 1);
    }
    assert_eq!(gaps, 0);
    empty(&to).await;
    let options = RestoreOptions::default();
    restore(&repository, &to, RestorePoint::Latest, options).await;
    check_same(&from, &to, &["shop", "other"]).await;
}

/// Captures what older servers tell of, restores the newest moment, and compares.
async fn check_latest(from: &ReplicaSet, repository: &Repository) {
    let to = ReplicaSet::start().await;
    restore_latest(repository, &to).await;
    check_same(from, &to, &["shop"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_the_place_of_a_collection_on_older_servers_has_its_indexes() {
    let from = ReplicaSet::builder();
    let from = from.version(ServerVersion::V5_0_4).start().await;
    let (_, repository) = in_memory().await;
    let shop = from.client().database("shop");
    for command in [
        doc! { "insert": "orders", "documents": [{ "_id": 1, "a": 1 }, { "_id": 2, "a": 2 }] },
        doc! { "insert": "totals", "documents": [{ "_id": 7, "a": 7 }] },
        doc! { "insert": "new", "documents": [{ "_id": 8, "a": 8 }] },
        doc! { "insert": "old", "documents": [{ "_id": 9, "a": 9 }] },
        doc! { "createIndexes": "totals", "indexes": [{ "key": { "a": 1 }, "name": "a", "unique": true }] },
        doc! { "createIndexes": "new", "indexes": [{ "key": { "a": -1 }, "name": "a" }] },
    ] {
        shop.run_command(command).await.unwrap();
    }
    backup(&from, &repository, auto()).await;
    // What there is is known when it happens.
    let running = Running::start(&from, &repository, streams()).await;
    running.await_captured(insert(&from, 1).await).await;
    let out = doc! { "aggregate": "orders", "pipeline": [{ "$out": "totals" }], "cursor": {} };
    shop.run_command(out).await.unwrap();
    let rename = doc! { "renameCollection": "shop.new", "to": "shop.old", "dropTarget": true };
    let admin = from.client().database("admin");
    admin.run_command(rename).await.unwrap();
    running.await_captured(insert(&from, 2).await).await;
    running.kill().await;
    // And where nothing is known.
    let out = doc! { "aggregate": "old", "pipeline": [{ "$out": "totals" }], "cursor": {} };
    shop.run_command(out).await.unwrap();
    catch_up(&from, &repository, streams()).await;
    check_latest(&from, &repository).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_series_collection_that_was_made_meanwhile_is_named_before_the_target_is_touched() {
    let to = ReplicaSet::start().await;
    for version in [ServerVersion::V5_0_4, ServerVersion::V6_0_5] {
        let from = ReplicaSet::builder().version(version).start().await;
        let (_, repository) = in_memory().await;
        insert(&from, 1).await;
        backup(&from, &repository, auto()).await;
        catch_up(&from, &repository, streams()).await;
        let shop = from.client().database("shop");
        let create = doc! { "create": "weather", "timeseries": { "timeField": "t" } };
        shop.run_command(create).await.unwrap();
        insert(&from, 2).await;
        catch_up(&from, &repository, streams()).await;
        let options = RestoreOptions::default();
        let restored = try_restore(&repository, &to, RestorePoint::Latest, options.clone());
        let error = restored.await.unwrap_err();
        assert!(
            format!("{error:?}").contains("createTimeSeries"),
            "{error:?}"
        );
        let names = to.client().database("shop").list_collection_names().await;
        assert_eq!(names.unwrap(), [""; 0]);
        let options = options.select(only("shop.log"));
        restore(&repository, &to, RestorePoint::Latest, options).await;
        empty(&to).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ended_goes_on_where_its_gap_ends_even_after_a_kill() {
    let from = ReplicaSet::builder();
    let from = from.version(ServerVersion::V5_0_4).start().await;
    let (store, repository) = in_memory().await;
    insert(&from, 1).await;
    catch_up(&from, &repository, streams()).await;
    // What comes from another database is not told of.
    let rename = doc! { "renameCollection": "shop.log", "to": "other.log" };
    let admin = from.client().database("admin");
    admin.run_command(rename).await.unwrap();
    let once = async || {
        let capture = Capture::new(&source(&from).await, &repository);
        let capture = capture.options(streams().until_caught_up(true));
        capture.run().await.unwrap().gaps
    };
    assert_eq!(once().await, 1);
    let timeline = repository.timeline().await.unwrap();
    let gap = *timeline.gaps().next().unwrap();
    for slice in timeline.slices().filter(|slice| slice.start >= gap.end) {
        store.delete(&[&slice.path()]).await.unwrap();
    }
    insert(&from, 2).await;
    assert_eq!(once().await, 0);
    let timeline = repository.timeline().await.unwrap();
    assert_eq!(timeline.gaps().count(), 1);
    assert!(timeline.slices().any(|slice| slice.start == gap.end));
    assert!(timeline.slices().all(|slice| slice.start != gap.start));
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_as_they_were_are_stored_where_the_server_keeps_them() {
    let from = ReplicaSet::start().await;
    let (_, repository) = in_memory().await;
    let shop = from.client().database("shop");
    let images = doc! { "create": "orders", "changeStreamPreAndPostImages": { "enabled": true } };
    shop.run_command(images).await.unwrap();
    let orders = shop.collection::<Document>("orders");
    for id in 1..=2 {
        orders
            .insert_one(doc! { "_id": id, "b": 1, "c": 1 })
            .await
            .unwrap();
    }
    backup(&from, &repository, auto()).await;
    // What is changed cannot be named by a path, and comes to another place.
    let field = doc! { "$setField": { "field": "a.b", "input": "$$ROOT", "value": 1 } };
    let again = doc! { "_id": "$_id", "c": 2, "b": 1 };
    for (id, document) in [(1, field), (2, again)] {
        let change = vec![doc! { "$replaceWith": document }];
        let id = doc! { "_id": id };
        orders.update_one(id.clone(), change).await.unwrap();
        orders
            .update_one(id, doc! { "$set": { "d": 1 } })
            .await
            .unwrap();
    }
    catch_up(&from, &repository, streams()).await;
    check_latest(&from, &repository).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_dropped_takes_its_views_along() {
    for version in [ServerVersion::V5_0_4, ServerVersion::V6_0_5] {
        let from = ReplicaSet::builder().version(version).start().await;
        let (_, repository) = in_memory().await;
        let shop = from.client().database("shop");
        for command in [
            doc! { "insert": "orders", "documents": [{ "_id": 1 }] },
            doc! { "create": "seen", "viewOn": "orders", "pipeline": [] },
        ] {
            shop.run_command(command).await.unwrap();
        }
        backup(&from, &repository, auto()).await;
        catch_up(&from, &repository, streams()).await;
        shop.drop().await.unwrap();
        insert(&from, 7).await;
        catch_up(&from, &repository, streams()).await;
        check_latest(&from, &repository).await;
    }
}
