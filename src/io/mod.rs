//! The only door to the outside: disk, network, messages between shards, clocks, tasks, randomness.
//!
//! There are two sides behind it, and nothing outside this module may ask which one it is on:
//! [`uring`] drives the real machine through glommio, [`sim`] is a seeded world in memory (disk,
//! network, clock and executor) in which every interleaving can be replayed from its seed.
//! One conformance suite runs unchanged on both.
//!
//! Everything here is per shard: a [`Reactor`] and what it hands out stay on their thread. What may
//! cross shards is `Send`: [`Accepted`], [`MeshBuilder`], [`StopSignal`] and messages.
//!
//! # Non-obvious
//! - **A disk operation, once called, runs to its end** whether or not its future is polled or
//!   dropped: it is a task of its own ([`Task`]). A dropped future's write may still reach the
//!   disk, so pretending that it was cancelled loses data.
//! - A file is written in whole units of [`WRITE_UNIT`] bytes, and two writes that cover the same
//!   unit must never be in flight together: the device would rewrite acknowledged neighbours.
//! - Long work on the CPU calls [`Reactor::yield_now`], which lets completions in.

mod buffer;
mod disk;
mod mesh;
mod net;
mod options;
mod reactor;
pub mod sim;
mod sync;
mod task;
pub mod uring;

pub use buffer::{BufferFiller, WriteBuffer};
pub use disk::{
    DeviceFlush, DirEntry, Disk, DiskFacts, File, FileLock, FileSystem, IoClass, OpenOptions,
    WRITE_UNIT, WriteCache,
};
pub use mesh::{Mesh, MeshBuilder};
pub use net::{Accepted, Closer, Listener, Reader, SentBytes, SocketBuffers, Stream, Writer};
pub use options::{Descriptors, Mailbox, ReactorOptions, StopSignal};
pub use reactor::{Reactor, ReactorLoad};
pub use sync::{
    Acquire, Notified, Notify, OneshotReceiver, OneshotSender, Permit, Semaphore, oneshot,
};
pub use task::Task;
pub use uring::{Shards, StartError, available_cpus, preflight, start};
