//! The log under the simulator beside a model: whatever the disk and the processes suffer, what was
//! told to be written survives a kill, what was told to be durable survives a power cut, and the
//! log is always a prefix of what was appended.

mod actor;
mod model;

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;

use ringlog::io::sim::{FaultPlan, MachineId, ProcessId, Random, SimOptions, Simulation};
use ringlog::log::{BrokenRule, Landmark, Landmarks, LogError};
use ringlog::sim::Tally;

use crate::{from_env, seeds};
use actor::{Actor, Shared};

/// Seeds of a plain `cargo test`; `RINGLOG_SIM_SEEDS` for more.
const SEEDS_DEFAULT: u64 = 60;

/// Operations on the log per seed; `RINGLOG_SIM_STEPS` for more.
const STEPS_DEFAULT: u64 = 500;

/// Operations of one process at most, so that a seed has several.
const STEPS_PER_PROCESS_MAX: u64 = 120;

/// Steps of the world within which whatever a seed waits for must come.
const STEP_COUNT_MAX: u64 = 300_000;

/// Processes within which the operations of a seed must be done.
const RESTARTS_MAX: u64 = 5_000;

/// The log's own rare states; the others are the broker's.
const LANDMARKS: [Landmark; 8] = [
    Landmark::TornTail,
    Landmark::RollDuringFlush,
    Landmark::CheckpointDuringRoll,
    Landmark::ColdRead,
    Landmark::SegmentRecycled,
    Landmark::WrittenMarkMoved,
    Landmark::RecoveryOverRecycled,
    Landmark::TornTailAmongOld,
];

/// What comes in every range of so many seeds; `tests/long/sim` asks for all.
const COMMON_STATES: [&str; 8] = [
    "kill",
    "power cut",
    "torn write",
    "late write after a kill",
    "segment recycled",
    "written mark moved",
    "recovery over a recycled segment",
    START_REFUSED,
];

const RECOVERY_INSIDE_RECOVERY: &str = "recovery inside recovery";
const START_REFUSED: &str = "start refused after a failed flush";

/// What a seed has shown.
#[derive(Default)]
pub(crate) struct Outcome {
    trace_hash: u64,
    trace: Option<String>,
    tally: Tally,
    restarts: u64,
}

/// Runs one seed to its number of steps, then checks the log a last time.
pub(crate) fn run_seed(seed: u64, steps: u64, keep_trace: bool) -> Outcome {
    run_seed_with(seed, steps, keep_trace, &Emphasis::default())
}

/// What a run suffers most; by default what it draws.
#[derive(Clone, Debug, Default)]
pub(crate) struct Emphasis {
    pub(crate) broken_rule: Option<BrokenRule>,
    pub(crate) ending: Option<Ending>,
    pub(crate) faults: Option<FaultPlan>,
    /// Class P with so many unflushed bytes at most.
    pub(crate) unflushed_bytes_max: Option<u64>,
    /// Retention drops much and soon, in class P.
    pub(crate) recycles: bool,
}

/// The same with an emphasis.
pub(crate) fn run_seed_with(
    seed: u64,
    steps: u64,
    keep_trace: bool,
    emphasis: &Emphasis,
) -> Outcome {
    let sim = Simulation::new(SimOptions {
        keep_trace,
        step_count_max: STEP_COUNT_MAX,
        ..SimOptions::with_seed(seed)
    });
    let mut chaos = sim.random("chaos");
    let _dump = DumpOnPanic(&sim);
    let shared = Rc::new(Shared::new(sim.random("operations"), emphasis));
    let mut restarts = 0;
    let mut refusals = 0;
    let mut flush_errors = 0;
    let mut recoveries_inside = 0;
    let mut was_interrupted = false;
    while shared.steps.get() < steps {
        restarts += 1;
        assert!(restarts < RESTARTS_MAX, "seed {seed} comes nowhere");
        let drawn = faults(&mut chaos);
        let plan = emphasis.faults.clone().unwrap_or(drawn);
        shared
            .may_fail
            .set(plan.flush_error + plan.write_error > 0.0);
        sim.set_faults(plan);
        let drawn = Ending::draw(&mut chaos);
        let ending = emphasis.ending.unwrap_or(drawn);
        shared.steps_left.set(match ending {
            Ending::Stop => 1 + chaos.below(120),
            _ => u64::MAX,
        });
        let actor = Rc::clone(&shared);
        let process = sim.start(MachineId::FIRST, 1, move |reactor| {
            Actor::run(reactor, Rc::clone(&actor))
        });
        match ending {
            Ending::Stop => sim.run_until(|sim| !sim.is_running(process)),
            Ending::Kill | Ending::PowerCut => run_a_while(&sim, &shared, &mut chaos),
        }
        let is_interrupted = sim.is_running(process);
        let has_opened = shared.has_opened.replace(false);
        recoveries_inside += u64::from(was_interrupted && is_interrupted && !has_opened);
        was_interrupted = is_interrupted;
        end(&sim, &shared, process, ending);
        if sim.fault_counts().flush_errors > flush_errors {
            flush_errors = sim.fault_counts().flush_errors;
            refusals += u64::from(is_refused(&sim));
            end(&sim, &shared, process, Ending::PowerCut);
        }
    }
    check_a_last_time(&sim, &shared);
    let mut tally = tally(&sim, &shared);
    tally.add(RECOVERY_INSIDE_RECOVERY, recoveries_inside);
    tally.add(START_REFUSED, refusals);
    Outcome {
        trace_hash: sim.trace_hash(),
        trace: sim.trace_text(),
        tally,
        restarts,
    }
}

