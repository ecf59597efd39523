//! Transactions, as they are spread over entries.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// An entry of the transaction with this number.
fn part(number: i64, time: u32, previous: u32, object: RawDocumentBuf) -> RawDocumentBuf {
    rawdoc! {
        "ts": ts(time), "t": 1_i64, "op": "c", "ns": "admin.$cmd", "o": object,
        "lsid": { "id": uuid() }, "txnNumber": number,
        "prevOpTime": { "ts": Timestamp { time: previous, increment: previous.min(1) }, "t": -1_i64 },
    }
}

fn operations(ids: &[&str], mark: Option<&str>) -> RawDocumentBuf {
    let mut array = bson::RawArrayBuf::new();
    for id in ids {
        array.push(rawdoc! { "op": "i", "ns": "shop.orders", "ui": uuid(), "o": { "_id": *id } });
    }
    let mut object = rawdoc! { "applyOps": array };
    match mark {
        Some("prepare") => object.append(bson::cstr!("prepare"), true),
        Some(_) => object.append(bson::cstr!("partialTxn"), true),
        None => object.append(bson::cstr!("count"), 7_i64),
    }
    object
}

fn commit() -> RawDocumentBuf {
    rawdoc! { "commitTransaction": 1, "commitTimestamp": ts(1) }
}

fn abort() -> RawDocumentBuf {
    rawdoc! { "abortTransaction": 1 }
}

/// A replay beside what it says is to be kept.
struct Keeping {
    replay: Replay,
    kept: BTreeMap<TransactionKey, Vec<RawDocumentBuf>>,
}

fn keeping(replay: Replay) -> Keeping {
    Keeping {
        replay,
        kept: BTreeMap::new(),
    }
}

impl Keeping {
    fn push(&mut self, entries: &[RawDocumentBuf]) -> Result<Done, ReplayError> {
        let mut steps = Vec::new();
        for entry in entries {
            match self.replay.push(entry.as_bytes(), &mut steps)? {
                Disposition::Done => {}
                Disposition::Keep(key) => self.kept.entry(key).or_default().push(entry.clone()),
                Disposition::Commit(key) => {
                    for entry in self.kept.remove(&key).unwrap().iter().chain([entry]) {
                        self.replay.push_committed(entry.as_bytes(), &mut steps)?;
                    }
                }
                Disposition::Abort(key) => drop(self.kept.remove(&key).unwrap()),
            }
        }
        Ok(done(steps))
    }
}

/// The ids that are inserted, in order.
fn inserted(replay: &mut Keeping, entries: &[RawDocumentBuf]) -> Vec<String> {
    let done = replay.push(entries).unwrap();
    assert_eq!(done.told, Vec::<String>::new());
    strings(&done)
}

