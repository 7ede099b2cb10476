//! Why a directory was not taken over.

use std::path::Path;

use crate::log::{AdoptionError, LogError};
use crate::metadata::kraft::NotTranslatable;
use crate::shard::ShardError;

/// Why a directory was not taken over.
pub(in crate::shard) enum TakeOverError {
    /// Something would not be carried over, or has to be done first; nothing was changed.
    Refused(String),
    Disk(String),
    /// A flush: final until the machine was started anew.
    Flush(String),
}

impl From<LogError> for TakeOverError {
    fn from(error: LogError) -> TakeOverError {
        match error {
            LogError::Flush { .. } => TakeOverError::Flush(error.to_string()),
            _ => TakeOverError::Disk(error.to_string()),
        }
    }
}

impl From<NotTranslatable> for TakeOverError {
    fn from(error: NotTranslatable) -> TakeOverError {
        TakeOverError::Refused(error.0)
    }
}

impl TakeOverError {
    /// Of a partition's log.
    pub(super) fn of_log(name: &str, error: AdoptionError) -> TakeOverError {
        match error {
            AdoptionError::Unfit(what) => {
                TakeOverError::Refused(format!("partition {name}: {what}"))
            }
            AdoptionError::Disk(error) => error.into(),
        }
    }

    pub(super) fn io(path: &Path, error: std::io::Error) -> TakeOverError {
        TakeOverError::Disk(format!("{}: {error}", path.display()))
    }

    pub(super) fn flush(path: &Path, error: std::io::Error) -> TakeOverError {
        TakeOverError::Flush(format!("{}: a flush failed: {error}", path.display()))
    }
}

/// The sentence for whoever starts the broker.
pub(in crate::shard) fn refusal(path: &Path, what: &str) -> ShardError {
    ShardError::directory(
        path,
        format!(
            "was written by Apache Kafka and is not taken over, nothing was changed: {what}; or \
             choose another directory with log.dirs"
        ),
    )
}
