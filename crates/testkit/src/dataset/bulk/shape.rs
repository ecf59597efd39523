//! The three shapes of documents.

use bson::RawDocumentBuf;
use rand::{Rng as _, RngExt as _};
use rand_chacha::ChaCha8Rng;

use super::text;
use crate::raw::RawBuilder;

/// 2024-01-01T00:00:00Z, in seconds.
const EPOCH_SECONDS: u32 = 1_704_067_200;
const STATES: [&str; 5] = ["created", "paid", "packed", "shipped", "returned"];
const CITIES: [&str; 8] = [
    "Amsterdam",
    "Berlin",
    "Copenhagen",
    "Dublin",
    "Edinburgh",
    "Florence",
    "Geneva",
    "Helsinki",
];

/// Size and content of documents; the ratios are those of zstd level 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Shape {
    /// About 130 bytes: one event; compresses to 0.31.
    Small,
    /// About 1.7 KB: an order with lines and a note; compresses to 0.35.
    Medium,
    /// About 90 KB: an article with sections and a picture; compresses to 0.62.
    Large,
}

impl Shape {
    /// Average size of a document, in bytes.
    pub fn document_bytes(self) -> u64 {
        match self {
            Self::Small => 130,
            Self::Medium => 1_700,
            Self::Large => 90_000,
        }
    }

    /// One document, with `number` in its `_id`.
    pub(super) fn document(self, rng: &mut ChaCha8Rng, number: u64) -> RawDocumentBuf {
        match self {
            Self::Small => small(rng, number),
            Self::Medium => medium(rng, number),
            Self::Large => large(rng, number),
        }
    }
}

fn small(rng: &mut ChaCha8Rng, number: u64) -> RawDocumentBuf {
    let sku = format!(
        "{:015x}-{:03}",
        rng.next_u64() >> 4,
        rng.random_range(0..40)
    );
    RawBuilder::with_capacity(160)
        .element(0x07, "_id", &id(number))
        .int64("account", rng.random_range(0..i64::MAX))
        .string("sku", &sku)
        .int32("quantity", rng.random_range(1..10))
        .double("weight", rng.random())
        .date("at", date(number, rng))
        .string("state", STATES[rng.random_range(0..STATES.len())])
        .build()
}

fn medium(rng: &mut ChaCha8Rng, number: u64) -> RawDocumentBuf {
    let name = text::piece(rng, 14);
    let customer = RawBuilder::with_capacity(256)
        .int64("id", rng.random_range(0..5_000_000))
        .string("name", name)
        .string("email", &format!("{:x}@mail.example", rng.next_u32()))
        .string(
            "street",
            &format!("{} {}", text::piece(rng, 12), rng.random_range(1..300)),
        )
        .string("city", CITIES[rng.random_range(0..CITIES.len())])
        .string("postcode", &rng.random_range(10_000..99_999).to_string())
        .build();
    let lines: Vec<RawDocumentBuf> = (0..rng.random_range(5..10)).map(|_| line(rng)).collect();
    let note_bytes = rng.random_range(280..720);
    RawBuilder::with_capacity(2_048)
        .element(0x07, "_id", &id(number))
        .int64("number", i64::try_from(number).unwrap_or(i64::MAX))
        .string("state", STATES[rng.random_range(0..STATES.len())])
        .date("createdAt", date(number, rng))
        .date("updatedAt", date(number, rng))
        .document("customer", &customer)
        .documents("lines", lines)
        .string("note", text::piece(rng, note_bytes))
        .binary("session", 4, &random(rng, 16))
        .binary("digest", 0, &random(rng, 32))
        .build()
}

fn line(rng: &mut ChaCha8Rng) -> RawDocumentBuf {
    RawBuilder::with_capacity(160)
        .string("sku", &format!("SKU-{:07}", rng.random_range(0..4_000_000)))
        .string("title", text::piece(rng, 22))
        .int32("quantity", rng.random_range(1..20))
        .double("unitPrice", cents(rng, 50_000))
        .double("taxRate", 0.19)
        .bool("inStock", rng.random_ratio(7, 8))
        .build()
}

fn large(rng: &mut ChaCha8Rng, number: u64) -> RawDocumentBuf {
    let sections: Vec<RawDocumentBuf> = (0..rng.random_range(35..46))
        .map(|section| {
            let bytes = rng.random_range(1_000..2_000);
            RawBuilder::with_capacity(bytes + 128)
                .int32("section", section)
                .string("heading", text::piece(rng, 40))
                .string("text", text::piece(rng, bytes))
                .build()
        })
        .collect();
    let picture_bytes = rng.random_range(24_000..30_000);
    RawBuilder::with_capacity(100_000)
        .element(0x07, "_id", &id(number))
        .string("title", text::piece(rng, 60))
        .date("publishedAt", date(number, rng))
        .documents("sections", sections)
        .binary("picture", 0, &random(rng, picture_bytes))
        .build()
}

/// An object id as one driver makes them: time, five bytes of the process, counter.
fn id(number: u64) -> [u8; 12] {
    let time = EPOCH_SECONDS.wrapping_add(u32::try_from(number / 50).unwrap_or(0));
    let mut id = *b"....\x8E\x1B\x5A\xC4\x27...";
    id[..4].copy_from_slice(&time.to_be_bytes());
    id[9..].copy_from_slice(&number.to_be_bytes()[5..]);
    id
}

/// Milliseconds since 1970, growing with `number`.
fn date(number: u64, rng: &mut ChaCha8Rng) -> i64 {
    let seconds = i64::from(EPOCH_SECONDS) + i64::try_from(number / 50).unwrap_or(0);
    seconds * 1_000 + rng.random_range(0..60_000)
}

fn cents(rng: &mut ChaCha8Rng, most: i32) -> f64 {
    f64::from(rng.random_range(100..most)) / 100.0
}

fn random(rng: &mut ChaCha8Rng, bytes: usize) -> Vec<u8> {
    let mut random = vec![0; bytes];
    rng.fill_bytes(&mut random);
    random
}
