//! What is appended, and how far an append has come.

use bytes::Bytes;

use super::LogError;
use crate::batch::HEAD_SIZE;
use crate::types::{Offset, Timestamp};

/// What must be known of a batch before its offsets are: whether it still fits into the segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AppendPlan {
    /// Bytes of the whole batch.
    pub size: usize,
    pub last_offset_delta: i32,
    pub max_timestamp: Timestamp,
}

/// A validated batch with its place in the log.
#[derive(Clone, Debug)]
pub struct BatchToAppend {
    /// First bytes of the batch, with its base offset and leader epoch filled in.
    pub head: [u8; HEAD_SIZE],
    /// The rest of the batch: a slice of the request's frame, not copied before the disk's buffer.
    pub body: Bytes,
    pub base_offset: Offset,
    pub last_offset: Offset,
    pub max_timestamp: Timestamp,
}

impl BatchToAppend {
    pub fn size(&self) -> usize {
        HEAD_SIZE + self.body.len()
    }
}

/// How far the records of a log have come. Told whenever one of it advances.
#[derive(Clone, Debug)]
pub struct LogProgress {
    /// Every record before it was taken by the device: survives the death of this process.
    pub written_end: Offset,
    /// Every record before it was flushed: survives a power cut. At most `written_end`.
    pub durable_end: Offset,
    /// The log has failed for good; the ends above do not move any more.
    pub failed: Option<LogError>,
}

/// Called on the log's shard, from a task of its own: it may call back into the log.
pub type OnProgress = std::rc::Rc<dyn Fn(LogProgress)>;
