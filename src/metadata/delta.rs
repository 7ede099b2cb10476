//! What a group of records changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::image::TopicImage;
use super::record::ConfigResource;
use crate::types::{NodeId, TopicId, TopicIdPartition};

/// What changed since the delta was empty: what a shard needs to open, close and reconfigure what
/// it owns. The image applied to has the new state.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MetadataDelta {
    pub topics_created: BTreeSet<TopicId>,
    /// As they were before. A topic that was created and deleted within the delta is in neither.
    pub topics_deleted: BTreeMap<TopicId, Arc<TopicImage>>,
    /// New ones and changed ones, of topics that exist in the image.
    pub partitions_changed: BTreeSet<TopicIdPartition>,
    /// Not those that went with their topic.
    pub configs_changed: BTreeSet<ConfigResource>,
    pub brokers_changed: BTreeSet<NodeId>,
    pub features_changed: bool,
    pub producer_ids_changed: bool,
}

impl MetadataDelta {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        *self == MetadataDelta::default()
    }

    pub(super) fn topic_deleted(&mut self, topic: Arc<TopicImage>) {
        let topic_id = topic.topic_id;
        let of_topic = TopicIdPartition {
            topic_id,
            partition: 0,
        }..=TopicIdPartition {
            topic_id,
            partition: i32::MAX,
        };
        let gone: Vec<_> = self.partitions_changed.range(of_topic).copied().collect();
        for partition in gone {
            self.partitions_changed.remove(&partition);
        }
        self.configs_changed
            .remove(&ConfigResource::topic(topic.name.clone()));
        if !self.topics_created.remove(&topic_id) {
            self.topics_deleted.insert(topic_id, topic);
        }
    }
}
