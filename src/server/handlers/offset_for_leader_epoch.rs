//! OffsetForLeaderEpoch (23), versions 2-4: where a leader epoch ended, by which a reader finds out
//! whether its log was truncated (KIP-101, KIP-279, KIP-320).
//!
//! The answer is the largest epoch that is not above the one asked for, and the offset at which the
//! next one starts, or the log ends; -1 and -1 when the log knows of no such epoch.

use bytes::Bytes;

use crate::protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use crate::protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use crate::protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use crate::server::dispatch::{Call, CloseReason, ReplyFuture};
use crate::shard::{EpochEnd, EpochEndItem, TopicView};
use crate::types::{ErrorCode, TopicIdPartition};

/// No such epoch.
const UNDEFINED: (i32, i64) = (-1, -1);

pub(super) fn handle(call: Call, body: Bytes) -> Result<ReplyFuture, CloseReason> {
    let request: OffsetForLeaderEpochRequest = call.decode(body)?;
    Ok(Box::pin(async move {
        let mut items = Vec::new();
        let mut slots = Vec::new();
        for topic in &request.topics {
            let view = call.node.shard.topic_by_name(&topic.topic);
            for partition in &topic.partitions {
                let item = item(view.as_ref(), partition);
                slots.push(item.as_ref().err().copied());
                items.extend(item);
            }
        }
        let ends = call.node.shard.epoch_ends(items).await;
        let mut ends = ends.ok_or(CloseReason::Stopping)?.into_iter();
        let mut slots = slots.into_iter();
        let topics = request.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                let refused = slots.next().expect("a slot for each partition");
                let end = match refused {
                    Some(error) => Err(error),
                    None => ends.next().expect("an answer for each item"),
                };
                answer(&call, partition.partition, end)
            });
            OffsetForLeaderTopicResult::default()
                .with_partitions(partitions.collect())
                .with_topic(topic.topic)
        });
        call.finish(&OffsetForLeaderEpochResponse::default().with_topics(topics.collect()))
    }))
}

fn item(
    view: Option<&TopicView>,
    asked: &OffsetForLeaderPartition,
) -> Result<EpochEndItem, ErrorCode> {
    let view = view.filter(|view| view.has_partition(asked.partition));
    let view = view.ok_or(ErrorCode::UnknownTopicOrPartition)?;
    Ok(EpochEndItem {
        partition: TopicIdPartition {
            topic_id: view.topic_id,
            partition: asked.partition,
        },
        current_leader_epoch: asked.current_leader_epoch,
        leader_epoch: asked.leader_epoch,
    })
}

fn answer(call: &Call, partition: i32, end: Result<EpochEnd, ErrorCode>) -> EpochEndOffset {
    let error = end.err().unwrap_or(ErrorCode::None);
    call.count_error(error);
    let (leader_epoch, end_offset) = end.ok().flatten().unwrap_or(UNDEFINED);
    EpochEndOffset::default()
        .with_error_code(error.code())
        .with_partition(partition)
        .with_leader_epoch(leader_epoch)
        .with_end_offset(end_offset)
}
