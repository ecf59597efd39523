//! A fingerprint as text, to be kept beside what it is of.

use std::fmt::{self, Write as _};

use bson::RawDocument;
use sha2::{Digest as _, Sha256};

use super::{
    CollectionPrint, Content, Fingerprint,
    content::{DocumentSet, digest},
    diff::{json, shown},
};

/// One line for each collection, then one for its options and for each index; what differs, differs in some line.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((db, collection), print) in &self.collections {
            writeln!(f, "{}: {print}", shown(db, collection))?;
            writeln!(f, "  options {}", definition(&print.options))?;
            for (name, index) in &print.indexes {
                writeln!(f, "  index {name:?} {}", definition(index))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for CollectionPrint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        match &self.content {
            Content::View => Ok(()),
            Content::Set(set) => write!(f, ", {}", documents(set)),
            Content::Sequence(digests, bytes) => {
                let order = hex::encode(Sha256::digest(digests.concat()));
                write!(f, ", {} documents, {bytes} bytes, {order}", digests.len())
            }
            Content::TimeSeries(set, measurements) => {
                write!(f, ", {measurements} measurements, {}", documents(set))
            }
        }
    }
}

fn documents(set: &DocumentSet) -> String {
    let mut text = format!("{} documents, {} bytes, ", set.count, set.bytes);
    for limb in set.sum.iter().rev() {
        write!(text, "{limb:016x}").expect("text can be written to a string");
    }
    text
}

/// Readable, and by the digest to the bit.
fn definition(document: &RawDocument) -> String {
    let digest = hex::encode(&digest(document)[..8]);
    format!("{digest} {}", json(document))
}
