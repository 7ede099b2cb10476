//! Why a shard cannot start or go on.

use std::path::Path;

/// One sentence that says what is wrong and what to do. `Send`: shard 0 reports for all.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ShardError {
    #[error(
        "max.connections.per.ip.overrides names {host}, which has no address: {reason}; correct it \
         or name the address"
    )]
    Overrides { host: String, reason: String },
    #[error("cannot listen on {listener}: {reason}")]
    Listen { listener: String, reason: String },
    /// The log directory cannot be used.
    #[error("{0}")]
    Directory(String),
    /// A partition's log cannot be opened.
    #[error("partition {partition}: {reason}")]
    Partition { partition: String, reason: String },
    /// The metadata log says what cannot be.
    #[error("metadata log: {0}")]
    Metadata(String),
    /// A write or flush failed while the broker ran.
    #[error("{0}")]
    Storage(String),
    #[error("a shard stopped before it answered")]
    Stopped,
}

impl ShardError {
    pub(super) fn directory(path: &Path, what: impl std::fmt::Display) -> ShardError {
        ShardError::Directory(format!("log directory {}: {what}", path.display()))
    }
}
