//! Metadata (3), versions 0-13: brokers, topics, partitions and their leaders.
//!
//! A topic that does not exist is created when the client allows it and the broker does
//! (`auto.create.topics.enable`); the answer then already has its partitions, so that nobody must
//! ask twice. In v0 an empty list means all topics, from v1 on null does. From v12 on a topic may
//! be asked for by id (KIP-516): a request with an id in it asks by ids alone, and names are
//! passed over. v10 and v11 have the field and refuse it, with INVALID_REQUEST for each topic; so
//! is refused what has neither name nor id. What is named twice is answered once.
//!
//! A partition whose log directory is offline has no leader: LEADER_NOT_AVAILABLE, and this node is
//! among its offline replicas (KIP-112).
//!
//! Authorized operations (KIP-430) are all there are, for there is no authorizer that refuses any.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::metadata::{TopicImage, is_internal_topic, validate_topic_name};
use crate::protocol::messages::metadata_request::MetadataRequestTopic;
use crate::protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use crate::protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};
use crate::protocol::{CLUSTER_OPERATIONS, StrBytes, TOPIC_OPERATIONS, from_uuid, to_uuid};
use crate::server::dispatch::{Call, CloseReason, ReplyFuture};
use crate::types::{ErrorCode, TopicId};

/// From this version on clients know LISTENER_NOT_FOUND.
const LISTENER_NOT_FOUND_VERSION_MIN: i16 = 6;

/// From this version on topics may be asked for by id, and names be null.
const TOPIC_ID_VERSION_MIN: i16 = 12;

const NO_LEADER: BrokerId = BrokerId(-1);

/// Which topics a request means.
enum Asked {
    All,
    Ids(BTreeSet<TopicId>),
    Names(BTreeSet<TopicName>),
    /// It says what its version cannot.
    Refused,
}

pub(super) fn handle(call: Call, body: Bytes) -> Result<ReplyFuture, CloseReason> {
    let request: MetadataRequest = call.decode(body)?;
    Ok(Box::pin(async move {
        let mut topics = match asked(call.header.api_version, request.topics.as_deref()) {
            Asked::All => {
                let image = call.node.shard.image();
                let topics = image.topics().map(|topic| topic_response(&call, topic));
                topics.collect()
            }
            Asked::Ids(ids) => by_id(&call, &ids),
            Asked::Names(names) => by_name(&call, &request, names).await?,
            Asked::Refused => return call.finish(&refused(&call, &request)),
        };
        if request.include_topic_authorized_operations {
            let known = topics.iter_mut().filter(|topic| topic.name.is_some());
            known.for_each(|topic| topic.topic_authorized_operations = TOPIC_OPERATIONS);
        }
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
        let mut response = MetadataResponse::default()
            .with_brokers(brokers)
            .with_cluster_id(Some(cluster_id))
            .with_controller_id(node_id)
            .with_topics(topics);
        if request.include_cluster_authorized_operations {
            response.cluster_authorized_operations = CLUSTER_OPERATIONS;
        }
        call.finish(&response)
    }))
}

fn asked(version: i16, topics: Option<&[MetadataRequestTopic]>) -> Asked {
    let Some(topics) = topics.filter(|topics| !(topics.is_empty() && version == 0)) else {
        return Asked::All;
    };
    let ids = topics.iter().map(|topic| from_uuid(topic.topic_id));
    let ids: BTreeSet<TopicId> = ids.filter(|id| *id != TopicId::ZERO).collect();
    let has_nameless = topics.iter().any(|topic| topic.name.is_none());
    match (version >= TOPIC_ID_VERSION_MIN, ids.is_empty()) {
        (true, false) => return Asked::Ids(ids),
        (false, false) => return Asked::Refused,
        (_, true) if has_nameless => return Asked::Refused,
        (_, true) => {}
    }
    let names = topics.iter().filter_map(|topic| topic.name.clone());
    Asked::Names(names.collect())
}

/// Nothing but the error, for each topic.
fn refused(call: &Call, request: &MetadataRequest) -> MetadataResponse {
    call.count_error(ErrorCode::InvalidRequest);
    let topics = request.topics.iter().flatten().map(|topic| {
        MetadataResponseTopic::default()
            .with_error_code(ErrorCode::InvalidRequest.code())
            // Below v12 it cannot be null.
            .with_name(Some(topic.name.clone().unwrap_or_default()))
            .with_topic_id(topic.topic_id)
    });
    MetadataResponse::default()
        .with_cluster_id(None)
        .with_topics(topics.collect())
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
            partition.offline_replicas = partition.replica_nodes.clone();
        }
    }
}

fn by_id(call: &Call, ids: &BTreeSet<TopicId>) -> Vec<MetadataResponseTopic> {
    let image = call.node.shard.image();
    let answers = ids.iter().map(|&topic_id| {
        image.topic(topic_id).map_or_else(
            || unknown(None, topic_id, ErrorCode::UnknownTopicId),
            |found| topic_response(call, found),
        )
    });
    answers.collect()
}

async fn by_name(
    call: &Call,
    request: &MetadataRequest,
    names: BTreeSet<TopicName>,
) -> Result<Vec<MetadataResponseTopic>, CloseReason> {
    let mut failed = Vec::new();
    if request.allow_auto_topic_creation && call.node.config.auto_create_topics_enable {
        let image = call.node.shard.image();
        let missing = names.iter();
        let missing = missing.filter(|name| image.topic_by_name(name).is_none());
        let missing: Vec<String> = missing.map(|name| name.to_string()).collect();
        if !missing.is_empty() {
            let created = call.node.shard.auto_create(missing).await;
            failed = created.ok_or(CloseReason::Stopping)?;
        }
    }
    let image = call.node.shard.image();
    let answers = names
        .into_iter()
        .map(|name| match image.topic_by_name(&name) {
            Some(found) => topic_response(call, found),
            None => {
                let tried = failed
                    .iter()
                    .find(|(tried, _)| tried.as_str() == name.as_str());
                let error = tried.map_or_else(|| absence(&name), |(_, error)| *error);
                unknown(Some(name), TopicId::ZERO, error)
            }
        });
    Ok(answers.collect())
}

/// A name that no topic can have, or one that none has.
fn absence(name: &str) -> ErrorCode {
    match validate_topic_name(name) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    }
}

fn unknown(name: Option<TopicName>, topic_id: TopicId, error: ErrorCode) -> MetadataResponseTopic {
    let is_internal = name.as_ref().is_some_and(|name| is_internal_topic(name));
    MetadataResponseTopic::default()
        .with_error_code(error.code())
        .with_is_internal(is_internal)
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
