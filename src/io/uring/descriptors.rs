//! How many descriptors this process has, and may have.

use std::fs;
use std::io::Result;

use nix::sys::resource::{Resource, getrlimit};

use super::handle::Handle;
use crate::io::Descriptors;

/// Its size is the number of entries, since Linux 6.2; before, it is 0.
const OPEN_DESCRIPTORS: &str = "/proc/self/fd";

impl Handle {
    /// `None` where the system does not say.
    pub(in crate::io) fn descriptors(&self) -> Option<Descriptors> {
        let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
        let open = open_count().ok()?;
        Some(Descriptors { open, limit })
    }
}

fn open_count() -> Result<u64> {
    match fs::metadata(OPEN_DESCRIPTORS)?.len() {
        0 => Ok(fs::read_dir(OPEN_DESCRIPTORS)?.count() as u64),
        count => Ok(count),
    }
}
