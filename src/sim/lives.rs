//! The brokers of a seed, one after the other, and what befalls them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::clients::{Cast, inspect, run_clients};
use super::ledger::Ledger;
use super::run::{Outcome, SeedOptions};
use super::scenario::Scenario;
use super::tally::State;
use crate::io::StopSignal;
use crate::io::sim::{
    FaultCounts, FaultPlan, MachineId, ProcessId, Random, SimOptions, Simulation,
};
use crate::log::{BrokenRule, Landmark, Landmarks};
use crate::server::{BrokerPlan, run_shard};
use crate::shard::ShardError;

/// Steps of the world within which whatever is waited for must come.
const STEP_COUNT_MAX: u64 = 5_000_000;

/// How long a start, a stop or the last answers may take, in virtual time.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// What clients need after their connections were reset, to have acted on every answer they had.
const CLIENTS_SETTLE: Duration = Duration::from_millis(5);

/// Operations of clients in one life at most, so that a seed has several.
const STEPS_PER_LIFE_MAX: u64 = 80;

/// Slices of a life, and how long each is.
const SLICE_COUNT_MAX: u64 = 12;
const SLICE_MS_MAX: u64 = 12;

/// How much slower everything goes in a calm life, in which checkpoints of seconds come.
const CALM_PACE: u32 = 200;

/// One seed of so many has a second log directory.
const SECOND_DIRECTORY_EVERY: u64 = 3;

/// Steps of the world of a life that ends before its broker serves.
const EARLY_STEPS_MAX: u64 = 800;

/// Bytes of the disk when it is made full: less than is on it.
const FULL_DISK_SIZE: u64 = 64 << 10;
const DISK_SIZE: u64 = 64 << 30;

/// One process of the broker.
struct Life {
    process: ProcessId,
    stop: StopSignal,
    /// Clients can connect.
    is_serving: Arc<AtomicBool>,
    /// The checker was told of it.
    is_told: Cell<bool>,
    /// How each shard ended.
    ends: Rc<RefCell<Vec<Result<(), ShardError>>>>,
    /// When it began.
    faults: FaultCounts,
    /// Partitions that were not opened, when it began.
    offline_count: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    Stop,
    Kill,
    PowerCut,
}

/// See the module.
pub(super) struct Driver {
    sim: Simulation,
    ledger: Rc<Ledger>,
    chaos: Random,
    /// What befalls a second log directory.
    directories: Random,
    landmarks: Landmarks,
    broken_rule: Option<BrokenRule>,
    client_machine: MachineId,
    clients: ProcessId,
    shard_count: u64,
    /// The last life ended by a kill or a power cut.
    was_interrupted: bool,
    is_network_cut: bool,
}

const BROKER: MachineId = MachineId::FIRST;

impl Driver {
    pub(super) fn new(options: &SeedOptions) -> Driver {
        let sim = Simulation::new(SimOptions {
            keep_trace: options.keep_trace,
            step_count_max: STEP_COUNT_MAX,
            ..SimOptions::with_seed(options.seed)
        });
        let mut directories = sim.random("directories");
        let has_second = directories.below(SECOND_DIRECTORY_EVERY) == 0;
        let scenario = Scenario::draw(&mut sim.random("scenario"), has_second);
        if let Some(path) = scenario.second_directory() {
            sim.mount(BROKER, path);
        }
        let ledger = Ledger::new(scenario, sim.random("operations"));
        let client_machine = sim.add_machine();
        let cast = Rc::clone(&ledger);
        let clients = sim.start(client_machine, 1, |reactor| {
            run_clients(Cast::new(reactor, Rc::clone(&cast)))
        });
        Driver {
            chaos: sim.random("chaos"),
            directories,
            sim,
            ledger,
            landmarks: Landmarks::counting(),
            broken_rule: options.broken_rule,
            client_machine,
            clients,
            shard_count: 0,
            was_interrupted: false,
            is_network_cut: false,
        }
    }

