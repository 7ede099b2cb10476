//! Connections between processes: streams of bytes with a bounded amount in flight, seeded delays
//! and splits, ends and resets.
//!
//! Each machine has the address `10.0.0.N` (see [`MachineId::address`](super::MachineId::address))
//! and a loopback of its own.
//!
//! # Non-obvious
//! - What is between two machines that are partitioned is not lost: TCP sends it again, so it comes
//!   after the partition has healed.
//! - A connection whose process was killed ends either in order or by a reset, as it does in a
//!   kernel that finds unread bytes or not.

mod state;
mod stream;
#[cfg(test)]
mod tests;

pub(super) use state::{Network, NetworkEvent};
pub use stream::{SimCloser, SimListener, SimReader, SimSocket, SimStream, SimWriter};
