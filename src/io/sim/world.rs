//! Everything in the simulation but the tasks: clock, events, machines, processes, network.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::{Completion, Conditions, DiskOperation, DiskState};
use super::events::{Event, Events};
use super::faults::{DiskFault, FaultCounts, FaultPlan};
use super::network::Network;
use super::options::SimOptions;
use super::random::Random;
use super::trace::{Step, Trace};
use super::{MachineId, ProcessId};
use crate::types::{ShardId, Timestamp};

/// What the wall clock says when a world begins: 2023-11-14T22:13:20Z.
pub(super) const WALL_CLOCK_BASE: Timestamp = 1_700_000_000_000;

/// The usual time that a message between shards takes, in nanoseconds.
const MESH_LATENCY: u64 = 2_000;

/// The shared world. Lockable from what may be dropped on any thread's stack (sockets in messages);
/// never contended. **Invariant:** no future, socket or file is dropped while it is locked.
#[derive(Clone)]
pub(super) struct SharedWorld(Arc<Mutex<World>>);

impl SharedWorld {
    pub(super) fn new(world: World) -> SharedWorld {
        SharedWorld(Arc::new(Mutex::new(world)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Machine {
    pub(super) disk: DiskState,
    /// What its wall clock is ahead of the others, in milliseconds.
    pub(super) wall_clock_offset: i64,
    pub(super) drift: Drift,
}

/// A wall clock that is too fast or too slow.
#[derive(Clone, Copy, Default)]
pub(super) struct Drift {
    /// Millionths.
    pub(super) ppm: i64,
    /// Virtual nanoseconds when it began.
    pub(super) since: u64,
}

impl Drift {
    /// What it has made of a wall clock, in milliseconds.
    pub(super) fn offset(self, now: u64) -> i64 {
        let elapsed_us = ((now - self.since) / 1_000) as i64;
        elapsed_us / 1_000 * self.ppm / 1_000_000
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ProcessState {
    Running,
    /// Every shard's body has returned.
    Finished,
    Killed,
}

pub(super) struct Process {
    pub(super) machine: MachineId,
    pub(super) state: ProcessState,
    pub(super) running_shard_count: usize,
    pub(super) is_paused: bool,
    pub(super) started_at: u64,
}

pub(super) struct World {
    pub(super) options: SimOptions,
    /// Virtual nanoseconds.
    pub(super) now: u64,
    pub(super) events: Events,
    pub(super) trace: Trace,
    pub(super) machines: Vec<Machine>,
    pub(super) processes: Vec<Process>,
    pub(super) network: Network,
    pub(super) plan: FaultPlan,
    pub(super) counts: FaultCounts,
    pub(super) schedule: Random,
    /// Nanoseconds that messages from one shard to another take longer, in every process.
    pub(super) mesh_delays: Vec<(ShardId, ShardId, u64)>,
    mesh: Random,
}

impl World {
    pub(super) fn new(options: SimOptions) -> World {
        let seed = options.seed;
        World {
            now: 0,
            events: Events::new(seed),
            trace: Trace::new(options.keep_trace),
            machines: Vec::new(),
            processes: Vec::new(),
            network: Network::new(seed, options.socket_buffer_size),
            plan: options.faults.clone(),
            counts: FaultCounts::default(),
            schedule: Random::stream(seed, "schedule", 0),
            mesh_delays: Vec::new(),
            mesh: Random::stream(seed, "mesh", 0),
            options,
        }
    }

    pub(super) fn add_machine(&mut self) -> MachineId {
        let id = MachineId(self.machines.len() as u32);
        let disk = DiskState::new(
            self.options.seed,
            id.0.into(),
            self.options.disk_capacity_size,
        );
        self.machines.push(Machine {
            disk,
            wall_clock_offset: 0,
            drift: Drift::default(),
        });
        id
    }

    pub(super) fn machine(&mut self, machine: MachineId) -> &mut Machine {
        self.machines
            .get_mut(machine.0 as usize)
            .expect("machines are never removed")
    }

    pub(super) fn process(&mut self, process: ProcessId) -> &mut Process {
        self.processes
            .get_mut(process.0 as usize)
            .expect("processes are never removed")
    }

    pub(super) fn wall_clock(&self, machine: MachineId) -> Timestamp {
        let machine = &self.machines[machine.0 as usize];
        let offset = machine.wall_clock_offset + machine.drift.offset(self.now);
        WALL_CLOCK_BASE + (self.now / 1_000_000) as i64 + offset
    }

    pub(super) fn record_fault(&mut self, name: &'static str, target: u64) {
        self.trace.record(self.now, Step::Fault { name, target });
    }

    /// Whether something is due now.
    pub(super) fn is_event_due(&mut self) -> bool {
        self.events.next_at().is_some_and(|at| at <= self.now)
    }

    /// Jumps to the next event, but not beyond `limit`; false when there is none before it.
    pub(super) fn jump_to_next_event(&mut self, limit: u64) -> bool {
        match self.events.next_at() {
            Some(at) if at <= limit => {
                self.now = self.now.max(at);
                true
            }
            _ => false,
        }
    }

    /// Carries out the next event.
    pub(super) fn run_event(&mut self) {
        match self.events.pop() {
            Event::Timer(key) => {
                let waker = self.events.take_timer(key);
                self.trace.record(self.now, Step::Timer);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            Event::Disk { machine, id } => self.complete_disk(machine, id),
            Event::Network(event) => Network::run_event(self, event),
            Event::Mesh(wake) => {
                self.trace.record(self.now, Step::Mesh);
                wake();
            }
        }
    }

    /// Gives an operation to the disk of a process's machine. The error says which rule it breaks.
    pub(super) fn submit_disk(
        &mut self,
        process: ProcessId,
        operation: DiskOperation,
        completion: Completion,
    ) -> Result<(), String> {
        let machine = self.process(process).machine.0;
        let detail = operation.trace_detail();
        let conditions = Conditions {
            plan: &self.plan,
            counts: &mut self.counts,
        };
        let disk = &mut self.machines[machine as usize].disk;
        let (id, duration) = disk.submit(process, operation, completion, conditions)?;
        self.trace.record(
            self.now,
            Step::DiskSubmit {
                machine,
                id,
                detail,
            },
        );
        self.events.schedule(
            self.now + duration,
            Event::Disk {
                machine: machine as usize,
                id,
            },
        );
        Ok(())
    }

    fn complete_disk(&mut self, machine: usize, id: u64) {
        let disk = &mut self.machines[machine].disk;
        match disk.not_before(id) {
            // A power cut took it.
            None => return,
            Some(not_before) if not_before > self.now => {
                self.events
                    .schedule(not_before, Event::Disk { machine, id });
                return;
            }
            Some(_) => {}
        }
        let conditions = Conditions {
            plan: &self.plan,
            counts: &mut self.counts,
        };
        let fault: Option<DiskFault> = disk.complete(id, conditions);
        let step = Step::DiskComplete {
            machine: machine as u32,
            id,
            failed: fault.is_some(),
        };
        self.trace.record(self.now, step);
    }

    /// When a message between two shards that is sent now arrives.
    pub(super) fn draw_mesh_arrival(&mut self, from: ShardId, to: ShardId) -> u64 {
        let delays = self.mesh_delays.iter();
        let delays = delays.filter(|(sender, receiver, _)| (*sender, *receiver) == (from, to));
        let delay = delays.map(|(.., delay)| delay).sum::<u64>();
        self.now + self.mesh.latency(MESH_LATENCY) + delay
    }

    pub(super) fn draw_mesh_sender(&mut self, count: usize) -> usize {
        self.mesh.below(count as u64) as usize
    }
}