    /// Lives until the clients have done so many steps, then the verdict.
    pub(super) fn run(&mut self, steps: u64) {
        while self.ledger.steps() < steps && !self.is_violated() {
            self.live(steps);
        }
        self.sim.set_faults(FaultPlan::none());
        for _ in 0..2 {
            if !self.is_violated() {
                self.last_life();
            }
        }
    }

    pub(super) fn outcome(&self) -> Outcome {
        let mut tally = self.ledger.tally();
        tally.add_faults(&self.sim.fault_counts());
        tally.add_landmarks(&self.landmarks);
        Outcome {
            violation: self.ledger.violation(),
            tally,
            trace_hash: self.sim.trace_hash(),
            trace: self.sim.trace_text(),
            steps: self.ledger.steps(),
            lives: self.ledger.life.get(),
            world_steps: self.sim.step_count(),
            virtual_nanos: self.sim.now().0,
        }
    }

    fn is_violated(&self) -> bool {
        self.ledger.violation().is_some()
    }

    fn live(&mut self, steps: u64) {
        let mut plan = draw_faults(&mut self.chaos);
        self.spoil_second_directory(&mut plan);
        self.sim.set_faults(plan);
        if self.chaos.coin() {
            self.slow_disk();
        }
        self.ledger.pace.set(match self.chaos.below(5) {
            0 => CALM_PACE,
            _ => 1,
        });
        let life = self.start();
        let ending = match self.chaos.below(6) {
            0 => Ending::Stop,
            1..=3 => Ending::Kill,
            _ => Ending::PowerCut,
        };
        if self.chaos.below(5) == 0 {
            let count = self.chaos.below(EARLY_STEPS_MAX);
            self.go_on(&life, count, Duration::from_secs(1), |_| false);
        } else {
            self.go_on(&life, STEP_COUNT_MAX, WAIT_MAX, Life::is_serving);
            let slices = self.chaos.below(SLICE_COUNT_MAX);
            let most = STEPS_PER_LIFE_MAX * self.ledger.pace.get().min(2) as u64;
            let until = steps.min(self.ledger.steps() + most);
            for _ in 0..slices {
                let slice = Duration::from_micros(self.chaos.below(SLICE_MS_MAX * 1_000));
                let slice = slice * self.ledger.pace.get();
                self.go_on(&life, STEP_COUNT_MAX, slice, |_| false);
                if !self.sim.is_running(life.process) || self.ledger.steps() >= until {
                    break;
                }
                self.disturb(&life);
            }
        }
        self.end(&life, ending);
    }

    /// In every other life only the second of two log directories has errors, and often.
    fn spoil_second_directory(&mut self, plan: &mut FaultPlan) {
        let second = self.ledger.scenario.second_directory();
        let Some(second) = second.filter(|_| self.directories.coin()) else {
            return;
        };
        plan.disk_errors_below = Some(second.to_owned());
        match self.directories.below(4) {
            0 => plan.flush_error = 0.03,
            1 => plan.write_error = 0.03,
            2 => plan.read_error = 0.1,
            _ => {}
        }
    }

    /// A life in which nothing fails: all clients come to their end, and everything is inspected.
    fn last_life(&mut self) {
        self.ledger.pace.set(1);
        let life = self.start();
        self.ledger.is_over.set(true);
        let ledger = Rc::clone(&self.ledger);
        self.go_on(&life, STEP_COUNT_MAX, WAIT_MAX, |_| {
            ledger.client_count.get() == 0
        });
        if !self.sim.is_running(life.process) {
            return self.ended_by_itself(&life);
        }
        if ledger.client_count.get() > 0 {
            let count = ledger.client_count.get();
            ledger.violated(format!(
                "nothing fails any more, and {count} clients do not end"
            ));
        }
        let is_inspected = Rc::new(Cell::new(false));
        let (told, cast) = (Rc::clone(&is_inspected), Rc::clone(&self.ledger));
        self.sim.start(self.client_machine, 1, move |reactor| {
            let (told, cast) = (Rc::clone(&told), Cast::new(reactor, Rc::clone(&cast)));
            async move {
                inspect(cast).await;
                told.set(true);
            }
        });
        self.go_on(&life, STEP_COUNT_MAX, WAIT_MAX, |_| is_inspected.get());
        if !is_inspected.get() {
            ledger.violated("nothing fails any more, and not all can be read".to_owned());
        }
        self.end(&life, Ending::Stop);
    }

