//! From the batches on disk back to what the log knows: the scan of recovery.

use std::path::Path;

use super::LogError;
use super::segment_index::SegmentIndex;
use crate::batch::{
    BatchHeader, BatchIter, BatchView, ControlRecord, CrcCheck, DECOMPRESSED_SIZE_MAX,
    Decompressor, LOG_OVERHEAD, RecordIter, ScanEnd,
};
use crate::io::{File, IoClass, Reactor};
use crate::log_state::{LogState, ProducerBatch};
use crate::types::Offset;

/// One read of the scan.
const SCAN_READ_SIZE: u64 = 1 << 20;

/// A length beyond this is a damaged one.
const BATCH_SIZE_MAX: usize = 1 << 30;

/// Bytes of a header up to and with the magic.
pub const MAGIC_END: usize = 17;

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

/// What lies behind the valid batches of a segment.
#[derive(Default)]
pub struct Remainder {
    /// Byte after the last one that is not zero; the scan's stop if there is none.
    pub nonzero_end: u64,
    /// Whole, valid batches, and where the first and the last one begin.
    pub batch_count: u64,
    pub first_batch: Option<u64>,
    pub last_batch: Option<u64>,
}

/// A scan of one segment.
pub(super) struct SegmentScan<'a> {
    pub(super) reactor: &'a Reactor,
    pub(super) file: &'a File,
    pub(super) path: &'a Path,
    /// Bytes of the file.
    pub(super) size: u64,
    /// The scan ends before the batch that contains this offset.
    pub(super) end_offset: Offset,
    pub(super) index_interval_bytes: u64,
    /// Below this offset others may be missing (`RecoveryCheckpoint::gaps_end`).
    pub(super) gaps_end: Offset,
}

impl SegmentScan<'_> {
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
        while at < self.size {
            let chunk = self.read(at, read_size).await?;
            let mut batches = BatchIter::new(&chunk, CrcCheck::Verify);
            let mut start = at;
            for batch in batches.by_ref() {
                if batch.base_offset < self.gaps_end {
                    expected = expected.max(batch.base_offset);
                }
                if let Some(fault) = discontinuity(&batch, expected, state) {
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
                    if needed <= BATCH_SIZE_MAX && at + needed as u64 <= self.size {
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

    /// Looks through everything behind `from` for what is not zero and for valid batches of this
    /// log, whose offsets are at least `offset_min`.
    pub(super) async fn examine_rest(
        &self,
        from: u64,
        offset_min: Offset,
    ) -> Result<Remainder, LogError> {
        let mut rest = Remainder {
            nonzero_end: from,
            ..Remainder::default()
        };
        let mut at = from;
        let mut skip_to = from;
        while at < self.size {
            // Consecutive pieces overlap so that a header on their border is seen.
            let chunk = self.read(at, SCAN_READ_SIZE + MAGIC_END as u64).await?;
            if let Some(last) = chunk.iter().rposition(|&byte| byte != 0) {
                rest.nonzero_end = at + last as u64 + 1;
                for index in 0..chunk.len().saturating_sub(MAGIC_END) {
                    let position = at + index as u64;
                    if position < skip_to
                        || index as u64 >= SCAN_READ_SIZE
                        || !may_be_header(&chunk[index..], offset_min)
                    {
                        continue;
                    }
                    if let Some(size) = self.valid_batch_at(position).await? {
                        rest.batch_count += 1;
                        rest.first_batch = rest.first_batch.or(Some(position));
                        rest.last_batch = Some(position);
                        skip_to = position + size;
                    }
                }
            }
            at += SCAN_READ_SIZE;
            self.reactor.yield_now().await;
        }
        Ok(rest)
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

    async fn valid_batch_at(&self, position: u64) -> Result<Option<u64>, LogError> {
        let mut size = SCAN_READ_SIZE;
        loop {
            let bytes = self.read(position, size).await?;
            let mut batches = BatchIter::new(&bytes, CrcCheck::Verify);
            if let Some(batch) = batches.next() {
                return Ok(Some(batch.size_in_bytes() as u64));
            }
            match batches.end() {
                Some(ScanEnd::Truncated { needed })
                    if needed as u64 > size && position + needed as u64 <= self.size =>
                {
                    size = needed as u64;
                }
                _ => return Ok(None),
            }
        }
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
    let epoch = batch.partition_leader_epoch;
    let latest = state.epochs.epoch_for_offset(expected).unwrap_or(-1);
    (epoch >= 0 && epoch < latest).then(|| format!("leader epoch {epoch} after {latest}"))
}

/// A cheap look before the CRC: magic 2, an offset that may come, a possible length.
pub fn may_be_header(bytes: &[u8], offset_min: Offset) -> bool {
    let Some(header) = bytes.first_chunk::<MAGIC_END>() else {
        return false;
    };
    let [offset @ .., _, _, _, _, _, _, _, _, _] = *header;
    let offset = Offset::from_be_bytes(offset);
    header[MAGIC_END - 1] == 2 && offset >= offset_min && offset - offset_min <= i64::from(u32::MAX)
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
