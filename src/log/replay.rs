//! From the batches on disk back to what the log knows: the scan of recovery.

use std::path::Path;

use super::LogError;
use super::remainder::{MAGIC_END, Remainder, RestBounds, RestWalk};
use super::segment_index::SegmentIndex;
use crate::batch::{
    BatchError, BatchHeader, BatchIter, BatchView, ControlRecord, CrcCheck, DECOMPRESSED_SIZE_MAX,
    Decompressor, HEADER_SIZE, LOG_OVERHEAD, RecordIter, ScanEnd,
};
use crate::io::{File, IoClass, Reactor};
use crate::log_state::{LogState, ProducerBatch};
use crate::types::Offset;

/// One read of the scan.
const SCAN_READ_SIZE: u64 = 1 << 20;

/// A length beyond this is a damaged one.
const BATCH_SIZE_MAX: usize = 1 << 30;

/// Where the valid batches of a segment end.
pub struct ScanStop {
    pub position: u64,
    /// Why the next bytes are no batch of this log; empty when there are none.
    pub fault: String,
    /// The next batch is one, but for the offsets that are missing before it.
    pub is_gap: bool,
}

impl ScanStop {
    pub fn new(position: u64, fault: impl Into<String>) -> ScanStop {
        ScanStop {
            position,
            fault: fault.into(),
            is_gap: false,
        }
    }
}

/// A scan of one segment.
pub(super) struct SegmentScan<'a> {
    pub(super) reactor: &'a Reactor,
    pub(super) file: &'a File,
    pub(super) path: &'a Path,
    /// Bytes of the file.
    pub(super) size: u64,
    /// Of a recycled file: behind this byte nothing was written since.
    pub(super) written_at_most: Option<u64>,
    /// The scan ends before the batch that contains this offset.
    pub(super) end_offset: Offset,
    pub(super) index_interval_bytes: u64,
    /// Below this offset others may be missing (`RecoveryCheckpoint::gaps_end`).
    pub(super) gaps_end: Offset,
}

