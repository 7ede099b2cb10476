//! The header of a batch, and a batch with its bytes.

use std::ops::Deref;

use super::compression::Codec;
use super::error::BatchError;
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

/// Bytes of base offset and batch length, which `batch_length` does not count.
pub const LOG_OVERHEAD: usize = 12;

/// Bytes up to and with the leader epoch: what a log patches.
pub const HEAD_SIZE: usize = 16;

/// First byte that the CRC covers.
pub const CRC_START: usize = 21;

/// Bytes before the first record.
pub const HEADER_SIZE: usize = 61;

/// `timestamp` of a record that has none.
pub const NO_TIMESTAMP: Timestamp = -1;

/// `base_sequence` of a batch without one.
pub const NO_SEQUENCE: i32 = -1;

/// `partition_leader_epoch` before a leader has set it.
pub const NO_LEADER_EPOCH: LeaderEpoch = -1;

pub(super) const MAGIC: i8 = 2;
pub(super) const MAGIC_POSITION: usize = 16;
const CRC_POSITION: usize = 17;

const CODEC_MASK: i16 = 0x07;
const LOG_APPEND_TIME_FLAG: i16 = 0x08;
const TRANSACTIONAL_FLAG: i16 = 0x10;
const CONTROL_FLAG: i16 = 0x20;
const DELETE_HORIZON_FLAG: i16 = 0x40;

/// What a batch's timestamps are (`message.timestamp.type`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TimestampType {
    #[default]
    CreateTime,
    LogAppendTime,
}

/// Who wrote a batch idempotently, and where in that producer's sequence it stands (KIP-98).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Producer {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
    /// Sequence of the first record; [`NO_SEQUENCE`] in the end markers of transactions.
    pub base_sequence: i32,
}

