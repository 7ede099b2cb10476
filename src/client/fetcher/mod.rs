//! Reading assigned partitions: long polls, one a broker at a time, whose answers wait in a bounded
//! queue while the next poll is under way.
//!
//! # Non-obvious
//! - A broker answers with whole batches, so the first one may begin before the offset that was
//!   asked for: [`FetchedPartition::for_each_record`] leaves those records out.
//! - Polls are of an incremental session (KIP-227) where the broker gives one: a partition that is
//!   not in an answer has brought nothing, and what was last told of it holds.
//! - Aborted transactions are not filtered out; [`Isolation::ReadCommitted`] only bounds the reads
//!   by the last stable offset.

mod assignment;
mod fetched;
mod fetcher_handle;
mod options;
mod poll;
mod session;

pub use fetched::FetchedPartition;
pub use fetcher_handle::Fetcher;
pub use options::{FetchOptions, Isolation, OffsetReset, StartOffset};
