//! The per-core driver: runs the state machines of the partitions and of the controller on the
//! shard's disk, and carries requests between shards. No protocol, no decisions: those are made in
//! [`partition`](crate::partition) and [`controller`](crate::controller).
//!
//! A [`Shard`] is one core's handle, used by the connections that live there. Whatever they ask of
//! a partition goes to the shard that owns it, as a plain call when that is this one.
//!
//! # Non-obvious
//! - A request's messages are pushed before the call returns; only the answer is awaited. Together
//!   with the mesh's FIFO order that keeps the order of a connection's requests for each partition.
//! - Shard 0 runs the controller. A change of the metadata is durable, then replayed by all shards,
//!   then published for all at once, and only then answered: whoever has the answer, or has seen
//!   the change, finds the topic on every core.
//! - Progress of a log is told from the log's own task, so it is only noted there; the machine
//!   steps in a task of the shard.

mod broken_promise;
mod controller_log;
mod core;
mod delete_records;
mod describe;
mod directories;
mod directory_format;
mod error;
mod fetch;
mod fetch_sessions;
mod gauges;
mod image;
mod leader_epochs;
mod lifecycle;
mod list_offsets;
mod message;
mod metadata_log;
mod owners;
mod peers;
mod plan;
mod produce;
mod producer_expiry;
mod published;
mod ranges;
mod replica;
mod retention;
mod startup;
mod survey;
mod takeover;
mod verification;
mod watchers;

pub use self::core::{Shard, TopicView};
pub use broken_promise::{Broken, BrokenPromise};
pub use describe::{DescribedLogDir, LogSize};
pub use directories::LogDirState;
pub use error::ShardError;
pub use fetch::FetchWait;
pub use leader_epochs::EpochEnd;
pub use lifecycle::{Formatted, Opened, ServerStart};
pub use message::{
    DeleteRecordsItem, EpochEndItem, FetchItem, FetchLimits, FetchOutcome, Incoming,
    ListOffsetsItem, ListedOffset, ProduceItem, RangeItem, RangeRead, RecordsRange, ServerEvent,
};
pub use plan::ShardPlan;
pub use replica::ProduceOutcome;
