//! Users and roles through one cell.

use bson::{Document, doc};
use futures::TryStreamExt;
use rdump_testkit::{ReplicaSet, dataset, fingerprint::assert_same};

use super::{cell::Cell, fingerprint};

/// Those of the whole deployment, then those of one database with it.
pub(super) async fn come_back(cell: Cell) {
    let source = ReplicaSet::start().await;
    dataset::users_and_roles().seed(&source.client()).await;
    let accounts = doc! { "db": "accounts" };
    for (is_whole, filter, number) in [(true, doc! {}, 6), (false, accounts, 4)] {
        let target = ReplicaSet::start().await;
        let mut pass = cell.pass(source.uri(), target.uri()).await;
        if !is_whole {
            pass = pass.db("accounts").dump("--dumpDbUsersAndRoles");
            pass = pass.restore("--restoreDbUsersAndRoles");
        }
        pass.run().await;
        assert_same(&fingerprint(&source).await, &fingerprint(&target).await);
        let expected = users_and_roles(&source, &filter).await;
        assert_eq!(expected.len(), number);
        assert_eq!(expected, users_and_roles(&target, &doc! {}).await, "{cell}");
    }
}

/// Everything that the server has about them.
async fn users_and_roles(of: &ReplicaSet, filter: &Document) -> Vec<Document> {
    let admin = of.client().database("admin");
    let mut all = Vec::new();
    for collection in ["system.users", "system.roles"] {
        let found = admin.collection::<Document>(collection);
        let found = found.find(filter.clone()).sort(doc! { "_id": 1 });
        all.extend(found.await.unwrap().try_collect::<Vec<_>>().await.unwrap());
    }
    all
}
