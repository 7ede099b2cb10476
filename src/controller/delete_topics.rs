//! Topics deleted (Kafka's `ControllerApis` and `ReplicationControlManager`).

use std::collections::{BTreeMap, BTreeSet};

use super::machine::Controller;
use super::request::{ControllerReply, DeleteTopicResult, DeleteTopics, Outcome, TopicReference};
use crate::metadata::{MetadataRecord, RemoveTopicRecord};
use crate::types::{ErrorCode, TopicId};

impl Controller {
    pub(super) fn delete_topics(&self, request: DeleteTopics) -> Outcome {
        let mut records = Vec::new();
        let mut taken = BTreeSet::new();
        let results = match self.config.delete_topic_enable {
            true => distinct(request.topics)
                .into_iter()
                .map(|(reference, repeated)| {
                    self.delete_topic(reference, repeated, &mut taken, &mut records)
                })
                .collect(),
            false => request.topics.into_iter().map(deletion_disabled).collect(),
        };
        Outcome {
            records,
            reply: ControllerReply::DeleteTopics(results),
        }
    }

    /// `repeated`: the request names the same reference more than once. `taken`: what the request
    /// deletes already.
    fn delete_topic(
        &self,
        reference: TopicReference,
        repeated: bool,
        taken: &mut BTreeSet<TopicId>,
        records: &mut Vec<MetadataRecord>,
    ) -> DeleteTopicResult {
        let by_id = reference.topic_id != TopicId::ZERO;
        let refused = match (&reference.name, by_id) {
            (None, false) => Some("Neither topic name nor id were specified."),
            (Some(_), true) => Some("You may not specify both topic name and topic id."),
            (Some(_), false) if repeated => Some("Duplicate topic name."),
            (None, true) if repeated => Some("Duplicate topic id."),
            _ => None,
        };
        if let Some(message) = refused {
            return deletion_failed(reference, ErrorCode::InvalidRequest, message);
        }
        let found = match &reference.name {
            Some(name) => self.image.topic_by_name(name),
            None => self.image.topic(reference.topic_id),
        };
        let Some(topic) = found else {
            return match by_id {
                true => deletion_failed(
                    reference,
                    ErrorCode::UnknownTopicId,
                    "This server does not host this topic ID.",
                ),
                false => deletion_failed(
                    reference,
                    ErrorCode::UnknownTopicOrPartition,
                    "This server does not host this topic-partition.",
                ),
            };
        };
        let reference = TopicReference {
            name: Some(topic.name.to_string()),
            topic_id: topic.topic_id,
        };
        if !taken.insert(topic.topic_id) {
            let message = "The provided topic name maps to an ID that was already supplied.";
            return deletion_failed(reference, ErrorCode::InvalidRequest, message);
        }
        records.push(MetadataRecord::RemoveTopic(RemoveTopicRecord {
            topic_id: topic.topic_id,
        }));
        DeleteTopicResult {
            name: reference.name,
            topic_id: reference.topic_id,
            error: ErrorCode::None,
            message: None,
        }
    }
}

/// Each reference once, in its order, and whether it stood more than once.
fn distinct(references: Vec<TopicReference>) -> Vec<(TopicReference, bool)> {
    let mut count = BTreeMap::new();
    for reference in &references {
        *count.entry(reference.clone()).or_insert(0) += 1;
    }
    references
        .into_iter()
        .filter_map(|reference| {
            let repeated = count.remove(&reference)? > 1;
            Some((reference, repeated))
        })
        .collect()
}

fn deletion_disabled(reference: TopicReference) -> DeleteTopicResult {
    let message = "Topic deletion is disabled.";
    deletion_failed(reference, ErrorCode::TopicDeletionDisabled, message)
}

fn deletion_failed(
    reference: TopicReference,
    error: ErrorCode,
    message: &str,
) -> DeleteTopicResult {
    DeleteTopicResult {
        name: reference.name,
        topic_id: reference.topic_id,
        error,
        message: Some(message.to_owned()),
    }
}
