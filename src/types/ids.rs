//! Offsets, epochs and identifiers.

use std::fmt;
use std::sync::Arc;

/// A log offset: the position of a record in a partition, counted in records from 0.
/// As on the wire an `i64`; negative values are only the special ones that a request may carry.
pub type Offset = i64;

/// The epoch of a partition's leader (`partitionLeaderEpoch` of a batch). -1 is "none".
pub type LeaderEpoch = i32;

/// A partition's number within its topic, from 0.
pub type PartitionIndex = i32;

/// Id of a broker or controller (`node.id`).
pub type NodeId = i32;

/// Id of an idempotent producer (KIP-98). -1 is "none".
pub type ProducerId = i64;

/// Epoch of an idempotent producer (KIP-98). -1 is "none".
pub type ProducerEpoch = i16;

/// A core and what it owns: its reactor, its partitions, its connections. 0-based.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ShardId(pub u16);

impl ShardId {
    /// The shard's slot in a table with one entry a shard.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A topic's id (KIP-516): 128 bits, printed as 22 characters of URL-safe base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TopicId(pub [u8; 16]);

impl TopicId {
    /// The id that means "no id".
    pub const ZERO: TopicId = TopicId([0; 16]);

    /// Parses the form that [`fmt::Display`] prints; `None` for anything else.
    pub fn parse(text: &str) -> Option<TopicId> {
        parse_base64(text).map(TopicId)
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print_base64(&self.0, f)
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A log directory's id (KIP-858): drawn when it is formatted, printed as topic ids are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DirectoryId(pub [u8; 16]);

impl DirectoryId {
    /// Nobody has said yet in which directory (Kafka's `DirectoryId.UNASSIGNED`).
    pub const UNASSIGNED: DirectoryId = DirectoryId([0; 16]);

    /// Parses the form that [`fmt::Display`] prints; `None` for anything else.
    pub fn parse(text: &str) -> Option<DirectoryId> {
        parse_base64(text).map(DirectoryId)
    }
}

impl fmt::Display for DirectoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print_base64(&self.0, f)
    }
}

impl fmt::Debug for DirectoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Reads 16 bytes from 22 characters of URL-safe base64.
fn parse_base64(text: &str) -> Option<[u8; 16]> {
    if text.len() != 22 {
        return None;
    }
    let mut bits: u128 = 0;
    let mut tail = 0u8;
    for (index, c) in text.bytes().enumerate() {
        let value = BASE64.iter().position(|&b| b == c)? as u8;
        if index < 21 {
            bits = (bits << 6) | u128::from(value);
        } else {
            tail = value;
        }
    }
    // 21 characters hold 126 bits; the last one holds two bits and four zeros.
    if tail & 0x0f != 0 {
        return None;
    }
    bits = (bits << 2) | u128::from(tail >> 4);
    Some(bits.to_be_bytes())
}

fn print_base64(bytes: &[u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let bits = u128::from_be_bytes(*bytes);
    for index in 0..21 {
        let value = (bits >> (122 - 6 * index)) & 0x3f;
        write!(f, "{}", BASE64[value as usize] as char)?;
    }
    write!(f, "{}", BASE64[((bits & 0x3) << 4) as usize] as char)
}

/// A partition by its topic's name. The directory of its log is its `Display` form, as Kafka's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TopicPartition {
    pub topic: Arc<str>,
    pub partition: PartitionIndex,
}

impl TopicPartition {
    pub fn new(topic: impl Into<Arc<str>>, partition: PartitionIndex) -> TopicPartition {
        TopicPartition {
            topic: topic.into(),
            partition,
        }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// A partition by its topic's id: what two topics of the same name in succession do not share.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TopicIdPartition {
    pub topic_id: TopicId,
    pub partition: PartitionIndex,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_id_prints_as_kafka_does_and_parses_back() {
        // Pair from org.apache.kafka.common.Uuid: Uuid(1, 2).toString().
        let mut bytes = [0u8; 16];
        bytes[7] = 1;
        bytes[15] = 2;
        let id = TopicId(bytes);
        assert_eq!(id.to_string(), "AAAAAAAAAAEAAAAAAAAAAg");
        assert_eq!(TopicId::parse("AAAAAAAAAAEAAAAAAAAAAg"), Some(id));
        assert_eq!(TopicId::parse("AAAAAAAAAAEAAAAAAAAAAh"), None);
        assert_eq!(TopicId::parse("short"), None);
        let all = TopicId([0xff; 16]);
        assert_eq!(TopicId::parse(&all.to_string()), Some(all));
    }
}
