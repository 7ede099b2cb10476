//! One shard's memory for requests.
//!
//! # Non-obvious
//! - Memory is taken for what a request says that it will be, before it has come. Without a part
//!   that only small requests may take, a few clients that promise large ones and then say nothing
//!   would keep everybody else waiting.
//! - A small request takes of the part for all if nobody waits there, so that the other part is
//!   there when it is needed.

use crate::io::{Permit, Semaphore};

/// Requests up to this size, bytes, are small.
pub(super) const SMALL_REQUEST_SIZE_MAX: usize = 64 << 10;

/// The part for small requests: one of so many.
const SMALL_SHARE: usize = 8;

/// The bytes of requests that may be read and not yet answered.
pub(super) struct RequestMemory {
    for_all: Semaphore,
    for_small: Semaphore,
}

impl RequestMemory {
    /// `capacity` bytes in all. A request of `request_size_max` fits into the part for all, even if
    /// that leaves nothing for small ones alone.
    pub(super) fn new(capacity: usize, request_size_max: usize) -> RequestMemory {
        let for_small = (capacity / SMALL_SHARE).min(capacity.saturating_sub(request_size_max));
        RequestMemory {
            for_all: Semaphore::new(capacity - for_small),
            for_small: Semaphore::new(for_small),
        }
    }

    /// Takes `size` bytes if they are there and nobody is to be overtaken.
    pub(super) fn try_acquire(&self, size: usize) -> Option<Permit> {
        let free = self.for_all.try_acquire(size);
        match self.has_own_part(size) {
            true => free.or_else(|| self.for_small.try_acquire(size)),
            false => free,
        }
    }

    /// Waits for `size` bytes.
    pub(super) async fn acquire(&self, size: usize) -> Permit {
        match self.has_own_part(size) {
            true => self.for_small.acquire(size).await,
            false => self.for_all.acquire(size).await,
        }
    }

    fn has_own_part(&self, size: usize) -> bool {
        size <= SMALL_REQUEST_SIZE_MAX.min(self.for_small.capacity())
    }

    pub(super) fn capacity(&self) -> usize {
        self.for_all.capacity() + self.for_small.capacity()
    }

    /// Bytes taken.
    pub(super) fn used(&self) -> usize {
        self.capacity() - self.for_all.available() - self.for_small.available()
    }

    pub(super) fn waiter_count(&self) -> usize {
        self.for_all.waiter_count() + self.for_small.waiter_count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn a_large_promise_leaves_room_for_small_requests() {
        let memory = RequestMemory::new(64 * MIB, 32 * MIB);
        let promised = [memory.try_acquire(32 * MIB), memory.try_acquire(24 * MIB)];
        assert!(promised.iter().all(Option::is_some));
        assert!(memory.try_acquire(SMALL_REQUEST_SIZE_MAX + 1).is_none());
        let small: Vec<_> = std::iter::from_fn(|| memory.try_acquire(SMALL_REQUEST_SIZE_MAX))
            .take(1000)
            .collect();
        assert_eq!(small.len(), 8 * MIB / SMALL_REQUEST_SIZE_MAX);
        assert_eq!((memory.used(), memory.capacity()), (64 * MIB, 64 * MIB));
        drop((promised, small));
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn the_largest_request_fits_whatever_is_left_for_small_ones() {
        for (capacity, request_size_max) in [(32 * MIB, 32 * MIB), (33 * MIB, 32 * MIB), (100, 7)] {
            let memory = RequestMemory::new(capacity, request_size_max);
            assert_eq!(memory.capacity(), capacity);
            let largest = memory.try_acquire(request_size_max);
            assert_eq!(
                largest.map(|permit| permit.amount()),
                Some(request_size_max)
            );
        }
    }
}
