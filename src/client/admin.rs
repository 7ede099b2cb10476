//! Short calls about topics, offsets and the cluster, repeated while that may help.

use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use super::cluster_view::{BrokerAddress, ClusterView, TopicView};
use super::connection::Connection;
use super::error::ClientError;
use super::routing::Client;
use crate::protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use crate::protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use crate::protocol::messages::delete_topics_request::DeleteTopicState;
use crate::protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use crate::protocol::messages::metadata_request::MetadataRequestTopic;
use crate::protocol::messages::{
    CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest, DescribeClusterRequest,
    ListOffsetsRequest, MetadataRequest, TopicName,
};
use crate::protocol::{ApiKey, StrBytes, from_uuid};
use crate::types::{ErrorCode, NodeId, Offset, PartitionIndex, Timestamp, TopicId};

/// The offset of a DeleteRecords request that means all that may be read.
const HIGH_WATERMARK: Offset = -1;

/// First version of DeleteTopics that names topics in structs.
pub(super) const DELETE_TOPICS_STATES_FROM: i16 = 6;

/// Administrative calls. Those that change something are repeated only when the broker refused
/// them; after a broken connection their fate is unknown and the error says so.
#[derive(Clone)]
pub struct Admin {
    pub(super) client: Client,
}

/// A topic to be created.
#[derive(Clone, Debug, Default)]
pub struct NewTopic {
    pub name: String,
    /// `None`: `num.partitions` of the broker.
    pub partition_count: Option<i32>,
    /// `None`: `default.replication.factor` of the broker.
    pub replication_factor: Option<i16>,
    /// Overrides, by Kafka's keys.
    pub configs: BTreeMap<String, String>,
}

/// What became of one topic of a call.
#[derive(Clone, Debug)]
pub struct TopicResult {
    pub name: String,
    /// The topic's id, where the broker says it.
    pub result: Result<TopicId, ClientError>,
}

/// Which offset of a partition is asked for (ListOffsets).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The log start offset.
    Earliest,
    /// The high watermark.
    Latest,
    /// Of the first record with this timestamp (ms) or a later one.
    Timestamp(Timestamp),
    /// Of the record with the largest timestamp (KIP-734).
    MaxTimestamp,
}

impl OffsetSpec {
    fn on_wire(self) -> i64 {
        match self {
            OffsetSpec::Latest => -1,
            OffsetSpec::Earliest => -2,
            OffsetSpec::MaxTimestamp => -3,
            OffsetSpec::Timestamp(timestamp) => timestamp,
        }
    }
}

impl Admin {
    pub fn new(client: &Client) -> Admin {
        Admin {
            client: client.clone(),
        }
    }

