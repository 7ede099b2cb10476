//! Seeded simulations: the real floors on a simulated disk, beside models that say what must hold.
//! A failing seed is printed; `RINGLOG_SIM_SEED=<seed> cargo test --test sim` runs it alone.

#![allow(
    clippy::disallowed_methods,
    reason = "the trace of a failing seed is written to a real file"
)]

mod break_flags;
mod broker;
mod config_changes;
mod connections;
mod corruption;
mod damage;
mod directories;
#[path = "../it/exposition.rs"]
mod exposition;
mod fetch_sessions;
mod frames;
mod log_model;
mod log_starts;
mod metadata_changes;
mod offline_partitions;
mod one_log;
mod producer_expiry;
mod rules;
mod slow_disk;
mod stages;
mod stuck_names;
mod takeover;
mod two_crashes;
mod wall_clock;
mod zero_ahead;

/// A number from the environment.
fn from_env(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(value) => value
            .parse()
            .unwrap_or_else(|_| panic!("{name}={value} is no number")),
        Err(_) => default,
    }
}

/// The seeds to run: `RINGLOG_SIM_SEED` alone, or `RINGLOG_SIM_SEEDS` from `RINGLOG_SIM_FIRST` on.
fn seeds(default_count: u64) -> std::ops::Range<u64> {
    let alone = from_env("RINGLOG_SIM_SEED", u64::MAX);
    if alone != u64::MAX {
        return alone..alone + 1;
    }
    let first = from_env("RINGLOG_SIM_FIRST", 0);
    first..first + from_env("RINGLOG_SIM_SEEDS", default_count)
}
