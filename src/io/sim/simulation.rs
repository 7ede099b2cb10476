//! The world from outside: what tests use.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::Write;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use super::executor::{Executor, TaskKey};
use super::faults::{DiskFault, FailRule, FaultCounts, FaultPlan};
use super::network::Network;
use super::options::SimOptions;
use super::random::Random;
use super::trace::Step;
use super::world::{Drift, Process, ProcessState, SharedWorld, World};
use super::{Handle, MachineId, ProcessId};
use crate::io::Reactor;
use crate::io::reactor::Side;
use crate::types::{Monotonic, ShardId};

/// Virtual nanoseconds that one poll of a task takes, at most.
const POLL_DURATION_MAX: u64 = 2_048;

/// A seeded world of machines, disks, a network and processes on one virtual clock, all on the
/// calling thread.
///
/// A process is some shards, each running `body(reactor)`; it ends when all bodies have returned,
/// and a shard's other tasks end with its body. One [`step`](Simulation::step) polls one task or
/// lets one thing happen (a timer, the end of a disk operation, an arrival); which one is drawn
/// from the seed. When nothing is ready the clock jumps to what comes next.
///
/// ```
/// use ringlog::io::sim::{MachineId, SimOptions, Simulation};
///
/// let sim = Simulation::new(SimOptions::with_seed(7));
/// let sum = sim.run(MachineId::FIRST, |reactor| async move {
///     reactor.sleep(std::time::Duration::from_secs(3600)).await;
///     reactor.spawn(async { 1 }).await + 1
/// });
/// assert_eq!(sum, 2);
/// ```
pub struct Simulation {
    world: SharedWorld,
    executor: Rc<Executor>,
    step_count: Cell<u64>,
    /// Ready tasks of paused processes.
    parked: RefCell<Vec<(ProcessId, TaskKey)>>,
}

impl Simulation {
    /// A world with one machine, [`MachineId::FIRST`].
    pub fn new(options: SimOptions) -> Simulation {
        let executor = Rc::new(Executor::new(options.seed));
        let mut world = World::new(options);
        world.add_machine();
        Simulation {
            world: SharedWorld::new(world),
            executor,
            step_count: Cell::new(0),
            parked: RefCell::default(),
        }
    }

    pub fn seed(&self) -> u64 {
        self.world.lock().options.seed
    }

    /// Adds a machine with an empty disk.
    pub fn add_machine(&self) -> MachineId {
        self.world.lock().add_machine()
    }

    /// A stream of chance for the test itself, apart from the world's.
    pub fn random(&self, purpose: &str) -> Random {
        Random::stream(self.seed(), purpose, u64::MAX)
    }

    /// Puts what is below `path` on a device of its own, with flushes and flush errors of its own.
    pub fn mount(&self, machine: MachineId, path: &Path) {
        let mut world = self.world.lock();
        world.machine(machine).disk.mounts.push(path.to_owned());
    }

