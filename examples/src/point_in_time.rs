//! Restores one collection as it was at a moment, beside the living one: `point_in_time URI REPOSITORY DB.COLLECTION NEW_NAME S:I|latest`.
#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use std::{env, error::Error, sync::Arc};

use rdump::{
    ConnectOptions, Pattern, Repository, Restore, RestoreOptions, RestorePoint, Selector, Target,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [_, uri, repository, from, to, moment] =
        <[String; 6]>::try_from(env::args().collect::<Vec<_>>())
            .map_err(|_arguments| "usage: point_in_time URI REPOSITORY FROM TO S:I|latest")?;

    let mut only = Selector::default();
    only.include.push(Pattern::literal(&from));
    let options = RestoreOptions::default().select(only).rename(&from, &to);
    let moment = match moment.as_str() {
        "latest" => RestorePoint::Latest,
        moment => RestorePoint::At(moment.parse()?),
    };

    let repository = Repository::open(&repository.parse()?).await?;
    let found = repository.point_in_time(moment, None).await?;
    let (id, at) = (found.snapshot().id().clone(), found.at());
    println!("to {at}, from snapshot {id} by {} slices", found.slices());
    // Every slice is read and checked before the target is touched.
    let reader = found.reader(&options).await?;
    let target = Target::connect(&ConnectOptions::default().uri(uri)).await?;
    let restore = Restore::new(&target, Arc::new(reader)).options(options);
    let plan = restore.plan().await?;
    let report = restore.run(plan).await?;
    let replayed = report.oplog.map_or(0, |oplog| oplog.operations);
    println!(
        "{from} as it was at {at} is now {to}: {} documents, {replayed} operations",
        report.documents
    );
    Ok(())
}
