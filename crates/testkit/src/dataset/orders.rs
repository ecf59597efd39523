//! Small realistic documents.

use bson::{RawDocumentBuf, oid::ObjectId, rawdoc};
use rand::{RngExt as _, SeedableRng as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;

use super::Dataset;
use crate::raw::RawBuilder;

const CUSTOMERS: [&str; 6] = ["Ada", "Grace", "Edsger", "Barbara", "Linus", "Zoë"];
const PRODUCTS: [&str; 6] = ["apple", "bread", "cheese", "dates", "eggs", "flour"];
/// 2024-01-01T00:00:00Z.
const EPOCH_MILLISECONDS: i64 = 1_704_067_200_000;

/// `n` small orders in `shop.orders`, with two indexes.
pub fn orders(n: u32) -> Dataset {
    Dataset::new("orders", &["shop"], move |seeder| async move {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        seeder.create("shop", "orders", &rawdoc! {}).await;
        let documents = (0..n).map(|number| order(&mut rng, number));
        seeder.insert("shop", "orders", documents).await;
        let indexes = [
            rawdoc! { "key": { "customer": 1, "at": -1 }, "name": "customer_1_at_-1" },
            rawdoc! { "key": { "number": 1 }, "name": "number_1", "unique": true },
        ];
        seeder.index("shop", "orders", indexes).await;
    })
}

fn order(rng: &mut ChaCha8Rng, number: u32) -> RawDocumentBuf {
    let mut id = [0; 12];
    rng.fill(&mut id[4..]);
    id[..4].copy_from_slice(&(0x6592_0080 + number).to_be_bytes());
    let lines = (0..rng.random_range(1..4)).map(|_| {
        let product = *PRODUCTS.choose(rng).expect("there are products");
        rawdoc! { "product": product, "quantity": rng.random_range(1..10) }
    });
    let lines: Vec<RawDocumentBuf> = lines.collect();
    let at = EPOCH_MILLISECONDS + i64::from(number) * 1_000;
    RawBuilder::new()
        .element(0x07, "_id", &ObjectId::from_bytes(id).bytes())
        .int64("number", i64::from(number))
        .string(
            "customer",
            CUSTOMERS.choose(rng).expect("there are customers"),
        )
        .date("at", at)
        .double("total", f64::from(rng.random_range(100..100_000)) / 100.0)
        .documents("lines", lines)
        .build()
}
