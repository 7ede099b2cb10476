//! What the records of Kafka's metadata add up to.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{KraftError, Partition, PartitionChange, Record, Secured};
use crate::batch::{
    BatchIter, BatchView, ControlRecord, CrcCheck, Decompressor, RecordIter, ScanEnd,
};
use crate::types::{NodeId, Offset, PartitionIndex, ProducerId, TopicId};

/// Largest payload of a batch when decompressed; Kafka does not compress these.
const RECORDS_SIZE_MAX: usize = 64 << 20;

/// `ConfigResource.Type.TOPIC`
pub(super) const TOPIC_RESOURCE: i8 = 2;

/// A Kafka's metadata: a snapshot of it, then the records of its log behind that.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KraftImage {
    pub(super) topics: BTreeMap<TopicId, Topic>,
    /// By type and name of what they belong to.
    pub(super) configs: BTreeMap<(i8, String), BTreeMap<String, String>>,
    pub(super) brokers: BTreeSet<NodeId>,
    /// As the newest leader named them.
    pub(super) voters: Vec<NodeId>,
    pub(super) secured: BTreeSet<(Secured, Vec<u8>)>,
    pub(super) zk_migration: i8,
    pub(super) next_producer_id: ProducerId,
    /// What counts if the metadata transaction that has begun is aborted.
    pub(super) before_transaction: Option<Box<KraftImage>>,
    /// Of the next record in the log that is not in here.
    next_offset: Offset,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Topic {
    pub(super) name: String,
    pub(super) partitions: BTreeMap<PartitionIndex, Partition>,
}

impl KraftImage {
    /// Takes in the whole batches at the start of `bytes`, which go on in a snapshot; gives their
    /// size.
    pub fn replay_snapshot(&mut self, bytes: &[u8]) -> Result<usize, KraftError> {
        self.replay(bytes, |_, _| Ok(true))
    }

    /// The snapshot has all records below this offset of the log.
    pub fn end_snapshot(&mut self, end_offset: Offset) {
        self.next_offset = end_offset;
    }

    /// As [`KraftImage::replay_snapshot`], of the log. What a snapshot has is passed over.
    pub fn replay_log(&mut self, bytes: &[u8]) -> Result<usize, KraftError> {
        self.replay(bytes, |image, batch| {
            if batch.base_offset > image.next_offset {
                return Err(KraftError::Missing(image.next_offset));
            }
            Ok(batch.last_offset() >= image.next_offset)
        })
    }

