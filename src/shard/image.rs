//! Making a metadata image true on one shard: opening, deleting and reconfiguring logs.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use super::broken_promise::BrokenPromise;
use super::core::Core;
use super::error::ShardError;
use super::message::leads;
use super::replica::Replica;
use crate::config::{AckClass, BrokerConfig, Overrides, TopicConfig};
use crate::io::Semaphore;
use crate::log::{
    CHECKPOINT_FILE, DamageReport, Landmark, Log, LogConfig, LogError, OpenLog, RecoveryReport,
};
use crate::metadata::{
    ConfigResource, ConfigResourceType, MetadataDelta, MetadataImage, TopicImage, is_internal_topic,
};
use crate::types::{ShardId, TopicId, TopicIdPartition, TopicPartition};

/// Logs that one shard opens, and so recovers, at the same time.
const LOGS_OPENING_MAX: usize = 32;

impl Core {
    /// Opens everything that this shard owns; at start. How many partitions.
    pub(super) async fn open_logs(
        self: &Rc<Core>,
        image: Arc<MetadataImage>,
    ) -> Result<usize, ShardError> {
        self.apply_broker_configs(&image);
        self.resolve_configs(&image, &all_topics(&image));
        let mine = image.topics().flat_map(|topic| partitions(topic));
        let mine: Vec<_> = mine
            .filter(|&partition| self.serves(&image, partition))
            .collect();
        self.open_partitions(&image, &mine).await?;
        *self.image.borrow_mut() = image;
        Ok(mine.len())
    }

    /// Opens what is new. The image is this shard's when that is done.
    pub(super) async fn apply_image(
        self: &Rc<Core>,
        image: Arc<MetadataImage>,
        delta: &MetadataDelta,
    ) -> Result<(), ShardError> {
        if self.are_ours(&delta.configs_changed) {
            self.apply_broker_configs(&image);
        }
        self.resolve_configs(&image, &self.topics_changed(&image, delta));
        let created = delta.partitions_changed.iter().copied();
        let opened: Vec<_> = created
            .filter(|partition| self.serves(&image, *partition))
            .filter(|partition| self.replica(partition).is_none())
            .collect();
        let outcome = self.open_partitions(&image, &opened).await;
        // From here on requests see the new image.
        *self.image.borrow_mut() = image;
        outcome
    }

    /// On shard 0: tells all clients of an image by which all shards serve.
    pub(super) fn publish(&self, image: Arc<MetadataImage>) {
        let settings = Arc::clone(&self.dynamic.borrow());
        self.published.publish(image, settings);
    }

    /// Deletes and reconfigures what a published image changes.
    pub(super) async fn settle_image(
        self: &Rc<Core>,
        image: &MetadataImage,
        delta: &MetadataDelta,
    ) {
        self.delete_topics(delta).await;
        for topic_id in self.topics_changed(image, delta) {
            for replica in self.reconfigure(image, topic_id) {
                // Its end tells whoever waits for it; a log that fails says so itself.
                drop(replica.log().flush_all().await);
            }
        }
    }

    fn serves(&self, image: &MetadataImage, partition: TopicIdPartition) -> bool {
        self.owner(partition) == self.reactor.shard()
            && leads(image, partition, self.config.node_id)
    }

    /// Whether settings of this broker are among these.
    fn are_ours(&self, changed: &BTreeSet<ConfigResource>) -> bool {
        let own = ConfigResource::broker(self.config.node_id);
        changed.contains(&own) || changed.contains(&ConfigResource::cluster())
    }

    /// Topics that are new or have other settings.
    fn topics_changed(&self, image: &MetadataImage, delta: &MetadataDelta) -> Vec<TopicId> {
        if self.are_ours(&delta.configs_changed) {
            return all_topics(image);
        }
        let resources = delta.configs_changed.iter();
        let names = resources
            .filter(|resource| resource.resource_type == ConfigResourceType::Topic)
            .map(|resource| &resource.name);
        let reconfigured = names.filter_map(|name| image.topic_by_name(name));
        let mut changed = delta.topics_created.clone();
        changed.extend(reconfigured.map(|topic| topic.topic_id));
        changed.into_iter().collect()
    }

