//! The subcommands, and how the process ends.

use std::io::ErrorKind;
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use super::completions::{self, CompletionsArgs};
use super::config::{self, ConfigCommand};
use super::consume::{self, ConsumeArgs};
use super::log::{self, LogArgs};
use super::produce::{self, ProduceArgs};
use super::sim::{self, SimArgs};
use super::start::ConfigArgs;
use super::topic::{self, TopicArgs};
use super::{format, start};

#[derive(Parser)]
#[command(name = "ringlog", version, about = "A Kafka-wire-compatible event log")]
#[command(max_term_width = 100)]
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
    /// Create, list, describe, grow, alter and delete topics
    Topic(TopicArgs),
    /// Show and change settings of topics and brokers
    Config(ConfigCommand),
    /// Send records from standard input, one a line
    Produce(ProduceArgs),
    /// Print records to standard output
    Consume(ConsumeArgs),
    /// Look at log files on disk, ours or Kafka's
    Log(LogArgs),
    /// Play a seed: the whole broker in a simulated world, with every fault
    Sim(SimArgs),
    /// Print what a shell needs to complete commands and options
    Completions(CompletionsArgs),
}

impl Command {
    /// What is logged unless `RINGLOG_LOG` says otherwise.
    fn log_level(&self) -> &'static str {
        match self {
            Command::Format(_) | Command::Start(_) => "info",
            // The simulated brokers have every reason to complain.
            Command::Sim(_) => "off",
            _ => "warn",
        }
    }
}

/// Runs the process. What fails is one sentence on stderr and exit code 1.
pub fn main() -> ExitCode {
    let command = Arguments::parse().command;
    log_to_stderr(command.log_level());
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
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
        Command::Topic(args) => topic::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Produce(args) => produce::run(&args),
        Command::Consume(args) => consume::run(&args),
        Command::Log(args) => log::run(&args),
        Command::Sim(args) => sim::run(&args),
        Command::Completions(args) => completions::run(&args, Arguments::command()),
    }
}

/// Whoever read our output has enough of it: not an error.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// `RINGLOG_LOG` chooses what is logged (as `RUST_LOG` elsewhere).
fn log_to_stderr(default_level: &str) {
    let filter =
        EnvFilter::try_from_env("RINGLOG_LOG").unwrap_or_else(|_| EnvFilter::new(default_level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}