    /// Creates topics; one result each, in the order of the arguments.
    pub async fn create_topics(
        &self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<Vec<TopicResult>, ClientError> {
        let wanted = topics.iter().map(creatable_topic).collect();
        let request = CreateTopicsRequest::default()
            .with_topics(wanted)
            .with_timeout_ms(millis(self.client.options().request_timeout))
            .with_validate_only(validate_only);
        let request = &request;
        let response = self
            .retry(|| async move {
                let connection = self.controller().await?;
                let version = connection.version(ApiKey::CreateTopics, i16::MAX)?;
                let response = connection.call(version, request).await?;
                let codes = response.topics.iter().map(|topic| topic.error_code);
                check_controller("create topics", codes)?;
                Ok(response)
            })
            .await?;
        let answers = response.topics.into_iter().map(|topic| {
            let name = topic.name.0.to_string();
            let message = topic.error_message.as_deref();
            let topic_id = from_uuid(topic.topic_id);
            (
                name.clone(),
                TopicResult::of(name, topic.error_code, message, topic_id),
            )
        });
        Ok(in_order(
            topics.iter().map(|topic| topic.name.as_str()),
            answers.collect(),
        ))
    }

    /// Deletes topics by name; one result each, in the order of the arguments.
    pub async fn delete_topics(&self, names: &[&str]) -> Result<Vec<TopicResult>, ClientError> {
        let response = self
            .retry(|| async move {
                let connection = self.controller().await?;
                let version = connection.version(ApiKey::DeleteTopics, i16::MAX)?;
                let mut request = DeleteTopicsRequest::default()
                    .with_timeout_ms(millis(self.client.options().request_timeout));
                let wanted = names.iter().map(|name| topic_name(name));
                if version >= DELETE_TOPICS_STATES_FROM {
                    let states =
                        wanted.map(|name| DeleteTopicState::default().with_name(Some(name)));
                    request.topics = states.collect();
                } else {
                    request.topic_names = wanted.collect();
                }
                let response = connection.call(version, &request).await?;
                let codes = response.responses.iter().map(|topic| topic.error_code);
                check_controller("delete topics", codes)?;
                Ok(response)
            })
            .await?;
        let answers = response.responses.into_iter().filter_map(|topic| {
            let name = topic.name?.0.to_string();
            let message = topic.error_message.as_deref();
            let topic_id = from_uuid(topic.topic_id);
            Some((
                name.clone(),
                TopicResult::of(name, topic.error_code, message, topic_id),
            ))
        });
        Ok(in_order(names.iter().copied(), answers.collect()))
    }

    /// All topics of the cluster (`None`), or these; topics that do not exist carry an error.
    /// Creates nothing.
    pub async fn describe_topics(
        &self,
        names: Option<&[&str]>,
    ) -> Result<Vec<TopicView>, ClientError> {
        let view = self.metadata(names).await?;
        Ok(view.topics.into_values().collect())
    }

    /// The brokers, the controller and the cluster's id.
    pub async fn describe_cluster(&self) -> Result<ClusterView, ClientError> {
        self.retry(|| async move {
            let connection = self.client.any_connection().await?;
            let Ok(version) = connection.version(ApiKey::DescribeCluster, i16::MAX) else {
                return self.metadata(Some(&[])).await;
            };
            let request = DescribeClusterRequest::default();
            let response = connection.call(version, &request).await?;
            let message = response.error_message.as_deref();
            ClientError::check(response.error_code, || "describe cluster".into(), message)?;
            let brokers = response.brokers.iter().filter_map(|broker| {
                let port = u16::try_from(broker.port).ok()?;
                let host = broker.host.to_string();
                Some((broker.broker_id.0, BrokerAddress { host, port }))
            });
            Ok(ClusterView {
                cluster_id: Some(response.cluster_id.to_string()),
                controller_id: (response.controller_id.0 >= 0).then_some(response.controller_id.0),
                brokers: brokers.collect(),
                topics: BTreeMap::new(),
            })
        })
        .await
    }

    /// One offset of each of these partitions of a topic, in their order. `None`: no such record
    /// (no timestamp that late, or an empty partition).
    pub async fn list_offsets(
        &self,
        topic: &str,
        specs: &[(PartitionIndex, OffsetSpec)],
    ) -> Result<Vec<Option<Offset>>, ClientError> {
        let found = self
            .retry(|| async move {
                let last = specs.iter().map(|(partition, _)| *partition).max();
                self.client.topic_with(topic, last.unwrap_or(0)).await?;
                let mut found = BTreeMap::new();
                let mut by_leader: BTreeMap<NodeId, Vec<(PartitionIndex, OffsetSpec)>> =
                    BTreeMap::new();
                let view = self.client.view();
                for &(partition, spec) in specs {
                    let leader = leader_of(&view, topic, partition)?;
                    by_leader.entry(leader).or_default().push((partition, spec));
                }
                for (leader, specs) in by_leader {
                    self.list_offsets_at(leader, topic, &specs, &mut found)
                        .await?;
                }
                Ok(found)
            })
            .await?;
        let offsets = specs
            .iter()
            .map(|(partition, _)| found.get(partition).copied());
        Ok(offsets.collect())
    }

    async fn list_offsets_at(
        &self,
        leader: NodeId,
        topic: &str,
        specs: &[(PartitionIndex, OffsetSpec)],
        found: &mut BTreeMap<PartitionIndex, Offset>,
    ) -> Result<(), ClientError> {
        let connection = self.client.connection(leader).await?;
        let version = connection.version(ApiKey::ListOffsets, i16::MAX)?;
        let partitions = specs.iter().map(|(partition, spec)| {
            ListOffsetsPartition::default()
                .with_partition_index(*partition)
                .with_timestamp(spec.on_wire())
        });
        let wanted = ListOffsetsTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(partitions.collect());
        let mut request = ListOffsetsRequest::default()
            .with_replica_id((-1).into())
            .with_topics(vec![wanted]);
        if version >= 10 {
            request.timeout_ms = millis(self.client.options().request_timeout);
        }
        let response = connection.call(version, &request).await?;
        for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
            let index = partition.partition_index;
            ClientError::check(partition.error_code, || format!("{topic}-{index}"), None)?;
            if partition.offset >= 0 {
                found.insert(index, partition.offset);
            }
        }
        Ok(())
    }

