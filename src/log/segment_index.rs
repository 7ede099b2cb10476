//! The two sparse indexes of a segment, in memory.

use crate::batch::BatchHeader;
use crate::log_state::{OffsetIndexEntry, RecoveryCheckpoint, TimeIndexEntry};
use crate::types::{Offset, Timestamp};

/// `timestamp` when there is none.
pub(super) const NO_TIMESTAMP: Timestamp = -1;

/// Offset index, time index, and what decides about their next entries. As Kafka's `LogSegment`
/// keeps them, so that the files come out the same for the same batches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct SegmentIndex {
    base_offset: Offset,
    pub(super) offsets: Vec<OffsetIndexEntry>,
    pub(super) times: Vec<TimeIndexEntry>,
    pub(super) bytes_since_entry: u64,
    /// Largest timestamp so far, and the last offset of the first batch that has it.
    pub(super) max_timestamp: Timestamp,
    pub(super) max_timestamp_offset: Offset,
    /// Timestamp of the first batch: time-based rolling counts from it.
    pub(super) first_timestamp: Timestamp,
}

/// Where a search in a segment begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct IndexStart {
    pub(super) position: u64,
    /// Of the batch that begins there; `None` at the segment's start.
    pub(super) last_offset: Option<Offset>,
}

impl SegmentIndex {
    pub(super) fn new(base_offset: Offset) -> SegmentIndex {
        SegmentIndex {
            base_offset,
            offsets: Vec::new(),
            times: Vec::new(),
            bytes_since_entry: 0,
            max_timestamp: NO_TIMESTAMP,
            max_timestamp_offset: -1,
            first_timestamp: NO_TIMESTAMP,
        }
    }

    /// The index of a sealed segment from the bytes of its files. Entries that do not grow end it:
    /// what follows is the zero tail of a file that was preallocated.
    pub(super) fn decode(base_offset: Offset, offsets: &[u8], times: &[u8]) -> SegmentIndex {
        let mut index = SegmentIndex::new(base_offset);
        for bytes in offsets.as_chunks::<{ OffsetIndexEntry::SIZE }>().0 {
            let entry = OffsetIndexEntry::decode(bytes);
            let grows = index.offsets.last().is_none_or(|last| {
                entry.relative_offset > last.relative_offset && entry.position > last.position
            });
            if !grows || (entry.relative_offset == 0 && entry.position == 0) {
                break;
            }
            index.offsets.push(entry);
        }
        for bytes in times.as_chunks::<{ TimeIndexEntry::SIZE }>().0 {
            let entry = TimeIndexEntry::decode(bytes);
            let grows = index.times.last().is_none_or(|last| {
                entry.timestamp > last.timestamp && entry.relative_offset >= last.relative_offset
            });
            if !grows || entry.timestamp == 0 {
                break;
            }
            index.times.push(entry);
        }
        if let Some(last) = index.times.last() {
            index.max_timestamp = last.timestamp;
            index.max_timestamp_offset = base_offset + i64::from(last.relative_offset);
        }
        index
    }

    /// What a checkpoint says of the segment and its index, all of which the files have; the rest
    /// is the caller's.
    pub(super) fn checkpoint(&self) -> RecoveryCheckpoint {
        RecoveryCheckpoint {
            segment_base_offset: self.base_offset,
            offset_index_entry_count: self.offsets.len() as u32,
            time_index_entry_count: self.times.len() as u32,
            bytes_since_index_entry: self.bytes_since_entry,
            max_timestamp: self.max_timestamp,
            max_timestamp_offset: self.max_timestamp_offset,
            first_timestamp: self.first_timestamp,
            ..RecoveryCheckpoint::default()
        }
    }

