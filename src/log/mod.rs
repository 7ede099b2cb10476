//! A partition's log on disk.
//!
//! A [`Log`] lives on one shard; its handle is cheap to clone. A produce step is
//! [`Log::prepare_append`], then the partition's state machine on [`Log::state`], then
//! [`Log::append`], without a wait in between. Records are written and flushed behind that, and
//! [`LogProgress`] tells how far they are.

mod append_types;
mod config;
mod directory;
mod error;
#[allow(clippy::module_inception)]
mod log;
mod read_types;
mod tail;

pub use append_types::{AppendPlan, BatchToAppend, LogProgress, OnProgress};
pub use config::LogConfig;
pub use directory::{CheckpointEntry, DirectoryOptions, LogDirectory};
pub use error::LogError;
pub use log::{Log, OpenLog, RecoveryReport};
pub use read_types::{ReadBatches, ReadOutcome, ReadRequest, ReadSource, TimestampOffset};
pub use tail::TailBudget;
