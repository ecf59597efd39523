//! What the fuzz target over the oplog does with its input.
//!
//! Nothing here may panic, whatever the input; an assertion is a property that must hold for all of them.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use rdump_format::documents;
use rdump_format::element::Elements;
use rdump_oplog::{
    Ahead, BatchOptions, Batcher, Dispatch, Disposition, Entry, IndexCatalog, OpTime, Replay,
    ReplayOptions, ReplayTarget, Step, check_captured,
};

/// An oplog: entries one after another, replayed to servers of several versions.
pub fn oplog_entry(input: &[u8]) {
    for version in [[4, 0, 0], [6, 0, 5], [8, 3, 0]] {
        let limit = OpTime {
            seconds: 0x6000_0000,
            ordinal: 0,
        };
        let options = ReplayOptions::default()
            .limit(limit.into())
            .preserve_uuid(version == [6, 0, 5])
            .skip_unknown(version == [8, 3, 0]);
        replay(
            input,
            Replay::new(ReplayTarget::new(version), options, IndexCatalog::new()),
        );
    }
}

fn replay(input: &[u8], mut replay: Replay) {
    let lanes = NonZeroUsize::new(3).expect("three is not zero");
    let options = BatchOptions::default().lanes(lanes).command_bytes(200);
    let mut batcher = Batcher::new(options);
    let (mut steps, mut dispatches, mut operations) = (Vec::new(), Vec::new(), 0);
    let mut kept: BTreeMap<_, Vec<&[u8]>> = BTreeMap::new();
    let (mut ahead, mut is_foreseen) = (Ahead::default(), true);
    for entry in documents(input).map_while(Result::ok) {
        let _ = check_captured(entry);
        is_foreseen &= ahead.push(entry).is_ok();
        let mut outcome = Ok(());
        match replay.push(entry, &mut steps) {
            Ok(Disposition::Done) => {}
            Ok(Disposition::Keep(key)) => kept.entry(key).or_default().push(entry),
            Ok(Disposition::Commit(key)) => {
                for entry in kept
                    .remove(&key)
                    .expect("was kept")
                    .into_iter()
                    .chain([entry])
                {
                    if outcome.is_ok() {
                        outcome = replay.push_committed(entry, &mut steps);
                    }
                }
            }
            Ok(Disposition::Abort(key)) => drop(kept.remove(&key).expect("was kept")),
            Err(error) => outcome = Err(error),
        }
        for step in steps.drain(..) {
            match step {
                Step::Apply(operation) => {
                    let document = operation.document().as_bytes();
                    let sent = Entry::parse(document).expect("it was just written");
                    assert!(sent.object().is_ok(), "an operation has an object");
                    operations += 1;
                    batcher.push(operation, &mut dispatches);
                }
                Step::Notice(notice) => assert!(!notice.to_string().contains('\n')),
                Step::Skip(unknown) => {
                    assert!(
                        !is_foreseen || ahead.unknown.contains(&unknown),
                        "{unknown}"
                    );
                }
                other => panic!("{other:?}"),
            }
        }
        if let Err(error) = outcome {
            assert!(!error.to_string().is_empty());
            break;
        }
    }
    batcher.finish(&mut dispatches);
    let mut packed = 0;
    for dispatch in dispatches {
        if let Dispatch::Batch(batch) = dispatch {
            assert!(batch.lane() < lanes.get());
            let elements = Elements::of(batch.command().as_bytes()).expect("it was just written");
            let elements: Result<Vec<_>, _> = elements.collect();
            assert_eq!(elements.expect("so was this").len(), 3);
            for position in 0..batch.operations() {
                assert!(batch.operation(position).is_some());
                if let Some(rest) = batch.without_missing(position) {
                    assert!(rest.operations() < batch.operations() - position);
                }
            }
            packed += batch.operations();
            let _ = batch.replace([7; 16]);
        }
    }
    assert_eq!(packed, operations, "every operation is packed once");
    let replayed = replay.finish();
    assert_eq!(
        kept.len(),
        replayed.unfinished.len(),
        "what is not decided is kept"
    );
    for (_, collection) in replayed.catalog.into_collections() {
        for spec in &collection.specs {
            assert!(spec.get_str("name").is_ok());
        }
    }
}
