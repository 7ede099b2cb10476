//! An answer on its way out, and the memory that it may pin.
//!
//! # Non-obvious
//! - What a client has not read yet is held as ranges of offsets, not as records: a connection pins
//!   what it sends now, at most [`WINDOW_SIZE_MAX`] or one larger batch, charged to the shard's
//!   budget for answers. Under pressure the windows get smaller, down to [`WINDOW_SIZE_MIN`] and
//!   parts of batches; nobody waits for the budget, since a client that does not read would
//!   otherwise stop those who do.
//! - Records that were deleted between the promise and the reading end the connection: the frame
//!   cannot be completed.

use std::collections::VecDeque;

use bytes::Bytes;

use super::dispatch::CloseReason;
use super::node::Node;
use crate::io::{Permit, Semaphore};
use crate::protocol::FramePiece;
use crate::shard::{RangeItem, RangeRead, RecordsRange};

/// Bytes of records that a connection may hold at a time.
pub(super) const WINDOW_SIZE_MAX: usize = 1 << 20;

/// Of a budget, what a connection may hold to send a larger batch at once.
const BUDGET_PART_OF_WINDOW: usize = 4;

/// What a connection may hold whatever the budget says, so that every client gets on.
const WINDOW_SIZE_MIN: usize = 64 << 10;

/// A part of an answer.
enum Piece {
    Bytes(Bytes),
    Range(RecordsRange),
}

/// An answer as pieces in order; none where the protocol has no answer.
#[derive(Default)]
pub(super) struct Answer {
    pieces: VecDeque<Piece>,
    /// For the records among the pieces.
    memory: Vec<Permit>,
}

impl From<Bytes> for Answer {
    fn from(frame: Bytes) -> Answer {
        Answer {
            pieces: VecDeque::from([Piece::Bytes(frame)]),
            memory: Vec::new(),
        }
    }
}

impl Answer {
    /// A frame whose gaps are these ranges, in their order. `memory` is what its records were
    /// charged.
    pub(super) fn with_ranges(
        frame: Vec<FramePiece>,
        ranges: impl IntoIterator<Item = RecordsRange>,
        memory: Option<Permit>,
    ) -> Answer {
        let mut ranges = ranges.into_iter();
        let pieces = frame.into_iter().map(|piece| match piece {
            FramePiece::Bytes(bytes) => Piece::Bytes(bytes),
            FramePiece::Gap { size } => {
                let range = ranges.next().expect("a range for each gap");
                assert_eq!(range.size, size, "the gap is the range's");
                Piece::Range(range)
            }
        });
        Answer {
            pieces: pieces.collect(),
            memory: memory.into_iter().collect(),
        }
    }

    /// Puts another answer behind this one.
    pub(super) fn append(&mut self, mut other: Answer) {
        self.pieces.append(&mut other.pieces);
        self.memory.append(&mut other.memory);
    }

    /// Bytes at the front that are there already.
    pub(super) fn ready_size(&self) -> usize {
        let ready = self.pieces.iter().map_while(|piece| match piece {
            Piece::Bytes(bytes) => Some(bytes.len()),
            Piece::Range(_) => None,
        });
        ready.sum()
    }

    /// Whether it ends with something that is to be read first.
    pub(super) fn has_ranges(&self) -> bool {
        let is_range = |piece: &Piece| matches!(piece, Piece::Range(_));
        self.pieces.iter().any(is_range)
    }

