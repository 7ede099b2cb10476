//! DescribeProducers (61), version 0: the idempotent producers that a partition remembers
//! (KIP-664).
//!
//! A partition that a request names again is refused with INVALID_REQUEST, so that an answer is not
//! larger than what the broker knows; Kafka repeats it.
//!
//! Left out: transactions, of which none is open (`current_txn_start_offset` is -1, unless a log of
//! Kafka's was taken over with one in it). Silent producers are listed until they are forgotten
//! (`producer.id.expiration.ms`).

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::log_state::ProducerEntry;
use crate::metadata::validate_topic_name;
use crate::protocol::StrBytes;
use crate::protocol::messages::describe_producers_request::TopicRequest;
use crate::protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use crate::protocol::messages::{DescribeProducersRequest, DescribeProducersResponse, ProducerId};
use crate::server::dispatch::{Call, CloseReason, ReplyFuture};
use crate::types::{ErrorCode, TopicIdPartition};

/// Why a partition is not described, with a sentence where the whole topic is refused.
type Refused = (ErrorCode, Option<String>);

pub(super) fn handle(call: Call, body: Bytes) -> Result<ReplyFuture, CloseReason> {
    let request: DescribeProducersRequest = call.decode(body)?;
    let mut asked = Vec::new();
    let mut refused = Vec::new();
    let mut seen = BTreeSet::new();
    for topic in &request.topics {
        for &number in &topic.partition_indexes {
            refused.push(match find(&call, topic, number) {
                Ok(partition) if seen.insert(partition) => {
                    asked.push(partition);
                    None
                }
                Ok(_) => {
                    let message = "The partition is named more than once.".to_owned();
                    Some((ErrorCode::InvalidRequest, Some(message)))
                }
                Err(refused) => Some(refused),
            });
        }
    }
    let described = call.node.shard.describe_producers(asked);
    Ok(Box::pin(async move {
        let described = described.await.ok_or(CloseReason::Stopping)?;
        let mut described = described.into_iter();
        let mut refused = refused.into_iter();
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partition_indexes.iter().map(|&number| {
                let refused = refused.next().expect("a slot for each partition");
                let outcome = match refused {
                    Some(refused) => Err(refused),
                    None => described
                        .next()
                        .expect("an answer for each partition")
                        .map_err(|error| (error, None)),
                };
                partition_response(&call, number, outcome)
            });
            TopicResponse::default()
                .with_partitions(partitions.collect())
                .with_name(topic.name.clone())
        });
        call.finish(&DescribeProducersResponse::default().with_topics(topics.collect()))
    }))
}

fn find(call: &Call, topic: &TopicRequest, number: i32) -> Result<TopicIdPartition, Refused> {
    validate_topic_name(&topic.name)
        .map_err(|message| (ErrorCode::InvalidTopicException, Some(message)))?;
    let view = call.node.shard.topic_by_name(&topic.name).ok_or_else(|| {
        let message = "This server does not host this topic-partition.";
        let message = Some(message.to_owned());
        (ErrorCode::UnknownTopicOrPartition, message)
    })?;
    match view.has_partition(number) {
        true => Ok(TopicIdPartition {
            topic_id: view.topic_id,
            partition: number,
        }),
        false => Err((ErrorCode::UnknownTopicOrPartition, None)),
    }
}

fn partition_response(
    call: &Call,
    number: i32,
    outcome: Result<Vec<ProducerEntry>, Refused>,
) -> PartitionResponse {
    let response = PartitionResponse::default().with_partition_index(number);
    match outcome {
        Ok(producers) => {
            let producers = producers.iter().map(producer_state);
            response.with_active_producers(producers.collect())
        }
        Err((error, message)) => {
            call.count_error(error);
            response
                .with_error_code(error.code())
                .with_error_message(message.map(StrBytes::from_string))
        }
    }
}

fn producer_state(entry: &ProducerEntry) -> ProducerState {
    ProducerState::default()
        .with_producer_id(ProducerId(entry.producer_id))
        .with_producer_epoch(i32::from(entry.producer_epoch))
        .with_last_sequence(entry.last_sequence())
        .with_last_timestamp(entry.last_timestamp)
        .with_coordinator_epoch(entry.coordinator_epoch)
        .with_current_txn_start_offset(entry.current_txn_first_offset.unwrap_or(-1))
}
