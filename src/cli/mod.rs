//! The `ringlog` command line: one file a subcommand.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the command line talks to the terminal and reads files"
)]

mod command;
mod format;
mod start;

pub use command::main;
