//! The entries of a segment's indexes.

use super::FormatError;
use crate::types::{Offset, ProducerId, Timestamp};

/// Entry of a `.index` file: the batch that ends with `relative_offset` (less the segment's base
/// offset) begins at byte `position`. Both grow from entry to entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct OffsetIndexEntry {
    pub relative_offset: u32,
    pub position: u32,
}

impl OffsetIndexEntry {
    pub const SIZE: usize = 8;

    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..4].copy_from_slice(&self.relative_offset.to_be_bytes());
        bytes[4..].copy_from_slice(&self.position.to_be_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8; Self::SIZE]) -> OffsetIndexEntry {
        let [a, b, c, d, e, f, g, h] = *bytes;
        OffsetIndexEntry {
            relative_offset: u32::from_be_bytes([a, b, c, d]),
            position: u32::from_be_bytes([e, f, g, h]),
        }
    }
}

/// Entry of a `.timeindex` file: no record before `relative_offset` (less the segment's base
/// offset) is later than `timestamp`. Timestamps grow from entry to entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TimeIndexEntry {
    pub timestamp: Timestamp,
    pub relative_offset: u32,
}

impl TimeIndexEntry {
    pub const SIZE: usize = 12;

    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..8].copy_from_slice(&self.timestamp.to_be_bytes());
        bytes[8..].copy_from_slice(&self.relative_offset.to_be_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8; Self::SIZE]) -> TimeIndexEntry {
        let [timestamp @ .., a, b, c, d] = *bytes;
        TimeIndexEntry {
            timestamp: i64::from_be_bytes(timestamp),
            relative_offset: u32::from_be_bytes([a, b, c, d]),
        }
    }
}

/// Entry of Kafka's `.txnindex` file, version 0: a transaction that was aborted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AbortedTransaction {
    pub producer_id: ProducerId,
    pub first_offset: Offset,
    /// Offset of the marker that ended it.
    pub last_offset: Offset,
    /// Last stable offset when it had ended.
    pub last_stable_offset: Offset,
}

impl AbortedTransaction {
    pub const SIZE: usize = 34;
    const VERSION: i16 = 0;

    /// [`FormatError::Version`] if it is not of version 0.
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Result<AbortedTransaction, FormatError> {
        let [a, b, fields @ ..] = *bytes;
        let version = i16::from_be_bytes([a, b]);
        if version != Self::VERSION {
            return Err(FormatError::Version(i64::from(version)));
        }
        let mut numbers = [0; 4];
        for (number, bytes) in numbers.iter_mut().zip(fields.as_chunks::<8>().0) {
            *number = i64::from_be_bytes(*bytes);
        }
        let [producer_id, first_offset, last_offset, last_stable_offset] = numbers;
        Ok(AbortedTransaction {
            producer_id,
            first_offset,
            last_offset,
            last_stable_offset,
        })
    }
}