    fn start(&mut self) -> Life {
        let most = self.ledger.scenario.shard_count_max;
        let shard_count = self.chaos.between(1, most);
        if self.shard_count != 0 && self.shard_count != shard_count {
            self.ledger.reached(State::ShardsChanged);
        }
        self.shard_count = shard_count;
        self.ledger.life.set(self.ledger.life.get() + 1);
        let stop = StopSignal::new();
        let is_serving = Arc::new(AtomicBool::new(false));
        let reported = Arc::clone(&is_serving);
        let report = move |result: Result<_, ShardError>| {
            reported.store(result.is_ok(), Ordering::Relaxed);
        };
        let config = self.ledger.scenario.config.clone();
        let plan = BrokerPlan::new(config, shard_count as usize, stop.clone(), Arc::new(report));
        let plan = plan.instrumented(self.broken_rule, self.landmarks.clone());
        let ends: Rc<RefCell<Vec<_>>> = Rc::default();
        let ended = Rc::clone(&ends);
        let faults = self.sim.fault_counts();
        tracing::debug!("{} ns: start of {shard_count} shards", self.sim.now().0);
        let process = self.sim.start(BROKER, shard_count as usize, |reactor| {
            let (plan, ended) = (plan.clone(), Rc::clone(&ended));
            async move {
                let end = run_shard(reactor, plan).await;
                ended.borrow_mut().push(end);
            }
        });
        Life {
            process,
            stop,
            is_serving,
            is_told: Cell::new(false),
            ends,
            faults,
            offline_count: self.landmarks.count(Landmark::PartitionOffline),
        }
    }

    /// Lets the world go on until a condition holds, the broker ends, something is wrong, or so
    /// many steps or so much time are over.
    fn go_on(&self, life: &Life, count: u64, time: Duration, condition: impl Fn(&Life) -> bool) {
        let until = self.sim.now() + time;
        for _ in 0..count {
            let is_done = condition(life)
                || !self.sim.is_running(life.process)
                || self.is_violated()
                || self.sim.now() >= until;
            if is_done || !self.sim.step() {
                return;
            }
            if life.is_serving() && !life.is_told.replace(true) {
                // What is in a directory that is offline was not recovered.
                if self.landmarks.count(Landmark::PartitionOffline) == life.offline_count {
                    self.ledger.opened();
                }
                tracing::debug!("{} ns: serves", self.sim.now().0);
            }
        }
    }

    /// Something between two slices of a life.
    fn disturb(&mut self, life: &Life) {
        self.note_disk(life);
        if self.is_network_cut && self.chaos.coin() {
            self.heal();
        }
        match self.chaos.below(24) {
            0 | 1 => self.sim.reset_connections(self.clients),
            2 | 3 => {
                self.ledger.reached(State::NetworkCut);
                self.is_network_cut = true;
                match self.chaos.below(3) {
                    0 => self.sim.partition(BROKER, self.client_machine),
                    1 => self.sim.partition_one_way(BROKER, self.client_machine),
                    _ => self.sim.partition_one_way(self.client_machine, BROKER),
                }
            }
            4 => {
                self.ledger.reached(State::BrokerPaused);
                self.sim.pause(life.process);
                let pause = Duration::from_millis(self.chaos.below(400));
                self.go_on(life, STEP_COUNT_MAX, pause, |_| false);
                self.sim.resume(life.process);
            }
            5 | 6 => self.slow_disk(),
            7 => {
                let milliseconds = self.chaos.below(4_000) as i64 - 2_000;
                self.sim.jump_wall_clock(BROKER, milliseconds);
            }
            8 if self.chaos.below(4) == 0 => {
                self.ledger.reached(State::DiskFull);
                self.sim.set_disk_capacity(BROKER, FULL_DISK_SIZE);
            }
            _ => {}
        }
    }

