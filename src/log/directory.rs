//! One log directory (an entry of `log.dirs`), as one shard sees it.

use std::path::{Path, PathBuf};

use super::{LogError, TailBudget};
use crate::io::{DiskFacts, Reactor};
use crate::types::{Offset, TopicPartition};

/// How a log directory is opened.
#[derive(Clone)]
pub struct DirectoryOptions {
    pub path: PathBuf,
    /// Shared by all directories of the shard.
    pub tail_budget: TailBudget,
    /// Bytes of writes in flight at most, on this shard.
    pub write_bytes_in_flight_max: usize,
    /// Bytes of zeros written ahead of the appenders at most, on this shard.
    pub zero_ahead_bytes_max: u64,
}

/// What a directory's checkpoint files say of one log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckpointEntry {
    pub partition: TopicPartition,
    pub recovery_point: Offset,
    pub log_start_offset: Offset,
}

/// A log directory and the logs in it that this shard owns.
#[derive(Clone)]
pub struct LogDirectory;

impl LogDirectory {
    /// Opens the directory (it exists and is locked by the caller): its facts, its flush file.
    pub async fn open(_: &Reactor, _: DirectoryOptions) -> Result<LogDirectory, LogError> {
        unreachable!()
    }

    pub fn path(&self) -> &Path {
        unreachable!()
    }

    pub fn facts(&self) -> &DiskFacts {
        unreachable!()
    }

    /// Why this directory is offline, if it is.
    pub fn failure(&self) -> Option<LogError> {
        unreachable!()
    }

    /// What this shard has to say for the directory's checkpoint files. Shard 0 collects all
    /// shards' and calls [`LogDirectory::write_checkpoints`].
    pub fn checkpoint_entries(&self) -> Vec<CheckpointEntry> {
        unreachable!()
    }

    /// Writes `recovery-point-offset-checkpoint` and `log-start-offset-checkpoint`.
    pub async fn write_checkpoints(&self, _: &[CheckpointEntry]) -> Result<(), LogError> {
        unreachable!()
    }

    /// Clean stop of all logs: everything written and flushed, active segments cut to their size,
    /// indexes, snapshots and checkpoints written. Afterwards the caller may write the marker.
    pub async fn stop(&self) -> Result<(), LogError> {
        unreachable!()
    }
}
