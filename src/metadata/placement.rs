//! Which shard owns a partition.

use crate::types::{PartitionIndex, ShardId, TopicId};

/// The shard of this node that owns a partition: its log, its leader, its coordinator.
///
/// A pure function of its arguments, so that every core knows without asking. Consecutive
/// partitions of a topic go to consecutive shards, so they spread as evenly as they can; where a
/// topic begins depends on a hash of its id (FNV-1a), so that single-partition topics spread too.
/// Nothing on disk depends on it: `shard_count` may change between two starts.
pub fn owner_shard(topic_id: TopicId, partition: PartitionIndex, shard_count: u16) -> ShardId {
    assert!(shard_count > 0, "a node has at least one shard");
    assert!(partition >= 0, "partition {partition} is not a partition");
    const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const FNV_PRIME: u64 = 0x0100_0000_01b3;
    let hash = topic_id.0.iter().fold(FNV_OFFSET, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME)
    });
    // The high half: the low bits of an FNV hash mix poorly.
    let first = (hash >> 32) % u64::from(shard_count);
    let shard = (first + partition as u64) % u64::from(shard_count);
    ShardId(shard as u16)
}