    /// Deletes what lies before an offset of each of these partitions of a topic (`None`: all that
    /// may be read). Gives for each, in their order, where it starts now.
    pub async fn delete_records(
        &self,
        topic: &str,
        before: &[(PartitionIndex, Option<Offset>)],
    ) -> Result<Vec<Result<Offset, ClientError>>, ClientError> {
        let mut deleted = self
            .retry(|| async move {
                self.client.topic(topic).await?;
                let mut by_leader: BTreeMap<NodeId, Vec<(PartitionIndex, Option<Offset>)>> =
                    BTreeMap::new();
                let view = self.client.view();
                for &(partition, offset) in before {
                    let leader = leader_of(&view, topic, partition)?;
                    let of_leader = by_leader.entry(leader).or_default();
                    of_leader.push((partition, offset));
                }
                let mut deleted = BTreeMap::new();
                for (leader, before) in by_leader {
                    deleted.extend(self.delete_records_at(leader, topic, &before).await?);
                }
                Ok(deleted)
            })
            .await?;
        let missing = || ClientError::Broker {
            subject: format!("topic `{topic}`").into(),
            code: ErrorCode::UnknownServerError,
            message: Some("the broker left a partition out of its answer".into()),
        };
        let starts = before
            .iter()
            .map(|(partition, _)| deleted.remove(partition).unwrap_or_else(|| Err(missing())));
        Ok(starts.collect())
    }

    async fn delete_records_at(
        &self,
        leader: NodeId,
        topic: &str,
        before: &[(PartitionIndex, Option<Offset>)],
    ) -> Result<BTreeMap<PartitionIndex, Result<Offset, ClientError>>, ClientError> {
        let connection = self.client.connection(leader).await?;
        let version = connection.version(ApiKey::DeleteRecords, i16::MAX)?;
        let partitions = before.iter().map(|&(partition, offset)| {
            DeleteRecordsPartition::default()
                .with_partition_index(partition)
                .with_offset(offset.unwrap_or(HIGH_WATERMARK))
        });
        let wanted = DeleteRecordsTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(partitions.collect());
        let request = DeleteRecordsRequest::default()
            .with_topics(vec![wanted])
            .with_timeout_ms(millis(self.client.options().request_timeout));
        let response = connection.call(version, &request).await?;
        let mut deleted = BTreeMap::new();
        for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
            let index = partition.partition_index;
            let subject = || format!("{topic}-{index}");
            let start = match ClientError::check(partition.error_code, subject, None) {
                Ok(()) => Ok(partition.low_watermark),
                // What was deleted stays so: all of it may be asked for again.
                Err(error) if error.is_retriable() => return Err(error),
                Err(error) => Err(error),
            };
            deleted.insert(index, start);
        }
        Ok(deleted)
    }

    async fn metadata(&self, names: Option<&[&str]>) -> Result<ClusterView, ClientError> {
        self.retry(|| async move {
            let connection = self.client.any_connection().await?;
            let version = connection.version(ApiKey::Metadata, i16::MAX)?;
            // In version 0 an empty list means all topics, and there is no null.
            let topics = match names {
                None => (version == 0).then(Vec::new),
                Some(names) => Some(names.iter().map(|name| metadata_topic(name)).collect()),
            };
            let request = MetadataRequest::default()
                .with_topics(topics)
                .with_allow_auto_topic_creation(version < 4);
            let response = connection.call(version, &request).await?;
            ClientError::check(response.error_code, || "metadata".into(), None)?;
            Ok(ClusterView::default().updated(&response))
        })
        .await
    }

    /// The controller, or where it is not known any broker, which forwards (KIP-590).
    pub(super) async fn controller(&self) -> Result<Connection, ClientError> {
        match self.client.view().controller_id {
            Some(node) => self.client.connection(node).await,
            None => self.client.any_connection().await,
        }
    }

    /// Repeats `call` while a broker answers with a retriable code, or cannot be reached, up to
    /// `api_timeout`, refreshing the metadata in between.
    pub(super) async fn retry<T, F: Future<Output = Result<T, ClientError>>>(
        &self,
        call: impl Fn() -> F,
    ) -> Result<T, ClientError> {
        let reactor = self.client.reactor();
        let deadline = reactor.now() + self.client.options().api_timeout;
        let mut backoff = self.client.retry_backoff();
        loop {
            let error = match call().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let may_repeat = matches!(
                error,
                ClientError::Broker { .. } | ClientError::Unreachable { .. }
            );
            let pause = backoff.next(reactor);
            if !may_repeat || !error.is_retriable() || reactor.now() + pause > deadline {
                return Err(error);
            }
            reactor.sleep(pause).await;
            // If it fails, the next attempt says why.
            let _ = self.client.refresh().await;
        }
    }
}

