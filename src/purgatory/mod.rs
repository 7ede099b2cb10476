//! Delayed operations: what waits for an offset, for more to read, or for a time. Sans-IO: the
//! caller passes the time and is told what is due.
//!
//! | here | where it lives |
//! |---|---|
//! | [`TimingWheel`] | one a shard, for everything on it that waits for a time |
//! | [`DelayedProduce`] | in a partition's leader: produce requests by the offset they wait for |
//! | [`DelayedFetch`] | on the connection's shard: one long poll over many owners |
//!
//! # Non-obvious
//!
//! - A produce request costs no timer of its own: a partition arms one for the earliest deadline of
//!   all its waiters, which in steady state fires about once a request timeout.
//! - A fetch watches BEFORE it reads, and a watch wakes once. So a wake-up that arrives during the
//!   read must not be lost: [`DelayedFetch`] remembers it and has the caller read again.

mod delayed_fetch;
mod delayed_produce;
mod timing_wheel;

#[cfg(test)]
mod tests;

pub use delayed_fetch::{DelayedFetch, FetchStep};
pub use delayed_produce::DelayedProduce;
pub use timing_wheel::{TICK, TimerId, TimingWheel};
