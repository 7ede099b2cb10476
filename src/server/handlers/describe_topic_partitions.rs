//! DescribeTopicPartitions (75), version 0: topics with their partitions, a page at a time, in the
//! order of their names (KIP-966).
//!
//! A page has at most as many partitions as the client and `max.request.partition.size.limit`
//! allow, and says where the next one begins. A cursor that cannot be is refused with
//! INVALID_REQUEST, which the protocol only has for each topic that was named.
//!
//! Left out: eligible leader replicas, of which a partition with one replica has none (the lists
//! are empty, as Kafka's are then).

use bytes::Bytes;

use crate::metadata::{
    CursorError, PagedTopic, PartitionImage, TopicCursor, TopicPage, is_internal_topic,
    validate_topic_name,
};
use crate::protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use crate::protocol::messages::{
    BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName,
};
use crate::protocol::{OPERATIONS_NOT_ASKED, StrBytes, TOPIC_OPERATIONS, to_uuid};
use crate::server::dispatch::{Call, CloseReason, ReplyFuture};
use crate::types::{ErrorCode, TopicId};

const NO_LEADER: BrokerId = BrokerId(-1);

pub(super) fn handle(call: &Call, body: Bytes) -> Result<ReplyFuture, CloseReason> {
    let request: DescribeTopicPartitionsRequest = call.decode(body)?;
    let names = request.topics.iter().map(|topic| topic.name.to_string());
    let names: Vec<String> = names.collect();
    let cursor = request.cursor.as_ref().map(|cursor| TopicCursor {
        topic: cursor.topic_name.to_string(),
        partition: cursor.partition_index,
    });
    let asked_limit = usize::try_from(request.response_partition_limit).unwrap_or(0);
    let limit = asked_limit.min(call.node.config.max_request_partition_size_limit);
    let image = call.node.shard.image();
    let response = match image.topic_page(&names, cursor.as_ref(), limit) {
        Ok(page) => page_response(call, page),
        Err(error) => refused(call, &request, error),
    };
    call.reply_now(&response)
}

fn page_response(call: &Call, page: TopicPage) -> DescribeTopicPartitionsResponse {
    let next = page.next.map(|cursor| {
        Cursor::default()
            .with_topic_name(TopicName(StrBytes::from_string(cursor.topic)))
            .with_partition_index(cursor.partition)
    });
    let topics = page.topics.iter().map(|topic| topic_response(call, topic));
    DescribeTopicPartitionsResponse::default()
        .with_topics(topics.collect())
        .with_next_cursor(next)
}

fn refused(
    call: &Call,
    request: &DescribeTopicPartitionsRequest,
    error: CursorError,
) -> DescribeTopicPartitionsResponse {
    tracing::debug!(%error, "a DescribeTopicPartitions request is refused");
    call.count_error(ErrorCode::InvalidRequest);
    let topics = request.topics.iter().map(|topic| {
        DescribeTopicPartitionsResponseTopic::default()
            .with_name(Some(topic.name.clone()))
            .with_error_code(ErrorCode::InvalidRequest.code())
            .with_topic_authorized_operations(OPERATIONS_NOT_ASKED)
    });
    DescribeTopicPartitionsResponse::default().with_topics(topics.collect())
}

fn topic_response(call: &Call, paged: &PagedTopic) -> DescribeTopicPartitionsResponseTopic {
    let name = TopicName(StrBytes::from_string(paged.name.clone()));
    let error = match (&paged.topic, validate_topic_name(&paged.name)) {
        (Some(_), _) => ErrorCode::None,
        (None, Ok(())) => ErrorCode::UnknownTopicOrPartition,
        (None, Err(_)) => ErrorCode::InvalidTopicException,
    };
    call.count_error(error);
    let topic = paged.topic.as_ref();
    let partitions = topic.map_or_else(Vec::new, |topic| {
        let numbered = paged.partitions.clone().map(|index| {
            let number = i32::try_from(index).expect("partition numbers are i32");
            partition_response(call, number, &topic.partitions[index])
        });
        numbered.collect()
    });
    let topic_id = topic.map_or(TopicId::ZERO, |topic| topic.topic_id);
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(name))
        .with_error_code(error.code())
        .with_topic_id(to_uuid(topic_id))
        .with_is_internal(is_internal_topic(&paged.name))
        .with_partitions(partitions)
        .with_topic_authorized_operations(TOPIC_OPERATIONS)
}

fn partition_response(
    call: &Call,
    number: i32,
    partition: &PartitionImage,
) -> DescribeTopicPartitionsResponsePartition {
    let brokers = |ids: &[i32]| ids.iter().map(|&id| BrokerId(id)).collect::<Vec<_>>();
    let response = DescribeTopicPartitionsResponsePartition::default()
        .with_partition_index(number)
        .with_leader_epoch(partition.leader_epoch)
        .with_replica_nodes(brokers(&partition.replicas))
        .with_isr_nodes(brokers(&partition.isr))
        .with_eligible_leader_replicas(Some(Vec::new()))
        .with_last_known_elr(Some(Vec::new()));
    // Where the directory is offline, or the client's listener has no address to tell.
    match call.node.shard.has_lost(partition) || call.endpoint().is_none() {
        false => response.with_leader_id(BrokerId(partition.leader)),
        true => response
            .with_leader_id(NO_LEADER)
            .with_offline_replicas(vec![BrokerId(call.node.config.node_id)]),
    }
}
