//! What a folder is understood to hold.
