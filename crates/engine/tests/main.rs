//! Dump and restore against real servers.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod archive;
mod authorization;
mod default_options;
mod document_stream;
mod dump;
mod folder_reader;
mod made;
mod oplog;
mod repository;
mod restore;
mod verify;
