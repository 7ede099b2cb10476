//! The rdkafka crate as a process for the tests of foreign clients.
//!
//! The protocol is the one of every client that can hold arbitrary bytes; docs/clients.md writes it
//! down.

mod administrate;
mod consume;
mod lines;
mod produce;

use std::process::ExitCode;

/// What any command may fail with.
type Failure = Box<dyn std::error::Error>;

fn run(command: &str) -> Result<(), Failure> {
    match command {
        "version" => {
            let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
            println!("{} (librdkafka {librdkafka})", env!("RDKAFKA_VERSION"));
            Ok(())
        }
        "produce" => produce::run(),
        "consume" => consume::run(),
        "admin" => administrate::run(),
        _ => Err("usage: rdkafka version|produce|consume|admin".into()),
    }
}

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_default();
    match run(&command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("{failed}");
            ExitCode::FAILURE
        }
    }
}