impl SegmentScan<'_> {
    /// The byte behind the last one that may belong to the segment.
    pub(super) fn end(&self) -> u64 {
        let most = self.written_at_most.unwrap_or(self.size);
        most.min(self.size)
    }

    /// Replays the batches from `position` on into `state` and `index`, as long as each is valid
    /// and continues the one before: offsets without a gap (but below `gaps_end`), leader epochs
    /// that do not decrease (rule 7). Batches before `state_from` only go into the index.
    pub(super) async fn replay(
        &self,
        state: &mut LogState,
        index: &mut SegmentIndex,
        position: u64,
        state_from: u64,
        first_offset: Offset,
    ) -> Result<ScanStop, LogError> {
        let mut decompressor = Decompressor::new();
        let mut at = position;
        let mut expected = first_offset;
        let mut read_size = SCAN_READ_SIZE;
        while at < self.end() {
            let read_size_max = self.end() - at;
            let chunk = self.read(at, read_size.min(read_size_max)).await?;
            let mut batches = BatchIter::new(&chunk, CrcCheck::Verify);
            let mut start = at;
            for batch in batches.by_ref() {
                if batch.base_offset < self.gaps_end {
                    expected = expected.max(batch.base_offset);
                }
                let fault = discontinuity(&batch, expected, state);
                if let Some(fault) = fault.or_else(|| index.misfit(&batch, start)) {
                    return Ok(ScanStop {
                        is_gap: batch.base_offset > expected,
                        ..ScanStop::new(start, fault)
                    });
                }
                if batch.last_offset() >= self.end_offset {
                    return Ok(ScanStop::new(start, ""));
                }
                let size = batch.size_in_bytes() as u64;
                let (last, time) = (batch.last_offset(), batch.max_timestamp);
                index.add_batch(last, time, start, size, self.index_interval_bytes);
                expected = last + 1;
                start += size;
                if start - size >= state_from {
                    replay_batch(&mut decompressor, &batch, state);
                    state.log_end_offset = expected;
                }
            }
            at += batches.position() as u64;
            read_size = SCAN_READ_SIZE;
            let fault = match batches.end() {
                Some(ScanEnd::Complete) | None => continue,
                Some(ScanEnd::Truncated { needed }) => {
                    if needed <= BATCH_SIZE_MAX && at + needed as u64 <= self.end() {
                        read_size = read_size.max(needed as u64);
                        continue;
                    }
                    "the file ends inside a batch".to_owned()
                }
                Some(ScanEnd::Zeros) => String::new(),
                Some(ScanEnd::Corrupt(error)) => error.to_string(),
            };
            return Ok(ScanStop::new(at, fault));
        }
        Ok(ScanStop::new(at, ""))
    }

    /// Looks through everything behind `from` that was, or may have been, written to the segment at
    /// `base_offset` of a log that ends at `end_offset`.
    pub(super) async fn examine_rest(
        &self,
        from: u64,
        base_offset: Offset,
        end_offset: Offset,
    ) -> Result<Remainder, LogError> {
        let bounds = RestBounds {
            base_offset,
            end_offset,
            written_at_most: self.written_at_most,
        };
        let mut walk = RestWalk::new(from, bounds);
        let mut at = from;
        while at < self.end() {
            // Consecutive pieces overlap so that a header on their border is seen.
            let piece = self.read(at, SCAN_READ_SIZE + MAGIC_END as u64).await?;
            let size = SCAN_READ_SIZE.min(self.end() - at) as usize;
            while let Some(position) = walk.candidate(at, &piece, size) {
                let head = &piece[(position - at) as usize..];
                let batch = self.valid_batch_at(position, head).await?;
                walk.found(batch.as_ref());
            }
            at += SCAN_READ_SIZE;
            self.reactor.yield_now().await;
        }
        Ok(walk.end())
    }

    /// Where the batch ends that begins at `position`, as far as its first bytes say. Where they
    /// are torn it is too small, never less than their own end.
    pub(super) async fn claimed_end(&self, position: u64) -> Result<u64, LogError> {
        let mut prefix = [0; LOG_OVERHEAD];
        let size = (self.size - position.min(self.size)).min(LOG_OVERHEAD as u64);
        let bytes = self.read(position.min(self.size), size).await?;
        prefix[..bytes.len()].copy_from_slice(&bytes);
        let [.., a, b, c, d] = prefix;
        let length = i32::from_be_bytes([a, b, c, d]).max(0);
        Ok(position + LOG_OVERHEAD as u64 + u64::from(length.unsigned_abs()))
    }

    /// The header of the batch at `position`, where `head` lies, if there is a whole and valid one.
    async fn valid_batch_at(
        &self,
        position: u64,
        head: &[u8],
    ) -> Result<Option<BatchHeader>, LogError> {
        let is_whole = |header: &BatchHeader| {
            header.size_in_bytes() <= BATCH_SIZE_MAX
                && header.size_in_bytes() as u64 <= self.size - position
        };
        let header = match BatchHeader::parse(head) {
            // On the border of a piece.
            Err(BatchError::Truncated { .. }) => {
                BatchHeader::parse(&self.read(position, HEADER_SIZE as u64).await?)
            }
            parsed => parsed,
        };
        let Some(header) = header.ok().filter(is_whole) else {
            return Ok(None);
        };
        let size = header.size_in_bytes() as u64;
        let read;
        let bytes = match head.get(..size as usize) {
            Some(bytes) => bytes,
            None => {
                read = self.read(position, size).await?;
                &read[..]
            }
        };
        let batch = BatchView::parse(bytes);
        let is_valid = batch.is_ok_and(|batch| batch.check_crc().is_ok());
        Ok(is_valid.then_some(header))
    }

    async fn read(&self, position: u64, size: u64) -> Result<bytes::Bytes, LogError> {
        let size = size.min(self.size - position) as usize;
        let read = self.file.read_at(position, size, IoClass::Background).await;
        let bytes = read.map_err(|error| LogError::io(self.path, error))?;
        if bytes.len() < size {
            return Err(LogError::corrupt(
                self.path,
                position,
                "the file has shrunk",
            ));
        }
        Ok(bytes)
    }
}

/// Why a valid batch does not continue the log.
pub fn discontinuity(batch: &BatchHeader, expected: Offset, state: &LogState) -> Option<String> {
    if batch.base_offset != expected {
        return Some(format!(
            "base offset {} where {expected} should be",
            batch.base_offset
        ));
    }
    if batch.last_offset_delta < 0 {
        return Some(format!("last offset delta {}", batch.last_offset_delta));
    }
    if batch.next_offset() <= batch.base_offset {
        return Some("offsets beyond the largest".to_owned());
    }
    let epoch = batch.partition_leader_epoch;
    let latest = state.epochs.epoch_for_offset(expected).unwrap_or(-1);
    (epoch >= 0 && epoch < latest).then(|| format!("leader epoch {epoch} after {latest}"))
}

/// Takes a batch into the state, as if it were appended now.
pub fn replay_batch(decompressor: &mut Decompressor, batch: &BatchView<'_>, state: &mut LogState) {
    state
        .epochs
        .assign(batch.partition_leader_epoch, batch.base_offset);
    let Some(producer) = batch.producer() else {
        return;
    };
    if !batch.is_control() {
        let producer_batch = ProducerBatch {
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            base_sequence: producer.base_sequence,
            last_offset_delta: batch.last_offset_delta,
            is_transactional: batch.is_transactional(),
        };
        let timestamp = batch.max_timestamp;
        state
            .producers
            .apply(&producer_batch, batch.base_offset, timestamp);
        return;
    }
    let Ok(records) = decompressor.records(batch, DECOMPRESSED_SIZE_MAX) else {
        return;
    };
    let first = RecordIter::new(batch.header(), &records).next();
    if let Some(Ok(record)) = first
        && let Ok(ControlRecord::EndTransaction {
            coordinator_epoch, ..
        }) = ControlRecord::parse(&record)
    {
        let timestamp = record.timestamp;
        state
            .producers
            .apply_marker(producer.id, producer.epoch, coordinator_epoch, timestamp);
    }
}
