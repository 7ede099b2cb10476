//! The part of a log that the partition's state machine reads and changes.

use super::{LeaderEpochCache, ProducerState};
use crate::types::Offset;

/// What a log knows of its records. Owned by the log, on its shard; lent to the partition's state
/// machine for one step at a time.
///
/// **Invariant:** `log_end_offset` counts what was appended, written or not; nothing here says what
/// may be acknowledged.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LogState {
    pub producers: ProducerState,
    pub epochs: LeaderEpochCache,
    /// First offset that may be read.
    pub log_start_offset: Offset,
    /// Offset of the next record.
    pub log_end_offset: Offset,
}

impl LogState {
    /// The log starts at `offset`, unless it starts behind that already.
    pub fn raise_log_start(&mut self, offset: Offset) {
        self.log_start_offset = self.log_start_offset.max(offset);
        self.epochs.truncate_from_start(self.log_start_offset);
    }
}
