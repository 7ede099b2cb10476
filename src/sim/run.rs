//! One seed, from its beginning to its verdict.

use super::checker::Violation;
use super::lives::Driver;
use super::swarm::{Fault, FaultSet, Swarm};
use super::tally::Tally;
use crate::io::sim::Random;
use crate::shard::Broken;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct SeedOptions {
    pub seed: u64,
    /// Operations of clients after which the seed comes to its end.
    pub steps: u64,
    /// Keep what happened as text: [`Outcome::trace`].
    pub keep_trace: bool,
    /// Faults that are left out.
    pub without: FaultSet,
    /// For a canary: what the broker does wrong.
    pub broken: Broken,
}

impl SeedOptions {
    /// Operations of clients in a seed, unless somebody wants more or fewer.
    pub const STEPS_DEFAULT: u64 = 600;

    pub fn new(seed: u64) -> SeedOptions {
        SeedOptions {
            seed,
            steps: SeedOptions::STEPS_DEFAULT,
            keep_trace: false,
            without: FaultSet::EMPTY,
            broken: Broken::default(),
        }
    }

    /// What to type to play the seed again.
    pub fn command(&self) -> String {
        let (seed, steps) = (self.seed, self.steps);
        let without: Vec<&str> = self.without.iter().map(Fault::name).collect();
        let mut command = format!("ringlog sim --seed {seed} --steps {steps}");
        if !without.is_empty() {
            command += &format!(" --without {}", without.join(","));
        }
        command
    }
}

/// What a seed has shown.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The promise that was not kept, with what was seen instead.
    pub violation: Option<Violation>,
    /// Those that the seed has drawn.
    pub faults: FaultSet,
    pub tally: Tally,
    /// Two runs of one seed have the same.
    pub trace_hash: u64,
    /// A line for each thing that happened, if it was kept.
    pub trace: Option<String>,
    /// Operations of clients.
    pub steps: u64,
    /// Brokers that lived one after the other.
    pub lives: u64,
    /// Steps of the simulated world.
    pub world_steps: u64,
    /// How long it took in there, in nanoseconds.
    pub virtual_nanos: u64,
}

/// The faults that a seed draws.
pub fn faults_of(options: &SeedOptions) -> FaultSet {
    let mut random = Random::stream(options.seed, "swarm", u64::MAX);
    Swarm::draw(&mut random, options.without).faults()
}

/// Plays a seed. What is wrong ends it.
///
/// # Panics
/// Where the broker's own assertions do, with the seed on standard error.
pub fn run_seed(options: &SeedOptions) -> Outcome {
    let mut driver = Driver::new(options);
    driver.run(options.steps);
    driver.outcome()
}
