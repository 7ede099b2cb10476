//! Topics created (Kafka's `ControllerApis` and `ReplicationControlManager`).

use std::collections::{BTreeMap, BTreeSet};

use super::directories::DirectoryPlacer;
use super::machine::Controller;
use super::placement::{Placement, Refusal, partition_records};
use super::request::{ControllerReply, CreateTopicResult, CreateTopics, NewTopic, Outcome};
use crate::metadata::{
    CLUSTER_METADATA_TOPIC, ConfigRecord, ConfigResource, GROUP_METADATA_TOPIC, MetadataRecord,
    TRANSACTION_STATE_TOPIC, TopicRecord, collision_key, validate_topic_name,
};
use crate::types::{ErrorCode, TopicId};

/// Records of one request, hence of one atomic batch, at most (Kafka's
/// `MAX_RECORDS_PER_USER_OP`): a request for more partitions is refused before it reserves memory.
pub const RECORDS_PER_REQUEST_MAX: usize = 10_000;

/// Partitions of the topics that the broker writes itself, when they are created on their first use
/// (`offsets.topic.num.partitions`, `transaction.state.log.num.partitions`). Clients compute a
/// group's coordinator from this number: it must never change later.
const INTERNAL_TOPIC_PARTITION_COUNT: i32 = 50;

impl Controller {
    pub(super) fn create_topics(
        &self,
        request: CreateTopics,
        mut placer: DirectoryPlacer,
    ) -> Outcome {
        let (topics, duplicates) = split_duplicates(request.topics);
        let refuse_all = self.too_many_partitions(&topics);
        let mut records = Vec::new();
        let mut results = Vec::new();
        for topic in topics {
            let created = match refuse_all {
                true => Err(Refusal(
                    ErrorCode::PolicyViolation,
                    "Excessively large number of partitions per request.".to_owned(),
                )),
                false => self.create_topic(&topic, &mut records, &mut placer),
            };
            results.push(created.unwrap_or_else(|Refusal(error, message)| {
                CreateTopicResult::error(&topic.name, error, message)
            }));
        }
        for name in duplicates {
            let message = "Duplicate topic name.".to_owned();
            results.push(CreateTopicResult::error(
                &name,
                ErrorCode::InvalidRequest,
                message,
            ));
        }
        if request.validate_only {
            records.clear();
        }
        Outcome {
            records,
            reply: ControllerReply::CreateTopics(results),
        }
    }

    pub(super) fn auto_create_topics(
        &self,
        topics: Vec<(String, TopicId)>,
        mut placer: DirectoryPlacer,
    ) -> Outcome {
        let mut records = Vec::new();
        let mut results = Vec::new();
        let mut seen = BTreeSet::new();
        for (name, topic_id) in topics {
            if !seen.insert(name.clone()) {
                continue;
            }
            if let Some(topic) = self.image.topic_by_name(&name) {
                let replication_factor = topic.partitions.first().map_or(0, |p| p.replicas.len());
                results.push(CreateTopicResult {
                    name,
                    topic_id: topic.topic_id,
                    error: ErrorCode::None,
                    message: None,
                    partition_count: topic.partitions.len() as i32,
                    replication_factor: replication_factor as i16,
                    configs: BTreeMap::new(),
                });
                continue;
            }
            if name == CLUSTER_METADATA_TOPIC {
                // Not refused as a creation is: nobody asked for one.
                let (error, message) = (ErrorCode::UnknownTopicOrPartition, String::new());
                results.push(CreateTopicResult::error(&name, error, message));
                continue;
            }
            let topic = auto_created(name, topic_id);
            let created = match self.too_many_records(&topic, records.len()) {
                true => Err(Refusal(
                    ErrorCode::PolicyViolation,
                    "Excessively large number of partitions per request.".to_owned(),
                )),
                false => self.create_topic(&topic, &mut records, &mut placer),
            };
            results.push(created.unwrap_or_else(|Refusal(error, message)| {
                CreateTopicResult::error(&topic.name, error, message)
            }));
        }
        Outcome {
            records,
            reply: ControllerReply::CreateTopics(results),
        }
    }

    fn too_many_partitions(&self, topics: &[NewTopic]) -> bool {
        let mut left = RECORDS_PER_REQUEST_MAX;
        topics.iter().any(|topic| {
            let (wanted, room) = (self.partitions_wanted(topic), left);
            left = left.saturating_sub(wanted);
            wanted > room
        })
    }

    fn too_many_records(&self, topic: &NewTopic, so_far: usize) -> bool {
        so_far.saturating_add(self.partitions_wanted(topic)) > RECORDS_PER_REQUEST_MAX
    }

    fn partitions_wanted(&self, topic: &NewTopic) -> usize {
        let count = match topic.partition_count {
            -1 => self.config.num_partitions,
            count => count,
        };
        usize::try_from(count)
            .unwrap_or(0)
            .max(topic.assignments.len())
    }

    fn create_topic(
        &self,
        topic: &NewTopic,
        records: &mut Vec<MetadataRecord>,
        placer: &mut DirectoryPlacer,
    ) -> Result<CreateTopicResult, Refusal> {
        self.check_name(&topic.name)?;
        let configs = self.check_configs(topic)?;
        let placement = self.place(topic)?;
        records.push(MetadataRecord::Topic(TopicRecord {
            topic_id: topic.topic_id,
            name: topic.name.as_str().into(),
        }));
        for (key, value) in &configs {
            records.push(MetadataRecord::Config(ConfigRecord {
                resource: ConfigResource::topic(topic.name.as_str()),
                key: key.clone(),
                value: Some(value.clone()),
            }));
        }
        records.extend(partition_records(topic.topic_id, 0, &placement, placer));
        Ok(CreateTopicResult {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            error: ErrorCode::None,
            message: None,
            partition_count: placement.len() as i32,
            replication_factor: placement[0].len() as i16,
            configs,
        })
    }

