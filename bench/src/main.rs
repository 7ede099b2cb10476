//! `bench`: loads a broker, ours in this process or any Kafka over TCP, and reports what it does
//! beside what the bare machine does in the same run.
//!
//! | file | what is in it |
//! |---|---|
//! | `options` | the command line |
//! | `produce`, `producer`, `load` | writing: the run, one client thread, what they share |
//! | `consume`, `checker`, `payload` | reading back, and checking every record |
//! | `latency` | one record at a time |
//! | `target`, `workspace`, `clients` | the broker, its directory, the client threads |
//! | `raw`, `host`, `latency_log` | the bare disk and network, CPU times, histograms |
//! | `report` | what is printed |

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program of its own, outside the determinism fence"
)]

mod checker;
mod clients;
mod consume;
mod host;
mod interrupt;
mod latency;
mod latency_log;
mod load;
mod options;
mod payload;
mod produce;
mod producer;
mod progress;
mod raw;
mod report;
mod stages;
mod target;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

use options::{Cli, Command};

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let outcome = match Cli::parse().command {
        Command::Produce(args) => produce::run(&args),
        Command::Consume(args) => consume::run(&args),
        Command::Latency(args) => latency::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