    fn slow_disk(&mut self) {
        self.ledger.reached(State::DiskSlow);
        let factor = 1 << self.chaos.below(7);
        self.sim.set_disk_slowness(BROKER, factor);
    }

    fn heal(&mut self) {
        self.is_network_cut = false;
        self.sim.heal(BROKER, self.client_machine);
    }

    fn end(&mut self, life: &Life, ending: Ending) {
        tracing::debug!("{} ns: {ending:?}", self.sim.now().0);
        self.heal();
        self.sim.set_disk_slowness(BROKER, 1);
        let was_serving = life.is_serving();
        match ending {
            _ if !self.sim.is_running(life.process) => self.ended_by_itself(life),
            Ending::Stop => self.stop(life),
            Ending::Kill | Ending::PowerCut => {
                if !was_serving && self.was_interrupted {
                    self.ledger.reached(State::RecoveryInsideRecovery);
                }
                self.was_interrupted = true;
                if ending == Ending::Kill {
                    self.sim.kill(life.process);
                }
            }
        }
        self.sim.set_disk_capacity(BROKER, DISK_SIZE);
        self.note_disk(life);
        let flush_errors = self.sim.fault_counts().flush_errors - life.faults.flush_errors;
        // What a failed flush has dropped is still read but never becomes durable: only a machine
        // that starts anew shows what there is.
        if ending == Ending::PowerCut || flush_errors > 0 {
            self.power_cut();
        }
    }

    fn power_cut(&mut self) {
        self.sim.power_cut(BROKER);
        self.sim.reset_connections(self.clients);
        self.sim.run_for(CLIENTS_SETTLE);
        self.ledger.power_cut();
    }

    fn stop(&mut self, life: &Life) {
        life.stop.set();
        self.go_on(life, STEP_COUNT_MAX, WAIT_MAX, |_| false);
        if self.sim.is_running(life.process) {
            self.ledger.violated("the broker does not stop".to_owned());
            return;
        }
        self.ended_by_itself(life);
    }

    /// A broker that has ended may have failed only because of its disk.
    fn ended_by_itself(&mut self, life: &Life) {
        let failure = life.ends.borrow().iter().find_map(|end| end.clone().err());
        self.was_interrupted = failure.is_some();
        let Some(failure) = failure else {
            if life.stop.is_set() {
                self.ledger.reached(State::CleanRestart);
            } else if !self.is_violated() {
                self.ledger
                    .violated("the broker has ended, nobody stopped it".to_owned());
            }
            return;
        };
        if !self.has_disk_failed(life) {
            self.ledger
                .violated(format!("the broker failed on a disk that works: {failure}"));
        }
        self.ledger.reached(match life.is_serving() {
            true => State::EndedByDisk,
            false => State::StartFailed,
        });
    }

    fn has_disk_failed(&self, life: &Life) -> bool {
        let (now, then) = (self.sim.fault_counts(), &life.faults);
        now.read_errors + now.write_errors + now.flush_errors + now.no_space
            > then.read_errors + then.write_errors + then.flush_errors + then.no_space
    }

    fn note_disk(&self, life: &Life) {
        if self.sim.fault_counts().flush_errors > life.faults.flush_errors {
            self.ledger.is_disk_suspect.set(true);
        }
    }
}

impl Life {
    fn is_serving(&self) -> bool {
        self.is_serving.load(Ordering::Relaxed)
    }
}

/// Mostly a disk and a network that work.
fn draw_faults(chaos: &mut Random) -> FaultPlan {
    let mut plan = FaultPlan::none();
    match chaos.below(12) {
        0 | 1 => plan.slow_disk = 0.1,
        2 => plan.flush_error = 0.01,
        3 => plan.write_error = 0.005,
        4 => plan.read_error = 0.02,
        _ => {}
    }
    match chaos.below(8) {
        0 => plan.connection_reset = 0.02,
        1 => plan.connection_refused = 0.2,
        _ => {}
    }
    plan
}
