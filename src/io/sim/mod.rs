//! The seeded side: a world in memory in which every interleaving can be replayed from its seed.
//!
//! [`Simulation`] is the world from outside, for tests: machines with disks, a network, processes
//! of several shards, one virtual clock, faults. What runs inside sees only [`io`](crate::io) and
//! cannot tell.
//!
//! | file | what is in it |
//! |---|---|
//! | `simulation` | the run loop, processes, the calls that make faults |
//! | `world`, `events` | everything but the tasks; what is to come |
//! | `executor`, `handle` | tasks of all shards; what the front calls |
//! | `disk/` | files and names with what survives a power cut kept apart |
//! | `network/` | connections and listeners |
//! | `mesh` | messages between shards |
//! | `faults`, `options` | what may go wrong, what a world is made with |
//! | `random`, `trace` | the only source of chance; what happened, in order |
//!
//! # Non-obvious
//! - Nothing here may depend on an address, a hash map's order or a real clock: two runs with one
//!   seed give the same trace byte for byte, and a test says so.
//! - A task's poll takes virtual time, so that completions come between polls.

mod disk;
mod events;
mod executor;
mod faults;
mod handle;
mod ids;
mod mesh;
mod network;
mod options;
mod random;
mod simulation;
#[cfg(test)]
mod tests;
mod trace;
mod world;

pub use disk::{SimFile, SimFileLock};
pub use faults::{
    DiskFault, FaultCounts, FaultPlan, PACKET_DELAY_MAX, SLOW_DISK_FACTOR, STUCK_DISK_DURATION_MAX,
};
pub use handle::Handle;
pub use ids::{MachineId, ProcessId};
pub use mesh::{SimMesh, SimMeshBuilder};
pub use network::{SimCloser, SimListener, SimReader, SimSocket, SimStream, SimWriter};
pub use options::SimOptions;
pub use random::Random;
pub use simulation::Simulation;