    /// Takes what is to be sent next; `None` at the end.
    pub(super) async fn next_window(&mut self, node: &Node) -> Result<Option<Window>, CloseReason> {
        if self.pieces.is_empty() {
            return Ok(None);
        }
        let ready = self.take_ready();
        if !ready.is_empty() {
            return Ok(Some(Window {
                pieces: ready,
                _memory: std::mem::take(&mut self.memory),
            }));
        }
        let mut memory = grant(&node.response_memory, self.window_size(node));
        let slots = self.take_slots(memory.size);
        let mut left = memory.size;
        let items = slots.iter().filter_map(|slot| match slot {
            Piece::Range(range) => {
                let size_max = left.min(range.size);
                left -= size_max;
                Some(RangeItem {
                    range: *range,
                    size_max,
                })
            }
            Piece::Bytes(_) => None,
        });
        let items: Vec<RangeItem> = items.collect();
        let reads = node.shard.read_ranges(items).await;
        let reads = reads.ok_or(CloseReason::Stopping)?;
        let pieces = self.fill(slots, reads)?;
        if let Some(permit) = &mut memory.permit {
            permit.shrink_to(pieces.iter().map(Bytes::len).sum());
        }
        Ok(Some(Window {
            pieces,
            _memory: memory.permit.into_iter().collect(),
        }))
    }

    /// What the next window is best to hold, bytes.
    fn window_size(&self, node: &Node) -> usize {
        let preferred_size = match self.pieces.front() {
            Some(Piece::Range(range)) => range.preferred_size,
            Some(Piece::Bytes(_)) | None => 0,
        };
        let size_max = node.response_memory.capacity() / BUDGET_PART_OF_WINDOW;
        preferred_size.min(size_max).max(WINDOW_SIZE_MAX)
    }

    fn take_ready(&mut self) -> Vec<Bytes> {
        let mut ready = Vec::new();
        while let Some(Piece::Bytes(bytes)) = self
            .pieces
            .pop_front_if(|piece| matches!(piece, Piece::Bytes(_)))
        {
            ready.push(bytes);
        }
        ready
    }

    /// Pieces whose ranges have up to `size_max` bytes together, the last one perhaps more; none
    /// begins behind them.
    fn take_slots(&mut self, size_max: usize) -> Vec<Piece> {
        let mut left = size_max;
        let mut slots = Vec::new();
        while left > 0 {
            let Some(piece) = self.pieces.pop_front() else {
                break;
            };
            if let Piece::Range(range) = &piece {
                left = left.saturating_sub(range.size);
            }
            slots.push(piece);
        }
        slots
    }

    /// What was read takes the place of its ranges. Behind the first range that was not read to its
    /// end everything waits for the next window.
    fn fill(
        &mut self,
        slots: Vec<Piece>,
        reads: Vec<Result<RangeRead, crate::types::ErrorCode>>,
    ) -> Result<Vec<Bytes>, CloseReason> {
        let mut reads = reads.into_iter();
        let mut pieces = Vec::new();
        let mut slots = slots.into_iter();
        while let Some(slot) = slots.next() {
            if let Piece::Bytes(bytes) = slot {
                pieces.push(bytes);
                continue;
            }
            let read = reads.next().expect("a read for each range");
            let read = read.map_err(CloseReason::RecordsGone)?;
            pieces.extend(read.pieces);
            if let Some(rest) = read.rest {
                let waiting: Vec<Piece> = slots.collect();
                for piece in waiting.into_iter().rev() {
                    self.pieces.push_front(piece);
                }
                self.pieces.push_front(Piece::Range(rest));
                break;
            }
        }
        Ok(pieces)
    }
}

/// What is sent at once; its memory is given back when it is dropped.
pub(super) struct Window {
    pub(super) pieces: Vec<Bytes>,
    _memory: Vec<Permit>,
}

/// Leave to hold some records.
pub(super) struct Grant {
    /// Bytes.
    pub(super) size: usize,
    /// `None`: the budget is used up, and this is what everyone may have.
    pub(super) permit: Option<Permit>,
}

/// As much of `size_max` as the budget has; never waits.
pub(super) fn grant(budget: &Semaphore, size_max: usize) -> Grant {
    let mut size = size_max;
    while size > WINDOW_SIZE_MIN {
        if let Some(permit) = budget.try_acquire(size) {
            return Grant {
                size,
                permit: Some(permit),
            };
        }
        size /= 4;
    }
    Grant {
        size: WINDOW_SIZE_MIN,
        permit: budget.try_acquire(WINDOW_SIZE_MIN),
    }
}