    /// Starts a process: `body` is called once for each shard, at once, and its futures run with
    /// the next steps.
    pub fn start<F: Future<Output = ()> + 'static>(
        &self,
        machine: MachineId,
        shard_count: usize,
        body: impl Fn(Reactor) -> F,
    ) -> ProcessId {
        assert!(shard_count > 0, "a process without a shard does nothing");
        let process = {
            let mut world = self.world.lock();
            world.machine(machine);
            let started_at = world.now;
            world.processes.push(Process {
                machine,
                state: ProcessState::Running,
                running_shard_count: shard_count,
                is_paused: false,
                started_at,
            });
            ProcessId(world.processes.len() as u32 - 1)
        };
        for shard in 0..shard_count {
            let shard = ShardId(u16::try_from(shard).expect("fewer shards than 65,536"));
            let world = self.world.clone();
            let executor = Rc::clone(&self.executor);
            let handle = Handle::new(world, executor, process, shard, shard_count);
            let future = body(Reactor {
                side: Side::Sim(handle.clone()),
            });
            handle.spawn_body(Box::pin(future));
        }
        process
    }

    /// Runs `body` as a process of one shard until it returns, with everything else that goes on in
    /// the world meanwhile.
    ///
    /// # Panics
    /// As [`Simulation::run_until`], and when the process was killed.
    pub fn run<T: 'static, F: Future<Output = T> + 'static>(
        &self,
        machine: MachineId,
        body: impl FnOnce(Reactor) -> F,
    ) -> T {
        let result = Rc::new(RefCell::new(None));
        let body = RefCell::new(Some(body));
        let process = self.start(machine, 1, |reactor| {
            let future = body.borrow_mut().take().expect("one shard")(reactor);
            let result = Rc::clone(&result);
            async move {
                let value = future.await;
                *result.borrow_mut() = Some(value);
            }
        });
        self.run_until(|sim| !sim.is_running(process));
        let value = result.borrow_mut().take();
        value.unwrap_or_else(|| panic!("seed {}: the process was killed", self.seed()))
    }

    /// Whether a process neither has ended nor was killed.
    pub fn is_running(&self, process: ProcessId) -> bool {
        self.world.lock().process(process).state == ProcessState::Running
    }

    /// Whether a process has ended by itself.
    pub fn has_finished(&self, process: ProcessId) -> bool {
        self.world.lock().process(process).state == ProcessState::Finished
    }

    /// Does one thing; false when there is nothing to do, now or later.
    pub fn step(&self) -> bool {
        self.step_within(u64::MAX)
    }

    /// Does at most this many steps, fewer when there is nothing more to do; returns how many.
    pub fn run_steps(&self, count: u64) -> u64 {
        (0..count).take_while(|_| self.step()).count() as u64
    }

    /// Lets this much virtual time pass.
    pub fn run_for(&self, duration: Duration) {
        let end = self.world.lock().now + nanos(duration);
        while self.world.lock().now < end && self.step_within(end) {}
        let mut world = self.world.lock();
        world.now = world.now.max(end);
    }

    /// Steps until a condition holds.
    ///
    /// # Panics
    /// Names the seed when nothing can happen any more, or after
    /// [`step_count_max`](SimOptions::step_count_max) steps.
    pub fn run_until(&self, mut condition: impl FnMut(&Simulation) -> bool) {
        let step_count_max = self.world.lock().options.step_count_max;
        let last = self.step_count.get() + step_count_max;
        while !condition(self) {
            if !self.step() {
                panic!(
                    "seed {}: deadlock at {} ns after {} steps: {} tasks wait, and nothing is \
                     ready or will happen",
                    self.seed(),
                    self.now().0,
                    self.step_count(),
                    self.executor.task_count(),
                );
            }
            assert!(
                self.step_count.get() < last,
                "seed {}: still waiting after {step_count_max} steps",
                self.seed()
            );
        }
    }

    fn step_within(&self, limit: u64) -> bool {
        let has_ready = self.executor.has_ready();
        let mut world = self.world.lock();
        let is_due = world.is_event_due();
        if !is_due && !has_ready && !world.jump_to_next_event(limit) {
            return false;
        }
        self.step_count.set(self.step_count.get() + 1);
        if !has_ready || (is_due && world.schedule.coin()) {
            world.run_event();
            return true;
        }
        let drawn = world.schedule.next_u64();
        world.now += drawn % POLL_DURATION_MAX;
        drop(world);
        self.poll_one(drawn);
        true
    }

    fn poll_one(&self, drawn: u64) {
        let Some((key, owner)) = self.executor.take_ready(drawn) else {
            return;
        };
        {
            let mut world = self.world.lock();
            if world.process(owner.process).is_paused {
                self.parked.borrow_mut().push((owner.process, key));
                return;
            }
            let (process, shard) = (owner.process.0, owner.shard.0);
            let now = world.now;
            world.trace.record(
                now,
                Step::Run {
                    process,
                    shard,
                    task: key.slot,
                },
            );
        }
        let on_panic = SeedOnPanic(self);
        let has_ended = self.executor.poll(key);
        std::mem::forget(on_panic);
        if has_ended && owner.is_body {
            self.end_shard(owner.process, owner.shard);
        }
    }

    fn end_shard(&self, process: ProcessId, shard: ShardId) {
        self.executor
            .drop_tasks(|owner| owner.process == process && owner.shard == shard);
        let mut world = self.world.lock();
        let now = world.now;
        let entry = world.process(process);
        entry.running_shard_count -= 1;
        if entry.running_shard_count == 0 {
            entry.state = ProcessState::Finished;
            // What the process has not closed its end does, as that of any process.
            let machine = entry.machine;
            world.machine(machine).disk.kill(process, now);
            Network::kill(&mut world, process, false);
            drop(world);
            self.executor.let_go(process);
        }
    }

    /// Virtual time since the world began. A process's own clock begins with the process.
    pub fn now(&self) -> Monotonic {
        Monotonic(self.world.lock().now)
    }

    pub fn step_count(&self) -> u64 {
        self.step_count.get()
    }

    /// A hash of all that happened, in order.
    pub fn trace_hash(&self) -> u64 {
        self.world.lock().trace.hash()
    }

    /// All that happened as text, a line each, if [`SimOptions::keep_trace`] is set.
    pub fn trace_text(&self) -> Option<String> {
        self.world.lock().trace.text().map(str::to_owned)
    }

    pub fn fault_counts(&self) -> FaultCounts {
        self.world.lock().counts.clone()
    }
}

