//! Which brokers hold the replicas of new partitions (Kafka's `ReplicaPlacer`, and
//! `validateManualPartitionAssignment` of `ReplicationControlManager`).

use std::ops::Range;

use super::directories::DirectoryPlacer;
use super::machine::Controller;
use crate::metadata::{MetadataRecord, PartitionRecord};
use crate::types::{ErrorCode, NodeId, PartitionIndex, TopicId};

/// Why something is refused: the code, and the sentence that goes with it.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) ErrorCode, pub(super) String);

/// Replicas of each of some partitions, in their order.
pub(super) type Placement = Vec<Vec<NodeId>>;

impl Controller {
    /// Places these partitions of a topic on the registered brokers.
    pub(super) fn spread(
        &self,
        topic_id: TopicId,
        partitions: Range<usize>,
        replication_factor: i16,
    ) -> Result<Placement, String> {
        let brokers: Vec<NodeId> = self.image.brokers().map(|broker| broker.node_id).collect();
        let replica_count = usize::try_from(replication_factor).unwrap_or(0);
        if replica_count == 0 || replica_count > brokers.len() {
            return Err(format!(
                "The target replication factor of {replication_factor} cannot be reached because \
                 only {} broker(s) are registered.",
                brokers.len()
            ));
        }
        // Round robin, starting where the topic's random id says, so that topics with few
        // partitions spread too.
        let first = usize::from(topic_id.0[0]);
        Ok(partitions
            .map(|partition| {
                let replica = |index| brokers[(first + partition + index) % brokers.len()];
                (0..replica_count).map(replica).collect()
            })
            .collect())
    }

    /// What is wrong with a partition's replicas as somebody named them. `replica_count` is that
    /// of the topic's other partitions.
    pub(super) fn check_assignment(
        &self,
        broker_ids: &[NodeId],
        replica_count: Option<usize>,
    ) -> Result<(), Refusal> {
        let refuse = |what: String| {
            let message = format!("The manual partition assignment includes {what}");
            Err(Refusal(ErrorCode::InvalidReplicaAssignment, message))
        };
        if broker_ids.is_empty() {
            return refuse("an empty replica list.".to_owned());
        }
        // In their order, as Kafka looks at them.
        let mut sorted = broker_ids.to_vec();
        sorted.sort_unstable();
        let mut previous = None;
        for broker in sorted {
            if self.image.broker(broker).is_none() {
                return refuse(format!(
                    "broker {broker}, but no such broker is registered."
                ));
            }
            if previous.replace(broker) == Some(broker) {
                return refuse(format!("the broker {broker} more than once."));
            }
        }
        match replica_count {
            Some(before) if before != broker_ids.len() => refuse(format!(
                "a partition with {} replica(s), but this is not consistent with previous \
                 partitions, which have {before} replica(s).",
                broker_ids.len()
            )),
            _ => Ok(()),
        }
    }
}

/// The records of a topic's new partitions, numbered from `first` on.
pub(super) fn partition_records(
    topic_id: TopicId,
    first: usize,
    placement: &Placement,
    placer: &mut DirectoryPlacer,
) -> Vec<MetadataRecord> {
    let numbered = (first..).zip(placement);
    let records = numbered.map(|(partition, replicas)| {
        MetadataRecord::Partition(PartitionRecord {
            topic_id,
            partition: PartitionIndex::try_from(partition).expect("partition numbers are i32"),
            replicas: replicas.clone(),
            isr: replicas.clone(),
            leader: replicas[0],
            leader_epoch: 0,
            partition_epoch: 0,
            directories: placer.place(replicas),
        })
    });
    records.collect()
}
