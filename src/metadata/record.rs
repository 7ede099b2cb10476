//! The records of the metadata log.

use std::sync::Arc;

use crate::types::{DirectoryId, LeaderEpoch, NodeId, PartitionIndex, ProducerId, TopicId};

/// One record of the metadata log. Its bytes are the value of a Kafka record without key; see
/// [`MetadataRecord::encode`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MetadataRecord {
    Topic(TopicRecord),
    Partition(PartitionRecord),
    RemoveTopic(RemoveTopicRecord),
    Config(ConfigRecord),
    ProducerIds(ProducerIdsRecord),
    RegisterBroker(RegisterBroker),
    Feature(FeatureRecord),
}

/// A topic comes into being. Its partitions follow in the same atomic batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicRecord {
    pub topic_id: TopicId,
    pub name: Arc<str>,
}

/// A partition's whole state, new or changed. New ones of a topic come in order from 0.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionRecord {
    pub topic_id: TopicId,
    pub partition: PartitionIndex,
    /// Who holds a replica; the first is the preferred leader.
    pub replicas: Vec<NodeId>,
    /// Who is in sync, a subset of `replicas`.
    pub isr: Vec<NodeId>,
    /// -1 is "none".
    pub leader: NodeId,
    pub leader_epoch: LeaderEpoch,
    /// Counts the changes of this partition, leader or not (`partitionEpoch` of KIP-497).
    pub partition_epoch: i32,
    /// In which of its log directories each of `replicas` keeps the partition, in their order
    /// (KIP-858).
    pub directories: Vec<DirectoryId>,
}

/// A topic goes, with its partitions and its configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemoveTopicRecord {
    pub topic_id: TopicId,
}

/// What a configuration belongs to (`ConfigResource.Type`: the numbers are Kafka's).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum ConfigResourceType {
    Topic = 2,
    Broker = 4,
}

/// A topic by name, or a broker by its id in decimal ("" for all brokers).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConfigResource {
    pub resource_type: ConfigResourceType,
    pub name: Arc<str>,
}

impl ConfigResource {
    pub fn topic(name: impl Into<Arc<str>>) -> ConfigResource {
        ConfigResource {
            resource_type: ConfigResourceType::Topic,
            name: name.into(),
        }
    }

    /// One broker.
    pub fn broker(node_id: NodeId) -> ConfigResource {
        ConfigResource {
            resource_type: ConfigResourceType::Broker,
            name: node_id.to_string().into(),
        }
    }

    /// All brokers.
    pub fn cluster() -> ConfigResource {
        ConfigResource {
            resource_type: ConfigResourceType::Broker,
            name: "".into(),
        }
    }
}

/// A key is set, or with `None` falls back to its default.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigRecord {
    pub resource: ConfigResource,
    pub key: String,
    pub value: Option<String>,
}

/// All producer ids below `next_producer_id` have been handed out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducerIdsRecord {
    pub next_producer_id: ProducerId,
}

/// Where a broker can be reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// The listener's name, `PLAINTEXT` for instance.
    pub listener: Arc<str>,
    pub host: Arc<str>,
    pub port: u16,
    /// `SecurityProtocol`'s number: 0 is PLAINTEXT.
    pub security_protocol: i16,
}

/// A broker process starts. Replaces what was known of an earlier one with the same id, and bumps
/// the leader epoch of every partition that this broker leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegisterBroker {
    pub node_id: NodeId,
    /// Random, drawn by the process at its start.
    pub incarnation_id: [u8; 16],
    /// The offset of this record in the metadata log: it grows with each registration.
    pub broker_epoch: i64,
    pub endpoints: Vec<Endpoint>,
    pub rack: Option<Arc<str>>,
}

/// A feature's finalized level; 0 takes it away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FeatureRecord {
    pub name: Arc<str>,
    pub level: i16,
}
