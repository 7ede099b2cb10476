//! Partitions added, topics deleted by id, log directories described.

use std::collections::BTreeMap;

use super::admin::{
    Admin, DELETE_TOPICS_STATES_FROM, TopicResult, check_controller, in_order, millis, topic_name,
};
use super::error::ClientError;
use crate::protocol::messages::create_partitions_request::CreatePartitionsTopic;
use crate::protocol::messages::delete_topics_request::DeleteTopicState;
use crate::protocol::messages::describe_log_dirs_response::DescribeLogDirsResult;
use crate::protocol::messages::{
    CreatePartitionsRequest, DeleteTopicsRequest, DescribeLogDirsRequest,
};
use crate::protocol::{ApiKey, from_uuid, to_uuid};
use crate::types::{ErrorCode, NodeId, Offset, TopicId, TopicPartition};

/// A log directory of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDirView {
    pub path: String,
    /// [`ErrorCode::KafkaStorageError`] when it is offline; then nothing else is known of it.
    pub error: ErrorCode,
    /// Of its file system; `None` from a broker older than DescribeLogDirs version 4.
    pub total_bytes: Option<u64>,
    /// What is left of that for a broker.
    pub usable_bytes: Option<u64>,
    pub replicas: BTreeMap<TopicPartition, ReplicaView>,
}

/// A partition's log in a log directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaView {
    /// Of its records, bytes.
    pub size: u64,
    /// How far it is behind.
    pub offset_lag: Offset,
    /// It is on its way into this directory, and not yet the partition's.
    pub is_future: bool,
}

impl Admin {
    /// Gives each of these topics so many partitions, those that it has included; one result each,
    /// in the order of the arguments. The brokers choose where the new ones are.
    pub async fn create_partitions(
        &self,
        topics: &[(&str, i32)],
        validate_only: bool,
    ) -> Result<Vec<TopicResult>, ClientError> {
        let wanted = topics.iter().map(|(name, count)| {
            CreatePartitionsTopic::default()
                .with_name(topic_name(name))
                .with_count(*count)
                .with_assignments(None)
        });
        let request = CreatePartitionsRequest::default()
            .with_topics(wanted.collect())
            .with_timeout_ms(millis(self.client.options().request_timeout))
            .with_validate_only(validate_only);
        let request = &request;
        let response = self
            .retry(|| async move {
                let connection = self.controller().await?;
                let version = connection.version(ApiKey::CreatePartitions, i16::MAX)?;
                let response = connection.call(version, request).await?;
                let codes = response.results.iter().map(|topic| topic.error_code);
                check_controller("create partitions", codes)?;
                Ok(response)
            })
            .await?;
        let answers = response.results.into_iter().map(|topic| {
            let name = topic.name.0.to_string();
            let message = topic.error_message.as_deref();
            // The answer does not say the id.
            let topic_id = TopicId::ZERO;
            (
                name.clone(),
                TopicResult::of(name, topic.error_code, message, topic_id),
            )
        });
        Ok(in_order(
            topics.iter().map(|(name, _)| *name),
            answers.collect(),
        ))
    }

    /// Deletes topics by their ids; one result each, in the order of the arguments, by name where
    /// the broker says it and by id where not.
    pub async fn delete_topics_by_id(
        &self,
        topic_ids: &[TopicId],
    ) -> Result<Vec<TopicResult>, ClientError> {
        let states = topic_ids.iter().map(|&topic_id| {
            DeleteTopicState::default()
                .with_name(None)
                .with_topic_id(to_uuid(topic_id))
        });
        let request = DeleteTopicsRequest::default()
            .with_topics(states.collect())
            .with_timeout_ms(millis(self.client.options().request_timeout));
        let request = &request;
        let response = self
            .retry(|| async move {
                let connection = self.controller().await?;
                let version = connection.version(ApiKey::DeleteTopics, i16::MAX)?;
                if version < DELETE_TOPICS_STATES_FROM {
                    return Err(connection.lacks(ApiKey::DeleteTopics));
                }
                let response = connection.call(version, request).await?;
                let codes = response.responses.iter().map(|topic| topic.error_code);
                check_controller("delete topics", codes)?;
                Ok(response)
            })
            .await?;
        let answers = response.responses.into_iter().map(|topic| {
            let topic_id = from_uuid(topic.topic_id);
            let name = topic.name.map(|name| name.0.to_string());
            let checked = ClientError::check(
                topic.error_code,
                || format!("topic id {topic_id}"),
                topic.error_message.as_deref(),
            );
            let result = TopicResult {
                name: name.unwrap_or_else(|| topic_id.to_string()),
                result: checked.map(|()| topic_id),
            };
            (topic_id.to_string(), result)
        });
        let answers = answers.collect();
        let asked: Vec<String> = topic_ids.iter().map(TopicId::to_string).collect();
        Ok(in_order(asked.iter().map(String::as_str), answers))
    }

    /// The log directories of a broker with everything in them.
    pub async fn describe_log_dirs(&self, broker: NodeId) -> Result<Vec<LogDirView>, ClientError> {
        let request = DescribeLogDirsRequest::default().with_topics(None);
        let request = &request;
        let response = self
            .retry(|| async move {
                let connection = self.client.connection(broker).await?;
                let version = connection.version(ApiKey::DescribeLogDirs, i16::MAX)?;
                let response = connection.call(version, request).await?;
                let subject = || format!("log directories of broker {broker}");
                ClientError::check(response.error_code, subject, None)?;
                Ok(response)
            })
            .await?;
        Ok(response.results.iter().map(log_dir_view).collect())
    }
}

fn log_dir_view(result: &DescribeLogDirsResult) -> LogDirView {
    let mut replicas = BTreeMap::new();
    for topic in &result.topics {
        for partition in &topic.partitions {
            let name = topic.name.0.to_string();
            let of = TopicPartition::new(name, partition.partition_index);
            let replica = ReplicaView {
                size: u64::try_from(partition.partition_size).unwrap_or(0),
                offset_lag: partition.offset_lag,
                is_future: partition.is_future_key,
            };
            replicas.insert(of, replica);
        }
    }
    LogDirView {
        path: result.log_dir.to_string(),
        error: ErrorCode::from_code(result.error_code),
        total_bytes: u64::try_from(result.total_bytes).ok(),
        usable_bytes: u64::try_from(result.usable_bytes).ok(),
        replicas,
    }
}
