//! In which of its log directories this node keeps a partition.
//!
//! A new one goes where a partition has the most free space to itself, when all that are there and
//! the new one share what is free: on equal disks that is the directory with the fewest partitions,
//! and otherwise each takes as many as it has room for, also of many that are created at once.

use super::machine::Controller;
use super::request::{ControllerReply, Outcome};
use crate::metadata::{MetadataImage, MetadataRecord};
use crate::types::{DirectoryId, NodeId, TopicIdPartition};

/// A log directory of this node that takes new partitions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DirectorySpace {
    pub directory_id: DirectoryId,
    /// Of its file system.
    pub free_bytes: u64,
}

/// Gives directories to the new partitions of one request, in turn.
pub(super) struct DirectoryPlacer {
    node_id: NodeId,
    /// In the order of `log.dirs`, each with its number of partitions.
    directories: Vec<(DirectorySpace, u64)>,
}

impl DirectoryPlacer {
    pub(super) fn new(
        directories: &[DirectorySpace],
        image: &MetadataImage,
        node_id: NodeId,
    ) -> DirectoryPlacer {
        let mut directories: Vec<_> = directories.iter().map(|space| (*space, 0)).collect();
        // With one there is nothing to choose.
        if directories.len() > 1 {
            let partitions = image.topics().flat_map(|topic| &topic.partitions);
            for own in partitions.map(|partition| partition.directory_of(node_id)) {
                let mut known = directories.iter_mut();
                if let Some((_, count)) = known.find(|(space, _)| space.directory_id == own) {
                    *count += 1;
                }
            }
        }
        DirectoryPlacer {
            node_id,
            directories,
        }
    }

    /// The directories of a new partition's replicas. Those of other nodes choose for themselves.
    pub(super) fn place(&mut self, replicas: &[NodeId]) -> Vec<DirectoryId> {
        let mut placed = Vec::with_capacity(replicas.len());
        for &replica in replicas {
            placed.push(match replica == self.node_id {
                true => self.next(),
                false => DirectoryId::UNASSIGNED,
            });
        }
        placed
    }

    fn next(&mut self) -> DirectoryId {
        let mut best: Option<&mut (DirectorySpace, u64)> = None;
        for candidate in &mut self.directories {
            let is_better = best
                .as_deref()
                .is_none_or(|best| has_more_room(candidate, best));
            if is_better {
                best = Some(candidate);
            }
        }
        best.map_or(DirectoryId::UNASSIGNED, |(space, count)| {
            *count += 1;
            space.directory_id
        })
    }
}

/// Whether one more partition has more space to itself in `a`; where none is free, fewer beside it.
fn has_more_room(a: &(DirectorySpace, u64), b: &(DirectorySpace, u64)) -> bool {
    let share = |of: &(DirectorySpace, u64), count: u64| {
        // Compares the quotients by cross-multiplication.
        u128::from(of.0.free_bytes) * u128::from(count + 1)
    };
    let (in_a, in_b) = (share(a, b.1), share(b, a.1));
    in_a > in_b || (in_a == in_b && a.1 < b.1)
}

impl Controller {
    /// Records where this node has found partitions that the metadata has elsewhere or nowhere
    /// (Kafka's AssignReplicasToDirs, KIP-858). Those that are not known are left out.
    pub(super) fn assign_directories(&self, found: &[(TopicIdPartition, DirectoryId)]) -> Outcome {
        let node_id = self.config.node_id;
        let records = found.iter().filter_map(|&(of, directory)| {
            let partition = self.image.partition(of)?;
            let is_new = partition.directory_of(node_id) != directory;
            let is_ours = partition.replicas.contains(&node_id);
            let record = || MetadataRecord::Partition(partition.assigned(of, node_id, directory));
            (is_new && is_ours).then(record)
        });
        Outcome {
            records: records.collect(),
            reply: ControllerReply::AssignDirectories,
        }
    }
}
