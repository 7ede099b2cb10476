//! Where each assigned partition stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::client::backoff::Backoff;
use crate::types::{Monotonic, Offset, TopicPartition};

/// The partitions of a fetcher. Each assignment has a number, so that the answer to an older one
/// is not taken for it.
#[derive(Default)]
pub(super) struct Assignment {
    pub(super) partitions: BTreeMap<TopicPartition, Assigned>,
    next_number: u64,
    /// Where the next poll starts, so that a large partition does not starve the others.
    turn: usize,
}

/// One partition.
pub(super) struct Assigned {
    pub(super) number: u64,
    pub(super) position: Offset,
    /// Not polled before.
    pub(super) retry_at: Monotonic,
    pub(super) backoff: Backoff,
    /// A new position is being looked up.
    pub(super) is_resetting: bool,
    /// The position at which the end was reported.
    pub(super) end_reported: Option<Offset>,
}

impl Assignment {
    pub(super) fn insert(&mut self, partition: TopicPartition, position: Offset, backoff: Backoff) {
        let assigned = Assigned {
            number: self.next_number,
            position,
            retry_at: Monotonic::default(),
            backoff,
            is_resetting: false,
            end_reported: None,
        };
        self.next_number += 1;
        self.partitions.insert(partition, assigned);
    }

    /// The partition, if this is still the assignment of that number.
    pub(super) fn get(&mut self, partition: &TopicPartition, number: u64) -> Option<&mut Assigned> {
        let assigned = self.partitions.get_mut(partition)?;
        (assigned.number == number).then_some(assigned)
    }

    /// All partitions, beginning with another one at each call.
    pub(super) fn in_turn(&mut self) -> Vec<TopicPartition> {
        let mut all: Vec<TopicPartition> = self.partitions.keys().cloned().collect();
        if !all.is_empty() {
            self.turn = (self.turn + 1) % all.len();
            all.rotate_left(self.turn);
        }
        all
    }

    pub(super) fn position(&self, topic: &str, partition: i32) -> Option<Offset> {
        let key = TopicPartition::new(Arc::from(topic), partition);
        Some(self.partitions.get(&key)?.position)
    }
}
