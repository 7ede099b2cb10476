//! The brokers of a seed, one after the other, and what befalls them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::checker::Invariant;
use super::clients::{Cast, inspect, run_clients};
use super::damage;
use super::ledger::Ledger;
use super::run::{Outcome, SeedOptions};
use super::scenario::Scenario;
use super::swarm::{Fault, Swarm};
use super::tally::State;
use crate::io::StopSignal;
use crate::io::sim::{
    FaultCounts, FaultPlan, MachineId, ProcessId, Random, STUCK_DISK_DURATION_MAX, SimOptions,
    Simulation,
};
use crate::log::Landmark;
use crate::server::{BrokerPlan, run_shard};
use crate::shard::{Broken, ShardError};

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

/// How much a wall clock gains or loses at most, in millionths.
const DRIFT_PPM_MAX: u64 = 100_000;

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
    /// What the disk damages.
    damages: Random,
    swarm: Swarm,
    broken: Broken,
    client_machine: MachineId,
    clients: ProcessId,
    shard_count: u64,
    /// The last life ended by a kill or a power cut.
    was_interrupted: bool,
    is_network_cut: bool,
    /// Operations that were stuck before the last power cut.
    stuck_before_power_cut: u64,
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
            damages: sim.random("damages"),
            swarm: Swarm::draw(&mut sim.random("swarm"), options.without),
            sim,
            ledger,
            broken: options.broken,
            client_machine,
            clients,
            shard_count: 0,
            was_interrupted: false,
            is_network_cut: false,
            stuck_before_power_cut: 0,
        }
    }

    /// Lives until the clients have done so many steps, then the verdict.
    pub(super) fn run(&mut self, steps: u64) {
        while self.ledger.steps() < steps && !self.is_violated() {
            self.live(steps);
        }
        self.sim.set_faults(FaultPlan::none());
        if self.is_stuck() {
            // Until nobody waits for the disk any more.
            self.sim.run_for(STUCK_DISK_DURATION_MAX);
        }
        for _ in 0..2 {
            if !self.is_violated() {
                self.last_life();
            }
        }
    }

    pub(super) fn outcome(&self) -> Outcome {
        let mut tally = self.ledger.tally();
        tally.add_faults(&self.sim.fault_counts());
        tally.add_landmarks(&self.ledger.landmarks);
        Outcome {
            violation: self.ledger.violation(),
            faults: self.swarm.faults(),
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
        let mut plan = self.swarm.plan(&mut self.chaos);
        self.spoil_second_directory(&mut plan);
        self.sim.set_faults(plan);
        if self.chaos.coin() && self.swarm.has(Fault::SlowDisk) {
            self.slow_disk();
        }
        self.ledger.pace.set(match self.chaos.below(5) {
            0 => CALM_PACE,
            _ => 1,
        });
        let life = self.start();
        let ending = match self.chaos.below(6) {
            1..=3 if self.swarm.has(Fault::Kill) => Ending::Kill,
            4.. if self.swarm.has(Fault::PowerCut) => Ending::PowerCut,
            _ => Ending::Stop,
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
        self.damage();
    }

    /// Damages what is on the disk, if the seed does so.
    fn damage(&mut self) {
        if let Some(fault) = self.swarm.damage(&mut self.damages) {
            let random = &mut self.damages;
            damage::strike((&self.sim, BROKER), &self.ledger, random, fault);
        }
    }

    /// In every other life only the second of two log directories has errors, and often.
    fn spoil_second_directory(&mut self, plan: &mut FaultPlan) {
        let second = self.ledger.scenario.second_directory();
        let Some(second) = second.filter(|_| self.directories.coin()) else {
            return;
        };
        plan.disk_errors_below = Some(second.to_owned());
        match self.directories.below(4) {
            0 if self.swarm.has(Fault::FlushError) => plan.flush_error = 0.03,
            1 if self.swarm.has(Fault::WriteError) => plan.write_error = 0.03,
            2 if self.swarm.has(Fault::ReadError) => plan.read_error = 0.1,
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
            ledger.clients().is_empty()
        });
        if !self.sim.is_running(life.process) {
            return self.ended_by_itself(&life);
        }
        if !ledger.clients().is_empty() {
            let clients = ledger.clients();
            ledger.violated(Invariant::Liveness.broken(format!(
                "nothing fails any more, and these clients do not end: {clients:?}"
            )));
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
            ledger.violated(
                Invariant::Liveness.broken("nothing fails any more, and not all can be read"),
            );
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
        if self.ledger.has_damage() {
            // What recovery may cut now is not heard of any more behind that.
            self.settle_clients();
        }
        let stop = StopSignal::new();
        let is_serving = Arc::new(AtomicBool::new(false));
        let reported = Arc::clone(&is_serving);
        let report = move |result: Result<_, ShardError>| {
            reported.store(result.is_ok(), Ordering::Relaxed);
        };
        let config = self.ledger.scenario.config.clone();
        let plan = BrokerPlan::new(config, shard_count as usize, stop.clone(), Arc::new(report));
        let plan = plan.instrumented(self.broken, self.ledger.landmarks.clone());
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
            offline_count: self.ledger.landmarks.count(Landmark::PartitionOffline),
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
                let offline_count = self.ledger.landmarks.count(Landmark::PartitionOffline);
                self.ledger.opened(offline_count == life.offline_count);
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
        let drawn = self.chaos.below(24);
        let fault = match drawn {
            0..=2 => Fault::ConnectionReset,
            3..=5 => Fault::NetworkCut,
            6 | 7 => Fault::Pause,
            8 | 9 => Fault::SlowDisk,
            10 => Fault::ClockJump,
            11 => Fault::ClockDrift,
            12 => Fault::FullDisk,
            13 => Fault::HalfOpen,
            14 => return self.damage(),
            _ => return,
        };
        if self.swarm.has(fault) {
            self.befall(life, fault);
        }
    }

    fn befall(&mut self, life: &Life, fault: Fault) {
        match fault {
            Fault::ConnectionReset => self.sim.reset_connections(self.clients),
            Fault::NetworkCut => {
                self.ledger.reached(State::NetworkCut);
                self.is_network_cut = true;
                match self.chaos.below(3) {
                    0 => self.sim.partition(BROKER, self.client_machine),
                    1 => self.sim.partition_one_way(BROKER, self.client_machine),
                    _ => self.sim.partition_one_way(self.client_machine, BROKER),
                }
            }
            Fault::Pause => {
                self.ledger.reached(State::BrokerPaused);
                self.sim.pause(life.process);
                let pause = Duration::from_millis(self.chaos.below(400));
                self.go_on(life, STEP_COUNT_MAX, pause, |_| false);
                self.sim.resume(life.process);
            }
            Fault::SlowDisk => self.slow_disk(),
            Fault::ClockJump => {
                let milliseconds = self.chaos.below(4_000) as i64 - 2_000;
                self.sim.jump_wall_clock(BROKER, milliseconds);
            }
            Fault::ClockDrift => {
                let ppm = self.chaos.below(2 * DRIFT_PPM_MAX) as i64;
                let ppm = ppm - DRIFT_PPM_MAX as i64;
                self.sim.drift_wall_clock(BROKER, ppm);
            }
            Fault::FullDisk => {
                self.ledger.reached(State::DiskFull);
                self.sim.set_disk_capacity(BROKER, FULL_DISK_SIZE);
            }
            Fault::HalfOpen => self.sim.forget_a_connection(self.clients),
            other => unreachable!("{other} does not befall a life at one moment"),
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
        self.stuck_before_power_cut = self.sim.fault_counts().stuck_operations;
        self.sim.power_cut(BROKER);
        self.settle_clients();
        self.ledger.power_cut();
    }

    /// Lets the clients act on every answer that they have; no more of the last broker's come.
    fn settle_clients(&self) {
        self.sim.reset_connections(self.clients);
        self.sim.run_for(CLIENTS_SETTLE);
    }

    fn stop(&mut self, life: &Life) {
        life.stop.set();
        self.go_on(life, STEP_COUNT_MAX, WAIT_MAX, |_| false);
        if self.sim.is_running(life.process) {
            self.ledger
                .violated(Invariant::Process.broken("the broker does not stop"));
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
                    .violated(Invariant::Process.broken("the broker has ended, nobody stopped it"));
            }
            return;
        };
        if !self.has_disk_failed(life) {
            self.ledger.violated(
                Invariant::Process
                    .broken(format!("the broker failed on a disk that works: {failure}")),
            );
        }
        self.ledger.reached(match life.is_serving() {
            true => State::EndedByDisk,
            false => State::StartFailed,
        });
    }

    fn has_disk_failed(&self, life: &Life) -> bool {
        let (now, then) = (self.sim.fault_counts(), &life.faults);
        let has_errors = now.read_errors + now.write_errors + now.flush_errors + now.no_space
            > then.read_errors + then.write_errors + then.flush_errors + then.no_space;
        has_errors || self.is_stuck()
    }

    /// Whether an operation may still be under way that nobody waits for any more.
    fn is_stuck(&self) -> bool {
        self.sim.fault_counts().stuck_operations > self.stuck_before_power_cut
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
