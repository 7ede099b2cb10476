//! CreateTopics (19), versions 2-7: new topics, with partitions or manual assignments and configs.
//!
//! The controller decides (names, counts, assignments, configs) as Kafka's does; an answer comes
//! when the topic is durable and served by every shard. From v5 on the answer lists the topic's
//! configuration (KIP-525), from v7 on its id. A request that leaves no time (`timeout_ms` of 0 or
//! below) is answered REQUEST_TIMED_OUT, and nothing is done, as by Kafka's controller.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::config::TopicDescription;
use crate::controller::{CreateTopicResult, CreateTopics, ManualAssignment, NewTopic};
use crate::protocol::messages::create_topics_request::CreatableTopic;
use crate::protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use crate::protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, TopicName};
use crate::protocol::{StrBytes, to_uuid};
use crate::server::dispatch::{Call, CloseReason, ReplyFuture};
use crate::types::ErrorCode;

pub(super) fn handle(call: Call, body: Bytes) -> Result<ReplyFuture, CloseReason> {
    let request: CreateTopicsRequest = call.decode(body)?;
    if request.timeout_ms <= 0 {
        let late = late(&call, &request);
        return call.reply_now(&CreateTopicsResponse::default().with_topics(late));
    }
    Ok(Box::pin(async move {
        let asked = CreateTopics {
            topics: request
                .topics
                .iter()
                .map(|topic| new_topic(&call, topic))
                .collect(),
            validate_only: request.validate_only,
        };
        let created = call
            .node
            .shard
            .create_topics(asked)
            .await
            .ok_or(CloseReason::Stopping)?;
        let description = call.node.shard.broker_settings().describe_topics();
        let results = match created {
            Ok(results) => results
                .into_iter()
                .map(|result| {
                    call.count_error(result.error);
                    response(&description, result)
                })
                .collect(),
            Err(error) => {
                call.count_error(error);
                let topics = request.topics.iter();
                topics.map(|topic| failed(&topic.name, error)).collect()
            }
        };
        call.finish(&CreateTopicsResponse::default().with_topics(results))
    }))
}

fn late(call: &Call, request: &CreateTopicsRequest) -> Vec<CreatableTopicResult> {
    let topics = request.topics.iter().map(|topic| {
        call.count_error(ErrorCode::RequestTimedOut);
        failed(&topic.name, ErrorCode::RequestTimedOut)
    });
    topics.collect()
}

fn new_topic(call: &Call, topic: &CreatableTopic) -> NewTopic {
    let assignments = topic.assignments.iter().map(|assignment| ManualAssignment {
        partition: assignment.partition_index,
        broker_ids: assignment.broker_ids.iter().map(|id| id.0).collect(),
    });
    let configs = topic.configs.iter().map(|config| {
        (
            config.name.to_string(),
            config.value.as_ref().map(|value| value.to_string()),
        )
    });
    NewTopic {
        name: topic.name.to_string(),
        topic_id: call.node.shard.new_topic_id(),
        partition_count: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: assignments.collect(),
        configs: configs.collect(),
    }
}

fn failed(name: &TopicName, error: ErrorCode) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(name.clone())
        .with_error_code(error.code())
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_configs(Some(Vec::new()))
}

fn response(description: &TopicDescription, result: CreateTopicResult) -> CreatableTopicResult {
    let configs = match result.error.is_error() {
        true => Vec::new(),
        false => configs(description, &result.configs),
    };
    CreatableTopicResult::default()
        .with_name(TopicName(StrBytes::from_string(result.name)))
        .with_topic_id(to_uuid(result.topic_id))
        .with_error_code(result.error.code())
        .with_error_message(result.message.map(StrBytes::from_string))
        .with_num_partitions(result.partition_count)
        .with_replication_factor(result.replication_factor)
        .with_configs(Some(configs))
}

/// The whole configuration of a topic with these overrides.
fn configs(
    description: &TopicDescription,
    overrides: &BTreeMap<String, String>,
) -> Vec<CreatableTopicConfigs> {
    let described = description.with(overrides).into_iter().map(|one| {
        // As it was given, blanks and all; DescribeConfigs shows what it means.
        let given = overrides.get(one.key.name).cloned();
        CreatableTopicConfigs::default()
            .with_name(StrBytes::from_static_str(one.key.name))
            .with_value(given.or(one.value).map(StrBytes::from_string))
            .with_config_source(one.source as i8)
    });
    described.collect()
}
