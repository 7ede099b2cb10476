//! The whole broker under the simulator: `ringlog::sim` runs the same for `ringlog sim --seed N`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ringlog::config::BrokerConfig;
use ringlog::io::StopSignal;
use ringlog::io::sim::{MachineId, SimOptions, Simulation};
use ringlog::log::BrokenRule;
use ringlog::server::{BrokerPlan, run_shard};
use ringlog::shard::Broken;
use ringlog::sim::{Outcome, SeedOptions, Tally, run_seed};

use crate::{from_env, seeds};

/// Seeds of a plain `cargo test`; `RINGLOG_SIM_SEEDS` for more.
const SEEDS_DEFAULT: u64 = 10;

/// What comes in every range of so many seeds; `tests/long/sim` asks for all.
const COMMON_STATES: [&str; 7] = [
    "kill",
    "power cut",
    "late write after a kill",
    "clean restart",
    "cold read",
    "duplicate answered after restart",
    "topic recreated under load",
];

/// Seeds within which the canary must have been noticed.
const CANARY_SEEDS_MAX: u64 = 1_000;

fn run(options: &SeedOptions) -> Outcome {
    let outcome = run_seed(options);
    if let (Ok(path), Some(trace)) = (std::env::var("RINGLOG_SIM_TRACE"), &outcome.trace) {
        std::fs::write(path, trace).expect("RINGLOG_SIM_TRACE can be written");
    }
    outcome
}

#[test]
fn what_was_promised_holds_under_every_seed() {
    let steps = from_env("RINGLOG_SIM_STEPS", SeedOptions::STEPS_DEFAULT);
    let keep_trace = std::env::var_os("RINGLOG_SIM_TRACE").is_some();
    let mut tally = Tally::new();
    let seeds = seeds(SEEDS_DEFAULT);
    let is_range = seeds.end - seeds.start >= SEEDS_DEFAULT;
    for seed in seeds {
        let options = SeedOptions {
            steps,
            keep_trace,
            ..SeedOptions::new(seed)
        };
        let outcome = run(&options);
        if let Some(violation) = outcome.violation {
            panic!(
                "seed {seed}: {violation}\nreplay it with: {}",
                options.command()
            );
        }
        tally.merge(&outcome.tally);
    }
    let missing = tally.missing();
    let is_missing = |name: &&&str| missing.contains(*name);
    let missing: Vec<_> = COMMON_STATES.iter().filter(is_missing).collect();
    assert!(!is_range || missing.is_empty(), "never came: {missing:?}");
}

/// Seeds that have failed and that nothing smaller stands for: `docs/durability.md` says why.
const FAILED_ONCE: [u64; 5] = [419, 523, 40_855, 45_952, 180_803];

#[test]
fn seeds_that_have_failed_pass() {
    for seed in FAILED_ONCE {
        assert_eq!(run(&SeedOptions::new(seed)).violation, None, "seed {seed}");
    }
}

#[test]
fn the_same_seed_of_a_broker_gives_the_same_trace() {
    let options = SeedOptions {
        steps: 100,
        keep_trace: true,
        ..SeedOptions::new(5)
    };
    let (first, second) = (run(&options), run(&options));
    assert_eq!(first.violation, second.violation);
    assert_eq!(first.tally, second.tally);
    assert_eq!(first.trace_hash, second.trace_hash);
    assert_eq!(first.trace, second.trace);
    let other = run(&SeedOptions { seed: 6, ..options });
    assert_ne!(first.trace_hash, other.trace_hash);
}

/// The canary: a broker that acknowledges too early is found out from outside.
#[test]
fn a_broker_that_acknowledges_too_early_is_found_out() {
    let is_found = (0..CANARY_SEEDS_MAX).any(|seed| {
        let options = SeedOptions {
            broken: Broken {
                rule: Some(BrokenRule::AcknowledgesUnwritten),
                promise: None,
            },
            ..SeedOptions::new(seed)
        };
        run(&options).violation.is_some()
    });
    assert!(is_found, "{CANARY_SEEDS_MAX} seeds did not notice");
}

/// A new log directory is there after a power cut, by its own name.
#[test]
fn a_log_directory_that_served_survives_a_power_cut() {
    for seed in 0..20 {
        let sim = Simulation::new(SimOptions::with_seed(seed));
        let is_serving = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_serving);
        let overrides = ["log.dirs=/srv/new/ringlog".to_owned()];
        let config = BrokerConfig::load(None, &overrides).unwrap();
        let report = Arc::new(move |result: Result<_, _>| {
            told.store(result.is_ok(), Ordering::Relaxed);
        });
        let plan = BrokerPlan::new(config, 1, StopSignal::new(), report);
        sim.start(MachineId::FIRST, 1, |reactor| {
            let plan = plan.clone();
            async move { run_shard(reactor, plan).await.expect("nothing fails") }
        });
        sim.run_until(|_| is_serving.load(Ordering::Relaxed));
        sim.power_cut(MachineId::FIRST);
        let properties = Path::new("/srv/new/ringlog/meta.properties");
        let is_there = sim.file_contents(MachineId::FIRST, properties).is_some();
        assert!(is_there, "seed {seed}: the log directory is gone");
    }
}
