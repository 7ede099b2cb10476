//! The metadata as of some offset of its log.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::delta::MetadataDelta;
use super::record::{
    ConfigRecord, ConfigResource, FeatureRecord, MetadataRecord, PartitionRecord,
    ProducerIdsRecord, RegisterBroker, TopicRecord,
};
use crate::config::Overrides;
use crate::types::{
    DirectoryId, LeaderEpoch, NodeId, PartitionIndex, ProducerId, TopicId, TopicIdPartition,
};

/// The state after replaying a log of [`MetadataRecord`]s. A clone shares it all; an
/// `Arc<MetadataImage>` is what shards hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MetadataImage {
    topics: Arc<BTreeMap<TopicId, Arc<TopicImage>>>,
    topics_by_name: Arc<BTreeMap<Arc<str>, Arc<TopicImage>>>,
    configs: Arc<BTreeMap<ConfigResource, Arc<BTreeMap<String, String>>>>,
    brokers: Arc<BTreeMap<NodeId, Arc<BrokerImage>>>,
    features: Arc<BTreeMap<Arc<str>, i16>>,
    next_producer_id: ProducerId,
}

/// A topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicImage {
    pub topic_id: TopicId,
    pub name: Arc<str>,
    /// By their number.
    pub partitions: Vec<PartitionImage>,
}

/// A partition: see [`PartitionRecord`] for the fields.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionImage {
    pub replicas: Vec<NodeId>,
    pub isr: Vec<NodeId>,
    pub leader: NodeId,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: i32,
    pub directories: Vec<DirectoryId>,
}

/// A broker: its latest registration.
pub type BrokerImage = RegisterBroker;

/// A record that contradicts the image it is replayed into: the log is corrupt.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ApplyError {
    #[error("metadata record names topic id {0}, which does not exist")]
    UnknownTopic(TopicId),
    #[error("metadata record creates topic {0} (id {1}), but that name or id is taken")]
    DuplicateTopic(Arc<str>, TopicId),
    #[error("metadata record for partition {partition} of topic id {topic_id} is out of order")]
    PartitionOrder {
        topic_id: TopicId,
        partition: PartitionIndex,
    },
    #[error("metadata record takes {what} back from {from} to {to}")]
    GoesBack {
        what: &'static str,
        from: i64,
        to: i64,
    },
    #[error("the leader epoch of partition {partition} of topic id {topic_id} is exhausted")]
    EpochExhausted {
        topic_id: TopicId,
        partition: PartitionIndex,
    },
}

impl MetadataImage {
    pub fn topic(&self, topic_id: TopicId) -> Option<&Arc<TopicImage>> {
        self.topics.get(&topic_id)
    }

    pub fn topic_by_name(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topics_by_name.get(name)
    }

