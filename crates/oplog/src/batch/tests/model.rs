//! Lanes against a naive model: whatever the interleaving, the outcome is that of one after another.

use std::collections::{BTreeMap, VecDeque};

use bson::oid::ObjectId;
use bson::{Decimal128, RawBson};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// The most documents of a capped collection.
const MOST_CAPPED: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Capped,
    /// Case does not matter.
    Collated,
}

/// Names, what their collections are at first, and whether the catalog knows.
const COLLECTIONS: [(&str, Option<Kind>, bool); 6] = [
    ("plain", Some(Kind::Plain), true),
    ("capped", Some(Kind::Capped), true),
    ("collated", Some(Kind::Collated), true),
    ("unknown", Some(Kind::Capped), false),
    ("system.buckets.time", Some(Kind::Plain), true),
    ("missing", None, false),
];

/// Ids; those in one row are equal.
fn ids() -> Vec<Vec<RawBson>> {
    let decimal = |text: &str| RawBson::Decimal128(text.parse::<Decimal128>().unwrap());
    let document = |document: RawDocumentBuf| RawBson::Document(document);
    vec![
        vec![RawBson::String("a".to_owned())],
        // Equal to the one before in a collation.
        vec![RawBson::String("A".to_owned())],
        vec![
            RawBson::Int32(1),
            RawBson::Int64(1),
            RawBson::Double(1.0),
            decimal("1"),
            decimal("1.00"),
        ],
        vec![RawBson::Int32(0), RawBson::Double(-0.0), decimal("-0E3")],
        vec![RawBson::Double(f64::NAN), decimal("NaN")],
        vec![
            document(rawdoc! { "x": 1, "y": { "z": 2.5 } }),
            document(rawdoc! { "x": 1.0, "y": { "z": decimal("2.50") } }),
        ],
        vec![document(rawdoc! { "y": { "z": 2.5 }, "x": 1 })],
        vec![RawBson::Int64((1 << 53) + 1), decimal("9007199254740993")],
        vec![RawBson::Double(9_007_199_254_740_992.0)],
        vec![RawBson::ObjectId(ObjectId::from_bytes([7; 12]))],
    ]
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Write {
        operation: &'static str,
        collection: usize,
        row: usize,
        spelling: usize,
    },
    Create(usize, Kind),
    Drop(usize),
    Rename(usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let collection = || 0..COLLECTIONS.len();
    let kind = prop::sample::select(vec![Kind::Plain, Kind::Capped, Kind::Collated]);
    let write = (
        prop::sample::select(vec!["i", "u", "d"]),
        collection(),
        0..ids().len(),
        0..5_usize,
    );
    prop_oneof![
        40 => write.prop_map(|(operation, collection, row, spelling)| Change::Write {
            operation, collection, row, spelling,
        }),
        // What is there and not known is not created.
        1 => (collection(), kind)
            .prop_filter("it is there", |(collection, _)| COLLECTIONS[*collection].0 != "unknown")
            .prop_map(|(collection, kind)| Change::Create(collection, kind)),
        1 => collection().prop_map(Change::Drop),
        1 => (collection(), collection()).prop_map(|(from, to)| Change::Rename(from, to)),
    ]
}

/// The entry, tagged so that the operation made of it is known again.
fn entry(change: Change, tag: usize) -> RawDocumentBuf {
    let tag = i32::try_from(tag).unwrap();
    let name = |collection: usize| COLLECTIONS[collection].0;
    let command = |object: RawDocumentBuf| rawdoc! { "op": "c", "ns": "db.$cmd", "o": object };
    match change {
        Change::Write {
            operation,
            collection,
            row,
            spelling,
        } => {
            let namespace = format!("db.{}", name(collection));
            let spellings = &ids()[row];
            let id = spellings[spelling % spellings.len()].clone();
            match operation {
                "u" => {
                    rawdoc! { "op": "u", "ns": namespace, "o": { "tag": tag }, "o2": { "_id": id } }
                }
                _ => {
                    rawdoc! { "op": operation, "ns": namespace, "o": { "tag": tag, "_id": id } }
                }
            }
        }
        Change::Create(collection, Kind::Plain) => {
            command(rawdoc! { "create": name(collection), "tag": tag })
        }
        Change::Create(collection, Kind::Capped) => {
            command(rawdoc! { "create": name(collection), "capped": true, "tag": tag })
        }
        Change::Create(collection, Kind::Collated) => command(
            rawdoc! { "create": name(collection), "collation": { "locale": "en" }, "tag": tag },
        ),
        Change::Drop(collection) => command(rawdoc! { "drop": name(collection), "tag": tag }),
        Change::Rename(from, to) => {
            let [from, to] = [from, to].map(|collection| format!("db.{}", name(collection)));
            command(rawdoc! { "renameCollection": from, "to": to, "tag": tag })
        }
    }
}

fn tag(operation: &RawDocument) -> usize {
    let object = operation.get_document("o").unwrap();
    usize::try_from(object.get_i32("tag").unwrap()).unwrap()
}

/// Each document by the row of its id, with the tags of what happened to it.
#[derive(Clone, Debug, PartialEq)]
struct Collection {
    kind: Kind,
    documents: Vec<(usize, Vec<usize>)>,
}

#[derive(Clone, Debug)]
struct Model(BTreeMap<usize, Collection>);

impl Model {
    fn new() -> Self {
        let collections = COLLECTIONS.into_iter().enumerate();
        let empty = |kind| Collection {
            kind,
            documents: Vec::new(),
        };
        Self(
            collections
                .filter_map(|(number, (_, kind, _))| Some((number, empty(kind?))))
                .collect(),
        )
    }

    fn apply(&mut self, change: Change, tag: usize) {
        match change {
            Change::Write {
                operation,
                collection,
                row,
                ..
            } => {
                if let Some(collection) = self.0.get_mut(&collection) {
                    collection.write(operation, row, tag);
                }
            }
            Change::Create(collection, kind) => {
                let documents = Vec::new();
                self.0
                    .entry(collection)
                    .or_insert(Collection { kind, documents });
            }
            Change::Drop(collection) => drop(self.0.remove(&collection)),
            Change::Rename(from, to) => {
                if let Some(collection) = self.0.remove(&from) {
                    self.0.insert(to, collection);
                }
            }
        }
    }

    /// What can be seen of it: order counts in capped collections alone.
    fn seen(mut self) -> BTreeMap<usize, Collection> {
        for collection in self.0.values_mut() {
            if collection.kind != Kind::Capped {
                collection.documents.sort();
            }
        }
        self.0
    }
}

impl Collection {
    fn write(&mut self, operation: &str, row: usize, tag: usize) {
        let row = if self.kind == Kind::Collated && row == 1 {
            0
        } else {
            row
        };
        let known = self.documents.iter().position(|(id, _)| *id == row);
        match (operation, known) {
            ("i", Some(known)) => self.documents[known].1 = vec![tag],
            ("u", Some(known)) => self.documents[known].1.push(tag),
            ("d", Some(known)) => drop(self.documents.remove(known)),
            ("d", None) => {}
            _ => self.documents.push((row, vec![tag])),
        }
        if self.kind == Kind::Capped && self.documents.len() > MOST_CAPPED {
            self.documents.remove(0);
        }
    }
}

/// What a batcher makes of the changes.
fn dispatches(changes: &[Change], options: BatchOptions) -> Vec<Dispatch> {
    let mut catalog = IndexCatalog::new();
    for (name, kind, known) in COLLECTIONS {
        let (Some(kind), true) = (kind, known) else {
            continue;
        };
        let collation = match kind {
            Kind::Collated => DefaultCollation::Other,
            _ => DefaultCollation::Simple,
        };
        let name = name.strip_prefix("system.buckets.").unwrap_or(name);
        let collection = CollectionIndexes::new(collation).ordered(kind == Kind::Capped);
        catalog.insert(&Namespace::new("db", name), collection);
    }
    let target = ReplayTarget::new([6, 0, 5]);
    let mut replay = Replay::new(target, ReplayOptions::default(), catalog);
    let mut batcher = Batcher::new(options);
    let (mut steps, mut dispatches) = (Vec::new(), Vec::new());
    for (tag, change) in changes.iter().enumerate() {
        let _ = replay
            .push(entry(*change, tag).as_bytes(), &mut steps)
            .unwrap();
        for step in steps.drain(..) {
            if let Step::Apply(operation) = step {
                batcher.push(operation, &mut dispatches);
            }
        }
    }
    batcher.finish(&mut dispatches);
    dispatches
}

/// Lanes that run at random speeds.
struct Lanes<'a> {
    changes: &'a [Change],
    waiting: Vec<VecDeque<usize>>,
    model: Model,
    random: u64,
}

