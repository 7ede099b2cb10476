//! One record of Kafka's metadata.

use super::reader::Reader;
use crate::types::{LeaderEpoch, NodeId, PartitionIndex, ProducerId, TopicId};

const FRAME_VERSION: u32 = 1;

/// The tagged fields of a PartitionChangeRecord that matter.
const CHANGED_LEADER: u32 = 1;
const CHANGED_REPLICAS: u32 = 2;
const CHANGED_REMOVING: u32 = 3;
const CHANGED_ADDING: u32 = 4;

/// Why bytes are not a metadata record of a Kafka that is known here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KraftError {
    #[error("a record ends in the middle of a field")]
    Truncated,
    #[error("a record has {0} bytes behind its last field")]
    TrailingBytes(usize),
    #[error("a record's frame has version {0}, which is not known: a newer Kafka's?")]
    UnknownFrame(u32),
    #[error("a record has type {0}, which is not known: a newer Kafka's?")]
    UnknownType(u32),
    #[error("a record of type {kind} has version {version}, which is not known: a newer Kafka's?")]
    UnknownVersion { kind: u32, version: u32 },
    #[error("a record has {0} that cannot be read")]
    Invalid(&'static str),
    #[error("a record names topic id {0}, which does not exist")]
    UnknownTopic(TopicId),
    #[error("a record changes partition {partition} of topic id {topic_id}, which does not exist")]
    UnknownPartition {
        topic_id: TopicId,
        partition: PartitionIndex,
    },
    #[error("the records from offset {0} on are missing")]
    Missing(i64),
    #[error("a batch is damaged: {0}")]
    Batch(crate::batch::BatchError),
    #[error("a transaction of the metadata begins or ends out of turn")]
    Transaction,
}

/// What is protected by Kafka or limited, and would be lost.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Secured {
    Acl,
    DelegationToken,
    Scram,
    Quota,
}

/// A partition's state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Partition {
    pub(super) replicas: Vec<NodeId>,
    pub(super) removing_replicas: Vec<NodeId>,
    pub(super) adding_replicas: Vec<NodeId>,
    pub(super) leader: NodeId,
    pub(super) leader_epoch: LeaderEpoch,
    pub(super) partition_epoch: i32,
}

/// What changed of a partition; its epoch grows with each change.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct PartitionChange {
    /// A new leader, the same one or none: in each case a new leader epoch.
    pub(super) leader: Option<NodeId>,
    pub(super) replicas: Option<Vec<NodeId>>,
    pub(super) removing_replicas: Option<Vec<NodeId>>,
    pub(super) adding_replicas: Option<Vec<NodeId>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Record {
    RegisterBroker(NodeId),
    UnregisterBroker(NodeId),
    Topic {
        topic_id: TopicId,
        name: String,
    },
    Partition {
        topic_id: TopicId,
        partition: PartitionIndex,
        state: Partition,
    },
    PartitionChange {
        topic_id: TopicId,
        partition: PartitionIndex,
        change: PartitionChange,
    },
    RemoveTopic(TopicId),
    Config {
        resource_type: i8,
        resource: String,
        key: String,
        value: Option<String>,
    },
    ProducerIds(ProducerId),
    Secured {
        what: Secured,
        /// Tells one from the other.
        key: Vec<u8>,
        is_removed: bool,
    },
    ZkMigration(i8),
    BeginTransaction,
    EndTransaction,
    AbortTransaction,
    /// Of the life of the nodes and the features that Kafka's software has: no state of the
    /// directory.
    Passing,
}

impl Record {
    /// The record in `bytes`, which must hold it and nothing else.
    pub(super) fn decode(bytes: &[u8]) -> Result<Record, KraftError> {
        let mut input = Reader(bytes);
        let frame = input.unsigned()?;
        if frame != FRAME_VERSION {
            return Err(KraftError::UnknownFrame(frame));
        }
        let kind = input.unsigned()?;
        let version = input.unsigned()?;
        let known = match kind {
            0 => 3,
            3 | 5 | 17 => 2,
            1 | 2 | 4 | 7..=12 | 14 | 15 | 18..=27 => 0,
            _ => return Err(KraftError::UnknownType(kind)),
        };
        if version > known {
            return Err(KraftError::UnknownVersion { kind, version });
        }
        let record = input.record(kind, version)?;
        match (&record, input.0.len()) {
            (Record::Passing | Record::RegisterBroker(_), _) | (_, 0) => Ok(record),
            (_, left) => Err(KraftError::TrailingBytes(left)),
        }
    }
}