    /// All topics in the order of their names.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.topics_by_name.values()
    }

    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    pub fn partition(&self, of: TopicIdPartition) -> Option<&PartitionImage> {
        let index = usize::try_from(of.partition).ok()?;
        self.topics.get(&of.topic_id)?.partitions.get(index)
    }

    /// What was set for `resource`, as `config::TopicConfig::resolve` takes it.
    pub fn config(&self, resource: &ConfigResource) -> Option<&Arc<BTreeMap<String, String>>> {
        self.configs.get(resource)
    }

    /// What was set for all brokers, and for this one alone.
    pub fn broker_configs(&self, node_id: NodeId) -> (Arc<Overrides>, Arc<Overrides>) {
        let set = |resource| self.config(&resource).cloned().unwrap_or_default();
        (
            set(ConfigResource::cluster()),
            set(ConfigResource::broker(node_id)),
        )
    }

    pub fn broker(&self, node_id: NodeId) -> Option<&Arc<BrokerImage>> {
        self.brokers.get(&node_id)
    }

    /// All registered brokers in the order of their ids.
    pub fn brokers(&self) -> impl Iterator<Item = &Arc<BrokerImage>> {
        self.brokers.values()
    }

    /// Finalized features with their levels.
    pub fn features(&self) -> &BTreeMap<Arc<str>, i16> {
        &self.features
    }

    /// The lowest producer id that has not been handed out.
    pub fn next_producer_id(&self) -> ProducerId {
        self.next_producer_id
    }

    /// Replays one record and notes in `delta` what it changed. After an error the image must not
    /// be used any more.
    pub fn apply(
        &mut self,
        record: &MetadataRecord,
        delta: &mut MetadataDelta,
    ) -> Result<(), ApplyError> {
        match record {
            MetadataRecord::Topic(record) => self.apply_topic(record, delta),
            MetadataRecord::Partition(record) => self.apply_partition(record, delta),
            MetadataRecord::RemoveTopic(record) => self.remove_topic(record.topic_id, delta),
            MetadataRecord::Config(record) => {
                self.apply_config(record, delta);
                Ok(())
            }
            MetadataRecord::ProducerIds(record) => self.apply_producer_ids(record, delta),
            MetadataRecord::RegisterBroker(record) => self.apply_broker(record, delta),
            MetadataRecord::Feature(record) => {
                self.apply_feature(record, delta);
                Ok(())
            }
        }
    }

    /// The fewest records that replay into this image, in an order in which they can be replayed.
    pub fn snapshot(&self) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        for (name, &level) in self.features.iter() {
            records.push(MetadataRecord::Feature(FeatureRecord {
                name: name.clone(),
                level,
            }));
        }
        // Brokers before partitions: a registration bumps the epochs of the partitions it finds.
        for broker in self.brokers.values() {
            records.push(MetadataRecord::RegisterBroker(RegisterBroker::clone(
                broker,
            )));
        }
        for topic in self.topics.values() {
            records.push(MetadataRecord::Topic(TopicRecord {
                topic_id: topic.topic_id,
                name: topic.name.clone(),
            }));
            for (index, partition) in topic.partitions.iter().enumerate() {
                records.push(MetadataRecord::Partition(
                    partition.to_record(topic.topic_id, index as PartitionIndex),
                ));
            }
        }
        for (resource, values) in self.configs.iter() {
            for (key, value) in values.iter() {
                records.push(MetadataRecord::Config(ConfigRecord {
                    resource: resource.clone(),
                    key: key.clone(),
                    value: Some(value.clone()),
                }));
            }
        }
        if self.next_producer_id > 0 {
            records.push(MetadataRecord::ProducerIds(ProducerIdsRecord {
                next_producer_id: self.next_producer_id,
            }));
        }
        records
    }

    fn apply_topic(
        &mut self,
        record: &TopicRecord,
        delta: &mut MetadataDelta,
    ) -> Result<(), ApplyError> {
        if self.topics.contains_key(&record.topic_id)
            || self.topics_by_name.contains_key(&record.name)
        {
            return Err(ApplyError::DuplicateTopic(
                record.name.clone(),
                record.topic_id,
            ));
        }
        self.put_topic(TopicImage {
            topic_id: record.topic_id,
            name: record.name.clone(),
            partitions: Vec::new(),
        });
        delta.topics_created.insert(record.topic_id);
        Ok(())
    }

    fn apply_partition(
        &mut self,
        record: &PartitionRecord,
        delta: &mut MetadataDelta,
    ) -> Result<(), ApplyError> {
        let topic_id = record.topic_id;
        let partition = record.partition;
        let mut topic = self.take_topic(topic_id)?;
        let out_of_order = ApplyError::PartitionOrder {
            topic_id,
            partition,
        };
        let index = usize::try_from(partition).map_err(|_| out_of_order.clone())?;
        let image = PartitionImage::from_record(record);
        let count = topic.partitions.len();
        match topic.partitions.get_mut(index) {
            Some(known) => {
                known.check_successor(&image)?;
                *known = image;
            }
            None if index == count => topic.partitions.push(image),
            None => return Err(out_of_order),
        }
        self.put_topic(topic);
        delta.partitions_changed.insert(TopicIdPartition {
            topic_id,
            partition,
        });
        Ok(())
    }

    fn remove_topic(
        &mut self,
        topic_id: TopicId,
        delta: &mut MetadataDelta,
    ) -> Result<(), ApplyError> {
        let topic = Arc::make_mut(&mut self.topics)
            .remove(&topic_id)
            .ok_or(ApplyError::UnknownTopic(topic_id))?;
        Arc::make_mut(&mut self.topics_by_name).remove(&topic.name);
        let resource = ConfigResource::topic(topic.name.clone());
        if self.configs.contains_key(&resource) {
            Arc::make_mut(&mut self.configs).remove(&resource);
        }
        delta.topic_deleted(topic);
        Ok(())
    }

    fn apply_config(&mut self, record: &ConfigRecord, delta: &mut MetadataDelta) {
        let configs = Arc::make_mut(&mut self.configs);
        let values = Arc::make_mut(configs.entry(record.resource.clone()).or_default());
        match &record.value {
            Some(value) => values.insert(record.key.clone(), value.clone()),
            None => values.remove(&record.key),
        };
        if values.is_empty() {
            configs.remove(&record.resource);
        }
        delta.configs_changed.insert(record.resource.clone());
    }

    fn apply_producer_ids(
        &mut self,
        record: &ProducerIdsRecord,
        delta: &mut MetadataDelta,
    ) -> Result<(), ApplyError> {
        only_forward(
            "the next producer id",
            self.next_producer_id,
            record.next_producer_id,
        )?;
        self.next_producer_id = record.next_producer_id;
        delta.producer_ids_changed = true;
        Ok(())
    }

    fn apply_broker(
        &mut self,
        record: &RegisterBroker,
        delta: &mut MetadataDelta,
    ) -> Result<(), ApplyError> {
        if let Some(known) = self.brokers.get(&record.node_id) {
            only_forward("a broker epoch", known.broker_epoch, record.broker_epoch)?;
        }
        let led: Vec<TopicId> = self
            .topics
            .values()
            .filter(|topic| topic.partitions.iter().any(|p| p.leader == record.node_id))
            .map(|topic| topic.topic_id)
            .collect();
        for topic_id in led {
            self.bump_leader_epochs(topic_id, record.node_id, delta)?;
        }
        Arc::make_mut(&mut self.brokers).insert(record.node_id, Arc::new(record.clone()));
        delta.brokers_changed.insert(record.node_id);
        Ok(())
    }

    fn bump_leader_epochs(
        &mut self,
        topic_id: TopicId,
        leader: NodeId,
        delta: &mut MetadataDelta,
    ) -> Result<(), ApplyError> {
        let mut topic = self.take_topic(topic_id)?;
        for (index, partition) in topic.partitions.iter_mut().enumerate() {
            if partition.leader != leader {
                continue;
            }
            let of = TopicIdPartition {
                topic_id,
                partition: index as PartitionIndex,
            };
            let exhausted = ApplyError::EpochExhausted {
                topic_id,
                partition: of.partition,
            };
            let bump = |epoch: i32| epoch.checked_add(1).ok_or(exhausted.clone());
            partition.leader_epoch = bump(partition.leader_epoch)?;
            partition.partition_epoch = bump(partition.partition_epoch)?;
            delta.partitions_changed.insert(of);
        }
        self.put_topic(topic);
        Ok(())
    }

    fn apply_feature(&mut self, record: &FeatureRecord, delta: &mut MetadataDelta) {
        let features = Arc::make_mut(&mut self.features);
        match record.level {
            0 => features.remove(&record.name),
            level => features.insert(record.name.clone(), level),
        };
        delta.features_changed = true;
    }

    /// Takes a topic out to change it: copied only when another image shares it.
    fn take_topic(&mut self, topic_id: TopicId) -> Result<TopicImage, ApplyError> {
        let topic = Arc::make_mut(&mut self.topics)
            .remove(&topic_id)
            .ok_or(ApplyError::UnknownTopic(topic_id))?;
        Arc::make_mut(&mut self.topics_by_name).remove(&topic.name);
        Ok(Arc::unwrap_or_clone(topic))
    }

    fn put_topic(&mut self, topic: TopicImage) {
        let topic = Arc::new(topic);
        Arc::make_mut(&mut self.topics_by_name).insert(topic.name.clone(), topic.clone());
        Arc::make_mut(&mut self.topics).insert(topic.topic_id, topic);
    }
}

