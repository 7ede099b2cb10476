//! Whether the batches that lie in a segment are those that were written there.
//!
//! The CRC of a batch covers neither its offset nor its length, and says nothing of batches that
//! are missing: a write that was lost or went elsewhere leaves old batches that are whole. So each
//! must begin where the one before it ends, and all must lie within the segment's offsets.

use super::BrokenRule;
use super::log::LogInner;
use super::segment::Segment;
use super::segment_index::IndexStart;
use crate::batch::{BatchHeader, BatchView};
use crate::types::Offset;

/// What is known of the next batch in a segment, going forward.
#[derive(Clone, Copy, Debug)]
pub(super) struct Continuity {
    /// Its base offset, unless it is found through the index.
    expected: Option<Offset>,
    /// Its last offset, if it is.
    indexed_last_offset: Option<Offset>,
    /// Below this offset others may be missing (`RecoveryCheckpoint::gaps_end`).
    gaps_end: Offset,
    base_offset: Offset,
    end_offset: Offset,
    /// [`BrokenRule::ServesUnchecked`]
    believes_all: bool,
}

impl Continuity {
    /// Where the index leads; the segment's first batch begins with the segment's offset.
    pub(super) fn at_index(log: &LogInner, segment: &Segment, start: IndexStart) -> Continuity {
        Continuity {
            expected: (start.position == 0).then_some(segment.base_offset),
            indexed_last_offset: start.last_offset,
            ..Continuity::at(log, segment, segment.base_offset)
        }
    }

    /// Where a batch begins whose base offset is known.
    pub(super) fn at(log: &LogInner, segment: &Segment, expected: Offset) -> Continuity {
        Continuity {
            expected: Some(expected),
            indexed_last_offset: None,
            gaps_end: log.checkpoint.gaps_end(),
            base_offset: segment.base_offset,
            end_offset: segment.end_offset.get(),
            believes_all: log.directory.breaks(BrokenRule::ServesUnchecked),
        }
    }

    /// The segment may have got more batches.
    pub(super) fn extend_to(&mut self, end_offset: Offset) {
        self.end_offset = end_offset;
    }

    /// Takes in the next header; what is wrong with it. Of a batch that is not wanted the CRC need
    /// not be looked at: had its length or last offset changed, the next one would not fit.
    pub(super) fn follow(&mut self, header: &BatchHeader) -> Result<(), String> {
        if self.believes_all {
            return Ok(());
        }
        let (base_offset, last_offset) = (header.base_offset, header.last_offset());
        if header.last_offset_delta < 0 {
            return Err(format!("last offset delta {}", header.last_offset_delta));
        }
        if base_offset < self.base_offset || last_offset >= self.end_offset {
            return Err(format!(
                "offsets {base_offset} to {last_offset} in a segment of {} to {}",
                self.base_offset,
                self.end_offset - 1
            ));
        }
        if let Some(expected) = self.expected {
            let is_gap = base_offset > expected && base_offset < self.gaps_end;
            if base_offset != expected && !is_gap {
                return Err(format!(
                    "base offset {base_offset} where {expected} should be"
                ));
            }
        }
        if let Some(indexed) = self.indexed_last_offset.take()
            && last_offset != indexed
        {
            return Err(format!(
                "ends at offset {last_offset}, by the index at {indexed}"
            ));
        }
        self.expected = Some(last_offset + 1);
        Ok(())
    }

    /// No batch follows in a segment that takes no more; what is wrong with that.
    pub(super) fn end(&self) -> Result<(), String> {
        let may_be_missing = self.end_offset <= self.gaps_end || self.believes_all;
        let missing_from = self.expected.or(self.indexed_last_offset);
        match missing_from {
            Some(missing) if missing < self.end_offset && !may_be_missing => {
                let last = self.end_offset - 1;
                Err(format!("offsets {missing} to {last} are missing"))
            }
            _ => Ok(()),
        }
    }

    /// What is wrong with the bytes of a batch whose header is sound.
    pub(super) fn check_bytes(&self, bytes: &[u8]) -> Result<(), String> {
        if self.believes_all {
            return Ok(());
        }
        BatchView::parse(bytes)
            .and_then(|batch| batch.check_crc())
            .map_err(|error| error.to_string())
    }
}
