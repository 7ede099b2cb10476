//! What readers ask for and get.

use bytes::Bytes;

use crate::types::{LeaderEpoch, Offset, Timestamp};

/// A read of whole batches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadRequest {
    /// The batch that contains this offset comes first.
    pub offset: Offset,
    /// Bytes to return at most; the first batch is returned even if it is larger.
    pub size_max: usize,
    /// Only batches whose last offset is below are returned: the log end, the high watermark, or
    /// the last stable offset.
    pub end_bound: Offset,
}

/// Where batches were read from; which path served how many bytes is a metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadSource {
    Memory,
    Disk,
}

/// Whole batches, one after the other, byte for byte as on disk. Pieces may cross shards.
#[derive(Clone, Debug)]
pub struct ReadBatches {
    pub pieces: Vec<Bytes>,
    /// Bytes of all batches, of `rest` too.
    pub size: usize,
    /// Batches behind the pieces that were only measured: read them from this offset on, up to
    /// `next_offset`.
    pub rest: Option<Rest>,
    pub source: ReadSource,
    /// Offset after the last batch returned; the requested one when there is none.
    pub next_offset: Offset,
}

impl ReadBatches {
    pub(super) fn empty(offset: Offset) -> ReadBatches {
        ReadBatches {
            pieces: Vec::new(),
            size: 0,
            rest: None,
            source: ReadSource::Memory,
            next_offset: offset,
        }
    }
}

/// Whole batches that a read has measured and not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rest {
    /// Of the first batch.
    pub offset: Offset,
    /// Of all batches, bytes.
    pub size: usize,
}

/// What [`Log::read`](super::Log::read) could do without waiting.
#[derive(Debug)]
pub enum ReadOutcome {
    /// From memory; empty when nothing is there below the bound.
    Batches(ReadBatches),
    /// It is on disk: call [`Log::read_cold`](super::Log::read_cold).
    Cold,
}

/// A record found by its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimestampOffset {
    pub timestamp: Timestamp,
    pub offset: Offset,
    /// Leader epoch of the batch that has it, -1 if none.
    pub leader_epoch: LeaderEpoch,
}
