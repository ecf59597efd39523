//! Writes several documents in one transaction; some are aborted, some left open for a while.

mod effects;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bson::{Document, Timestamp};
use mongodb::{ClientSession, error::Result, options::TransactionOptions, options::WriteConcern};
use rand::RngExt as _;

use super::{
    Acknowledgement, Outcome, Write,
    documents::{self, Desk},
    options::split,
    pen::Pen,
    shared::RETRY,
};
use effects::Effects;

/// The transactions of one writer that have more than 16 MiB.
const LARGE_ONES: [u32; 3] = [10, 40, 70];
/// Documents of a large one, and the bytes of text in each.
const LARGE: (usize, usize) = (20, 900_000);

/// Writes until the workload is stopped.
pub(super) async fn run(mut pen: Pen) -> Vec<Write> {
    let mut desk = Desk::default();
    let mut numbers = 0_u32..;
    if pen.ready().await.is_some() {
        while !pen.shared.is_stopped() {
            let number = numbers.next().expect("it has no end");
            let is_large = pen.shared.options.large_transactions && LARGE_ONES.contains(&number);
            transaction(&mut pen, &mut desk, is_large).await;
            documents::write(&mut pen, &mut desk).await;
            pen.pause().await;
        }
    }
    pen.into_writes()
}

async fn transaction(pen: &mut Pen, desk: &mut Desk, is_large: bool) {
    let Ok(mut session) = pen.shared.client.start_session().await else {
        tokio::time::sleep(RETRY).await;
        return;
    };
    let after = pen.clock;
    let mut effects = Effects::default();
    let carried_out = carry_out(pen, desk, &mut session, &mut effects, is_large).await;
    if carried_out.is_err() || pen.chance(15) {
        // A server that does not know of the abort holds on to the documents: they are not touched again.
        match session.abort_transaction().await {
            Ok(()) => effects.undo(desk),
            Err(_) => tokio::time::sleep(RETRY).await,
        }
        return;
    }
    let committed = if pen.chance(20) {
        let open = Duration::from_millis(pen.rng.random_range(100..500));
        commit_later(pen, desk, &mut session, open).await
    } else {
        session.commit_transaction().await
    };
    match committed {
        Ok(()) => note(pen, desk, effects, after, session.operation_time()).await,
        Err(_) => {
            pen.note(effects.changes(), Outcome::Unknown { after });
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// Leaves a transaction open for a while, and makes other writes meanwhile.
async fn commit_later(
    pen: &mut Pen,
    desk: &mut Desk,
    session: &mut ClientSession,
    open: Duration,
) -> Result<()> {
    let is_committed = AtomicBool::new(false);
    let others = async {
        while !is_committed.load(Ordering::Relaxed) {
            documents::write(pen, desk).await;
            tokio::time::sleep(RETRY).await;
        }
    };
    // Whatever the others wait for: `$out` waits for the transaction, and they may wait behind `$out`.
    let commit = async {
        tokio::time::sleep(open).await;
        let committed = session.commit_transaction().await;
        is_committed.store(true, Ordering::Relaxed);
        committed
    };
    futures::join!(others, commit).1
}

/// Notes what is committed. Its time is looked for: a commit may have been repeated, after another primary had it.
async fn note(
    pen: &mut Pen,
    desk: &mut Desk,
    effects: Effects,
    after: Timestamp,
    replied: Option<Timestamp>,
) {
    pen.clock = pen.clock.max(replied.unwrap_or(after));
    let changes = effects.changes();
    let (namespace, change) = &changes[0];
    let outcome = pen.look(namespace, change, after).await;
    pen.note(changes, outcome);
    if let Outcome::Acknowledged(_) = outcome {
        pen.acknowledge();
        effects.keep(desk);
    }
}

async fn carry_out(
    pen: &mut Pen,
    desk: &mut Desk,
    session: &mut ClientSession,
    effects: &mut Effects,
    is_large: bool,
) -> Result<()> {
    let concern = match pen.shared.options.acknowledgement {
        Acknowledgement::Majority => WriteConcern::majority(),
        Acknowledgement::Primary => WriteConcern::nodes(1),
    };
    let options = TransactionOptions::builder().write_concern(concern).build();
    session.start_transaction().with_options(options).await?;
    let bulk = pen.shared.options.bulk;
    if bulk > 0 && pen.chance(50) {
        let (steps, command) = desk.bulk(pen, bulk);
        let expected = i32::try_from(steps.len()).expect("few documents");
        let (db, _) = split(&steps[0].namespace);
        let database = pen.shared.client.database(db);
        steps.into_iter().for_each(|step| effects.add(step));
        let reply = written(database.run_raw_command(command).session(session).await?)?;
        let is_done = reply.get_i32("n").ok() == Some(expected);
        assert!(
            is_done || !pen.is_durable(),
            "a write of {expected}: {reply}"
        );
        return Ok(());
    }
    let steps = if is_large {
        LARGE.0
    } else {
        pen.rng.random_range(2..8)
    };
    for _ in 0..steps {
        let step = if is_large {
            desk.insert_large(pen, LARGE.1)
        } else if pen.chance(25)
            && let Some(step) = effects.again(pen)
        {
            step
        } else {
            desk.choose(pen)
        };
        let (db, _) = split(&step.namespace);
        let database = pen.shared.client.database(db);
        let command = step.command.clone();
        effects.add(step.clone());
        let reply = database.run_raw_command(command).session(&mut *session);
        let reply = written(reply.await?)?;
        step.verify(&reply, pen);
    }
    Ok(())
}

/// The reply, unless something was not written.
fn written(reply: Document) -> std::io::Result<Document> {
    match reply.contains_key("writeErrors") {
        true => Err(std::io::Error::other(reply.to_string())),
        false => Ok(reply),
    }
}
