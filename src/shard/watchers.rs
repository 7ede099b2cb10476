//! Who wants to hear when a partition has more to read.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::{ShardId, TopicIdPartition};

/// A fetch that waits on some shard: the shard, and the number that it gave the fetch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Watcher {
    pub(super) shard: ShardId,
    pub(super) fetch: u64,
}

/// The one-shot watches on the partitions of one shard.
///
/// **Invariant:** both maps say the same; a watcher that was woken or has left is in neither.
#[derive(Default)]
pub(super) struct Watchers {
    by_partition: BTreeMap<TopicIdPartition, BTreeSet<Watcher>>,
    by_watcher: BTreeMap<Watcher, Vec<TopicIdPartition>>,
}

impl Watchers {
    pub(super) fn watch(&mut self, watcher: Watcher, partition: TopicIdPartition) {
        if self
            .by_partition
            .entry(partition)
            .or_default()
            .insert(watcher)
        {
            self.by_watcher.entry(watcher).or_default().push(partition);
        }
    }

    /// The watchers of a partition, which are watchers no more: of it or of any other.
    pub(super) fn wake(&mut self, partition: &TopicIdPartition) -> Vec<Watcher> {
        let Some(watchers) = self.by_partition.remove(partition) else {
            return Vec::new();
        };
        for watcher in &watchers {
            self.forget(watcher);
        }
        watchers.into_iter().collect()
    }

    /// The fetch is answered: it no longer waits for anything here.
    pub(super) fn forget(&mut self, watcher: &Watcher) {
        for partition in self.by_watcher.remove(watcher).unwrap_or_default() {
            if let Some(watchers) = self.by_partition.get_mut(&partition) {
                watchers.remove(watcher);
                if watchers.is_empty() {
                    self.by_partition.remove(&partition);
                }
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_watcher.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::TopicId;

    fn partition(number: i32) -> TopicIdPartition {
        TopicIdPartition {
            topic_id: TopicId([1; 16]),
            partition: number,
        }
    }

    #[test]
    fn a_watcher_is_woken_once_and_then_watches_nothing() {
        let (a, b) = (
            Watcher {
                shard: ShardId(0),
                fetch: 1,
            },
            Watcher {
                shard: ShardId(1),
                fetch: 1,
            },
        );
        let mut watchers = Watchers::default();
        watchers.watch(a, partition(0));
        watchers.watch(a, partition(1));
        watchers.watch(b, partition(1));
        assert_eq!(watchers.wake(&partition(0)), vec![a]);
        assert_eq!(watchers.wake(&partition(1)), vec![b]);
        assert!(watchers.wake(&partition(1)).is_empty());
        assert!(watchers.is_empty());
    }

    #[test]
    fn a_watcher_that_left_is_not_woken() {
        let a = Watcher {
            shard: ShardId(0),
            fetch: 7,
        };
        let mut watchers = Watchers::default();
        watchers.watch(a, partition(3));
        watchers.watch(a, partition(3));
        watchers.forget(&a);
        assert!(watchers.wake(&partition(3)).is_empty());
        assert!(watchers.is_empty());
    }
}
