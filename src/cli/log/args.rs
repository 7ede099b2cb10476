//! The options of `ringlog log`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::{dump, verify};

#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct LogArgs {
    #[command(subcommand)]
    command: LogCommand,
}

#[derive(Subcommand, Clone, Debug)]
enum LogCommand {
    /// Print what is in segments, indexes, snapshots and checkpoints
    Dump(DumpArgs),
    /// Check a stopped broker's log directories, or single partitions; writes nothing
    Verify(VerifyArgs),
}

#[derive(Args, Clone, Debug)]
pub(super) struct DumpArgs {
    /// Files, directories of partitions, or whole log directories
    #[arg(required = true, value_name = "FILE_OR_DIR")]
    pub(super) paths: Vec<PathBuf>,
    /// Also print the records of each batch
    #[arg(long)]
    pub(super) records: bool,
    /// Read no more than this of each segment
    #[arg(long, value_name = "BYTES", default_value_t = u64::MAX, hide_default_value = true)]
    pub(super) max_bytes: u64,
    /// One JSON object a line
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Clone, Debug)]
pub(super) struct VerifyArgs {
    /// Log directories, or directories of partitions
    #[arg(required = true, value_name = "DIR")]
    pub(super) directories: Vec<PathBuf>,
    /// Also decompress and read every record
    #[arg(long)]
    pub(super) deep: bool,
    /// One JSON object a line
    #[arg(long)]
    pub(super) json: bool,
}

/// Runs one of them; verification that finds a problem is an error.
pub(in crate::cli) fn run(args: &LogArgs) -> Result<()> {
    match &args.command {
        LogCommand::Dump(args) => dump::run(args),
        LogCommand::Verify(args) => verify::run(args),
    }
}
