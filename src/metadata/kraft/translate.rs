//! Kafka's metadata in our own, or why it cannot be carried over completely.

use super::image::{KraftImage, TOPIC_RESOURCE, Topic};
use super::record::{Partition, Secured};
use crate::metadata::{
    CLUSTER_METADATA_TOPIC, ConfigRecord, ConfigResource, MetadataDelta, MetadataImage,
    MetadataRecord, PartitionRecord, ProducerIdsRecord, TopicRecord,
};
use crate::types::{DirectoryId, NodeId, PartitionIndex, TopicId};

/// `ConfigResource.Type` of brokers, and the numbers of what we do not have.
const BROKER_RESOURCE: i8 = 4;
const CLIENT_METRICS_RESOURCE: i8 = 16;
const GROUP_RESOURCE: i8 = 32;

/// What Kafka sets for all brokers by itself when it enables eligible leader replicas (KIP-966,
/// which is on in new directories from 4.1): its own default, and ours.
const SET_BY_KAFKA: (&str, &str) = ("min.insync.replicas", "1");

/// `ZkMigrationState`: a migration that has begun and not ended.
const MIGRATION_UNDER_WAY: std::ops::RangeInclusive<i8> = 1..=2;

/// Why the metadata cannot be carried over, and what to do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotTranslatable(pub String);

/// The topics with their settings and the producer ids that were handed out; partitions are led by
/// this node and lie in this log directory.
pub fn translate(
    kraft: &KraftImage,
    node_id: NodeId,
    directory_id: DirectoryId,
) -> Result<MetadataImage, NotTranslatable> {
    check_nodes(kraft, node_id)?;
    check_state(kraft)?;
    let mut records = Vec::new();
    for (&topic_id, topic) in &kraft.topics {
        records.push(MetadataRecord::Topic(TopicRecord {
            topic_id,
            name: topic.name.as_str().into(),
        }));
        for (expected, (&index, partition)) in topic.partitions.iter().enumerate() {
            check_partition(topic, (expected, index), partition, node_id)?;
            records.push(partition_record(
                topic_id,
                index,
                partition,
                node_id,
                directory_id,
            ));
        }
    }
    translate_configs(kraft, &mut records)?;
    if kraft.next_producer_id > 0 {
        records.push(MetadataRecord::ProducerIds(ProducerIdsRecord {
            next_producer_id: kraft.next_producer_id,
        }));
    }
    let mut image = MetadataImage::default();
    let mut delta = MetadataDelta::default();
    for record in &records {
        let applied = image.apply(record, &mut delta);
        applied.map_err(|error| NotTranslatable(format!("its metadata cannot be: {error}")))?;
    }
    Ok(image)
}

fn refuse<T>(what: impl Into<String>) -> Result<T, NotTranslatable> {
    Err(NotTranslatable(what.into()))
}

/// It was the only node, controller and broker.
fn check_nodes(kraft: &KraftImage, node_id: NodeId) -> Result<(), NotTranslatable> {
    if kraft.brokers.iter().any(|&broker| broker != node_id) {
        return refuse(format!(
            "its metadata knows the brokers {:?}, and only the directory of a Kafka of one node is \
             taken over; move all partitions to node {node_id} with kafka-reassign-partitions, \
             unregister the others with kafka-cluster, stop Kafka cleanly and start again",
            kraft.brokers
        ));
    }
    if kraft.voters != [node_id] {
        return refuse(format!(
            "the voters of its metadata are {:?}, and only the directory of a Kafka of one node, \
             broker and controller in one (process.roles=broker,controller), is taken over; copy \
             the topics from a running Kafka",
            kraft.voters
        ));
    }
    Ok(())
}

/// Nothing under way, nothing that has no meaning here.
fn check_state(kraft: &KraftImage) -> Result<(), NotTranslatable> {
    const AGAIN: &str = "start Kafka on it again and stop it cleanly";
    if kraft.before_transaction.is_some() {
        return refuse(format!(
            "a transaction of its metadata has not ended; {AGAIN}"
        ));
    }
    if MIGRATION_UNDER_WAY.contains(&kraft.zk_migration) {
        return refuse(format!(
            "its migration from ZooKeeper has not ended; end it, then {AGAIN}"
        ));
    }
    let Some((what, _)) = kraft.secured.first() else {
        return Ok(());
    };
    let (what, tool) = match what {
        Secured::Acl => ("ACLs", "kafka-acls"),
        Secured::DelegationToken => ("delegation tokens", "kafka-delegation-tokens"),
        Secured::Scram => ("SCRAM credentials", "kafka-configs"),
        Secured::Quota => ("client quotas", "kafka-configs"),
    };
    refuse(format!(
        "it has {what}, which Ringlog does not have; if nothing depends on them, remove them with \
         {tool}, stop Kafka cleanly and start again"
    ))
}

fn check_partition(
    topic: &Topic,
    (expected, index): (usize, PartitionIndex),
    partition: &Partition,
    node_id: NodeId,
) -> Result<(), NotTranslatable> {
    let name = &topic.name;
    if usize::try_from(index) != Ok(expected) || name == CLUSTER_METADATA_TOPIC {
        return refuse(format!(
            "its metadata has no partition {expected} of topic {name}"
        ));
    }
    let is_moving =
        !partition.adding_replicas.is_empty() || !partition.removing_replicas.is_empty();
    if partition.replicas != [node_id] || is_moving {
        return refuse(format!(
            "partition {name}-{index} has the replicas {:?}, and only partitions with one replica, \
             on node {node_id}, are taken over; move them with kafka-reassign-partitions, stop \
             Kafka cleanly and start again",
            partition.replicas
        ));
    }
    Ok(())
}

/// The partition without a leader that Kafka has left is led by its only replica, as Kafka's next
/// start would have it; the registration of our broker raises the epochs.
fn partition_record(
    topic_id: TopicId,
    partition: PartitionIndex,
    state: &Partition,
    node_id: NodeId,
    directory_id: DirectoryId,
) -> MetadataRecord {
    MetadataRecord::Partition(PartitionRecord {
        topic_id,
        partition,
        replicas: vec![node_id],
        isr: vec![node_id],
        leader: node_id,
        leader_epoch: state.leader_epoch,
        partition_epoch: state.partition_epoch,
        directories: vec![directory_id],
    })
}

fn translate_configs(
    kraft: &KraftImage,
    records: &mut Vec<MetadataRecord>,
) -> Result<(), NotTranslatable> {
    for ((resource_type, resource), values) in &kraft.configs {
        for (key, value) in values {
            let what = match *resource_type {
                TOPIC_RESOURCE => {
                    records.push(MetadataRecord::Config(ConfigRecord {
                        resource: ConfigResource::topic(resource.as_str()),
                        key: key.clone(),
                        value: Some(value.clone()),
                    }));
                    continue;
                }
                BROKER_RESOURCE if resource.is_empty() => {
                    if (key.as_str(), value.as_str()) == SET_BY_KAFKA {
                        continue;
                    }
                    "all brokers".to_owned()
                }
                BROKER_RESOURCE => format!("broker {resource}"),
                CLIENT_METRICS_RESOURCE => format!("client metrics {resource}"),
                GROUP_RESOURCE => format!("group {resource}"),
                other => format!("{resource} (resource type {other})"),
            };
            return refuse(format!(
                "{key} is set for {what} in its metadata, and only topics' settings are carried \
                 over; remove it with kafka-configs --delete-config, set it in the properties file \
                 if Ringlog has it, stop Kafka cleanly and start again"
            ));
        }
    }
    Ok(())
}
