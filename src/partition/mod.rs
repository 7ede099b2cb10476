//! A partition's protocol: what may be appended, when it is acknowledged, what may be read.
//!
//! [`Leader`] is a sans-IO machine: `step(now, event, log, effects)`. The shard that owns the
//! partition runs its [`Effect`]s on the log and the connections, and hands what happened back as
//! [`Event`]s. It reads and changes the log's [`LogState`](crate::log_state::LogState), never a
//! file.
//!
//! # Non-obvious
//!
//! - Each `Produce` event is answered by exactly one `Complete` effect, whatever happens, acks=0
//!   included (whether bytes go to the client then is the connection's business).
//! - Nothing is acknowledged from memory: acks=1 waits for the completed write, acks=all for the
//!   high watermark, which in class P counts flushed records only.
//! - A retry of a batch that is in the log waits exactly as long as the first try, and is answered
//!   with the first try's offset: an early answer would acknowledge what may still be lost.
//! - The new epoch's start is noted in the leader epoch cache before the first append under it, and
//!   the epoch is written into each batch: the cache can be rebuilt from the log (KAFKA-16541).
//! - The high watermark never goes back, also when a topic changes from class K to P.

mod delete_records;
mod event;
mod isr;
mod leader;
mod list_offsets;

#[cfg(test)]
mod tests;

pub use event::{
    Acks, BatchSummary, Effect, Event, LeaderPolicy, ProduceOutcome, Progress, Ticket,
};
pub use leader::{Isolation, Leader};
pub use list_offsets::{OffsetAnswer, OffsetSpec};
