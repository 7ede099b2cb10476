//! The controller's state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::directories::{DirectoryPlacer, DirectorySpace};
use super::request::{ControllerReply, ControllerRequest, Outcome};
use crate::config::{BrokerConfig, DynamicBrokerConfig};
use crate::metadata::{
    ApplyError, ConfigResourceType, MetadataDelta, MetadataImage, MetadataRecord, collision_key,
};
use crate::types::Monotonic;

/// Turns requests into metadata records. Lives on shard 0.
///
/// **Invariant:** `colliding` has, under its [`collision_key`], every topic of the image that has
/// one, and nothing else.
#[derive(Debug)]
pub struct Controller {
    pub(super) config: Arc<BrokerConfig>,
    pub(super) image: MetadataImage,
    /// The broker's settings with what the image says of them.
    pub(super) dynamic: DynamicBrokerConfig,
    pub(super) colliding: BTreeMap<String, BTreeSet<Arc<str>>>,
}

impl Controller {
    /// A controller before the first record of the log is replayed.
    pub fn new(config: Arc<BrokerConfig>) -> Controller {
        Controller {
            dynamic: DynamicBrokerConfig::new(Arc::clone(&config)),
            config,
            image: MetadataImage::default(),
            colliding: BTreeMap::new(),
        }
    }

    /// The metadata as of the last replayed record: what the shards are given, cheap to clone.
    pub fn image(&self) -> &MetadataImage {
        &self.image
    }

    /// Answers a request. Changes nothing: the records do, when they are replayed. `directories`
    /// are those of this node that take new partitions. The time is part of every machine's
    /// signature; nothing that one node is asked depends on it yet.
    pub fn handle(
        &self,
        _now: Monotonic,
        directories: &[DirectorySpace],
        request: ControllerRequest,
    ) -> Outcome {
        let placer = || DirectoryPlacer::new(directories, &self.image, self.config.node_id);
        match request {
            ControllerRequest::CreateTopics(request) => self.create_topics(request, placer()),
            ControllerRequest::AutoCreateTopics(topics) => {
                self.auto_create_topics(topics, placer())
            }
            ControllerRequest::DeleteTopics(request) => self.delete_topics(request),
            ControllerRequest::CreatePartitions(request) => {
                self.create_partitions(request, placer())
            }
            ControllerRequest::AlterConfigs(request) => self.alter_configs(request),
            ControllerRequest::AllocateProducerIds => self.allocate_producer_ids(),
            ControllerRequest::RegisterBroker(request) => self.register_broker(request),
            ControllerRequest::AssignDirectories(found) => self.assign_directories(&found),
        }
    }

    /// Takes in one record of the metadata log and notes in `delta` what it changed.
    ///
    /// An error means that the log is corrupt: stop.
    pub fn replay(
        &mut self,
        record: &MetadataRecord,
        delta: &mut MetadataDelta,
    ) -> Result<(), ApplyError> {
        let removed = match record {
            MetadataRecord::RemoveTopic(record) => self.image.topic(record.topic_id).cloned(),
            _ => None,
        };
        self.image.apply(record, delta)?;
        if let MetadataRecord::Config(record) = record
            && record.resource.resource_type == ConfigResourceType::Broker
        {
            let (cluster, node) = self.image.broker_configs(self.config.node_id);
            // What does not count any more is told by the shards, which see the image as a whole.
            (self.dynamic, _) = self.dynamic.with(cluster, node);
        }
        if let MetadataRecord::Topic(record) = record
            && let Some(key) = collision_key(&record.name)
        {
            let names = self.colliding.entry(key).or_default();
            names.insert(record.name.clone());
        }
        if let Some(topic) = removed
            && let Some(key) = collision_key(&topic.name)
            && let Some(names) = self.colliding.get_mut(&key)
        {
            names.remove(&topic.name);
            if names.is_empty() {
                self.colliding.remove(&key);
            }
        }
        Ok(())
    }

    /// An outcome that changes nothing.
    pub(super) fn answer(reply: ControllerReply) -> Outcome {
        Outcome {
            records: Vec::new(),
            reply,
        }
    }
}
