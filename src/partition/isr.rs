//! The in-sync replicas as the leader sees them.

use std::collections::BTreeMap;

use crate::types::{NodeId, Offset};

/// Who must have a record before it counts as committed, and how far each has come.
#[derive(Debug, Default)]
pub(super) struct InSyncReplicas {
    replica_count: usize,
    ends: BTreeMap<NodeId, Offset>,
}

impl InSyncReplicas {
    /// Nothing is known of the members' progress yet: it counts as none.
    pub(super) fn new(replica_count: usize, isr: &[NodeId]) -> InSyncReplicas {
        InSyncReplicas {
            replica_count,
            ends: isr.iter().map(|&node| (node, 0)).collect(),
        }
    }

    /// A member has everything below `end`. Others are not counted.
    pub(super) fn advance(&mut self, node: NodeId, end: Offset) {
        if let Some(known) = self.ends.get_mut(&node) {
            *known = end.max(*known);
        }
    }

    pub(super) fn count(&self) -> usize {
        self.ends.len()
    }

    /// The members that a write with acks=all needs (Kafka's `Partition.effectiveMinIsr`).
    pub(super) fn required(&self, min_insync_replicas: u32) -> usize {
        self.replica_count.min(min_insync_replicas as usize)
    }

    /// What every member has; `None` while there are fewer than `min_insync_replicas` asks for:
    /// then the high watermark stands still (KIP-966).
    pub(super) fn committed_end(&self, min_insync_replicas: u32) -> Option<Offset> {
        if self.count() < self.required(min_insync_replicas) {
            return None;
        }
        self.ends.values().min().copied()
    }
}
