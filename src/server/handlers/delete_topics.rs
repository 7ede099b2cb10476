//! DeleteTopics (20), versions 1-6: topics go, by name or from v6 on by id.
//!
//! An answer comes when the deletion is durable and no shard serves the topic any more; its files
//! go behind that. `delete.topic.enable` = false refuses. A request that leaves no time
//! (`timeout_ms` of 0 or below) is answered REQUEST_TIMED_OUT, and nothing is done, as by Kafka's
//! controller.

use bytes::Bytes;

use crate::controller::{DeleteTopicResult, DeleteTopics, TopicReference};
use crate::protocol::messages::delete_topics_response::DeletableTopicResult;
use crate::protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use crate::protocol::{StrBytes, from_uuid, to_uuid};
use crate::server::dispatch::{Call, CloseReason, ReplyFuture};
use crate::types::{ErrorCode, TopicId};

/// From this version on topics are named one by one, by name or id.
const TOPIC_STATE_VERSION_MIN: i16 = 6;

/// From this version on a client knows TOPIC_DELETION_DISABLED.
const DELETION_DISABLED_VERSION_MIN: i16 = 3;

pub(super) fn handle(call: Call, body: Bytes) -> Result<ReplyFuture, CloseReason> {
    let request: DeleteTopicsRequest = call.decode(body)?;
    Ok(Box::pin(async move {
        let topics = references(&call, &request);
        let asked = DeleteTopics {
            topics: topics.clone(),
        };
        let deleted = match request.timeout_ms {
            1.. => call.node.shard.delete_topics(asked).await,
            _ => Some(Err(ErrorCode::RequestTimedOut)),
        };
        let deleted = deleted.ok_or(CloseReason::Stopping)?;
        let results = deleted.unwrap_or_else(|error| {
            let failed = topics.into_iter().map(|topic| DeleteTopicResult {
                name: topic.name,
                topic_id: topic.topic_id,
                error,
                message: None,
            });
            failed.collect()
        });
        let responses = results.into_iter().map(|result| response(&call, result));
        call.finish(&DeleteTopicsResponse::default().with_responses(responses.collect()))
    }))
}

fn references(call: &Call, request: &DeleteTopicsRequest) -> Vec<TopicReference> {
    if call.header.api_version < TOPIC_STATE_VERSION_MIN {
        let named = request.topic_names.iter().map(|name| TopicReference {
            name: Some(name.to_string()),
            topic_id: TopicId::ZERO,
        });
        return named.collect();
    }
    let named = request.topics.iter().map(|topic| TopicReference {
        name: topic.name.as_ref().map(|name| name.to_string()),
        topic_id: from_uuid(topic.topic_id),
    });
    named.collect()
}

fn response(call: &Call, result: DeleteTopicResult) -> DeletableTopicResult {
    let error = match result.error {
        ErrorCode::TopicDeletionDisabled
            if call.header.api_version < DELETION_DISABLED_VERSION_MIN =>
        {
            ErrorCode::InvalidRequest
        }
        error => error,
    };
    call.count_error(error);
    let name = result
        .name
        .map(|name| TopicName(StrBytes::from_string(name)));
    DeletableTopicResult::default()
        .with_name(name)
        .with_topic_id(to_uuid(result.topic_id))
        .with_error_code(error.code())
        .with_error_message(result.message.map(StrBytes::from_string))
}
