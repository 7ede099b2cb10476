//! What lies behind the end of a segment's valid batches: torn writes, and in a recycled file the
//! batches of the segment that had it before.

use crate::batch::BatchHeader;
use crate::types::Offset;

/// Bytes of a header up to and with the magic.
pub const MAGIC_END: usize = 17;

/// What may lie behind the end of a log, in one of its segments.
#[derive(Clone, Copy, Debug)]
pub struct RestBounds {
    /// Of the segment. A batch that is wholly below it is an old one: it was there before.
    pub base_offset: Offset,
    /// The log's end: a batch that begins there or behind was written and not wholly kept.
    pub end_offset: Offset,
    /// The file is recycled: behind this byte nothing was written since, and old batches are no
    /// sign of anything ([`super::written_at_most`]).
    pub written_at_most: Option<u64>,
}

impl RestBounds {
    /// A cheap look before the CRC: magic 2, an offset that may come or an old one.
    fn may_be_header(&self, bytes: &[u8]) -> bool {
        let Some(header) = bytes.first_chunk::<MAGIC_END>() else {
            return false;
        };
        let [offset @ .., _, _, _, _, _, _, _, _, magic] = *header;
        let offset = Offset::from_be_bytes(offset);
        let may_come = offset >= self.end_offset && offset - self.end_offset <= i64::from(u32::MAX);
        magic == 2 && (may_come || (0..self.base_offset).contains(&offset))
    }

    fn is_old(&self, header: &BatchHeader) -> bool {
        header.base_offset < self.end_offset && header.last_offset() < self.base_offset
    }
}

/// What lies behind the valid batches of a segment.
#[derive(Default)]
pub struct Remainder {
    /// Byte after the last one that is neither zero nor of an old batch in a recycled file; the
    /// scan's stop if there is none.
    pub nonzero_end: u64,
    /// Where what was written ends, as far as can be told: in a recycled file that is known of
    /// whole batches only, so it may be too low there, never too high.
    pub live_end: u64,
    /// Whole, valid batches of the log, and where the first and the last one begin.
    pub batch_count: u64,
    pub first_batch: Option<u64>,
    pub last_batch: Option<u64>,
    /// Whole batches that were there before.
    pub old_batch_count: u64,
}

/// Bytes that are looked at together: zeros are most of what there is.
const LOOK_SIZE: usize = 256;

/// The index behind the last byte that is not zero; 0 if there is none.
fn end_of_nonzero(bytes: &[u8]) -> usize {
    let mut end = bytes.len();
    for chunk in bytes.rchunks(LOOK_SIZE) {
        // Without a way out of the loop it is a few wide instructions.
        if chunk.iter().fold(0, |all, byte| all | byte) != 0 {
            let last = chunk.iter().rposition(|&byte| byte != 0);
            return end - chunk.len() + last.map_or(0, |last| last + 1);
        }
        end -= chunk.len();
    }
    0
}

/// Looks through a remainder, a piece of the file after the other. The caller reads the pieces and
/// checks the batches.
///
/// Nothing inside of a whole batch is looked at: a record may hold anything.
pub struct RestWalk {
    bounds: RestBounds,
    rest: Remainder,
    /// The next byte to be looked at as a batch's first.
    next: u64,
    /// The next byte of which nothing is known.
    unknown: u64,
}

impl RestWalk {
    pub fn new(stop: u64, bounds: RestBounds) -> RestWalk {
        let rest = Remainder {
            nonzero_end: stop,
            live_end: stop,
            ..Remainder::default()
        };
        RestWalk {
            bounds,
            rest,
            next: stop,
            unknown: stop,
        }
    }

    /// The next place in a piece at which a batch may begin: to be answered with [`Self::found`].
    /// `piece` begins at byte `at`; a batch that begins in its first `size` bytes is looked for.
    pub fn candidate(&mut self, at: u64, piece: &[u8], size: usize) -> Option<u64> {
        let size = size.min(piece.len());
        let end = at + size as u64;
        let inside = |position: u64| (position.clamp(at, end) - at) as usize;
        let from = inside(self.next);
        let is_empty = end_of_nonzero(&piece[inside(self.unknown)..size]) == 0;
        let found = match is_empty {
            true => None,
            false => (from..size).find(|&index| self.bounds.may_be_header(&piece[index..])),
        };
        let to = found.unwrap_or(size);
        let unknown = inside(self.unknown);
        let nonzero = end_of_nonzero(&piece[unknown..to.max(unknown)]);
        if nonzero > 0 {
            let end = at + (unknown + nonzero) as u64;
            self.rest.nonzero_end = self.rest.nonzero_end.max(end);
        }
        let position = at + to as u64;
        self.next = self.next.max(position);
        self.unknown = self.unknown.max(position);
        found.map(|_| position)
    }

    /// The candidate is a whole, valid batch with this header, or it is none.
    pub fn found(&mut self, header: Option<&BatchHeader>) {
        let (position, rest) = (self.next, &mut self.rest);
        let size = header.map_or(1, |header| header.size_in_bytes() as u64);
        match header {
            Some(header) if self.bounds.is_old(header) => {
                rest.old_batch_count += 1;
                if self.bounds.written_at_most.is_none() {
                    rest.nonzero_end = position + size;
                }
            }
            Some(header) if header.base_offset >= self.bounds.end_offset => {
                rest.batch_count += 1;
                rest.first_batch = rest.first_batch.or(Some(position));
                rest.last_batch = Some(position);
                rest.live_end = position + size;
                rest.nonzero_end = position + size;
            }
            _ => {
                self.next = position + 1;
                return;
            }
        }
        self.next = position + size;
        self.unknown = self.next;
    }

    pub fn end(mut self) -> Remainder {
        if self.bounds.written_at_most.is_none() {
            self.rest.live_end = self.rest.nonzero_end;
        }
        self.rest
    }
}