    /// Takes in a batch of `size` bytes that begins at `position`.
    pub(super) fn add_batch(
        &mut self,
        last_offset: Offset,
        max_timestamp: Timestamp,
        position: u64,
        size: u64,
        interval: u64,
    ) {
        if position == 0 {
            self.first_timestamp = max_timestamp;
        }
        if max_timestamp > self.max_timestamp {
            self.max_timestamp = max_timestamp;
            self.max_timestamp_offset = last_offset;
        }
        if self.bytes_since_entry > interval {
            self.offsets.push(OffsetIndexEntry {
                relative_offset: self.relative(last_offset),
                position: u32::try_from(position).expect("a segment is below 4 GiB"),
            });
            self.add_time_entry();
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += size;
    }

    /// Why a batch at `position` cannot be in this segment; none of ours is such.
    pub(super) fn misfit(&self, batch: &BatchHeader, position: u64) -> Option<String> {
        let relative = batch.last_offset().checked_sub(self.base_offset);
        let is_near = relative.is_some_and(|relative| u32::try_from(relative).is_ok());
        let is_low = u32::try_from(position).is_ok();
        (!is_near || !is_low).then(|| {
            let (offset, base) = (batch.last_offset(), self.base_offset);
            format!("offset {offset} at byte {position} is too far behind {base}")
        })
    }

    /// The segment takes no more batches: the time index ends with the largest timestamp.
    pub(super) fn seal(&mut self) {
        self.add_time_entry();
    }

    fn add_time_entry(&mut self) {
        let last = self
            .times
            .last()
            .map_or(NO_TIMESTAMP, |last| last.timestamp);
        if self.max_timestamp > last {
            self.times.push(TimeIndexEntry {
                timestamp: self.max_timestamp,
                relative_offset: self.relative(self.max_timestamp_offset),
            });
        }
    }

    fn relative(&self, offset: Offset) -> u32 {
        u32::try_from(offset - self.base_offset).expect("a segment holds below 2^31 offsets")
    }

    /// Where a batch begins at or before the one that contains `offset`, or the first one behind
    /// it: what is missing before this segment is looked for here, too.
    pub(super) fn start_of(&self, offset: Offset) -> IndexStart {
        let relative = offset.max(self.base_offset) - self.base_offset;
        let relative = u32::try_from(relative).unwrap_or(u32::MAX);
        let after = self
            .offsets
            .partition_point(|entry| entry.relative_offset <= relative);
        self.start_before_entry(after)
    }

    /// The start before the one at `position`, which is not that of the segment.
    pub(super) fn start_before(&self, position: u64) -> IndexStart {
        let at = self
            .offsets
            .partition_point(|entry| u64::from(entry.position) < position);
        self.start_before_entry(at)
    }

    fn start_before_entry(&self, index: usize) -> IndexStart {
        let entry = index.checked_sub(1).map(|at| self.offsets[at]);
        IndexStart {
            position: entry.map_or(0, |entry| u64::from(entry.position)),
            last_offset: entry.map(|entry| self.base_offset + i64::from(entry.relative_offset)),
        }
    }

    /// Where the first batch begins that is indexed and behind `position`: no batch at `position`
    /// is longer. `None` behind the last entry.
    pub(super) fn next_position(&self, position: u64) -> Option<u64> {
        let after = self
            .offsets
            .partition_point(|entry| u64::from(entry.position) <= position);
        self.offsets
            .get(after)
            .map(|entry| u64::from(entry.position))
    }

    /// An offset at or before the first record that is not earlier than `timestamp`.
    pub(super) fn offset_before(&self, timestamp: Timestamp) -> Offset {
        let after = self
            .times
            .partition_point(|entry| entry.timestamp < timestamp);
        after.checked_sub(1).map_or(self.base_offset, |at| {
            self.base_offset + i64::from(self.times[at].relative_offset)
        })
    }

    /// Whether one of the files has reached `size_max` bytes (`segment.index.bytes`).
    pub(super) fn is_full(&self, size_max: usize) -> bool {
        let offsets_max = size_max / OffsetIndexEntry::SIZE;
        let times_max = (size_max / TimeIndexEntry::SIZE).saturating_sub(1);
        self.offsets.len() >= offsets_max || self.times.len() >= times_max
    }

    /// Bytes of the `.index` file.
    pub(super) fn encode_offsets(&self) -> Vec<u8> {
        self.offsets
            .iter()
            .flat_map(|entry| entry.encode())
            .collect()
    }

    /// Bytes of the `.timeindex` file.
    pub(super) fn encode_times(&self) -> Vec<u8> {
        self.times.iter().flat_map(|entry| entry.encode()).collect()
    }

    /// Bytes in memory.
    pub(super) fn memory_size(&self) -> usize {
        self.offsets.len() * size_of::<OffsetIndexEntry>()
            + self.times.len() * size_of::<TimeIndexEntry>()
    }
}

#[cfg(test)]
mod tests;
