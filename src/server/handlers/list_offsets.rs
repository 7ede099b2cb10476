//! ListOffsets (2), versions 1-10: where a log begins, ends, or passes a time.
//!
//! Timestamps below zero ask for special offsets: -1 the end that may be read, -2 the start, -3 the
//! record with the largest timestamp (from v7 on, KIP-734), -4 the start of what is local (v8,
//! KIP-405; the log start where there is no tier), -5 the end of what is tiered (v9, KIP-1005;
//! none). Others are refused with UNSUPPORTED_VERSION, each for its partition.
//!
//! A partition that is named twice is refused, once, before anything else is looked at, as
//! Kafka does; a topic without partitions is left out of the answer. Consumers see the log up to
//! their `isolation_level` (v2), whose last stable offset is the high watermark; whoever comes with
//! a replica id sees all of it. An isolation level that nobody knows is INVALID_REQUEST (decision
//! 14). `timeout_ms` is for tiered storage.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::partition::{Isolation, OffsetSpec};
use crate::protocol::messages::list_offsets_request::ListOffsetsPartition;
use crate::protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use crate::protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use crate::server::dispatch::{Call, CloseReason, ReplyFuture};
use crate::shard::{ListOffsetsItem, ListedOffset, TopicView};
use crate::types::{ErrorCode, TopicIdPartition};

/// From this version on an answer has the leader epoch.
const LEADER_EPOCH_VERSION_MIN: i16 = 4;

/// The replica id of a consumer.
const CONSUMER_REPLICA_ID: i32 = -1;

/// `isolation_level` of one that wants all records, and of one that wants committed ones alone.
const READ_UNCOMMITTED: i8 = 0;
const READ_COMMITTED: i8 = 1;

/// From this version on a client knows OFFSET_NOT_AVAILABLE.
const OFFSET_NOT_AVAILABLE_VERSION_MIN: i16 = 5;

pub(super) fn handle(call: Call, body: Bytes) -> Result<ReplyFuture, CloseReason> {
    let request: ListOffsetsRequest = call.decode(body)?;
    Ok(Box::pin(async move {
        let mut items = Vec::new();
        let mut slots = Vec::new();
        let mut counts = counts(&request);
        let isolation = isolation(&request);
        for topic in &request.topics {
            let view = call.node.shard.topic_by_name(&topic.name);
            for partition in &topic.partitions {
                let key = (topic.name.as_str(), partition.partition_index);
                let count = counts.get_mut(&key).expect("all are counted");
                let slot = match std::mem::take(count) {
                    0 => Slot::Repeated,
                    1 => match isolation
                        .and_then(|isolation| item(&call, view.as_ref(), partition, isolation))
                    {
                        Ok(item) => {
                            items.push(item);
                            Slot::Asked
                        }
                        Err(error) => Slot::Refused(error),
                    },
                    _ => Slot::Refused(ErrorCode::InvalidRequest),
                };
                slots.push(slot);
            }
        }
        let listed = call.node.shard.list_offsets(items).await;
        let mut listed = listed.ok_or(CloseReason::Stopping)?.into_iter();
        let mut slots = slots.into_iter();
        let topics = request.topics.iter().filter_map(|topic| {
            let partitions = topic.partitions.iter().filter_map(|partition| {
                let offset = match slots.next().expect("a slot for each partition") {
                    Slot::Repeated => return None,
                    Slot::Asked => listed.next().expect("an offset for each item"),
                    Slot::Refused(error) => ListedOffset::failed(error),
                };
                Some(response(&call, partition.partition_index, offset))
            });
            let partitions: Vec<_> = partitions.collect();
            let response = ListOffsetsTopicResponse::default().with_name(topic.name.clone());
            (!partitions.is_empty()).then(|| response.with_partitions(partitions))
        });
        call.finish(&ListOffsetsResponse::default().with_topics(topics.collect()))
    }))
}

/// What becomes of one partition of the request.
enum Slot {
    /// The next of the items that were sent to the owners.
    Asked,
    Refused(ErrorCode),
    /// Named before, where it was answered.
    Repeated,
}

/// How often each partition is named.
fn counts(request: &ListOffsetsRequest) -> BTreeMap<(&str, i32), usize> {
    let mut counts = BTreeMap::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let name = topic.name.as_str();
            *counts.entry((name, partition.partition_index)).or_default() += 1;
        }
    }
    counts
}

fn isolation(request: &ListOffsetsRequest) -> Result<Isolation, ErrorCode> {
    match (request.replica_id.0, request.isolation_level) {
        (CONSUMER_REPLICA_ID, READ_COMMITTED) => Ok(Isolation::ReadCommitted),
        (CONSUMER_REPLICA_ID, READ_UNCOMMITTED) => Ok(Isolation::ReadUncommitted),
        (_, READ_UNCOMMITTED | READ_COMMITTED) => Ok(Isolation::LogEnd),
        _ => Err(ErrorCode::InvalidRequest),
    }
}

fn item(
    call: &Call,
    view: Option<&TopicView>,
    partition: &ListOffsetsPartition,
    isolation: Isolation,
) -> Result<ListOffsetsItem, ErrorCode> {
    let spec = OffsetSpec::from_wire(partition.timestamp, call.header.api_version)?;
    let view = view.ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if !view.has_partition(partition.partition_index) {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    Ok(ListOffsetsItem {
        partition: TopicIdPartition {
            topic_id: view.topic_id,
            partition: partition.partition_index,
        },
        current_leader_epoch: partition.current_leader_epoch,
        spec,
        isolation,
    })
}

fn response(call: &Call, index: i32, mut listed: ListedOffset) -> ListOffsetsPartitionResponse {
    let version = call.header.api_version;
    let is_new_to_it = version < OFFSET_NOT_AVAILABLE_VERSION_MIN;
    if listed.error == ErrorCode::OffsetNotAvailable && is_new_to_it {
        listed.error = ErrorCode::LeaderNotAvailable;
    }
    if version < LEADER_EPOCH_VERSION_MIN {
        listed.leader_epoch = -1;
    }
    call.count_error(listed.error);
    ListOffsetsPartitionResponse::default()
        .with_partition_index(index)
        .with_error_code(listed.error.code())
        .with_timestamp(listed.timestamp)
        .with_offset(listed.offset)
        .with_leader_epoch(listed.leader_epoch)
}
