//! What we know of the cluster: an immutable picture, replaced at each refresh.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::error::ClientError;
use crate::protocol::from_uuid;
use crate::protocol::messages::MetadataResponse;
use crate::protocol::messages::metadata_response::MetadataResponseTopic;
use crate::types::{ErrorCode, LeaderEpoch, NodeId, PartitionIndex, TopicId};

/// Where a broker listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BrokerAddress {
    pub host: String,
    pub port: u16,
}

impl BrokerAddress {
    /// Reads `host:port`; an IPv6 address stands in brackets.
    pub fn parse(text: &str) -> Result<BrokerAddress, ClientError> {
        let parts = text.rsplit_once(':');
        let parsed = parts.and_then(|(host, port)| {
            let host = host
                .strip_prefix('[')
                .and_then(|h| h.strip_suffix(']'))
                .unwrap_or(host);
            let port = port.parse().ok()?;
            (!host.is_empty() && port != 0).then(|| BrokerAddress {
                host: host.to_owned(),
                port,
            })
        });
        parsed.ok_or_else(|| {
            ClientError::Invalid(format!("`{text}` is not a broker's host:port").into())
        })
    }
}

impl fmt::Display for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The cluster as of the last refresh: all brokers, and the topics that were asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterView {
    pub cluster_id: Option<String>,
    pub controller_id: Option<NodeId>,
    pub brokers: BTreeMap<NodeId, BrokerAddress>,
    pub topics: BTreeMap<Arc<str>, TopicView>,
}

/// A topic.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicView {
    pub name: Arc<str>,
    /// [`TopicId::ZERO`] from a broker older than Metadata version 10.
    pub topic_id: TopicId,
    pub is_internal: bool,
    /// Why the topic cannot be used; [`ErrorCode::None`] when it can.
    pub error: ErrorCode,
    /// By index, without gaps; empty when there is an error.
    pub partitions: Vec<PartitionView>,
}

/// A partition.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionView {
    pub partition: PartitionIndex,
    pub error: ErrorCode,
    pub leader: Option<NodeId>,
    pub leader_epoch: LeaderEpoch,
    pub replicas: Vec<NodeId>,
    pub isr: Vec<NodeId>,
}

impl ClusterView {
    /// The picture after a response; topics that it does not mention stay as they were known.
    pub(super) fn updated(&self, response: &MetadataResponse) -> ClusterView {
        let mut topics = self.topics.clone();
        for topic in &response.topics {
            let Some(name) = &topic.name else { continue };
            let known = topics.get(name.0.as_str());
            let view = TopicView::from_response(name.0.as_str(), topic, known);
            topics.insert(Arc::clone(&view.name), view);
        }
        let brokers = response.brokers.iter().filter_map(|broker| {
            let port = u16::try_from(broker.port).ok()?;
            let host = broker.host.to_string();
            Some((broker.node_id.0, BrokerAddress { host, port }))
        });
        ClusterView {
            cluster_id: response.cluster_id.as_ref().map(ToString::to_string),
            controller_id: node(response.controller_id.0),
            brokers: brokers.collect(),
            topics,
        }
    }

    /// The leader of a partition, if it is known to have one.
    pub fn leader(&self, topic: &str, partition: PartitionIndex) -> Option<NodeId> {
        let index = usize::try_from(partition).ok()?;
        self.topics.get(topic)?.partitions.get(index)?.leader
    }
}

impl TopicView {
    fn from_response(
        name: &str,
        topic: &MetadataResponseTopic,
        known: Option<&TopicView>,
    ) -> TopicView {
        let topic_id = from_uuid(topic.topic_id);
        let known = known.filter(|known| known.topic_id == topic_id);
        let mut partitions: Vec<PartitionView> = topic
            .partitions
            .iter()
            .map(|partition| PartitionView {
                partition: partition.partition_index,
                error: ErrorCode::from_code(partition.error_code),
                leader: node(partition.leader_id.0),
                leader_epoch: partition.leader_epoch,
                replicas: partition.replica_nodes.iter().map(|id| id.0).collect(),
                isr: partition.isr_nodes.iter().map(|id| id.0).collect(),
            })
            .collect();
        partitions.sort_by_key(|partition| partition.partition);
        let is_gapless = (0i32..)
            .zip(&partitions)
            .all(|(index, partition)| partition.partition == index);
        let mut error = ErrorCode::from_code(topic.error_code);
        if !is_gapless {
            partitions.clear();
            error = ErrorCode::LeaderNotAvailable;
        }
        for (partition, known) in partitions
            .iter_mut()
            .zip(known.iter().flat_map(|k| &k.partitions))
        {
            // A broker that lags behind must not send us back to an old leader (KIP-320).
            if known.leader_epoch > partition.leader_epoch && partition.leader_epoch >= 0 {
                partition.clone_from(known);
            }
        }
        TopicView {
            name: known.map_or_else(|| name.into(), |known| Arc::clone(&known.name)),
            topic_id,
            is_internal: topic.is_internal,
            error,
            partitions,
        }
    }
}

fn node(id: i32) -> Option<NodeId> {
    (id >= 0).then_some(id)
}
