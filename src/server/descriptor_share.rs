//! Connections leave descriptors for files: a log that cannot open its next segment is a log
//! directory that has failed, for good.

use std::cell::Cell;

use crate::io::{Descriptors, Reactor};

/// Files keep this part of the descriptors that the process may have: one of so many.
const FILES_SHARE: u64 = 4;

/// They need no more than this however many there may be.
const FILES_COUNT_MAX: u64 = 4096;

/// Connections are accepted without asking again, this many at most.
const GRANT_MAX: u64 = 64;

/// How many connections may be accepted yet, known without asking the system for each.
#[derive(Default)]
pub(super) struct DescriptorShare {
    /// May be accepted before it is asked again.
    granted: Cell<u64>,
}

impl DescriptorShare {
    /// Takes a descriptor for a connection; false if none is left for it.
    pub(super) fn take(&self, reactor: &Reactor) -> bool {
        if self.granted.get() == 0 {
            let room = reactor.descriptors().map_or(u64::MAX, for_connections);
            // Files take some meanwhile: half of the room at a time.
            self.granted.set(room.div_ceil(2).min(GRANT_MAX));
        }
        let is_left = self.granted.get() > 0;
        self.granted.set(self.granted.get().saturating_sub(1));
        is_left
    }
}

/// Descriptors that connections may still take.
fn for_connections(descriptors: Descriptors) -> u64 {
    let Descriptors { open, limit } = descriptors;
    let for_files = (limit / FILES_SHARE).min(FILES_COUNT_MAX);
    limit.saturating_sub(open).saturating_sub(for_files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_keep_their_part() {
        let room = |open, limit| for_connections(Descriptors { open, limit });
        assert_eq!(room(24, 1024), 1024 - 256 - 24);
        assert_eq!(room(768, 1024), 0);
        assert_eq!(room(1024, 1024), 0);
        assert_eq!(room(1000, 1_000_000), 1_000_000 - 4096 - 1000);
    }
}
