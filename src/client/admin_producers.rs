//! The idempotent producers that a partition remembers (KIP-664).

use super::admin::{Admin, leader_of, topic_name};
use super::error::ClientError;
use crate::protocol::ApiKey;
use crate::protocol::messages::DescribeProducersRequest;
use crate::protocol::messages::describe_producers_request::TopicRequest;
use crate::protocol::messages::describe_producers_response::ProducerState;
use crate::types::{ErrorCode, Offset, PartitionIndex};

/// What a partition's leader remembers of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerView {
    pub producer_id: i64,
    pub producer_epoch: i32,
    /// Of the last record that it wrote.
    pub last_sequence: i32,
    /// Of its last batch, milliseconds since the epoch.
    pub last_timestamp_ms: i64,
    /// Of the transaction coordinator that wrote the last marker; `None` where there was none.
    pub coordinator_epoch: Option<i32>,
    /// Where its open transaction begins; `None` when none is open.
    pub current_txn_start_offset: Option<Offset>,
}

impl Admin {
    /// The producers of a partition, by rising id.
    pub async fn describe_producers(
        &self,
        topic: &str,
        partition: PartitionIndex,
    ) -> Result<Vec<ProducerView>, ClientError> {
        let wanted = TopicRequest::default()
            .with_name(topic_name(topic))
            .with_partition_indexes(vec![partition]);
        let request = DescribeProducersRequest::default().with_topics(vec![wanted]);
        let request = &request;
        let subject = || format!("{topic}-{partition}");
        let described = self
            .retry(|| async move {
                self.client.topic(topic).await?;
                let leader = leader_of(&self.client.view(), topic, partition)?;
                let connection = self.client.connection(leader).await?;
                let version = connection.version(ApiKey::DescribeProducers, i16::MAX)?;
                let response = connection.call(version, request).await?;
                let mut partitions = response
                    .topics
                    .into_iter()
                    .flat_map(|topic| topic.partitions);
                let described = partitions.next().ok_or_else(|| ClientError::Broker {
                    subject: subject().into(),
                    code: ErrorCode::UnknownServerError,
                    message: Some("the broker left it out of its answer".into()),
                })?;
                let message = described.error_message.as_deref();
                ClientError::check(described.error_code, subject, message)?;
                Ok(described)
            })
            .await?;
        let producers = described.active_producers.iter();
        let mut producers: Vec<ProducerView> = producers.map(producer_view).collect();
        producers.sort_by_key(|producer| producer.producer_id);
        Ok(producers)
    }
}

fn producer_view(state: &ProducerState) -> ProducerView {
    ProducerView {
        producer_id: state.producer_id.0,
        producer_epoch: state.producer_epoch,
        last_sequence: state.last_sequence,
        last_timestamp_ms: state.last_timestamp,
        coordinator_epoch: (state.coordinator_epoch >= 0).then_some(state.coordinator_epoch),
        current_txn_start_offset: (state.current_txn_start_offset >= 0)
            .then_some(state.current_txn_start_offset),
    }
}
