//! That a log directory has failed, as all shards of the broker know it.
//!
//! Every shard opens the directory for itself, with its own descriptors and its own flushes; but
//! the device below is one. A flush that fails on one shard may have taken writes of another, whose
//! next flush then succeeds without them. So the failure is one place in memory that every shard
//! looks at before it believes a flush.
//!
//! # Non-obvious
//! - A failed write concerns its directory, a failed flush every directory on the same device.

use std::io::{Error, ErrorKind};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use super::LogError;

/// Whether a directory has failed, for all shards; once failed, for good. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct DirectoryFault {
    own: Arc<OnceLock<Cause>>,
    /// Shared by all directories on one device.
    device: Arc<OnceLock<Cause>>,
}

/// What an error is without what only one shard may hold.
#[derive(Clone, Debug)]
struct Cause {
    path: PathBuf,
    kind: ErrorKind,
    system_code: Option<i32>,
    text: String,
}

impl DirectoryFault {
    /// Of another directory on the same device.
    pub fn of_neighbour(&self) -> DirectoryFault {
        DirectoryFault {
            own: Arc::default(),
            device: Arc::clone(&self.device),
        }
    }

    pub fn has_failed(&self) -> bool {
        self.own.get().is_some() || self.device.get().is_some()
    }

    /// Whether a flush of the device has failed.
    pub(super) fn has_flush_failed(&self) -> bool {
        self.device.get().is_some()
    }

    /// Tells all shards of an error that ends the directory; others say nothing. The first counts.
    pub fn report(&self, error: &LogError) {
        let (to, path, error) = match error {
            LogError::Io { path, error } => (&self.own, path, error),
            LogError::Flush { path, error } => (&self.device, path, error),
            _ => return,
        };
        to.get_or_init(|| Cause {
            path: path.clone(),
            kind: error.kind(),
            system_code: error.raw_os_error(),
            text: error.to_string(),
        });
    }

    /// What the logs of the directory answer, once it has failed.
    pub fn failure(&self) -> Option<LogError> {
        let cause = self.own.get().or_else(|| self.device.get())?;
        let error = match cause.system_code {
            Some(code) => Error::from_raw_os_error(code),
            None => Error::new(cause.kind, cause.text.clone()),
        };
        Some(LogError::Failed {
            path: cause.path.clone(),
            error: Rc::new(error),
        })
    }
}
