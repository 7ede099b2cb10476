//! That a log directory has failed, as all shards of the broker know it.
//!
//! Every shard opens the directory for itself, with its own descriptors and its own flushes; but
//! the device below is one. A flush that fails on one shard may have taken writes of another, whose
//! next flush then succeeds without them. So the failure is one place in memory that every shard
//! looks at before it believes a flush.
//!
//! # Non-obvious
//! - A failed write concerns its directory, a failed flush every directory on the same device.
//! - A write that found no room has lost nothing that was there: the directory takes no more
//!   records, and what it holds is read on. A failure of another kind may still come after it.

use std::io::{Error, ErrorKind};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use super::LogError;

/// What a directory is good for. It only gets worse, until a restart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum DirectoryState {
    #[default]
    Works,
    /// It had no room for a write: it can be read.
    Full,
    /// Another write, or a flush, has failed: nobody knows what it holds.
    Lost,
}

/// Whether a directory has failed, for all shards; once failed, for good. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct DirectoryFault {
    full: Arc<OnceLock<Cause>>,
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
            full: Arc::default(),
            own: Arc::default(),
            device: Arc::clone(&self.device),
        }
    }

    pub fn state(&self) -> DirectoryState {
        if self.own.get().is_some() || self.device.get().is_some() {
            DirectoryState::Lost
        } else if self.full.get().is_some() {
            DirectoryState::Full
        } else {
            DirectoryState::Works
        }
    }

    pub fn has_failed(&self) -> bool {
        self.state() != DirectoryState::Works
    }

    /// Whether a flush of the device has failed.
    pub(super) fn has_flush_failed(&self) -> bool {
        self.device.get().is_some()
    }

    /// Tells all shards of an error that ends the directory; others say nothing. The first of its
    /// kind counts: whether this was it.
    pub fn report(&self, reported: &LogError) -> bool {
        let (to, path, error) = match reported {
            LogError::Io { path, error } if reported.is_no_space() => (&self.full, path, error),
            LogError::Io { path, error } => (&self.own, path, error),
            LogError::Flush { path, error } => (&self.device, path, error),
            _ => return false,
        };
        let cause = Cause {
            path: path.clone(),
            kind: error.kind(),
            system_code: error.raw_os_error(),
            text: error.to_string(),
        };
        to.set(cause).is_ok()
    }

    /// What the logs of the directory answer, once it has failed.
    pub fn failure(&self) -> Option<LogError> {
        let lost = self.own.get().or_else(|| self.device.get());
        let cause = lost.or_else(|| self.full.get())?;
        let error = Rc::new(match cause.system_code {
            Some(code) => Error::from_raw_os_error(code),
            None => Error::new(cause.kind, cause.text.clone()),
        });
        let path = cause.path.clone();
        Some(match lost {
            Some(_) => LogError::Failed { path, error },
            None => LogError::Full { path, error },
        })
    }
}
