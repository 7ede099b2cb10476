//! The `ringlog` binary: see [`ringlog::cli`].

use std::process::ExitCode;

/// glibc's keeps the memory that it has cut into pieces: four times of what was in use.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    ringlog::cli::main()
}
