//! Buffers of completed writes, kept for the next ones: fresh memory costs an allocation and its
//! zeros.

use std::collections::BTreeMap;

use super::writer::WRITE_SIZE_MAX;
use crate::io::WriteBuffer;

/// Sizes that are kept: the small ones of many partitions, and the largest of few. Sizes in between
/// seldom come twice.
const SMALL_SIZE_MAX: usize = 64 << 10;

/// Buffers of one size that are kept: 16.5 MiB of all sizes at most.
const COUNT_MAX: usize = 16;
const LARGEST_COUNT_MAX: usize = 8;

/// See the module.
#[derive(Default)]
pub(super) struct SpareBuffers {
    by_size: BTreeMap<usize, Vec<WriteBuffer>>,
}

impl SpareBuffers {
    /// A buffer of exactly this size. Its contents are those of its last write.
    pub(super) fn take(&mut self, size: usize) -> Option<WriteBuffer> {
        self.by_size.get_mut(&size)?.pop()
    }

    pub(super) fn keep(&mut self, buffer: WriteBuffer) {
        let count_max = match buffer.size() {
            ..=SMALL_SIZE_MAX => COUNT_MAX,
            size if size as u64 == WRITE_SIZE_MAX => LARGEST_COUNT_MAX,
            _ => return,
        };
        let spare = self.by_size.entry(buffer.size()).or_default();
        if spare.len() < count_max {
            spare.push(buffer);
        }
    }
}
