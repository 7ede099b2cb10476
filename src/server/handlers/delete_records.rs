//! DeleteRecords (21), versions 0-2: what lies before an offset is deleted (KIP-107).
//!
//! Answered with the new start of each log, which is durable then. The files go later, with
//! retention. Of a partition that is named twice the last offset counts, as in Kafka.
//!
//! Left out: `timeout_ms`, which is for replicas that do not follow; there is one replica.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use crate::protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse, TopicName};
use crate::server::dispatch::{Call, CloseReason, ReplyFuture};
use crate::shard::DeleteRecordsItem;
use crate::types::{ErrorCode, Offset, TopicIdPartition};

/// The low watermark of an answer with an error.
const NO_LOW_WATERMARK: Offset = -1;

/// Kafka's own topics, whose records only Kafka deletes (`Topic.INTERNAL_TOPICS`).
const INTERNAL_TOPICS: [&str; 3] = [
    "__consumer_offsets",
    "__transaction_state",
    "__share_group_state",
];

pub(super) fn handle(call: Call, body: Bytes) -> Result<ReplyFuture, CloseReason> {
    let request: DeleteRecordsRequest = call.decode(body)?;
    Ok(Box::pin(async move {
        let mut asked: BTreeMap<TopicName, BTreeMap<i32, Offset>> = BTreeMap::new();
        for topic in request.topics {
            let partitions = asked.entry(topic.name).or_default();
            let offsets = topic.partitions.iter();
            partitions.extend(offsets.map(|one| (one.partition_index, one.offset)));
        }
        let mut items = Vec::new();
        let mut slots = Vec::new();
        for (name, partitions) in &asked {
            for (&partition, &offset) in partitions {
                let item = item(&call, name, partition, offset);
                slots.push(item.as_ref().err().copied());
                items.extend(item);
            }
        }
        let deleted = call.node.shard.delete_records(items).await;
        let mut deleted = deleted.ok_or(CloseReason::Stopping)?.into_iter();
        let mut slots = slots.into_iter();
        let topics = asked.into_iter().map(|(name, partitions)| {
            let results = partitions.keys().map(|&index| {
                let refused = slots.next().expect("a slot for each partition");
                let result = match refused {
                    Some(error) => Err(error),
                    None => deleted.next().expect("an answer for each item"),
                };
                let error = result.err().unwrap_or(ErrorCode::None);
                call.count_error(error);
                DeleteRecordsPartitionResult::default()
                    .with_partition_index(index)
                    .with_low_watermark(result.unwrap_or(NO_LOW_WATERMARK))
                    .with_error_code(error.code())
            });
            DeleteRecordsTopicResult::default()
                .with_partitions(results.collect())
                .with_name(name)
        });
        call.finish(&DeleteRecordsResponse::default().with_topics(topics.collect()))
    }))
}

fn item(
    call: &Call,
    name: &str,
    partition: i32,
    before_offset: Offset,
) -> Result<DeleteRecordsItem, ErrorCode> {
    let view = call.node.shard.topic_by_name(name);
    let view = view.filter(|view| view.has_partition(partition));
    let view = view.ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if INTERNAL_TOPICS.contains(&name) {
        return Err(ErrorCode::InvalidTopicException);
    }
    Ok(DeleteRecordsItem {
        partition: TopicIdPartition {
            topic_id: view.topic_id,
            partition,
        },
        before_offset,
    })
}
