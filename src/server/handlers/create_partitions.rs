//! CreatePartitions (37), versions 0-3: topics get more partitions, of which the new ones are
//! empty; what is there stays where it is (KIP-195).
//!
//! The controller decides (counts, assignments) as Kafka's does; an answer comes when the new
//! partitions are durable and served by every shard. More than 10,000 new ones in a request are
//! refused with POLICY_VIOLATION, as with CreateTopics; Kafka says UNKNOWN_SERVER_ERROR. A request
//! that leaves no time (`timeout_ms` of 0 or below) is answered REQUEST_TIMED_OUT, and nothing is
//! done, as by Kafka's controller.
//!
//! Left out: quotas of partition changes (KIP-599), which are all that is new in v3.

use bytes::Bytes;

use crate::controller::{CreatePartitions, CreatePartitionsResult, GrownTopic};
use crate::protocol::StrBytes;
use crate::protocol::messages::create_partitions_request::CreatePartitionsTopic;
use crate::protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use crate::protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse, TopicName};
use crate::server::dispatch::{Call, CloseReason, ReplyFuture};
use crate::types::ErrorCode;

pub(super) fn handle(call: Call, body: Bytes) -> Result<ReplyFuture, CloseReason> {
    let request: CreatePartitionsRequest = call.decode(body)?;
    Ok(Box::pin(async move {
        let asked = CreatePartitions {
            topics: request.topics.iter().map(grown_topic).collect(),
            validate_only: request.validate_only,
        };
        let created = match request.timeout_ms {
            1.. => call.node.shard.create_partitions(asked).await,
            _ => Some(Err(ErrorCode::RequestTimedOut)),
        };
        let created = created.ok_or(CloseReason::Stopping)?;
        let results = created.unwrap_or_else(|error| {
            let failed = request.topics.iter().map(|topic| CreatePartitionsResult {
                name: topic.name.to_string(),
                error,
                message: None,
            });
            failed.collect()
        });
        let results = results.into_iter().map(|result| response(&call, result));
        call.finish(&CreatePartitionsResponse::default().with_results(results.collect()))
    }))
}

fn grown_topic(topic: &CreatePartitionsTopic) -> GrownTopic {
    let assignments = topic.assignments.as_ref().map(|assignments| {
        let broker_ids = assignments.iter().map(|assignment| &assignment.broker_ids);
        let broker_ids = broker_ids.map(|ids| ids.iter().map(|id| id.0).collect());
        broker_ids.collect()
    });
    GrownTopic {
        name: topic.name.to_string(),
        count: topic.count,
        assignments,
    }
}

fn response(call: &Call, result: CreatePartitionsResult) -> CreatePartitionsTopicResult {
    call.count_error(result.error);
    CreatePartitionsTopicResult::default()
        .with_name(TopicName(StrBytes::from_string(result.name)))
        .with_error_code(result.error.code())
        .with_error_message(result.message.map(StrBytes::from_string))
}
