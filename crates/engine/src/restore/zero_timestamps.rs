//! Updates that write zero timestamps back.
//!
//! A server that inserts a document replaces zero timestamps at its top level by the current time. An update by
//! pipeline does not, so it can put the document back as it was. Newer servers can be asked not to
//! replace them.

use bson::{Document, RawDocument, RawDocumentBuf, doc, rawdoc};

use crate::{Error, Result};

/// After how many bytes of documents a further update command is made.
const COMMAND_BYTES: usize = 4 << 20;

/// Commands that put these documents in place of those of the same `_id`, and how many updates each has.
pub(super) fn updates(
    collection: &str,
    write_concern: &Document,
    documents: &[&[u8]],
) -> Result<Vec<(Vec<u8>, u64)>> {
    let invalid =
        |error: bson::error::Error| Error::internal("an update cannot be built").caused_by(error);
    let head = doc! { "update": collection, "writeConcern": write_concern.clone() };
    let head = RawDocumentBuf::try_from(&head).map_err(invalid)?;
    let (mut commands, mut updates, mut bytes) = (Vec::new(), bson::RawArrayBuf::new(), 0);
    let mut count = 0;
    for document in documents {
        if count > 0 && bytes + document.len() > COMMAND_BYTES {
            commands.push(command(
                &head,
                std::mem::replace(&mut updates, bson::RawArrayBuf::new()),
                count,
            ));
            (bytes, count) = (0, 0);
        }
        let raw = RawDocument::from_bytes(*document).map_err(invalid)?;
        let id = raw
            .get("_id")
            .map_err(invalid)?
            .ok_or_else(|| Error::internal("a document to update has no _id"))?;
        updates.push(rawdoc! {
            "q": { "_id": { "$eq": id } },
            "u": [{ "$replaceRoot": { "newRoot": { "$literal": raw.to_owned() } } }],
        });
        bytes += document.len();
        count += 1;
    }
    if count > 0 {
        commands.push(command(&head, updates, count));
    }
    Ok(commands)
}

fn command(head: &RawDocumentBuf, updates: bson::RawArrayBuf, count: u64) -> (Vec<u8>, u64) {
    let mut command = head.clone();
    command.append(bson::cstr!("updates"), updates);
    (command.into_bytes(), count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_split_over_commands_by_size() {
        let large =
            RawDocumentBuf::try_from(&doc! { "_id": 1, "text": "x".repeat(3 << 20) }).unwrap();
        let small = RawDocumentBuf::try_from(&doc! { "_id": 2 }).unwrap();
        let documents = [
            small.as_bytes(),
            large.as_bytes(),
            large.as_bytes(),
            small.as_bytes(),
        ];
        let commands = updates("c", &doc! { "w": "majority" }, &documents).unwrap();
        assert_eq!(
            commands.iter().map(|(_, count)| *count).collect::<Vec<_>>(),
            [2, 2]
        );
        let first = Document::try_from(RawDocument::from_bytes(&commands[0].0).unwrap()).unwrap();
        let update = first.get_array("updates").unwrap()[0]
            .as_document()
            .unwrap();
        assert_eq!(
            update.get_document("q").unwrap(),
            &doc! { "_id": { "$eq": 2 } }
        );
    }
}
