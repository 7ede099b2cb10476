//! Making a metadata image true on one shard: opening, deleting and reconfiguring logs.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::core::Core;
use super::error::ShardError;
use super::message::leads;
use super::replica::Replica;
use crate::config::{AckClass, BrokerConfig, TopicConfig};
use crate::io::Semaphore;
use crate::log::{Landmark, Log, LogConfig, LogError, OpenLog, RecoveryReport};
use crate::metadata::{ConfigResource, MetadataDelta, MetadataImage, TopicImage};
use crate::types::{TopicId, TopicIdPartition, TopicPartition};

/// Logs that one shard opens, and so recovers, at the same time.
const LOGS_OPENING_MAX: usize = 32;

impl Core {
    /// Opens everything that this shard owns; at start. How many partitions.
    pub(super) async fn open_logs(
        self: &Rc<Core>,
        image: Arc<MetadataImage>,
    ) -> Result<usize, ShardError> {
        let topics: Vec<_> = image.topics().map(|topic| topic.topic_id).collect();
        self.resolve_configs(&image, topics.into_iter());
        let mine = image.topics().flat_map(|topic| partitions(topic));
        let mine: Vec<_> = mine
            .filter(|&partition| self.serves(&image, partition))
            .collect();
        self.open_partitions(&image, &mine).await?;
        *self.image.borrow_mut() = image;
        Ok(mine.len())
    }

    /// Carries out what changed. The image is this shard's when the change is true.
    pub(super) async fn apply_image(
        self: &Rc<Core>,
        image: Arc<MetadataImage>,
        delta: &MetadataDelta,
    ) -> Result<(), ShardError> {
        let by_name = delta
            .configs_changed
            .iter()
            .filter_map(|resource| Some(image.topic_by_name(&resource.name)?.topic_id));
        let changed = delta.topics_created.iter().copied().chain(by_name);
        let changed: Vec<_> = changed.collect();
        self.resolve_configs(&image, changed.iter().copied());
        let created = delta.partitions_changed.iter().copied();
        let opened: Vec<_> = created
            .filter(|partition| self.serves(&image, *partition))
            .filter(|partition| self.replica(partition).is_none())
            .collect();
        let outcome = self.open_partitions(&image, &opened).await;
        // From here on requests see the new image.
        *self.image.borrow_mut() = Arc::clone(&image);
        self.delete_topics(delta).await;
        for topic_id in changed {
            self.reconfigure(&image, topic_id);
        }
        outcome
    }

    fn serves(&self, image: &MetadataImage, partition: TopicIdPartition) -> bool {
        self.owner(partition) == self.reactor.shard()
            && leads(image, partition, self.config.node_id)
    }

    fn resolve_configs(&self, image: &MetadataImage, topics: impl Iterator<Item = TopicId>) {
        let none = BTreeMap::new();
        for topic_id in topics {
            let Some(topic) = image.topic(topic_id) else {
                continue;
            };
            let resource = ConfigResource::topic(Arc::clone(&topic.name));
            let overrides = image.config(&resource).map_or(&none, |values| &**values);
            let config = TopicConfig::resolve(&self.config.settings, overrides);
            let config = config.unwrap_or_else(|error| {
                // It was checked when it was set; the broker's limits have changed since.
                tracing::warn!(topic = %topic.name, %error, "the broker's defaults are used");
                self.config.topic_defaults.clone()
            });
            self.topic_configs
                .borrow_mut()
                .insert(topic_id, Arc::new(config));
        }
    }

    async fn open_partitions(
        self: &Rc<Core>,
        image: &Arc<MetadataImage>,
        partitions: &[TopicIdPartition],
    ) -> Result<(), ShardError> {
        let turns = Semaphore::new(LOGS_OPENING_MAX);
        let mut opening = Vec::with_capacity(partitions.len());
        for &partition in partitions {
            let turn = turns.acquire(1).await;
            let (core, image) = (Rc::clone(self), Arc::clone(image));
            opening.push(self.reactor.spawn(async move {
                let opened = core.open_partition(&image, partition).await;
                drop(turn);
                opened
            }));
        }
        for opened in opening {
            opened.await?;
        }
        Ok(())
    }

