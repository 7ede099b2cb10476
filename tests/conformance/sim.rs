//! Runs the suite in simulated worlds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use ringlog::io::sim::{MachineId, SimOptions, Simulation};

use crate::cases::{BACKGROUND_BYTES_MAX, Case, Context, cases};

/// Each case runs in so many worlds. Its interleavings differ, what it asserts must not.
const SEED_COUNT: u64 = 5;

#[test]
fn the_simulation_conforms_in_every_seed() {
    let mut failures = Vec::new();
    for case in cases() {
        let failed = (0..SEED_COUNT).find_map(|seed| run(&case, seed).err());
        failures.extend(failed);
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// Runs one case in one world; what went wrong.
fn run(case: &Case, seed: u64) -> Result<(), String> {
    let context = Context::new(PathBuf::from("/case"), case.shard_count);
    let sim = Simulation::new(SimOptions {
        background_bytes_in_flight_max: BACKGROUND_BYTES_MAX,
        ..SimOptions::with_seed(seed)
    });
    let body = case.run;
    let process = sim.start(MachineId::FIRST, case.shard_count, move |reactor| {
        body(reactor, context.clone())
    });
    let ended = catch_unwind(AssertUnwindSafe(|| {
        sim.run_until(|sim| !sim.is_running(process))
    }));
    ended.map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        format!("{} in seed {seed}: {}", case.name, text.unwrap_or_default())
    })
}
