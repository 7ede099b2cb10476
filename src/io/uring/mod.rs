//! The side of the real machine: io_uring through glommio, one executor a shard.
//!
//! | file | what is in it |
//! |---|---|
//! | `preflight` | what the kernel and the limits must allow, checked before anything starts |
//! | `start` | the threads, their placement, their end |
//! | `handle`, `tasks` | clocks, timers, tasks, randomness, blocking calls |
//! | `memory` | aligned, zeroed memory for one write |
//! | `file`, `primer` | files opened for direct IO |
//! | `directory`, `facts` | names, small files, locks, what the disk says of itself |
//! | `descriptors` | how many there are |
//! | `listener`, `stream` | connections |
//! | `mesh` | messages between shards |
//!
//! # Non-obvious: how glommio 0.9 is used so that it holds
//! - The preempt timer stays at its default (100 ms) and no task queue asks for latency: with a
//!   short timer an executor can park while tasks are runnable, and hang. Every executor runs a
//!   heartbeat timer that turns what is left of that race into a blip of 10 ms.
//! - A task that only reschedules itself starves completions for a whole preempt period;
//!   [`Reactor::yield_now`](super::Reactor::yield_now) waits on a timer instead.
//! - An executor that is not bound to cores never spins, so an unpinned shard is bound to all cores
//!   that the process may use.
//! - `spawn_local` polls the new task inside the call. Tasks are spawned through the queue instead:
//!   a caller may hold a `RefCell` that its new task wants, as in the simulation.
//! - Files are opened through `/proc/self/fd`: glommio stats the path that it was given and panics
//!   when the name is renamed meanwhile; this one cannot be.
//! - The first direct open on a device decides, per executor, whether reads are polled, by a trial
//!   read that lies when the file is empty: see `primer`.
//! - A task that waits when its executor ends is never dropped; ours are, with what they hold.
//! - A dropped `DmaFile` is closed by the executor's next turn, or never when there is none: ours
//!   close at once, so that a lock is gone when the file is.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "what the rest of the crate calls instead"
)]

mod descriptors;
mod directory;
mod errors;
mod facts;
mod file;
mod handle;
mod listener;
mod memory;
mod mesh;
mod preflight;
mod primer;
mod start;
mod stream;
mod tasks;
#[cfg(test)]
mod tests;
mod workers;

pub use directory::UringFileLock;
pub use file::UringFile;
pub use handle::Handle;
pub use listener::{UringListener, UringSocket};
pub use memory::DmaMemory;
pub use mesh::{UringMesh, UringMeshBuilder};
pub use preflight::{PreflightError, available_cpus, preflight};
pub use start::{ShardError, Shards, StartError, start};
pub use stream::{UringCloser, UringReader, UringStream, UringWriter};
