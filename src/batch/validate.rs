//! May what a producer sent for one partition be stored? The rules of Kafka's ProduceRequest,
//! UnifiedLog and LogValidator, in their order; where Kafka lets something through that its own
//! consumers choke on, or answers -1, the difference is noted.

use bytes::Bytes;

use super::builder::rewrite_timestamps;
use super::compression::{Codec, Compression, Decompressor};
use super::error::BatchError;
use super::header::{BatchHeader, BatchView, HEAD_SIZE, Producer, TimestampType};
use super::recompress::recompressed;
use super::record::RecordIter;
use super::walk::{RecordRules, RecordSummary, walk_records};
use crate::types::{LeaderEpoch, Offset, Timestamp};

/// First Produce version that may carry zstd (KIP-110).
const ZSTD_PRODUCE_VERSION: i16 = 7;

/// What the topic and the request allow.
#[derive(Clone, Copy, Debug)]
pub struct ProduceLimits {
    /// Version of the Produce request.
    pub produce_version: i16,
    /// `max.message.bytes`: of the batch as it was sent, and as it is stored.
    pub max_message_bytes: usize,
    /// [`super::DECOMPRESSED_SIZE_MAX`]: of its records, decompressed.
    pub decompressed_size_max: usize,
    /// `compression.type` of the topic; `None`: as the producer has it.
    pub compression: Option<Compression>,
    /// `message.timestamp.type`. LogAppendTime stamps the batch with `now`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// `cleanup.policy` holds compact: every record needs a key.
    pub is_compacted: bool,
    /// The clock on the wall.
    pub now: Timestamp,
}

/// One batch that may be stored as it is: all that producer state, indexes and the log want to
/// know about it, and its bytes, which are the request's own unless the timestamps were rewritten.
#[derive(Clone, Debug)]
pub struct ValidatedBatch {
    header: BatchHeader,
    bytes: Bytes,
    max_timestamp_delta: i32,
}

impl ValidatedBatch {
    pub(super) fn new(
        header: BatchHeader,
        bytes: Bytes,
        max_timestamp_delta: i32,
    ) -> ValidatedBatch {
        ValidatedBatch {
            header,
            bytes,
            max_timestamp_delta,
        }
    }

    /// The header with base offset 0; `max_timestamp` is the records' own, or the append time.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch, base offset 0.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What goes in front of [`ValidatedBatch::body`] in the log.
    pub fn head(&self, base_offset: Offset, leader_epoch: LeaderEpoch) -> [u8; HEAD_SIZE] {
        self.header.head(base_offset, leader_epoch)
    }

    /// The batch without its head.
    pub fn body(&self) -> Bytes {
        self.bytes.slice(HEAD_SIZE..)
    }

    pub fn size_in_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Offsets that the batch takes.
    pub fn offset_count(&self) -> i64 {
        i64::from(self.header.last_offset_delta) + 1
    }

    /// Largest timestamp, -1 for none.
    pub fn max_timestamp(&self) -> Timestamp {
        self.header.max_timestamp
    }

    /// Offset delta of the first record with the largest timestamp: what ListOffsets -3 answers.
    /// The time index holds the last offset of the batch instead, as Kafka's does.
    pub fn max_timestamp_delta(&self) -> i32 {
        self.max_timestamp_delta
    }

    pub fn producer(&self) -> Option<Producer> {
        self.header.producer()
    }

    pub fn codec(&self) -> Codec {
        self.header.codec().expect("the codec was validated")
    }
}

/// Checks `records`, the whole field of one partition in a Produce request.
///
/// Reads every byte once for the CRC and the numbers of every record once, decompressing through a
/// fixed window; allocates nothing for an uncompressed batch. Copies the batch only to rewrite its
/// timestamps or to compress it anew. What needs the topic's state (sequences, epochs,
/// transactions) is not checked here.
pub fn validate_produce(
    records: &Bytes,
    limits: &ProduceLimits,
    decompressor: &mut Decompressor,
) -> Result<ValidatedBatch, BatchError> {
    let batch = BatchView::parse(records)?;
    let rest = records.len() - batch.size_in_bytes();
    if rest > 0 {
        // Kafka cuts off and forgets a second batch that is incomplete.
        return Err(BatchError::MoreThanOne(rest));
    }
    let codec = batch.codec()?;
    if codec == Codec::Zstd && limits.produce_version < ZSTD_PRODUCE_VERSION {
        return Err(BatchError::ZstdTooEarly);
    }
    if batch.base_offset != 0 {
        return Err(BatchError::BaseOffset(batch.base_offset));
    }
    if batch.size_in_bytes() > limits.max_message_bytes {
        return Err(BatchError::TooLarge {
            size: batch.size_in_bytes(),
            max: limits.max_message_bytes,
        });
    }
    batch.check_crc()?;
    check_header(batch.header())?;
    let rules = rules(limits);
    if let Some(target) = limits.compression.filter(|target| target.codec != codec) {
        return recompressed(&batch, target, limits, &rules, decompressor);
    }
    let summary = check_records(&batch, codec, limits, &rules, decompressor)?;
    Ok(stamped(records, &batch, limits, summary))
}

