//! The newest batches of a log, in memory: at once the queue of what is to be written and what
//! fetches near the end are served from.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

use bytes::{Bytes, BytesMut};

use super::append_types::BatchToAppend;
use super::log::LogInner;
use super::read_types::{ReadBatches, ReadRequest, ReadSource, Rest};
use super::segment::Segment;
use crate::batch::HEAD_SIZE;
use crate::io::BufferFiller;
use crate::types::Offset;

/// A body up to this size is copied into a chunk: a slice of it would pin its request's frame,
/// which may be far larger, and a response would have two pieces for few bytes.
const COPIED_BODY_SIZE_MAX: usize = 4096;

/// Heads and small bodies are put into chunks of this size.
const CHUNK_SIZE: usize = 64 << 10;

/// What a batch in the tail costs beyond its bytes.
const BATCH_OVERHEAD: usize = size_of::<CachedBatch>() + HEAD_SIZE;

/// A batch of the tail.
pub(super) struct CachedBatch {
    /// The patched first bytes; the whole batch when `body` is empty.
    pub(super) head: Bytes,
    pub(super) body: Bytes,
    pub(super) base_offset: Offset,
    pub(super) last_offset: Offset,
    pub(super) segment: Rc<Segment>,
    pub(super) position: u64,
}

impl CachedBatch {
    pub(super) fn size(&self) -> usize {
        self.head.len() + self.body.len()
    }

    pub(super) fn end_position(&self) -> u64 {
        self.position + self.size() as u64
    }

    /// What the budget is charged for it.
    pub(super) fn charge(&self) -> usize {
        self.size() + BATCH_OVERHEAD
    }

    /// Copies up to `size_max` bytes from `from` on into `target`; gives how many.
    pub(super) fn copy_from(
        &self,
        from: usize,
        target: &mut BufferFiller,
        size_max: usize,
    ) -> usize {
        let mut copied = 0;
        let skipped_in_body = from.saturating_sub(self.head.len());
        for part in [
            self.head.get(from..).unwrap_or_default(),
            self.body.get(skipped_in_body..).unwrap_or_default(),
        ] {
            let size = part.len().min(size_max - copied);
            target.extend(&part[..size]);
            copied += size;
        }
        copied
    }
}

/// The newest batches of one log. Batches have numbers that never change, counted from the first
/// that was ever in the tail.
///
/// **Invariant:** every batch that is not written is here.
#[derive(Default)]
pub(super) struct Tail {
    batches: VecDeque<CachedBatch>,
    /// Batches that were taken back and that the budget still counts, all before the others.
    forgotten_count: usize,
    first_number: u64,
    chunk: BytesMut,
}

impl Tail {
    pub(super) fn push(&mut self, batch: BatchToAppend, segment: Rc<Segment>, position: u64) {
        let small = batch.body.len() <= COPIED_BODY_SIZE_MAX;
        let copied_size = HEAD_SIZE + if small { batch.body.len() } else { 0 };
        if self.chunk.capacity() - self.chunk.len() < copied_size {
            self.chunk = BytesMut::with_capacity(CHUNK_SIZE);
        }
        self.chunk.extend_from_slice(&batch.head);
        let mut body = batch.body;
        if small {
            self.chunk.extend_from_slice(&body);
            body = Bytes::new();
        }
        self.batches.push_back(CachedBatch {
            head: self.chunk.split().freeze(),
            body,
            base_offset: batch.base_offset,
            last_offset: batch.last_offset,
            segment,
            position,
        });
    }

    pub(super) fn get(&self, number: u64) -> Option<&CachedBatch> {
        let index = number.checked_sub(self.first_number)?;
        self.batches.get(index as usize)
    }

    fn evict_front(&mut self) {
        if self.forgotten_count > 0 {
            self.forgotten_count -= 1;
        } else if self.batches.pop_front().is_some() {
            self.first_number += 1;
        }
    }

    /// Drops all batches, which are written; the next one gets the number that it would have got.
    pub(super) fn forget_all(&mut self) {
        self.forgotten_count += self.batches.len();
        self.first_number += self.batches.len() as u64;
        self.batches.clear();
    }

    /// Whether the batch that contains `offset`, an offset of the log, is here.
    pub(super) fn contains(&self, offset: Offset) -> bool {
        self.batches
            .front()
            .is_some_and(|first| first.base_offset <= offset)
    }

    /// Whole batches from the one that contains `request.offset`, which must be here: pieces up to
    /// `taken_size_max` bytes, the rest measured.
    pub(super) fn read(&self, request: &ReadRequest, taken_size_max: usize) -> ReadBatches {
        let first = self
            .batches
            .partition_point(|batch| batch.last_offset < request.offset);
        let mut read = ReadBatches {
            source: ReadSource::Memory,
            ..ReadBatches::empty(request.offset)
        };
        for batch in self.batches.range(first..) {
            let fits = read.size == 0 || read.size + batch.size() <= request.size_max;
            if batch.last_offset >= request.end_bound || !fits {
                break;
            }
            read.size += batch.size();
            if let Some(rest) = &mut read.rest {
                rest.size += batch.size();
            } else if read.size > taken_size_max {
                read.rest = Some(Rest {
                    offset: batch.base_offset,
                    size: batch.size(),
                });
            } else {
                read.pieces.push(batch.head.clone());
                if !batch.body.is_empty() {
                    read.pieces.push(batch.body.clone());
                }
            }
            read.next_offset = batch.last_offset + 1;
        }
        read
    }
}

/// Bytes that the tails of all logs of a shard may keep after they were written. The oldest go
/// first, whichever log they are of.
#[derive(Clone)]
pub struct TailBudget {
    inner: Rc<RefCell<BudgetInner>>,
}

struct BudgetInner {
    size_max: usize,
    used: usize,
    written: VecDeque<WrittenRun>,
}

/// Batches of one log that were written one after the other.
struct WrittenRun {
    log: Weak<LogInner>,
    batch_count: usize,
    charge: usize,
}

/// A run ends at this charge, so that eviction is even.
const RUN_CHARGE_MAX: usize = 64 << 10;

impl TailBudget {
    pub fn new(size_max: usize) -> TailBudget {
        TailBudget {
            inner: Rc::new(RefCell::new(BudgetInner {
                size_max,
                used: 0,
                written: VecDeque::new(),
            })),
        }
    }

    /// Bytes in use by batches that could be dropped.
    pub fn used(&self) -> usize {
        self.inner.borrow().used
    }

    /// The next unaccounted batch of `log` was written: from now on it may be dropped.
    pub(super) fn batch_written(&self, log: &Rc<LogInner>, charge: usize) {
        let mut inner = self.inner.borrow_mut();
        inner.used += charge;
        if let Some(last) = inner.written.back_mut()
            && last.charge < RUN_CHARGE_MAX
            && last.log.as_ptr() == Rc::as_ptr(log)
        {
            last.batch_count += 1;
            last.charge += charge;
            return;
        }
        inner.written.push_back(WrittenRun {
            log: Rc::downgrade(log),
            batch_count: 1,
            charge,
        });
    }

    /// Drops the oldest written batches beyond the budget. No tail may be borrowed.
    pub(super) fn evict(&self) {
        loop {
            let mut inner = self.inner.borrow_mut();
            if inner.used <= inner.size_max {
                return;
            }
            let Some(run) = inner.written.pop_front() else {
                return;
            };
            inner.used -= run.charge;
            drop(inner);
            if let Some(log) = run.log.upgrade() {
                let mut core = log.core.borrow_mut();
                (0..run.batch_count).for_each(|_| core.tail.evict_front());
            }
        }
    }
}