fn strings(done: &Done) -> Vec<String> {
    ids(&done.sent)
        .into_iter()
        .map(|id| id.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_small_transaction_is_applied_at_once_with_the_time_of_its_entry() {
    let entry = part(1, 5, 0, operations(&["a"], None));
    let expected =
        rawdoc! { "ts": ts(5), "t": 1_i64, "op": "i", "ns": "shop.orders", "o": { "_id": "a" } };
    assert_eq!(sent(&[entry]), [expected]);
}

#[test]
fn a_large_transaction_is_applied_when_its_last_entry_comes() {
    let mut replay = keeping(replay());
    let parts = [
        part(1, 5, 0, operations(&["a", "b"], Some("partialTxn"))),
        part(1, 6, 5, operations(&["c"], Some("partialTxn"))),
    ];
    assert!(inserted(&mut replay, &parts).is_empty());
    let last = part(1, 7, 6, operations(&["d"], None));
    assert_eq!(inserted(&mut replay, &[last]), ["a", "b", "c", "d"]);
    assert_eq!(replay.replay.applied(), 4);
}

#[test]
fn a_prepared_transaction_is_applied_when_it_is_committed() {
    let mut replay = keeping(replay());
    let prepare = part(1, 5, 0, operations(&["a"], Some("prepare")));
    let between = insert(6, "between");
    assert_eq!(inserted(&mut replay, &[prepare, between]), ["between"]);
    assert_eq!(inserted(&mut replay, &[part(1, 7, 5, commit())]), ["a"]);
}

#[test]
fn an_aborted_transaction_is_forgotten() {
    let mut replay = keeping(replay());
    let entries = [
        part(1, 5, 0, operations(&["a"], Some("partialTxn"))),
        part(1, 6, 5, operations(&["b"], Some("prepare"))),
        part(1, 7, 6, abort()),
        // Aborted before anything of it was written.
        part(2, 8, 0, abort()),
    ];
    assert!(inserted(&mut replay, &entries).is_empty());
    assert!(replay.kept.is_empty());
    assert!(replay.replay.finish().unfinished.is_empty());
}

/// `mongorestore_txn_test.go:39` of mongo-tools.
#[test]
fn interleaved_transactions_are_applied_in_the_order_of_their_commits() {
    let entries = [
        part(1, 1, 0, operations(&["a1"], Some("partialTxn"))),
        part(2, 2, 0, operations(&["b1"], Some("prepare"))),
        part(1, 3, 1, operations(&["a2"], Some("prepare"))),
        part(3, 4, 0, operations(&["c1"], None)),
        part(1, 5, 3, commit()),
        part(2, 6, 2, commit()),
    ];
    let inserted = inserted(&mut keeping(replay()), &entries);
    assert_eq!(inserted, ["c1", "a1", "a2", "b1"]);
}

#[test]
fn one_session_may_use_a_number_again_after_the_end() {
    let mut replay = keeping(replay());
    for id in ["a", "b"] {
        let entries = [
            part(1, 1, 0, operations(&[id], Some("prepare"))),
            part(1, 2, 1, commit()),
        ];
        assert_eq!(inserted(&mut replay, &entries), [id]);
    }
}

#[test]
fn what_is_not_decided_at_the_end_is_not_applied_but_reported() {
    let mut replay = keeping(replay());
    let entries = [
        part(7, 5, 0, operations(&["a"], Some("prepare"))),
        part(6, 4, 0, operations(&["b"], Some("partialTxn"))),
    ];
    assert!(inserted(&mut replay, &entries).is_empty());
    let unfinished = replay.replay.finish().unfinished;
    let seen: Vec<_> = unfinished
        .iter()
        .map(|transaction| (transaction.started.seconds, transaction.number))
        .collect();
    assert_eq!(seen, [(4, 6), (5, 7)]);
}

#[test]
fn what_is_not_decided_before_the_limit_is_not_applied_but_reported() {
    let options = ReplayOptions::default().limit(OpTime::from(ts(6)).into());
    let mut replay = keeping(Replay::new(TARGET, options, IndexCatalog::new()));
    let entries = [
        part(1, 5, 0, operations(&["a"], Some("prepare"))),
        part(1, 6, 5, commit()),
    ];
    assert!(inserted(&mut replay, &entries).is_empty());
    assert!(replay.replay.limit_reached());
    assert_eq!(replay.replay.finish().unfinished.len(), 1);
}

#[test]
fn a_transaction_that_began_before_the_oplog_is_told() {
    let missing = |at| {
        format!(
            "transaction 1 with an entry at {at}:1 began before the oplog does; what is missing is not replayed"
        )
    };
    let entries = [
        part(1, 5, 4, operations(&["b"], Some("partialTxn"))),
        part(1, 6, 5, operations(&["c"], None)),
    ];
    let done = keeping(replay()).push(&entries).unwrap();
    assert_eq!(strings(&done), ["b", "c"]);
    assert_eq!(done.told, [missing(5)]);

    let last = part(1, 6, 5, operations(&["c"], None));
    let done = keeping(replay()).push(&[last]).unwrap();
    assert_eq!(
        (strings(&done), done.told),
        (vec!["c".to_owned()], vec![missing(6)])
    );

    let done = keeping(replay()).push(&[part(1, 6, 5, commit())]).unwrap();
    assert_eq!((strings(&done), done.told), (vec![], vec![missing(6)]));
}

/// TOOLS-3546: they have a session and a number, and may be linked to each other.
#[test]
fn vectored_inserts_are_applied_at_once() {
    let mut replay = keeping(replay());
    let mut entries = [
        part(1, 5, 0, operations(&["a", "b"], None)),
        part(1, 6, 5, operations(&["c"], Some("partialTxn"))),
    ];
    for entry in &mut entries {
        entry.append(bson::cstr!("multiOpType"), 1);
    }
    assert_eq!(inserted(&mut replay, &entries), ["a", "b", "c"]);
}

/// `create` and `createIndexes` are possible in transactions since 4.4.
#[test]
fn commands_in_a_transaction_follow_the_same_rules() {
    let mut replay = replay();
    let index = rawdoc! { "createIndexes": "made", "v": 2, "key": { "k": 1 }, "name": "k_1" };
    let object = rawdoc! { "applyOps": [
        { "op": "c", "ns": "shop.$cmd", "o": { "create": "made", "recordIdsReplicated": true } },
        { "op": "c", "ns": "shop.$cmd", "o": index },
        { "op": "i", "ns": "shop.made", "o": { "_id": "a" } },
    ] };
    let done = push(&mut replay, &[part(1, 5, 0, object)]).unwrap();
    let objects: Vec<&RawDocument> = done
        .sent
        .iter()
        .map(|operation| operation.get_document("o").unwrap())
        .collect();
    assert_eq!(
        objects,
        [&*rawdoc! { "create": "made" }, &*rawdoc! { "_id": "a" }]
    );
    let made = Namespace::new("shop", "made");
    assert_eq!(replay.catalog().get(&made).unwrap().specs.len(), 1);
}

#[test]
fn damage_in_a_transaction_is_noticed_when_it_is_committed() {
    let mut replay = keeping(replay());
    let broken = rawdoc! { "applyOps": "x", "prepare": true };
    assert!(inserted(&mut replay, &[part(1, 5, 0, broken)]).is_empty());
    let error = replay.push(&[part(1, 6, 5, commit())]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`applyOps` of the oplog entry at 5:1 is not an array of documents"
    );
}

/// How a transaction of the property below ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Last,
    Commit,
    Abort,
    Never,
}

proptest! {
    /// The parts of transactions come in any interleaving; what is applied, and when, is decided by their last.
    #[test]
    fn any_interleaving_applies_whole_transactions_when_they_commit(
        transactions in vec(
            (1..4_usize, prop::sample::select(vec![End::Last, End::Commit, End::Abort, End::Never])),
            1..6,
        ),
        choices in vec(any::<prop::sample::Index>(), 40),
    ) {
        // The entries that each transaction still has to write, and what it has written.
        let mut left: Vec<Vec<(RawDocumentBuf, bool)>> = Vec::new();
        for (number, (parts, end)) in transactions.iter().enumerate() {
            let mut entries = Vec::new();
            for at in 0..*parts {
                let id = format!("{number}.{at}");
                let is_last = at + 1 == *parts;
                let mark = match end {
                    End::Last if is_last => None,
                    End::Commit | End::Abort if is_last => Some("prepare"),
                    _ => Some("partialTxn"),
                };
                let previous = u32::try_from(at).unwrap();
                let object = operations(&[&id], mark);
                let number = i64::try_from(number).unwrap();
                entries.push((part(number, 1, previous, object), mark.is_none()));
            }
            let number = i64::try_from(number).unwrap();
            match end {
                End::Commit => entries.push((part(number, 1, 1, commit()), true)),
                End::Abort => entries.push((part(number, 1, 1, abort()), false)),
                End::Last | End::Never => {}
            }
            left.push(entries);
        }

        let mut replay = keeping(replay());
        for choice in choices {
            let open: Vec<_> = (0..left.len()).filter(|number| !left[*number].is_empty()).collect();
            if open.is_empty() {
                break;
            }
            let number = open[choice.index(open.len())];
            let (entry, commits) = left[number].remove(0);
            let expected: Vec<_> = if commits {
                (0..transactions[number].0).map(|at| format!("{number}.{at}")).collect()
            } else {
                Vec::new()
            };
            prop_assert_eq!(inserted(&mut replay, &[entry]), expected);
        }
        let unfinished = replay.replay.finish().unfinished;
        let never = transactions.iter().filter(|(_, end)| *end == End::Never).count();
        prop_assert_eq!(unfinished.len(), never);
    }
}