impl PartitionImage {
    fn from_record(record: &PartitionRecord) -> PartitionImage {
        PartitionImage {
            replicas: record.replicas.clone(),
            isr: record.isr.clone(),
            leader: record.leader,
            leader_epoch: record.leader_epoch,
            partition_epoch: record.partition_epoch,
            directories: record.directories.clone(),
        }
    }

    /// In which directory a node keeps its replica; [`DirectoryId::UNASSIGNED`] too when it has
    /// none.
    pub fn directory_of(&self, node_id: NodeId) -> DirectoryId {
        let replicas = self.replicas.iter().zip(&self.directories);
        let mut own = replicas.filter(|(replica, _)| **replica == node_id);
        own.next()
            .map_or(DirectoryId::UNASSIGNED, |(_, directory)| *directory)
    }

    /// The record that gives a node's replica a directory, and changes nothing else.
    pub fn assigned(
        &self,
        of: TopicIdPartition,
        node_id: NodeId,
        directory: DirectoryId,
    ) -> PartitionRecord {
        let mut record = self.to_record(of.topic_id, of.partition);
        record.partition_epoch += 1;
        for (replica, slot) in record.replicas.iter().zip(&mut record.directories) {
            if *replica == node_id {
                *slot = directory;
            }
        }
        record
    }

    fn to_record(&self, topic_id: TopicId, partition: PartitionIndex) -> PartitionRecord {
        PartitionRecord {
            topic_id,
            partition,
            replicas: self.replicas.clone(),
            isr: self.isr.clone(),
            leader: self.leader,
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            directories: self.directories.clone(),
        }
    }

    /// Epochs never go back (rule R1 of replication: a stale fact is rejected, never guessed at).
    fn check_successor(&self, next: &PartitionImage) -> Result<(), ApplyError> {
        let (from, to) = (self.partition_epoch, next.partition_epoch);
        only_forward("a partition epoch", from.into(), to.into())?;
        if next.leader_epoch < self.leader_epoch {
            return Err(ApplyError::GoesBack {
                what: "a leader epoch",
                from: self.leader_epoch.into(),
                to: next.leader_epoch.into(),
            });
        }
        Ok(())
    }
}

fn only_forward(what: &'static str, from: i64, to: i64) -> Result<(), ApplyError> {
    match to > from {
        true => Ok(()),
        false => Err(ApplyError::GoesBack { what, from, to }),
    }
}
