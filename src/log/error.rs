//! What can go wrong with a log.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::types::{ErrorCode, Offset};

/// Why a log cannot do what it was asked for. Cheap to clone: a failed directory gives the same
/// error to all of its logs.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    #[error("offset {offset} is outside of [{log_start_offset}, {end}]")]
    OffsetOutOfRange {
        offset: Offset,
        log_start_offset: Offset,
        end: Offset,
    },
    /// A read or a small file failed; the directory goes on.
    #[error("{}: {error}", path.display())]
    Io {
        path: PathBuf,
        error: Rc<std::io::Error>,
    },
    /// A flush failed: what was written since the last one may be read and yet never become
    /// durable.
    #[error("{}: a flush failed: {error}", path.display())]
    Flush {
        path: PathBuf,
        error: Rc<std::io::Error>,
    },
    /// A flush failed here, and the machine has not been started anew since.
    #[error(
        "a flush failed here before ({} says so), and what the system has in memory since may \
         never reach the disk; look at the disk (dmesg), then restart the machine, which makes it \
         show what it has; to trust it all the same, remove that file",
        marker.display()
    )]
    NotTrusted { marker: PathBuf },
    /// A write or flush failed: final for the whole log directory.
    #[error("log directory failed and stays offline: {}: {error}", path.display())]
    Failed {
        path: PathBuf,
        error: Rc<std::io::Error>,
    },
    /// There was no room for a write: final for all writes to the log directory.
    #[error(
        "log directory is full and takes no records until there is room and the broker is started \
         again: {}: {error}",
        path.display()
    )]
    Full {
        path: PathBuf,
        error: Rc<std::io::Error>,
    },
    /// What is on disk is not what was written. Nothing is cut: found by a start, it keeps the
    /// partition offline; found by a read, the reader gets the error and the others go on.
    #[error("{}: corrupt at byte {position}: {fault}", path.display())]
    Corrupt {
        path: PathBuf,
        position: u64,
        fault: String,
    },
    /// The log is being deleted, or has been.
    #[error("the log is closed")]
    Closed,
}

impl LogError {
    pub(super) fn io(path: &Path, error: std::io::Error) -> LogError {
        LogError::Io {
            path: path.to_owned(),
            error: Rc::new(error),
        }
    }

    pub(super) fn flush(path: &Path, error: std::io::Error) -> LogError {
        LogError::Flush {
            path: path.to_owned(),
            error: Rc::new(error),
        }
    }

    /// Of replacing a small file, which includes flushes: a full disk is none of theirs.
    pub(super) fn replacing(path: &Path, error: std::io::Error) -> LogError {
        match error.raw_os_error() {
            Some(nix::libc::EIO) => LogError::flush(path, error),
            _ => LogError::io(path, error),
        }
    }

    pub(super) fn corrupt(path: &Path, position: u64, fault: impl Into<String>) -> LogError {
        LogError::Corrupt {
            path: path.to_owned(),
            position,
            fault: fault.into(),
        }
    }

    /// Whether there was no room for a write. Not of a flush: what it was to make durable may be
    /// lost, whatever the reason.
    pub fn is_no_space(&self) -> bool {
        match self {
            LogError::Full { .. } => true,
            LogError::Io { error, .. } => matches!(
                error.kind(),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded
            ),
            _ => false,
        }
    }

    /// What a client is told. Damage is CORRUPT_MESSAGE, as where Kafka finds some in its log: a
    /// consumer tells its user, where KAFKA_STORAGE_ERROR would let it ask for ever.
    pub fn error_code(&self) -> ErrorCode {
        match self {
            LogError::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            LogError::Io { .. }
            | LogError::Flush { .. }
            | LogError::NotTrusted { .. }
            | LogError::Failed { .. }
            | LogError::Full { .. } => ErrorCode::KafkaStorageError,
            LogError::Corrupt { .. } => ErrorCode::CorruptMessage,
            LogError::Closed => ErrorCode::NotLeaderOrFollower,
        }
    }
}