impl Lanes<'_> {
    /// Applies an operation of some lane; whether there was one.
    fn step(&mut self) -> bool {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let first = usize::try_from(self.random >> 33).unwrap();
        let count = self.waiting.len();
        let next = (0..count).find_map(|lane| self.waiting[(first + lane) % count].pop_front());
        if let Some(tag) = next {
            self.model.apply(self.changes[tag], tag);
        }
        next.is_some()
    }

    fn run(mut self, dispatches: Vec<Dispatch>) -> Model {
        for dispatch in dispatches {
            match dispatch {
                Dispatch::Batch(batch) => {
                    let operations =
                        (0..batch.operations()).map(|at| tag(batch.operation(at).unwrap()));
                    self.waiting[batch.lane()].extend(operations);
                    for _ in 0..self.random % 4 {
                        self.step();
                    }
                }
                Dispatch::Wait => while self.step() {},
            }
        }
        while self.step() {}
        self.model
    }
}

fn check(changes: &[Change], options: BatchOptions, random: u64) {
    let mut expected = Model::new();
    for (tag, change) in changes.iter().enumerate() {
        expected.apply(*change, tag);
    }
    let lanes = Lanes {
        changes,
        waiting: vec![VecDeque::new(); options.lanes.get()],
        model: Model::new(),
        random,
    };
    let outcome = lanes.run(dispatches(changes, options));
    assert_eq!(outcome.seen(), expected.seen());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn lanes_at_any_speed_end_as_one_operation_after_another(
        changes in vec(change(), 0..120),
        (lanes, operations, bytes) in (1..6_usize, 1..8_usize, 0..4000_u64),
        random in any::<u64>(),
    ) {
        check(&changes, at_most(lanes, operations, bytes), random);
    }
}
