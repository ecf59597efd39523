//! Running text of made-up words, with the frequencies of a natural language.

use std::sync::OnceLock;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Long enough that a codec's window holds only a part of it.
const POOL_BYTES: usize = 4 << 20;
const VOCABULARY: usize = 12_000;
const SYLLABLES: [&str; 32] = [
    "al", "be", "cor", "da", "en", "fi", "gra", "hu", "in", "jo", "ka", "lo", "mi", "nor", "os",
    "pre", "qui", "ra", "se", "ti", "un", "ver", "wi", "ex", "yo", "za", "ment", "tion", "er",
    "ly", "st", "and",
];

/// A piece of text of `bytes` bytes.
pub(super) fn piece(rng: &mut ChaCha8Rng, bytes: usize) -> &'static str {
    static POOL: OnceLock<String> = OnceLock::new();
    let pool = POOL.get_or_init(pool);
    let start = rng.random_range(0..pool.len() - bytes);
    &pool[start..start + bytes]
}

fn pool() -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let words: Vec<String> = (0..VOCABULARY).map(|_| word(&mut rng)).collect();
    let mut pool = String::with_capacity(POOL_BYTES + 32);
    while pool.len() < POOL_BYTES {
        // Of two random ranks multiplied, small ones are the commonest: about the law of Zipf.
        let rank = rng.random_range(0..VOCABULARY) * rng.random_range(0..VOCABULARY) / VOCABULARY;
        pool.push_str(&words[rank]);
        pool.push_str(if rng.random_ratio(1, 12) { ". " } else { " " });
    }
    pool
}

fn word(rng: &mut ChaCha8Rng) -> String {
    let syllables = rng.random_range(1..5);
    (0..syllables)
        .map(|_| SYLLABLES[rng.random_range(0..SYLLABLES.len())])
        .collect()
}
