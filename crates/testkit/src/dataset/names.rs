//! Databases and collections with every name that a server takes.

use bson::rawdoc;

use super::Dataset;
use crate::server_version::Feature;

/// Bytes that a namespace may have.
const MAX_NAMESPACE_BYTES: usize = 255;
/// The same before [`Feature::LongNamespaces`].
const OLD_MAX_NAMESPACE_BYTES: usize = 120;
/// The database with all the collections.
const DB: &str = "odd";

/// Databases with odd names, each with one collection; 31 characters of two bytes are nearly the longest.
const DATABASES: [&str; 13] = [
    DB,
    "odd_é",
    "odd_\u{1F980}",
    "odd_%",
    "odd_a%2Fb",
    "odd_a+b",
    "odd_a\nb\r",
    "\todd",
    "odd_*?<>|:",
    "odd-'`~&=#@!",
    "odd_system",
    "odd_ddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
    "odd_üüüüüüüüüüüüüüüüüüüüüüüüüüüüü",
];

/// Collections with odd names, all in one database. A server refuses `$`, NUL and a dot in front.
const COLLECTIONS: [&str; 66] = [
    // Dots, and what looks like the special ones.
    "a.b",
    "a.",
    "a..b",
    "a.b.c.d",
    "a/../b",
    "systemx",
    "system.js",
    "oplog.rs",
    "fs.files",
    // Escaped, and what escapes to the same if it is done carelessly.
    "a/b",
    "a%2Fb",
    "a%2fb",
    "A%2Fb",
    "a%252Fb",
    "a%24b",
    "a b",
    "a+b",
    "a%20b",
    "a%2Bb",
    "%",
    "%%",
    "a%",
    "a%2",
    "%00",
    // Spaces and control characters in front, in the middle and at the end.
    " ",
    " a",
    "a ",
    "\n",
    "\na",
    "a\n",
    "\r",
    "a\r",
    "\r\n",
    "a\nb",
    "\t",
    "\u{1}",
    "\u{7F}",
    // Beyond ASCII: two forms of one letter, outside of the first plane, invisible.
    "é",
    "e\u{301}",
    "\u{1F980}",
    "日本語",
    "\u{202E}",
    "\u{2028}",
    "\u{FEFF}",
    // What a shell, a pattern, a path or a file system takes for something else.
    "/",
    "//",
    "/a",
    "a/",
    "\\",
    "a\\b",
    "*",
    "a*b",
    "?",
    "[a]",
    "-",
    "--help",
    "~",
    "'",
    "\"",
    "`",
    "CON",
    "case",
    "Case",
    // What a dump's own files are called.
    "x.bson",
    "x.metadata.json",
    "prelude.json",
];

/// Databases and collections with UTF-8, control characters, escapes and the longest names, one document in each.
///
/// Names whose form escaped for a file has 237 to 255 bytes are there in one-byte and in escaped characters.
pub fn odd_names() -> Dataset {
    Dataset::new("odd-names", &DATABASES, |seeder| async move {
        for db in DATABASES {
            seeder
                .insert(db, "collection", [rawdoc! { "_id": db }])
                .await;
        }
        let collections = COLLECTIONS.map(str::to_owned);
        for name in collections.into_iter().chain(long_names(DB)) {
            if DB.len() + 1 + name.len() > OLD_MAX_NAMESPACE_BYTES
                && !seeder.has(Feature::LongNamespaces)
            {
                continue;
            }
            seeder
                .insert(DB, &name, [rawdoc! { "_id": name.as_str() }])
                .await;
        }
        seeder.create(DB, "empty\n", &rawdoc! {}).await;
    })
}

/// Names around the length at which a dump shortens the names of its files, 238 escaped bytes.
fn long_names(db: &str) -> Vec<String> {
    let plain = [237, 238, 239, 240].map(|length| "l".repeat(length));
    // Each percent sign takes three bytes when it is escaped.
    let escaped = [(79, 0), (79, 1), (79, 2), (79, 3), (80, 0), (83, 0)]
        .map(|(signs, letters)| "%".repeat(signs) + &"p".repeat(letters));
    // Two that are the same up to where they are cut.
    let alike = ["1", "2"].map(|end| "a".repeat(230) + " + " + end + "/%2F");
    let longest = "m".repeat(MAX_NAMESPACE_BYTES - db.len() - 1);
    let widest = "ü".repeat(120);
    let names = plain.into_iter().chain(escaped).chain(alike);
    names.chain([longest, widest]).collect()
}
