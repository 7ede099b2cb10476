//! The real broker, driven over TCP as its users drive it: in this process, or as the `ringlog`
//! binary where start-up, signals and kill -9 are the matter.
//!
//! | file | what is in it |
//! |---|---|
//! | `wire` | a synchronous connection: raw frames, requests in, responses out |
//! | `broker`, `process` | a broker in this process, and as a process |
//! | `small_disk` | file systems that can be filled and broken |
//! | `extremes` | request bodies with every field at its extremes |
//! | `exposition` | a strict reader of what Prometheus scrapes |
//! | `topics`, `records` | what tests say often: create, produce, fetch; batches, broken ones too |
//! | the rest | tests, by what they are about |
//!
//! A test waits for what it wants to see, never for time to pass; [`DEADLINE`] is when it gives up.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a client of the broker: it has threads, files, clocks and sockets of its own"
)]

mod broker;
mod exposition;
mod extremes;
mod process;
mod records;
mod small_disk;
mod topics;
mod wire;

mod api_versions;
mod bad_bodies;
mod bad_frames;
mod cluster;
mod config_changes;
mod config_commands;
mod config_load;
mod configs;
mod connections;
mod corruption;
mod create_partitions;
mod create_topics;
mod delete_records;
mod describe_log_dirs;
mod describe_producers;
mod describe_topic_partitions;
mod directories;
mod disk_errors;
mod fetch;
mod fetch_sessions;
mod fetch_wait;
mod formats;
mod full_disk;
mod hostile_requests;
mod idempotence;
mod kafkas_directories;
mod kill;
mod leader_epochs;
mod list_offsets;
mod listeners;
mod log_files;
mod metadata;
mod metrics;
mod odd_values;
mod pipelining;
mod produce;
mod produce_errors;
mod recreate;
mod restart;
mod retention;
mod slow_readers;
mod startup;
mod stop;
mod stored_batches;
mod topic_commands;

use std::time::{Duration, Instant};

/// When a test gives up waiting: far more than anything here takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// How often a condition is looked at that nothing announces.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Waits until `look` sees something.
fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(LOOK_INTERVAL);
    }
}