    async fn open_partition(
        self: &Rc<Core>,
        image: &MetadataImage,
        partition: TopicIdPartition,
    ) -> Result<(), ShardError> {
        let topic = image
            .topic(partition.topic_id)
            .expect("a partition's topic is in its image");
        let name = TopicPartition::new(Arc::clone(&topic.name), partition.partition);
        let config = self
            .topic_configs
            .borrow()
            .get(&partition.topic_id)
            .cloned();
        let config = config.expect("configs are resolved before logs are opened");
        let led = image
            .partition(partition)
            .expect("the partition is in its image");
        let directory = self.log_directory(led.directory_of(self.config.node_id));
        let is_missing = self.missing.borrow().contains(&partition);
        let Some(directory) = directory.filter(|_| !is_missing) else {
            self.not_opened(partition, &name, &"so is its directory");
            return Ok(());
        };
        let progressed = Rc::downgrade(self);
        let open = OpenLog {
            partition: name.clone(),
            topic_id: partition.topic_id,
            config: log_config(&self.config, &config),
            recovery_point: 0,
            log_start_offset: 0,
            on_progress: Rc::new(move |_| {
                if let Some(core) = progressed.upgrade() {
                    core.note_progress(partition);
                }
            }),
        };
        let fail = |reason: String| ShardError::Partition {
            partition: name.to_string(),
            reason,
        };
        let (log, report) = match Log::open(&directory, open).await {
            Ok(opened) => opened,
            Err(error @ LogError::Corrupt { .. }) => {
                // Nothing is cut; the others are served.
                tracing::error!(partition = %name, %error, "the partition is offline");
                self.offline.borrow_mut().insert(partition);
                return Ok(());
            }
            Err(error) if self.can_do_without(&directory) => {
                directory.fail(&error);
                self.not_opened(partition, &name, &error);
                return Ok(());
            }
            Err(error) => return Err(fail(error.to_string())),
        };
        log_recovery(&name, &report);
        let replica = Replica::lead(self, partition, log, led, &config);
        self.replicas
            .borrow_mut()
            .insert(partition, Rc::clone(&replica));
        if directory.has_failed() && self.has_several_directories() {
            // It was told before this partition was there to hear it.
            self.take_offline(&replica);
        }
        Ok(())
    }

    /// The directory of a partition is offline: clients are told so.
    fn not_opened(
        &self,
        partition: TopicIdPartition,
        name: &TopicPartition,
        reason: &dyn std::fmt::Display,
    ) {
        tracing::error!(partition = %name, %reason, "the partition is offline");
        self.landmarks.reached(Landmark::PartitionOffline);
        self.offline.borrow_mut().insert(partition);
    }

    /// Called from the log's own task: the machine steps in the shard's.
    fn note_progress(&self, partition: TopicIdPartition) {
        if self
            .replica(&partition)
            .is_some_and(|replica| !replica.is_noted.replace(true))
        {
            self.progressed.borrow_mut().push(partition);
            self.progress.notify_all();
        }
    }

    async fn delete_topics(self: &Rc<Core>, delta: &MetadataDelta) {
        for topic in delta.topics_deleted.values() {
            self.topic_configs.borrow_mut().remove(&topic.topic_id);
            for partition in partitions(topic) {
                self.offline.borrow_mut().remove(&partition);
                let replica = self.replicas.borrow_mut().remove(&partition);
                let Some(replica) = replica else { continue };
                super::produce::retire(self, &replica);
                if let Err(error) = replica.log().delete().await {
                    tracing::error!(partition = %replica.log().partition(), %error,
                        "a deleted partition's directory could not be put aside");
                }
            }
        }
    }

    fn reconfigure(&self, image: &MetadataImage, topic_id: TopicId) {
        let config = self.topic_configs.borrow().get(&topic_id).cloned();
        let (Some(topic), Some(config)) = (image.topic(topic_id), config) else {
            return;
        };
        for partition in partitions(topic) {
            if let Some(replica) = self.replica(&partition) {
                replica.log().set_config(log_config(&self.config, &config));
                replica.set_config(self, &config);
            }
        }
    }
}

fn partitions(topic: &TopicImage) -> impl Iterator<Item = TopicIdPartition> + use<> {
    let topic_id = topic.topic_id;
    let count = i32::try_from(topic.partitions.len()).expect("partition numbers are i32");
    (0..count).map(move |partition| TopicIdPartition {
        topic_id,
        partition,
    })
}

fn log_config(broker: &BrokerConfig, topic: &TopicConfig) -> LogConfig {
    let deletes = topic.cleanup_policy.delete;
    LogConfig {
        segment_size_max: u64::from(topic.segment_bytes),
        roll_ms: topic.segment_ms,
        index_interval_bytes: u64::from(topic.index_interval_bytes),
        index_size_max: topic.segment_index_bytes as usize,
        flush_before_ack: topic.ack_class() == AckClass::PowerSafe,
        flush_messages: i64::try_from(topic.flush_messages).unwrap_or(i64::MAX),
        flush_ms: topic.flush_interval.map_or(i64::MAX, |interval| {
            i64::try_from(interval.as_millis()).unwrap_or(i64::MAX)
        }),
        unflushed_bytes_max: broker.log_unflushed_bytes_max,
        retention_ms: topic
            .retention
            .filter(|_| deletes)
            .map(|age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX)),
        retention_size: topic.retention_bytes.filter(|_| deletes),
        file_delete_delay: topic.file_delete_delay,
    }
}

fn log_recovery(partition: &TopicPartition, report: &RecoveryReport) {
    if report.dropped_bytes > 0 {
        tracing::warn!(
            %partition,
            batches = report.dropped_batches,
            bytes = report.dropped_bytes,
            "recovery dropped what was written behind the end of the log and never acknowledged"
        );
    }
}