fn check_header(header: &BatchHeader) -> Result<(), BatchError> {
    let count = header.record_count;
    if count <= 0 || header.last_offset_delta != count - 1 {
        return Err(BatchError::Count {
            count,
            last_offset_delta: header.last_offset_delta,
        });
    }
    if header.is_control() {
        return Err(BatchError::Control);
    }
    if header.producer_id >= 0 && header.base_sequence < 0 {
        return Err(BatchError::Sequence {
            producer_id: header.producer_id,
            base_sequence: header.base_sequence,
        });
    }
    // Kafka says so for LogAppendTime topics, and forgets it for CreateTime topics when the
    // header's timestamp is in range.
    if header.timestamp_type() == TimestampType::LogAppendTime {
        return Err(BatchError::TimestampType);
    }
    Ok(())
}

fn rules(limits: &ProduceLimits) -> RecordRules {
    let mut rules = RecordRules {
        timestamp_min: Timestamp::MIN,
        timestamp_max: Timestamp::MAX,
        needs_key: limits.is_compacted,
    };
    if limits.timestamp_type == TimestampType::CreateTime {
        rules.timestamp_min = limits.now.saturating_sub(limits.timestamp_before_max_ms);
        rules.timestamp_max = limits.now.saturating_add(limits.timestamp_after_max_ms);
    }
    rules
}

fn check_records(
    batch: &BatchView<'_>,
    codec: Codec,
    limits: &ProduceLimits,
    rules: &RecordRules,
    decompressor: &mut Decompressor,
) -> Result<RecordSummary, BatchError> {
    if codec == Codec::None {
        return walk_records(&mut batch.payload(), batch.header(), rules);
    }
    let size_max = limits.decompressed_size_max;
    decompressor.with_stream(codec, batch.payload(), size_max, |stream| {
        walk_records(stream, batch.header(), rules)
    })
}

/// Every record of a refused batch that breaks a rule of its topic (its key is missing, its
/// timestamp is out of range), the first `count_max` of them; none when it was `refused` for
/// something else.
#[cold]
pub fn faulty_records(
    refused: &BatchError,
    records: &Bytes,
    limits: &ProduceLimits,
    decompressor: &mut Decompressor,
    count_max: usize,
) -> Vec<BatchError> {
    if !matches!(
        refused,
        BatchError::MissingKey(_) | BatchError::Timestamp { .. }
    ) {
        return Vec::new();
    }
    let all = BatchView::parse(records).and_then(|batch| {
        let payload = decompressor.records(&batch, limits.decompressed_size_max)?;
        let rules = rules(limits);
        let faults = RecordIter::new(batch.header(), &payload).zip(0..);
        let faults = faults.map_while(|(record, index)| Some((record.ok()?, index)));
        let faults = faults.filter_map(|(record, index)| {
            rules
                .check(index, record.key.is_some(), record.timestamp)
                .err()
        });
        Ok(faults.take(count_max).collect())
    });
    all.unwrap_or_else(|_| vec![*refused])
}

/// The largest timestamp that is stored, and the offset delta of the first record that has it.
pub(super) fn stored_timestamps(
    limits: &ProduceLimits,
    summary: RecordSummary,
) -> (Timestamp, i32) {
    match limits.timestamp_type {
        TimestampType::CreateTime => (summary.max_timestamp, summary.max_timestamp_delta),
        TimestampType::LogAppendTime => (limits.now, 0),
    }
}

/// The batch with the timestamps that are to be stored.
fn stamped(
    records: &Bytes,
    batch: &BatchView<'_>,
    limits: &ProduceLimits,
    summary: RecordSummary,
) -> ValidatedBatch {
    let (max_timestamp, max_timestamp_delta) = stored_timestamps(limits, summary);
    let header = *batch.header();
    let is_as_sent =
        limits.timestamp_type == header.timestamp_type() && header.max_timestamp == max_timestamp;
    let (header, bytes) = if is_as_sent {
        (header, records.clone())
    } else {
        rewrite_timestamps(batch, limits.timestamp_type, max_timestamp)
    };
    ValidatedBatch {
        header,
        bytes,
        max_timestamp_delta,
    }
}

#[cfg(test)]
mod tests;
