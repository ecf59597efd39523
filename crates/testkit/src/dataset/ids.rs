//! `_id` of every type.

use bson::{RawDocumentBuf, rawdoc};

use super::Dataset;
use crate::raw::{self, RawBuilder};

/// Collections with `n` documents each, whose `_id` have one type, or in `mixed` every type that there can be.
///
/// A server takes no arrays, regular expressions and undefined values as `_id`.
pub fn ids_of_every_type(n: i32) -> Dataset {
    Dataset::new("ids-of-every-type", &["ids"], move |seeder| async move {
        let kinds = kinds();
        let mixed = (0..n).map(|number| {
            let kind = usize::try_from(number).expect("it counts up from 0") % kinds.len();
            document(number, kinds[kind].1)
        });
        let mixed = mixed.chain(singular());
        seeder.insert("ids", "mixed", mixed).await;
        for (name, kind) in kinds {
            let documents = (0..n / 10).map(|number| document(number, kind));
            seeder.insert("ids", name, documents).await;
        }
    })
}

/// Type and encoding of the `_id` with a number.
type Kind = fn(i32) -> (u8, Vec<u8>);

fn document(number: i32, kind: Kind) -> RawDocumentBuf {
    let (element_type, value) = kind(number);
    RawBuilder::new()
        .element(element_type, "_id", &value)
        .int32("number", number)
        .string("padding", "to be a little more than an id")
        .build()
}

/// Numbers of different types are kept apart by their fractions or ranges: to a server 1 and 1.0 are the same.
fn kinds() -> [(&'static str, Kind); 14] {
    [
        ("doubles", |n| {
            (0x01, (f64::from(n) * 1.5 + 0.25).to_le_bytes().into())
        }),
        ("strings", |n| {
            (
                0x02,
                raw::string(&format!("key-{:06}-é", n.wrapping_mul(7_919) % 100_000)),
            )
        }),
        ("documents", |n| {
            (0x03, rawdoc! { "b": n % 10, "a": { "n": n } }.into_bytes())
        }),
        ("binaries", |n| {
            let bytes = [
                &n.to_be_bytes()[..],
                &vec![0xFF; usize::try_from(n % 5).unwrap_or(0)],
            ]
            .concat();
            (0x05, [&raw::length(bytes.len())[..], &[0], &bytes].concat())
        }),
        ("uuids", |n| {
            let bytes = u128::from(n.cast_unsigned())
                .wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
            (
                0x05,
                [&raw::length(16)[..], &[4], &bytes.to_be_bytes()].concat(),
            )
        }),
        ("object ids", |n| {
            (0x07, [&n.to_be_bytes()[..], &[7; 8]].concat())
        }),
        ("dates", |n| {
            (
                0x09,
                (i64::from(n) * 86_400_000 - 10_000_000_000)
                    .to_le_bytes()
                    .into(),
            )
        }),
        ("code", |n| {
            (0x0D, raw::string(&format!("function () {{ return {n}; }}")))
        }),
        ("symbols", |n| (0x0E, raw::string(&format!("symbol {n}")))),
        ("code with scope", |n| {
            let body = [raw::string("x"), rawdoc! { "n": n }.into_bytes()].concat();
            (0x0F, [raw::length(body.len() + 4).to_vec(), body].concat())
        }),
        ("int32", |n| (0x10, (-n - 1).to_le_bytes().into())),
        ("timestamps", |n| {
            (
                0x11,
                ((u64::from(n.cast_unsigned()) + 1) << 32 | 1)
                    .to_le_bytes()
                    .into(),
            )
        }),
        ("int64", |n| {
            (
                0x12,
                (i64::from(n) * 3_000_000_000_000 + 3_000_000_000_000)
                    .to_le_bytes()
                    .into(),
            )
        }),
        ("decimals", |n| {
            // n + 0.1, as 10 n + 1 times ten to the minus first.
            let significand = u64::from(n.cast_unsigned()) * 10 + 1;
            (
                0x13,
                [
                    significand.to_le_bytes(),
                    0x303E_0000_0000_0000_u64.to_le_bytes(),
                ]
                .concat(),
            )
        }),
    ]
}

/// The values of which there is only one, and the ends of the ranges of others.
fn singular() -> Vec<RawDocumentBuf> {
    let mut all = Vec::new();
    let values: [(u8, Vec<u8>); 16] = [
        (0xFF, vec![]),
        (0x7F, vec![]),
        (0x0A, vec![]),
        (0x08, vec![0]),
        (0x08, vec![1]),
        (0x01, f64::NAN.to_le_bytes().into()),
        (0x01, f64::INFINITY.to_le_bytes().into()),
        (0x01, f64::NEG_INFINITY.to_le_bytes().into()),
        (0x12, i64::MAX.to_le_bytes().into()),
        (0x12, i64::MIN.to_le_bytes().into()),
        (0x09, i64::MIN.to_le_bytes().into()),
        (0x02, raw::string("")),
        (0x03, rawdoc! {}.into_bytes()),
        (0x05, vec![0, 0, 0, 0, 0]),
        (0x05, vec![0, 0, 0, 0, 0x80]),
        (0x0C, [raw::string("a.b"), vec![1; 12]].concat()),
    ];
    for ((element_type, value), number) in values.into_iter().zip(0..) {
        let document = RawBuilder::new().element(element_type, "_id", &value);
        all.push(document.int32("singular", number).build());
    }
    all
}