fn end(sim: &Simulation, shared: &Shared, process: ProcessId, ending: Ending) {
    match ending {
        Ending::PowerCut => {
            sim.power_cut(MachineId::FIRST);
            shared.model.borrow_mut().lose_power();
        }
        Ending::Stop | Ending::Kill => {
            sim.kill(process);
            shared.model.borrow_mut().lose_process();
        }
    }
}

/// What befell the disk, and the states that the log has counted.
fn tally(sim: &Simulation, shared: &Shared) -> Tally {
    let mut tally = Tally::default();
    tally.add_disk_faults(&sim.fault_counts());
    for landmark in LANDMARKS {
        tally.add(landmark.name(), shared.landmarks.count(landmark));
    }
    tally
}

fn check_a_last_time(sim: &Simulation, shared: &Rc<Shared>) {
    sim.set_faults(FaultPlan::none());
    shared.may_fail.set(false);
    shared.steps_left.set(0);
    let checked = Rc::new(Cell::new(false));
    let (actor, told) = (Rc::clone(shared), Rc::clone(&checked));
    sim.run(MachineId::FIRST, |reactor| async move {
        Actor::run(reactor, actor).await;
        told.set(true);
    });
    assert!(checked.get(), "the last check did not run");
}

/// What a failed flush has dropped is still read but never becomes durable: only a machine that
/// starts anew shows what there is. Whether the log directory says so; the process may have died
/// before it could note the failure.
fn is_refused(sim: &Simulation) -> bool {
    sim.set_faults(FaultPlan::none());
    sim.run(MachineId::FIRST, |reactor| async move {
        let directory = actor::open_directory(&reactor, 1 << 20, None, Landmarks::default()).await;
        matches!(directory, Err(LogError::NotTrusted { .. }))
    })
}

/// Lets the process come somewhere: often only into its recovery.
fn run_a_while(sim: &Simulation, shared: &Shared, chaos: &mut Random) {
    let most = [150, 1_500, 10_000][chaos.below(3) as usize];
    let until = shared.steps.get() + STEPS_PER_PROCESS_MAX;
    let mut left = chaos.below(most);
    while left > 0 && shared.steps.get() < until && sim.step() {
        left -= 1;
    }
}

/// How a process of the broker ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    Stop,
    Kill,
    PowerCut,
}

impl Ending {
    fn draw(chaos: &mut Random) -> Ending {
        match chaos.below(5) {
            0 => Ending::Stop,
            1 | 2 => Ending::Kill,
            _ => Ending::PowerCut,
        }
    }
}

/// Mostly a disk that works; sometimes a slow one, sometimes one that fails.
fn faults(chaos: &mut Random) -> FaultPlan {
    let mut plan = FaultPlan::none();
    match chaos.below(8) {
        0 | 1 => plan.slow_disk = 0.1,
        2 => plan.flush_error = 0.01,
        3 => plan.write_error = 0.005,
        _ => {}
    }
    plan
}

#[test]
fn what_was_acknowledged_survives_every_seed() {
    let steps = from_env("RINGLOG_SIM_STEPS", STEPS_DEFAULT);
    let mut tally = Tally::default();
    let seeds = seeds(SEEDS_DEFAULT);
    let is_range = seeds.end - seeds.start >= SEEDS_DEFAULT;
    let is_one = seeds.end - seeds.start == 1;
    for seed in seeds {
        let outcome = run_seed(seed, steps, is_one);
        assert!(outcome.restarts > 0);
        tally.merge(&outcome.tally);
    }
    if let Ok(path) = std::env::var("RINGLOG_SIM_TALLY") {
        std::fs::write(path, tally.to_string()).expect("RINGLOG_SIM_TALLY can be written");
    }
    let missing = tally.missing();
    let is_missing = |name: &&&str| missing.contains(*name);
    let missing: Vec<_> = COMMON_STATES.iter().filter(is_missing).collect();
    assert!(!is_range || missing.is_empty(), "never came: {missing:?}");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [1, 7] {
        let first = run_seed(seed, 60, true);
        let second = run_seed(seed, 60, true);
        assert_eq!(first.trace_hash, second.trace_hash);
        assert_eq!(first.trace, second.trace);
    }
}

#[test]
fn deletion_ends_whatever_is_under_way() {
    for seed in seeds(SEEDS_DEFAULT) {
        let sim = Simulation::new(SimOptions {
            step_count_max: STEP_COUNT_MAX,
            ..SimOptions::with_seed(seed)
        });
        let shared = Rc::new(Shared::new(sim.random("operations"), &Emphasis::default()));
        shared.steps_left.set(1 + sim.random("chaos").below(60));
        shared.ends_by_deletion.set(true);
        sim.run(MachineId::FIRST, |reactor| Actor::run(reactor, shared));
        let metadata = Path::new("/data/ringlog/events-0/partition.metadata");
        let left = sim.file_contents(MachineId::FIRST, metadata);
        assert_eq!(left, None, "seed {seed}: the log is still there");
    }
}

/// Writes the trace of a failing seed where `RINGLOG_SIM_TRACE` says.
struct DumpOnPanic<'a>(&'a Simulation);

impl Drop for DumpOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(path) = std::env::var("RINGLOG_SIM_TRACE")
            && let Some(trace) = self.0.trace_text()
        {
            let _ = std::fs::write(path, trace);
        }
    }
}
