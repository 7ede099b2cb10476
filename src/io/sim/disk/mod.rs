//! A machine's disk in memory.
//!
//! What a power cut takes depends on which of four states something is in:
//! - *in flight*: a write that was submitted; any subset of its units may have landed.
//! - *written*: it has completed and is in the device's volatile cache; any subset survives.
//! - *flushed*: a sync of a file that had nothing of its own to sync has completed since (a device
//!   flush), or a sync of this file. Contents of units on the medium.
//! - *inode-synced*: size and mapped blocks. A unit that was never written before, or lies beyond
//!   the synced size, is there after a power cut only if **its own file** was synced.
//!
//! Names are a state of their own: durable when their directory was synced.
//!
//! # Non-obvious
//! - A sync of a file that was itself written covers only that file (rule 5 of durability),
//!   although many real devices flush everything.
//! - `sync_data` does not make a mere cut durable; `sync_all` does.
//! - Units of a write in flight land when somebody looks: at a read, a kill or a power cut.

mod damage;
mod file;
mod inode;
mod names;
mod operation;
mod state;
#[cfg(test)]
mod tests;

pub use file::{SimFile, SimFileLock};
use operation::Survival;
pub(super) use operation::{Completion, DiskOperation};
pub(super) use state::{Conditions, DiskState};