impl Reader<'_> {
    fn record(&mut self, kind: u32, version: u32) -> Result<Record, KraftError> {
        let record = match kind {
            // What follows the id is where clients reach it.
            0 => return Ok(Record::RegisterBroker(self.i32()?)),
            1 => {
                let node_id = self.i32()?;
                self.i64()?;
                Record::UnregisterBroker(node_id)
            }
            2 => {
                let name = self.string()?.to_owned();
                let topic_id = TopicId(self.id()?);
                Record::Topic { topic_id, name }
            }
            3 => return self.partition(version),
            4 => Record::Config {
                resource_type: self.i8()?,
                resource: self.string()?.to_owned(),
                key: self.string()?.to_owned(),
                value: self.optional_string()?.map(str::to_owned),
            },
            5 => return self.partition_change(),
            9 => Record::RemoveTopic(TopicId(self.id()?)),
            10 | 11 | 14 | 18 | 19 | 22 | 26 => self.secured(kind)?,
            15 => {
                self.i32()?;
                self.i64()?;
                Record::ProducerIds(self.i64()?)
            }
            21 => Record::ZkMigration(self.i8()?),
            23 => Record::BeginTransaction,
            24 => Record::EndTransaction,
            25 => Record::AbortTransaction,
            _ => return Ok(Record::Passing),
        };
        self.end()?;
        Ok(record)
    }

    fn partition(&mut self, version: u32) -> Result<Record, KraftError> {
        let partition = self.i32()?;
        let topic_id = TopicId(self.id()?);
        let replicas = self.list(Reader::i32)?;
        self.list(Reader::i32)?; // The ISR: of one replica.
        let removing_replicas = self.list(Reader::i32)?;
        let adding_replicas = self.list(Reader::i32)?;
        let state = Partition {
            replicas,
            removing_replicas,
            adding_replicas,
            leader: self.i32()?,
            leader_epoch: self.i32()?,
            partition_epoch: self.i32()?,
        };
        if version >= 1 {
            self.list(Reader::id)?;
        }
        self.end()?;
        Ok(Record::Partition {
            topic_id,
            partition,
            state,
        })
    }

    fn partition_change(&mut self) -> Result<Record, KraftError> {
        let partition = self.i32()?;
        let topic_id = TopicId(self.id()?);
        let mut change = PartitionChange::default();
        self.tagged(|tag, mut field| {
            match tag {
                CHANGED_LEADER => change.leader = Some(field.i32()?),
                CHANGED_REPLICAS => change.replicas = field.optional_list(Reader::i32)?,
                CHANGED_REMOVING => change.removing_replicas = field.optional_list(Reader::i32)?,
                CHANGED_ADDING => change.adding_replicas = field.optional_list(Reader::i32)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(Record::PartitionChange {
            topic_id,
            partition,
            change,
        })
    }

    fn secured(&mut self, kind: u32) -> Result<Record, KraftError> {
        let start = self.0;
        let (what, key, is_removed) = match kind {
            10 => {
                self.string()?;
                self.string()?;
                self.list(|renewer| renewer.string().map(|_| ()))?;
                self.take(3 * size_of::<i64>())?;
                (
                    Secured::DelegationToken,
                    self.string()?.as_bytes().to_vec(),
                    false,
                )
            }
            26 => (
                Secured::DelegationToken,
                self.string()?.as_bytes().to_vec(),
                true,
            ),
            11 | 22 => {
                self.string()?;
                self.i8()?;
                let key = start[..start.len() - self.0.len()].to_vec();
                if kind == 11 {
                    for _ in 0..3 {
                        self.optional_bytes()?;
                    }
                    self.i32()?;
                }
                (Secured::Scram, key, kind == 22)
            }
            14 => {
                self.list(|entity| {
                    entity.string()?;
                    entity.optional_string()?;
                    entity.tagged(|_, _| Ok(()))
                })?;
                self.string()?;
                let key = start[..start.len() - self.0.len()].to_vec();
                self.take(size_of::<f64>())?;
                (Secured::Quota, key, self.boolean()?)
            }
            18 => {
                let id = self.id()?;
                self.i8()?;
                self.string()?;
                self.i8()?;
                self.string()?;
                self.string()?;
                self.take(2)?;
                (Secured::Acl, id.to_vec(), false)
            }
            _ => (Secured::Acl, self.id()?.to_vec(), true),
        };
        Ok(Record::Secured {
            what,
            key,
            is_removed,
        })
    }
}
