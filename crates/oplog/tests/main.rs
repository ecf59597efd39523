//! What goes through the public API alone: oplogs that real servers wrote, and the fuzz corpus.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod captured;
mod corpus;
