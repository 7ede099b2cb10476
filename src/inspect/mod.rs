//! Log files at rest: what `ringlog log dump` and `ringlog log verify` read, of ours and of
//! Kafka's. Nothing is written, nothing is locked against a broker by this module, and no shard is
//! needed: files are read with plain calls, through [`Files`].
//!
//! | question | answered by |
//! |---|---|
//! | what kind of file is this? | [`FileKind`] |
//! | which batches are in it, and why does it end? | [`BatchWalk`] |
//! | what do the small files say? | [`read_small_file`], then `log_state` |
//! | would a start find it sound? | [`verify_partition`], [`verify_log_directory`] |
//!
//! # Non-obvious
//! - A walk goes on behind a batch with a wrong CRC, as its length says; recovery and verification
//!   stop there.
//! - Kafka's compaction leaves gaps between offsets, ours does not exist: whose partition it is
//!   shows [`crate::log::CHECKPOINT_FILE`], which Kafka does not write. In one that was taken over
//!   it says below which offset there may be gaps.

mod batch_walk;
mod directory;
mod files;
mod index_check;
mod kind;
mod partition;
mod report;
mod segment;
mod state_check;
#[cfg(test)]
mod tests;

pub use batch_walk::{BatchWalk, StoredBatch};
pub use directory::verify_log_directory;
pub use files::{Files, ReadAt, read_small_file};
pub use kind::FileKind;
pub use partition::{PartitionOptions, verify_partition};
pub use report::{Finding, Report, Severity, Summary};
pub use segment::written_at_most;
