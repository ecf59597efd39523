//! What is refused, and how it is said.

use bson::{RawDocumentBuf, doc};

use super::message::encoded;

/// An error that a command is answered with.
///
/// Texts are those that clusters were seen to give, as far as any was. Of the codes, 9 for a token, 136, 301, 303 for a
/// feature, 304 and 18 with -301 in its text were seen; that a field has 303 too is assumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: i32,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(code: i32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// A feature that MongoDB has.
    pub(super) fn feature(what: impl std::fmt::Display) -> Self {
        Self::new(303, format!("Feature not supported: {what}"))
    }

    /// A field of a command or of what is created.
    pub(super) fn field(name: &str) -> Self {
        Self::new(303, format!("Field '{name}' is currently not supported"))
    }

    pub(super) fn command(name: &str) -> Self {
        Self::new(59, format!("no such command: '{name}'"))
    }

    pub(super) fn stage(name: &str) -> Self {
        Self::new(304, format!("Aggregation stage not supported: '{name}'"))
    }

    pub(super) fn no_cursor(id: i64) -> Self {
        Self::new(43, format!("cursor id {id} not found"))
    }

    pub(super) fn invalid_token() -> Self {
        Self::new(9, "Invalid resume token")
    }

    /// What nobody knows how a cluster answers, or what takes more than a proxy.
    pub(super) fn beyond_this_kit(what: &str) -> Self {
        Self::new(8, format!("beyond this test kit: {what}"))
    }

    pub(super) fn reply(&self) -> RawDocumentBuf {
        encoded(doc! { "ok": 0.0, "errmsg": &self.message, "code": self.code })
    }
}