/// Faults, from here on or now.
impl Simulation {
    /// Replaces the faults that come by themselves.
    pub fn set_faults(&self, plan: FaultPlan) {
        self.world.lock().plan = plan;
    }

    /// kill -9: the process's futures are dropped where they wait. Disk operations that it had
    /// submitted go on and may end up to 60 ms later; locks that it held on a file go after the
    /// operations on that very descriptor, other locks at once. Its connections end, in order or by
    /// a reset.
    pub fn kill(&self, process: ProcessId) {
        if self.is_running(process) {
            self.end_process(process, false);
            let mut world = self.world.lock();
            world.counts.kills += 1;
            world.record_fault("kill", process.0.into());
        }
    }

    fn end_process(&self, process: ProcessId, is_power_cut: bool) {
        {
            let mut world = self.world.lock();
            let now = world.now;
            let entry = world.process(process);
            entry.state = ProcessState::Killed;
            let machine = entry.machine;
            if !is_power_cut {
                world.machine(machine).disk.kill(process, now);
            }
            Network::kill(&mut world, process, is_power_cut);
        }
        self.executor.drop_tasks(|owner| owner.process == process);
        self.executor.let_go(process);
    }

    /// Stops a process where it is (SIGSTOP, a long pause of its host): its tasks do not run, while
    /// its disk operations and connections go on.
    pub fn pause(&self, process: ProcessId) {
        let mut world = self.world.lock();
        world.process(process).is_paused = true;
        world.counts.pauses += 1;
        world.record_fault("pause", process.0.into());
    }

    /// Lets a paused process go on.
    pub fn resume(&self, process: ProcessId) {
        self.world.lock().process(process).is_paused = false;
        self.parked.borrow_mut().retain(|(owner, key)| {
            if *owner == process {
                self.executor.put_back(*key);
            }
            *owner != process
        });
    }

    /// The machine loses its power and has it back at once: its processes are dead, and of what was
    /// not durable (see the module `disk`) a drawn part is left. Start new processes to go on.
    pub fn power_cut(&self, machine: MachineId) {
        let processes: Vec<ProcessId> = {
            let world = self.world.lock();
            let all = world.processes.iter().enumerate();
            all.filter(|(_, entry)| entry.machine == machine)
                .filter(|(_, entry)| entry.state == ProcessState::Running)
                .map(|(index, _)| ProcessId(index as u32))
                .collect()
        };
        for process in processes {
            self.end_process(process, true);
        }
        let mut world = self.world.lock();
        let world = &mut *world;
        world.counts.power_cuts += 1;
        world.record_fault("power cut", machine.0.into());
        let disk = &mut world.machines[machine.0 as usize].disk;
        disk.power_cut(&mut world.counts);
    }

    /// Fails the next `count` operations of a kind on paths that `path` holds for, with EIO.
    pub fn fail_disk(
        &self,
        machine: MachineId,
        fault: DiskFault,
        count: u64,
        path: impl Fn(&Path) -> bool + Send + 'static,
    ) {
        let rule = FailRule {
            fault,
            path: Box::new(path),
            count_left: count,
        };
        self.world
            .lock()
            .machine(machine)
            .disk
            .fail_rules
            .push(rule);
    }

    /// Makes every operation of a disk take this many times as long; 1 is usual.
    pub fn set_disk_slowness(&self, machine: MachineId, factor: u64) {
        self.world.lock().machine(machine).disk.slow_factor = factor;
    }

    /// Makes every operation of a kind on a disk take this much longer.
    pub fn delay_disk(&self, machine: MachineId, kind: DiskFault, delay: Duration) {
        let delay = nanos(delay);
        let mut world = self.world.lock();
        world.machine(machine).disk.delays.push((kind, delay));
    }

    /// Makes renaming a file or directory take this long.
    pub fn stick_rename(&self, machine: MachineId, from: &Path, duration: Duration) {
        let stuck = (from.to_owned(), nanos(duration));
        let mut world = self.world.lock();
        world.machine(machine).disk.stuck_renames.push(stuck);
    }

    /// Makes every message from one shard to another of its process take this much longer.
    pub fn delay_mesh(&self, from: ShardId, to: ShardId, delay: Duration) {
        let delay = nanos(delay);
        self.world.lock().mesh_delays.push((from, to, delay));
    }

    /// Sets how many bytes a disk holds: writes to new blocks beyond it fail with ENOSPC.
    pub fn set_disk_capacity(&self, machine: MachineId, size: u64) {
        self.world.lock().machine(machine).disk.capacity_size = size;
    }

