//! Dump and restore against real servers.

mod dump;
mod folder_reader;
mod made;
mod restore;
mod verify;
