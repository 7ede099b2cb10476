//! Topics deleted (Kafka's `ControllerApis` and `ReplicationControlManager`).

use std::collections::{BTreeMap, BTreeSet};

use super::machine::Controller;
use super::request::{ControllerReply, DeleteTopicResult, DeleteTopics, Outcome, TopicReference};
use crate::metadata::{MetadataRecord, RemoveTopicRecord};
use crate::types::{ErrorCode, TopicId};

impl Controller {
    pub(super) fn delete_topics(&self, request: DeleteTopics) -> Outcome {
        let mut records = Vec::new();
        let results = match self.config.delete_topic_enable {
            true => {
                let references = distinct(request.topics);
                let doubly = self.named_both_ways(&references);
                let each = references.into_iter().filter_map(|(reference, repeated)| {
                    self.delete_topic(reference, repeated, &doubly, &mut records)
                });
                each.collect()
            }
            false => request.topics.into_iter().map(deletion_disabled).collect(),
        };
        Outcome {
            records,
            reply: ControllerReply::DeleteTopics(results),
        }
    }

    /// Topics that a request names by id, and once by name, too. None of them is deleted, and the
    /// answer says it where the name is.
    fn named_both_ways(&self, references: &[(TopicReference, bool)]) -> BTreeSet<TopicId> {
        let by_id = references.iter().filter_map(|(reference, _)| {
            let is_by_id = reference.name.is_none() && reference.topic_id != TopicId::ZERO;
            is_by_id.then_some(reference.topic_id)
        });
        let by_id: BTreeSet<TopicId> = by_id.collect();
        let by_name = references.iter().filter_map(|(reference, repeated)| {
            let is_by_name = reference.topic_id == TopicId::ZERO && !repeated;
            let name = reference.name.as_deref().filter(|_| is_by_name)?;
            Some(self.image.topic_by_name(name)?.topic_id)
        });
        by_name
            .filter(|topic_id| by_id.contains(topic_id))
            .collect()
    }

    /// `repeated`: the request names the same reference more than once. `None`: the answer stands
    /// where the request names the topic the other way.
    fn delete_topic(
        &self,
        reference: TopicReference,
        repeated: bool,
        doubly: &BTreeSet<TopicId>,
        records: &mut Vec<MetadataRecord>,
    ) -> Option<DeleteTopicResult> {
        let by_id = reference.topic_id != TopicId::ZERO;
        let refused = match (&reference.name, by_id) {
            (None, false) => Some("Neither topic name nor id were specified."),
            (Some(_), true) => Some("You may not specify both topic name and topic id."),
            (Some(_), false) if repeated => Some("Duplicate topic name."),
            (None, true) if repeated => Some("Duplicate topic id."),
            _ => None,
        };
        if let Some(message) = refused {
            let error = ErrorCode::InvalidRequest;
            return Some(deletion_failed(reference, error, message));
        }
        let found = match &reference.name {
            Some(name) => self.image.topic_by_name(name),
            None => self.image.topic(reference.topic_id),
        };
        let Some(topic) = found else {
            return Some(unknown(reference));
        };
        let is_named_both_ways = doubly.contains(&topic.topic_id);
        if by_id && is_named_both_ways {
            return None;
        }
        let reference = TopicReference {
            name: Some(topic.name.to_string()),
            topic_id: topic.topic_id,
        };
        if is_named_both_ways {
            let message = "The provided topic name maps to an ID that was already supplied.";
            let error = ErrorCode::InvalidRequest;
            return Some(deletion_failed(reference, error, message));
        }
        records.push(MetadataRecord::RemoveTopic(RemoveTopicRecord {
            topic_id: topic.topic_id,
        }));
        Some(DeleteTopicResult {
            name: reference.name,
            topic_id: reference.topic_id,
            error: ErrorCode::None,
            message: None,
        })
    }
}

fn unknown(reference: TopicReference) -> DeleteTopicResult {
    match reference.topic_id == TopicId::ZERO {
        true => deletion_failed(
            reference,
            ErrorCode::UnknownTopicOrPartition,
            "This server does not host this topic-partition.",
        ),
        false => deletion_failed(
            reference,
            ErrorCode::UnknownTopicId,
            "This server does not host this topic ID.",
        ),
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

/// As for a whole request that is refused, there is no sentence.
fn deletion_disabled(reference: TopicReference) -> DeleteTopicResult {
    DeleteTopicResult {
        name: reference.name,
        topic_id: reference.topic_id,
        error: ErrorCode::TopicDeletionDisabled,
        message: None,
    }
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
