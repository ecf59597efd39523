//! Restores a dump into a MongoDB deployment.

use std::process::ExitCode;

/// glibc's allocator keeps what each thread once needed, which for a restore is half of its memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    rdump_cli::rrestore()
}
