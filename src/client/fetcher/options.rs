//! What a fetcher is made with. Names and defaults are Kafka's.

use std::time::Duration;

use crate::types::{Offset, Timestamp};

/// Options of a [`Fetcher`](super::Fetcher).
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// `fetch.max.wait.ms`
    pub max_wait: Duration,
    /// `fetch.min.bytes`
    pub min_bytes: i32,
    /// `fetch.max.bytes`, of one answer; a first batch may be larger.
    pub max_bytes: i32,
    /// `max.partition.fetch.bytes`; a first batch may be larger.
    pub partition_max_bytes: i32,
    /// Bytes that may wait for [`Fetcher::next`](super::Fetcher::next); polls pause above. One
    /// answer of each broker may come on top.
    pub buffered_size_max: usize,
    /// `check.crcs`
    pub check_crcs: bool,
    /// `isolation.level`
    pub isolation: Isolation,
    /// `auto.offset.reset`: where to go on when the position is outside the log.
    pub reset: OffsetReset,
}

impl Default for FetchOptions {
    fn default() -> FetchOptions {
        FetchOptions {
            max_wait: Duration::from_millis(500),
            min_bytes: 1,
            max_bytes: 50 << 20,
            partition_max_bytes: 1 << 20,
            buffered_size_max: 64 << 20,
            check_crcs: true,
            isolation: Isolation::ReadUncommitted,
            reset: OffsetReset::Error,
        }
    }
}

/// How far reads go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// To the high watermark.
    ReadUncommitted,
    /// To the last stable offset.
    ReadCommitted,
}

impl Isolation {
    pub(super) fn code(self) -> i8 {
        match self {
            Isolation::ReadUncommitted => 0,
            Isolation::ReadCommitted => 1,
        }
    }
}

/// What to do when the position is outside the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetReset {
    Earliest,
    Latest,
    /// The user is told.
    Error,
}

/// Where reading a partition starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartOffset {
    Earliest,
    /// The high watermark of now.
    Latest,
    Offset(Offset),
    /// The first record with this timestamp (ms) or a later one; the end if there is none.
    Timestamp(Timestamp),
}
