//! Every data set through one cell.

use rdump_testkit::{ReplicaSet, fingerprint::assert_same};

use super::{cell::Cell, fingerprint, limits, seeded};

pub(super) async fn come_back(cell: Cell) {
    let (source, target) = (seeded().await, ReplicaSet::start().await);
    limits::leave_out(cell, &source).await;
    // Some data sets hold documents that violate their collection's validator.
    let pass = cell.pass(source.uri(), target.uri()).await;
    pass.restore("--bypassDocumentValidation").run().await;
    assert_same(&fingerprint(&source).await, &fingerprint(&target).await);
}