pub(super) fn leader_of(
    view: &Rc<ClusterView>,
    topic: &str,
    partition: PartitionIndex,
) -> Result<NodeId, ClientError> {
    let known = view.topics.get(topic);
    let count = known.map_or(0, |topic| topic.partitions.len());
    if usize::try_from(partition).map_or(true, |index| index >= count) {
        return Err(ClientError::UnknownPartition {
            topic: topic.into(),
            partition,
            count,
        });
    }
    view.leader(topic, partition)
        .ok_or_else(|| ClientError::Broker {
            subject: format!("{topic}-{partition}").into(),
            code: ErrorCode::LeaderNotAvailable,
            message: None,
        })
}

fn creatable_topic(topic: &NewTopic) -> CreatableTopic {
    let configs = topic.configs.iter().map(|(key, value)| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_string(key.clone()))
            .with_value(Some(StrBytes::from_string(value.clone())))
    });
    CreatableTopic::default()
        .with_name(topic_name(&topic.name))
        .with_num_partitions(topic.partition_count.unwrap_or(-1))
        .with_replication_factor(topic.replication_factor.unwrap_or(-1))
        .with_configs(configs.collect())
}

fn metadata_topic(name: &str) -> MetadataRequestTopic {
    MetadataRequestTopic::default().with_name(Some(topic_name(name)))
}

pub(super) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

pub(super) fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

impl TopicResult {
    /// What a broker says of one topic, with its id if all is well.
    pub(super) fn of(
        name: String,
        error_code: i16,
        message: Option<&str>,
        topic_id: TopicId,
    ) -> TopicResult {
        let checked = ClientError::check(error_code, || format!("topic `{name}`"), message);
        TopicResult {
            result: checked.map(|()| topic_id),
            name,
        }
    }
}

/// An error if the broker that answered is not the controller any more: then another one is asked.
pub(super) fn check_controller(
    what: &'static str,
    mut codes: impl Iterator<Item = i16>,
) -> Result<(), ClientError> {
    let moved = ErrorCode::NotController.code();
    match codes.any(|code| code == moved) {
        true => ClientError::check(moved, || what.into(), None),
        false => Ok(()),
    }
}

/// The answers in the order in which was asked; one that is missing is an error of its own.
pub(super) fn in_order<'a>(
    names: impl Iterator<Item = &'a str>,
    mut answers: BTreeMap<String, TopicResult>,
) -> Vec<TopicResult> {
    names
        .map(|name| {
            answers.remove(name).unwrap_or_else(|| TopicResult {
                name: name.to_owned(),
                result: Err(ClientError::Broker {
                    subject: format!("topic `{name}`").into(),
                    code: ErrorCode::UnknownServerError,
                    message: Some("the broker left it out of its answer".into()),
                }),
            })
        })
        .collect()
}
