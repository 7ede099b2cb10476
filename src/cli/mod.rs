//! The `ringlog` command line: one file a subcommand.
//!
//! An error is one sentence on standard error and exit code 1; a misused option is clap's, exit
//! code 2. Standard output carries nothing but what was asked for, so that it can be piped; when
//! its reader goes away the program ends without a word. Logs go to standard error.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the command line talks to the terminal and reads files"
)]

mod command;
mod completions;
mod config;
mod consume;
mod delete_records;
mod describe_producers;
mod escapes;
mod format;
mod log;
mod output;
mod produce;
mod record_format;
mod session;
mod sim;
mod start;
mod topic;
mod topic_sizes;
mod topic_text;

pub use command::main;
