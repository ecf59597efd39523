//! What a server says to a write command.
//!
//! A reply with `ok: 1` may still hold `writeErrors` and a `writeConcernError`.

use bson::{Bson, Document};

use crate::connect::whole_number;

/// A reply to an insert or update command that the server carried out, at least in part.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct WriteReply {
    /// How many documents were inserted, or matched by an update.
    pub(crate) documents: u64,
    /// The writes that failed, by ascending index, whatever the order the server names them in.
    pub(crate) errors: Vec<WriteError>,
    /// Why the writes that did not fail may still be lost.
    pub(crate) concern_error: Option<ServerError>,
}

/// Why one document of a batch was not written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WriteError {
    /// The index of the document in its command.
    pub(crate) index: usize,
    pub(crate) error: ServerError,
    /// Whether it is a duplicate of an `_id`.
    pub(crate) is_about_id: bool,
}

/// A code and message of the server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServerError {
    pub(crate) code: i32,
    pub(crate) message: String,
}

impl std::fmt::Display for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (code {})", self.message, self.code)
    }
}

/// The longest message of the server that is kept, in characters: it may quote whole documents.
const MESSAGE_CHARACTERS: usize = 300;

impl WriteReply {
    pub(crate) fn of(reply: &Document) -> Self {
        let errors = reply
            .get_array("writeErrors")
            .map(Vec::as_slice)
            .unwrap_or_default();
        let errors = errors.iter().filter_map(Bson::as_document);
        let mut errors: Vec<_> = errors.map(WriteError::of).collect();
        errors.sort_by_key(|error| error.index);
        Self {
            documents: number(reply, "n")
                .and_then(|n| u64::try_from(n).ok())
                .unwrap_or(0),
            errors,
            concern_error: concern_error(reply),
        }
    }

    /// How many of the `sent` documents the server tried to insert; `None` if the reply does not fit them.
    pub(crate) fn attempted(&self, sent: usize, ordered: bool) -> Option<usize> {
        let attempted = match self.errors.first() {
            // After an error in an ordered batch the server tries no further.
            Some(error) if ordered => sent.min(error.index.saturating_add(1)),
            _ => sent,
        };
        let inserted = attempted.checked_sub(self.errors.len())?;
        let each_once = self.errors.is_sorted_by(|one, next| one.index < next.index);
        let of_the_batch = self.errors.last().is_none_or(|last| last.index < attempted);
        let fits = inserted as u64 == self.documents && each_once && of_the_batch;
        fits.then_some(attempted)
    }
}

/// The `writeConcernError` of any reply.
pub(crate) fn concern_error(reply: &Document) -> Option<ServerError> {
    reply
        .get_document("writeConcernError")
        .ok()
        .map(ServerError::of)
}

impl WriteError {
    fn of(error: &Document) -> Self {
        let is_about_id = match error.get_document("keyPattern") {
            Ok(pattern) => pattern.len() == 1 && pattern.contains_key("_id"),
            Err(_) => error
                .get_str("errmsg")
                .is_ok_and(|message| message.contains("index: _id_ ")),
        };
        // An index that is missing or no number matches no document and so ends the run.
        let index = number(error, "index")
            .and_then(|index| usize::try_from(index).ok())
            .unwrap_or(usize::MAX);
        Self {
            index,
            error: ServerError::of(error),
            is_about_id,
        }
    }
}

impl ServerError {
    fn of(error: &Document) -> Self {
        let message = error.get_str("errmsg").unwrap_or("no message");
        let code = number(error, "code")
            .and_then(|code| i32::try_from(code).ok())
            .unwrap_or(0);
        Self {
            code,
            message: message.chars().take(MESSAGE_CHARACTERS).collect(),
        }
    }
}

fn number(document: &Document, name: &str) -> Option<i64> {
    document.get(name).and_then(whole_number)
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn errors_of_writes_and_of_the_write_concern_are_both_seen() {
        let reply = WriteReply::of(&doc! {
            "n": 2, "ok": 1.0,
            "writeErrors": [
                { "index": 1, "code": 11000, "keyPattern": { "_id": 1 }, "keyValue": { "_id": 7 }, "errmsg": "dup" },
                { "index": 3.0, "code": 11000_i64, "keyPattern": { "a": 1 }, "errmsg": "dup" },
            ],
            "writeConcernError": { "code": 91, "errmsg": "shutting down" },
        });
        assert_eq!(reply.documents, 2);
        let seen: Vec<_> = reply
            .errors
            .iter()
            .map(|error| (error.index, error.error.code, error.is_about_id))
            .collect();
        assert_eq!(seen, [(1, 11000, true), (3, 11000, false)]);
        assert_eq!(
            reply.concern_error,
            Some(ServerError {
                code: 91,
                message: "shutting down".into()
            })
        );
    }

    #[test]
    fn an_error_without_an_index_fits_no_document() {
        let reply = WriteReply::of(&doc! { "n": 0, "writeErrors": [{ "code": 1 }] });
        assert_eq!(reply.errors[0].index, usize::MAX);
        assert_eq!(reply.attempted(1, false), None);
    }

    fn reply(inserted: i32, failed: &[i32]) -> WriteReply {
        let errors = failed
            .iter()
            .map(|index| doc! { "index": index, "code": 11000 });
        WriteReply::of(&doc! { "n": inserted, "writeErrors": errors.collect::<Vec<_>>() })
    }

    #[test]
    fn errors_are_told_apart_by_their_index_and_not_by_their_place() {
        let reply = reply(2, &[3, 0]);
        let indexes: Vec<_> = reply.errors.iter().map(|error| error.index).collect();
        assert_eq!(indexes, [0, 3]);
        assert_eq!(reply.attempted(4, false), Some(4));
    }

    #[test]
    fn a_reply_fits_a_batch_if_it_says_of_each_document_one_thing() {
        assert_eq!(reply(4, &[]).attempted(4, false), Some(4));
        assert_eq!(reply(1, &[1]).attempted(4, true), Some(2));
        for (inserted, failed) in [
            (3, &[][..]),
            (3, &[4]),
            (2, &[1, 1]),
            (3, &[-1]),
            (0, &[0, 1, 2, 3, 4]),
        ] {
            let reply = reply(inserted, failed);
            assert_eq!(reply.attempted(4, false), None, "{inserted} {failed:?}");
        }
    }
}
