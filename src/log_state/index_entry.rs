//! The entries of the two indexes of a segment.

use crate::types::Timestamp;

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
