//! Compressing a producer's batch anew, where a topic's `compression.type` is not the producer's.
//!
//! The records stay byte for byte what they were; only what is around them changes. As in Kafka's
//! `LogValidator`, a batch that has the wanted codec stays as it is, whatever its level.

use bytes::Bytes;

use super::compression::{Compression, Decompressor};
use super::error::BatchError;
use super::header::{BatchHeader, BatchView, HEADER_SIZE, LOG_OVERHEAD};
use super::validate::{ProduceLimits, ValidatedBatch, stored_timestamps};
use super::walk::{RecordRules, walk_records};

/// Checks the records of a batch and compresses them with another codec. Holds them uncompressed
/// meanwhile, at most `decompressed_size_max` bytes.
///
/// [`BatchError::TooLarge`] when the batch is larger than `max_message_bytes` then.
pub(super) fn recompressed(
    batch: &BatchView<'_>,
    target: Compression,
    limits: &ProduceLimits,
    rules: &RecordRules,
    decompressor: &mut Decompressor,
) -> Result<ValidatedBatch, BatchError> {
    let records = decompressor.records(batch, limits.decompressed_size_max)?;
    let summary = walk_records(&mut &records[..], batch.header(), rules)?;
    let (max_timestamp, max_timestamp_delta) = stored_timestamps(limits, summary);
    let mut bytes = Vec::with_capacity(HEADER_SIZE + batch.payload().len());
    bytes.resize(HEADER_SIZE, 0);
    target.compress(&records, &mut bytes);
    if bytes.len() > limits.max_message_bytes {
        return Err(BatchError::TooLarge {
            size: bytes.len(),
            max: limits.max_message_bytes,
        });
    }
    let mut header = *batch.header();
    let length = i32::try_from(bytes.len() - LOG_OVERHEAD);
    header.batch_length = length.expect("max.message.bytes is an int");
    header.attributes = BatchHeader::attributes_of(
        target.codec,
        limits.timestamp_type,
        header.is_transactional(),
        header.is_control(),
    );
    header.max_timestamp = max_timestamp;
    header.seal(&mut bytes);
    Ok(ValidatedBatch::new(
        header,
        Bytes::from(bytes),
        max_timestamp_delta,
    ))
}