/// The fields of a header, read out of its [`HEADER_SIZE`] bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchHeader {
    pub base_offset: Offset,
    /// Bytes from the leader epoch to the end.
    pub batch_length: i32,
    pub partition_leader_epoch: LeaderEpoch,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: Timestamp,
    pub max_timestamp: Timestamp,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub base_sequence: i32,
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`; the records need not be there.
    ///
    /// Checks the length and the magic, nothing else: [`BatchError::Truncated`],
    /// [`BatchError::Length`], [`BatchError::OldMagic`], [`BatchError::UnknownMagic`].
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        let Some(header) = bytes.first_chunk::<HEADER_SIZE>() else {
            return Err(cut_header(bytes));
        };
        let batch_length = i32::from_be_bytes(field(header, 8));
        match header[MAGIC_POSITION] as i8 {
            MAGIC => {}
            magic @ 0..MAGIC => return Err(BatchError::OldMagic(magic)),
            magic => return Err(BatchError::UnknownMagic(magic)),
        }
        if batch_length < (HEADER_SIZE - LOG_OVERHEAD) as i32 {
            return Err(BatchError::Length(batch_length));
        }
        Ok(BatchHeader {
            base_offset: i64::from_be_bytes(field(header, 0)),
            batch_length,
            partition_leader_epoch: i32::from_be_bytes(field(header, 12)),
            crc: u32::from_be_bytes(field(header, CRC_POSITION)),
            attributes: i16::from_be_bytes(field(header, CRC_START)),
            last_offset_delta: i32::from_be_bytes(field(header, 23)),
            base_timestamp: i64::from_be_bytes(field(header, 27)),
            max_timestamp: i64::from_be_bytes(field(header, 35)),
            producer_id: i64::from_be_bytes(field(header, 43)),
            producer_epoch: i16::from_be_bytes(field(header, 51)),
            base_sequence: i32::from_be_bytes(field(header, 53)),
            record_count: i32::from_be_bytes(field(header, 57)),
        })
    }

    /// Bytes of the whole batch.
    pub fn size_in_bytes(&self) -> usize {
        LOG_OVERHEAD + self.batch_length as usize
    }

    /// Offset of the last record (or of the last one there was, after compaction).
    pub fn last_offset(&self) -> Offset {
        self.base_offset
            .wrapping_add(i64::from(self.last_offset_delta))
    }

    /// The offset after this batch.
    pub fn next_offset(&self) -> Offset {
        self.last_offset().wrapping_add(1)
    }

    /// The codec of the records, or the unknown number of it.
    pub fn codec(&self) -> Result<Codec, BatchError> {
        Codec::from_id((self.attributes & CODEC_MASK) as u8)
    }

    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & LOG_APPEND_TIME_FLAG == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_FLAG != 0
    }

    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_FLAG != 0
    }

    /// When a compacted tombstone or marker may go, in ms; it stands where the base timestamp was
    /// (KIP-534).
    pub fn delete_horizon_ms(&self) -> Option<Timestamp> {
        (self.attributes & DELETE_HORIZON_FLAG != 0).then_some(self.base_timestamp)
    }

    /// The idempotent producer, if there is one.
    pub fn producer(&self) -> Option<Producer> {
        (self.producer_id >= 0).then_some(Producer {
            id: self.producer_id,
            epoch: self.producer_epoch,
            base_sequence: self.base_sequence,
        })
    }

    /// Sequence of the last record; sequences go from `i32::MAX` to 0. [`NO_SEQUENCE`] without one.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return NO_SEQUENCE;
        }
        self.base_sequence.wrapping_add(self.last_offset_delta) & i32::MAX
    }

    /// The first [`HEAD_SIZE`] bytes of this batch at `base_offset`, appended under `leader_epoch`.
    /// Neither is covered by the CRC.
    pub fn head(&self, base_offset: Offset, leader_epoch: LeaderEpoch) -> [u8; HEAD_SIZE] {
        let mut head = [0; HEAD_SIZE];
        head[..8].copy_from_slice(&base_offset.to_be_bytes());
        head[8..12].copy_from_slice(&self.batch_length.to_be_bytes());
        head[12..].copy_from_slice(&leader_epoch.to_be_bytes());
        head
    }

    /// The attribute bits for these properties.
    pub(super) fn attributes_of(
        codec: Codec,
        timestamp_type: TimestampType,
        is_transactional: bool,
        is_control: bool,
    ) -> i16 {
        let mut attributes = i16::from(codec.id());
        if timestamp_type == TimestampType::LogAppendTime {
            attributes |= LOG_APPEND_TIME_FLAG;
        }
        if is_transactional {
            attributes |= TRANSACTIONAL_FLAG;
        }
        if is_control {
            attributes |= CONTROL_FLAG;
        }
        attributes
    }

    /// Changes timestamp type and largest timestamp; the CRC is then stale.
    pub(super) fn set_timestamps(&mut self, timestamp_type: TimestampType, max: Timestamp) {
        self.attributes &= !LOG_APPEND_TIME_FLAG;
        if timestamp_type == TimestampType::LogAppendTime {
            self.attributes |= LOG_APPEND_TIME_FLAG;
        }
        self.max_timestamp = max;
    }

    /// Writes this header over the start of `batch`, a whole batch, with the CRC that its bytes
    /// have afterwards; keeps that CRC.
    pub(super) fn seal(&mut self, batch: &mut [u8]) {
        assert_eq!(
            batch.len(),
            self.size_in_bytes(),
            "a header seals one batch"
        );
        let head = self.head(self.base_offset, self.partition_leader_epoch);
        batch[..HEAD_SIZE].copy_from_slice(&head);
        batch[MAGIC_POSITION] = MAGIC as u8;
        put(batch, CRC_START, self.attributes.to_be_bytes());
        put(batch, 23, self.last_offset_delta.to_be_bytes());
        put(batch, 27, self.base_timestamp.to_be_bytes());
        put(batch, 35, self.max_timestamp.to_be_bytes());
        put(batch, 43, self.producer_id.to_be_bytes());
        put(batch, 51, self.producer_epoch.to_be_bytes());
        put(batch, 53, self.base_sequence.to_be_bytes());
        put(batch, 57, self.record_count.to_be_bytes());
        self.crc = crc32c::crc32c(&batch[CRC_START..]);
        put(batch, CRC_POSITION, self.crc.to_be_bytes());
    }
}

/// A buffer that ends inside a header: still says what it can about the magic and the length.
fn cut_header(bytes: &[u8]) -> BatchError {
    if bytes.is_empty() {
        return BatchError::Empty;
    }
    if let Some(length) = bytes[..].get(8..LOG_OVERHEAD) {
        let length = i32::from_be_bytes(length.try_into().expect("four bytes"));
        if length < (HEADER_SIZE - LOG_OVERHEAD) as i32 {
            // Formats 0 and 1 have shorter headers, and a producer of those is told so.
            return match bytes.get(MAGIC_POSITION) {
                Some(&magic @ 0..=1) => BatchError::OldMagic(magic as i8),
                _ => BatchError::Length(length),
            };
        }
    }
    BatchError::Truncated {
        needed: HEADER_SIZE,
        available: bytes.len(),
    }
}

fn field<const N: usize>(header: &[u8; HEADER_SIZE], position: usize) -> [u8; N] {
    *header[position..]
        .first_chunk()
        .expect("a field inside the header")
}

fn put<const N: usize>(batch: &mut [u8], position: usize, value: [u8; N]) {
    batch[position..position + N].copy_from_slice(&value);
}

/// One whole batch: its header and exactly its bytes.
#[derive(Clone, Copy, Debug)]
pub struct BatchView<'a> {
    header: BatchHeader,
    bytes: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// The batch at the start of `bytes`, which may go on after it. Errors as
    /// [`BatchHeader::parse`], and [`BatchError::Truncated`] when the records are cut off.
    pub fn parse(bytes: &'a [u8]) -> Result<BatchView<'a>, BatchError> {
        let header = BatchHeader::parse(bytes)?;
        let size = header.size_in_bytes();
        let bytes = bytes.get(..size).ok_or(BatchError::Truncated {
            needed: size,
            available: bytes.len(),
        })?;
        Ok(BatchView { header, bytes })
    }

    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What follows the header: the records as they were sent, compressed or not.
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[HEADER_SIZE..]
    }

    /// [`BatchError::Crc`] if the bytes are not those that the writer sealed.
    pub fn check_crc(&self) -> Result<(), BatchError> {
        let computed = crc32c::crc32c(&self.bytes[CRC_START..]);
        if computed == self.header.crc {
            return Ok(());
        }
        Err(BatchError::Crc {
            stored: self.header.crc,
            computed,
        })
    }
}

impl Deref for BatchView<'_> {
    type Target = BatchHeader;
    fn deref(&self) -> &BatchHeader {
        &self.header
    }
}

#[cfg(test)]
mod tests;
