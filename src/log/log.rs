//! The handle of a log.

use std::cell::RefMut;

use super::{
    AppendPlan, BatchToAppend, LogConfig, LogDirectory, LogError, LogProgress, OnProgress,
    ReadBatches, ReadOutcome, ReadRequest, TimestampOffset,
};
use crate::log_state::LogState;
use crate::types::{Offset, Timestamp, TopicId, TopicPartition};

/// What a log is opened with.
pub struct OpenLog {
    pub partition: TopicPartition,
    pub topic_id: TopicId,
    pub config: LogConfig,
    /// From the directory's checkpoint files; 0 when they do not name the log. Our own checkpoint
    /// beside the segments is preferred.
    pub recovery_point: Offset,
    pub log_start_offset: Offset,
    pub on_progress: OnProgress,
}

/// What recovery found.
#[derive(Clone, Debug, Default)]
pub struct RecoveryReport {
    /// The log was made anew.
    pub created: bool,
    /// Bytes read to find the end.
    pub scanned_bytes: u64,
    /// Batches and bytes behind the end that were dropped.
    pub dropped_batches: u64,
    pub dropped_bytes: u64,
}

/// A partition's log.
#[derive(Clone)]
pub struct Log;

impl Log {
    /// Opens a log, makes it if it is not there, recovers it if it was not stopped cleanly.
    pub async fn open(_: &LogDirectory, _: OpenLog) -> Result<(Log, RecoveryReport), LogError> {
        unreachable!()
    }

    pub fn partition(&self) -> &TopicPartition {
        unreachable!()
    }

    pub fn topic_id(&self) -> TopicId {
        unreachable!()
    }

    /// What the partition's state machine reads and changes. Not across an await.
    pub fn state(&self) -> RefMut<'_, LogState> {
        unreachable!()
    }

    /// Rolls the segment if the batch does not fit any more. Before the state machine's step:
    /// the producer snapshot of a roll is that of the state before the batch.
    pub fn prepare_append(&self, _: &AppendPlan, _now: Timestamp) {
        unreachable!()
    }

    /// Appends a batch that continues the log; written and flushed behind this call. On a failed
    /// log it does nothing: the failure was told.
    pub fn append(&self, _: BatchToAppend) {
        unreachable!()
    }

    /// How far the records have come.
    pub fn progress(&self) -> LogProgress {
        unreachable!()
    }

    /// Appended bytes that are not yet written: what admission charges.
    pub fn unwritten_bytes(&self) -> u64 {
        unreachable!()
    }

    /// Asks for a flush of everything appended so far, whatever the class.
    pub fn flush(&self) {
        unreachable!()
    }

    pub fn set_config(&self, _: LogConfig) {
        unreachable!()
    }

    /// Logical bytes of all segments.
    pub fn size_in_bytes(&self) -> u64 {
        unreachable!()
    }

    /// Reads what is in memory.
    pub fn read(&self, _: ReadRequest) -> Result<ReadOutcome, LogError> {
        unreachable!()
    }

    /// Reads from disk; any read may be given to it.
    pub async fn read_cold(&self, _: ReadRequest) -> Result<ReadBatches, LogError> {
        unreachable!()
    }

    /// The first record below `end_bound` that is not earlier than `timestamp`.
    pub async fn offset_for_timestamp(
        &self,
        _timestamp: Timestamp,
        _end_bound: Offset,
    ) -> Result<Option<TimestampOffset>, LogError> {
        unreachable!()
    }

    /// The record with the largest timestamp, the first of several (ListOffsets -3).
    pub async fn max_timestamp(&self) -> Result<Option<TimestampOffset>, LogError> {
        unreachable!()
    }

    /// Stops and removes the log: its directory is renamed to `<topic>-<n>.<uuid>-delete` when
    /// this returns, and removed behind that.
    pub async fn delete(&self) -> Result<(), LogError> {
        unreachable!()
    }
}