    fn apply_broker_configs(&self, image: &MetadataImage) {
        let (cluster, node) = image.broker_configs(self.config.node_id);
        let (dynamic, left_out) = self.dynamic.borrow().with(cluster, node);
        if self.tells() {
            for reason in left_out {
                tracing::warn!("a setting of the running broker does not count any more: {reason}");
            }
        }
        let delay = dynamic.topic_defaults().file_delete_delay;
        for (_, directory) in self.opened_directories() {
            directory.set_delete_delay(delay);
        }
        *self.dynamic.borrow_mut() = Arc::new(dynamic);
    }

    /// Every shard does the same with settings, so one of them speaks of it.
    fn tells(&self) -> bool {
        self.reactor.shard() == ShardId(0)
    }

    fn resolve_configs(&self, image: &MetadataImage, topics: &[TopicId]) {
        let none = Overrides::new();
        let dynamic = Arc::clone(&self.dynamic.borrow());
        let mut newly_compacted = Vec::new();
        for topic in topics.iter().filter_map(|topic_id| image.topic(*topic_id)) {
            let resource = ConfigResource::topic(Arc::clone(&topic.name));
            let overrides = image.config(&resource).map_or(&none, |values| &**values);
            let (config, left_out) = TopicConfig::resolve_stored(dynamic.settings(), overrides);
            if self.tells() {
                let topic = &topic.name;
                for error in left_out.values() {
                    tracing::warn!(%topic, %error, "the setting does not count any more");
                }
            }
            let is_compacted = config.cleanup_policy.compact && !is_internal_topic(&topic.name);
            let mut configs = self.topic_configs.borrow_mut();
            let before = configs.insert(topic.topic_id, Arc::new(config));
            if is_compacted && before.is_none_or(|before| !before.cleanup_policy.compact) {
                newly_compacted.push(&*topic.name);
            }
        }
        if self.tells() {
            warn_of_compaction(&newly_compacted);
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
        let open = self.open_log(partition, name.clone(), &config);
        let fail = |reason: String| ShardError::Partition {
            partition: name.to_string(),
            reason,
        };
        let (log, report) = match Log::open(&directory, open).await {
            Ok(opened) => opened,
            Err(error @ LogError::Corrupt { .. }) => {
                // Nothing is cut; the others are served.
                self.report_offline(&name, &error);
                self.offline.borrow_mut().insert(partition);
                return Ok(());
            }
            // While it runs, a disk without room makes no end of a broker; a start needs some.
            Err(error)
                if self.can_do_without(&directory)
                    || error.is_no_space() && self.server.borrow().is_some() =>
            {
                directory.fail(&error);
                self.not_opened(partition, &name, &error);
                return Ok(());
            }
            Err(error) => return Err(fail(error.to_string())),
        };
        log_missing(&name, &report);
        let replica = Replica::lead(self, partition, log, led, &config);
        self.replicas
            .borrow_mut()
            .insert(partition, Rc::clone(&replica));
        if directory.is_lost() && self.has_several_directories() {
            // It was told before this partition was there to hear it.
            self.take_offline(&replica);
        }
        Ok(())
    }

    fn open_log(
        self: &Rc<Core>,
        partition: TopicIdPartition,
        name: TopicPartition,
        config: &TopicConfig,
    ) -> OpenLog {
        let progressed = Rc::downgrade(self);
        OpenLog {
            partition: name,
            topic_id: partition.topic_id,
            config: log_config(&self.config, config),
            on_progress: Rc::new(move |_| {
                if let Some(core) = progressed.upgrade() {
                    core.note_progress(partition);
                }
            }),
        }
    }

    fn report_offline(&self, name: &TopicPartition, error: &LogError) {
        if self.breaks(BrokenPromise::HidesDamage) {
            return;
        }
        tracing::error!(partition = %name, %error, "the partition is offline");
        if let LogError::Corrupt { path, position, .. } = error {
            self.landmarks.report(|| DamageReport::Offline {
                file: path.clone(),
                position: *position,
            });
        }
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
                let was_offline = self.offline.borrow_mut().remove(&partition);
                let replica = self.replicas.borrow_mut().remove(&partition);
                let deleted = if let Some(replica) = replica {
                    super::produce::retire(self, &replica);
                    replica.log().delete().await
                } else if was_offline {
                    self.delete_unopened(topic, partition).await
                } else {
                    continue;
                };
                if let Err(error) = deleted {
                    let name = TopicPartition::new(Arc::clone(&topic.name), partition.partition);
                    tracing::error!(partition = %name, %error,
                        "a deleted partition's directory could not be put aside");
                }
            }
        }
    }

    /// Makes the place free of a partition that damage has kept offline. What lies in a directory
    /// that is offline itself the next start puts aside.
    async fn delete_unopened(
        self: &Rc<Core>,
        topic: &TopicImage,
        partition: TopicIdPartition,
    ) -> Result<(), LogError> {
        let state = topic.partitions.get(partition.partition as usize);
        let id = state.map(|state| state.directory_of(self.config.node_id));
        let directory = id.and_then(|id| self.log_directory(id));
        let Some(directory) = directory.filter(|directory| !directory.has_failed()) else {
            return Ok(());
        };
        let name = TopicPartition::new(Arc::clone(&topic.name), partition.partition);
        let path = directory.path().join(name.to_string());
        if self.is_of_another(&path, partition).await {
            return Ok(());
        }
        directory.delete_unopened(&name).await
    }

    /// Gives a topic's partitions their settings. Returns those that are in class P from now on and
    /// were not: what they have shown readers is to be made durable before the change is told.
    fn reconfigure(&self, image: &MetadataImage, topic_id: TopicId) -> Vec<Rc<Replica>> {
        let config = self.topic_configs.borrow().get(&topic_id).cloned();
        let (Some(topic), Some(config)) = (image.topic(topic_id), config) else {
            return Vec::new();
        };
        let mut hardened = Vec::new();
        for partition in partitions(topic) {
            if let Some(replica) = self.replica(&partition) {
                let before = replica.leader().ack_class();
                replica.log().set_config(log_config(&self.config, &config));
                replica.set_config(self, &config);
                if before == AckClass::KillSafe && config.ack_class() == AckClass::PowerSafe {
                    hardened.push(replica);
                }
            }
        }
        hardened
    }
}

/// Topics that are named when many are compacted.
const COMPACTED_NAMED_MAX: usize = 5;

fn warn_of_compaction(topics: &[&str]) {
    if topics.is_empty() {
        return;
    }
    let mut named = topics[..topics.len().min(COMPACTED_NAMED_MAX)].join(", ");
    if topics.len() > COMPACTED_NAMED_MAX {
        named.push_str(", ...");
    }
    tracing::warn!(
        count = topics.len(),
        "cleanup.policy has compact, which is not built yet: these topics keep every record, also \
         those with newer ones of the same key: {named}"
    );
}

fn all_topics(image: &MetadataImage) -> Vec<TopicId> {
    image.topics().map(|topic| topic.topic_id).collect()
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

/// What recovery did not find.
fn log_missing(partition: &TopicPartition, report: &RecoveryReport) {
    if report.lost_checkpoint {
        tracing::warn!(
            %partition,
            "there is no {CHECKPOINT_FILE} that can be read: the log was recovered from its first \
             segment, and records that were deleted there may be back"
        );
    }
    if let Some((from, to)) = report.missing {
        tracing::error!(%partition, from, to, "records are gone: their segments are not there");
    }
}
