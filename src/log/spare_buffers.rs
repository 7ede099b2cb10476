//! Buffers of completed writes, kept for the next ones: fresh memory costs an allocation and page
//! faults.

use std::collections::VecDeque;

use crate::io::WriteBuffer;

/// Memory that is kept, of all sizes.
const KEPT_BYTES_MAX: usize = 16 << 20;

/// Buffers that are looked through for one of the right size.
const LOOKED_THROUGH_MAX: usize = 64;

/// See the module. In the order of their last use, the oldest first.
#[derive(Default)]
pub(super) struct SpareBuffers {
    buffers: VecDeque<WriteBuffer>,
    bytes: usize,
}

impl SpareBuffers {
    /// A buffer of exactly this size, the one that was used last: its memory may still be in the
    /// processor's caches. Its contents are those of its last write.
    pub(super) fn take(&mut self, size: usize) -> Option<WriteBuffer> {
        let mut newest = self.buffers.iter().rev().take(LOOKED_THROUGH_MAX);
        let behind = newest.position(|buffer| buffer.size() == size)?;
        self.bytes -= size;
        self.buffers.remove(self.buffers.len() - 1 - behind)
    }

    pub(super) fn keep(&mut self, buffer: WriteBuffer) {
        self.bytes += buffer.size();
        self.buffers.push_back(buffer);
        while self.bytes > KEPT_BYTES_MAX {
            let oldest = self.buffers.pop_front();
            self.bytes -= oldest.expect("bytes are those of buffers").size();
        }
    }
}
