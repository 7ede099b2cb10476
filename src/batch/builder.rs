//! Making batches: for our producer and for the broker's own logs.

use bytes::Bytes;

use super::compression::{Codec, Compression};
use super::header::{
    BatchHeader, BatchView, HEADER_SIZE, LOG_OVERHEAD, NO_LEADER_EPOCH, NO_SEQUENCE, NO_TIMESTAMP,
    Producer, TimestampType,
};
use super::record::{Header, RecordParts};
use crate::types::{LeaderEpoch, Offset, Timestamp};

/// What a batch is to be, besides its records. The default is a producer's plain batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchOptions {
    /// 0 from producers; the log fills in the real one.
    pub base_offset: Offset,
    pub partition_leader_epoch: LeaderEpoch,
    pub compression: Compression,
    /// `Some(now)` makes it a LogAppendTime batch with that time.
    pub log_append_time: Option<Timestamp>,
    pub producer: Option<Producer>,
    pub is_transactional: bool,
    pub is_control: bool,
}

impl Default for BatchOptions {
    fn default() -> BatchOptions {
        BatchOptions {
            base_offset: 0,
            partition_leader_epoch: NO_LEADER_EPOCH,
            compression: Compression::default(),
            log_append_time: None,
            producer: None,
            is_transactional: false,
            is_control: false,
        }
    }
}

/// Collects records into one batch. Lives with whoever fills it; the records are written once, and
/// an uncompressed batch is handed out without a copy.
#[derive(Debug)]
pub struct BatchBuilder {
    options: BatchOptions,
    /// Room for the header, then the records, not compressed.
    buffer: Vec<u8>,
    record_count: i32,
    last_offset_delta: i32,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
}

impl BatchBuilder {
    /// `capacity` bytes are reserved at once (`batch.size`); a batch may grow beyond.
    pub fn new(options: BatchOptions, capacity: usize) -> BatchBuilder {
        let mut buffer = Vec::with_capacity(capacity.max(HEADER_SIZE));
        buffer.resize(HEADER_SIZE, 0);
        BatchBuilder {
            options,
            buffer,
            record_count: 0,
            last_offset_delta: -1,
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
        }
    }

    /// Appends a record at the next offset. `timestamp` is in ms, [`NO_TIMESTAMP`] or from 0.
    pub fn append(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) {
        let offset_delta = self.next_offset_delta();
        self.append_at(offset_delta, timestamp, key, value, headers);
    }

    /// Appends a record that far behind the base offset, which may leave a gap.
    pub fn append_at(
        &mut self,
        offset_delta: i32,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) {
        assert!(offset_delta > self.last_offset_delta, "offsets ascend");
        assert!(timestamp >= NO_TIMESTAMP, "timestamps are -1 or from 0");
        if self.record_count == 0 {
            self.base_timestamp = timestamp;
        }
        let record = RecordParts {
            offset_delta,
            timestamp_delta: timestamp - self.base_timestamp,
            key,
            value,
            headers,
        };
        record.write(&mut self.buffer);
        self.record_count += 1;
        self.last_offset_delta = offset_delta;
        self.max_timestamp = self.max_timestamp.max(timestamp);
    }

    /// Bytes of the batch, not compressed, if this record were appended: to decide before.
    pub fn size_with(
        &self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> usize {
        let base_timestamp = if self.is_empty() {
            timestamp
        } else {
            self.base_timestamp
        };
        let record = RecordParts {
            offset_delta: self.next_offset_delta(),
            timestamp_delta: timestamp - base_timestamp,
            key,
            value,
            headers,
        };
        self.buffer.len() + record.size_in_bytes()
    }

    /// Bytes of the batch so far, not compressed.
    pub fn size_in_bytes(&self) -> usize {
        self.buffer.len()
    }

    pub fn record_count(&self) -> i32 {
        self.record_count
    }

    pub fn is_empty(&self) -> bool {
        self.record_count == 0
    }

    pub fn max_timestamp(&self) -> Timestamp {
        self.max_timestamp
    }

    /// Sequences are known only when a batch is sent.
    pub fn set_producer(&mut self, producer: Producer, is_transactional: bool) {
        self.options.producer = Some(producer);
        self.options.is_transactional = is_transactional;
    }

    /// The finished batch. It has at least one record.
    pub fn close(self) -> Bytes {
        assert!(!self.is_empty(), "a batch has at least one record");
        let mut header = self.header();
        let mut batch = match self.options.compression.codec {
            Codec::None => self.buffer,
            _ => {
                let mut batch = Vec::with_capacity(self.buffer.len() / 2);
                batch.resize(HEADER_SIZE, 0);
                let records = &self.buffer[HEADER_SIZE..];
                self.options.compression.compress(records, &mut batch);
                batch
            }
        };
        let length = i32::try_from(batch.len() - LOG_OVERHEAD);
        header.batch_length = length.expect("a batch has less than 2 GiB");
        header.seal(&mut batch);
        Bytes::from(batch)
    }

    /// The header but for the length and the CRC.
    fn header(&self) -> BatchHeader {
        let options = &self.options;
        let timestamp_type = match options.log_append_time {
            None => TimestampType::CreateTime,
            Some(_) => TimestampType::LogAppendTime,
        };
        let producer = options.producer.unwrap_or(Producer {
            id: -1,
            epoch: -1,
            base_sequence: NO_SEQUENCE,
        });
        BatchHeader {
            base_offset: options.base_offset,
            batch_length: 0,
            partition_leader_epoch: options.partition_leader_epoch,
            crc: 0,
            attributes: BatchHeader::attributes_of(
                options.compression.codec,
                timestamp_type,
                options.is_transactional,
                options.is_control,
            ),
            last_offset_delta: self.last_offset_delta,
            base_timestamp: self.base_timestamp,
            max_timestamp: options.log_append_time.unwrap_or(self.max_timestamp),
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            base_sequence: producer.base_sequence,
            record_count: self.record_count,
        }
    }

    fn next_offset_delta(&self) -> i32 {
        let next = self.last_offset_delta.checked_add(1);
        next.expect("a batch has less than 2^31 records")
    }
}

/// A copy of `batch` as a LogAppendTime batch of that time, with a new CRC. The records stay.
pub fn with_log_append_time(batch: &BatchView<'_>, now: Timestamp) -> Bytes {
    rewrite_timestamps(batch, TimestampType::LogAppendTime, now).1
}

/// A copy of `batch` with another timestamp type and largest timestamp, and its header.
pub(super) fn rewrite_timestamps(
    batch: &BatchView<'_>,
    timestamp_type: TimestampType,
    max_timestamp: Timestamp,
) -> (BatchHeader, Bytes) {
    let mut header = *batch.header();
    header.set_timestamps(timestamp_type, max_timestamp);
    let mut bytes = batch.bytes().to_vec();
    header.seal(&mut bytes);
    (header, Bytes::from(bytes))
}

#[cfg(test)]
mod tests;
