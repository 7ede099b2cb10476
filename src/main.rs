//! The `ringlog` binary: see [`ringlog::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    ringlog::cli::main()
}
