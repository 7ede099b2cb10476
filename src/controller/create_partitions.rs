//! Partitions added to topics (Kafka's `ControllerApis` and `ReplicationControlManager`).

use std::collections::BTreeSet;

use super::create_topics::RECORDS_PER_REQUEST_MAX;
use super::directories::DirectoryPlacer;
use super::machine::Controller;
use super::placement::{Placement, Refusal, partition_records};
use super::request::{
    ControllerReply, CreatePartitions, CreatePartitionsResult, GrownTopic, Outcome,
};
use crate::metadata::{MetadataRecord, TopicImage};
use crate::types::ErrorCode;

impl Controller {
    /// The duplicates are answered first, then the others in their order.
    pub(super) fn create_partitions(
        &self,
        request: CreatePartitions,
        mut placer: DirectoryPlacer,
    ) -> Outcome {
        let (topics, duplicates) = split_duplicates(request.topics);
        let mut results = Vec::new();
        for name in duplicates {
            let message = Some("Duplicate topic name.".to_owned());
            results.push(CreatePartitionsResult {
                name,
                error: ErrorCode::InvalidRequest,
                message,
            });
        }
        let mut records = Vec::new();
        for topic in topics {
            let present = self.image.topic_by_name(&topic.name);
            let grown =
                present.map(|present| self.grow(&topic, present, &mut records, &mut placer));
            let (error, message) = match grown {
                None => (ErrorCode::UnknownTopicOrPartition, None),
                Some(Ok(())) => (ErrorCode::None, None),
                Some(Err(Refusal(error, message))) => (error, Some(message)),
            };
            results.push(CreatePartitionsResult {
                name: topic.name,
                error,
                message,
            });
        }
        if request.validate_only {
            records.clear();
        }
        Outcome {
            records,
            reply: ControllerReply::CreatePartitions(results),
        }
    }

    fn grow(
        &self,
        grown: &GrownTopic,
        topic: &TopicImage,
        records: &mut Vec<MetadataRecord>,
        placer: &mut DirectoryPlacer,
    ) -> Result<(), Refusal> {
        let present = topic.partitions.len();
        let additional = additional(grown, present)?;
        if additional > RECORDS_PER_REQUEST_MAX - records.len() {
            return Err(Refusal(
                ErrorCode::PolicyViolation,
                "Excessively large number of partitions per request.".to_owned(),
            ));
        }
        let placement = self.place_additional(grown, topic, additional)?;
        records.extend(partition_records(
            topic.topic_id,
            present,
            &placement,
            placer,
        ));
        Ok(())
    }

    fn place_additional(
        &self,
        grown: &GrownTopic,
        topic: &TopicImage,
        additional: usize,
    ) -> Result<Placement, Refusal> {
        let present = topic.partitions.len();
        let replica_count = topic.partitions.first().map_or(0, |p| p.replicas.len());
        let Some(assignments) = &grown.assignments else {
            let partitions = present..present + additional;
            let factor = i16::try_from(replica_count).unwrap_or(i16::MAX);
            return self
                .spread(topic.topic_id, partitions, factor)
                .map_err(|message| Refusal(ErrorCode::InvalidReplicationFactor, message));
        };
        for broker_ids in assignments {
            self.check_assignment(broker_ids, Some(replica_count))?;
        }
        Ok(assignments.clone())
    }
}

/// By how many partitions a topic is to grow that has `present` of them.
fn additional(grown: &GrownTopic, present: usize) -> Result<usize, Refusal> {
    let invalid = |message| Err(Refusal(ErrorCode::InvalidPartitions, message));
    let wanted = usize::try_from(grown.count).unwrap_or(0);
    if wanted == present {
        return invalid(format!("Topic already has {present} partition(s)."));
    }
    if wanted < present {
        return invalid(format!(
            "The topic {} currently has {present} partition(s); {} would not be an increase.",
            grown.name, grown.count
        ));
    }
    let additional = wanted - present;
    match &grown.assignments {
        Some(assignments) if assignments.len() != additional => Err(Refusal(
            ErrorCode::InvalidReplicaAssignment,
            format!(
                "Attempted to add {additional} additional partition(s), but only {} assignment(s) \
                 were specified.",
                assignments.len()
            ),
        )),
        _ => Ok(additional),
    }
}

/// Topics that stand once, in their order, and the names that stand more than once, each once.
fn split_duplicates(topics: Vec<GrownTopic>) -> (Vec<GrownTopic>, BTreeSet<String>) {
    let mut seen = BTreeSet::new();
    let mut duplicates = BTreeSet::new();
    for topic in &topics {
        if !seen.insert(topic.name.as_str()) {
            duplicates.insert(topic.name.clone());
        }
    }
    let topics = topics.into_iter();
    let topics = topics.filter(|topic| !duplicates.contains(&topic.name));
    (topics.collect(), duplicates)
}