    /// Flips bits of one byte of a file, as a disk does that rots; false when there is no such
    /// byte.
    pub fn corrupt(&self, machine: MachineId, path: &Path, position: u64) -> bool {
        let mut world = self.world.lock();
        let is_there = world.machine(machine).disk.corrupt(path, position);
        world.counts.corruptions += u64::from(is_there);
        is_there
    }

    /// Takes back a write that had succeeded: the bytes of a unit of a file from `kept_size` on
    /// are zeros, as before it. `unit` counts from 0; false when there is no such unit.
    pub fn lose_write(&self, machine: MachineId, path: &Path, unit: u64, kept_size: usize) -> bool {
        let mut world = self.world.lock();
        let is_there = world
            .machine(machine)
            .disk
            .lose_write(path, unit, kept_size);
        world.counts.lost_writes += u64::from(is_there);
        is_there
    }

    /// Lets a write that had succeeded have gone to another unit of its file: that has its
    /// contents, and its own loses them as in [`Simulation::lose_write`].
    pub fn misdirect_write(
        &self,
        machine: MachineId,
        path: &Path,
        (from, to): (u64, u64),
        kept_size: usize,
    ) -> bool {
        let mut world = self.world.lock();
        let disk = &mut world.machine(machine).disk;
        let is_there = disk.copy_unit(path, from, to) && disk.lose_write(path, from, kept_size);
        world.counts.misdirected_writes += u64::from(is_there);
        is_there
    }

    /// The files in a directory, by name; none if there is no such directory.
    pub fn files(&self, machine: MachineId, path: &Path) -> Vec<String> {
        self.world.lock().machine(machine).disk.file_names(path)
    }

    /// A file's contents as a process would read them; `None` if there is none.
    pub fn file_contents(&self, machine: MachineId, path: &Path) -> Option<Vec<u8>> {
        self.world.lock().machine(machine).disk.contents(path)
    }

    /// Puts a file on a disk, with its directories. Every name on the disk is durable after it.
    pub fn put_file(
        &self,
        machine: MachineId,
        path: &Path,
        contents: &[u8],
    ) -> std::io::Result<()> {
        self.world
            .lock()
            .machine(machine)
            .disk
            .put_file(path, contents)
    }

    /// Lets a machine's wall clock jump by this many milliseconds, either way.
    pub fn jump_wall_clock(&self, machine: MachineId, milliseconds: i64) {
        let mut world = self.world.lock();
        world.machine(machine).wall_clock_offset += milliseconds;
        world.counts.wall_clock_jumps += 1;
    }

    /// Lets a machine's wall clock gain this many millionths from now on, or lose them.
    pub fn drift_wall_clock(&self, machine: MachineId, ppm: i64) {
        let mut world = self.world.lock();
        let now = world.now;
        let machine = world.machine(machine);
        machine.wall_clock_offset += machine.drift.offset(now);
        machine.drift = Drift { ppm, since: now };
        world.counts.wall_clock_drifts += 1;
    }

    /// Lets a drawn connection of a process be half open from now on: what either end sends is
    /// lost, and neither is told.
    pub fn forget_a_connection(&self, process: ProcessId) {
        Network::forget_a_connection(&mut self.world.lock(), process);
    }

    /// Resets every connection of a process now: what is in transit is lost.
    pub fn reset_connections(&self, process: ProcessId) {
        Network::reset_connections(&mut self.world.lock(), process);
    }

    /// Holds back everything between two machines, in both directions.
    pub fn partition(&self, a: MachineId, b: MachineId) {
        self.partition_one_way(a, b);
        self.partition_one_way(b, a);
    }

    /// Holds back everything from one machine to another.
    pub fn partition_one_way(&self, from: MachineId, to: MachineId) {
        self.world.lock().network.set_blocked(from, to, true);
    }

    /// Ends a partition of two machines; what was held back comes.
    pub fn heal(&self, a: MachineId, b: MachineId) {
        let mut world = self.world.lock();
        world.network.set_blocked(a, b, false);
        world.network.set_blocked(b, a, false);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("a duration below 584 years")
}

impl Drop for Simulation {
    fn drop(&mut self) {
        self.executor.close();
    }
}

/// Names the seed beside the message of a task that panics.
struct SeedOnPanic<'a>(&'a Simulation);

impl Drop for SeedOnPanic<'_> {
    fn drop(&mut self) {
        let sim = self.0;
        // Nothing can be done about a standard error that is closed.
        let _ = writeln!(
            std::io::stderr(),
            "in the simulation of seed {} at {} ns, step {}",
            sim.seed(),
            sim.now().0,
            sim.step_count()
        );
    }
}
