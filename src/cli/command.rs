//! The subcommands, and how the process ends.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use super::start::ConfigArgs;
use super::{format, start};

#[derive(Parser)]
#[command(name = "ringlog", version, about = "A Kafka-wire-compatible event log")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make an empty log directory a broker's
    Format(ConfigArgs),
    /// Run the broker until SIGTERM or Ctrl-C
    Start(ConfigArgs),
}

/// Runs the process. What fails is one sentence on stderr and exit code 1.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    log_to_stderr();
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringlog: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Format(args) => format::run(&args),
        Command::Start(args) => start::run(&args),
    }
}

/// `RINGLOG_LOG` chooses what is logged (as `RUST_LOG` elsewhere); the default is `info`.
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("RINGLOG_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}