    fn replay(
        &mut self,
        bytes: &[u8],
        is_wanted: impl Fn(&KraftImage, &BatchView<'_>) -> Result<bool, KraftError>,
    ) -> Result<usize, KraftError> {
        let mut decompressor = Decompressor::new();
        let mut batches = BatchIter::new(bytes, CrcCheck::Verify);
        for batch in batches.by_ref() {
            if is_wanted(self, &batch)? {
                self.replay_batch(&mut decompressor, &batch)?;
            }
        }
        match batches.end() {
            Some(ScanEnd::Corrupt(error)) => Err(KraftError::Batch(error)),
            _ => Ok(batches.position()),
        }
    }

    fn replay_batch(
        &mut self,
        decompressor: &mut Decompressor,
        batch: &BatchView<'_>,
    ) -> Result<(), KraftError> {
        let records = decompressor.records(batch, RECORDS_SIZE_MAX);
        let records = records.map_err(KraftError::Batch)?;
        // A snapshot ends inside a batch: what it has of it is not replayed again.
        let first = match batch.base_offset < self.next_offset {
            true => self.next_offset,
            false => batch.base_offset,
        };
        for record in RecordIter::new(batch.header(), &records) {
            let record = record.map_err(KraftError::Batch)?;
            if record.offset < first {
                continue;
            }
            if batch.is_control() {
                let control = ControlRecord::parse(&record).map_err(KraftError::Batch)?;
                if let ControlRecord::LeaderChange(change) = control {
                    self.voters = change.voters;
                }
                continue;
            }
            let value = record.value.ok_or(KraftError::Invalid("no value"))?;
            self.apply(Record::decode(value)?)?;
        }
        self.next_offset = batch.last_offset() + 1;
        Ok(())
    }

    pub(super) fn apply(&mut self, record: Record) -> Result<(), KraftError> {
        match record {
            Record::RegisterBroker(node_id) => drop(self.brokers.insert(node_id)),
            Record::UnregisterBroker(node_id) => drop(self.brokers.remove(&node_id)),
            Record::Topic { topic_id, name } => {
                let partitions = BTreeMap::new();
                self.topics.insert(topic_id, Topic { name, partitions });
            }
            Record::Partition {
                topic_id,
                partition,
                state,
            } => {
                let topic = self.topics.get_mut(&topic_id);
                let topic = topic.ok_or(KraftError::UnknownTopic(topic_id))?;
                topic.partitions.insert(partition, state);
            }
            Record::PartitionChange {
                topic_id,
                partition,
                change,
            } => {
                let topic = self.topics.get_mut(&topic_id);
                let state = topic.and_then(|topic| topic.partitions.get_mut(&partition));
                let unknown = KraftError::UnknownPartition {
                    topic_id,
                    partition,
                };
                state.ok_or(unknown)?.change(change);
            }
            Record::RemoveTopic(topic_id) => {
                let topic = self.topics.remove(&topic_id);
                let topic = topic.ok_or(KraftError::UnknownTopic(topic_id))?;
                self.configs.remove(&(TOPIC_RESOURCE, topic.name));
            }
            Record::Config {
                resource_type,
                resource,
                key,
                value,
            } => self.configure((resource_type, resource), key, value),
            Record::ProducerIds(next) => {
                self.next_producer_id = self.next_producer_id.max(next);
            }
            Record::Secured {
                what,
                key,
                is_removed,
            } => drop(match is_removed {
                true => self.secured.remove(&(what, key)),
                false => self.secured.insert((what, key)),
            }),
            Record::ZkMigration(state) => self.zk_migration = state,
            Record::BeginTransaction | Record::EndTransaction | Record::AbortTransaction => {
                self.transaction(&record)?;
            }
            Record::Passing => {}
        }
        Ok(())
    }

    fn configure(&mut self, resource: (i8, String), key: String, value: Option<String>) {
        let values = self.configs.entry(resource.clone()).or_default();
        match value {
            Some(value) => values.insert(key, value),
            None => values.remove(&key),
        };
        if values.is_empty() {
            self.configs.remove(&resource);
        }
    }

    fn transaction(&mut self, record: &Record) -> Result<(), KraftError> {
        let before = self.before_transaction.take();
        match (record, before) {
            (Record::BeginTransaction, None) => {
                self.before_transaction = Some(Box::new(self.clone()));
            }
            (Record::EndTransaction, Some(_)) => {}
            (Record::AbortTransaction, Some(before)) => {
                *self = KraftImage {
                    next_offset: self.next_offset,
                    voters: std::mem::take(&mut self.voters),
                    ..*before
                };
            }
            _ => return Err(KraftError::Transaction),
        }
        Ok(())
    }
}

impl Partition {
    /// Kafka's `PartitionRegistration.merge`.
    fn change(&mut self, change: PartitionChange) {
        if let Some(leader) = change.leader {
            self.leader = leader;
            self.leader_epoch = self.leader_epoch.saturating_add(1);
        }
        self.partition_epoch = self.partition_epoch.saturating_add(1);
        for (own, new) in [
            (&mut self.replicas, change.replicas),
            (&mut self.removing_replicas, change.removing_replicas),
            (&mut self.adding_replicas, change.adding_replicas),
        ] {
            if let Some(new) = new {
                *own = new;
            }
        }
    }
}
