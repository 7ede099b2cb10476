//! Produce requests that wait for an offset.

use std::collections::VecDeque;

use crate::types::{Monotonic, Offset};

/// Waiters in the order of the offset that they wait for: completing them costs no look at those
/// that stay. Lives in a partition's leader; each waiter's request holds a memory permit of the
/// shard, which bounds their number.
///
/// **Invariant:** `waiters` never decreases in `required_offset`; among equals, first come first.
#[derive(Debug)]
pub struct DelayedProduce<T> {
    waiters: VecDeque<Waiter<T>>,
}

#[derive(Debug)]
struct Waiter<T> {
    required_offset: Offset,
    deadline: Monotonic,
    value: T,
}

impl<T> Default for DelayedProduce<T> {
    fn default() -> Self {
        DelayedProduce {
            waiters: VecDeque::new(),
        }
    }
}

impl<T> DelayedProduce<T> {
    pub fn len(&self) -> usize {
        self.waiters.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// `value` waits until everything below `required_offset` is there, or for `deadline`.
    pub fn push(&mut self, required_offset: Offset, deadline: Monotonic, value: T) {
        // A new batch goes to the end; a retry of an earlier one somewhere before it.
        let last = self.waiters.back().map(|waiter| waiter.required_offset);
        let index = match last {
            Some(last) if last > required_offset => self
                .waiters
                .partition_point(|waiter| waiter.required_offset <= required_offset),
            _ => self.waiters.len(),
        };
        self.waiters.insert(
            index,
            Waiter {
                required_offset,
                deadline,
                value,
            },
        );
    }

    /// The next waiter that is content with everything below `end_offset` being there.
    pub fn pop_through(&mut self, end_offset: Offset) -> Option<T> {
        let first = self.waiters.front()?;
        if first.required_offset > end_offset {
            return None;
        }
        self.waiters.pop_front().map(|waiter| waiter.value)
    }

    /// The earliest deadline of all, found by looking at all.
    pub fn earliest_deadline(&self) -> Option<Monotonic> {
        self.waiters.iter().map(|waiter| waiter.deadline).min()
    }

    /// Takes out everyone whose deadline is not after `now`, in the order of their offsets.
    pub fn expire(&mut self, now: Monotonic) -> Vec<T> {
        let (expired, waiting) = std::mem::take(&mut self.waiters)
            .into_iter()
            .partition(|waiter| waiter.deadline <= now);
        self.waiters = waiting;
        let expired: VecDeque<Waiter<T>> = expired;
        expired.into_iter().map(|waiter| waiter.value).collect()
    }

    /// Takes out everyone, in the order of their offsets.
    pub fn drain(&mut self) -> impl Iterator<Item = T> {
        self.waiters.drain(..).map(|waiter| waiter.value)
    }
}
