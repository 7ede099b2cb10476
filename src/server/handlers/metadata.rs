//! Metadata (3), versions 0-13: brokers, topics, partitions and their leaders.
//!
//! A topic that does not exist is created when the client allows it and the broker does
//! (`auto.create.topics.enable`); the answer then already has its partitions, so that nobody must
//! ask twice. In v0 an empty list means all topics, from v1 on null does. From v12 on a topic may
//! be asked for by id.
//!
//! A partition whose log directory is offline has no leader: LEADER_NOT_AVAILABLE, and this node is
//! among its offline replicas (KIP-112).
//!
//! Left out: authorized operations (there is no authorizer; the answer says "not known").

use std::sync::Arc;

use bytes::Bytes;

use crate::metadata::{TopicImage, is_internal_topic};
use crate::protocol::messages::metadata_request::MetadataRequestTopic;
use crate::protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use crate::protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};
use crate::protocol::{StrBytes, from_uuid, to_uuid};
use crate::server::dispatch::{Call, CloseReason, ReplyFuture};
use crate::types::{ErrorCode, TopicId};

/// From this version on clients know LISTENER_NOT_FOUND.
const LISTENER_NOT_FOUND_VERSION_MIN: i16 = 6;

const NO_LEADER: BrokerId = BrokerId(-1);

pub(super) fn handle(call: Call, body: Bytes) -> Result<ReplyFuture, CloseReason> {
    let request: MetadataRequest = call.decode(body)?;
    Ok(Box::pin(async move {
        let topics = match &request.topics {
            Some(topics) if !(topics.is_empty() && call.header.api_version == 0) => {
                named_topics(&call, &request, topics).await?
            }
            _ => {
                let image = call.node.shard.image();
                image
                    .topics()
                    .map(|topic| topic_response(&call, topic))
                    .collect()
            }
        };
        let mut topics: Vec<MetadataResponseTopic> = topics;
        let mut brokers = Vec::new();
        let node_id = BrokerId(call.node.config.node_id);
        match call.endpoint() {
            Some(endpoint) => brokers.push(
                MetadataResponseBroker::default()
                    .with_node_id(node_id)
                    .with_host(StrBytes::from_string(endpoint.host.to_string()))
                    .with_port(i32::from(endpoint.port)),
            ),
            None => topics.iter_mut().for_each(without_leaders(&call)),
        }
        for topic in &topics {
            call.count_error(ErrorCode::from_code(topic.error_code));
        }
        let cluster_id = StrBytes::from_string(call.node.cluster_id.to_string());
        let response = MetadataResponse::default()
            .with_brokers(brokers)
            .with_cluster_id(Some(cluster_id))
            .with_controller_id(node_id)
            .with_topics(topics);
        call.finish(&response)
    }))
}

/// For a client whose listener is not advertised: no partition has a leader that it can reach
/// (Kafka's `KRaftMetadataCache`).
fn without_leaders(call: &Call) -> impl Fn(&mut MetadataResponseTopic) + use<> {
    let error = if call.header.api_version < LISTENER_NOT_FOUND_VERSION_MIN {
        ErrorCode::LeaderNotAvailable
    } else {
        ErrorCode::ListenerNotFound
    };
    move |topic| {
        for partition in &mut topic.partitions {
            partition.error_code = error.code();
            partition.leader_id = NO_LEADER;
        }
    }
}

async fn named_topics(
    call: &Call,
    request: &MetadataRequest,
    topics: &[MetadataRequestTopic],
) -> Result<Vec<MetadataResponseTopic>, CloseReason> {
    let mut failed = Vec::new();
    if request.allow_auto_topic_creation && call.node.config.auto_create_topics_enable {
        let image = call.node.shard.image();
        let missing = topics.iter().filter_map(|topic| topic.name.as_ref());
        let missing = missing.filter(|name| image.topic_by_name(name).is_none());
        let missing: Vec<String> = missing.map(|name| name.to_string()).collect();
        if !missing.is_empty() {
            let created = call.node.shard.auto_create(missing).await;
            failed = created.ok_or(CloseReason::Stopping)?;
        }
    }
    let image = call.node.shard.image();
    let answers = topics.iter().map(|topic| match &topic.name {
        Some(name) => match image.topic_by_name(name) {
            Some(found) => topic_response(call, found),
            None => {
                let tried = failed
                    .iter()
                    .find(|(tried, _)| tried.as_str() == name.as_str());
                let error = tried.map_or_else(|| absence(name), |(_, error)| *error);
                unknown(Some(name.clone()), TopicId::ZERO, error)
            }
        },
        None => {
            let topic_id = from_uuid(topic.topic_id);
            image.topic(topic_id).map_or_else(
                || unknown(None, topic_id, ErrorCode::UnknownTopicId),
                |found| topic_response(call, found),
            )
        }
    });
    Ok(answers.collect())
}

/// A name that no topic can have, or one that none has.
fn absence(name: &str) -> ErrorCode {
    match crate::metadata::validate_topic_name(name) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    }
}

fn unknown(name: Option<TopicName>, topic_id: TopicId, error: ErrorCode) -> MetadataResponseTopic {
    // Below v12 the name cannot be null; it is asked for by name there.
    MetadataResponseTopic::default()
        .with_error_code(error.code())
        .with_name(name)
        .with_topic_id(to_uuid(topic_id))
}

fn topic_response(call: &Call, topic: &Arc<TopicImage>) -> MetadataResponseTopic {
    let partitions = topic
        .partitions
        .iter()
        .enumerate()
        .map(|(index, partition)| {
            let brokers = |ids: &[i32]| ids.iter().map(|&id| BrokerId(id)).collect::<Vec<_>>();
            let response = MetadataResponsePartition::default()
                .with_partition_index(i32::try_from(index).expect("a partition's number is an i32"))
                .with_leader_id(BrokerId(partition.leader))
                .with_leader_epoch(partition.leader_epoch)
                .with_replica_nodes(brokers(&partition.replicas))
                .with_isr_nodes(brokers(&partition.isr));
            match call.node.shard.has_lost(partition) {
                false => response,
                true => response
                    .with_error_code(ErrorCode::LeaderNotAvailable.code())
                    .with_leader_id(NO_LEADER)
                    .with_offline_replicas(vec![BrokerId(call.node.config.node_id)]),
            }
        });
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(
            topic.name.to_string(),
        ))))
        .with_topic_id(to_uuid(topic.topic_id))
        .with_is_internal(is_internal_topic(&topic.name))
        .with_partitions(partitions.collect())
}