    fn check_name(&self, name: &str) -> Result<(), Refusal> {
        if name == CLUSTER_METADATA_TOPIC {
            let message = format!("Creation of internal topic {name} is prohibited.");
            return Err(Refusal(ErrorCode::InvalidRequest, message));
        }
        if self.image.topic_by_name(name).is_some() {
            let message = format!("Topic '{name}' already exists.");
            return Err(Refusal(ErrorCode::TopicAlreadyExists, message));
        }
        let invalid = |message| Refusal(ErrorCode::InvalidTopicException, message);
        validate_topic_name(name).map_err(invalid)?;
        let colliding = collision_key(name).and_then(|key| self.colliding.get(&key)?.first());
        match colliding {
            None => Ok(()),
            Some(existing) => Err(invalid(format!(
                "Topic '{name}' collides with existing topic: {existing}"
            ))),
        }
    }

    fn check_configs(&self, topic: &NewTopic) -> Result<BTreeMap<String, String>, Refusal> {
        let invalid = |message| Refusal(ErrorCode::InvalidConfig, message);
        let mut configs = BTreeMap::new();
        let mut without_value = Vec::new();
        for (key, value) in &topic.configs {
            match value {
                Some(value) => drop(configs.insert(key.clone(), value.clone())),
                None => without_value.push(key.as_str()),
            }
        }
        if !without_value.is_empty() {
            return Err(invalid(format!(
                "Null value not supported for topic configs: {}",
                without_value.join(",")
            )));
        }
        self.dynamic
            .topic(&configs)
            .map_err(|error| invalid(error.to_string()))?;
        Ok(configs)
    }

    fn place(&self, topic: &NewTopic) -> Result<Placement, Refusal> {
        if !topic.assignments.is_empty() {
            return self.place_manually(topic);
        }
        if topic.replication_factor < -1 || topic.replication_factor == 0 {
            let message =
                "Replication factor must be larger than 0, or -1 to use the default value.";
            return Err(Refusal(
                ErrorCode::InvalidReplicationFactor,
                message.to_owned(),
            ));
        }
        if topic.partition_count < -1 || topic.partition_count == 0 {
            let message = "Number of partitions was set to an invalid non-positive value.";
            return Err(Refusal(ErrorCode::InvalidPartitions, message.to_owned()));
        }
        let replication_factor = match topic.replication_factor {
            -1 => self.config.default_replication_factor,
            factor => factor,
        };
        let partitions = 0..self.partitions_wanted(topic);
        self.spread(topic.topic_id, partitions, replication_factor)
            .map_err(|message| {
                Refusal(
                    ErrorCode::InvalidReplicationFactor,
                    format!(
                        "Unable to replicate the partition {replication_factor} time(s): {message}"
                    ),
                )
            })
    }

    fn place_manually(&self, topic: &NewTopic) -> Result<Placement, Refusal> {
        let invalid = |message: &str| {
            let message = format!("A manual partition assignment was specified, but {message}");
            Refusal(ErrorCode::InvalidRequest, message)
        };
        if topic.replication_factor != -1 {
            return Err(invalid("replication factor was not set to -1."));
        }
        if topic.partition_count != -1 {
            return Err(invalid("numPartitions was not set to -1."));
        }
        let mut placed = BTreeMap::new();
        let mut replica_count = None;
        for assignment in &topic.assignments {
            let partition = assignment.partition;
            if placed.contains_key(&partition) {
                return Err(Refusal(
                    ErrorCode::InvalidReplicaAssignment,
                    format!(
                        "Found multiple manual partition assignments for partition {partition}"
                    ),
                ));
            }
            self.check_assignment(&assignment.broker_ids, replica_count)?;
            replica_count = Some(assignment.broker_ids.len());
            placed.insert(partition, assignment.broker_ids.clone());
        }
        if placed.keys().copied().ne(0..placed.len() as i32) {
            return Err(Refusal(
                ErrorCode::InvalidReplicaAssignment,
                "partitions should be a consecutive 0-based integer sequence".to_owned(),
            ));
        }
        Ok(placed.into_values().collect())
    }
}

/// Names that stand once, in their order, and names that stand more than once, each once.
fn split_duplicates(topics: Vec<NewTopic>) -> (Vec<NewTopic>, BTreeSet<String>) {
    let mut seen = BTreeSet::new();
    let mut duplicates = BTreeSet::new();
    for topic in &topics {
        if !seen.insert(topic.name.as_str()) {
            duplicates.insert(topic.name.clone());
        }
    }
    let mut topics = topics;
    topics.retain(|topic| !duplicates.contains(&topic.name));
    (topics, duplicates)
}

/// What an auto-created topic looks like: the broker's defaults, but for the internal ones.
fn auto_created(name: String, topic_id: TopicId) -> NewTopic {
    let internal = name == GROUP_METADATA_TOPIC || name == TRANSACTION_STATE_TOPIC;
    let mut topic = NewTopic::with_defaults(name, topic_id);
    if internal {
        topic.partition_count = INTERNAL_TOPIC_PARTITION_COUNT;
        for (key, value) in [
            ("cleanup.policy", "compact"),
            ("compression.type", "producer"),
            ("segment.bytes", "104857600"),
        ] {
            topic.configs.push((key.to_owned(), Some(value.to_owned())));
        }
    }
    topic
}
